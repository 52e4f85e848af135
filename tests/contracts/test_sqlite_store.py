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
