"""Mixing: which notes of a prompt are exact, which come from segments that were encoded apart, and which are read."""

from __future__ import annotations

from collections.abc import Container
from itertools import accumulate

import msgspec

from pymemos.ports import Prompt


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """The first ``exact`` tokens of a prompt are exact, ``stored`` of them from memory; ``rest`` are notes behind that.

    Each of the rest says whether it comes from a segment that was encoded apart; otherwise it is read.
    """

    exact: int
    stored: int
    rest: tuple[tuple[int, bool], ...]


def ends_of(prompt: Prompt) -> tuple[int, ...]:
    """Where the head of a prompt ends, and each of its notes."""
    return tuple(accumulate(map(len, prompt.notes), initial=len(prompt.head)))


def mix(prompt: Prompt, stored: int, apart: Container[int]) -> Mix | None:
    """How to put a prompt together of which so many tokens are stored exactly, and some notes apart; None: not at all.

    What stands before the first note that comes from apart is exact, and the first note of a prompt always is: so it
    was when it was measured how near blending comes (ADR 0036).
    """
    ends = ends_of(prompt)
    loose = {number for number in range(1, len(prompt.notes)) if number in apart and ends[number + 1] > stored}
    if not loose:
        return None
    first = min(loose)
    exact = ends[first]
    rest = tuple((number, number in loose) for number in range(first, len(prompt.notes)))
    return Mix(exact=exact, stored=min(stored, exact), rest=rest)
