"""Tellings are sentences in which somebody says when a day of theirs is: "my birthday is on 3 March"."""

from __future__ import annotations

import re
from datetime import date, datetime

from pymemos.operation.timewords import lexer
from pymemos.operation.timewords.grammar import Grain, Item, Reading
from pymemos.operation.timewords.reading import phrases

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_DAYS = "birthday|(?:wedding )?anniversary|wedding|graduation"
# Whose day it is; who says "our" speaks of their own too.
_SUBJECT = re.compile(
    rf"\b(?:(?:[Mm]y|[Oo]ur)\s+(?P<kin>[a-z]+'s\s+)?|(?P<name>[A-Z][\w-]*)'s\s+)(?P<day>{_DAYS})\b(?!\s+[a-z]*(?:cake|party))"
)
_BORN = re.compile(r"\bI\s+was\s+born\b|\bI(?:'ll|'m| will| am)?\s+turn(?:ed|ing)?\s+\d+\b")
_MARRIED = re.compile(r"\bwe\s+(?:got|were|are getting|'re getting|will get)\s+married\b", re.IGNORECASE)
# What may stand between a day and its date, in either order.
_IS = re.compile(
    r"\s*(?:'s|\s+|is|was|will be|falls?|comes|has always been|always|actually|also|up|on|in|the|this|,|:)*\s*"
)
_BESIDE = re.compile(r"\b(?:before|after|for|since|until|of)\s+$")  # "two days before my birthday, on 3 March"
_DENIED = re.compile(r"\bnot\b|n't\b|\bif\b", re.IGNORECASE)


def known_days_of(text: str, speaker: str, said_at: datetime) -> dict[str, date]:
    """The days that a text tells of, by such keys as "clara's birthday"; the year is that of the date as it was read.

    Only plain statements count. Questions, what is denied and dates "before my birthday" tell nothing.
    """
    text = lexer.normal(text)
    found: dict[str, date] = {}
    for sentence in _SENTENCE.findall(text):
        if sentence.rstrip().endswith("?") or _DENIED.search(sentence):
            continue
        days = [item for item in phrases(sentence, Reading(said_at, foretelling=True), "en", {}) if _is_day(item)]
        if days:
            found |= _told(sentence, days, speaker.lower())
    return found


def _is_day(item: Item) -> bool:
    phrase = item.phrase
    return phrase is not None and phrase.grain is Grain.DAY and phrase.precise and _length(item) == 1


def _length(item: Item) -> int:
    return (item.phrase.days.after - item.phrase.days.first).days if item.phrase else 0


def _told(sentence: str, days: list[Item], speaker: str) -> dict[str, date]:
    found: dict[str, date] = {}
    for subject in _SUBJECT.finditer(sentence):
        day = next((day for day in days if _equated(sentence, subject, day)), None)
        if day is not None and day.phrase is not None:
            found[f"{_owner(subject, speaker)} {subject['day'].lower()}"] = day.phrase.days.first
    for pattern, names in ((_BORN, ("birthday",)), (_MARRIED, ("wedding", "wedding anniversary"))):
        told = pattern.search(sentence)
        day = next((day for day in days if told and _is_between(sentence[told.end() : day.begin])), None)
        if day is not None and day.phrase is not None:
            found |= {f"{speaker}'s {name}": day.phrase.days.first for name in names}
    return found


def _equated(sentence: str, subject: re.Match[str], day: Item) -> bool:
    """Whether a sentence says that the one is the other: "my birthday is 3 March", "tomorrow is my birthday"."""
    if _BESIDE.search(sentence[: subject.start()]):
        return False
    if subject.end() <= day.begin:
        between = sentence[subject.end() : day.begin]
        introduced = re.search(r"\b(?:it's|it is|it was|today is)\s+$", sentence[: subject.start()], re.IGNORECASE)
        return _is_between(between) and (bool(between.strip()) or introduced is not None)
    between = sentence[day.end : subject.start()]
    return _is_between(between) and bool(between.strip(" ,"))


def _is_between(words: str) -> bool:
    return _IS.fullmatch(words) is not None


def _owner(subject: re.Match[str], speaker: str) -> str:
    if subject["name"]:
        return f"{subject['name'].lower()}'s"
    return f"{speaker}'s {subject['kin'].strip()}" if subject["kin"] else f"{speaker}'s"
