"""State: everything that a memory store holds at one moment, as dicts of frozen values."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields
from datetime import datetime

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Receipt
from pymemos.cube.header import COLD, Behaviour
from pymemos.cube.header import State as LifeState
from pymemos.cube.life import StateChange
from pymemos.cube.policy import RuleChange
from pymemos.cube.signature import Signature
from pymemos.ports import AuditRecord, Edge, Job, Record, Replay, Snapshot, StoredVector, TextRow


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One version as it was written, and what later units closed.

    ``declared_to`` is the end of validity that the entry itself gave, ``closed_to`` the one that superseding left: a
    question about a time before that still sees the declared end.
    """

    cube: MemCube
    seq_from: int
    known_from: datetime
    valid_from: datetime
    declared_to: datetime | None
    text: TextRow | None
    seq_to: int | None = None
    known_to: datetime | None = None
    superseded: bool = False
    closed_to: datetime | None = None

    @property
    def current(self) -> bool:
        """Whether this is the current version of a memory that is not deleted."""
        return self.known_to is None

    def superseded_by(self, known_at: datetime | None) -> bool:
        """Whether a later version had closed this one's validity by ``known_at`` (None: by now)."""
        return self.superseded and (known_at is None or self.known_to is None or self.known_to <= known_at)

    def record(self, behaviour: Behaviour, retired: datetime | None) -> Record:
        """This version as it crosses the port."""
        return Record(
            cube=self.cube.observed(behaviour),
            seq_from=self.seq_from,
            known_from=self.known_from,
            valid_from=self.valid_from,
            seq_to=self.seq_to,
            known_to=self.known_to,
            valid_to=self.closed_to if self.superseded else self.declared_to,
            retired=retired,
        )


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """One memory: its versions, oldest first, and what belongs to all of them.

    ``number`` is its place in the order of writing, given with its first version: an edit makes no memory newer.
    """

    namespace: str
    number: int
    rows: tuple[Row, ...]
    vectors: tuple[StoredVector, ...]  # past ones too, oldest first
    behaviour: Behaviour
    changed: int  # the seq of the last change of its current version, text or vectors, or of its place
    retired: datetime | None = None
    journal: tuple[StateChange, ...] = ()

    @property
    def current(self) -> Row | None:
        """The current version, if there is one."""
        return self.rows[-1] if self.rows[-1].current else None

    @property
    def at_hand(self) -> Row | None:
        """The current version, unless it is in the vault alone."""
        row = self.current
        cold = row is None or row.cube.header.governance.frozen or self.behaviour.state in COLD
        return None if cold else row

    def state_at(self, moment: datetime | None) -> LifeState:
        """The state that it had at ``moment``, as the journal tells (None: now)."""
        if moment is None or not self.journal:
            return self.behaviour.state
        past = [change.after for change in self.journal if change.at <= moment]
        return past[-1] if past else self.journal[0].before

    def record(self, row: Row) -> Record:
        """One of the versions as it crosses the port."""
        return row.record(self.behaviour, self.retired)


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of an erased memory."""

    namespace: str
    number: int
    changed: int
    erasure: str


@dataclass(slots=True, kw_only=True)
class State:
    """The whole store. A unit that writes does so in a copy, so that whoever holds a state holds a snapshot."""

    namespaces: dict[str, tuple[int, datetime]] = field(default_factory=dict)  # seq and at
    memories: dict[str, Memory] = field(default_factory=dict)  # in order of writing
    edges: set[Edge] = field(default_factory=set)
    replays: dict[tuple[str, str], Replay] = field(default_factory=dict)
    audit: dict[str, tuple[AuditRecord, ...]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)  # in order of enqueueing
    settings: dict[str, str] = field(default_factory=dict)
    snapshots: dict[tuple[str | None, str], Snapshot] = field(default_factory=dict)
    rules: list[RuleChange] = field(default_factory=list)
    erased: dict[str, Gone] = field(default_factory=dict)
    wiped: dict[str, int] = field(default_factory=dict)  # namespace -> the seq of its last erasure
    receipts: dict[str, Receipt] = field(default_factory=dict)  # in order of erasing
    doomed: dict[str, tuple[str, ...]] = field(default_factory=dict)  # erasure -> blobs that may have to go
    signatures: dict[str, tuple[Signature, ...]] = field(default_factory=dict)  # by memory

    def copied(self) -> State:
        """A state of its own with the same values; the values are frozen, so one level is enough."""
        return State(**{part.name: copy(getattr(self, part.name)) for part in fields(self)})

    def current_texts(self, namespace: str) -> list[TextRow]:
        """The full-text rows of the namespace's current versions."""
        rows = (memory.current for memory in self.memories.values() if memory.namespace == namespace)
        return [row.text for row in rows if row is not None and row.text is not None]
