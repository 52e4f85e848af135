"""Talks are times that are named by a conversation with the system: "our last conversation", "two sessions ago"."""

from __future__ import annotations

from pymemos.operation.timewords.grammar import Grain, Item, Match, Phrase, Rule, SessionSpan, rule
from pymemos.operation.timewords.spans import Days, one_day

RULES: list[Rule] = []

_SOME_OTHER = ("about", "on", "of", "with", "around", "somebody")  # the last one on that topic, or of other people


@rule(RULES, "our|the? last|previous session", "the? last talked", "last_talked", "the? session before last")
def _last(match: Match) -> Item | None:
    """'Our last conversation', 'when we last talked', 'the session before last'."""
    return _talk(match, -2 if match.one("before") else -1)


@rule(RULES, "our|the? ordinal session|talked", "session number")
def _nth(match: Match) -> Item | None:
    """'Our first conversation', 'the third session', 'session 3'."""
    return _talk(match, match.the("ordinal", "number").number - 1)


@rule(RULES, "number|a session ago|back")
def _ago(match: Match) -> Item | None:
    """'Two sessions ago'."""
    count = match.one("number")
    return _talk(match, -(count.number if count else 1))


@rule(RULES, "this session")
def _this(match: Match) -> Item | None:
    """'Earlier in this conversation'."""
    return _phrase(match, [one for one in match.reading.sessions if one.current], 0)


def _talk(match: Match, place: int) -> Item | None:
    if match.after() in _SOME_OTHER or match.before() in ("whose", "every"):
        return None
    past = [one for one in match.reading.sessions if not one.current and one.start <= match.reading.now]
    return _phrase(match, sorted(past, key=lambda one: one.start), place)


def _phrase(match: Match, spans: list[SessionSpan], place: int) -> Item | None:
    if not -len(spans) <= place < len(spans):
        return None
    span = spans[place]
    days = Days(span.start.date(), one_day(span.end.date()).after)
    return match.made(Phrase(days, Grain.SESSION, relative=True, session=span))
