"""An array with room to grow; what was handed out stays valid, for rows are only added behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Buffer:
    """Rows of one type; ``view`` are those that are there."""

    def __init__(self, dtype: Any, width: int | None = None) -> None:
        self._shape = () if width is None else (width,)
        self._data = np.empty((0, *self._shape), dtype)
        self.view: NDArray[Any] = self._data

    @property
    def size(self) -> int:
        """The bytes that it holds, with the room."""
        return self._data.nbytes

    def forked(self) -> Buffer:
        """Another with the same rows, which shares them until it grows; neither may change one in place."""
        fork = Buffer(self._data.dtype)
        fork._shape, fork._data, fork.view = self._shape, self.view, self.view
        return fork

    def reserve(self, rows: int) -> None:
        """Make room for so many more rows, in one step."""
        end = len(self.view) + rows
        if end > len(self._data):
            room = end if not len(self._data) else max(end, len(self._data) * 3 // 2)
            grown = np.empty((room, *self._shape), self._data.dtype)
            grown[: len(self.view)] = self.view
            self._data = grown
            self.view = grown[: len(self.view)]

    def extend(self, values: Sequence[Any] | NDArray[Any]) -> None:
        """Add rows."""
        self.reserve(len(values))
        end = len(self.view) + len(values)
        self._data[len(self.view) : end] = values
        self.view = self._data[:end]
