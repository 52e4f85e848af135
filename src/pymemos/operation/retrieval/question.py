"""A question as a search gets it, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pymemos.cube.call import Hit, Selection


class Question(NamedTuple):
    """What is looked for, and what the answer may be made of."""

    text: str
    languages: Sequence[str]
    selection: Selection
    limit: int
    now: datetime


class Found(NamedTuple):
    """Hits, best first, and how they were looked for."""

    hits: list[Hit]
    terms: tuple[str, ...]
    reasons: tuple[str, ...] = ()
