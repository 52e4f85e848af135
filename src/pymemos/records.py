"""Records: the values that cross between the system and its stores."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

import msgspec

from pymemos.cube.call import Caller
from pymemos.cube.cube import MemCube
from pymemos.cube.signature import Signature


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace as a unit sees it.

    ``seq`` is raised by every unit that touches it; ``at`` is the time of that unit, later than every one before even
    where a clock stepped back. ``memories`` and ``words`` are the totals over current full-text rows: BM25 statistics
    are per namespace, so that one tenant's words never move another's scores.
    """

    name: str
    seq: int
    at: datetime
    memories: int = 0  # current rows in the full-text index
    words: int = 0  # sum of their lengths
    wiped: int = 0  # the seq of the last erasure; what somebody keeps in memory from before is to be let go


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One stored version of a memory: the cube (with what was observed), and when it was known and true.

    Intervals are half open: ``[seq_from, seq_to)``, ``[known_from, known_to)``, ``[valid_from, valid_to)``. A current
    version has no ``seq_to`` and no ``known_to``. Superseding a version closes its ``valid_to``. ``retired`` is when
    the whole memory was deleted; it has no current version then.
    """

    cube: MemCube
    seq_from: int
    known_from: datetime
    valid_from: datetime
    seq_to: int | None = None
    known_to: datetime | None = None
    valid_to: datetime | None = None
    retired: datetime | None = None
    signatures: tuple[Signature, ...] = ()  # of the versions, with a memory that comes from outside


class TextRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The analysed text of one version: what the full-text index holds.

    ``context_of`` is the id of the turn before, which was not erased; ``context`` are words of it, or none where they
    may not be carried; whoever changes that turn must rewrite this row. ``facets`` are names and dates. Terms hold no
    white space.
    """

    terms: tuple[str, ...]
    context: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    context_of: str | None = None

    @property
    def length(self) -> int:
        """The number of terms in all three columns: the document length of BM25."""
        return len(self.terms) + len(self.context) + len(self.facets)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A current message with its full-text row; None where it has no words."""

    cube: MemCube
    text: TextRow | None = None


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """One embedding of one part of a memory: ``values`` are little-endian float32; ``embedder`` names what made it."""

    part: int
    embedder: str
    values: bytes


class StoredVector(msgspec.Struct, frozen=True, kw_only=True):
    """A vector with the memory it belongs to and the interval of the namespace's seq in which it holds."""

    id: str
    vector: Vector
    seq_from: int
    seq_to: int | None = None


class Edge(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A directed relation between two memories, such as ``derived_from``; the target may be unknown to this store."""

    source: str
    kind: str
    target: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One version to be written with everything that depends on it, in the one transaction."""

    cube: MemCube
    valid_from: datetime
    valid_to: datetime | None = None
    text: TextRow | None = None  # None: not found by words (manifests, tensors)
    document: bytes | None = None  # the cube's canonical bytes, where they are at hand
    vectors: tuple[Vector, ...] = ()
    edges: tuple[Edge, ...] = ()


class TermWeights(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of BM25 over weighted columns; measured defaults live in ``operation.retrieval``."""

    k1: float = 1.2
    b: float = 0.75
    terms: float = 1.0
    context: float = 0.5
    facets: float = 1.0


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A record that shares words with a query, its BM25 score and the words they share, in order."""

    record: Record
    score: float
    words: tuple[str, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a search keeps in memory of a memory that changed: its current version with its vectors, None once gone.

    Gone is also what is archived, expired or frozen: it is in the vault alone, whence a search that asks for it reads.
    ``key`` is the store's own number of the memory, in the order of first writing; it never leaves the process.
    """

    key: int
    seq: int  # of the change
    cube: MemCube | None  # without what was observed of it
    valid_to: datetime | None = None  # or when it expires, where that is sooner
    terms: int = 0  # its own, without context and facets
    length: int = 0  # the terms of its full-text row, of all columns
    vectors: tuple[tuple[int, bytes], ...] = ()  # part and float32 values, of the embedder that was asked for


class Column(IntEnum):
    """The columns of a full-text row."""

    TERMS = 0
    CONTEXT = 1
    FACETS = 2


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A name for a moment that one can return to (5.4.3, Time Machine); of the whole store without a ``namespace``.

    ``at`` is later than everything that was known then, and earlier than everything that was learnt since.
    """

    name: str
    at: datetime
    author: str
    namespace: str | None = None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The stored result of a call with an idempotency key: the digest of the request and the ids of what it made."""

    digest: str
    ids: tuple[str, ...]
    at: datetime


class JobState(StrEnum):
    """Where a job stands; a finished job leaves the queue."""

    READY = "ready"
    RUNNING = "running"
    DEAD = "dead"  # parked after its last attempt, where it can be seen and retried


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of deferred work, leased to one worker at a time; ``arguments`` hold ids and settings, never content."""

    id: str
    kind: str
    namespace: str
    run_at: datetime
    arguments: dict[str, Any] = {}
    priority: int = 0  # higher first
    max_attempts: int = 5
    dedup_key: str | None = None  # at most one job of this kind and key; a parked one makes room for another
    state: JobState = JobState.READY
    attempt: int = 0
    worker: str | None = None
    lease_until: datetime | None = None
    created: datetime | None = None
    begun: datetime | None = None  # for its handler: the time of the turn that does it; never stored
    by: Caller | None = None  # who asked for it: what acts for a person asks at its time whether that one still may
    error: str | None = None  # the last failure: the error's name
    said: str = ""  # and what it said, where these are words of ours: never content


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a check of the store found: what was checked, whether it is well, and what it says."""

    check: str
    ok: bool
    detail: str
