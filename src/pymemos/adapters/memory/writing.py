"""MemoryWriteUnit: a private copy of a state, changed by one closure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from datetime import datetime, timedelta

from msgspec.structs import replace

from pymemos.adapters.memory.reading import MemoryReadUnit, due_from
from pymemos.adapters.memory.state import Gone, Memory, Row, State
from pymemos.cube.erasure import Counts, Receipt
from pymemos.cube.header import COLD
from pymemos.cube.life import StateChange
from pymemos.cube.payload import Activation, Parametric
from pymemos.cube.policy import RuleChange
from pymemos.cube.signature import Signature
from pymemos.errors import StoreError, UnknownJob, UnknownMemory
from pymemos.ports import (
    AuditRecord,
    Edge,
    Entry,
    Job,
    JobState,
    Namespace,
    Record,
    Replay,
    Snapshot,
    StoredVector,
    TextRow,
    Vector,
    WriteUnit,
)

_TICK = timedelta(microseconds=1)  # the resolution of the times that a store keeps


class MemoryWriteUnit(MemoryReadUnit, WriteUnit):
    """A state that nobody else sees until the store publishes it."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._advanced: dict[str, tuple[int, datetime]] = {}  # the seq and time of this unit, by namespace

    # ── Versions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def advance(self, namespace: str, now: datetime) -> Namespace:
        """Calling again in the same unit gives the same seq and time, whatever ``now``, with the totals of by then."""
        if namespace not in self._advanced:
            seq, last = self._state.namespaces.get(namespace, (0, None))
            stamp = seq + 1, now if last is None else max(now, last + _TICK)
            self._advanced[namespace] = self._state.namespaces[namespace] = stamp
        return self._namespace(namespace)

    def insert(self, entry: Entry) -> None:
        """An id that was ever used, also by a deleted memory, is refused."""
        cube = entry.cube
        seq, at = self._stamp(cube.namespace)
        if cube.id in self._state.memories or cube.id in self._state.erased:
            raise StoreError(f"memory {cube.id!r} exists already, or was erased")
        self._state.memories[cube.id] = Memory(
            namespace=cube.namespace,
            number=self._next_number(),
            rows=(_row(entry, seq, at),),
            vectors=_stored(cube.id, entry.vectors, seq),
            behaviour=cube.header.behaviour,
            changed=seq,
        )
        self.link(entry.edges)

    def supersede(self, entry: Entry) -> None:
        """What was observed of the memory stays as the store has it: the entry's copy may be older."""
        cube = entry.cube
        memory, current = self._current(cube.id)
        if cube.namespace != memory.namespace:
            raise StoreError(f"memory {cube.id!r} lives in {memory.namespace!r} and cannot move to {cube.namespace!r}")
        seq, at = self._stamp(memory.namespace)
        old = replace(
            current, seq_to=seq, known_to=at, superseded=True, closed_to=_closed_to(current, entry.valid_from)
        )
        vectors = _closed(memory.vectors, seq) + _stored(cube.id, entry.vectors, seq)
        rows = (*memory.rows[:-1], old, _row(entry, seq, at))
        self._state.memories[cube.id] = replace(memory, rows=rows, vectors=vectors, changed=seq)
        self.link(entry.edges)

    def retire(self, id: str) -> None:
        """Validity stays as declared: deleting says nothing of when it was true. Edges stay too."""
        memory, current = self._current(id)
        seq, at = self._stamp(memory.namespace)
        rows = (*memory.rows[:-1], replace(current, seq_to=seq, known_to=at))
        vectors = _closed(memory.vectors, seq)
        self._state.memories[id] = replace(memory, rows=rows, vectors=vectors, retired=at, changed=seq)

    def revive(self, entry: Entry) -> None:
        cube = entry.cube
        memory = self._state.memories.get(cube.id)
        if memory is None or memory.retired is None:
            raise UnknownMemory(f"memory {cube.id!r} is not in the store, or was not deleted")
        if cube.namespace != memory.namespace:
            raise StoreError(f"memory {cube.id!r} lives in {memory.namespace!r} and cannot move to {cube.namespace!r}")
        seq, at = self._stamp(memory.namespace)
        old = memory.rows[-1]
        old = replace(old, superseded=True, closed_to=_closed_to(old, entry.valid_from))
        self._state.memories[cube.id] = replace(
            memory,
            rows=(*memory.rows[:-1], old, _row(entry, seq, at)),
            vectors=memory.vectors + _stored(cube.id, entry.vectors, seq),
            changed=seq,
            retired=None,
        )
        self.link(entry.edges)

    def adopt(self, records: Sequence[Record], text: TextRow | None) -> None:
        """Versions that were here keep their full-text rows; the vectors of the memory all move to the history.

        What was observed is taken from the last record. The declared end of a superseded version is its cube's.
        """
        if not records or len({record.cube.id for record in records}) != 1:
            raise StoreError("adopt takes the versions of one memory, at least one")
        last = records[-1]
        id, namespace = last.cube.id, last.cube.namespace
        seq, _ = self._stamp(namespace)
        if id in self._state.erased:
            raise StoreError(f"memory {id!r} was erased, and does not come back")
        held = self._state.memories.get(id)
        here = held.rows if held is not None else ()
        if [row.cube.version for row in here] != [record.cube.version for record in records[: len(here)]]:
            raise StoreError(f"memory {id!r} is here with other versions; nothing was changed")
        texts: list[TextRow | None] = [row.text for row in here] + [None] * (len(records) - len(here))
        if last.known_to is None:
            texts[-1] = text
        self._state.memories[id] = Memory(
            namespace=namespace,
            number=held.number if held is not None else self._next_number(),
            rows=tuple(
                _adopted(record, seq, words, is_last=record is last)
                for record, words in zip(records, texts, strict=True)
            ),
            vectors=_closed(held.vectors, seq) if held is not None else (),
            behaviour=last.cube.header.behaviour,
            changed=seq,
            retired=last.retired,
            journal=held.journal if held is not None else (),
        )

    def retext(self, id: str, text: TextRow | None) -> None:
        memory, current = self._current(id)
        seq, _ = self._stamp(memory.namespace)
        rows = (*memory.rows[:-1], replace(current, text=text))
        self._state.memories[id] = replace(memory, rows=rows, changed=seq)

    def put_vectors(self, id: str, vectors: Sequence[Vector]) -> None:
        memory, _ = self._current(id)
        seq, _ = self._stamp(memory.namespace)
        replaced = _closed(memory.vectors, seq) + _stored(id, vectors, seq)
        self._state.memories[id] = replace(memory, vectors=replaced, changed=seq)

    def link(self, edges: Iterable[Edge]) -> None:
        self._state.edges.update(edges)

    def use(self, ids: Iterable[str], at: datetime) -> None:
        """An unknown id is passed over: the count of a read may arrive after the memory is gone."""
        for id in ids:
            memory = self._state.memories.get(id)
            if memory is not None:
                self._state.memories[id] = replace(memory, behaviour=memory.behaviour.used(at))

    def move(self, changes: Sequence[StateChange]) -> None:
        for change in changes:
            memory, _ = self._current(change.id)
            if memory.behaviour.state is not change.before:
                raise StoreError(f"memory {change.id!r} is {memory.behaviour.state}, not {change.before}")
            moved = replace(
                memory,
                behaviour=replace(memory.behaviour, state=change.after),
                journal=(*memory.journal, change),
            )
            if (change.before in COLD) != (change.after in COLD):
                moved = replace(moved, changed=self._stamp(memory.namespace)[0])
            self._state.memories[change.id] = moved

    def _next_number(self) -> int:
        """What is erased keeps its number."""
        return len(self._state.memories) + len(self._state.erased) + 1

    # ── Erasure ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def put_receipt(self, receipt: Receipt) -> None:
        self._state.receipts[receipt.id] = receipt

    def erase(self, ids: Sequence[str], erasure: str) -> tuple[Counts, list[str]]:
        if erasure not in self._state.receipts:
            raise StoreError(f"erasure {erasure!r} has no receipt; put_receipt comes before erase")
        if not set(ids) <= self._state.memories.keys():
            raise UnknownMemory("one of the memories is not in the store")
        going = {id: self._state.memories[id] for id in ids}
        for memory in going.values():
            self._stamp(memory.namespace)
        blobs = {payload.blob for one in going.values() for row in one.rows if (payload := _tensor(row)) is not None}
        self._state.doomed[erasure] = tuple(sorted(blobs))
        for id, memory in going.items():
            seq = self._state.wiped[memory.namespace] = self._stamp(memory.namespace)[0]
            gone = Gone(namespace=memory.namespace, number=memory.number, changed=seq, erasure=erasure)
            self._state.erased[id] = gone
            del self._state.memories[id]
            self._state.signatures.pop(id, None)
        counts = Counts(
            memories=len(going),
            versions=sum(len(one.rows) for one in going.values()),
            texts=sum(row.text is not None for one in going.values() for row in one.rows),
            vectors=sum(len(one.vectors) for one in going.values()),
            edges=self._unlink(going.keys()),
            states=sum(len(one.journal) for one in going.values()),
            replays=self._forget_results(going.keys()),
            blobs=len(blobs),
        )
        contexts, followers = self._take_words_back(going.keys())
        return replace(counts, contexts=contexts), followers

    def _unlink(self, gone: Set[str]) -> int:
        edges = {edge for edge in self._state.edges if edge.source in gone or edge.target in gone}
        self._state.edges -= edges
        return len(edges)

    def _forget_results(self, gone: Set[str]) -> int:
        naming = [place for place, replay in self._state.replays.items() if not gone.isdisjoint(replay.ids)]
        for place in naming:
            del self._state.replays[place]
        return len(naming)

    def _take_words_back(self, gone: Set[str]) -> tuple[int, list[str]]:
        """How many rows of other memories carried words, and which current ones named what goes as their context."""
        carried, followers = 0, []
        for id, memory in self._state.memories.items():
            lent = [row for row in memory.rows if row.text is not None and row.text.context_of in gone]
            if not lent:
                continue
            carried += sum(bool(row.text.context) for row in lent if row.text is not None)
            rows = tuple(_blank(row) if row in lent else row for row in memory.rows)
            changed = memory.changed
            if memory.current in lent:
                followers.append(id)
                changed = self._stamp(memory.namespace)[0]
            self._state.memories[id] = replace(memory, rows=rows, changed=changed)
        return carried, sorted(followers)

    def _stamp(self, namespace: str) -> tuple[int, datetime]:
        if namespace not in self._advanced:
            raise StoreError(f"the unit writes to {namespace!r} without having advanced it")
        return self._advanced[namespace]

    def _current(self, id: str) -> tuple[Memory, Row]:
        memory = self._state.memories.get(id)
        if memory is None or memory.current is None:
            raise UnknownMemory(f"memory {id!r} is not in the store, or was deleted")
        return memory, memory.current

    # ── Beside the memories ─────────────────────────────────────────────────────────────────────────────────────────

    def remember(self, caller: str, key: str, replay: Replay) -> None:
        self._state.replays[caller, key] = replay

    def forget_replays(self, before: datetime) -> int:
        old = [key for key, replay in self._state.replays.items() if replay.at < before]
        for key in old:
            del self._state.replays[key]
        return len(old)

    def append_audit(self, record: AuditRecord) -> None:
        tail = self.audit_tail(record.namespace)
        wanted = tail.n + 1 if tail is not None else 1
        if record.n != wanted:
            raise StoreError(f"audit entry {record.n} of {record.namespace!r} is out of order; {wanted} comes next")
        self._state.audit[record.namespace] = (*self._state.audit.get(record.namespace, ()), record)

    def enqueue(self, job: Job) -> bool:
        of_key = (job.kind, job.dedup_key)
        alike = [
            one
            for one in self._state.jobs.values()
            if one.dedup_key is not None and (one.kind, one.dedup_key) == of_key
        ]
        if any(one.state is not JobState.DEAD for one in alike):
            return False
        parked = {one.id for one in alike}
        if job.id in self._state.jobs.keys() - parked:
            raise StoreError(f"job {job.id!r} is in the queue already")
        for id in parked:
            del self._state.jobs[id]
        self._state.jobs[job.id] = job
        return True

    def claim(self, *, worker: str, now: datetime, lease_until: datetime, kinds: Sequence[str]) -> Job | None:
        """A lease runs out at the very instant it names; a job taken over keeps its place in the order."""
        for job in self.jobs(limit=len(self._state.jobs)):
            due = due_from(job)
            if job.kind in kinds and due is not None and due <= now:
                leased = replace(
                    job, state=JobState.RUNNING, attempt=job.attempt + 1, worker=worker, lease_until=lease_until
                )
                self._state.jobs[job.id] = leased
                return leased
        return None

    def replace_job(self, job: Job) -> None:
        if job.id not in self._state.jobs:
            raise UnknownJob(f"job {job.id!r} is not in the queue")
        self._state.jobs[job.id] = job

    def remove_job(self, id: str) -> None:
        """One that is gone already is no error."""
        self._state.jobs.pop(id, None)

    def put_snapshot(self, snapshot: Snapshot) -> None:
        place = (snapshot.namespace, snapshot.name)
        if place in self._state.snapshots:
            raise StoreError(f"there is a snapshot {snapshot.name!r} already")
        self._state.snapshots[place] = snapshot

    def put_signatures(self, id: str, signatures: Iterable[Signature]) -> None:
        if id not in self._state.memories:
            raise UnknownMemory(f"memory {id!r} is not in the store")
        held = {(one.version, one.key): one for one in self._state.signatures.get(id, ())}
        fresh = {(one.version, one.key): one for one in signatures}
        self._state.signatures[id] = tuple({**fresh, **held}.values())

    def put_rule(self, change: RuleChange) -> RuleChange:
        self._state.rules.append(replace(change, entry=len(self._state.rules) + 1))
        return self._state.rules[-1]

    def set_setting(self, name: str, value: str) -> None:
        self._state.settings[name] = value


def _tensor(row: Row) -> Activation | Parametric | None:
    payload = row.cube.payload
    return payload if isinstance(payload, Activation | Parametric) else None


def _blank(row: Row) -> Row:
    return row if row.text is None else replace(row, text=replace(row.text, context=(), context_of=None))


def _row(entry: Entry, seq: int, at: datetime) -> Row:
    return Row(
        cube=entry.cube,
        seq_from=seq,
        known_from=at,
        valid_from=entry.valid_from,
        declared_to=entry.valid_to,
        text=entry.text,
    )


def _closed_to(row: Row, successor_from: datetime) -> datetime:
    """Where a superseded version's validity ends: where the next begins, or before; never before its own beginning."""
    if row.declared_to is not None and row.declared_to <= successor_from:
        return row.declared_to
    return max(successor_from, row.valid_from)


def _adopted(record: Record, seq: int, text: TextRow | None, *, is_last: bool) -> Row:
    return Row(
        cube=record.cube,
        seq_from=seq,
        known_from=record.known_from,
        valid_from=record.valid_from,
        declared_to=record.valid_to if is_last else record.cube.header.descriptive.valid_to,
        text=text,
        seq_to=None if record.known_to is None else seq,
        known_to=record.known_to,
        superseded=not is_last,
        closed_to=None if is_last else record.valid_to,
    )


def _stored(id: str, vectors: Sequence[Vector], seq: int) -> tuple[StoredVector, ...]:
    return tuple(StoredVector(id=id, vector=vector, seq_from=seq) for vector in vectors)


def _closed(vectors: Sequence[StoredVector], seq: int) -> tuple[StoredVector, ...]:
    return tuple(stored if stored.seq_to is not None else replace(stored, seq_to=seq) for stored in vectors)
