"""The examination of a store: does every part agree with every other?"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw

from pymemos.adapters.sqlite.read import SqliteReadUnit
from pymemos.cube.call import Selection
from pymemos.cube.wire import hashes
from pymemos.errors import PymemosError
from pymemos.ports import Finding

# Each query counts rows that should not be; every one must give 0.
_DISAGREEMENTS: dict[str, str] = {
    "full text belongs to current memories": """
        SELECT count(*) FROM texts AS t LEFT JOIN memories AS m ON m.mem = t.mem AND m.document IS NOT NULL
        WHERE m.mem IS NULL""",
    "what waits for the index is known": """
        SELECT count(*) <> 1 FROM settings WHERE name = 'indexed_to' AND value = CAST(CAST(value AS INTEGER) AS TEXT)
        AND CAST(value AS INTEGER) BETWEEN 0 AND (SELECT ifnull(max(mem), 0) FROM memories)""",
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
        LEFT JOIN memories AS s ON s.id = p.value ->> '$.id'
        WHERE e.source IS NULL AND p.value ->> '$.id' <> m.id AND s.erased IS NULL""",
}
# Nothing is left of what was erased but the row that says so.
_ERASED: dict[str, str] = {
    "erased memories have no rows": """
        SELECT count(*) FROM memories AS m
        WHERE m.erased IS NOT NULL AND (
            m.document IS NOT NULL OR m.salt <> zeroblob(16) OR m.version <> '' OR m.blob IS NOT NULL
            OR EXISTS (SELECT 1 FROM history AS h WHERE h.mem = m.mem)
            OR EXISTS (SELECT 1 FROM texts AS t WHERE t.mem = m.mem OR t.context_of = m.id)
            OR EXISTS (SELECT 1 FROM old_texts AS t WHERE t.mem = m.mem OR t.context_of = m.id)
            OR EXISTS (SELECT 1 FROM usage AS u WHERE u.mem = m.mem)
            OR EXISTS (SELECT 1 FROM journal AS j WHERE j.mem = m.mem)
            OR EXISTS (SELECT 1 FROM edges AS e WHERE e.source = m.id OR e.target = m.id)
            OR EXISTS (
                SELECT 1 FROM vectors AS v
                WHERE v.vector >= ((m.ns << 40) | (m.mem << 8)) AND v.vector < ((m.ns << 40) | ((m.mem + 1) << 8))
            )
        )""",
    "erased memories have no past vectors": """
        SELECT count(*) FROM old_vectors AS v CROSS JOIN memories AS m ON m.mem = v.mem WHERE m.erased IS NOT NULL""",
    "what waits to be scrubbed belongs to an erasure": """
        SELECT count(*) FROM scrubs WHERE erasure NOT IN (SELECT erasure FROM erasures)""",
}
_WAITING = "SELECT count(DISTINCT erasure) FROM scrubs"
# What each index needs to agree with its rows: what waits to be scrubbed is in it still, and its rows are elsewhere, so
# they come back; what waits to be indexed is put in.
_SETTLED: dict[str, tuple[str, ...]] = {
    "texts_index": (
        """
    INSERT INTO texts_index (rowid, terms, context, facets)
    SELECT mem, terms, context, facets FROM texts
    WHERE mem > (SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'indexed_to')""",
        """
    INSERT INTO texts (mem, length, terms, context, facets)
    SELECT row, 0, terms, context, facets FROM scrubs WHERE place = 'texts' AND row IS NOT NULL""",
        "INSERT INTO texts_index (texts_index, rank) VALUES ('integrity-check', 1)",
    ),
    "old_texts_index": (
        """
    INSERT INTO old_texts (text, mem, revision, length, terms, context, facets)
    SELECT row, -row, 0, 0, terms, context, facets FROM scrubs WHERE place = 'old_texts' AND row IS NOT NULL""",
        "INSERT INTO old_texts_index (old_texts_index, rank) VALUES ('integrity-check', 1)",
    ),
}
_PAGE = 500


def findings(unit: SqliteReadUnit, home: Path) -> list[Finding]:
    """Everything that can be checked on the open database."""
    connection = unit._connection
    return [
        _finding("database integrity", partial(_integrity, connection)),
        *(_finding(check, partial(_disagreement, connection, query)) for check, query in _DISAGREEMENTS.items()),
        *erasure_findings(connection),
        _finding("contents match their hashes", partial(_hashes, unit)),
        _finding("counts", partial(_counts, unit)),
        _finding("free space", partial(_free_space, home)),
    ]


def erasure_findings(connection: apsw.Connection) -> list[Finding]:
    """Whether what was erased is gone from every table, and whether something waits to be scrubbed."""
    waiting = connection.execute(_WAITING).get
    detail = f"{waiting} wait to be scrubbed; 'pymemos worker' does it" if waiting else "ok"
    return [
        *(_finding(check, partial(_disagreement, connection, query)) for check, query in _ERASED.items()),
        Finding(check="erasures are scrubbed", ok=True, detail=detail),
    ]


def index_findings(connection: apsw.Connection) -> list[Finding]:
    """FTS5's own check of both indexes; it writes nothing, but SQLite counts it as a write."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        return [
            _finding(f"{name} holds the words of its rows", partial(_index, connection, statements))
            for name, statements in _SETTLED.items()
        ]
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _finding(check: str, examine: Callable[[], tuple[bool, str]]) -> Finding:
    """What an examination says; damage that keeps it from coming to an end is a finding too."""
    try:
        ok, detail = examine()
    except (apsw.CorruptError, apsw.ConstraintError, PymemosError) as error:
        ok, detail = False, f"{type(error).__name__}: {error}"
    return Finding(check=check, ok=ok, detail=detail)


def _integrity(connection: apsw.Connection) -> tuple[bool, str]:
    rows = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    return rows == ["ok"], "; ".join(rows)


def _index(connection: apsw.Connection, statements: tuple[str, ...]) -> tuple[bool, str]:
    """Does the index hold exactly the words of its rows?"""
    for statement in statements:  # the last one raises where it does not
        connection.execute(statement)
    return True, "ok"


def _disagreement(connection: apsw.Connection, query: str) -> tuple[bool, str]:
    rows = connection.execute(query).get
    return rows == 0, "ok" if rows == 0 else f"{rows} rows do not"


def _hashes(unit: SqliteReadUnit) -> tuple[bool, str]:
    """Every current version still has the hash that it was written with."""
    everything, after, wrong = Selection(namespaces=None, episodes=True), None, []
    while page := unit.page(everything, limit=_PAGE, after=after):
        after = page[-1].cube.id
        wrong += [r.cube.id for r in page if hashes(r.cube) != (r.cube.version, r.cube.content_hash)]
    return not wrong, ", ".join(wrong[:3]) or "ok"


def _counts(unit: SqliteReadUnit) -> tuple[bool, str]:
    spaces = unit.namespaces()
    memories = unit.count(Selection(namespaces=None, episodes=True))
    return True, f"{memories} memories in {len(spaces)} namespaces"


def _free_space(home: Path) -> tuple[bool, str]:
    free = shutil.disk_usage(home).free
    return free > 100 * 2**20, f"{free / 2**30:.1f} GiB"
