"""Folders that are not a store, or no longer a whole one: a clear error says so, and nothing on the disk is changed."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from tests.reliability.support import assert_sound

from pymemos import MemOS
from pymemos.adapters.sqlite import SqliteStore
from pymemos.adapters.sqlite.migrations import scripts
from pymemos.errors import BrokenStore, ForeignFolder, NewerFormat, StoreError, StoreReadOnly
from pymemos.testing.acts import add, found
from pymemos.testing.builders import an_entry
from pymemos.testing.faults import Faults


def a_store(home: Path) -> None:
    with MemOS(home) as mem:
        for n in range(20):
            mem.add(f"memory {n}", user_id="ana")


def holds_other_files(home: Path) -> None:
    home.mkdir()
    (home / "thesis.txt").write_text("precious")


def is_a_file(home: Path) -> None:
    home.write_text("precious")


def holds_garbage(home: Path) -> None:
    home.mkdir()
    (home / "store.db").write_bytes(bytes(range(256)) * 64)


def holds_a_store_with_garbage_in_its_header(home: Path) -> None:
    a_store(home)
    with (home / "store.db").open("r+b") as file:
        file.write(b"garbage garbage ")


def holds_a_truncated_store(home: Path) -> None:
    a_store(home)
    with (home / "store.db").open("r+b") as file:
        file.truncate((home / "store.db").stat().st_size // 8192 * 4096)


def holds_a_store_of_a_newer_schema(home: Path) -> None:
    a_store(home)
    _run(home, f"PRAGMA user_version = {max(scripts()) + 1}")


def holds_another_programs_database(home: Path) -> None:
    home.mkdir()
    _run(home, "CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('precious')")


def holds_a_database_with_another_programs_mark(home: Path) -> None:
    home.mkdir()
    _run(home, "PRAGMA application_id = 1196444487; CREATE TABLE features (shape BLOB)")


def lost_its_database(home: Path) -> None:
    a_store(home)
    (home / "store.db").rename(home / "store.db-wal")


def has_an_empty_database_beside_its_log(home: Path) -> None:
    lost_its_database(home)
    (home / "store.db").touch()


def has_an_empty_database_beside_tensors(home: Path) -> None:
    holds_tensors_alone(home)
    (home / "store.db").touch()


def holds_tensors_alone(home: Path) -> None:
    (home / "blobs" / "ab").mkdir(parents=True)
    (home / "blobs" / "ab" / ("ab" * 32)).write_text("precious")


def _run(home: Path, script: str) -> None:
    connection = apsw.Connection(str(home / "store.db"))
    connection.execute(script)
    connection.close()


FOLDERS: list[tuple[Callable[[Path], None], type[StoreError]]] = [
    (holds_other_files, ForeignFolder),
    (is_a_file, ForeignFolder),
    (holds_garbage, BrokenStore),
    (holds_a_store_with_garbage_in_its_header, BrokenStore),
    (holds_a_truncated_store, BrokenStore),
    (holds_a_store_of_a_newer_schema, NewerFormat),
    (holds_another_programs_database, ForeignFolder),
    (holds_a_database_with_another_programs_mark, ForeignFolder),
    (lost_its_database, BrokenStore),
    (has_an_empty_database_beside_its_log, BrokenStore),
    (has_an_empty_database_beside_tensors, BrokenStore),
    (holds_tensors_alone, BrokenStore),
]


def on_disk(home: Path) -> dict[str, bytes]:
    """Every file with its bytes, but for what SQLite keeps while a database is open."""
    files = {path.name: path.read_bytes() for path in (home, *home.rglob("*")) if path.is_file()}
    return {
        name: content
        for name, content in files.items()
        if not name.endswith(("-shm", "-wal") if not content else "-shm")
    }


@pytest.mark.parametrize(("make", "error"), FOLDERS, ids=[make.__name__ for make, _ in FOLDERS])
def test_a_folder_that_is_no_whole_store_of_ours_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], error: type[StoreError]
) -> None:
    home = tmp_path / "home"
    make(home)
    before = on_disk(home)

    with pytest.raises(error) as refused:
        MemOS(home)

    assert type(refused.value) is error
    assert len(str(refused.value)) > 40  # what is wrong, and what to do next
    assert on_disk(home) == before


def test_what_a_crash_left_of_the_making_of_a_store_is_no_hindrance(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("store.db", "store.db-wal", "write.lock"):
        (home / name).touch()

    a_store(home)

    assert_sound(home)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system has no such names")
def test_a_name_that_is_not_in_utf_8_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    bad = Path(f"{tmp_path}/\udcff")

    with pytest.raises(StoreError, match="UTF-8"):
        MemOS(bad)
    with MemOS(tmp_path / "home") as mem, pytest.raises(StoreError, match="UTF-8"):
        mem.backup(bad)

    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_page_that_is_damaged_is_found_by_the_check(tmp_path: Path) -> None:
    home = tmp_path / "home"
    a_store(home)
    with (home / "store.db").open("r+b") as file:
        size = (home / "store.db").stat().st_size
        file.seek(size - 6 * 4096)
        file.write(b"\xff" * 4096 * 6)

    mem = MemOS(home)
    findings = mem.doctor()

    assert any(not finding.ok for finding in findings)
    with contextlib.suppress(BrokenStore):  # the examination could not be recorded
        mem.close()


def test_an_index_that_is_damaged_is_a_finding_also_while_texts_wait_for_it(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home", embedder="none") as mem:
        for number in range(20):
            mem.add(f"tram {number}", user_id="ana")
    _run(tmp_path / "home", "UPDATE texts_index_data SET block = x'ff' WHERE id = 10")

    with MemOS(tmp_path / "home", embedder="none") as mem:
        wrong = [finding.check for finding in mem.doctor() if not finding.ok]

    assert "texts_index holds the words of its rows" in wrong


def test_a_store_whose_log_is_lost_opens_as_of_its_last_checkpoint_and_is_sound(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    a_store(home)
    with MemOS(home) as mem:
        mem.add("in the log only", user_id="ana")
        copy.mkdir()
        shutil.copy(home / "store.db", copy)

        with MemOS(copy) as without_log:
            texts = {cube.text for cube in without_log.list(user_id="ana")}

    assert texts == {f"memory {n}" for n in range(20)}
    assert_sound(copy)


def test_a_folder_that_cannot_be_written_makes_no_store(tmp_path: Path) -> None:
    faults = Faults()
    faults.read_only()

    with pytest.raises(StoreReadOnly):
        SqliteStore(tmp_path / "home", vfs=faults.name)

    assert "store.db" not in on_disk(tmp_path)


def test_a_store_that_cannot_be_written_is_refused_and_left_alone(tmp_path: Path) -> None:
    faults = Faults()
    store = SqliteStore(tmp_path / "home", vfs=faults.name)
    add(store, an_entry("kept"))
    store.close()
    before = on_disk(tmp_path)
    faults.read_only()

    with pytest.raises(StoreReadOnly):
        SqliteStore(tmp_path / "home", vfs=faults.name)

    assert on_disk(tmp_path) == before
    faults.heal()
    store = SqliteStore(tmp_path / "home", vfs=faults.name)
    assert found(store) == ["kept"]
    store.close()


def test_a_store_that_becomes_read_only_while_it_is_open_works_again_afterwards(tmp_path: Path) -> None:
    faults = Faults()
    store = SqliteStore(tmp_path / "home", vfs=faults.name)
    add(store, an_entry("before"))

    faults.read_only()
    with pytest.raises(StoreReadOnly):
        add(store, an_entry("meanwhile"))
    assert found(store) == ["before"]
    faults.heal()
    add(store, an_entry("after"))

    assert found(store) == ["after", "before"]
    store.close()
