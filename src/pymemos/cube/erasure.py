"""What is told of an erasure: its receipt, which names what went and never what it said (ADR 0029)."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from pymemos.cube.ids import is_id

NAMED = 10_000  # memories that a receipt names; of more it says how many


class Phase(StrEnum):
    """How far an erasure is."""

    PLANNED = "planned"  # nothing was done: it was asked what would be
    PENDING = "pending"  # out of everybody's reach; bytes wait to be scrubbed
    SIGNED = "signed"  # scrubbed, searched for, not found


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much of each kind was removed."""

    memories: int = 0
    versions: int = 0
    texts: int = 0  # rows of the full-text indexes
    contexts: int = 0  # rows of other memories that carried words of them
    vectors: int = 0
    edges: int = 0
    states: int = 0  # entries of the journal
    replays: int = 0  # remembered results of calls
    jobs: int = 0
    blobs: int = 0


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that went along because it was made from one that was to go."""

    id: str
    namespace: str


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that left the system before: a copy that no erasure here can reach."""

    at: datetime
    operation: str
    by: str
    memories: int = 0  # of those that were erased; 0 where it is not known which left


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """How it was made sure that nothing is left.

    ``bytes``: every byte of every file was searched for what was erased. ``structure``: what to search for was lost in
    a crash, so tables and indexes were looked through, and the files for the ends of documents that their ids tell;
    ``ids`` is that search alone. ``memory``: there are no files.
    """

    method: str
    needles: int = 0  # pieces of what was erased that were searched for
    files: int = 0
    bytes: int = 0
    remnants: int = 0  # what was found all the same: then the receipt is not signed


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was erased, by whom and when; never what it said. Signed with the instance key once it is verified.

    ``asked`` says what was named: an id, or a scope; of a filter only that there was one, for it may quote what goes.
    """

    id: str
    at: datetime
    namespace: str
    by: str
    asked: dict[str, str]
    phase: Phase
    removed: Counts = Counts()
    memories: tuple[str, ...] = ()  # what was named, as ids; empty where they are more than 10,000
    derived: tuple[Derived, ...] = ()  # what was made from it, of any owner; likewise
    left: tuple[Departure, ...] = ()  # known once it is signed
    verification: Verification | None = None
    completed: datetime | None = None
    reason: str = ""  # why it still waits, where an attempt failed
    key_id: str = ""
    mac: str = ""
    pymemos: int = 1

    @property
    def signed(self) -> bool:
        """Whether everything is gone, and was verified to be."""
        return self.phase is Phase.SIGNED


def made_at(id: str) -> datetime | None:
    """When a memory with this id was made; None where the id does not tell."""
    return datetime.fromtimestamp(int(id[:8] + id[9:13], 16) / 1000, UTC) if is_id(id) else None
