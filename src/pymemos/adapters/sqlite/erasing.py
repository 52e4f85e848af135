"""The first phase of an erasure: what goes leaves every table that anybody reads, in the transaction of the call.

Taking a row out of a full-text index costs some 0.6 ms, for FTS5 then overwrites it. So the rows of the indexes are
moved to the table ``scrubs``, where no read looks, and a job takes them out (``scrubbing``). What the verification
has to look for waits there too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from pymemos.adapters.sqlite.queries import QUERIES
from pymemos.cube.erasure import Counts
from pymemos.errors import StoreError, UnknownMemory

_MEMS = "(SELECT value FROM json_each(:mems))"
_IDS = "(SELECT value FROM json_each(:ids))"
_VECTORS = """
    SELECT v.vector FROM json_each(:mems) AS w CROSS JOIN memories AS m ON m.mem = w.value
    CROSS JOIN vectors AS v
        ON v.vector >= ((m.ns << 40) | (m.mem << 8)) AND v.vector < ((m.ns << 40) | ((m.mem + 1) << 8))"""

_NUMBER = "SELECT erasure FROM erasures WHERE id = ?"
_PLACES = """
SELECT m.mem, m.ns FROM json_each(:ids) AS w CROSS JOIN memories AS m ON m.id = w.value WHERE m.erased IS NULL"""

# What the verification looks for: documents and vectors; and the files that may have to go.
_KEEP = (
    f"""
INSERT INTO scrubs (erasure, place, bytes)
SELECT :erasure, 'bytes', document FROM memories WHERE mem IN {_MEMS} AND document IS NOT NULL
UNION ALL SELECT :erasure, 'bytes', document FROM history WHERE mem IN {_MEMS}""",
    f"""
INSERT INTO scrubs (erasure, place, bytes)
SELECT :erasure, 'bytes', vals FROM vectors WHERE vector IN ({_VECTORS})""",
    f"""
INSERT INTO scrubs (erasure, place, bytes)
SELECT :erasure, 'bytes', vals FROM old_vectors WHERE ns = :ns AND mem IN {_MEMS}""",
    f"""
INSERT INTO scrubs (erasure, place, bytes)
SELECT :erasure, 'blob', blob FROM memories WHERE mem IN {_MEMS} AND blob IS NOT NULL
UNION SELECT :erasure, 'blob', blob FROM history WHERE mem IN {_MEMS} AND blob IS NOT NULL""",
)
_MARK = "INSERT INTO scrubs (erasure, place) VALUES (:erasure, 'whole')"  # until the first of it is removed
_TOTALS = f"""
SELECT count(*), ifnull(sum(t.length), 0) FROM texts AS t CROSS JOIN memories AS m ON m.mem = t.mem
WHERE t.mem IN {_MEMS} AND m.ns = :ns"""
_MOVE = {
    "texts": f"""
INSERT INTO scrubs (erasure, place, row, terms, context, facets)
SELECT :erasure, 'texts', mem, terms, context, facets FROM texts WHERE mem IN {_MEMS}""",
    "old_texts": f"""
INSERT INTO scrubs (erasure, place, row, terms, context, facets)
SELECT :erasure, 'old_texts', text, terms, context, facets FROM old_texts WHERE mem IN {_MEMS}""",
}
_REMOVE = {
    "texts": f"DELETE FROM texts WHERE mem IN {_MEMS}",
    "old_texts": f"DELETE FROM old_texts WHERE mem IN {_MEMS}",
    "vectors": f"DELETE FROM vectors WHERE vector IN ({_VECTORS})",
    "old_vectors": f"DELETE FROM old_vectors WHERE ns = :ns AND mem IN {_MEMS}",
    "history": f"DELETE FROM history WHERE mem IN {_MEMS}",
    "usage": f"DELETE FROM usage WHERE mem IN {_MEMS}",
    "journal": f"DELETE FROM journal WHERE mem IN {_MEMS}",
    "derivations": f"DELETE FROM derivations WHERE mem IN {_MEMS}",
    "signatures": f"DELETE FROM signatures WHERE mem IN {_MEMS}",
    "edges_from": f"DELETE FROM edges WHERE source IN {_IDS}",
    "edges_to": f"DELETE FROM edges WHERE target IN {_IDS}",
    "idempotency": f"""
DELETE FROM idempotency
WHERE EXISTS (SELECT 1 FROM json_each(idempotency.ids) AS named WHERE named.value IN {_IDS})""",
}
# The row that stays says only that there was a memory with this id, and when it went.
_TOMBSTONE = f"""
UPDATE memories SET
    erased = :erasure, changed = :seq, retired = :at, salt = zeroblob(16), revision = 0, version = '',
    content_hash = '', seq_from = 0, known_from = 0, valid_from = 0, valid_to = NULL, type = '', agent = NULL,
    session = NULL, source = NULL, blob = NULL, document = NULL, frozen = 0, expires = NULL
WHERE ns = :ns AND mem IN {_MEMS}"""
_WIPE = "UPDATE namespaces SET wiped = :seq WHERE ns = :ns"

# Rows of other memories with words of what goes.
_LENT = f"""
SELECT f.id, t.context FROM json_each(:ids) AS w CROSS JOIN texts AS t ON t.context_of = w.value
CROSS JOIN memories AS f ON f.mem = t.mem WHERE t.mem NOT IN {_MEMS} ORDER BY f.id"""
_LENT_BEFORE = f"""
SELECT t.text, t.mem, t.revision, t.length, t.terms, t.context, t.facets
FROM json_each(:ids) AS w CROSS JOIN old_texts AS t ON t.context_of = w.value WHERE t.mem NOT IN {_MEMS}"""
_KEEP_WORDS = "INSERT INTO scrubs (erasure, place, bytes) VALUES (?, 'bytes', ?)"
_MOVE_LENT = """
INSERT INTO scrubs (erasure, place, row, terms, context, facets) VALUES (?, 'old_texts', ?, ?, ?, ?)"""


class Erasing:
    """One erasure inside the writer's transaction; ``stamps`` are ns, seq and time of the namespaces of this unit."""

    def __init__(
        self,
        connection: apsw.Connection,
        ids: Sequence[str],
        erasure: str,
        stamps: Mapping[int, tuple[int, int]],
    ) -> None:
        self._connection = connection
        row = connection.execute(_NUMBER, (erasure,)).fetchone()
        if row is None:
            raise StoreError(f"erasure {erasure!r} has no receipt; put_receipt comes before erase")
        named = json.dumps(list(dict.fromkeys(ids)))
        found: list[Any] = connection.execute(_PLACES, {"ids": named}).fetchall()
        if len(found) != len(set(ids)):
            raise UnknownMemory("one of the memories is not in the store")
        homes = sorted({ns for _, ns in found})
        if not stamps.keys() >= set(homes):
            raise StoreError("advance comes before an erasure, for every namespace that it touches")
        self._spaces = {ns: stamps[ns] for ns in homes}
        mems = json.dumps([mem for mem, _ in found])
        self._given = {"ids": named, "mems": mems, "erasure": row[0]}
        self._count = len(found)

    def lent(self) -> list[str]:
        """The current memories whose rows carry words of what goes; the words are kept to be looked for."""
        rows: list[Any] = self._connection.execute(_LENT, self._given).fetchall()
        number = self._given["erasure"]
        self._connection.executemany(_KEEP_WORDS, [(number, context) for _, context in rows if context])
        return [id for id, _ in rows]

    def blank_past(self) -> int:
        """Take words of what goes out of the rows of older versions of other memories; gives how many had some.

        Each gets a new number, under which it is indexed anew: the row as it was leaves the index with the others.
        """
        rows: list[Any] = self._connection.execute(_LENT_BEFORE, self._given).fetchall()
        for text, mem, revision, length, terms, context, facets in rows:
            moved = (self._given["erasure"], text, terms, context, facets)
            self._connection.execute(_MOVE_LENT, moved)
            self._connection.execute("DELETE FROM old_texts WHERE text = ?", (text,))
            shorter = length - (context.count(" ") + 1 if context else 0)
            kept = (mem, revision, None, shorter, terms, "", facets)
            self._connection.execute(QUERIES["insert_old_text"], kept)
            self._connection.execute(
                QUERIES["index_old_text"], (self._connection.last_insert_rowid(), terms, "", facets)
            )
        return sum(bool(row[5]) for row in rows)

    def remove(self) -> Counts:
        """Move and remove the rows; gives how many there were."""
        for statement in (_MARK, *_KEEP):
            self._run(statement)
        for ns in self._spaces:
            totals: Any = self._connection.execute(_TOTALS, {**self._given, "ns": ns}).fetchone()
            memories, words = totals
            self._connection.execute(QUERIES["add_totals"], {"ns": ns, "memories": -memories, "words": -words})
        current = self._connection.execute(
            f"SELECT count(*) FROM memories WHERE mem IN {_MEMS} AND document IS NOT NULL", self._given
        ).get
        blobs = self._connection.execute(
            "SELECT count(*) FROM scrubs WHERE erasure = :erasure AND place = 'blob'", self._given
        ).get
        moved = sum(self._run(statement) for statement in _MOVE.values())
        gone = {name: self._run(statement) for name, statement in _REMOVE.items()}
        for ns, (seq, at) in self._spaces.items():
            self._connection.execute(_TOMBSTONE, {**self._given, "ns": ns, "seq": seq, "at": at})
            self._connection.execute(_WIPE, {"ns": ns, "seq": seq})
        return Counts(
            memories=self._count,
            versions=current + gone["history"],
            texts=moved,
            vectors=gone["vectors"] + gone["old_vectors"],
            edges=gone["edges_from"] + gone["edges_to"],
            states=gone["journal"],
            replays=gone["idempotency"],
            blobs=blobs,
        )

    def _run(self, statement: str) -> int:
        """Do it, for each namespace where it asks for one; gives how many rows it changed."""
        changed = 0
        for ns in self._spaces if ":ns" in statement else (0,):
            self._connection.execute(statement, {**self._given, "ns": ns})
            changed += self._connection.changes()
        return changed
