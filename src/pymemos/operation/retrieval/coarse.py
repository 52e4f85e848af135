"""Coarse vectors: int8 codes with one scale each, a quarter of the memory and of the reading (ADR 0021).

A vector is ``codes × scale`` and a remainder. The greatest length of a remainder is kept, so that it is known how far
a cosine may be off, and what a search has to look up exactly.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymemos.ports import Floats

STEPS = 127  # codes are -127 to 127: symmetric, so that a vector and its opposite have opposite codes


class Coarse(NamedTuple):
    """Some vectors, nearly."""

    codes: NDArray[np.int8]  # (vectors, dimensions)
    scales: Floats  # of each vector
    remainder: float  # none of them leaves out more, in length

    def cosines(self, vector: Floats) -> tuple[Floats, float]:
        """The cosine of each with a ``vector`` of length 1, and how far from the exact one any of them may be.

        x·q − x̂·q̂ = (x − x̂)·q + x̂·(q − q̂), and no product is greater than that of the lengths.
        """
        asked = coarse(vector[None])
        values = _products(asked.codes, self.codes)[0] * (self.scales * asked.scales)
        return values, self.remainder + (1 + self.remainder) * asked.remainder


def coarse(vectors: Floats) -> Coarse:
    """``vectors`` as codes, each scaled by the greatest of its own numbers."""
    scales = np.abs(vectors).max(axis=1) / np.float32(STEPS)
    shares = vectors / np.where(scales, scales, np.float32(1))[:, None]
    codes = np.rint(shares).astype(np.int8)
    remainders = np.linalg.norm(shares - codes, axis=1) * scales
    return Coarse(codes, scales, float(remainders.max(initial=0)))


@cache
def supported() -> bool:
    """Whether codes can be multiplied: by numkong, for numpy has nothing fast for int8 (ADR 0021)."""
    try:
        import numkong  # noqa: F401
    except ImportError:
        return False
    return True


def _products(left: NDArray[np.int8], right: NDArray[np.int8]) -> Floats:
    """The product of every row with every other; the sums are of int32."""
    from numkong import cdist

    found: Any = cdist(left, right, "dot", out_dtype="float32")
    return np.asarray(found)
