"""What the system asks of storage: stores and their units of work, blobs; and of clocks and ids."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from pymemos.cube.audit import AuditQuery as AuditQuery
from pymemos.cube.audit import AuditRecord as AuditRecord
from pymemos.cube.audit import AuditRow as AuditRow
from pymemos.cube.call import Lease, Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Counts, Derived, Receipt, Verification
from pymemos.cube.life import LifeFacts, StateChange
from pymemos.cube.policy import RuleChange
from pymemos.cube.signature import Signature
from pymemos.errors import ForkedStore, LeaseLost, NestedWrite, StoreClosed
from pymemos.records import Change as Change
from pymemos.records import Column as Column
from pymemos.records import Edge as Edge
from pymemos.records import Entry as Entry
from pymemos.records import Finding as Finding
from pymemos.records import Job as Job
from pymemos.records import JobState as JobState
from pymemos.records import Match as Match
from pymemos.records import Namespace as Namespace
from pymemos.records import Record as Record
from pymemos.records import Replay as Replay
from pymemos.records import Snapshot as Snapshot
from pymemos.records import StoredVector as StoredVector
from pymemos.records import TermWeights as TermWeights
from pymemos.records import TextRow as TextRow
from pymemos.records import Turn as Turn
from pymemos.records import Vector as Vector

T = TypeVar("T")
Clock = Callable[[], datetime]  # an aware time in UTC
NewId = Callable[[datetime], str]  # a UUIDv7 made at that time
NewOverlay = Callable[[datetime], "Overlay"]  # over a store as it was at that time


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
    def keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The keys of those of ``ids`` that the store knows, deleted or not; what is not there is gone for good."""

    @abstractmethod
    def touched(self, namespace: str, *, since: int) -> list[tuple[int, str]]:
        """The key and id of every memory of ``namespace`` that changed after seq ``since``, in the order of keys."""

    @abstractmethod
    def seq_at(self, namespace: str, moment: datetime) -> int:
        """A seq of ``namespace`` behind which lies everything that was learnt or left after ``moment``.

        Where nothing was, it is the namespace's own; it may be lower than need be, where no version was written.
        """

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
        """The current versions of the memories with these keys, in that order; keys that are gone give nothing."""

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
    def lives(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[LifeFacts]:
        """The facts of current memories that have not expired, in order of id, from behind the id ``after``."""

    @abstractmethod
    def lives_of(self, ids: Sequence[str]) -> list[LifeFacts]:
        """The facts of those of ``ids`` that have a current version, expired or not, in the order of ``ids``."""

    @abstractmethod
    def state_changes(self, id: str) -> list[StateChange]:
        """The journal of one memory's states, oldest first."""

    @abstractmethod
    def text(self, id: str) -> TextRow | None:
        """The full-text row of the current version."""

    @abstractmethod
    def followers(self, id: str) -> list[str]:
        """The ids of the current versions whose full-text row says that they come behind ``id``."""

    @abstractmethod
    def last_turn(self, namespace: str, session: str | None) -> Turn | None:
        """The newest current message of a session, by order of writing."""

    @abstractmethod
    def turns_around(self, id: str) -> tuple[Turn | None, Turn | None]:
        """The current messages of its session written last before a memory, deleted or not, and first behind it."""

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
    def audit_tails(self, namespaces: Sequence[str] | None) -> list[AuditRecord]:
        """The last entry of every chain, or of those that are named, by namespace."""

    @abstractmethod
    def audit_page(self, query: AuditQuery, *, after: tuple[str, int] | None = None) -> list[AuditRecord]:
        """The first entries that the query asks for behind ``after``, in order of namespace and number."""

    @abstractmethod
    def audit_rows(
        self, namespaces: Sequence[str] | None, *, after: tuple[str, int] | None = None, limit: int
    ) -> list[AuditRow]:
        """The same of everything that lies in the log, readable or not: what verification looks at."""

    @abstractmethod
    def audit_strays(self) -> int:
        """How many rows lie in the log that no chain can hold, so that ``audit_rows`` does not give them."""

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
    def snapshots(self, namespace: str | None) -> list[Snapshot]:
        """The named moments of a namespace, or of the whole store, in order of their times."""

    @abstractmethod
    def signatures(self, id: str) -> list[Signature]:
        """The signatures of a memory's versions, by version and key."""

    @abstractmethod
    def last_rule_change(self) -> RuleChange | None:
        """The newest line of the log of rules."""

    @abstractmethod
    def rule_changes(self, *, since: int = 0) -> list[RuleChange]:
        """The log of rules behind the entry ``since``, oldest first."""

    @abstractmethod
    def hidden(self, selection: Selection) -> list[int]:
        """The keys of the current memories in a selection's namespaces that were made from something outside its reach.

        A memory is outside where it lives in a namespace that the reach does not open, does not satisfy the condition
        of one that it opens in part, or was itself made from something outside; what is unknown or deleted counts as
        such for whoever does not reach the whole namespace. A look back judges by all sources that a memory ever had.
        """

    @abstractmethod
    def ever(self, selection: Selection) -> list[str]:
        """The ids of memories of which any version, deleted or not, is as a selection (without times) says."""

    @abstractmethod
    def derivatives(self, ids: Sequence[str]) -> list[Derived]:
        """What was ever made from some memories, through all generations, by id; none of ``ids`` itself."""

    @abstractmethod
    def erased(self, ids: Sequence[str]) -> list[str]:
        """Those of ``ids`` whose memories were erased; to every other method they are unknown."""

    @abstractmethod
    def erased_by(self, erasure: str, *, limit: int, after: str | None = None) -> list[str]:
        """The ids of the memories that an erasure took, in order, from behind the id ``after``."""

    @abstractmethod
    def receipt(self, id: str) -> Receipt | None:
        """The receipt of an erasure as it stands."""

    @abstractmethod
    def receipts(self, namespaces: Sequence[str] | None, *, limit: int, before: str | None = None) -> list[Receipt]:
        """The receipts of some or all namespaces, newest first, from before the receipt ``before``."""

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
    def revive(self, entry: Entry) -> None:
        """Write the next version of a deleted memory, which is current again; it closes the last one as above."""

    @abstractmethod
    def adopt(self, records: Sequence[Record], text: TextRow | None) -> None:
        """Write a memory whole, as another store knew it: its versions, oldest first, with the times they carry.

        Their seqs are this unit's. ``text`` belongs to the last version, where that is current. A memory that is here
        already is replaced by the given versions, which must begin with those that are here.
        """

    @abstractmethod
    def put_receipt(self, receipt: Receipt) -> None:
        """Keep the receipt of an erasure, in place of what it was before."""

    @abstractmethod
    def erase(self, ids: Sequence[str], erasure: str) -> tuple[Counts, list[str]]:
        """Take memories out of everybody's reach for good: every version, and whatever hangs on them.

        ``erasure`` is the id of a receipt that is kept; the memories' namespaces must have been advanced. From here on
        the ids are unknown, and may not be written again. What of their bytes is still in files waits for ``scrub``.
        Gives how much was removed, and the memories whose full-text rows carried words of them and now carry none.
        """

    @abstractmethod
    def retext(self, id: str, text: TextRow | None) -> None:
        """Replace the full-text row of a current version; for what searches keep in memory that is a change."""

    @abstractmethod
    def put_vectors(self, id: str, vectors: Sequence[Vector]) -> None:
        """Replace the vectors of a current version."""

    @abstractmethod
    def link(self, edges: Iterable[Edge]) -> None:
        """Add edges from memories that are there, to none that was erased; one that is there already stays."""

    @abstractmethod
    def use(self, ids: Iterable[str], at: datetime) -> None:
        """Count a use of each memory (with repetition) at a time, which heats it; changes no version and no seq."""

    @abstractmethod
    def move(self, changes: Sequence[StateChange]) -> None:
        """Put memories into other states, and write that down in the journal; changes no version.

        ``before`` must be the state that a memory has. Archived and expired memories leave what searches keep in
        memory, and return to it when they leave these states: for them the namespace must have been advanced.
        """

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
        """Put a job into the queue, unless one that waits or runs has its kind and dedup key; says whether it did.

        A parked one with them makes room for it: whoever asks again wants it done, and only one is ever kept.
        """

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
    def put_snapshot(self, snapshot: Snapshot) -> None:
        """Name a moment; StoreError where its namespace has one of that name."""

    @abstractmethod
    def put_signatures(self, id: str, signatures: Iterable[Signature]) -> None:
        """Keep signatures of versions of a memory that is here; one that is there already stays."""

    @abstractmethod
    def put_rule(self, change: RuleChange) -> RuleChange:
        """Append to the log of rules; gives the change with its number."""

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


class OverlaidUnit(WriteUnit):
    """A unit of a store as it was at one moment, with changes that never reach the store (5.4.3, what-if)."""

    @property
    @abstractmethod
    def base(self) -> ReadUnit:
        """The unit of the store, as the store is now."""

    @abstractmethod
    def begins(self, namespace: str) -> int:
        """The seq of a namespace of the store at the moment; the overlay's own go on from there."""

    @abstractmethod
    def follow(self, namespace: str) -> list[str]:
        """See to it that what the store did to a namespace since the moment is not seen.

        Gives the ids of current memories that have been copied for it, in the order of keys; their full-text rows
        must be written anew, for a store keeps them of current versions alone.
        """

    @abstractmethod
    def altered(self) -> list[tuple[MemCube | None, MemCube | None]]:
        """Every memory that was changed here, by id: as the store had it at the moment, and as it is here."""

    @abstractmethod
    def unembedded(self, embedder: str) -> list[MemCube]:
        """The current memories of the overlay's own that have a text and no vectors of an embedder, by id."""


class Overlay(ABC):
    """What is kept between the units of one what-if."""

    @abstractmethod
    def over(self, base: ReadUnit) -> OverlaidUnit:
        """A unit over one of the store; what it changes is seen by later ones once it is kept."""

    @abstractmethod
    def keep(self, unit: OverlaidUnit) -> None:
        """Keep what a unit changed."""


# ── Stores ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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

    def scrub(self, erasure: str, blobs: BlobStore) -> Verification:
        """Remove what is left of an erasure in files, then look for it; may be repeated whenever it was cut off.

        Blobs that nothing names any more are unlinked. Raises StoreBusy while somebody reads what was before.
        """
        self._check_usable()
        return self._scrub(erasure, blobs)

    def remnants(self) -> Verification:
        """Look through every file for anything of any erasure, as far as it can still be told."""
        self._check_usable()
        return self._remnants()

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

    @abstractmethod
    def _scrub(self, erasure: str, blobs: BlobStore) -> Verification: ...

    @abstractmethod
    def _remnants(self) -> Verification: ...


class BlobStore(Protocol):
    """Content-addressed bytes; a blob is written once, never changed, and named by its SHA-256."""

    def put(self, source: bytes | BinaryIO) -> tuple[str, int]:
        """Store the bytes durably; gives their hash and size. Storing the same bytes again changes nothing."""

    def open(self, blob: str) -> memoryview:
        """The bytes of a blob, without copying where that is possible; raises MissingBlob."""

    def open_whole(self, blob: str) -> memoryview:
        """The same, once it is known to be what was stored to the last bit; raises MissingBlob, DamagedBlob.

        Where an adapter can tell that a file did not change since its bytes were looked at, it need not look again.
        """

    def names(self) -> set[str]:
        """The hashes of all blobs that are stored."""

    def copy_to(self, folder: Path) -> None:
        """Copy every blob into a folder of files named by their hashes; one that is there already stays.

        Raises DamagedBlob, when the others are copied, where one is not what was stored.
        """

    def remove(self, blob: str) -> None:
        """Unlink a blob; one that is not there is no error."""

    def remove_partial(self, before: datetime) -> int:
        """Remove what a crash left half written before a time; gives how much there was."""

    def remove_unnamed(self, named: set[str], before: datetime) -> int:
        """Remove blobs that are not among ``named`` and were stored last before a time; gives how many.

        A crash leaves such a blob when it comes between storing it and writing the memory that names it.
        """
