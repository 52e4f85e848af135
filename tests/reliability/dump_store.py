"""A program that prints the fixture of the present schema: the rows of a small store, as SQL.

    python -m tests.reliability.dump_store > tests/reliability/schemas/store_0006.sql

A fixture is written once, when its schema is released, and never again: migrations are held against it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw

from pymemos import MemOS
from pymemos.testing.doubles import FrozenClock, SequentialIds

INDEXES = ("texts_index", "old_texts_index")
FILLED = """
INSERT INTO texts_index (rowid, terms, context, facets)
SELECT mem, terms, context, facets FROM texts
WHERE mem <= (SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'indexed_to');
INSERT INTO old_texts_index (old_texts_index) VALUES ('rebuild');"""


def fill(mem: MemOS) -> None:
    """A little of everything: a conversation, a change, a deletion, a job, an erasure, a text that waits."""
    mem.add(
        [
            {"role": "user", "content": "I moved to Lisbon in May.", "id": "m1", "name": "Ana"},
            {"role": "assistant", "content": "How do you like the trams?", "id": "m2"},
        ],
        user_id="ana",
        session_id="s1",
    )
    id = mem.add("Ana likes coffee.", user_id="ana", tags=["taste"], metadata={"sure": True}).ids[0]
    mem.update(id, "Ana likes tea.", user_id="ana")
    mem.delete(mem.add("a mistake", user_id="ana").ids[0], user_id="ana")
    mem.enqueue("note", {"n": 1}, user_id="ana")
    mem.share(id, to="users/bo", user_id="ana")
    mem.add("Bo brings tea.", user_id="bo", parents=[id])
    mem.erase(mem.add("Ana regrets this.", user_id="ana").ids[0], user_id="ana", wait=True)
    mem.add("Bo waits for the tram.", user_id="bo")


def dump(database: Path) -> Iterator[str]:
    """The rows of every table that is not part of an index, then the filling of the indexes, without what waits."""
    connection = apsw.Connection(str(database))
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name"):
        if not name.startswith(INDEXES) and "VIRTUAL" not in sql:
            yield from _rows(connection, name)
    yield FILLED.strip()
    connection.close()


def _rows(connection: apsw.Connection, table: str) -> Iterator[str]:
    for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 (a name from the schema)
        yield f"REPLACE INTO {table} VALUES ({', '.join(map(apsw.format_sql_value, row))});"  # noqa: S608


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with MemOS(home, clock=FrozenClock(), new_id=SequentialIds(), key=bytes(32)) as mem:
            fill(mem)
        sys.stdout.writelines(line + "\n" for line in dump(home / "store.db"))


if __name__ == "__main__":
    main()
