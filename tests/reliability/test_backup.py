"""Backups: a copy that is made while others write is a whole store, as one moment saw it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.reliability.support import assert_sound, start

from pymemos import MemOS
from pymemos.adapters.sqlite import SqliteStore
from pymemos.errors import StoreError
from pymemos.testing.acts import add
from pymemos.testing.builders import an_entry
from pymemos.testing.faults import Faults

LARGE = 10_000  # memories: more pages than a backup copies in one step


def opened(backup: Path, home: Path) -> MemOS:
    """The backup as the store of a new folder."""
    home.mkdir()
    shutil.copy(backup, home / "store.db")
    return MemOS(home)


def test_a_backup_opens_as_a_store_that_holds_the_same(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home") as mem:
        id = mem.add("Ana lives in Lisbon.", user_id="ana").ids[0]
        mem.update(id, "Ana lives in Porto.", user_id="ana")
        mem.add([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}], user_id="bo")
        mem.delete(mem.add("a mistake", user_id="bo").ids[0])
        lines = list(mem.export_lines())

        target = mem.backup(tmp_path / "copy.db")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "home"]
    with opened(target, tmp_path / "restored") as copy:
        assert list(copy.export_lines()) == lines
        assert [hit.cube.text for hit in copy.search("Porto", user_id="ana")] == ["Ana lives in Porto."]
    assert_sound(tmp_path / "restored")


@pytest.mark.timeout(120)
def test_a_backup_made_while_another_process_writes_is_one_moment_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with MemOS(home) as mem:
        mem.add([{"role": "user", "content": f"turn {n} of a long conversation"} for n in range(LARGE)], user_id="bo")
        writer = start("adder", home, "s", 100_000)
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
        while len(mem.list(user_id="ana", session_id="s")) < 5:
            pass
        copies = [mem.backup(tmp_path / f"{n}.db") for n in range(3)]
        assert writer.poll() is None  # it wrote all the time
        writer.kill()
        writer.communicate()

    counts = []
    for number, target in enumerate(copies):
        with opened(target, tmp_path / f"restored {number}") as copy:
            page = copy.list(user_id="ana", session_id="s", limit=10_000)
            sources = [cube.header.descriptive.source_ids[0] for cube in page]
            assert sources == [f"s-{n}" for n in range(len(sources))]
            counts.append(len(sources))
        assert_sound(tmp_path / f"restored {number}")
    assert counts == sorted(counts)
    assert counts[0] >= 5


def test_a_backup_never_replaces_a_file(tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with MemOS(tmp_path / "home") as mem, pytest.raises(StoreError, match="exists"):
        mem.backup(target)

    assert target.read_text() == "precious"


def test_a_backup_into_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home") as mem, pytest.raises(StoreError, match="make it, or name another"):
        mem.backup(tmp_path / "nowhere" / "copy.db")


def test_of_a_backup_that_failed_nothing_is_left(tmp_path: Path) -> None:
    faults = Faults()
    store = SqliteStore(tmp_path / "home", vfs=faults.name)
    add(store, an_entry("kept"))
    faults.fail("xRead", times=None)

    with pytest.raises(StoreError):
        store.backup(tmp_path / "copy.db")

    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    faults.heal()
    store.close()
