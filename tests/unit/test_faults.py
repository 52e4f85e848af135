"""The fault-injecting VFS keeps its promises, checked with bare apsw connections."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from pymemos.testing.faults import Faults

pytestmark = pytest.mark.filterwarnings("error")

ROWS = range(1, 13)


@pytest.fixture
def faults() -> Iterator[Faults]:
    faults = Faults()
    yield faults
    faults.unregister()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "memories.db")


def connect(path: str, faults: Faults, *, synchronous: str = "FULL", checkpoint: int = 0) -> apsw.Connection:
    connection = apsw.Connection(path, vfs=faults.name)
    connection.execute("PRAGMA journal_mode=WAL").get  # noqa: B018
    connection.execute(f"PRAGMA synchronous={synchronous}; PRAGMA wal_autocheckpoint={checkpoint}")
    connection.execute("CREATE TABLE IF NOT EXISTS t(x INTEGER PRIMARY KEY, text)")
    return connection


def add(connection: apsw.Connection, x: int) -> None:
    connection.execute("INSERT INTO t VALUES(?, ?)", (x, f"row {x} " * 100))


def rows(connection: apsw.Connection) -> list[int]:
    return [x for (x,) in connection.execute("SELECT x FROM t ORDER BY x")]


def work(path: str, faults: Faults, acknowledged: list[int], **options: object) -> None:
    """Create a database and add rows, each in its own transaction, with checkpoints in between."""
    connection = connect(path, faults, checkpoint=3, **options)  # type: ignore[arg-type]
    try:
        for x in ROWS:
            add(connection, x)
            acknowledged.append(x)
    finally:
        connection.close()


def survivors(path: str, faults: Faults) -> list[int]:
    """Open the database, check that it is whole, and return its rows."""
    connection = apsw.Connection(path, vfs=faults.name)
    try:
        assert connection.pragma("integrity_check") == "ok"
        if not connection.table_exists(None, "t"):
            return []
        for x, text in connection.execute("SELECT * FROM t"):
            assert text == f"row {x} " * 100
        return rows(connection)
    finally:
        connection.close()


def operations_of_work(path: str) -> int:
    faults = Faults()
    work(path, faults, [])
    faults.unregister()
    return faults.operations


# Power loss


@pytest.mark.parametrize(
    ("seed", "vanish"), [(None, False), (None, True), *((s, False) for s in range(5)), *((s, True) for s in range(3))]
)
def test_acknowledged_rows_survive_power_loss_at_every_point(tmp_path: Path, seed: int | None, vanish: bool) -> None:
    total = operations_of_work(str(tmp_path / "clean.db"))
    assert total > 40
    for count in range(total):
        path, faults, acknowledged = str(tmp_path / f"{count}.db"), Faults(), list[int]()
        faults.crash_after(count)
        with pytest.raises((apsw.IOError, apsw.CantOpenError)):
            work(path, faults, acknowledged)
        assert faults.crashed
        assert faults.operations == count
        faults.power_loss(seed=seed, vanish=vanish)
        left = survivors(path, faults)
        assert set(acknowledged) <= set(left), count
        assert left == list(ROWS)[: len(left)], count
        add_more(path, faults)
        faults.unregister()


def add_more(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    add(connection, 1000)
    connection.close()
    assert 1000 in survivors(path, faults)


def test_a_missing_sync_is_detected(path: str, faults: Faults) -> None:
    connection = connect(path, faults, synchronous="OFF")
    add(connection, 1)
    assert faults.syncs <= 6  # those of the change to WAL mode
    faults.power_loss()
    connection.close()
    assert survivors(path, faults) == []


def test_normal_keeps_the_database_whole_but_may_lose_the_last_row(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    add(connection, 1)
    connection.execute("PRAGMA synchronous=NORMAL")
    add(connection, 2)
    faults.power_loss()
    connection.close()
    assert survivors(path, faults) == [1]


def test_part_of_what_was_not_synced_may_survive(tmp_path: Path) -> None:
    seen = set()
    for seed in range(60):
        path, faults = str(tmp_path / f"{seed}.db"), Faults()
        connection = connect(path, faults)
        connection.execute("PRAGMA synchronous=OFF")
        for x in (1, 2, 3):
            add(connection, x)
        connection_log = Path(path + "-wal").read_bytes()
        faults.power_loss(seed=seed)
        connection.close()
        torn = Path(path + "-wal").read_bytes() not in (connection_log, b"")
        seen.add((torn, len(survivors(path, faults))))
        faults.unregister()
    assert {kept for _, kept in seen} >= {0, 3}
    assert (True, 0) in seen


def test_the_same_seed_gives_the_same_disk(tmp_path: Path) -> None:
    def disk(folder: Path, seed: int) -> bytes:
        folder.mkdir()
        path, faults = str(folder / "memories.db"), Faults()
        connection = apsw.Connection(path, vfs=faults.name)
        connection.execute("PRAGMA synchronous=OFF; CREATE TABLE t(x INTEGER PRIMARY KEY, text)")
        for x in ROWS:
            add(connection, x)
        faults.power_loss(seed=seed)
        connection.close()
        return Path(path).read_bytes()

    disks = {(seed, disk(tmp_path / f"{seed}-{again}", seed)) for seed in range(8) for again in (1, 2)}
    assert len(disks) == 8
    assert len({content for _, content in disks}) > 2


def test_a_truncation_that_was_not_synced_may_be_undone(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    add(connection, 1)
    size = os.path.getsize(path + "-wal")
    assert connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE) == (0, 0)
    assert os.path.getsize(path + "-wal") == 0
    assert faults.log[-1][:2] == ("xTruncate", path + "-wal")
    faults.power_loss()
    assert os.path.getsize(path + "-wal") == size
    connection.close()
    assert survivors(path, faults) == [1]


def test_a_deletion_whose_folder_was_not_synced_is_undone(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    add(connection, 1)
    connection.close()
    assert not os.path.exists(path + "-wal")
    faults.restore_disk()
    assert b"row 1" in Path(path + "-wal").read_bytes()  # what an erasure has to reckon with
    faults.reboot()
    assert survivors(path, faults) == [1]


def test_a_journal_deletion_is_durable_only_with_extra(tmp_path: Path, faults: Faults) -> None:
    left = {}
    for level in ("FULL", "EXTRA"):
        path = str(tmp_path / level)
        connection = apsw.Connection(path, vfs=faults.name)
        connection.execute(f"PRAGMA synchronous={level}; CREATE TABLE t(x INTEGER PRIMARY KEY, text)")
        add(connection, 1)
        connection.close()
        faults.power_loss()
        left[level] = survivors(path, faults)
    assert left == {"FULL": [], "EXTRA": [1]}


@pytest.mark.parametrize("vanish", [False, True])
def test_a_new_file_may_vanish_until_its_folder_is_synced(path: str, faults: Faults, vanish: bool) -> None:
    connection = apsw.Connection(path, vfs=faults.name)
    connection.execute("PRAGMA synchronous=OFF; CREATE TABLE t(x)")
    assert os.path.getsize(path)
    faults.power_loss(vanish=vanish)
    connection.close()
    assert os.path.exists(path) is not vanish
    assert vanish or os.path.getsize(path) == 0


def test_shared_memory_is_gone_after_power_loss(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    assert os.path.exists(path + "-shm")
    faults.power_loss()
    assert not os.path.exists(path + "-shm")
    connection.close()


# A crash


def test_nothing_changes_after_a_crash(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    add(connection, 1)
    before = Path(path).read_bytes(), Path(path + "-wal").read_bytes()
    faults.crash()
    with pytest.raises(apsw.IOError) as caught:
        add(connection, 2)
    assert caught.value.extendedresult == apsw.SQLITE_IOERR_WRITE  # type: ignore[attr-defined]
    assert rows(connection) == [1]
    with pytest.raises(apsw.IOError):
        connection.wal_checkpoint()
    with pytest.raises(apsw.CantOpenError):
        apsw.Connection(path, vfs=faults.name)
    connection.close()  # quietly, and without the checkpoint that the last connection makes
    assert (Path(path).read_bytes(), Path(path + "-wal").read_bytes()) == before
    faults.reboot()
    assert survivors(path, faults) == [1]


def test_a_crash_without_power_loss_loses_nothing(path: str, faults: Faults) -> None:
    connection = connect(path, faults, synchronous="OFF")
    add(connection, 1)
    faults.crash()
    connection.close()
    faults.reboot()
    assert survivors(path, faults) == [1]


def test_a_connection_of_the_dead_process_cannot_disturb_the_next(path: str, faults: Faults) -> None:
    dead = connect(path, faults)
    add(dead, 1)
    dead.execute("BEGIN IMMEDIATE")
    add(dead, 2)
    faults.power_loss()
    living = connect(path, faults)
    add(living, 3)
    with pytest.raises(apsw.IOError):
        dead.execute("COMMIT")
    dead.close()
    add(living, 4)
    assert rows(living) == [1, 3, 4]
    living.close()
    assert survivors(path, faults) == [1, 3, 4]


def test_a_forgotten_connection_is_collected_quietly(path: str, faults: Faults) -> None:
    for power in (True, False):
        connection = connect(path, faults)
        add(connection, 1 + power)
        faults.crash()
        with suppress(apsw.IOError):
            add(connection, 9)
        del connection
        gc.collect()  # an unraisable exception would fail the test
        assert os.path.exists(path + "-wal")
        if power:
            faults.restore_disk()
        faults.reboot()
        assert len(survivors(path, faults)) == 2 - power


def test_the_crash_comes_after_so_many_operations(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    done = faults.operations
    faults.crash_after(3)  # the two writes and the sync of one commit
    crashed = []
    add(connection, 1)
    crashed.append(faults.crashed)
    with pytest.raises(apsw.IOError):
        add(connection, 2)
    crashed.append(faults.crashed)
    assert crashed == [False, True]
    assert faults.operations == done + 3
    connection.close()
    faults.power_loss()
    assert survivors(path, faults) == [1]


# Other faults


def test_a_full_disk(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    add(connection, 1)
    faults.disk_full(after_bytes=5_000)  # room for one page and its header
    add(connection, 2)
    with pytest.raises(apsw.FullError):
        add(connection, 3)
    assert rows(connection) == [1, 2]
    assert connection.pragma("integrity_check") == "ok"
    faults.disk_full(None)
    add(connection, 4)
    connection.close()
    assert survivors(path, faults) == [1, 2, 4]


def test_room_comes_back_when_files_shrink(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    for x in ROWS:
        add(connection, x)
    connection.wal_checkpoint()
    faults.disk_full()
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    add(connection, 100)
    connection.close()
    assert survivors(path, faults) == [*ROWS, 100]


def test_closing_on_a_full_disk_leaves_the_log(path: str, faults: Faults) -> None:
    for forget in (False, True):
        connection = connect(path, faults)
        add(connection, 1 + forget)
        faults.disk_full()
        if not forget:
            connection.close()  # as SQLite does: no error
        del connection
        gc.collect()
        assert os.path.getsize(path + "-wal")
        faults.heal()
        assert len(survivors(path, faults)) == 1 + forget
        assert not os.path.exists(path + "-wal")


def test_a_failed_checkpoint_after_a_commit_is_raised_but_the_row_is_there(path: str, faults: Faults) -> None:
    connection = connect(path, faults, checkpoint=1)
    faults.fail("xWrite", file=".db")
    with pytest.raises(apsw.IOError):
        add(connection, 1)
    assert not connection.in_transaction
    assert rows(connection) == [1]
    connection.close()


@pytest.mark.parametrize(
    ("operation", "code"), [("xWrite", apsw.SQLITE_IOERR_WRITE), ("xSync", apsw.SQLITE_IOERR_FSYNC)]
)
def test_a_failed_commit(path: str, faults: Faults, operation: str, code: int) -> None:
    connection = connect(path, faults)
    add(connection, 1)
    faults.fail(operation, file="-wal", times=2)  # type: ignore[arg-type]
    for x in (2, 3):
        with pytest.raises(apsw.IOError) as caught:
            add(connection, x)
        assert caught.value.extendedresult == code  # type: ignore[attr-defined]
        assert "injected" in str(caught.value)
    add(connection, 4)
    assert rows(connection) == [1, 4]
    connection.close()
    assert survivors(path, faults) == [1, 4]


def test_a_failed_read(path: str, faults: Faults) -> None:
    connect(path, faults).close()
    connection = apsw.Connection(path, vfs=faults.name)
    faults.fail("xRead", nth=2, times=None)
    with pytest.raises(apsw.IOError) as caught:
        rows(connection)
    assert caught.value.extendedresult == apsw.SQLITE_IOERR_READ  # type: ignore[attr-defined]
    faults.heal()
    assert rows(connection) == []
    connection.close()


def test_a_failed_truncation(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    add(connection, 1)
    faults.fail("xTruncate")
    with pytest.raises(apsw.IOError) as caught:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert caught.value.extendedresult == apsw.SQLITE_IOERR_TRUNCATE  # type: ignore[attr-defined]
    assert rows(connection) == [1]
    connection.close()


def test_a_failed_deletion(path: str, faults: Faults) -> None:
    connection = apsw.Connection(path, vfs=faults.name)
    connection.execute("CREATE TABLE t(x INTEGER PRIMARY KEY, text)")
    faults.fail("xDelete", file="-journal")
    with pytest.raises(apsw.IOError) as caught:
        add(connection, 1)
    assert caught.value.extendedresult == apsw.SQLITE_IOERR_DELETE  # type: ignore[attr-defined]
    connection.close()
    assert survivors(path, faults) == []


def test_only_the_nth_operation_fails(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    faults.fail("xSync", nth=3)
    failed = []
    for x in ROWS:
        try:
            add(connection, x)
        except apsw.IOError:
            failed.append(x)
    assert failed == [3]
    connection.close()
    with pytest.raises(ValueError, match="number 0"):
        faults.fail("xSync", nth=0)


def test_a_read_only_folder(path: str, faults: Faults) -> None:
    writer = connect(path, faults)
    add(writer, 1)
    faults.read_only()
    with pytest.raises(apsw.ReadOnlyError):
        add(writer, 2)
    reader = apsw.Connection(path, vfs=faults.name)
    assert reader.readonly("main")
    assert rows(reader) == [1]
    with pytest.raises(apsw.ReadOnlyError):
        add(reader, 3)
    with pytest.raises(apsw.CantOpenError):
        apsw.Connection(path + "2", vfs=faults.name)
    reader.close()
    faults.read_only(False)
    add(writer, 4)
    writer.close()
    assert survivors(path, faults) == [1, 4]


def test_a_read_only_folder_without_a_log_cannot_be_read_in_wal_mode(path: str, faults: Faults) -> None:
    connect(path, faults).close()
    faults.read_only()
    connection = apsw.Connection(path, vfs=faults.name)
    with pytest.raises(apsw.ReadOnlyError) as caught:
        rows(connection)
    assert caught.value.extendedresult == apsw.SQLITE_READONLY_DIRECTORY  # type: ignore[attr-defined]
    connection.close()


# Use


def test_the_log_says_what_happened(path: str, faults: Faults) -> None:
    connection = connect(path, faults)
    done, synced = faults.operations, faults.syncs
    add(connection, 1)
    new = faults.log[done:]
    assert [entry.operation for entry in new] == ["xWrite", "xWrite", "xSync"]
    assert {entry.file for entry in new} == {path + "-wal"}
    assert [entry.size for entry in new] == [24, 4096, 0]
    assert new[1].offset == new[0].offset + 24
    assert faults.syncs == synced + 1
    connection.close()
    assert faults.log[-1] == ("xDelete", path + "-wal", 0, 0)


def test_two_connections_see_each_other(path: str, faults: Faults) -> None:
    writer, reader = connect(path, faults), connect(path, faults)
    add(writer, 1)
    assert rows(reader) == [1]
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(apsw.BusyError):
        add(reader, 2)
    writer.execute("COMMIT")
    add(reader, 2)
    assert rows(writer) == [1, 2]
    plain = apsw.Connection(path)  # the default VFS shares locks and shared memory
    assert rows(plain) == [1, 2]
    for connection in (writer, reader, plain):
        connection.close()


def test_threads(path: str, faults: Faults) -> None:
    connect(path, faults).close()

    def write(first: int) -> None:
        connection = apsw.Connection(path, vfs=faults.name)
        connection.set_busy_timeout(20_000)
        for x in range(first, first + 20):
            connection.execute("BEGIN IMMEDIATE")
            add(connection, x)
            connection.execute("COMMIT")
        connection.close()

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    faults.power_loss(seed=1)
    assert len(survivors(path, faults)) == 60


def test_a_uri_and_large_temporary_results(path: str, faults: Faults) -> None:
    flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(f"file:{path}?cache=private", flags, vfs=faults.name)
    connection.execute("PRAGMA temp_store=FILE; PRAGMA cache_size=2; CREATE TEMP TABLE big(x)")
    connection.executemany("INSERT INTO big VALUES(?)", ((os.urandom(1000),) for _ in range(2000)))
    assert connection.execute("SELECT count(*) FROM (SELECT x FROM big ORDER BY x)").get == 2000
    assert faults.operations == 0
    connection.close()


def test_faults_have_names_of_their_own() -> None:
    first, second, third = Faults(), Faults(), Faults("faults-by-name")
    assert first.name != second.name
    assert {first.name, second.name, "faults-by-name"} <= set(apsw.vfs_names())
    for faults in (first, second, third):
        faults.unregister()
    assert first.name not in apsw.vfs_names()
