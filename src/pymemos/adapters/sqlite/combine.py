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

from pymemos.adapters.sqlite.connection import be_patient, translate
from pymemos.adapters.sqlite.migrations import check_not_newer
from pymemos.adapters.sqlite.recent import Recent
from pymemos.adapters.sqlite.write import SqliteWriteUnit
from pymemos.errors import StoreClosed, StoreError, StoreReadOnly

BATCH_LIMIT = 128  # closures in one transaction: enough to share an fsync, few enough to keep others' wait short

# Pages, beyond which the log is copied into the database and then overwritten. Small commits gain by an early turn: a
# file that is overwritten is synced in two thirds of the time of one that grows, whose new blocks are noted down too.
# Large ones gain by a late one: a page that changed many times is copied once. A reader looks a page up in the log's
# index, which has a table for every 4,096 pages: up to the larger limit it is one, and reading is as fast.
LOG_LIMIT = 1_000
LARGE_LOG_LIMIT = 4_000
LARGE = 100  # pages by which the log grew since this process last committed
LONG_LOG = 8_000  # pages, from which on a copy waits a little for readers, so that the log can begin anew
WAIT_MS = 50

RETRY_S = 0.003  # between tries for the ticket
PATIENCE_S = 0.15  # after which a writer queues for it


class Batch:
    """Closures that share a transaction; until that is committed, they failed."""

    def __init__(self) -> None:
        self.committed = False
        self.failure: Exception = StoreError(
            "the thread that wrote for this one was interrupted; nothing was written. Repeat the call."
        )


class Submission:
    """One queued closure, and in the end its result or its error."""

    def __init__(self, work: Callable[[SqliteWriteUnit], Any]) -> None:
        self.work = work
        self.batch: Batch | None = None  # whose it is as soon as somebody sees to it; then it is no longer in the queue
        self.result: Any = None
        self.error: Exception | None = None

    def run(self, connection: apsw.Connection, recent: Recent) -> None:
        """Do the work; an error is kept for whoever submitted it, an interrupt is of the thread that runs it."""
        try:
            self.result = self.work(SqliteWriteUnit(connection, recent))
        except Exception as error:  # noqa: BLE001 (handed to its own caller, whatever it is)
            self.error = _in_our_terms(error)

    def outcome(self, batch: Batch) -> Any:
        """The result, if it was committed; else its own error, or that of the transaction as a whole."""
        if self.error is not None:
            raise self.error
        if not batch.committed:
            raise batch.failure
        return self.result


class Combiner:
    """The one writing connection of a process.

    A thread queues its closure and waits for its turn; the thread whose turn it is runs all that is queued, each
    closure in its own savepoint, and commits once. A thread whose closure was committed by another returns at once.

    An interrupt (Ctrl-C) may come behind any call. So the ticket and the transaction are taken inside the ``try`` that
    gives them back, in one call and without a context manager; to give back what is not held does no harm.
    """

    def __init__(self, connection: apsw.Connection, ticket: Path, recent: Recent) -> None:
        self._connection = connection
        self._queue: deque[Submission] = deque()
        self._turn = threading.Lock()
        self._ticket = _open_ticket(ticket)
        self._recent = recent
        self._log_pages = 0
        self._copied_at = 0  # how long the log was when it was last copied, unless it has begun anew since
        self._log_limit = LOG_LIMIT
        self._closed = False  # read and written by whoever has the turn
        connection.wal_autocheckpoint(0)  # it would run within COMMIT, and its failure would look like ours
        connection.set_wal_hook(self._note_log)

    def write(self, work: Callable[[SqliteWriteUnit], Any]) -> Any:
        """Run ``work`` in a transaction, alone or with others; returns when it is durable."""
        mine = Submission(work)
        try:
            self._queue.append(mine)
            with self._turn:
                while mine.batch is None:
                    self._commit()
                if self._log_pages - self._copied_at > self._log_limit:
                    self._checkpoint()
            return mine.outcome(mine.batch)
        finally:
            if mine.batch is None:  # interrupted while it waited: nobody is to do it any more
                mine.batch = Batch()

    @contextmanager
    def exclusive(self) -> Iterator[apsw.Connection]:
        """The writing connection, while no other thread or process writes."""
        with self._turn:
            try:
                self._take()
                yield self._connection
            finally:
                if not self._closed:  # else its number may be that of another file by now
                    fcntl.flock(self._ticket, fcntl.LOCK_UN)

    def settle(self) -> None:
        """Make what a dead writer left in the log durable: a commit that was never synced is seen, but not kept."""
        with self._turn:
            self._checkpoint()

    def close(self) -> None:
        """Close the connection and the ticket, once; whoever still waits for the turn is told so."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            try:
                self._connection.close()
            finally:
                os.close(self._ticket)

    def _take(self) -> None:
        if self._closed:
            raise StoreClosed()
        _take(self._ticket)

    def _note_log(self, _connection: apsw.Connection, _schema: str, pages: int) -> int:
        """SQLite tells after each commit how long the log is."""
        if pages < self._log_pages:
            self._log_pages = self._copied_at = 0
        self._log_limit = LARGE_LOG_LIMIT if pages - self._log_pages > LARGE else LOG_LIMIT
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the log into the database, as far as readers allow; where that fails the log is as good, only longer.

        It then goes on where it is, and is copied again when it has grown as much once more.
        """
        self._copied_at = self._log_pages
        with suppress(apsw.Error):
            if self._log_pages < LONG_LOG:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            else:
                self._copy_without_readers()

    def _copy_without_readers(self) -> None:
        """Readers that come and go without a gap keep the log where it is, unless somebody waits for one."""
        try:
            self._connection.set_busy_timeout(WAIT_MS)
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        finally:
            be_patient(self._connection)

    def _commit(self) -> None:
        """Carry out what is queued, in one transaction."""
        batch = Batch()
        try:
            members = self._gather(batch)
            self._take()
            self._transact(batch, members)
        except Exception as error:  # noqa: BLE001 (nothing was committed, so everybody in the batch must know)
            batch.failure = _in_our_terms(error)
        finally:
            if not self._closed:
                fcntl.flock(self._ticket, fcntl.LOCK_UN)

    def _gather(self, batch: Batch) -> list[Submission]:
        """Take closures from the queue; one that an interrupt left there belongs to a batch already, and is over."""
        members: list[Submission] = []
        while self._queue and len(members) < BATCH_LIMIT:
            first = self._queue[0]
            if first.batch is None:
                first.batch = batch
                members.append(first)
            self._queue.popleft()
        return members

    def _transact(self, batch: Batch, members: list[Submission]) -> None:
        connection, ending = self._connection, False
        try:
            connection.execute("BEGIN IMMEDIATE")
            if self._recent.begin(connection.data_version()):
                check_not_newer(connection)  # a newer pymemos may have migrated what we have open
            self._run(members)
            ending = True
            connection.execute("COMMIT")
            batch.committed = True
            self._recent.committed(connection.data_version())
        except BaseException as error:
            self._recent.forget()
            if ending and not isinstance(error, apsw.Error):  # interrupted as COMMIT came back, or before it began
                batch.committed = not connection.in_transaction
            raise
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _run(self, members: list[Submission]) -> None:
        if len(members) == 1:  # the transaction is its savepoint
            members[0].run(self._connection, self._recent)
            if members[0].error is not None:
                raise members[0].error
            return
        for submission in members:
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


def _in_our_terms(error: Exception) -> Exception:
    """An error of SQLite as one that tells the next step, any other as it is."""
    if not isinstance(error, apsw.Error):
        return error
    ours = translate(error)
    ours.__cause__ = error
    return ours


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
