"""MemoryReadUnit: a snapshot of a memory store, answered by looking at everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from pymemos.adapters.memory import lexical
from pymemos.adapters.memory.reach import DERIVED, hidden
from pymemos.adapters.memory.selecting import admits, select
from pymemos.adapters.memory.state import Memory, Row, State
from pymemos.cube.call import Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Derived, Receipt
from pymemos.cube.header import Behaviour, Lifespan, SemanticType
from pymemos.cube.header import State as LifeState
from pymemos.cube.life import LifeFacts, StateChange
from pymemos.cube.payload import Activation, Parametric, Plaintext
from pymemos.cube.policy import RuleChange
from pymemos.cube.signature import Signature
from pymemos.cube.wire import document
from pymemos.ports import (
    AuditQuery,
    AuditRecord,
    AuditRow,
    Change,
    Edge,
    Job,
    JobState,
    Match,
    Namespace,
    ReadUnit,
    Record,
    Replay,
    Snapshot,
    StoredVector,
    TermWeights,
    TextRow,
    Turn,
    Vector,
)


class MemoryReadUnit(ReadUnit):
    """One state and the questions of the port to it."""

    _since: ReadUnit | None = None  # what has later versions of some sources, by which rights are judged too

    def __init__(self, state: State) -> None:
        self._state = state

    # ── Namespaces and memories ─────────────────────────────────────────────────────────────────────────────────────

    def namespace(self, name: str) -> Namespace | None:
        return self._namespace(name) if name in self._state.namespaces else None

    def namespaces(self) -> list[Namespace]:
        return [self._namespace(name) for name in sorted(self._state.namespaces)]

    def _namespace(self, name: str) -> Namespace:
        seq, at = self._state.namespaces[name]
        rows = self._state.current_texts(name)
        words, wiped = sum(row.length for row in rows), self._state.wiped.get(name, 0)
        return Namespace(name=name, seq=seq, at=at, memories=len(rows), words=words, wiped=wiped)

    def owner_of(self, id: str) -> str | None:
        memory = self._state.memories.get(id)
        return memory.namespace if memory is not None else None

    def current(self, ids: Sequence[str]) -> list[Record]:
        found = []
        for id in ids:
            memory = self._state.memories.get(id)
            if memory is not None and memory.current is not None:
                found.append(memory.record(memory.current))
        return found

    def versions(self, id: str) -> list[Record]:
        memory = self._state.memories.get(id)
        return [memory.record(row) for row in memory.rows] if memory is not None else []

    # ── Selections ──────────────────────────────────────────────────────────────────────────────────────────────────

    def page(self, selection: Selection, *, limit: int, after: str | None = None) -> list[Record]:
        records = [record for record, _ in self._selected(selection)]
        return [record for record in records if after is None or record.cube.id > after][:limit]

    def count(self, selection: Selection) -> int:
        return len(self._selected(selection))

    def _selected(self, selection: Selection) -> list[tuple[Record, Row]]:
        return select(self._state, selection, self._out_of_reach(selection))

    def _out_of_reach(self, selection: Selection) -> set[str]:
        """The ids of what the selection's reach hides in its namespaces."""
        back, names = selection.known_at is not None or selection.valid_at is not None, selection.namespaces
        ids = [
            id
            for id, memory in self._state.memories.items()
            if (names is None or memory.namespace in names) and (back or memory.current is not None)
        ]
        return hidden(self, ids, selection, since=self._since)

    def known_ids(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[str]:
        memories = sorted(self._state.memories.items())
        ids = [id for id, memory in memories if namespaces is None or memory.namespace in namespaces]
        return [id for id in ids if after is None or id > after][:limit]

    def keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        memories = self._state.memories
        return {id: memories[id].number for id in ids if id in memories}

    def touched(self, namespace: str, *, since: int) -> list[tuple[int, str]]:
        owned = [(one.number, id) for id, one in self._state.memories.items() if one.namespace == namespace]
        return sorted((key, id) for key, id in owned if self._state.memories[id].changed > since)

    def seq_at(self, namespace: str, moment: datetime) -> int:
        seq, at = self._state.namespaces.get(namespace, (0, moment))
        if at <= moment:
            return seq
        stamps = [
            stamp
            for memory in self._state.memories.values()
            if memory.namespace == namespace
            for row in memory.rows
            for stamp in ((row.seq_from, row.known_from), (row.seq_to, row.known_to))
        ]
        later = min((seq for seq, at in stamps if seq is not None and at is not None and at > moment), default=seq + 1)
        return max((seq for seq, at in stamps if seq is not None and at is not None and seq < later), default=0)

    def match(self, terms: Sequence[str], selection: Selection, *, limit: int, weights: TermWeights) -> list[Match]:
        asked, closed = lexical.distinct(terms), bool(selection.rules or self.hidden(selection))
        texts = [(record, row.text) for record, row in self._selected(selection) if row.text is not None]
        if closed:  # nothing may be told of what is left out, not even by a score
            texts = [(record, replace(text, context=())) for record, text in texts]
        matched = [(record, text) for record, text in texts if any(lexical.holds(text, term) for term in asked)]
        found = []
        for name in self._state.namespaces:
            here = [(record, text) for record, text in matched if record.cube.namespace == name]
            seen = [text for _, text in here]
            known = lexical.statistics(seen, asked) if closed else self._statistics(name, asked)
            for record, text in here:
                words = tuple(term for term in asked if lexical.holds(text, term))
                found.append(Match(record=record, score=lexical.bm25(text, asked, known, weights), words=words))
        numbers = {id: memory.number for id, memory in self._state.memories.items()}
        return sorted(found, key=lambda match: (-match.score, numbers[match.record.cube.id]))[:limit]

    def _statistics(self, namespace: str, terms: Sequence[str]) -> lexical.Statistics:
        return lexical.statistics(self._state.current_texts(namespace), terms)

    def hidden(self, selection: Selection) -> list[int]:
        return sorted(self._state.memories[id].number for id in self._out_of_reach(selection))

    # ── What a search keeps in memory ───────────────────────────────────────────────────────────────────────────────

    def postings(self, terms: Sequence[str], namespace: str) -> list[list[int]]:
        texts = [
            (memory.number, memory.current.text)
            for memory in self._numbered(namespace)
            if memory.current is not None and memory.current.text is not None
        ]
        return [
            [number * 4 + column for number, text in texts for column in lexical.columns_of(text, term)]
            for term in terms
        ]

    def changes(self, namespace: str, *, since: int = 0, embedder: str | None = None) -> list[Change]:
        told = [_change(memory, embedder) for memory in self._numbered(namespace) if memory.changed > since]
        gone = [one for one in self._state.erased.values() if one.namespace == namespace and one.changed > since]
        told += [Change(key=one.number, seq=one.changed, cube=None) for one in gone]
        return sorted(told, key=lambda change: change.key)

    def keys(self, selection: Selection) -> list[int]:
        chosen = {record.cube.id for record, _ in self._selected(selection)}
        return sorted(memory.number for id, memory in self._state.memories.items() if id in chosen)

    def cubes(self, keys: Sequence[int]) -> list[MemCube]:
        numbered = {memory.number: memory for memory in self._state.memories.values()}
        found = [numbered[key] for key in keys if key in numbered]
        return [memory.record(memory.current).cube for memory in found if memory.current is not None]

    def vectors_by_key(self, namespace: str, keys: Sequence[int], embedder: str) -> list[tuple[int, bytes]]:
        wanted = set(keys)
        return [
            (memory.number, vector.values)
            for memory in self._numbered(namespace)
            if memory.number in wanted
            for vector in self.vectors_of(memory.rows[-1].cube.id)
            if vector.embedder == embedder
        ]

    def vectors_of(self, id: str) -> tuple[Vector, ...]:
        memory = self._state.memories.get(id)
        current = [stored.vector for stored in memory.vectors if stored.seq_to is None] if memory is not None else []
        return tuple(sorted(current, key=lambda vector: vector.part))

    def embedders(self) -> dict[str, int]:
        made = Counter(
            stored.vector.embedder
            for memory in self._state.memories.values()
            for stored in memory.vectors
            if stored.seq_to is None
        )
        return dict(sorted(made.items()))

    def _numbered(self, namespace: str) -> list[Memory]:
        own = [memory for memory in self._state.memories.values() if memory.namespace == namespace]
        return sorted(own, key=lambda memory: memory.number)

    # ── What the life cycle asks ────────────────────────────────────────────────────────────────────────────────────

    def lives(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[LifeFacts]:
        known = sorted(self._state.memories)
        facts = self.lives_of([id for id in known if after is None or id > after])
        living = [one for one in facts if one.state is not LifeState.EXPIRED]
        return [one for one in living if namespaces is None or one.namespace in namespaces][:limit]

    def lives_of(self, ids: Sequence[str]) -> list[LifeFacts]:
        found = []
        for id in ids:
            memory = self._state.memories.get(id)
            if memory is not None and memory.current is not None:
                found.append(_facts(id, memory, memory.current.cube))
        return found

    def state_changes(self, id: str) -> list[StateChange]:
        memory = self._state.memories.get(id)
        return list(memory.journal) if memory is not None else []

    # ── What hangs on a memory ──────────────────────────────────────────────────────────────────────────────────────

    def text(self, id: str) -> TextRow | None:
        memory = self._state.memories.get(id)
        return memory.current.text if memory is not None and memory.current is not None else None

    def followers(self, id: str) -> list[str]:
        """By id."""
        texts = {other: self.text(other) for other in self._state.memories}
        return sorted(other for other, text in texts.items() if text is not None and text.context_of == id)

    def last_turn(self, namespace: str, session: str | None) -> Turn | None:
        """A memory's place in the order of writing is that of its first version: editing a turn moves no turn."""
        turns = self._turns(namespace, session)
        return turns[-1][1] if turns else None

    def turns_around(self, id: str) -> tuple[Turn | None, Turn | None]:
        memory = self._state.memories.get(id)
        if memory is None:
            return None, None
        session = memory.rows[-1].cube.header.descriptive.session
        turns = [(other.number, turn) for other, turn in self._turns(memory.namespace, session)]
        before = [turn for number, turn in turns if number < memory.number]
        behind = [turn for number, turn in turns if number > memory.number]
        return (before[-1] if before else None), (behind[0] if behind else None)

    def _turns(self, namespace: str, session: str | None) -> list[tuple[Memory, Turn]]:
        """The current messages of a session in order of writing."""
        return [
            (memory, Turn(cube=memory.record(memory.rows[-1]).cube, text=memory.rows[-1].text))
            for _, memory in self._in_session(namespace, session)
            if memory.rows[-1].cube.header.descriptive.semantic_type is SemanticType.MESSAGE
        ]

    def by_source(self, namespace: str, session: str | None, source_ids: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for id, memory in self._in_session(namespace, session):
            sources = memory.rows[-1].cube.header.descriptive.source_ids
            if sources and sources[0] in source_ids:
                found.setdefault(sources[0], []).append(id)
        return found

    def _in_session(self, namespace: str, session: str | None) -> list[tuple[str, Memory]]:
        """The current memories of a session in order of writing; the session None is one of its own."""
        ordered = sorted(self._state.memories.items(), key=lambda item: item[1].number)
        return [
            (id, memory)
            for id, memory in ordered
            if memory.namespace == namespace
            and memory.current is not None
            and memory.current.cube.header.descriptive.session == session
        ]

    def edges(self, id: str, *, kind: str | None = None, reverse: bool = False) -> list[Edge]:
        return sorted(
            edge
            for edge in self._state.edges
            if (edge.target if reverse else edge.source) == id and kind in (None, edge.kind)
        )

    def vectors(self, namespace: str, *, since: int = 0) -> list[StoredVector]:
        changed = [
            stored
            for memory in self._state.memories.values()
            if memory.namespace == namespace
            for stored in memory.vectors
            if stored.seq_from > since or (stored.seq_to is not None and stored.seq_to > since)
        ]
        return sorted(changed, key=lambda stored: (stored.id, stored.vector.part, stored.seq_from))

    def blobs(self) -> set[str]:
        payloads = [row.cube.payload for memory in self._state.memories.values() for row in memory.rows]
        return {payload.blob for payload in payloads if isinstance(payload, Activation | Parametric)}

    # ── Beside the memories ─────────────────────────────────────────────────────────────────────────────────────────

    def replayed(self, caller: str, key: str) -> Replay | None:
        return self._state.replays.get((caller, key))

    def audit(self, query: AuditQuery) -> list[AuditRecord]:
        """Ordered by time, then number, then namespace, all falling; ``since`` is included, ``until`` is not."""
        asked = [record for record in self._chained(query.namespaces) if self._asked_for(record, query)]
        asked.sort(key=lambda record: (record.at, record.n, record.namespace), reverse=True)
        return asked[: query.limit]

    def audit_tail(self, namespace: str) -> AuditRecord | None:
        chain = self._state.audit.get(namespace, ())
        return chain[-1] if chain else None

    def audit_tails(self, namespaces: Sequence[str] | None) -> list[AuditRecord]:
        chains = sorted(self._state.audit.items())
        return [chain[-1] for name, chain in chains if chain and (namespaces is None or name in namespaces)]

    def audit_page(self, query: AuditQuery, *, after: tuple[str, int] | None = None) -> list[AuditRecord]:
        asked = [record for record in self._chained(query.namespaces, after) if self._asked_for(record, query)]
        return asked[: query.limit]

    def audit_rows(
        self, namespaces: Sequence[str] | None, *, after: tuple[str, int] | None = None, limit: int
    ) -> list[AuditRow]:
        found = self._chained(namespaces, after)[:limit]
        return [AuditRow(chain=record.namespace, n=record.n, record=record) for record in found]

    def audit_strays(self) -> int:
        """Nobody can lay a row beside the chains."""
        return 0

    def _chained(self, namespaces: Sequence[str] | None, after: tuple[str, int] | None = None) -> list[AuditRecord]:
        """Entries behind ``after``, by namespace and number."""
        chains = sorted(self._state.audit.items())
        records = [record for name, chain in chains if namespaces is None or name in namespaces for record in chain]
        return [record for record in records if after is None or (record.namespace, record.n) > after]

    def _asked_for(self, record: AuditRecord, query: AuditQuery) -> bool:
        return (
            (query.since is None or query.since <= record.at)
            and (query.until is None or record.at < query.until)
            and query.caller in (None, record.caller.namespace)
            and query.operation in (None, record.operation)
            and (query.memory is None or query.memory in record.memories)
            and (query.memory_kind is None or query.memory_kind in self._kinds(record))
            and (query.memory_type is None or query.memory_type in self._types(record))
        )

    def _kinds(self, record: AuditRecord) -> set[str]:
        return {version.cube.payload.kind for id in record.memories for version in self.versions(id)}

    def _types(self, record: AuditRecord) -> set[str]:
        versions = [version for id in record.memories for version in self.versions(id)]
        return {version.cube.header.descriptive.semantic_type.value for version in versions}

    def job(self, id: str) -> Job | None:
        return self._state.jobs.get(id)

    def jobs(self, *, state: JobState | None = None, limit: int = 1000) -> list[Job]:
        ordered = sorted(self._state.jobs.values(), key=lambda job: (-job.priority, due_from(job) or job.run_at))
        return [job for job in ordered if state in (None, job.state)][:limit]

    def next_due(self, kinds: Sequence[str] | None = None) -> datetime | None:
        times = [due_from(job) for job in self._state.jobs.values() if kinds is None or job.kind in kinds]
        return min((time for time in times if time is not None), default=None)

    def snapshots(self, namespace: str | None) -> list[Snapshot]:
        named = [one for (space, _), one in self._state.snapshots.items() if space == namespace]
        return sorted(named, key=lambda one: (one.at, one.name))

    # ── Erasure ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def ever(self, selection: Selection) -> list[str]:
        hidden = self._out_of_reach(selection)
        return sorted(
            id
            for id, memory in self._state.memories.items()
            if id not in hidden
            if selection.namespaces is None or memory.namespace in selection.namespaces
            if any(admits(selection, memory.record(row)) for row in memory.rows)
        )

    def derivatives(self, ids: Sequence[str]) -> list[Derived]:
        made: set[str] = set()
        waiting = set(ids)
        while waiting:
            waiting = {edge.source for edge in self._state.edges if edge.kind == DERIVED and edge.target in waiting}
            waiting -= made
            made |= waiting
        here = sorted(id for id in made - set(ids) if id in self._state.memories)
        return [Derived(id=id, namespace=self._state.memories[id].namespace) for id in here]

    def erased(self, ids: Sequence[str]) -> list[str]:
        return [id for id in ids if id in self._state.erased]

    def erased_by(self, erasure: str, *, limit: int, after: str | None = None) -> list[str]:
        ids = sorted(id for id, gone in self._state.erased.items() if gone.erasure == erasure)
        return [id for id in ids if after is None or id > after][:limit]

    def receipt(self, id: str) -> Receipt | None:
        return self._state.receipts.get(id)

    def receipts(self, namespaces: Sequence[str] | None, *, limit: int, before: str | None = None) -> list[Receipt]:
        held = list(self._state.receipts.values())
        if before is not None:
            places = [place for place, one in enumerate(held) if one.id == before]
            held = held[: places[0]] if places else []
        return [one for one in reversed(held) if namespaces is None or one.namespace in namespaces][:limit]

    def signatures(self, id: str) -> list[Signature]:
        return sorted(self._state.signatures.get(id, ()), key=lambda one: (one.version, one.key))

    # ── Access rules ────────────────────────────────────────────────────────────────────────────────────────────────

    def last_rule_change(self) -> RuleChange | None:
        return self._state.rules[-1] if self._state.rules else None

    def rule_changes(self, *, since: int = 0) -> list[RuleChange]:
        return list(self._state.rules[since:])

    def setting(self, name: str) -> str | None:
        return self._state.settings.get(name)


def _facts(id: str, memory: Memory, cube: MemCube) -> LifeFacts:
    said, rules, seen = cube.header.descriptive, cube.header.governance, memory.behaviour
    span = rules.lifespan
    tensor = 0 if isinstance(cube.payload, Plaintext) else cube.payload.size
    return LifeFacts(
        id=id,
        namespace=memory.namespace,
        revision=cube.revision,
        state=seen.state,
        uses=seen.uses,
        last_used=seen.last_used,
        heat=seen.heat,
        created=said.created,
        updated=said.updated,
        lifespan=Lifespan(expires=span.expires, ttl_s=span.ttl_s, half_life_s=span.half_life_s),
        priority=rules.priority,
        frozen=rules.frozen,
        episode=cube.is_manifest,
        bytes=len(document(cube)) + tensor,
    )


def _change(memory: Memory, embedder: str | None) -> Change:
    row = memory.at_hand
    if row is None:
        return Change(key=memory.number, seq=memory.changed, cube=None)
    current = [stored.vector for stored in memory.vectors if stored.seq_to is None]
    vectors = tuple(sorted((one.part, one.values) for one in current if one.embedder == embedder))
    record = row.record(Behaviour(), None)
    return Change(
        key=memory.number,
        seq=memory.changed,
        cube=record.cube,
        valid_to=min((end for end in (record.valid_to, row.cube.expires) if end is not None), default=None),
        terms=len(row.text.terms) if row.text is not None else 0,
        length=row.text.length if row.text is not None else 0,
        vectors=vectors,
    )


def due_from(job: Job) -> datetime | None:
    """From when on the job may be claimed, that instant included; None for a parked one."""
    match job.state:
        case JobState.READY:
            return job.run_at
        case JobState.RUNNING:
            return job.lease_until
        case JobState.DEAD:
            return None
