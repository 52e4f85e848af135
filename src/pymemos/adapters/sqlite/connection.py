"""Connections to the store's database: how they are set up, and how their errors become ours."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw

from pymemos.cube.filters import microseconds
from pymemos.errors import BrokenStore, PymemosError, StoreBusy, StoreError, StoreFull, StoreReadOnly

BUSY_LIMIT_S = 30.0  # longer than any transaction of ours; then StoreBusy
CACHE_KB = 16_384  # page cache of a connection

# Which of our errors tells the next step for an error of SQLite.
_ERRORS: tuple[tuple[type[apsw.Error], type[PymemosError]], ...] = (
    (apsw.FullError, StoreFull),
    (apsw.ReadOnlyError, StoreReadOnly),
    (apsw.PermissionsError, StoreReadOnly),
    (apsw.CantOpenError, StoreReadOnly),
    (apsw.BusyError, StoreBusy),
    (apsw.LockedError, StoreBusy),
    (apsw.CorruptError, BrokenStore),
    (apsw.NotADBError, BrokenStore),
    (apsw.Error, StoreError),
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise SQLite's errors as ours, with the cause attached."""
    try:
        yield
    except apsw.Error as error:
        raise translate(error) from error


def translate(error: apsw.Error) -> PymemosError:
    """The error of ours that tells the next step for ``error``."""
    ours = next(ours for theirs, ours in _ERRORS if isinstance(error, theirs))
    return ours(f"{' '.join((ours.__doc__ or '').split())} ({type(error).__name__}: {error})")


def connect(path: Path, *, vfs: str | None = None, create: bool = False) -> apsw.Connection:
    """A connection with the settings that every connection of ours has."""
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=200)
    be_patient(connection)
    connection.execute("PRAGMA synchronous = FULL")  # an acknowledged commit is on the disk
    connection.execute("PRAGMA secure_delete = ON")  # deleted bytes are overwritten
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.pragma("cache_size", -CACHE_KB)
    connection.create_scalar_function("microseconds", _microseconds, 1, deterministic=True)
    return connection


def be_patient(connection: apsw.Connection) -> None:
    """Let the connection wait for others as long as any transaction of ours may take."""
    connection.set_busy_handler(_patient())


def _patient() -> Callable[[int], bool]:
    """A busy handler that waits with jitter: SQLite's own backs off in step, so that some writers starve."""
    started = 0.0

    def wait(attempt: int) -> bool:
        nonlocal started
        if attempt == 0:
            started = time.monotonic()
        if time.monotonic() - started > BUSY_LIMIT_S:
            return False
        time.sleep(random.uniform(0.0002, 0.002) * min(attempt + 1, 10))  # noqa: S311 (jitter, not a secret)
        return True

    return wait


def _microseconds(*arguments: Any) -> int | None:
    """The SQL function that reads a time of a document, for filters."""
    text = arguments[0]
    return None if text is None else microseconds(datetime.fromisoformat(text))
