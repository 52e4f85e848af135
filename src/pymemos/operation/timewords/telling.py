"""Tellings are sentences in which somebody says when a day of theirs is: "my birthday is on 3 March"."""

from __future__ import annotations

import re
from datetime import date, datetime

from pymemos.operation.timewords import lexer
from pymemos.operation.timewords.grammar import Grain, Item, Reading
from pymemos.operation.timewords.reading import phrases

# Patterns are compiled, and kept, by ``re`` when they are first used: few programs need them.
_SENTENCE = r"[^.!?\n]+[.!?]*"
_LONGEST = 400  # characters; a longer sentence says nothing so plainly
_DAYS = "birthday|(?:wedding )?anniversary|wedding|graduation"
# Whose day it is; who says "our" speaks of their own too.
_SUBJECT = (
    r"\b(?:(?:[Mm]y|[Oo]ur)\s+(?P<kin>[a-z]+'s\s+)?|(?P<name>[A-Z][\w-]*)'s\s+)"
    rf"(?P<day>{_DAYS})\b(?!\s+(?:cake|party))"
)
_BORN = r"\bI\s+was\s+born\b|\bI(?:'ll|'m| will| am)?\s+turn(?:ed|ing)?\s+\d+\b"
_MARRIED = r"(?i)\bwe\s+(?:got|were|are getting|'re getting|will get)\s+married\b"
_TELLING = ("birthday", "anniversary", "wedding", "graduation", "born", "turn", "married")
_BESIDE = r"\b(?:before|after|for|since|until|of)\s+$"  # "two days before my birthday, on 3 March"
_DENIED = r"(?i)\bnot\b|n't\b|\bif\b"
_INTRODUCED = r"(?i)\b(?:it's|it is|it was)\s+$"
# What may stand between a day and its date, in either order.
_LINKING = frozenset("is was will be falls fall comes has always been actually also on in the this , : 's".split())


def may_tell_a_day(text: str) -> bool:
    """Whether a text has a word without which it tells no day; to look is far cheaper than to read."""
    low = text.lower()
    return any(word in low for word in _TELLING)


def known_days_of(text: str, speaker: str, said_at: datetime) -> dict[str, date]:
    """The days that a text tells of, by such keys as "clara's birthday"; the year is that of the date as it was read.

    Only plain statements in English count. Questions, what is denied and dates "before my birthday" tell nothing.
    """
    found: dict[str, date] = {}
    for sentence in re.findall(_SENTENCE, lexer.normal(text)):
        if not _is_telling(sentence):
            continue
        days = [item for item in phrases(sentence, Reading(said_at, foretelling=True), "en", {}) if _is_day(item)]
        if days:
            found |= _told(sentence, days, speaker.lower())
    return found


def _is_telling(sentence: str) -> bool:
    """Whether a sentence speaks plainly of somebody's day; only then are its times worth reading."""
    if len(sentence) > _LONGEST or not may_tell_a_day(sentence):
        return False
    if sentence.rstrip().endswith("?") or re.search(_DENIED, sentence):
        return False
    return any(re.search(pattern, sentence) for pattern in (_SUBJECT, _BORN, _MARRIED))


def _is_day(item: Item) -> bool:
    phrase = item.phrase
    return phrase is not None and phrase.grain is Grain.DAY and phrase.precise and _length(item) == 1


def _length(item: Item) -> int:
    return (item.phrase.days.after - item.phrase.days.first).days if item.phrase else 0


def _told(sentence: str, days: list[Item], speaker: str) -> dict[str, date]:
    found: dict[str, date] = {}
    for subject in re.finditer(_SUBJECT, sentence):
        day = next((day for day in days if _equated(sentence, subject, day)), None)
        if day is not None and day.phrase is not None:
            found[f"{_owner(subject, speaker)} {subject['day'].lower()}"] = day.phrase.days.first
    for pattern, names in ((_BORN, ("birthday",)), (_MARRIED, ("wedding", "wedding anniversary"))):
        told = re.search(pattern, sentence)
        day = next((day for day in days if told and _is_beside(sentence, told, day)), None)
        if day is not None and day.phrase is not None:
            found |= {f"{speaker}'s {name}": day.phrase.days.first for name in names}
    return found


def _equated(sentence: str, subject: re.Match[str], day: Item) -> bool:
    """Whether a sentence says that the one is the other: "my birthday is 3 March", "tomorrow is my birthday"."""
    before = sentence[: subject.start()]
    if re.search(_BESIDE, before):
        return False
    if subject.end() <= day.begin:
        between = sentence[subject.end() : day.begin]
        return _links(between) and (bool(between.strip()) or re.search(_INTRODUCED, before) is not None)
    between = sentence[day.end : subject.start()]
    return _links(between) and bool(between.strip(" ,"))


def _is_beside(sentence: str, told: re.Match[str], day: Item) -> bool:
    """Whether nothing else happens between the day and what is told of it."""
    after = told.end() <= day.begin
    return _links(sentence[told.end() : day.begin] if after else sentence[day.end : told.start()])


def _links(between: str) -> bool:
    return _LINKING.issuperset(re.findall(r"'s\b|\w+|[^\w\s]", between.lower()))


def _owner(subject: re.Match[str], speaker: str) -> str:
    if subject["name"]:
        return f"{subject['name'].lower()}'s"
    return f"{speaker}'s {subject['kin'].strip()}" if subject["kin"] else f"{speaker}'s"
