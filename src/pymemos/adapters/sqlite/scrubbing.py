"""The second phase of an erasure: the bytes leave the indexes, the log and the files, and are searched for everywhere.

Each step may be cut off, and is done again from where it was. What is searched for is read before it is removed; where
a crash comes between the two, the store is looked through by its structure instead.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import msgspec

from pymemos.adapters.sqlite import check, leaves
from pymemos.adapters.sqlite.combine import Combiner
from pymemos.adapters.sqlite.connection import be_patient
from pymemos.adapters.sqlite.queries import QUERIES
from pymemos.adapters.sqlite.remnants import PIECE, WIDE, Needles, Searched, pieces, search
from pymemos.adapters.sqlite.write import SqliteWriteUnit
from pymemos.cube.erasure import Verification
from pymemos.errors import StoreBusy, StoreError
from pymemos.ports import BlobStore

BATCH = 200  # rows that leave an index in one transaction: some tenth of a second
QUICKER = 25  # times as long as to make the entry of a row anew takes it to take one out
REBUILT = 500_000  # rows, beyond which an index is not made anew at once: writers would wait for more than ten seconds
DROPPED = 5_000  # kept rows that are removed in one transaction
PATIENCE_S = 10.0  # for readers of what was before; then the job is tried again later
TRY_MS = 50

_NUMBER = "SELECT erasure FROM erasures WHERE id = ?"
_INDEXED = """
SELECT scrub, place, row, terms, context, facets FROM scrubs
WHERE erasure = ? AND row IS NOT NULL LIMIT ?"""
_UNINDEX = {
    "texts": QUERIES["unindex_text"],
    "old_texts": "INSERT INTO old_texts_index (old_texts_index, rowid, terms, context, facets)"
    " VALUES ('delete', ?, ?, ?, ?)",
}
_LEAVING = "SELECT count(*) FROM scrubs WHERE erasure = ? AND place = ? AND row IS NOT NULL"
_STAYING = {place: f"SELECT count(*) FROM {place}" for place in _UNINDEX}
_REBUILD = {place: f"INSERT INTO {place}_index ({place}_index) VALUES ('rebuild')" for place in _UNINDEX}
_ALL_OUT = "UPDATE scrubs SET row = NULL WHERE place = ?"
_TERMS = """
SELECT terms, context, facets FROM scrubs WHERE erasure = ?1 AND terms IS NOT NULL
UNION ALL SELECT bytes, '', '' FROM scrubs
WHERE erasure = ?1 AND place = 'bytes' AND typeof(bytes) = 'text' AND bytes NOT LIKE '{%'"""
_IS_OUT = "UPDATE scrubs SET row = NULL WHERE scrub = ?"
_WHOLE = "SELECT EXISTS (SELECT 1 FROM scrubs WHERE erasure = ? AND place = 'whole')"
_KEPT = "SELECT place, terms, context, facets, bytes FROM scrubs WHERE erasure = ?"
_BLOBS = "SELECT bytes FROM scrubs WHERE erasure = ? AND place = 'blob'"
_KEEP_PIECES = "INSERT INTO scrubs (erasure, place, bytes) VALUES (?, 'pieces', ?)"
_MARK = "INSERT INTO scrubs (erasure, place) VALUES (?, 'whole')"
_DROP_MARK = "DELETE FROM scrubs WHERE erasure = ? AND place = 'whole'"
_DROP = "DELETE FROM scrubs WHERE scrub IN (SELECT scrub FROM scrubs WHERE erasure = ? LIMIT ?)"
_ERASED = """
SELECT m.id FROM memories AS m
WHERE m.erased IS NOT NULL AND m.erased NOT IN (SELECT erasure FROM scrubs)"""
_TABLES = """
SELECT name FROM sqlite_schema
WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT GLOB '*texts_index_*'
ORDER BY name IN ('vectors', 'old_vectors'), name IN ('memories', 'texts') DESC, name"""
_AT_ONCE = 1 << 18  # bytes of rows that are looked through together

Look = Callable[[], AbstractContextManager[apsw.Connection]]  # a connection inside a reading transaction


class Scrubber:
    """Scrubs the files of one store: through its writing connection, and looks of its own."""

    def __init__(self, home: Path, writer: Combiner, look: Look, *, patience_s: float) -> None:
        self._home, self._writer, self._look, self._patience_s = home, writer, look, patience_s

    def scrub(self, erasure: str, blobs: BlobStore) -> Verification:
        """Do what is left to do for an erasure, and search for what it removed."""
        with self._look() as connection:
            row = connection.execute(_NUMBER, (erasure,)).fetchone()
            number = -1 if row is None else int(row[0])
            is_whole = bool(connection.execute(_WHOLE, (number,)).get)
        for place in _UNINDEX:
            self._writer.write(partial(_rebuild_if_quicker, number, place))
        while self._writer.write(partial(_unindex, number)):
            pass
        for place in _UNINDEX:
            self._writer.write(partial(_rename_leaves, number, place))
        self._empty_log()  # whoever still reads what was before is waited for now, while there is something to search
        with self._look() as connection:
            wanted = set(_needles(connection, number)) if is_whole else set()
        self._writer.write(partial(_unlink, number, blobs))
        while self._writer.write(partial(_drop, number)):
            pass
        self._empty_log()
        return self._verified(number, wanted) if is_whole else self._rebuilt()

    def look_again(self) -> Verification:
        """Search every byte for the ends of all documents that were erased, which their ids tell."""
        with self._look() as connection:
            wanted = set(_ends(connection))
        done = self._search(wanted)
        return _report("ids", wanted, done, remnants=len(self._unexplained(done.found)))

    def _verified(self, number: int, wanted: set[bytes]) -> Verification:
        """Write the database anew, then search for everything."""
        left = wanted or {b""}
        try:
            self._rewrite()
            done = self._search(wanted)
            left = self._unexplained(done.found)
            return _report("bytes", wanted, done, remnants=len(left))
        finally:
            if left:  # so that the next attempt knows what to search for
                self._writer.write(partial(_keep, number, wanted))

    def _rebuilt(self) -> Verification:
        """The database written anew holds nothing that no row has; so the rows and indexes are what is looked at."""
        self._rewrite()
        with self._look() as connection:
            wrong = [one for one in check.erasure_findings(connection) if not one.ok]
            wanted = set(_ends(connection))
        with self._writer.exclusive() as connection:
            wrong += [one for one in check.index_findings(connection) if not one.ok]
        done = self._search(wanted)
        remnants = len(wrong) + len(self._unexplained(done.found))
        return _report("structure", wanted, done, remnants=remnants)

    def _search(self, wanted: set[bytes]) -> Searched:
        """Search every file but the blobs that memories name, which are somebody's own."""
        with self._look() as connection:
            named = {row[0] for row in connection.execute(QUERIES["blobs"])}
        try:
            return search(self._home, wanted, skip=named)
        except (subprocess.SubprocessError, OSError) as error:
            raise StoreError(f"the files could not be searched ({error}); the scrub is tried again") from error

    def _unexplained(self, found: Iterable[bytes]) -> set[bytes]:
        """What was found and stands in no row that is there: somebody else may have said the same."""
        left = set(found)
        needles = Needles.of_windows(left)
        with self._look() as connection:
            for rows in _stored(connection):
                if not left:
                    break
                if 2 * len(left) < len(needles):
                    needles = Needles.of_windows(left)
                left -= {needles[place] for place in needles.found_in(rows).tolist()}
        return left

    def _rewrite(self) -> None:
        """Write the database anew: between its rows stand bytes that no deletion overwrites, too few to search for."""
        with self._writer.exclusive() as connection:
            connection.execute("VACUUM")
        self._empty_log()

    def _empty_log(self) -> None:
        """Bring the log into the database and cut it to nothing; readers of what was before must have gone."""
        until, pause = time.monotonic() + self._patience_s, 0.005
        while not self._try_to_empty():
            if time.monotonic() > until:
                raise StoreBusy("somebody still reads the store as it was before the erasure; the scrub is tried again")
            time.sleep(pause)
            pause = min(2 * pause, 0.5)

    def _try_to_empty(self) -> bool:
        with self._writer.exclusive() as connection:
            connection.set_busy_timeout(TRY_MS)
            try:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                return False
            finally:
                be_patient(connection)
        return True


def _unindex(number: int, unit: SqliteWriteUnit) -> bool:
    """Take some rows out of the indexes; says whether there were any."""
    connection = unit._connection
    rows: list[Any] = connection.execute(_INDEXED, (number, BATCH)).fetchall()
    for scrub, place, *row in rows:
        connection.execute(_UNINDEX[place], row)
        connection.execute(_IS_OUT, (scrub,))
    return bool(rows)


def _rebuild_if_quicker(number: int, place: str, unit: SqliteWriteUnit) -> None:
    """Where very much leaves an index, make it anew of the rows that stay: it takes them some 25 µs each."""
    connection = unit._connection
    leaving, staying = connection.execute(_LEAVING, (number, place)).get, connection.execute(_STAYING[place]).get
    if leaving * QUICKER > staying and staying < REBUILT:
        _rebuild(unit, place)


def _rebuild(unit: SqliteWriteUnit, place: str) -> None:
    unit.index_waiting()  # an index that is made anew has every row
    unit._connection.execute(_REBUILD[place])
    unit._connection.execute(_ALL_OUT, (place,))


def _rename_leaves(number: int, place: str, unit: SqliteWriteUnit) -> None:
    """Let no leaf of an index be called by a term that left it: now, or before, when its row went to the history."""
    connection = unit._connection
    rows: Any = connection.execute(_TERMS, (number,))
    gone = {term for row in rows for column in row for term in column.split(" ")} - {""}
    if gone and not leaves.rename(connection, f"{place}_index", gone):
        _rebuild(unit, place)


def _unlink(number: int, blobs: BlobStore, unit: SqliteWriteUnit) -> None:
    """Unlink the files that no version names; inside a transaction, so that none comes to name one meanwhile."""
    names = {row[0] for row in unit._connection.execute(_BLOBS, (number,))}
    for name in sorted(names - unit.blobs()) if names else ():
        blobs.remove(name)


def _drop(number: int, unit: SqliteWriteUnit) -> bool:
    """Remove what was kept to be searched for; the mark that it is whole goes first."""
    connection = unit._connection
    connection.execute(_DROP_MARK, (number,))
    connection.execute(_DROP, (number, DROPPED))
    return bool(connection.changes())


def _keep(number: int, left: set[bytes], unit: SqliteWriteUnit) -> None:
    """Keep pieces to be searched for again."""
    unit._connection.execute(_KEEP_PIECES, (number, b"".join(sorted(left))))
    unit._connection.execute(_MARK, (number,))


def _needles(connection: apsw.Connection, number: int) -> Iterator[bytes]:
    """Pieces of everything that an erasure removed, as it stood in the tables, and its texts in UTF-16 too."""
    for place, terms, context, facets, kept in connection.execute(_KEPT, (number,)):
        for column in (terms, context, facets):
            if column:
                yield from pieces(column.encode())
        if place == "pieces":
            yield from (kept[start : start + PIECE] for start in range(0, len(kept), PIECE))
        if place != "bytes":
            continue
        if isinstance(kept, bytes):
            yield from pieces(kept, WIDE)
            continue
        yield from pieces(kept.encode())
        if kept.startswith("{"):
            content = msgspec.json.decode(kept)["payload"].get("content") or ""
            yield from pieces(content.encode("utf-16-le", "surrogatepass"))


def _ends(connection: apsw.Connection) -> Iterator[bytes]:
    """How the documents of erased memories went on behind the id, which stands like this nowhere else."""
    for (id,) in connection.execute(_ERASED):
        for behind in (b'","payload":{"', b'","parents":[{"'):
            end = id.encode()[-(PIECE - len(behind)) :] + behind
            if len(end) == PIECE:
                yield end


def _stored(connection: apsw.Connection) -> Iterator[bytes]:
    """Everything that stands in the tables, some megabytes at a time; indexes hold nothing else."""
    held, size = [], 0
    names = [row[0] for row in connection.execute(_TABLES)]
    yield b"\0".join(row[0].encode() for row in connection.execute("SELECT sql FROM sqlite_schema WHERE sql NOT NULL"))
    for name in names:
        for row in connection.execute(f'SELECT * FROM "{name}"'):
            for value in row:
                if isinstance(value, str | bytes):
                    held.append(value.encode() if isinstance(value, str) else value)
                    size += len(held[-1])
            if size > _AT_ONCE:
                yield b"\0".join(held)
                held, size = [], 0
    yield b"\0".join(held)


def _report(method: str, wanted: set[bytes], done: Searched, *, remnants: int) -> Verification:
    return Verification(
        method=method,
        needles=len(wanted),
        files=done.files,
        bytes=done.bytes,
        remnants=remnants,
    )
