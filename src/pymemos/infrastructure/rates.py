"""Rates: how many calls a limit let through of late (5.4.2: dispatch obeys rate limits)."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta

from pymemos.cube.policy import Rate

Counted = tuple[str, str, str]  # the namespace that set the limit, its name, the caller
KEPT = 10_000  # callers that are counted at a time; beyond it those who called longest ago are forgotten


class Meter:
    """Counts the calls of each caller under each limit, in this process; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[Counted, deque[datetime]] = {}

    def left(self, who: Counted, rate: Rate, now: datetime) -> int:
        """How many calls more there is room for at ``now``; none is counted."""
        with self._lock:
            since = now - timedelta(seconds=rate.per_s)
            return max(rate.calls - sum(call > since for call in self._calls.get(who, ())), 0)

    def wait(self, who: Counted, rate: Rate, now: datetime) -> float:
        """Count a call at ``now`` and give 0.0; or, where there were too many, the seconds until there is room."""
        with self._lock:
            calls = self._calls.pop(who, None) or deque[datetime]()
            self._calls[who] = calls  # at the end: it called last
            span = timedelta(seconds=rate.per_s)
            while calls and calls[0] <= now - span:
                calls.popleft()
            if len(calls) >= rate.calls:
                return (calls[0] + span - now).total_seconds()
            calls.append(now)
            if len(self._calls) > KEPT:
                del self._calls[next(iter(self._calls))]
            return 0.0
