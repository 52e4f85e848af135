"""What a text shows at a glance, without a model: general cues of English that some signals look for."""

from __future__ import annotations

import re
from enum import IntFlag
from itertools import pairwise

OPENING = 400  # characters in which a preference is stated; behind them it is mentioned in passing
REACH = 12  # words behind "I" or "my" in which the preference is named


class Cue(IntFlag):
    """What a text shows."""

    NONE = 0
    QUESTION = 1  # it ends by asking
    TIME = 2  # it says when
    PREFERENCE = 4  # its speaker says what they like, need or avoid


_WORD = re.compile(r"[\w']+")
_SENTENCE = re.compile(r"[.!?\n]+")
_YEAR = re.compile(r"\b\d{4}\b")
_TIMES = frozenset(
    "yesterday today tonight tomorrow ago last next since recently weekend week month year day monday tuesday wednesday"
    " thursday friday saturday sunday january february march april june july august september october november"
    " december".split()
)
_FIRST_PERSON = frozenset("i i'm i've i'd my we our".split())
_TASTES = frozenset(
    "prefer prefers preferred preferring preference preferences love loves loved like likes liked liking enjoy "
    "enjoys enjoyed enjoying adore adored adoring favourite favourites favorite favorites favour favor hate hates "
    "hated dislike dislikes disliked loathe loathed detest despise avoid avoids avoided avoiding into passionate "
    "obsessed bored annoys annoyed annoying bothers bothered bothersome value values never always only allergic "
    "allergy allergies intolerant intolerance vegan vegans vegetarian uncomfortable averse aversion afraid fear "
    "scared sensitive refuse reject opposed against rather struggle boring stressful overwhelming distracting".split()
)
_PAIRS = frozenset(
    [("fan", "of"), ("fond", "of"), ("dream", "of"), ("keen", "on"), ("drawn", "to"), ("object", "to")]
    + [("committed", "to"), ("tend", "to"), ("stick", "to"), ("interested", "in"), ("believe", "in"), ("care", "about")]
    + [(no, verb) for no in ("can't", "cannot", "couldn't") for verb in "stand bear tolerate handle eat have".split()]
    + [(no, verb) for no in ("don't", "not") for verb in "like want eat drink enjoy do use trust believe care".split()]
    + [("not", word) for word in "a into big really interested comfortable".split()]
)
_STANCES = _TASTES.union(first for first, _ in _PAIRS)


def cues_of(text: str) -> Cue:
    """The cues of a text."""
    low = text.lower()
    if not low.isascii():
        low = low.replace("\u2019", "'")
    words = set(_WORD.findall(low))
    cues = Cue.QUESTION if low.rstrip().endswith("?") else Cue.NONE
    if not words.isdisjoint(_TIMES) or _YEAR.search(low):
        cues |= Cue.TIME
    if not words.isdisjoint(_FIRST_PERSON) and not words.isdisjoint(_STANCES) and _states_preference(low[:OPENING]):
        cues |= Cue.PREFERENCE
    return cues


def _states_preference(opening: str) -> bool:
    """Whether a sentence has "I" or "my", and soon behind it what is liked, needed or avoided."""
    for sentence in _SENTENCE.split(opening):
        words = _WORD.findall(sentence)
        for place, word in enumerate(words):
            if word in _FIRST_PERSON:
                behind = words[place + 1 : place + 1 + REACH]
                if not _TASTES.isdisjoint(behind) or not _PAIRS.isdisjoint(pairwise(behind)):
                    return True
    return False
