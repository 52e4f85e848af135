"""Time words: "last May", "two sessions ago" and "the week before her birthday", understood as intervals."""

from pymemos.operation.timewords.grammar import Grain, SessionSpan
from pymemos.operation.timewords.reading import TimeWord, may_name_a_talk, mentioned_days, understand
from pymemos.operation.timewords.telling import known_days_of, may_tell_a_day

__all__ = [
    "Grain",
    "SessionSpan",
    "TimeWord",
    "known_days_of",
    "may_name_a_talk",
    "may_tell_a_day",
    "mentioned_days",
    "understand",
]
