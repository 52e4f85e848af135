"""The bare side of a ratio: SQLite with one table and one FTS5 index, as a program without pymemos would use it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apsw

_SCHEMA = """
CREATE TABLE memories (mem INTEGER PRIMARY KEY, ns TEXT NOT NULL, content TEXT NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (
    ns, content, content = 'memories', content_rowid = 'mem', tokenize = 'porter unicode61'
);
"""
_ROWS_SCHEMA = """
CREATE TABLE rows (
    mem INTEGER PRIMARY KEY, id TEXT UNIQUE, ns TEXT, salt BLOB, revision INTEGER, version TEXT, content_hash TEXT,
    type TEXT, document TEXT
);
CREATE INDEX rows_by_namespace ON rows (ns, id);
CREATE VIRTUAL TABLE row_words USING fts5 (ns, content, previous, facets, content = '', tokenize = 'porter unicode61');
"""
_INSERT_ROW = """
INSERT INTO rows (id, ns, salt, revision, version, content_hash, type, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_WORDS = "INSERT INTO row_words (rowid, ns, content, previous, facets) VALUES (?, ?, ?, ?, ?)"
_SEARCH = """
SELECT m.mem, m.ns, m.content, f.rank
FROM (SELECT rowid, rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT 10) AS f
CROSS JOIN memories AS m ON m.mem = f.rowid
ORDER BY f.rank
"""


class Bare:
    """A database with as durable commits as ours."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384")
        self._connection.execute(_SCHEMA)
        self._connection.execute(_ROWS_SCHEMA)

    def add(self, namespace: str, texts: Sequence[str]) -> None:
        """Insert and index the texts in one transaction."""
        with self._connection:
            for text in texts:
                self._connection.execute("INSERT INTO memories (ns, content) VALUES (?, ?)", (namespace, text))
                mem = self._connection.last_insert_rowid()
                self._connection.execute(
                    "INSERT INTO words (rowid, ns, content) VALUES (?, ?, ?)", (mem, namespace, text)
                )

    def add_rows(self, rows: Sequence[tuple[tuple[object, ...], str]]) -> None:
        """Insert the rows that our store holds for some memories, each with its text, in one transaction.

        The index gets what ours gets: the text, the text of the turn before, and the day.
        """
        previous = ""
        with self._connection:
            for row, text in rows:
                self._connection.execute(_INSERT_ROW, row)  # type: ignore[arg-type]
                words = (self._connection.last_insert_rowid(), str(row[1]), text, previous, "2025 may 8 2025-05-08")
                self._connection.execute(_INSERT_WORDS, words)
                previous = text

    def search(self, namespace: str, words: Sequence[str]) -> list[tuple[object, ...]]:
        """The ten best rows of a namespace for the words."""
        return list(self._connection.execute(_SEARCH, (f"ns:{namespace} AND content:({' OR '.join(words)})",)))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
