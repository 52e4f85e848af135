"""What a text shows at a glance, without a model: general cues of English that some signals look for."""

from __future__ import annotations

import re
from enum import IntFlag


class Cue(IntFlag):
    """What a text shows."""

    NONE = 0
    QUESTION = 1  # it ends by asking
    TIME = 2  # it says when
    PREFERENCE = 4  # its speaker says what they like, need or avoid


_TIME = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|last|next|since|recently|weekend|week|month|year|day"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|january|february|march|april|june|july|august|september|october|november|december|\d{4})s?\b",
    re.IGNORECASE,
)
_PREFERENCE = re.compile(
    r"\b(?:i|i'm|i've|we|my)\b.{0,40}?\b(?:prefer|love|like|enjoy|adore|favou?rite|hate|dislike|loathe|detest|avoid"
    r"|can't stand|cannot stand|never|always|allergic|intolerant|vegan|vegetarian|fan of|into|fond of|interested in"
    r"|uncomfortable|afraid|scared|need|want|trying to|committed to|believe in|rather|not a big|passionate)\b",
    re.IGNORECASE | re.DOTALL,
)


def cues_of(text: str) -> Cue:
    """The cues of a text."""
    cues = Cue.QUESTION if text.rstrip().endswith("?") else Cue.NONE
    if _TIME.search(text):
        cues |= Cue.TIME
    if _PREFERENCE.search(text[:400]):
        cues |= Cue.PREFERENCE
    return cues
