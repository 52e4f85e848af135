"""Doubles: a clock that stands still, ids that count, embedders without a model: a test decides what happens when."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pymemos.cube.filters import aware, microseconds
from pymemos.cube.ids import format_id
from pymemos.errors import EmbedderFailed

if TYPE_CHECKING:
    from pymemos.ports import Floats

WHEN: Final = datetime(2025, 5, 8, 13, 56, tzinfo=UTC)  # any moment; tests count from it


class FrozenClock:
    """A clock that moves only when it is told to: ``clock.advance(timedelta(days=3))`` or ``clock.now = moment``."""

    def __init__(self, now: datetime = WHEN) -> None:
        self._now = aware(now, "now")

    def __call__(self) -> datetime:
        return self._now

    @property
    def now(self) -> datetime:
        """What the clock shows; it may be set forwards and backwards."""
        return self._now

    @now.setter
    def now(self, moment: datetime) -> None:
        self._now = aware(moment, "now")

    def advance(self, step: timedelta) -> datetime:
        """Move by ``step``, which may be negative; gives the new time."""
        self._now += step
        return self._now


class HashingEmbedder:
    """Vectors from words alone, for tests: texts that share words are alike, and the same text always is."""

    def __init__(self, dimensions: int = 64, *, name: str = "hashing") -> None:
        self.dimensions = dimensions
        self.identity = f"{name}-{dimensions}"
        self.asked: list[str] = []  # every text that was embedded, in order

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """A row for each text: its words, hashed to signed places."""
        import numpy as np

        rows = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(rows, texts, strict=True):
            self.asked.append(text)
            for word in re.findall(r"\w+", text.casefold()) or [text]:
                digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                row[int.from_bytes(digest[:4]) % self.dimensions] += 1 if digest[4] & 1 else -1
            if not row.any():
                row[0] = 1
            row /= np.linalg.norm(row)
        return rows


class FailingEmbedder(HashingEmbedder):
    """An embedder that fails as long as ``down`` is set."""

    def __init__(self, dimensions: int = 64) -> None:
        super().__init__(dimensions, name="failing")
        self.down = True

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """As any other, or EmbedderFailed."""
        if self.down:
            raise EmbedderFailed("the embedder is down, as a test asked for")
        return super().embed(texts, queries=queries)


class SequentialIds:
    """UUIDv7 that count from 1 where real ones are random: the same calls give the same ids, each behind the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._count = 0

    def __call__(self, at: datetime) -> str:
        with self._lock:
            self._count += 1
            self._milliseconds = max(self._milliseconds, microseconds(at) // 1000)  # order holds if the clock does not
            return format_id(self._milliseconds, self._count)
