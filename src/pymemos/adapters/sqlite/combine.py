"""Combining writers: whoever holds the turn commits everything that is queued, in one transaction (ADR 0004)."""

from __future__ import annotations

import fcntl
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from pymemos.adapters.sqlite.connection import translate
from pymemos.adapters.sqlite.recent import Recent
from pymemos.adapters.sqlite.write import SqliteWriteUnit
from pymemos.errors import StoreReadOnly

BATCH_LIMIT = 128  # closures in one transaction: enough to share an fsync, few enough to keep others' wait short

LOG_LIMIT = 1_000  # pages, SQLite's own default: a longer log makes reading slower

RETRY_S = 0.003  # between tries for the ticket
PATIENCE_S = 0.15  # after which a writer queues for it


class Submission:
    """One queued closure, and in the end its result or its error."""

    def __init__(self, work: Callable[[SqliteWriteUnit], Any]) -> None:
        self.work = work
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, connection: apsw.Connection, recent: Recent) -> None:
        """Do the work; what it raises is kept for whoever submitted it."""
        try:
            self.result = self.work(SqliteWriteUnit(connection, recent))
        except BaseException as error:  # noqa: BLE001 (handed to its own caller, whatever it is)
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Keep the first error, in our terms: that of the closure, or of the transaction as a whole."""
        if self.error is None:
            self.error = translate(error) if isinstance(error, apsw.Error) else error
            if self.error is not error:
                self.error.__cause__ = error


class Combiner:
    """The one writing connection of a process.

    A thread queues its closure and waits for its turn; the thread whose turn it is runs all that is queued, each
    closure in its own savepoint, and commits once. A thread whose closure was committed by another returns at once.

    An interrupt (Ctrl-C) may come behind any call. So the ticket and the transaction are taken inside the ``try`` that
    gives them back, in one call and without a context manager; to give back what is not held does no harm.
    """

    def __init__(self, connection: apsw.Connection, ticket: Path) -> None:
        self._connection = connection
        self._queue: deque[Submission] = deque()
        self._turn = threading.Lock()
        self._ticket = _open_ticket(ticket)
        self._recent = Recent()
        self._log_pages = 0
        connection.wal_autocheckpoint(0)  # it would run within COMMIT, and its failure would look like ours
        connection.set_wal_hook(self._note_log)

    def write(self, work: Callable[[SqliteWriteUnit], Any]) -> Any:
        """Run ``work`` in a transaction, alone or with others; returns when it is durable."""
        mine = Submission(work)
        self._queue.append(mine)
        with self._turn:
            while not mine.done:
                self._commit([self._queue.popleft() for _ in range(min(len(self._queue), BATCH_LIMIT))])
            if self._log_pages > LOG_LIMIT:
                self._checkpoint()
        if mine.error is not None:
            raise mine.error
        return mine.result

    @contextmanager
    def exclusive(self) -> Iterator[apsw.Connection]:
        """The writing connection, while no other thread or process writes."""
        with self._turn:
            try:
                _take(self._ticket)
                yield self._connection
            finally:
                fcntl.flock(self._ticket, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the connection and the ticket."""
        with self._turn:
            self._connection.close()
            os.close(self._ticket)

    def _note_log(self, _connection: apsw.Connection, _schema: str, pages: int) -> int:
        """SQLite tells after each commit how long the log is."""
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the log into the database, as far as readers allow; where that fails the log is as good, only longer."""
        self._log_pages = 0
        with suppress(apsw.Error):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _commit(self, batch: list[Submission]) -> None:
        try:
            _take(self._ticket)
            self._transact(batch)
        except BaseException as error:  # noqa: BLE001 (nothing was committed: everybody in the batch must know)
            for submission in batch:
                submission.fail(error)
        finally:
            fcntl.flock(self._ticket, fcntl.LOCK_UN)
            for submission in batch:
                submission.done = True

    def _transact(self, batch: list[Submission]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._recent.begin(self._connection.data_version())
            self._run(batch)
            self._connection.execute("COMMIT")
            self._recent.committed(self._connection.data_version())
        except BaseException:
            self._recent.forget()
            raise
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _run(self, batch: list[Submission]) -> None:
        if len(batch) == 1:  # the transaction is its savepoint
            batch[0].run(self._connection, self._recent)
            if batch[0].error is not None:
                raise batch[0].error
            return
        for submission in batch:
            self._connection.execute("SAVEPOINT one")
            submission.run(self._connection, self._recent)
            if submission.error is None:
                self._connection.execute("RELEASE one")
                continue
            self._recent.forget()
            if not self._connection.in_transaction:  # SQLite gave up the whole transaction (full disk, I/O error)
                raise submission.error
            self._connection.execute("ROLLBACK TO one")
            self._connection.execute("RELEASE one")


def _take(ticket: int) -> None:
    """First come, first served between processes, for SQLite's own wait for the lock is unfair: try, then queue.

    A process that is woken at every hand-over does each transaction with cold caches, which doubles its time; trying
    again after a moment lets the holder do several in a row (measured: 0.9 instead of 0.5 of one process's rate).
    Queueing in the end keeps the wait bounded.
    """
    patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience:
        try:
            return fcntl.flock(ticket, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(random.uniform(0.5, 1.5) * RETRY_S)  # noqa: S311 (jitter, not a secret)
    return fcntl.flock(ticket, fcntl.LOCK_EX)


def _open_ticket(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise StoreReadOnly(f"{path.parent} cannot be written ({error.strerror}); check its permissions") from error
