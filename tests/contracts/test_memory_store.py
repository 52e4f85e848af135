"""The in-memory adapters keep the contracts of their ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.errors import StoreError
from pymemos.ports import BlobStore, Store
from pymemos.testing.contracts import BlobStoreContract, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = MemoryStore()
        yield store
        store.close()

    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobs()

    def test_a_backup_of_memory_is_refused_with_a_reason(self, tmp_path: Path, store: Store) -> None:
        with pytest.raises(StoreError, match="no file to back up"):
            store.backup(tmp_path / "copy")


class TestMemoryBlobs(BlobStoreContract):
    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobs()
