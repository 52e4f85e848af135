"""The SQLite reading of a unit: one snapshot of the database, seen through the port."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import apsw
import msgspec

from pymemos.adapters.sqlite import auditing
from pymemos.adapters.sqlite.lives import facts_of
from pymemos.adapters.sqlite.queries import QUERIES
from pymemos.adapters.sqlite.ranking import Space, postings, rank
from pymemos.adapters.sqlite.reach import hidden
from pymemos.adapters.sqlite.selection import Look, Parameters, conditions, eligible, is_current
from pymemos.adapters.sqlite.terms import unqualified
from pymemos.cube.call import Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Derived, Receipt
from pymemos.cube.filters import from_microseconds, microseconds
from pymemos.cube.header import Behaviour, State
from pymemos.cube.life import LifeFacts, StateChange
from pymemos.cube.policy import RuleChange, parse_rule
from pymemos.cube.signature import Signature
from pymemos.cube.wire import parse_document
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

JOB = msgspec.json.Decoder(Job)
_RECEIPT = msgspec.json.Decoder(Receipt)
FEW = 200  # memories whose vectors are looked up one by one

_RECORD = """
    v.id, v.salt, v.retired, v.version, v.content_hash, v.seq_from, {seq_to}, v.known_from, {known_to}, v.valid_from,
    {valid_to}, v.document, u.state, u.uses, u.last_used, u.heat, u.extra"""
_CURRENT = _RECORD.format(seq_to="NULL", known_to="NULL", valid_to="v.valid_to")
_PAST = _RECORD.format(seq_to="v.seq_to", known_to="v.known_to", valid_to="coalesce(v.closed_to, v.valid_to)")

_PAGE = """
SELECT {columns}
FROM {versions} AS v LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions} AND v.id > :after
ORDER BY v.id LIMIT :limit"""
_KEYS = "SELECT v.mem FROM memories AS v LEFT JOIN usage AS u ON u.mem = v.mem WHERE {conditions} ORDER BY v.mem"
_COUNT = "SELECT count(*) FROM {versions} AS v LEFT JOIN usage AS u ON u.mem = v.mem WHERE {conditions}"
_EVER = """
SELECT DISTINCT v.id FROM versions AS v LEFT JOIN usage AS u ON u.mem = v.mem WHERE {conditions} ORDER BY v.id"""
_ELIGIBLE = "({eligible}) AS e CROSS JOIN versions AS v ON v.mem = e.mem AND v.revision = e.revision"

_RANKED = {
    True: f"""
SELECT {_CURRENT}
FROM json_each(:mems) AS w CROSS JOIN memories AS v ON v.mem = w.value LEFT JOIN usage AS u ON u.mem = v.mem
ORDER BY w.key""",
    False: f"""
SELECT {_PAST}
FROM json_each(:mems) AS w CROSS JOIN versions AS v ON v.mem = w.value ->> 0 AND v.revision = w.value ->> 1
LEFT JOIN usage AS u ON u.mem = v.mem
ORDER BY w.key""",
}


class SqliteReadUnit(ReadUnit):
    """A unit over one connection inside a transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    # Namespaces and memories.

    def namespace(self, name: str) -> Namespace | None:
        row = self._row("namespace", name=name)
        return None if row is None else namespace_of(row)

    def namespaces(self) -> list[Namespace]:
        return [namespace_of(row) for row in self._rows("namespaces")]

    def owner_of(self, id: str) -> str | None:
        row = self._row("owner_of", id=id)
        return None if row is None else str(row[0])

    def current(self, ids: Sequence[str]) -> list[Record]:
        return [_record(row) for row in self._rows("current", ids=json.dumps(list(ids)))]

    def versions(self, id: str) -> list[Record]:
        return [_record(row) for row in self._rows("versions", id=id)]

    def page(self, selection: Selection, *, limit: int, after: str | None = None) -> list[Record]:
        parameters = Parameters()
        source, wanted, columns = self._source(selection, parameters)
        sql = _PAGE.format(columns=columns, versions=source, conditions=wanted)
        parameters |= {"after": after or "", "limit": limit}
        return [_record(row) for row in self._connection.execute(sql, parameters)]

    def hidden(self, selection: Selection) -> list[int]:
        return self._look(selection).hidden

    def count(self, selection: Selection) -> int:
        parameters = Parameters()
        source, wanted, _ = self._source(selection, parameters)
        return int(self._connection.execute(_COUNT.format(versions=source, conditions=wanted), parameters).get)

    def known_ids(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[str]:
        names = None if namespaces is None else json.dumps(list(namespaces))
        return [row[0] for row in self._rows("known_ids", names=names, after=after or "", limit=limit)]

    def keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        return dict(self._rows("keys_of", ids=json.dumps(list(ids))))

    def touched(self, namespace: str, *, since: int) -> list[tuple[int, str]]:
        return [(key, id) for key, id in self._rows("touched", name=namespace, since=since)]

    def seq_at(self, namespace: str, moment: datetime) -> int:
        stamp = self.namespace(namespace)
        if stamp is None or stamp.at <= moment:
            return 0 if stamp is None else stamp.seq
        row = self._row("seq_at", name=namespace, moment=microseconds(moment))
        return 0 if row is None else int(row[0])

    def _source(self, selection: Selection, parameters: Parameters) -> tuple[str, str, str]:
        """Where the selection's versions come from (to stand before ``AS v``), their condition and their columns."""
        look = self._look(selection)
        wanted = conditions(look, parameters)
        if is_current(selection):
            return "memories", wanted, _CURRENT
        source = _ELIGIBLE.format(eligible=eligible(look, parameters))
        return f"(SELECT v.* FROM {source})", wanted, _PAST

    def _look(self, selection: Selection) -> Look:
        """The selection with the numbers of its namespaces, and what its reach hides in them."""
        named = [] if selection.namespaces is None else self._wanted_spaces(selection)
        known = {row[1]: row[0] for row in named}
        spaces = None if selection.namespaces is None else list(known.values())
        for name, _ in (*selection.rules, *(selection.reach.parts if selection.reach is not None else ())):
            if name not in known and (row := self._row("namespace", name=name)):
                known[name] = row[0]
        return Look(selection, spaces, known, hidden(self._connection, selection, spaces, known))

    # Full text.

    def match(self, terms: Sequence[str], selection: Selection, *, limit: int, weights: TermWeights) -> list[Match]:
        words = list(dict.fromkeys(terms))
        spaces = [
            Space(ns, name, memories, total) for ns, name, _, _, memories, total, _ in self._wanted_spaces(selection)
        ]
        ranked = rank(self._connection, words, spaces, self._look(selection), limit=limit, weights=weights)
        current = is_current(selection)
        mems = json.dumps([one.mem if current else (one.mem, one.revision) for one in ranked])
        rows = self._connection.execute(_RANKED[current], {"mems": mems})
        return [Match(record=_record(row), score=r.score, words=r.words) for row, r in zip(rows, ranked, strict=True)]

    def _wanted_spaces(self, selection: Selection) -> list[tuple[Any, ...]]:
        """The rows of the namespaces that a selection names; all of them where it names none."""
        if selection.namespaces is None:
            return self._rows("namespaces")
        names = dict.fromkeys(selection.namespaces)  # each once: a repeated name must not count twice
        return [row for name in names if (row := self._row("namespace", name=name))]

    def postings(self, terms: Sequence[str], namespace: str) -> list[list[int]]:
        space = self._row("namespace", name=namespace)
        return [[] for _ in terms] if space is None else postings(self._connection, terms, space[0])

    def text(self, id: str) -> TextRow | None:
        row = self._row("text", id=id)
        if row is None:
            return None
        return _text_row(*row)

    def followers(self, id: str) -> list[str]:
        return [row[0] for row in self._rows("followers", id=id)]

    def last_turn(self, namespace: str, session: str | None) -> Turn | None:
        return _turn(self._row("last_turn", namespace=namespace, session=session))

    def turns_around(self, id: str) -> tuple[Turn | None, Turn | None]:
        return _turn(self._row("turn_before", id=id)), _turn(self._row("turn_behind", id=id))

    def by_source(self, namespace: str, session: str | None, source_ids: Sequence[str]) -> dict[str, list[str]]:
        sources = json.dumps(list(source_ids))
        found: dict[str, list[str]] = {}
        for source, id in self._rows("by_source", namespace=namespace, session=session, sources=sources):
            found.setdefault(source, []).append(id)
        return found

    # What a search keeps in memory.

    def changes(self, namespace: str, *, since: int = 0, embedder: str | None = None) -> list[Change]:
        space = self._row("namespace", name=namespace)
        if space is None:
            return []
        rows = self._rows("changes", ns=space[0], since=since)
        held = self._vectors(space[0], [row[0] for row in rows], embedder)
        return [_change(row, tuple(held.get(row[0], ()))) for row in rows]

    def _vectors(self, ns: int, mems: list[int], embedder: str | None) -> dict[int, list[tuple[int, bytes]]]:
        """The vectors of some memories, in order of ``mems``: of a few one by one, of many the whole range."""
        found: dict[int, list[tuple[int, bytes]]] = {}
        if embedder is None or not mems:
            return found
        spans = [(mem, mem + 1) for mem in mems] if len(mems) < FEW else [(mems[0], mems[-1] + 1)]
        for first, last in spans:
            bounds = {"first": ns << 40 | first << 8, "last": ns << 40 | last << 8}
            for mem, part, values in self._rows("vectors_between", **bounds, embedder=embedder):
                found.setdefault(mem, []).append((part, values))
        return found

    def keys(self, selection: Selection) -> list[int]:
        parameters = Parameters()
        wanted = conditions(self._look(selection), parameters)
        return [row[0] for row in self._connection.execute(_KEYS.format(conditions=wanted), parameters)]

    def cubes(self, keys: Sequence[int]) -> list[MemCube]:
        return [_cube(*row) for row in self._rows("cubes", keys=json.dumps(list(keys)))]

    def vectors_by_key(self, namespace: str, keys: Sequence[int], embedder: str) -> list[tuple[int, bytes]]:
        space = self._row("namespace", name=namespace)
        if space is None:
            return []
        rows = self._rows("vectors_by_key", ns=space[0], keys=json.dumps(sorted(set(keys))), embedder=embedder)
        return [(vector >> 8 & 0xFFFFFFFF, values) for vector, values in sorted(rows)]

    def vectors_of(self, id: str) -> tuple[Vector, ...]:
        rows = self._rows("vectors_of", id=id)
        return tuple(Vector(part=part, embedder=embedder, values=values) for part, embedder, values in rows)

    def embedders(self) -> dict[str, int]:
        return dict(self._rows("embedders"))

    # What the life cycle asks.

    def lives(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[LifeFacts]:
        names = None if namespaces is None else json.dumps(list(namespaces))
        return [facts_of(row) for row in self._rows("lives", names=names, after=after or "", limit=limit)]

    def lives_of(self, ids: Sequence[str]) -> list[LifeFacts]:
        return [facts_of(row) for row in self._rows("lives_of", ids=json.dumps(list(ids)))]

    def state_changes(self, id: str) -> list[StateChange]:
        return [
            StateChange(
                id=id, at=from_microseconds(at), before=State(before), after=State(after), cause=cause, author=author
            )
            for at, before, after, cause, author in self._rows("state_changes", id=id)
        ]

    # Graph and vectors.

    def edges(self, id: str, *, kind: str | None = None, reverse: bool = False) -> list[Edge]:
        rows = self._rows("edges_to" if reverse else "edges_from", id=id, kind=kind)
        return [Edge(source=source, kind=kind, target=target) for source, kind, target in rows]

    def vectors(self, namespace: str, *, since: int = 0) -> list[StoredVector]:
        space = self._row("namespace", name=namespace)
        if space is None:
            return []
        return [
            StoredVector(
                id=id, vector=Vector(part=part, embedder=embedder, values=values), seq_from=seq_from, seq_to=seq_to
            )
            for id, part, embedder, values, seq_from, seq_to in self._rows("vectors", ns=space[0], since=since)
        ]

    # Replays, audit, jobs, settings.

    def replayed(self, caller: str, key: str) -> Replay | None:
        row = self._row("replayed", caller=caller, key=key)
        return (
            None if row is None else Replay(digest=row[0], ids=tuple(json.loads(row[1])), at=from_microseconds(row[2]))
        )

    def audit(self, query: AuditQuery) -> list[AuditRecord]:
        asked = auditing.parameters(query)
        del asked["after_chain"], asked["after_n"]
        return [auditing.entry(row[0]) for row in self._rows("audit", **asked)]

    def audit_tail(self, namespace: str) -> AuditRecord | None:
        row = self._row("audit_tail", chain=namespace)
        return None if row is None else auditing.entry(row[0])

    def audit_tails(self, namespaces: Sequence[str] | None) -> list[AuditRecord]:
        chains = None if namespaces is None else json.dumps(list(namespaces))
        return [auditing.entry(row[0]) for row in self._rows("audit_tails", chains=chains)]

    def audit_page(self, query: AuditQuery, *, after: tuple[str, int] | None = None) -> list[AuditRecord]:
        return [auditing.entry(row[0]) for row in self._rows("audit_page", **auditing.parameters(query, after))]

    def audit_rows(
        self, namespaces: Sequence[str] | None, *, after: tuple[str, int] | None = None, limit: int
    ) -> list[AuditRow]:
        place = auditing.place(namespaces, after)
        return [auditing.row(row) for row in self._rows("audit_rows", **place, limit=limit)]

    def audit_strays(self) -> int:
        return int(self._rows("audit_strays")[0][0])

    def job(self, id: str) -> Job | None:
        row = self._row("job", id=id)
        return None if row is None else JOB.decode(row[0])

    def jobs(self, *, state: JobState | None = None, limit: int = 1000) -> list[Job]:
        return [JOB.decode(row[0]) for row in self._rows("jobs", state=state and state.value, limit=limit)]

    def next_due(self, kinds: Sequence[str] | None = None) -> datetime | None:
        row = self._row("next_due", kinds=None if kinds is None else json.dumps(list(kinds)))
        return None if row is None or row[0] is None else from_microseconds(row[0])

    def blobs(self) -> set[str]:
        return {row[0] for row in self._rows("blobs")}

    def snapshots(self, namespace: str | None) -> list[Snapshot]:
        return [
            Snapshot(name=name, at=from_microseconds(at), author=author, namespace=namespace)
            for name, at, author in self._rows("snapshots", namespace=namespace or "")
        ]

    # Erasure.

    def ever(self, selection: Selection) -> list[str]:
        parameters = Parameters()
        wanted = conditions(self._look(selection), parameters)
        return [row[0] for row in self._connection.execute(_EVER.format(conditions=wanted), parameters)]

    def derivatives(self, ids: Sequence[str]) -> list[Derived]:
        rows = self._rows("derivatives", ids=json.dumps(list(ids)))
        return [Derived(id=id, namespace=namespace) for id, namespace in rows]

    def erased(self, ids: Sequence[str]) -> list[str]:
        return [row[0] for row in self._rows("erased", ids=json.dumps(list(ids)))]

    def erased_by(self, erasure: str, *, limit: int, after: str | None = None) -> list[str]:
        return [row[0] for row in self._rows("erased_by", erasure=erasure, after=after or "", limit=limit)]

    def receipt(self, id: str) -> Receipt | None:
        row = self._row("receipt", id=id)
        return None if row is None else _RECEIPT.decode(row[0])

    def receipts(self, namespaces: Sequence[str] | None, *, limit: int, before: str | None = None) -> list[Receipt]:
        names = None if namespaces is None else json.dumps(list(namespaces))
        return [_RECEIPT.decode(row[0]) for row in self._rows("receipts", names=names, limit=limit, before=before)]

    def signatures(self, id: str) -> list[Signature]:
        rows = self._rows("signatures", id=id)
        return [Signature(version=version, key=key, signature=signed) for version, key, signed in rows]

    # Access rules.

    def last_rule_change(self) -> RuleChange | None:
        row = self._row("last_rule_change")
        return None if row is None else _rule_change(row)

    def rule_changes(self, *, since: int = 0) -> list[RuleChange]:
        return [_rule_change(row) for row in self._rows("rule_changes", since=since)]

    def setting(self, name: str) -> str | None:
        row = self._row("setting", name=name)
        return None if row is None else str(row[0])

    def _row(self, query: str, **parameters: Any) -> tuple[Any, ...] | None:
        return self._connection.execute(QUERIES[query], parameters).fetchone()

    def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(QUERIES[query], parameters).fetchall()


@lru_cache(maxsize=256)  # every call reads the last one
def _rule_change(row: tuple[Any, ...]) -> RuleChange:
    entry, id, namespace, name, at, author, held = row
    rule = None if held is None else parse_rule(json.loads(held), name)
    moment = from_microseconds(at)
    return RuleChange(id=id, namespace=namespace, name=name, at=moment, author=author, rule=rule, entry=entry)


def _change(row: tuple[Any, ...], vectors: tuple[tuple[int, bytes], ...]) -> Change:
    mem, changed, salt, version, content_hash, document, valid_to, terms, length = row
    if document is None:
        return Change(key=mem, seq=changed, cube=None)
    return Change(
        key=mem,
        seq=changed,
        cube=parse_document(document, salt=salt, version=version, content_hash=content_hash),
        valid_to=optional_time(valid_to),
        terms=terms or 0,
        length=length or 0,
        vectors=vectors,
    )


def _turn(row: tuple[Any, ...] | None) -> Turn | None:
    if row is None:
        return None
    *record, ns, terms, context, facets, context_of = row
    text = None if terms is None else _text_row(ns, terms, context, facets, context_of)
    return Turn(cube=_record(record).cube, text=text)


def _text_row(ns: int, terms: str, context: str, facets: str, context_of: str | None) -> TextRow:
    return TextRow(
        terms=unqualified(ns, terms),
        context=unqualified(ns, context),
        facets=unqualified(ns, facets),
        context_of=context_of,
    )


def namespace_of(row: tuple[Any, ...]) -> Namespace:
    """A namespace from its row."""
    _, name, seq, at, memories, words, wiped = row
    return Namespace(name=name, seq=seq, at=from_microseconds(at), memories=memories, words=words, wiped=wiped)


def optional_microseconds(moment: datetime | None) -> int | None:
    """``moment`` as the store keeps it."""
    return None if moment is None else microseconds(moment)


def optional_time(value: int | None) -> datetime | None:
    """A time as the store keeps it."""
    return None if value is None else from_microseconds(value)


def _cube(
    salt: bytes,
    version: str,
    content_hash: str,
    document: bytes,
    state: str | None,
    uses: int,
    last_used: int | None,
    heat: float,
    more: str | None,
) -> MemCube:
    cube = parse_document(document, salt=salt, version=version, content_hash=content_hash)
    if state is None:  # nothing was observed yet
        return cube
    extra = json.loads(more) if more else {}
    return cube.observed(
        Behaviour(state=State(state), uses=uses, last_used=optional_time(last_used), heat=heat, extra=extra)
    )


def _record(row: Sequence[Any]) -> Record:
    (_, salt, retired, version, content_hash, seq_from, seq_to, known_from, known_to, valid_from, valid_to) = row[:11]
    return Record(
        cube=_cube(salt, version, content_hash, *row[11:]),
        seq_from=seq_from,
        known_from=from_microseconds(known_from),
        valid_from=from_microseconds(valid_from),
        seq_to=seq_to,
        known_to=optional_time(known_to),
        valid_to=optional_time(valid_to),
        retired=optional_time(retired),
    )
