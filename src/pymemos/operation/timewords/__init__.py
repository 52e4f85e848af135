"""Time words: "last May", "two sessions ago" and "the week before her birthday", understood as intervals."""

from pymemos.operation.timewords.grammar import Grain, SessionSpan
from pymemos.operation.timewords.reading import TimeWord, mentioned_days, understand

__all__ = ["Grain", "SessionSpan", "TimeWord", "mentioned_days", "understand"]
