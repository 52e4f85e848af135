"""What the life cycle is told of a memory, and what is written down of its moves (5.4.3)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pymemos.cube.header import Behaviour, Lifespan, Priority, State


class LifeFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the life cycle needs to know of a current memory, and no more: a sweep reads it of every one."""

    id: str
    namespace: str
    revision: int
    state: State
    uses: int
    last_used: datetime | None
    heat: float  # as of ``last_used``
    created: datetime
    updated: datetime
    lifespan: Lifespan
    priority: Priority
    frozen: bool
    episode: bool  # or the manifest of a view
    bytes: int  # of its document and its tensors

    @property
    def touched(self) -> datetime:
        """When it was last used or changed."""
        return self.updated if self.last_used is None else max(self.last_used, self.updated)

    def heat_at(self, moment: datetime) -> float:
        """Its heat, cooled until ``moment``."""
        return Behaviour(last_used=self.last_used, heat=self.heat).heat_at(moment)


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the journal of states: append-only, so that what stood where at any time stays known."""

    id: str
    at: datetime
    before: State
    after: State
    cause: str
    author: str
