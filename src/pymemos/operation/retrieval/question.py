"""A question as a search gets it, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pymemos.cube.call import Hit, Selection

if TYPE_CHECKING:
    from pymemos.ports import Floats

# The vectors of a question's wordings, for all looks with it; None where the embedder failed.
Vectors = dict[str, "Floats | None"]


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
