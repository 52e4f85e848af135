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
_LOGS = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database that is in use, or was not closed


@contextmanager
def opened_backup(file: Path, blobs: Path) -> Iterator[tuple[SqliteStore, FileBlobs]]:
    """The backup ``file``, with its ``blobs`` where it has some, as a store; behind the block it is a file again.

    What a crash left in the folder is gone on with.
    """
    home = Path(f"{file}{SUFFIX}")
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
        try:
            _complete(home / DATABASE)
        finally:
            _move_out(file, blobs, home)


def _move_in(file: Path, blobs: Path, home: Path) -> None:
    database = home / DATABASE
    if not database.exists():
        if not file.is_file():
            raise StoreError(f"there is no backup {file}; name a file that 'pymemos backup' wrote")
        _refuse_store(file)
        home.mkdir(exist_ok=True)
        file.rename(database)
    elif file.exists():
        raise StoreError(f"both {file} and {database} are there; put one of them away, then erase again")
    if blobs.is_dir() and not (home / "blobs").exists():
        blobs.rename(home / "blobs")


def _refuse_store(file: Path) -> None:
    """Refuse the database of a store, which would be moved without its log, and so without what was written last."""
    own = [file.with_name(TICKET)] if file.name == DATABASE else []
    for beside in (*own, *_logs(file)):
        if beside.exists():
            raise StoreError(
                f"{file} is the database of a store, not a backup: {beside.name} stands beside it; erase in that store "
                "instead, or name a file that 'pymemos backup' wrote"
            )


def _logs(database: Path) -> list[Path]:
    return [database.with_name(database.name + suffix) for suffix in _LOGS]


def _complete(database: Path) -> None:
    """Make the database one file, complete without a log."""
    with translated():
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.pragma("journal_mode", "delete")
        finally:
            connection.close()


def _move_out(file: Path, blobs: Path, home: Path) -> None:
    """Make the store a file again; but not without a log that is not in it yet, which the next call goes on with."""
    if any(log.exists() for log in _logs(home / DATABASE)):
        raise StoreError(f"{home} still has a log beside its {DATABASE}; close what has it open, then erase again")
    if (home / "blobs").is_dir():
        (home / "blobs").rename(blobs)
    (home / DATABASE).rename(file)
    (home / TICKET).unlink(missing_ok=True)
    home.rmdir()
    sync_file(file.parent)
