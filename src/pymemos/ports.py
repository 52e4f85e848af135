"""What the system asks of the outside: stores and their units of work, blobs, clocks and ids."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

import msgspec

from pymemos.cube.call import Caller, Lease, Selection
from pymemos.cube.cube import MemCube
from pymemos.errors import ForkedStore, LeaseLost, NestedWrite, StoreClosed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

T = TypeVar("T")
Clock = Callable[[], datetime]  # an aware time in UTC
NewId = Callable[[datetime], str]  # a UUIDv7 made at that time


# ── Values that cross the port ──────────────────────────────────────────────────────────────────────────────────────


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


class TextRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The analysed text of one version: what the full-text index holds.

    ``context`` are words of the turn before, ``context_of`` the id of that turn; whoever changes that turn must
    rewrite this row. ``facets`` are names and dates. Terms hold no white space.
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
    text: TextRow | None = None  # None: not found by words (episodes, tensors)
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


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the audit log: who did what under which rule; never content, never query text.

    ``n`` counts the entries of one namespace's chain from 1; ``mac`` chains each entry to the one before under the
    instance key that ``key_id`` names.
    """

    n: int
    at: datetime
    namespace: str
    caller: Caller
    operation: str
    allowed: bool
    rule: str
    memories: tuple[str, ...] = ()
    count: int = 0  # of memories touched, also where there are too many to name
    used: bool = False  # the memories were served to the caller
    mac: str = ""
    key_id: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a search keeps in memory of a memory that changed: its current version with its vectors, None once gone.

    ``key`` is the store's own number of the memory, in the order of first writing; it never leaves the process.
    """

    key: int
    seq: int  # of the change
    cube: MemCube | None  # without what was observed of it
    valid_to: datetime | None = None
    terms: int = 0  # its own, without context and facets
    length: int = 0  # the terms of its full-text row, of all columns
    vectors: tuple[tuple[int, bytes], ...] = ()  # part and float32 values, of the embedder that was asked for


class Column(IntEnum):
    """The columns of a full-text row."""

    TERMS = 0
    CONTEXT = 1
    FACETS = 2


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to read from the audit log; None means any."""

    namespaces: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    caller: str | None = None  # the name of the caller's namespace
    operation: str | None = None
    memory: str | None = None
    limit: int = 100


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
    dedup_key: str | None = None  # at most one unfinished job of this kind and key
    state: JobState = JobState.READY
    attempt: int = 0
    worker: str | None = None
    lease_until: datetime | None = None
    created: datetime | None = None
    error: str | None = None  # the last failure: the error's name, never content


# ── Units of work ───────────────────────────────────────────────────────────────────────────────────────────────────


class ReadUnit(ABC):
    """One snapshot of the store; every method sees the same state. Ids that are unknown give None or nothing."""

    @abstractmethod
    def namespace(self, name: str) -> Namespace | None:
        """The namespace, or None when nothing was ever written to it."""

    @abstractmethod
    def namespaces(self) -> list[Namespace]:
        """Every namespace, by name."""

    @abstractmethod
    def owner_of(self, id: str) -> str | None:
        """The namespace of a memory, deleted or not."""

    @abstractmethod
    def current(self, ids: Sequence[str]) -> list[Record]:
        """The current versions of those of ``ids`` that have one, in the order of ``ids``."""

    @abstractmethod
    def versions(self, id: str) -> list[Record]:
        """Every version of a memory, oldest first; also of a deleted one."""

    @abstractmethod
    def page(self, selection: Selection, *, limit: int, after: str | None = None) -> list[Record]:
        """At most ``limit`` selected records in order of id, from behind the id ``after``."""

    @abstractmethod
    def count(self, selection: Selection) -> int:
        """How many records ``page`` would give without a limit."""

    @abstractmethod
    def known_ids(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[str]:
        """The ids of memories, deleted or not, of some or all namespaces, in order, from behind the id ``after``."""

    @abstractmethod
    def match(self, terms: Sequence[str], selection: Selection, *, limit: int, weights: TermWeights) -> list[Match]:
        """The best ``limit`` selected records by BM25 over ``terms``, best first, ties in the order of first writing.

        The frequency of a term is the sum over the columns of weight × occurrences; document frequency, count and
        mean length are those of the record's namespace (its current rows).
        """

    @abstractmethod
    def postings(self, terms: Sequence[str], namespace: str) -> list[list[int]]:
        """For each of ``terms`` where the current memories of a namespace hold it: ``key * 4 + column``, rising.

        A term that occurs twice in a column is there twice.
        """

    @abstractmethod
    def changes(self, namespace: str, *, since: int = 0, embedder: str | None = None) -> list[Change]:
        """Every memory of ``namespace`` that changed after seq ``since``, in the order of keys."""

    @abstractmethod
    def keys(self, selection: Selection) -> list[int]:
        """The keys of the current memories that a selection (which may not look back) admits."""

    @abstractmethod
    def cubes(self, keys: Sequence[int]) -> list[MemCube]:
        """The current versions of the memories with these keys, in that order."""

    @abstractmethod
    def vectors_by_key(self, namespace: str, keys: Sequence[int], embedder: str) -> list[tuple[int, bytes]]:
        """The key and the values of every vector that ``embedder`` made of the current versions of some memories of
        a namespace, by key and part."""

    @abstractmethod
    def vectors_of(self, id: str) -> tuple[Vector, ...]:
        """The vectors of the current version of a memory, by part."""

    @abstractmethod
    def embedders(self) -> dict[str, int]:
        """How many vectors of current versions each embedder made."""

    @abstractmethod
    def text(self, id: str) -> TextRow | None:
        """The full-text row of the current version."""

    @abstractmethod
    def followers(self, id: str) -> list[str]:
        """The ids of the current versions whose full-text row carries words of ``id`` as context."""

    @abstractmethod
    def last_turn(self, namespace: str, session: str | None) -> Turn | None:
        """The newest current message of a session, by order of writing."""

    @abstractmethod
    def by_source(self, namespace: str, session: str | None, source_ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the current memories whose first source id is one of ``source_ids``, in order of writing."""

    @abstractmethod
    def edges(self, id: str, *, kind: str | None = None, reverse: bool = False) -> list[Edge]:
        """The edges that leave ``id`` (or, reversed, reach it), sorted."""

    @abstractmethod
    def vectors(self, namespace: str, *, since: int = 0) -> list[StoredVector]:
        """The vectors that were added or removed in ``namespace`` after seq ``since``, by id and part."""

    @abstractmethod
    def replayed(self, caller: str, key: str) -> Replay | None:
        """The result that was remembered for an idempotency key of a caller."""

    @abstractmethod
    def audit(self, query: AuditQuery) -> list[AuditRecord]:
        """The newest entries that the query asks for, newest first."""

    @abstractmethod
    def audit_tail(self, namespace: str) -> AuditRecord | None:
        """The last entry of a namespace's chain."""

    @abstractmethod
    def job(self, id: str) -> Job | None:
        """An unfinished job."""

    @abstractmethod
    def jobs(self, *, state: JobState | None = None, limit: int = 1000) -> list[Job]:
        """Unfinished jobs in the order in which they would run."""

    @abstractmethod
    def next_due(self, kinds: Sequence[str] | None = None) -> datetime | None:
        """When the next job (of some kinds) becomes due: its run time, or the end of its lease."""

    @abstractmethod
    def blobs(self) -> set[str]:
        """The hashes of all blobs that any version refers to."""

    @abstractmethod
    def setting(self, name: str) -> str | None:
        """A value that the store keeps for the system, such as the version of its text analysis."""


class WriteUnit(ReadUnit):
    """A snapshot that can be changed; every change becomes visible and durable at once, or none does."""

    @abstractmethod
    def advance(self, namespace: str, now: datetime) -> Namespace:
        """Raise the namespace's seq, once per unit; creates it. Gives the seq and time that this unit's rows carry."""

    @abstractmethod
    def insert(self, entry: Entry) -> None:
        """Write the first version of a memory."""

    def insert_all(self, entries: Sequence[Entry]) -> None:
        """Write the first versions of many memories, in order; an adapter may know a faster way than one by one."""
        for entry in entries:
            self.insert(entry)

    @abstractmethod
    def supersede(self, entry: Entry) -> None:
        """Write the next version of a memory; the current one, its text and vectors move to the history.

        The old version's validity is closed where the new one's begins.
        """

    @abstractmethod
    def retire(self, id: str) -> None:
        """Delete a memory recoverably: its current version moves to the history, and nothing is current."""

    @abstractmethod
    def adopt(self, records: Sequence[Record], text: TextRow | None) -> None:
        """Write a memory whole, as another store knew it: its versions, oldest first, with the times they carry.

        Their seqs are this unit's. ``text`` belongs to the last version, where that is current. A memory that is here
        already is replaced by the given versions, which must begin with those that are here.
        """

    @abstractmethod
    def retext(self, id: str, text: TextRow | None) -> None:
        """Replace the full-text row of a current version; for what searches keep in memory that is a change."""

    @abstractmethod
    def put_vectors(self, id: str, vectors: Sequence[Vector]) -> None:
        """Replace the vectors of a current version."""

    @abstractmethod
    def link(self, edges: Iterable[Edge]) -> None:
        """Add edges; one that is there already stays."""

    @abstractmethod
    def use(self, ids: Iterable[str], at: datetime) -> None:
        """Count a use of each memory (with repetition) at a time; changes no version and no seq."""

    @abstractmethod
    def remember(self, caller: str, key: str, replay: Replay) -> None:
        """Keep the result of a call for its idempotency key; an older one is replaced."""

    @abstractmethod
    def forget_replays(self, before: datetime) -> int:
        """Drop remembered results that are older; gives how many."""

    @abstractmethod
    def append_audit(self, record: AuditRecord) -> None:
        """Append to a namespace's chain; ``n`` must be the next number."""

    @abstractmethod
    def enqueue(self, job: Job) -> bool:
        """Put a job into the queue, unless an unfinished one has its kind and dedup key; says whether it did."""

    @abstractmethod
    def claim(self, *, worker: str, now: datetime, lease_until: datetime, kinds: Sequence[str]) -> Job | None:
        """Lease the next due job of those kinds: highest priority, then earliest, then oldest.

        Due is a ready job whose time has come, or a running one whose lease ran out. Raises its attempt.
        """

    @abstractmethod
    def replace_job(self, job: Job) -> None:
        """Write back an unfinished job whole."""

    @abstractmethod
    def remove_job(self, id: str) -> None:
        """Take a job out of the queue."""

    @abstractmethod
    def set_setting(self, name: str, value: str) -> None:
        """Keep a value for the system."""

    def leased(self, lease: Lease) -> Job:
        """The job that ``lease`` holds; raises LeaseLost when another attempt has it, or it is gone."""
        job = self.job(lease.job)
        if job is None or job.state is not JobState.RUNNING:
            raise LeaseLost(f"job {lease.job!r} is no longer running; its result is dropped")
        if (job.worker, job.attempt) != (lease.worker, lease.attempt):
            raise LeaseLost(f"job {lease.job!r} was taken over by {job.worker!r}; its result is dropped")
        return job


# ── Stores ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a check of the store found: what was checked, whether it is well, and what it says."""

    check: str
    ok: bool
    detail: str


class Store(ABC):
    """A transactional store of memories.

    ``read`` gives a snapshot, ``write`` runs a closure in a transaction of its own or shared with other closures; each
    closure takes effect whole or not at all, and ``write`` returns when its effect is durable. A closure does no slow
    work and starts no write of its own. An adapter fills the hooks with a leading underscore.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._closed = False
        self._writing = threading.local()

    @contextmanager
    def read(self) -> Iterator[ReadUnit]:
        """A snapshot of the store, for as long as the context is open; keep it short."""
        self._check_usable()
        with self._read() as unit:
            yield unit

    def write(self, work: Callable[[WriteUnit], T]) -> T:
        """Run ``work`` in a transaction; returns its result when that is durable. What it raises undoes it, alone."""
        self._check_usable()
        if getattr(self._writing, "active", False):
            raise NestedWrite()

        def guarded(unit: WriteUnit) -> T:
            self._writing.active = True
            try:
                return work(unit)
            finally:
                self._writing.active = False

        return self._write(guarded)

    def close(self) -> None:
        """Release everything; closing twice is allowed. Threads that still use the store get StoreClosed."""
        if getattr(self._writing, "active", False):
            raise NestedWrite("the store was closed inside a write, which waits for its end; close it behind the write")
        if not self._closed and self._process == os.getpid():
            self._closed = True
            self._close()

    def check(self) -> list[Finding]:
        """Examine the store: integrity, agreement of its parts, counts."""
        self._check_usable()
        return self._check()

    def backup(self, target: Path) -> None:
        """Copy the store while it is in use, as one moment saw it, to a new file ``target``."""
        self._check_usable()
        self._backup(target)

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreClosed()
        if self._process != os.getpid():
            raise ForkedStore()

    @abstractmethod
    def _read(self) -> AbstractContextManager[ReadUnit]: ...

    @abstractmethod
    def _write(self, work: Callable[[WriteUnit], T]) -> T: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _check(self) -> list[Finding]: ...

    @abstractmethod
    def _backup(self, target: Path) -> None: ...


class Embedder(Protocol):
    """Turns texts into vectors whose dot product says how alike they mean; the same text gives the same vector."""

    @property
    def identity(self) -> str:
        """The weights and how they are run, in one name; vectors of two identities are never compared."""

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """One row of length 1 for each text: float32, (texts, dimensions).

        ``queries`` says that the texts are questions, which some models read in another way. A text beyond the
        model's window is cut; callers split long texts first. Raises EmbedderFailed.
        """


class BlobStore(Protocol):
    """Content-addressed bytes; a blob is written once, never changed, and named by its SHA-256."""

    def put(self, source: bytes | BinaryIO) -> tuple[str, int]:
        """Store the bytes durably; gives their hash and size. Storing the same bytes again changes nothing."""

    def open(self, blob: str) -> memoryview:
        """The bytes of a blob, without copying where that is possible; raises MissingBlob."""

    def names(self) -> set[str]:
        """The hashes of all blobs that are stored."""

    def copy_to(self, folder: Path) -> None:
        """Copy every blob into a folder of files named by their hashes; one that is there already stays."""

    def remove(self, blob: str) -> None:
        """Unlink a blob; one that is not there is no error."""
