"""The write-ahead log is copied into the database and begins anew, also beside readers that come and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymemos.adapters.sqlite import SqliteStore
from pymemos.adapters.sqlite.combine import LOG_LIMIT, LONG_LOG
from pymemos.testing.acts import add
from pymemos.testing.builders import a_row, an_entry

FRAME = 4_096 + 24  # bytes of a page in the log


def length_of_log(store: SqliteStore, adds: int) -> int:
    """The pages of the log's file, which never shrinks, after so many small commits."""
    for number in range(adds):
        add(store, an_entry(f"tram {number}", text=a_row(f"tram n{number}")))
    return (store.home / "store.db-wal").stat().st_size // FRAME


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "home")
    yield store
    store.close()


def test_the_log_of_small_commits_stays_short(store: SqliteStore) -> None:
    assert length_of_log(store, 500) < 1.2 * LOG_LIMIT


def test_readers_without_a_gap_between_them_do_not_make_the_log_grow_for_ever(store: SqliteStore) -> None:
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with store.read() as unit:
                unit.namespaces()  # from here on it sees this moment
                time.sleep(0.005)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        assert length_of_log(store, 3_000) < 1.5 * LONG_LOG  # more than twice as many pages were written
    finally:
        done.set()
        for reader in readers:
            reader.join()
