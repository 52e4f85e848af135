"""The SQLite writing of a unit: every change of a memory with its text, vectors, edges and totals in step."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import apsw
import msgspec

from pymemos.adapters.sqlite import auditing
from pymemos.adapters.sqlite.erasing import Erasing
from pymemos.adapters.sqlite.fulltext import FullText, New
from pymemos.adapters.sqlite.queries import QUERIES
from pymemos.adapters.sqlite.read import JOB, SqliteReadUnit, namespace_of, optional_microseconds, optional_time
from pymemos.adapters.sqlite.recent import Recent
from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Counts, Receipt
from pymemos.cube.filters import microseconds
from pymemos.cube.header import COLD, UNUSED, Behaviour, Header, SemanticType
from pymemos.cube.life import StateChange
from pymemos.cube.payload import Plaintext
from pymemos.cube.policy import RuleChange, rule_values
from pymemos.cube.signature import Signature
from pymemos.cube.wire import document, encode
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
    TextRow,
    Turn,
    Vector,
    WriteUnit,
)

_TICK = timedelta(microseconds=1)
DERIVED = "derived_from"  # the kind of the edges from a memory to what it was made from


class SqliteWriteUnit(SqliteReadUnit, WriteUnit):
    """A unit inside the writer's transaction."""

    def __init__(self, connection: apsw.Connection, recent: Recent) -> None:
        super().__init__(connection)
        self._stamps: dict[str, tuple[int, int, int]] = {}  # name -> ns, seq, at of this unit
        self._recent = recent
        self._fulltext = FullText(connection, recent)

    # Memories.

    def advance(self, namespace: str, now: datetime) -> Namespace:
        if namespace in self._stamps:
            return self._found(namespace)[1]
        known = self._recent.space(namespace)
        if known is None:
            self._row("advance", name=namespace, now=microseconds(now))
            ns, space = self._found(namespace)
        else:
            ns, last = known
            space = msgspec.structs.replace(last, seq=last.seq + 1, at=max(now, last.at + _TICK))
            self._run("raise_namespace", (space.seq, microseconds(space.at), ns))
        self._recent.keep_space(ns, space)
        self._stamps[namespace] = (ns, space.seq, microseconds(space.at))
        return space

    def _found(self, namespace: str) -> tuple[int, Namespace]:
        row = self._row("namespace", name=namespace)
        assert row is not None  # noqa: S101 (this unit wrote it)
        return row[0], namespace_of(row)

    def insert(self, entry: Entry) -> None:
        self.insert_all([entry])

    def insert_all(self, entries: Sequence[Entry]) -> None:
        try:
            self._insert_all(entries)
        except BaseException:
            self._recent.forget()  # some rows may be there, and the closure may catch this and go on
            raise

    def _insert_all(self, entries: Sequence[Entry]) -> None:
        first = self._next_memory()
        numbered = list(enumerate(entries, start=first))
        self._insert_rows(numbered)
        self._recent.next_memory = first + len(numbered)
        self._fulltext.insert_all(self._new_texts(numbered), first + len(numbered) - 1)
        for mem, entry in numbered:
            if entry.vectors or entry.edges:
                self._attach_rest(mem, entry)
            seen = entry.cube.header.behaviour
            if seen is not UNUSED and seen != UNUSED:
                self._set_usage(mem, seen)
        self._note_turns(entries)

    def _next_memory(self) -> int:
        if self._recent.next_memory is None:
            row = self._row("next_memory")
            assert row is not None  # noqa: S101 (an aggregate gives a row)
            self._recent.next_memory = row[0]
        return int(self._recent.next_memory)

    def _insert_rows(self, numbered: list[tuple[int, Entry]]) -> None:
        rows = []
        declared = _Declared()
        for mem, entry in numbered:
            cube = entry.cube
            ns, seq, at = self._stamp(cube.namespace)
            named = (mem, cube.id, ns, cube.salt, seq, cube.revision, cube.version, cube.content_hash, seq, at)
            rows.append(named + declared.columns(entry))
        try:
            self._connection.executemany(QUERIES["insert_memory"], rows)
        except apsw.ConstraintError as error:
            raise StoreError(f"one of the memories is in the store already ({error})") from error

    def _new_texts(self, numbered: list[tuple[int, Entry]]) -> Iterator[New]:
        for mem, entry in numbered:
            if entry.text is not None:
                ns = self._stamp(entry.cube.namespace)[0]
                yield New(mem, ns, entry.text, optional_microseconds(entry.valid_to))

    def last_turn(self, namespace: str, session: str | None) -> Turn | None:
        place = (namespace, session)
        if place in self._recent.turns:
            return self._recent.turns[place]
        turn = super().last_turn(namespace, session)
        self._recent.keep_turn(place, turn, 0 if turn is None else len(document(turn.cube)))
        return turn

    def _note_turns(self, entries: Sequence[Entry]) -> None:
        """Keep the newest message of each session."""
        newest = {}
        for entry in entries:
            said = entry.cube.header.descriptive
            if said.semantic_type is SemanticType.MESSAGE:
                newest[entry.cube.namespace, said.session] = entry
        for place, entry in newest.items():
            size = len(entry.document or document(entry.cube))
            self._recent.keep_turn(place, Turn(cube=entry.cube, text=entry.text), size)

    def supersede(self, entry: Entry) -> None:
        self._recent.drop_turns()
        cube = entry.cube
        mem, home, revision = self._current_place(cube.id)
        ns, seq, at = self._stamp(cube.namespace)
        if ns != home:
            raise StoreError(f"memory {cube.id!r} lives in another namespace and cannot move to {cube.namespace!r}")
        self._bury(mem, ns, revision, seq=seq, at=at, closes=microseconds(entry.valid_from))
        self._replace_current(mem, entry)

    def _replace_current(self, mem: int, entry: Entry) -> None:
        cube = entry.cube
        ns, seq, at = self._stamp(cube.namespace)
        said = (cube.revision, cube.version, cube.content_hash, seq, at, *_declared(entry))
        self._run("replace_current", (*said, mem))
        self._row("touch", mem=mem, seq=seq)
        self._attach(mem, ns, entry)

    def retire(self, id: str) -> None:
        self._recent.drop_turns()
        owner = self.owner_of(id)
        if owner is None:
            raise UnknownMemory()
        mem, _, revision = self._current_place(id)
        ns, seq, at = self._stamp(owner)
        self._bury(mem, ns, revision, seq=seq, at=at, closes=None)
        self._row("retire", mem=mem, at=at, revision=revision, seq=seq)
        self._row("touch", mem=mem, seq=seq)

    def revive(self, entry: Entry) -> None:
        self._recent.drop_turns()
        cube = entry.cube
        mem, home, revision, retired, _ = self._place(cube.id)
        if retired is None:
            raise UnknownMemory(f"memory {cube.id!r} was not deleted")
        if self._stamp(cube.namespace)[0] != home:
            raise StoreError(f"memory {cube.id!r} lives in another namespace and cannot move to {cube.namespace!r}")
        self._row("close_last", mem=mem, revision=revision, closes=microseconds(entry.valid_from))
        self._replace_current(mem, entry)

    def adopt(self, records: Sequence[Record], text: TextRow | None) -> None:
        self._recent.drop_turns()
        self._recent.next_memory = None
        if len({record.cube.id for record in records}) != 1:
            raise StoreError("adopt takes the versions of one memory, at least one")
        newest = records[-1]
        ns, seq, _ = self._stamp(newest.cube.namespace)
        self._check_continues(records)
        mem = self._clear(newest, ns, seq)
        self._row("touch", mem=mem, seq=seq)
        for record in records:
            if record.known_to is not None:
                self._insert_history(mem, ns, seq, record)
        if newest.known_to is None:
            entry = Entry(cube=newest.cube, valid_from=newest.valid_from, valid_to=newest.valid_to, text=text)
            said = (newest.cube.revision, newest.cube.version, newest.cube.content_hash, seq)
            self._run("replace_current", (*said, microseconds(newest.known_from), *_declared(entry), mem))
            self._attach(mem, ns, entry)
        self._set_usage(mem, newest.cube.header.behaviour)

    def _check_continues(self, records: Sequence[Record]) -> None:
        here = [record.cube.version for record in self.versions(records[0].cube.id)]
        if here != [record.cube.version for record in records[: len(here)]]:
            raise StoreError(f"memory {records[0].cube.id!r} is here with other versions; nothing was changed")

    def _set_usage(self, mem: int, seen: Behaviour) -> None:
        self._row(
            "set_usage",
            mem=mem,
            state=seen.state.value,
            uses=seen.uses,
            last_used=optional_microseconds(seen.last_used),
            heat=seen.heat,
            extra=encode(seen.extra).decode() if seen.extra else None,
        )

    def _clear(self, newest: Record, ns: int, seq: int) -> int:
        """The row of a memory with none of its versions; nothing of it is current until it is written again."""
        known = self._row("place_of", id=newest.cube.id)
        if known is not None:
            mem, _, revision, retired, _ = known
            still_current = revision == newest.cube.revision and newest.known_to is None
            if retired is None:
                self._fulltext.unwrite(mem, ns, keep_as=None if still_current else revision)
            self._drop_vectors(mem, ns, seq)
            self._row("forget_versions", mem=mem)
            if newest.retired is not None:
                at, last = microseconds(newest.retired), newest.cube.revision
                self._row("retire", mem=mem, at=at, revision=last, seq=seq)
            return int(mem)
        self._row(
            "insert_identity",
            id=newest.cube.id,
            ns=ns,
            salt=newest.cube.salt,
            retired=optional_microseconds(newest.retired),
            revision=newest.cube.revision,
            seq=seq,
        )
        return int(self._connection.last_insert_rowid())

    def _insert_history(self, mem: int, ns: int, seq: int, record: Record) -> None:
        cube, said = record.cube, record.cube.header.descriptive
        assert record.known_to is not None  # noqa: S101 (the caller picked superseded versions)
        self._run(
            "insert_history",
            (
                mem,
                cube.revision,
                ns,
                cube.version,
                cube.content_hash,
                seq,
                seq,
                microseconds(record.known_from),
                microseconds(record.known_to),
                microseconds(record.valid_from),
                optional_microseconds(said.valid_to),
                optional_microseconds(record.valid_to),
                said.semantic_type.value,
                said.agent,
                said.session,
                _blob(cube),
                document(cube).decode(),
                *_lifespan(cube),
            ),
        )

    def _attach(self, mem: int, ns: int, entry: Entry) -> None:
        """Everything that depends on a current version."""
        if entry.text is not None:
            self._fulltext.write(mem, ns, entry.text, ends=optional_microseconds(entry.valid_to))
        self._attach_rest(mem, entry)

    def _attach_rest(self, mem: int, entry: Entry) -> None:
        if entry.vectors:
            ns, seq, _ = self._stamp(entry.cube.namespace)
            self._write_vectors(mem, ns, seq, entry.vectors)
        if entry.edges:
            self.link(entry.edges)

    def _bury(self, mem: int, ns: int, revision: int, *, seq: int, at: int, closes: int | None) -> None:
        """Move the current version, its text and its vectors to the history."""
        self._row("move_to_history", mem=mem, seq=seq, at=at, closes=closes)
        self._fulltext.unwrite(mem, ns, keep_as=revision)
        self._drop_vectors(mem, ns, seq)

    def _stamp(self, namespace: str) -> tuple[int, int, int]:
        if namespace not in self._stamps:
            raise StoreError(f"advance({namespace!r}) comes before a change in that namespace")
        return self._stamps[namespace]

    def _place(self, id: str) -> tuple[int, int, int, int | None, int | None]:
        row = self._row("place_of", id=id)
        if row is None:
            raise UnknownMemory()
        return row

    def _current_place(self, id: str) -> tuple[int, int, int]:
        mem, ns, revision, retired, _ = self._place(id)
        if retired is not None:
            raise UnknownMemory(f"memory {id!r} is deleted; nothing of it is current")
        return mem, ns, revision

    # Full text.

    def index_waiting(self) -> None:
        """Let the index have every row."""
        self._fulltext.index_waiting()

    def retext(self, id: str, text: TextRow | None) -> None:
        owner = self.owner_of(id)
        if owner is None:
            raise UnknownMemory()
        self._recent.drop_turns()
        mem = self._current_place(id)[0]
        ns, seq, _ = self._stamp(owner)
        self._fulltext.unwrite(mem, ns, keep_as=None)
        if text is not None:
            self._fulltext.write(mem, ns, text, ends=self._place(id)[4])
        self._row("touch", mem=mem, seq=seq)

    # Erasure.

    def put_receipt(self, receipt: Receipt) -> None:
        document = encode(receipt).decode()
        self._row("put_receipt", id=receipt.id, namespace=receipt.namespace, document=document)

    def erase(self, ids: Sequence[str], erasure: str) -> tuple[Counts, list[str]]:
        self._recent.forget()
        self.index_waiting()  # what is scrubbed leaves the index
        stamps = {ns: (seq, at) for ns, seq, at in self._stamps.values()}
        work = Erasing(self._connection, ids, erasure, stamps)
        blank = {}
        for id in work.lent():
            text = self.text(id)
            assert text is not None  # noqa: S101 (its row was just found)
            self.retext(id, msgspec.structs.replace(text, context=(), context_of=None))
            blank[id] = bool(text.context)
        contexts = sum(blank.values()) + work.blank_past()
        return msgspec.structs.replace(work.remove(), contexts=contexts), list(blank)

    # Vectors and graph.

    def put_vectors(self, id: str, vectors: Sequence[Vector]) -> None:
        owner = self.owner_of(id)
        if owner is None:
            raise UnknownMemory()
        mem = self._current_place(id)[0]
        ns, seq, _ = self._stamp(owner)
        self._drop_vectors(mem, ns, seq)
        self._write_vectors(mem, ns, seq, vectors)
        self._row("touch", mem=mem, seq=seq)

    def _write_vectors(self, mem: int, ns: int, seq: int, vectors: Sequence[Vector]) -> None:
        for one in vectors:
            self._row("insert_vector", ns=ns, mem=mem, part=one.part, seq=seq, embedder=one.embedder, vals=one.values)

    def _drop_vectors(self, mem: int, ns: int, seq: int) -> None:
        self._row("move_vectors", ns=ns, mem=mem, seq=seq)
        self._row("delete_vectors", ns=ns, mem=mem)

    def link(self, edges: Iterable[Edge]) -> None:
        rows = [(edge.source, edge.kind, edge.target) for edge in edges]
        self._connection.executemany(QUERIES["link"], rows)
        for made in dict.fromkeys(source for source, kind, _ in rows if kind == DERIVED):
            self._row("note_derivation", id=made)
            self._row("spread_far", id=made)

    def use(self, ids: Iterable[str], at: datetime) -> None:
        self._recent.drop_turns()
        counted = Counter(ids)
        rows = []
        for id, mem, _, uses, last_used, heat in self._rows("usage_of", ids=json.dumps(list(counted))):
            seen = Behaviour(uses=uses or 0, last_used=optional_time(last_used), heat=heat or 0.0)
            for _ in range(counted[id]):
                seen = seen.used(at)
            rows.append((mem, seen.uses, optional_microseconds(seen.last_used), seen.heat))
        self._connection.executemany(QUERIES["use"], rows)

    def move(self, changes: Sequence[StateChange]) -> None:
        self._recent.drop_turns()
        places = {row[0]: row[1:] for row in self._rows("states_of", ids=json.dumps([one.id for one in changes]))}
        states, entries, touched = [], [], []
        for one in changes:
            if one.id not in places:
                raise UnknownMemory(f"memory {one.id!r} is not in the store, or was deleted")
            mem, namespace, state = places[one.id]
            if state != one.before.value:
                raise StoreError(f"memory {one.id!r} is {state}, not {one.before}")
            places[one.id] = mem, namespace, one.after.value
            states.append((mem, one.after.value))
            entries.append((mem, microseconds(one.at), one.before.value, one.after.value, one.cause, one.author))
            if (one.before in COLD) != (one.after in COLD):
                touched.append((self._stamp(namespace)[1], mem))
        self._connection.executemany(QUERIES["set_state"], states)
        self._connection.executemany(QUERIES["journal"], entries)
        self._connection.executemany(QUERIES["touch_all"], touched)

    # Replays, audit, jobs, settings.

    def remember(self, caller: str, key: str, replay: Replay) -> None:
        ids = json.dumps(replay.ids)
        self._row("remember", caller=caller, key=key, digest=replay.digest, ids=ids, at=microseconds(replay.at))

    def forget_replays(self, before: datetime) -> int:
        self._row("forget_replays", before=microseconds(before))
        return self._connection.changes()

    def append_audit(self, record: AuditRecord) -> None:
        tail = self.audit_tail(record.namespace)
        if record.n != (tail.n if tail else 0) + 1:
            raise StoreError(f"audit entry {record.n} does not follow the last one of {record.namespace!r}")
        self._run("append_audit", auditing.columns(record))
        self._recent.keep_tail(record.namespace, record)

    def audit_tail(self, namespace: str) -> AuditRecord | None:
        if namespace in self._recent.tails:
            return self._recent.tails[namespace]
        tail = super().audit_tail(namespace)
        self._recent.keep_tail(namespace, tail)
        return tail

    def enqueue(self, job: Job) -> bool:
        if job.dedup_key is not None:
            self._row("make_room", kind=job.kind, dedup_key=job.dedup_key)
        self._row(
            "enqueue",
            id=job.id,
            kind=job.kind,
            dedup_key=job.dedup_key,
            state=job.state.value,
            priority=job.priority,
            due=microseconds(job.run_at),
            record=encode(job).decode(),
        )
        return self._connection.changes() == 1

    def claim(self, *, worker: str, now: datetime, lease_until: datetime, kinds: Sequence[str]) -> Job | None:
        row = self._row("due_job", now=microseconds(now), kinds=json.dumps(list(kinds)))
        if row is None:
            return None
        waiting = JOB.decode(row[0])
        job = msgspec.structs.replace(
            waiting, state=JobState.RUNNING, attempt=waiting.attempt + 1, worker=worker, lease_until=lease_until
        )
        self.replace_job(job)
        return job

    def replace_job(self, job: Job) -> None:
        due = job.lease_until if job.state is JobState.RUNNING and job.lease_until else job.run_at
        self._row(
            "replace_job",
            id=job.id,
            state=job.state.value,
            priority=job.priority,
            due=microseconds(due),
            record=encode(job).decode(),
        )
        if self._connection.changes() != 1:
            raise UnknownJob(f"job {job.id!r} is not in the queue")

    def remove_job(self, id: str) -> None:
        self._row("remove_job", id=id)

    def setting(self, name: str) -> str | None:
        settings = self._recent.settings
        if name not in settings:
            settings[name] = super().setting(name)
        return settings[name]

    def put_snapshot(self, snapshot: Snapshot) -> None:
        try:
            self._row(
                "put_snapshot",
                namespace=snapshot.namespace or "",
                name=snapshot.name,
                at=microseconds(snapshot.at),
                author=snapshot.author,
            )
        except apsw.ConstraintError as error:
            raise StoreError(f"there is a snapshot {snapshot.name!r} already") from error

    def put_signatures(self, id: str, signatures: Iterable[Signature]) -> None:
        if self.owner_of(id) is None:
            raise UnknownMemory()
        for one in signatures:
            self._row("put_signature", id=id, version=one.version, key=one.key, signature=one.signature)

    def last_rule_change(self) -> RuleChange | None:
        if self._recent.rule is None:
            self._recent.rule = (super().last_rule_change(),)
        return self._recent.rule[0]

    def put_rule(self, change: RuleChange) -> RuleChange:
        document = None if change.rule is None else encode(rule_values(change.rule)).decode()
        given = {"id": change.id, "namespace": change.namespace, "name": change.name, "author": change.author}
        self._recent.rule = None
        self._row("put_rule", **given, at=microseconds(change.at), document=document)
        return msgspec.structs.replace(change, entry=int(self._connection.last_insert_rowid()))

    def set_setting(self, name: str, value: str) -> None:
        self._row("set_setting", name=name, value=value)
        self._recent.settings[name] = value

    def _run(self, query: str, row: tuple[Any, ...]) -> None:
        self._connection.execute(QUERIES[query], row)


class _Declared:
    """The columns that repeat what cubes declare, for selections.

    Cubes that were made together may share their header; what follows from it is worked out once.
    """

    def __init__(self) -> None:
        self._of_header: dict[
            tuple[int, datetime, datetime | None], tuple[Header, tuple[Any, ...], tuple[Any, ...]]
        ] = {}

    def columns(self, entry: Entry) -> tuple[Any, ...]:
        """The columns of one entry."""
        header = entry.cube.header
        place = id(header), entry.valid_from, entry.valid_to
        known = self._of_header.get(place)
        if known is None:  # the header is kept, so that no other takes its address
            known = self._of_header[place] = header, _of_header(entry), _lifespan(entry.cube)
        raw = entry.document or document(entry.cube)
        return *known[1], _blob(entry.cube), raw.decode(), *known[2]


def _declared(entry: Entry) -> tuple[Any, ...]:
    return _Declared().columns(entry)


def _of_header(entry: Entry) -> tuple[Any, ...]:
    said = entry.cube.header.descriptive
    return (
        microseconds(entry.valid_from),
        optional_microseconds(entry.valid_to),
        said.semantic_type.value,
        said.agent,
        said.session,
        said.source_ids[0] if said.source_ids else None,
    )


def _lifespan(cube: MemCube) -> tuple[bool, int | None]:
    return cube.header.governance.frozen, optional_microseconds(cube.expires)


def _blob(cube: MemCube) -> str | None:
    return None if isinstance(cube.payload, Plaintext) else cube.payload.blob
