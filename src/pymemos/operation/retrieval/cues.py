"""What a text shows at a glance, without a model: general cues of English that some signals look for."""

from __future__ import annotations

import re
from enum import IntFlag

PREFERENCE_WITHIN = 400  # characters from the beginning: a preference is stated, not mentioned in passing


class Cue(IntFlag):
    """What a text shows."""

    NONE = 0
    QUESTION = 1  # it ends by asking
    TIME = 2  # it says when
    PREFERENCE = 4  # its speaker says what they like, need or avoid


_TIME = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|last|next|since|recently|weekend|week|month|year|day"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|january|february|march|april|june|july|august|september|october|november|december|\d{4})\b",
    re.IGNORECASE,
)
_TASTE = (
    r"prefer(?:s|red|ring|ences?)?|love[sd]?|lik(?:e|es|ed|ing)|enjoy(?:s|ed|ing)?|ador(?:e|ed|ing)|favou?rites?|favou?r"
    r"|hat(?:e|es|ed)|dislik(?:e|es|ed)|loath(?:e|ed)|detest|despise|fan of|into|fond of|keen on|drawn to"
    r"|interested in|passionate|obsessed|bored|annoy\w*|bother\w*|care about|value|believe in|dream of"
)
_AVERSION = (
    r"avoid(?:s|ed|ing)?|(?:can't|cannot|couldn't) (?:stand|bear|tolerate|handle|eat|have)|uncomfortable"
    r"|not (?:a|into|big|really|interested|comfortable)|averse|aversion|afraid|fear|scared|sensitive|refuse|reject"
    r"|opposed|object to|against|don't (?:like|want|eat|drink|enjoy|do|use|trust|believe|care)"
    r"|do not (?:like|want|eat|drink|enjoy|use)|find .{0,40} (?:too|boring|stressful|relaxing|difficult|distracting)"
)
_HABIT = (
    r"never|always|only|allerg(?:ic|y|ies)|intoleran(?:t|ce)|vegans?|vegetarian|committed to|rather|tend to|stick to"
    r"|struggle"
)
_PREFERENCE = re.compile(
    rf"\b(?:i|i'm|i've|i'd|my|we|our)\b[^.!?\n]{{0,60}}?\b(?:{_TASTE}|{_AVERSION}|{_HABIT})\b", re.IGNORECASE
)


def cues_of(text: str) -> Cue:
    """The cues of a text."""
    cues = Cue.QUESTION if text.rstrip().endswith("?") else Cue.NONE
    if _TIME.search(text):
        cues |= Cue.TIME
    if _PREFERENCE.search(text[:PREFERENCE_WITHIN].replace("\u2019", "'")):
        cues |= Cue.PREFERENCE
    return cues
