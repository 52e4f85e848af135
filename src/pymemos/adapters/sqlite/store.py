"""The embedded store: a folder with a SQLite database, opened by any number of threads and processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import apsw

from pymemos.adapters.sqlite import check, migrations
from pymemos.adapters.sqlite.combine import Combiner
from pymemos.adapters.sqlite.connection import connect, translate, translated
from pymemos.adapters.sqlite.read import SqliteReadUnit
from pymemos.adapters.sqlite.recent import WAITING, Recent
from pymemos.adapters.sqlite.scrubbing import PATIENCE_S, Scrubber
from pymemos.cube.erasure import Verification
from pymemos.errors import BrokenStore, ForeignFolder, NetworkFilesystem, StoreClosed, StoreError, StoreReadOnly
from pymemos.ports import BlobStore, Finding, ReadUnit, Store, WriteUnit

T = TypeVar("T")

DATABASE = "store.db"
TICKET = "write.lock"
_OURS = frozenset({DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal", TICKET, "blobs"})
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs", "lustre"})
_READERS = 8  # idle reading connections that are kept


class SqliteStore(Store):
    """A store in the folder ``home``, created when it is not there.

    ``vfs`` names a SQLite file system other than the platform's, such as ``pymemos.testing.faults``. ``patience_s`` is
    how long a scrub waits for readers of what was before. ``waiting`` is at how many new
    memories the full-text index gets their rows (ADR 0045).
    """

    def __init__(
        self, home: Path, *, vfs: str | None = None, patience_s: float = PATIENCE_S, waiting: int = WAITING
    ) -> None:
        super().__init__()
        self.home = home
        self._vfs = vfs
        self._patience_s = patience_s
        self._waiting = waiting
        self._idle: deque[apsw.Connection] = deque()
        prepare_folder(home)
        self._writer = self._open()

    def _open(self) -> Combiner:
        with translated():
            connection = connect(self.home / DATABASE, vfs=self._vfs, create=True)
            try:
                migrations.check_format(connection)  # before anything is written beside a database that is not ours
                combiner = Combiner(connection, self.home / TICKET, Recent(self._waiting))
            except BaseException:
                connection.close()
                raise
            try:
                with combiner.exclusive():
                    migrations.migrate(connection)
                combiner.settle()
                _sync_folder(self.home)
            except BaseException:
                combiner.close()
                raise
            return combiner

    @contextmanager
    def _read(self) -> Iterator[ReadUnit]:
        with self._look() as connection:
            yield SqliteReadUnit(connection)

    @contextmanager
    def _look(self) -> Iterator[apsw.Connection]:
        """A connection inside a reading transaction."""
        with self._in_use():
            connection = self._borrow()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._give_back(connection)

    def _borrow(self) -> apsw.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return connect(self.home / DATABASE, vfs=self._vfs)

    def _give_back(self, connection: apsw.Connection) -> None:
        if len(self._idle) >= _READERS:
            connection.close()
            return
        self._idle.append(connection)
        if self._closed:  # perhaps after whoever closed the store had looked
            self._close_idle()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Raise SQLite's errors as ours; once the store is closed, its files may be gone, and that is what to say."""
        try:
            yield
        except apsw.Error as error:
            raise (StoreClosed() if self._closed else translate(error)) from error

    def _write(self, work: Callable[[WriteUnit], T]) -> T:
        result: T = self._writer.write(work)
        return result

    def _close(self) -> None:
        with translated():
            self._close_idle()
            self._writer.close()

    def _check(self) -> list[Finding]:
        with self._writer.exclusive() as connection, translated():
            indexes = check.index_findings(connection)
        with self._in_use():
            # A connection of its own: to one that has searched before, FTS5 shows an index that has changed since as
            # damaged, though its searches are right.
            connection = connect(self.home / DATABASE, vfs=self._vfs)
            try:
                connection.execute("BEGIN")
                return [*check.findings(SqliteReadUnit(connection), self.home), *indexes]
            finally:
                connection.close()

    def _scrub(self, erasure: str, blobs: BlobStore) -> Verification:
        with self._in_use():
            return self._scrubber().scrub(erasure, blobs)

    def _remnants(self) -> Verification:
        with self._in_use():
            return self._scrubber().look_again()

    def _scrubber(self) -> Scrubber:
        return Scrubber(self.home, self._writer, self._look, patience_s=self._patience_s)

    def _backup(self, target: Path) -> None:
        _check_name(target)
        if target.exists():
            raise StoreError(f"{target} exists; name a new file for the backup")
        if not target.parent.is_dir():
            raise StoreError(f"there is no folder {target.parent}; make it, or name another for the backup")
        partial = target.with_name(target.name + ".partial")
        partial.unlink(missing_ok=True)
        try:
            self._copy_to(partial)
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)  # of a copy that failed nothing is left
        _sync_folder(target.parent)

    def _copy_to(self, file: Path) -> None:
        with self._in_use():
            copy = apsw.Connection(str(file))
            try:
                self._copy_into(copy)
            finally:
                copy.close()
        sync_file(file)

    def _copy_into(self, copy: apsw.Connection) -> None:
        source = self._borrow()
        try:
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM settings").fetchall()  # hold the snapshot, or every write starts it over
            with copy.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(1000)
            copy.pragma("journal_mode", "delete")  # one file, complete in itself
        finally:
            if source.in_transaction:
                source.execute("ROLLBACK")
            self._give_back(source)


def prepare_folder(home: Path) -> None:
    """Make sure that ``home`` is a folder that is ours, or can become ours."""
    _check_name(home)
    if home.exists() and not home.is_dir():
        raise ForeignFolder(f"{home} is a file; name a folder")
    try:
        home.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in home.iterdir()}
    except PermissionError as error:
        raise StoreReadOnly(f"{home} cannot be opened ({error.strerror}); check its permissions") from error
    if names and DATABASE not in names and not names <= _OURS:
        raise ForeignFolder(
            f"{home} holds something else than a pymemos store ({sorted(names - _OURS)[0]!r}, for example); "
            "name an empty folder or a store"
        )
    if _holds_more_than_a_database(home) and not _is_filled(home / DATABASE):  # in this order: another may make it
        raise BrokenStore(
            f"{home} has a log or tensors, but its {DATABASE} is missing or empty; put the database back, or restore "
            "the newest backup"
        )
    if kind := _network_filesystem(home):
        raise NetworkFilesystem(
            f"{home} is on a network file system ({kind}), where the store's log is not safe; use a local disk"
        )


def _check_name(path: Path) -> None:
    """Refuse a name that is no text: SQLite opens files by names in UTF-8 alone."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise StoreError(
            f"{str(path)!a} is not in UTF-8, and no database opens by such a name; name another"
        ) from error


def _holds_more_than_a_database(home: Path) -> bool:
    """Whether there is what only a store can have whose database was filled before."""
    return _is_filled(home / f"{DATABASE}-wal") or any(path.is_file() for path in (home / "blobs").rglob("*"))


def _is_filled(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _network_filesystem(home: Path) -> str | None:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return None
    rows = [line.split()[1:3] for line in mounts.read_text("utf-8", "replace").splitlines()]
    folder = str(home.resolve())
    holding = [(point, kind) for point, kind in rows if folder == point or folder.startswith(point.rstrip("/") + "/")]
    kind = max(holding, key=lambda mount: len(mount[0]), default=("", ""))[1]
    return kind if kind in _NETWORK else None


def sync_file(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sync_folder: Callable[[Path], Any] = sync_file  # the same calls make a folder's names durable
