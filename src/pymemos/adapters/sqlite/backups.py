"""A backup that is opened like a store, to be changed in place, and put back as one file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from pymemos.adapters.blobs import FileBlobs
from pymemos.adapters.sqlite.connection import translated
from pymemos.adapters.sqlite.store import DATABASE, TICKET, SqliteStore, sync_file
from pymemos.errors import StoreError

SUFFIX = ".erasing"  # of the folder that a backup is a store in while it is changed


@contextmanager
def opened_backup(file: Path, blobs: Path) -> Iterator[tuple[SqliteStore, FileBlobs]]:
    """The backup ``file``, with its ``blobs`` where it has some, as a store; behind the block it is a file again.

    What a crash left in the folder is gone on with.
    """
    home = file.with_name(file.name + SUFFIX)
    _move_in(file, blobs, home)
    try:
        store = SqliteStore(home)
    except BaseException:
        _move_out(file, blobs, home)
        raise
    try:
        yield store, FileBlobs(home / "blobs")
    finally:
        store.close()
        _complete(home / DATABASE)
        _move_out(file, blobs, home)


def _move_in(file: Path, blobs: Path, home: Path) -> None:
    database = home / DATABASE
    if not database.exists():
        if not file.is_file():
            raise StoreError(f"there is no backup {file}; name a file that 'pymemos backup' wrote")
        home.mkdir(exist_ok=True)
        file.rename(database)
    elif file.exists():
        raise StoreError(f"both {file} and {database} are there; put one of them away, then erase again")
    if blobs.is_dir() and not (home / "blobs").exists():
        blobs.rename(home / "blobs")


def _complete(database: Path) -> None:
    """Make the database one file, complete without a log."""
    with translated():
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.pragma("journal_mode", "delete")
        finally:
            connection.close()


def _move_out(file: Path, blobs: Path, home: Path) -> None:
    if (home / "blobs").is_dir():
        (home / "blobs").rename(blobs)
    (home / DATABASE).rename(file)
    (home / TICKET).unlink(missing_ok=True)
    home.rmdir()
    sync_file(file.parent)
