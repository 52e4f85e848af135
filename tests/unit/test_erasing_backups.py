"""Erasing in a backup: it is one file before and after, and the database of a store is not taken for one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from pymemos import MemOS
from pymemos.adapters.sqlite.backups import opened_backup
from pymemos.errors import StoreError
from pymemos.testing.doubles import FrozenClock

SAID = "Ana keeps the spare key under the zanzibarian flowerpot."
WRITES_AND_DIES = """
import os, sys
from pymemos import MemOS
mem = MemOS(sys.argv[1])
mem.add("Bo likes tea.", user_id="bo")
os._exit(9)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS(tmp_path / "home", clock=FrozenClock()) as opened:
        yield opened


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".db-shm"}


def opened_by_somebody(database: Path) -> apsw.Connection:
    reader = apsw.Connection(str(database))
    reader.execute("BEGIN; SELECT count(*) FROM memories").fetchall()
    return reader


def test_the_own_store_is_not_a_backup(disk: MemOS, tmp_path: Path) -> None:
    id = disk.add(SAID, user_id="ana").ids[0]

    with pytest.raises(StoreError, match="is the database of a store, not a backup"):
        disk.erase_backup(tmp_path / "home" / "store.db", user_id="ana")

    assert disk.get(id).text == SAID
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_store_that_was_closed_is_not_a_backup(disk: MemOS, tmp_path: Path) -> None:
    MemOS(tmp_path / "other").close()
    before = files(tmp_path / "other")

    with pytest.raises(StoreError, match=r"write\.lock stands beside it; erase in that store instead"):
        disk.erase_backup(tmp_path / "other" / "store.db", user_id="ana")

    assert files(tmp_path / "other") == before


def test_a_store_whose_process_died_keeps_its_log(disk: MemOS, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(other)], check=False)
    (other / "write.lock").unlink()
    link = tmp_path / "monday.db"
    link.symlink_to(other / "store.db")

    for named in (other / "store.db", link):
        with pytest.raises(StoreError, match=r"store\.db-wal stands beside it"):
            disk.erase_backup(named, user_id="bo")

    with MemOS(other) as again:
        assert [cube.text for cube in again.list(user_id="bo")] == ["Bo likes tea."]
        assert [one for one in again.doctor() if not one.ok] == []


@pytest.mark.parametrize("name", [".", "/", ".."])
def test_a_folder_is_not_a_backup(disk: MemOS, name: str) -> None:
    with pytest.raises(StoreError, match="there is no backup"):
        disk.erase_backup(name, user_id="ana")


def test_a_link_to_a_backup_stays_a_link_to_it(disk: MemOS, tmp_path: Path) -> None:
    disk.add(SAID, user_id="ana")
    file = Path(disk.backup(tmp_path / "monday.db"))
    link = tmp_path / "newest.db"
    link.symlink_to(file.name)

    assert disk.erase_backup(link, user_id="ana").signed

    assert (link.is_symlink(), b"zanzibarian" in file.read_bytes()) == (True, False)


def test_a_backup_that_cannot_be_completed_is_a_file_again(disk: MemOS, tmp_path: Path) -> None:
    disk.add(SAID, user_id="ana")
    file = Path(disk.backup(tmp_path / "monday.db"))

    with pytest.raises(StoreError), opened_backup(file, tmp_path / "none"):
        (tmp_path / "monday.db.erasing" / "store.db").write_bytes(b"no database any more " * 500)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "monday.db"]


def test_what_somebody_has_open_keeps_its_log_until_the_next_call(disk: MemOS, tmp_path: Path) -> None:
    id = disk.add(SAID, user_id="ana").ids[0]
    file = Path(disk.backup(tmp_path / "monday.db"))
    with pytest.raises(StoreError, match="close what has it open"), opened_backup(file, tmp_path / "none"):
        reader = opened_by_somebody(tmp_path / "monday.db.erasing" / "store.db")
    reader.close()

    assert disk.erase_backup(file, id).signed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "monday.db"]
