"""The examination of a store: does every part agree with every other?"""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw

from pymemos.adapters.sqlite.read import SqliteReadUnit
from pymemos.cube.call import Selection
from pymemos.cube.wire import hashes
from pymemos.ports import Finding

# Each query counts rows that should not be; every one must give 0.
_DISAGREEMENTS: dict[str, str] = {
    "full text belongs to current memories": """
        SELECT count(*) FROM texts AS t LEFT JOIN memories AS m ON m.mem = t.mem AND m.document IS NOT NULL
        WHERE m.mem IS NULL""",
    "full text ends when its memory ends": """
        SELECT count(*) FROM texts AS t JOIN memories AS m ON m.mem = t.mem WHERE t.ends IS NOT m.valid_to""",
    "old full text belongs to old versions": """
        SELECT count(*) FROM old_texts AS t LEFT JOIN history AS h ON h.mem = t.mem AND h.revision = t.revision
        WHERE h.mem IS NULL""",
    "totals agree with the full text": """
        SELECT count(*) FROM namespaces AS n
        LEFT JOIN (
            SELECT m.ns, count(*) AS memories, sum(t.length) AS words
            FROM texts AS t JOIN memories AS m ON m.mem = t.mem GROUP BY m.ns
        ) AS s ON s.ns = n.ns
        WHERE n.memories <> coalesce(s.memories, 0) OR n.words <> coalesce(s.words, 0)""",
    "vectors belong to current memories": """
        SELECT count(*) FROM vectors AS v LEFT JOIN memories AS m ON m.mem = (v.vector >> 8) & 0xffffffff
        WHERE m.document IS NULL OR m.ns <> v.vector >> 40""",
    "revisions follow each other": """
        SELECT count(*) FROM memories AS m
        LEFT JOIN (SELECT mem, count(*) AS n, max(revision) AS top FROM history GROUP BY mem) AS h ON h.mem = m.mem
        WHERE m.document IS NOT NULL AND coalesce(h.top, 0) >= m.revision""",
    "deleted memories have no current version": """
        SELECT count(*) FROM memories WHERE (document IS NULL) <> (retired IS NOT NULL)""",
    "audit chains have no gap": """
        SELECT count(*) FROM (SELECT chain, max(n) - count(*) AS gap FROM audit GROUP BY chain) WHERE gap <> 0""",
    "derivations are in the graph": """
        SELECT count(*) FROM memories AS m, json_each(m.document, '$.parents') AS p
        LEFT JOIN edges AS e ON e.source = m.id AND e.kind = 'derived_from' AND e.target = p.value ->> '$.id'
        WHERE e.source IS NULL""",
}
_PAGE = 500


def findings(unit: SqliteReadUnit, home: Path) -> list[Finding]:
    """Everything that can be checked on the open database."""
    connection = unit._connection
    return [
        _integrity(connection),
        *(_disagreement(connection, check, query) for check, query in _DISAGREEMENTS.items()),
        _hashes(unit),
        _counts(unit),
        _free_space(home),
    ]


def index_findings(connection: apsw.Connection) -> list[Finding]:
    """FTS5's own check of both indexes; it writes nothing, but SQLite counts it as a write."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        return [_index(connection, name) for name in ("texts_index", "old_texts_index")]
    finally:
        connection.execute("ROLLBACK")


def _integrity(connection: apsw.Connection) -> Finding:
    rows = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    return Finding(check="database integrity", ok=rows == ["ok"], detail="; ".join(rows))


def _index(connection: apsw.Connection, name: str) -> Finding:
    """Does the index hold exactly the words of its rows?"""
    query = {
        "texts_index": "INSERT INTO texts_index (texts_index, rank) VALUES ('integrity-check', 1)",
        "old_texts_index": "INSERT INTO old_texts_index (old_texts_index, rank) VALUES ('integrity-check', 1)",
    }[name]
    try:
        connection.execute(query)
    except apsw.CorruptError as error:
        return Finding(check=f"{name} holds the words of its rows", ok=False, detail=str(error))
    return Finding(check=f"{name} holds the words of its rows", ok=True, detail="ok")


def _disagreement(connection: apsw.Connection, check: str, query: str) -> Finding:
    rows = connection.execute(query).get
    return Finding(check=check, ok=rows == 0, detail="ok" if rows == 0 else f"{rows} rows do not")


def _hashes(unit: SqliteReadUnit) -> Finding:
    """Every current version still has the hash that it was written with."""
    everything, after, wrong = Selection(namespaces=None, episodes=True), None, []
    while page := unit.page(everything, limit=_PAGE, after=after):
        after = page[-1].cube.id
        wrong += [r.cube.id for r in page if hashes(r.cube) != (r.cube.version, r.cube.content_hash)]
    return Finding(check="contents match their hashes", ok=not wrong, detail=", ".join(wrong[:3]) or "ok")


def _counts(unit: SqliteReadUnit) -> Finding:
    spaces = unit.namespaces()
    memories = unit.count(Selection(namespaces=None, episodes=True))
    return Finding(check="counts", ok=True, detail=f"{memories} memories in {len(spaces)} namespaces")


def _free_space(home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    return Finding(check="free space", ok=free > 100 * 2**20, detail=f"{free / 2**30:.1f} GiB")
