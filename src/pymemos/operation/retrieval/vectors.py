"""The vectors of a space: as they are while they are few, and coarse once they are many."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from pymemos.operation.retrieval.buffer import Buffer
from pymemos.operation.retrieval.coarse import Coarse, coarse, supported

if TYPE_CHECKING:
    from pymemos.ports import Floats

COARSE_ABOVE = 20_000  # passages; below, a search gains less than looking up exactly what it found costs it
BLOCK = 4_096  # vectors that are made coarse at a time, so that there is never a second copy of them all
ALONE = 1 << 18  # numbers that one thread multiplies at a time; of more OpenBLAS gives every core a part


class Vectors:
    """Vectors with room for more; what was handed out stays valid."""

    def __init__(self, dimensions: int, *, coarse_above: int | None) -> None:
        self._exact: Buffer | None = Buffer(np.float32, dimensions)
        self._codes, self._scales = Buffer(np.int8, dimensions), Buffer(np.float32)
        self._remainder = 0.0
        self._coarse_above = coarse_above

    @property
    def view(self) -> Floats | Coarse:
        """All of them."""
        if self._exact is not None:
            return self._exact.view
        return Coarse(self._codes.view, self._scales.view, self._remainder)

    @property
    def size(self) -> int:
        """What they take in memory, in bytes."""
        exact = self._exact.size if self._exact is not None else 0
        return exact + self._codes.size + self._scales.size

    def __len__(self) -> int:
        return len(self._exact.view if self._exact is not None else self._codes.view)

    def forked(self) -> Vectors:
        """Another with the same vectors, which shares them until it gets one of its own."""
        fork = copy(self)
        fork._exact = None if self._exact is None else self._exact.forked()
        fork._codes, fork._scales = self._codes.forked(), self._scales.forked()
        return fork

    def extend(self, vectors: Sequence[bytes]) -> None:
        """Add vectors of float32."""
        if self._exact is not None and self._too_many(len(self) + len(vectors)):
            self._make_coarse(self._exact.view)
        for buffer in (self._codes, self._scales) if self._exact is None else (self._exact,):
            buffer.reserve(len(vectors))
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK]
            rows = np.frombuffer(b"".join(block), np.float32).reshape(len(block), -1)
            if self._exact is None:
                self._add(coarse(rows))
            else:
                self._exact.extend(rows)

    def _too_many(self, count: int) -> bool:
        return self._coarse_above is not None and count > self._coarse_above and supported()

    def _make_coarse(self, exact: Floats) -> None:
        self._codes.reserve(len(exact))
        self._scales.reserve(len(exact))
        for start in range(0, len(exact), BLOCK):
            self._add(coarse(exact[start : start + BLOCK]))
        self._exact = None

    def _add(self, made: Coarse) -> None:
        self._codes.extend(made.codes)
        self._scales.extend(made.scales)
        self._remainder = max(self._remainder, made.remainder)


def products(vectors: Floats, vector: Floats) -> Floats:
    """The product of every row with ``vector``, by this thread alone.

    Threads that wait for each other gain a millisecond on a quiet machine; on a busy one they lose thirty, and take
    the cores from the program around them.
    """
    rows = max(1, ALONE // len(vector))
    if len(vectors) <= rows:
        return vectors @ vector
    found = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), rows):
        np.dot(vectors[start : start + rows], vector, out=found[start : start + rows])
    return found
