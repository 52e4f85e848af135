"""The SQLite store and the file blobs, held to the contracts of their ports."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pymemos.adapters.blobs import FileBlobs
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.header import SemanticType
from pymemos.errors import DamagedBlob
from pymemos.ports import BlobStore, Store
from pymemos.testing.acts import add
from pymemos.testing.builders import an_audit_record, an_entry
from pymemos.testing.contracts import BlobStoreContract, StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SqliteStore(tmp_path / "home")
        yield store
        store.close()

    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return FileBlobs(tmp_path / "home" / "blobs")

    def test_what_a_writer_remembers_of_many_sessions_is_small(self, store: Store) -> None:
        tracemalloc.start()
        for n in range(20):
            words = " ".join(f"w{n}x{place}" for place in range(10_000))
            add(store, an_entry(words, session=str(n), semantic_type=SemanticType.MESSAGE))
            many = tuple(f"id {n} {place}" for place in range(10_000))
            store.write(lambda unit, n=n, ids=many: unit.append_audit(an_audit_record(namespace=str(n), memories=ids)))
        gc.collect()  # the test's own texts wait for it
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert held < 4 << 20


class TestFileBlobs(BlobStoreContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return FileBlobs(tmp_path / "blobs")

    def test_what_a_crash_left_half_written_is_removed_once_it_is_old(self, tmp_path: Path) -> None:
        blobs = FileBlobs(tmp_path / "blobs")
        name, _ = blobs.put(b"tensor")
        for part, age in (("tmp-old", 100), ("tmp-new", 0)):
            path = tmp_path / "blobs" / part
            path.write_bytes(b"half")
            os.utime(path, (time.time() - age, time.time() - age))

        assert blobs.remove_partial(datetime.now(UTC) - timedelta(seconds=50)) == 1
        assert [path.name for path in (tmp_path / "blobs").glob("tmp-*")] == ["tmp-new"]
        assert blobs.names() == {name}

    @pytest.mark.parametrize("way", ["in place", "replaced"])
    def test_bytes_that_changed_since_they_were_looked_at_are_found(self, tmp_path: Path, way: str) -> None:
        blobs = FileBlobs(tmp_path / "blobs")
        name, _ = blobs.put(b"tensor")
        path = tmp_path / "blobs" / name[:2] / name
        time.sleep(0.1)  # longer than a tick of the file system's clock
        blobs.open_whole(name)
        then = path.stat()
        target = path if way == "in place" else path.with_suffix(".new")
        path.chmod(0o600)
        target.write_bytes(b"tensoR")
        os.utime(target, ns=(then.st_atime_ns, then.st_mtime_ns))
        target.replace(path)

        for _ in range(2):
            with pytest.raises(DamagedBlob):
                blobs.open_whole(name)
        blobs.put(b"tensor")
        assert bytes(blobs.open_whole(name)) == b"tensor"

    def test_a_change_right_behind_the_look_is_found(self, tmp_path: Path) -> None:
        """Within one tick a file's times stay the same: so soon after it was written, a look is not relied on."""
        for n in range(50):
            blobs = FileBlobs(tmp_path / str(n))
            name, _ = blobs.put(b"tensor")
            path = tmp_path / str(n) / name[:2] / name
            blobs.open_whole(name)
            path.chmod(0o600)
            with path.open("r+b") as file:
                file.write(b"T")

            with pytest.raises(DamagedBlob):
                blobs.open_whole(name)

    @pytest.mark.parametrize("other", ["folder", "loop", "pipe", "file as a folder"])
    def test_what_stands_in_the_place_of_a_file_is_damaged(self, tmp_path: Path, other: str) -> None:
        blobs = FileBlobs(tmp_path / "blobs")
        name, _ = blobs.put(b"tensor")
        path = tmp_path / "blobs" / name[:2] / name
        path.unlink()
        if other == "folder":
            path.mkdir()
        elif other == "loop":
            path.symlink_to(path)
        elif other == "pipe":
            os.mkfifo(path)
        else:
            path.parent.rmdir()
            path.parent.write_bytes(b"")

        for read in (blobs.open, blobs.open_whole):
            with pytest.raises(DamagedBlob):
                read(name)

    def test_a_link_that_leads_nowhere_is_removed_with_its_memory(self, tmp_path: Path) -> None:
        blobs = FileBlobs(tmp_path / "blobs")
        name, _ = blobs.put(b"tensor")
        path = tmp_path / "blobs" / name[:2] / name
        path.unlink()
        path.symlink_to(path)

        blobs.remove(name)

        assert blobs.names() == set()

    def test_a_file_that_lies_elsewhere_and_is_linked_to_is_read(self, tmp_path: Path) -> None:
        blobs = FileBlobs(tmp_path / "blobs")
        name, _ = blobs.put(b"tensor")
        path = tmp_path / "blobs" / name[:2] / name
        path.symlink_to(path.rename(tmp_path / "on another disk"))

        assert bytes(blobs.open_whole(name)) == b"tensor"

    def test_a_copy_holds_all_that_is_whole_and_names_what_is_not(self, tmp_path: Path) -> None:
        """Two files that were swapped are both wrong, and neither takes the place of the other in the copy."""
        blobs, copy = FileBlobs(tmp_path / "blobs"), FileBlobs(tmp_path / "copy")
        one, other, third, whole = (blobs.put(data)[0] for data in (b"one", b"other", b"third", b"whole"))
        paths = [tmp_path / "blobs" / name[:2] / name for name in (one, other, third)]
        paths[0].replace(tmp_path / "aside")
        paths[1].replace(paths[0])
        (tmp_path / "aside").replace(paths[1])
        paths[2].chmod(0o600)
        paths[2].write_bytes(b"thirD")

        with pytest.raises(DamagedBlob) as refused:
            blobs.copy_to(tmp_path / "copy")

        assert all(name in str(refused.value) for name in (one, other, third))
        assert copy.names() == {whole}
        assert not [*(tmp_path / "copy").glob("tmp-*")]

    def test_files_can_be_read_only_and_still_be_replaced_copied_and_removed(self, tmp_path: Path) -> None:
        blobs, copy = FileBlobs(tmp_path / "blobs"), tmp_path / "copy"
        for data in (b"tensor", b"tensor", b""):
            name, _ = blobs.put(data)
        blobs.copy_to(copy)
        blobs.copy_to(copy)

        files = (*tmp_path.glob("blobs/??/*"), *copy.glob("??/*"))
        assert [0o400] * 4 == [path.stat().st_mode & 0o777 for path in files]
        assert blobs.names() == FileBlobs(copy).names()
        blobs.remove(name)
        assert 1 == len(blobs.names())

    def test_what_was_looked_at_is_not_looked_at_again(self, tmp_path: Path) -> None:
        blobs = FileBlobs(tmp_path / "blobs")
        name, _ = blobs.put(bytes(64 << 20))
        time.sleep(0.1)
        taken = []
        for _ in range(2):
            began = time.process_time()
            blobs.open_whole(name)
            taken.append(time.process_time() - began)

        assert taken[1] < taken[0] / 4
