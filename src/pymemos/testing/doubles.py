"""Doubles: a clock that stands still and ids that count, so that a test decides what happens when."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Final

from pymemos.cube.filters import aware, microseconds
from pymemos.cube.ids import format_id

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
