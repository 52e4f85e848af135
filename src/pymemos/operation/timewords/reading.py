"""Readings of a text: the times that it names, as intervals that say how they were understood."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import msgspec

from pymemos.infrastructure.analysis import detect_language
from pymemos.operation.timewords import combining, dates, lexer, relative, talks
from pymemos.operation.timewords.grammar import Grain, Item, Phrase, Reading, SessionSpan, applied
from pymemos.operation.timewords.known import among, listed
from pymemos.operation.timewords.spans import EARLIEST, LATEST, day_name, span_name
from pymemos.operation.timewords.tongues import TONGUES

_RULES = (
    *talks.RULES,
    *dates.RULES,
    *relative.RULES,
    *combining.PARTS,
    *relative.LATER,
    *combining.RULES,
)  # fmt: skip
# A sentence without any of these names no time.
_TIMELY = frozenset(
    (
        "month", "name", "low", "weekday", "weekdays", "season", "seasons", "quarter", "holiday", "holidays", "day",
        "unit", "year", "recent", "session", "talked", "last talked", "ordinal", "phrase", "yearly",
    )
)  # fmt: skip
_TALKING = frozenset(("session", "talked", "last talked"))
_DIGIT = re.compile(r"\d")
_INSTANT = timedelta(microseconds=1)


class TimeWord(msgspec.Struct, frozen=True):
    """A time that a text names: the words, the interval ``[start, end)`` in UTC, and how it was understood.

    ``precise`` tells that the words say where the interval begins and ends, as "last week" does; "early June" does not.
    """

    text: str
    start: datetime
    end: datetime
    grain: Grain
    reason: str
    precise: bool = True


def understand(
    query: str,
    *,
    now: datetime,
    language: str | None = None,
    sessions: Sequence[SessionSpan] = (),
    known_days: Mapping[str, date] = {},
) -> tuple[TimeWord, ...]:
    """The times that a question names, in their order; its days are those of the time zone of ``now``.

    A time without a year is the latest, unless the question asks for what will be. ``known_days`` are days by such
    keys as "clara's birthday".
    """
    return _time_words(query, Reading(now, sessions=tuple(sessions)), language, known_days)


def mentioned_days(text: str, said_at: datetime, language: str | None = None) -> tuple[TimeWord, ...]:
    """The times that a text names, counted from when it was said: "yesterday" is the day before that."""
    return _time_words(text, Reading(said_at, foretelling=True), language, {})


def phrases(text: str, reading: Reading, language: str | None, known_days: Mapping[str, date]) -> list[Item]:
    """The times that a text names, where they are in it.

    Where its language is not given, the first of these counts in which it names any: the one that its function words
    speak for, English, those that its words for times speak for. A question is short, so all of them can be wrong.
    """
    if language is not None:
        return _phrases(text, reading, language if language in TONGUES else lexer.DEFAULT, known_days)
    told = detect_language(text)
    first = told if told in TONGUES else lexer.DEFAULT
    found = _phrases(text, reading, first, known_days)
    if found:
        return found
    others = dict.fromkeys((lexer.DEFAULT, *lexer.hinted(text)))
    readings = (_phrases(text, reading, other, known_days) for other in others if other != first)
    return next(filter(None, readings), [])


def may_name_a_time(text: str, known_days: Mapping[str, date] = {}) -> bool:
    """Whether a text has a digit, or a word for a time in some language or for a known day: most questions have none.

    It spares them the lexicons of every language.
    """
    if _DIGIT.search(text):
        return True
    pieces = lexer.pieces(text)
    return not pieces.isdisjoint(lexer.marks(_TIMELY)) or bool(known_days and among(listed(known_days), [*pieces]))


def may_name_a_talk(text: str) -> bool:
    """Whether a text has a word for a conversation, so that to read it is to know the conversations there were."""
    return not lexer.pieces(lexer.normal(text)).isdisjoint(lexer.marks(_TALKING))


def _time_words(
    text: str, reading: Reading, language: str | None, known_days: Mapping[str, date]
) -> tuple[TimeWord, ...]:
    text = lexer.normal(text)
    if not may_name_a_time(text, known_days):
        return ()
    found = phrases(text, reading, language, known_days)
    return tuple([_time_word(text[item.begin : item.end], item.phrase, reading.now) for item in found if item.phrase])


def _phrases(text: str, reading: Reading, language: str, known_days: Mapping[str, date]) -> list[Item]:
    reading = reading._replace(caseless=lexer.caseless(text))
    known = listed(known_days)
    found: list[Item] = []
    for sentence in lexer.sentences(lexer.words(text, language), language):
        line = lexer.items(sentence, language, caseless=reading.caseless, known=known)
        if not _TIMELY.isdisjoint([item.role for item in line]):
            found += [item for item in applied(_RULES, line, reading) if item.phrase is not None]
    return found


# From days to instants.


def _time_word(text: str, phrase: Phrase, now: datetime) -> TimeWord:
    if phrase.session is not None:
        return _talk(text, phrase.session)
    start, end = _midnight(phrase.days.first, now.tzinfo), _midnight(phrase.days.after, now.tzinfo)
    reason = f"'{text}' is {'' if phrase.precise else 'about '}{span_name(phrase.days)}"
    reason += f", counted from {day_name(now.date())}" if phrase.relative else ""
    reason += f"; {phrase.note}" if phrase.note else ""
    return TimeWord(text, start, end, phrase.grain, reason, phrase.precise)


def _talk(text: str, span: SessionSpan) -> TimeWord:
    reason = f"'{text}' is the conversation of {day_name(span.start.date())}"
    end = span.end + _INSTANT  # half open, and its last turn is part of it
    return TimeWord(text, span.start.astimezone(UTC), end.astimezone(UTC), Grain.SESSION, reason)


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    """When the day begins there; an open end is the same everywhere, for beyond it there are no dates."""
    if day in (EARLIEST, LATEST):
        return datetime.combine(day, time(), UTC)
    return datetime.combine(day, time(), zone).astimezone(UTC)
