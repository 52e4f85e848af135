"""The SQLite store and the file blobs, held to the contracts of their ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymemos.adapters.blobs import FileBlobs
from pymemos.adapters.sqlite import SqliteStore
from pymemos.ports import BlobStore, Store
from pymemos.testing.contracts import BlobStoreContract, StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SqliteStore(tmp_path / "home")
        yield store
        store.close()


class TestFileBlobs(BlobStoreContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return FileBlobs(tmp_path / "blobs")
