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

    def add(self, namespace: str, texts: Sequence[str]) -> None:
        """Insert and index the texts in one transaction."""
        with self._connection:
            for text in texts:
                self._connection.execute("INSERT INTO memories (ns, content) VALUES (?, ?)", (namespace, text))
                mem = self._connection.last_insert_rowid()
                self._connection.execute(
                    "INSERT INTO words (rowid, ns, content) VALUES (?, ?, ?)", (mem, namespace, text)
                )

    def search(self, namespace: str, words: Sequence[str]) -> list[tuple[object, ...]]:
        """The ten best rows of a namespace for the words."""
        return list(self._connection.execute(_SEARCH, (f"ns:{namespace} AND content:({' OR '.join(words)})",)))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
