"""What an overlay holds between its units: every memory that differs from the store, and which those are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pymemos.adapters.memory.state import State

FRESH = 1 << 40  # keys of memories that are made here begin there, behind those of every store


class Absent(NamedTuple):
    """A memory of the store that is not there in the overlay, with the seq that took it away."""

    namespace: str
    key: int
    seq: int


@dataclass(slots=True, kw_only=True)
class Held:
    """The state of an overlay; a unit works in a copy, which is kept when the call has succeeded."""

    at: datetime  # the moment that the store is seen at
    state: State = field(default_factory=State)
    begins: dict[str, int] = field(default_factory=dict)  # namespace → the seq of the store at that moment
    followed: dict[str, int] = field(default_factory=dict)  # namespace → the seq up to which changes were looked at
    lifted: dict[str, int] = field(default_factory=dict)  # id → key of the store's memories that the state answers for
    absent: dict[str, Absent] = field(default_factory=dict)

    def copied(self) -> Held:
        """One of its own with the same values."""
        return Held(
            at=self.at,
            state=self.state.copied(),
            begins=dict(self.begins),
            followed=dict(self.followed),
            lifted=dict(self.lifted),
            absent=dict(self.absent),
        )
