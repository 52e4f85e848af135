"""Time words: "last May", "two sessions ago" and "the week before her birthday", understood as intervals."""

from pymemos.operation.timewords.grammar import Grain, SessionSpan
from pymemos.operation.timewords.reading import TimeWord, mentioned_days, understand
from pymemos.operation.timewords.telling import known_days_of

__all__ = ["Grain", "SessionSpan", "TimeWord", "known_days_of", "mentioned_days", "understand"]
