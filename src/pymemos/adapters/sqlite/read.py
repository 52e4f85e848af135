"""The SQLite reading of a unit: one snapshot of the database, seen through the port."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import apsw
import msgspec

from pymemos.adapters.sqlite.connection import from_microseconds
from pymemos.adapters.sqlite.queries import QUERIES
from pymemos.adapters.sqlite.selection import Parameters, conditions, eligible, is_current, needs_version
from pymemos.cube.call import Selection
from pymemos.cube.filters import microseconds
from pymemos.cube.header import Behaviour, State
from pymemos.cube.wire import parse_document
from pymemos.ports import (
    AuditQuery,
    AuditRecord,
    Edge,
    Job,
    JobState,
    Match,
    Namespace,
    ReadUnit,
    Record,
    Replay,
    StoredVector,
    TermWeights,
    TextRow,
    Vector,
)

_ODD = re.compile(r"[^a-z0-9\-\x80-\U0010ffff]")  # in a term: what FTS5's tokenizer does not keep as it is
_ESCAPE = re.compile(r"_([0-9a-f]{2})")
_AUDIT = msgspec.json.Decoder(AuditRecord)
JOB = msgspec.json.Decoder(Job)

_RECORD = """
    v.id, v.salt, v.retired, v.version, v.content_hash, v.seq_from, {seq_to}, v.known_from, {known_to}, v.valid_from,
    {valid_to}, v.document, u.state, u.uses, u.last_used, u.heat"""
_CURRENT = _RECORD.format(seq_to="NULL", known_to="NULL", valid_to="v.valid_to")
_PAST = _RECORD.format(seq_to="v.seq_to", known_to="v.known_to", valid_to="coalesce(v.closed_to, v.valid_to)")

_PAGE = """
SELECT {columns}
FROM {versions} AS v LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions} AND v.id > :after
ORDER BY v.id LIMIT :limit"""
_COUNT = "SELECT count(*) FROM {versions} AS v LEFT JOIN usage AS u ON u.mem = v.mem WHERE {conditions}"
_ELIGIBLE = "({eligible}) AS e CROSS JOIN versions AS v ON v.mem = e.mem AND v.revision = e.revision"

# BM25 in the database. `query` holds a row per qualified term: the number of its word, the memories of its namespace,
# and the two parts of the denominator's length term. `found` is the weighted frequency of each term in each row, from
# the index's own postings; counting them gives the document frequency, so that no posting is read twice.
_QUERY = """
WITH query (term, word, memories, floor, slope) AS MATERIALIZED (
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(:query)
),
found (doc, term, tf) AS MATERIALIZED (
    SELECT p.doc, q.term,
        sum(CASE p.col WHEN 'terms' THEN :w_terms WHEN 'context' THEN :w_context ELSE :w_facets END)
    FROM query AS q CROSS JOIN texts_places AS p ON p.term = q.term
    GROUP BY q.term, p.doc
),
counted (term, n) AS MATERIALIZED (SELECT term, count(*) FROM found GROUP BY term),
weighed (term, word, gain, floor, slope) AS MATERIALIZED (
    SELECT q.term, q.word,
        :saturation * ln(1 + (q.memories - coalesce(c.n, 0) + 0.5) / (coalesce(c.n, 0) + 0.5)), q.floor, q.slope
    FROM query AS q LEFT JOIN counted AS c ON c.term = q.term
)"""
_SCORE = "sum(w.gain * f.tf / (f.tf + w.floor + w.slope * t.length)) AS score, group_concat(w.word) AS words"
_MATCH_TEXTS = (
    _QUERY
    + """,
ranked AS MATERIALIZED (
    SELECT t.mem, {score}
    FROM found AS f JOIN weighed AS w ON w.term = f.term CROSS JOIN texts AS t ON t.mem = f.doc
    WHERE :ended IS NULL OR t.ends IS NULL OR t.ends > :ended
    GROUP BY t.mem ORDER BY score DESC, t.mem LIMIT :limit
)
SELECT r.score, r.words, {columns}
FROM ranked AS r CROSS JOIN memories AS v ON v.mem = r.mem LEFT JOIN usage AS u ON u.mem = v.mem
ORDER BY r.score DESC, v.mem"""
)
_MATCH_CURRENT = (
    _QUERY
    + """,
ranked AS MATERIALIZED (
    SELECT t.mem, {score}
    FROM found AS f JOIN weighed AS w ON w.term = f.term CROSS JOIN texts AS t ON t.mem = f.doc
    CROSS JOIN memories AS v ON v.mem = t.mem LEFT JOIN usage AS u ON u.mem = v.mem
    WHERE {conditions}
    GROUP BY t.mem ORDER BY score DESC, t.mem LIMIT :limit
)
SELECT r.score, r.words, {columns}
FROM ranked AS r CROSS JOIN memories AS v ON v.mem = r.mem LEFT JOIN usage AS u ON u.mem = v.mem
ORDER BY r.score DESC, v.mem"""
)
_MATCH_PAST = (
    _QUERY
    + """,
found_old (doc, term, tf) AS MATERIALIZED (
    SELECT p.doc, q.term,
        sum(CASE p.col WHEN 'terms' THEN :w_terms WHEN 'context' THEN :w_context ELSE :w_facets END)
    FROM query AS q CROSS JOIN old_texts_places AS p ON p.term = q.term
    GROUP BY q.term, p.doc
),
places (mem, revision, length, term, tf) AS (
    SELECT t.mem, m.revision, t.length, f.term, f.tf
    FROM found AS f CROSS JOIN texts AS t ON t.mem = f.doc CROSS JOIN memories AS m ON m.mem = t.mem
    UNION ALL
    SELECT t.mem, t.revision, t.length, f.term, f.tf
    FROM found_old AS f CROSS JOIN old_texts AS t ON t.text = f.doc
),
eligible AS MATERIALIZED ({eligible})
SELECT sum(w.gain * t.tf / (t.tf + w.floor + w.slope * t.length)) AS score, group_concat(w.word) AS words, {columns}
FROM places AS t
JOIN weighed AS w ON w.term = t.term
JOIN eligible AS e ON e.mem = t.mem AND e.revision = t.revision
CROSS JOIN versions AS v ON v.mem = t.mem AND v.revision = t.revision
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions}
GROUP BY t.mem ORDER BY score DESC, t.mem LIMIT :limit"""
)


class SqliteReadUnit(ReadUnit):
    """A unit over one connection inside a transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    # Namespaces and memories.

    def namespace(self, name: str) -> Namespace | None:
        row = self._row("namespace", name=name)
        return None if row is None else _namespace(row)

    def namespaces(self) -> list[Namespace]:
        return [_namespace(row) for row in self._rows("namespaces")]

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

    def count(self, selection: Selection) -> int:
        parameters = Parameters()
        source, wanted, _ = self._source(selection, parameters)
        return int(self._connection.execute(_COUNT.format(versions=source, conditions=wanted), parameters).get)

    def known_ids(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[str]:
        names = None if namespaces is None else json.dumps(list(namespaces))
        return [row[0] for row in self._rows("known_ids", names=names, after=after or "", limit=limit)]

    def _source(self, selection: Selection, parameters: Parameters) -> tuple[str, str, str]:
        """Where the selection's versions come from (to stand before ``AS v``), their condition and their columns."""
        spaces = self._spaces(selection)
        wanted = conditions(selection, spaces, parameters)
        if is_current(selection):
            return "memories", wanted, _CURRENT
        source = _ELIGIBLE.format(eligible=eligible(selection, spaces, parameters))
        return f"(SELECT v.* FROM {source})", wanted, _PAST

    def _spaces(self, selection: Selection) -> list[int] | None:
        return None if selection.namespaces is None else [row[0] for row in self._wanted_spaces(selection)]

    # Full text.

    def match(self, terms: Sequence[str], selection: Selection, *, limit: int, weights: TermWeights) -> list[Match]:
        words = list(dict.fromkeys(terms))
        rows = self._wanted_spaces(selection)
        query = [_query_row(row, number, word, weights) for row in rows for number, word in enumerate(words)]
        if not query:
            return []
        parameters = Parameters(
            query=json.dumps(query),
            w_terms=weights.terms,
            w_context=weights.context,
            w_facets=weights.facets,
            saturation=weights.k1 + 1,
            limit=limit,
        )
        sql = _match_sql(selection, [row[0] for row in rows], parameters)
        return [
            Match(record=_record(row[2:]), score=row[0], words=_words(row[1], words))
            for row in self._connection.execute(sql, parameters)
        ]

    def _wanted_spaces(self, selection: Selection) -> list[tuple[Any, ...]]:
        """The rows of the namespaces that a selection names; all of them where it names none."""
        if selection.namespaces is None:
            return self._rows("namespaces")
        names = dict.fromkeys(selection.namespaces)  # each once: a repeated name must not count twice
        return [row for name in names if (row := self._row("namespace", name=name))]

    def text(self, id: str) -> TextRow | None:
        row = self._row("text", id=id)
        if row is None:
            return None
        _, ns, terms, context, facets, context_of = row
        return TextRow(
            terms=_unqualified(ns, terms),
            context=_unqualified(ns, context),
            facets=_unqualified(ns, facets),
            context_of=context_of,
        )

    def followers(self, id: str) -> list[str]:
        return [row[0] for row in self._rows("followers", id=id)]

    def last_turn(self, namespace: str, session: str | None) -> str | None:
        row = self._row("last_turn", namespace=namespace, session=session)
        return None if row is None else str(row[0])

    def by_source(self, namespace: str, session: str | None, source_ids: Sequence[str]) -> dict[str, str]:
        sources = json.dumps(list(source_ids))
        return dict(self._rows("by_source", namespace=namespace, session=session, sources=sources))

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
        rows = self._rows(
            "audit",
            chains=None if query.namespaces is None else json.dumps(query.namespaces),
            since=optional_microseconds(query.since),
            until=optional_microseconds(query.until),
            caller=query.caller,
            operation=query.operation,
            memory=query.memory,
            limit=query.limit,
        )
        return [_AUDIT.decode(row[0]) for row in rows]

    def audit_tail(self, namespace: str) -> AuditRecord | None:
        row = self._row("audit_tail", chain=namespace)
        return None if row is None else _AUDIT.decode(row[0])

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

    def setting(self, name: str) -> str | None:
        row = self._row("setting", name=name)
        return None if row is None else str(row[0])

    def _row(self, query: str, **parameters: Any) -> tuple[Any, ...] | None:
        return self._connection.execute(QUERIES[query], parameters).fetchone()

    def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(QUERIES[query], parameters).fetchall()


def qualify(ns: int, term: str) -> str:
    """A term as the index of namespace ``ns`` writes it: what its tokenizer would split or fold is escaped."""
    return f"{ns:x}_{_escaped(term) if _ODD.search(term) else term}"


def _escaped(term: str) -> str:
    return _ODD.sub(lambda found: f"_{ord(found[0]):02x}", term)


def _unescaped(term: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), term) if "_" in term else term


def _query_row(space: tuple[Any, ...], number: int, word: str, weights: TermWeights) -> tuple[Any, ...]:
    """One word in one namespace, as the query table holds it."""
    ns, _, _, _, memories, total = space
    mean = total / memories if total else 1.0
    return qualify(ns, word), number, memories, weights.k1 * (1 - weights.b), weights.k1 * weights.b / mean


def _match_sql(selection: Selection, spaces: list[int], parameters: Parameters) -> str:
    if not needs_version(selection):
        ended = selection.ended_before
        parameters["ended"] = None if ended is None else microseconds(ended)
        return _MATCH_TEXTS.format(score=_SCORE, columns=_CURRENT)
    wanted = conditions(selection, spaces, parameters)
    if is_current(selection):
        return _MATCH_CURRENT.format(score=_SCORE, conditions=wanted, columns=_CURRENT)
    return _MATCH_PAST.format(eligible=eligible(selection, spaces, parameters), conditions=wanted, columns=_PAST)


def _words(numbers: str, words: list[str]) -> tuple[str, ...]:
    return tuple(words[number] for number in sorted({int(n) for n in numbers.split(",")}))


def qualified(ns: int, terms: Sequence[str]) -> str:
    """A column of terms as it is stored."""
    prefix = qualify(ns, "")
    plain = map(_escaped, terms) if _ODD.search("".join(terms)) else terms
    return prefix + f" {prefix}".join(plain) if terms else ""


def _unqualified(ns: int, column: str) -> tuple[str, ...]:
    prefix = qualify(ns, "")
    return tuple(map(_unescaped, column[len(prefix) :].split(f" {prefix}"))) if column else ()


def _namespace(row: tuple[Any, ...]) -> Namespace:
    _, name, seq, at, memories, words = row
    return Namespace(name=name, seq=seq, at=from_microseconds(at), memories=memories, words=words)


def optional_microseconds(moment: datetime | None) -> int | None:
    """``moment`` as the store keeps it."""
    return None if moment is None else microseconds(moment)


def _optional_time(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)


def _record(row: Sequence[Any]) -> Record:
    (_, salt, retired, version, content_hash, seq_from, seq_to, known_from, known_to, valid_from, valid_to) = row[:11]
    document, state, uses, last_used, heat = row[11:]
    cube = parse_document(document, salt=salt, version=version, content_hash=content_hash)
    if uses is not None:
        seen = Behaviour(state=State(state), uses=uses, last_used=_optional_time(last_used), heat=heat)
        cube = cube.observed(seen)
    return Record(
        cube=cube,
        seq_from=seq_from,
        known_from=from_microseconds(known_from),
        valid_from=from_microseconds(valid_from),
        seq_to=seq_to,
        known_to=_optional_time(known_to),
        valid_to=_optional_time(valid_to),
        retired=_optional_time(retired),
    )
