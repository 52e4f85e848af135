"""Sweeping: look at every memory in pages, plan all moves, and make them page by page; the next sweep goes on (5.4.3).

Every page of moves is one transaction, in which each move is looked at again. So a sweep that is cut off has made some
moves whole, and whoever sweeps next makes the others, and none twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from pymemos.cube.call import Caller, MemoryCall, Scope
from pymemos.cube.life import LifeFacts
from pymemos.interface.api import MemoryAPI, Tools
from pymemos.interface.lifecycle_handlers import MOVES, SWEEP, Look, Looked, Settle
from pymemos.interface.training import remove_ended
from pymemos.interface.worker import for_owner
from pymemos.operation.lifecycle import LifecyclePolicy, Move, plan
from pymemos.ports import Job

EVERY = timedelta(days=1)  # between two sweeps of a store: expiry holds at every question, so nothing waits for one


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep did, or would do: every move with its cause and reason, and how many memories it looked at."""

    at: datetime
    dry_run: bool
    examined: int
    moves: tuple[Move, ...]

    @property
    def causes(self) -> dict[str, int]:
        """How many moves each cause had."""
        return dict(sorted(Counter(move.cause.value for move in self.moves).items()))


class _Eye:
    """Looks at memories page by page, and keeps the policies that it met."""

    def __init__(self, api: MemoryAPI, who: tuple[Caller, Scope]) -> None:
        self._api = api
        self._who = who
        self.policies: dict[str, LifecyclePolicy] = {}
        self.examined = 0

    def facts(self) -> Iterator[LifeFacts]:
        after: str | None = None
        while True:
            page: Looked = self._api.dispatch(_call(self._who, Look(after=after)))
            self.policies |= page.policies
            self.examined += len(page.facts)
            yield from page.facts
            after = page.after
            if after is None:
                return


def sweep(api: MemoryAPI, who: tuple[Caller, Scope], now: datetime, *, dry_run: bool = False) -> Swept:
    """Sweep what the caller may: all moves that are due at ``now``, or, dry, what they would be."""
    api.buffer.flush()  # uses that wait to be counted
    examined, planned = _planned(api, who, now)
    done = planned if dry_run else [move for page in _pages(planned) for move in api.dispatch(_call(who, page))]
    return Swept(at=now, dry_run=dry_run, examined=examined, moves=tuple(done))


def sweep_job(api: MemoryAPI, tools: Tools, job: Job) -> MemoryCall:
    """Sweep for the owner of the job, or, where it is the store's own, for everybody; that one queues the next.

    What trainings keep of memories that changed meanwhile goes too.
    """
    remove_ended(tools)
    now, everybody = job.begun or tools.clock(), job.dedup_key == SWEEP
    who = (Caller(system=True), Scope(namespace=None)) if everybody else for_owner(job)
    *pages, last = _pages(_planned(api, who, now)[1]) or [Settle(moves=())]
    for page in pages:
        api.dispatch(_call(who, page))
    return _call(who, msgspec.structs.replace(last, next_at=now + EVERY if everybody else None))


def _planned(api: MemoryAPI, who: tuple[Caller, Scope], now: datetime) -> tuple[int, list[Move]]:
    """How many memories there are, and their moves."""
    eye = _Eye(api, who)
    moves = list(plan(eye.facts(), lambda name: eye.policies[name], now))
    return eye.examined, moves


def _pages(moves: list[Move]) -> list[Settle]:
    return [Settle(moves=tuple(moves[first : first + MOVES])) for first in range(0, len(moves), MOVES)]


def _call(who: tuple[Caller, Scope], request: Look | Settle) -> MemoryCall:
    caller, scope = who
    return MemoryCall(caller=caller, scope=scope, request=request)
