"""MemoryBlobs: the blob store as a dict from hash to bytes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from pymemos.errors import DamagedBlob, MissingBlob


class MemoryBlobs:
    """Blobs in memory; they are gone with the object."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._stored: dict[str, datetime] = {}  # when each was last put
        self._lock = threading.Lock()

    def put(self, source: bytes | BinaryIO) -> tuple[str, int]:
        """Keep the bytes; gives their hash and size."""
        data = source if isinstance(source, bytes) else source.read()
        name = sha256(data).hexdigest()
        with self._lock:
            self._blobs.setdefault(name, data)
            self._stored[name] = datetime.now(UTC)
        return name, len(data)

    def open(self, blob: str) -> memoryview:
        """The bytes of a blob."""
        data = self._blobs.get(blob)
        if data is None:
            raise MissingBlob(f"blob {blob!r} is not in the store; restore it from a backup")
        return memoryview(data)

    def open_whole(self, blob: str) -> memoryview:
        """The bytes of a blob, each of which is looked at."""
        data = self.open(blob)
        if sha256(data).hexdigest() != blob:
            raise DamagedBlob(f"the bytes of blob {blob[:12]}… are not those that were stored; make it again")
        return data

    def names(self) -> set[str]:
        """The hashes of all blobs."""
        with self._lock:
            return set(self._blobs)

    def copy_to(self, folder: Path) -> None:
        """Write every blob as a file, where a store of files would look for it."""
        for name, content in self._blobs.items():
            path = folder / name[:2] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def remove(self, blob: str) -> None:
        """Drop a blob, if it is there."""
        with self._lock:
            self._blobs.pop(blob, None)
            self._stored.pop(blob, None)

    def remove_unnamed(self, named: set[str], before: datetime) -> int:
        """Remove what no memory came to name, stored last before a time; gives how much there was."""
        with self._lock:
            left = [blob for blob, at in self._stored.items() if blob not in named and at < before]
            for blob in left:
                del self._blobs[blob], self._stored[blob]
        return len(left)

    def remove_partial(self, before: datetime) -> int:
        """Nothing is ever half written here."""
        return 0
