"""Blobs as files: written once, named by their SHA-256, durable before any row names them."""

from __future__ import annotations

import mmap
import os
import re
import tempfile
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from pymemos.errors import InvalidInput, MissingBlob

_CHUNK = 1 << 20  # bytes read at a time
_NAME = re.compile(r"[0-9a-f]{64}")


class FileBlobs:
    """The blobs of one store: ``folder/ab/ab12…``, each file complete from the moment it has its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, source: bytes | BinaryIO) -> tuple[str, int]:
        """Write, fsync, rename, fsync the folder; gives the hash and the size in bytes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="tmp-", delete=False) as partial:
            try:
                name, size = _copy(source, partial)  # type: ignore[arg-type]
                partial.flush()
                os.fsync(partial.fileno())
                self._name(Path(partial.name), name)
            except BaseException:
                Path(partial.name).unlink(missing_ok=True)
                raise
        return name, size

    def open(self, blob: str) -> memoryview:
        """The file's bytes, mapped and not copied."""
        try:
            with self._path(blob).open("rb") as file:
                if os.fstat(file.fileno()).st_size == 0:
                    return memoryview(b"")
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError as error:
            raise MissingBlob(f"blob {blob!r} is not in the store; restore it from a backup") from error

    def names(self) -> set[str]:
        """The hashes of all blobs that are stored."""
        return {path.name for path in self._folder.glob("??/*") if _NAME.fullmatch(path.name)}

    def copy_to(self, folder: Path) -> None:
        """Copy every blob into the blobs of another store."""
        copy = FileBlobs(folder)
        for name in self.names() - copy.names():
            with self._path(name).open("rb") as file:
                copy.put(file)

    def remove(self, blob: str) -> None:
        """Unlink a blob; one that is not there is no error."""
        path = self._path(blob)
        if path.exists():
            path.unlink(missing_ok=True)
            _sync_folder(path.parent)  # else a power failure might bring it back

    def remove_partial(self, before: datetime) -> int:
        """Remove files that a crash left half written before a time; gives how many there were."""
        left = [path for path in self._folder.glob("tmp-*") if path.stat().st_mtime < before.timestamp()]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def remove_unnamed(self, named: set[str], before: datetime) -> int:
        """Remove files that no memory came to name, stored last before a time; gives how many there were."""
        found = [self._path(blob) for blob in self.names() - named]
        left = [path for path in found if path.stat().st_mtime < before.timestamp()]
        for path in left:
            self.remove(path.name)
        return len(left)

    def _path(self, blob: str) -> Path:
        if not _NAME.fullmatch(blob):
            raise InvalidInput(f"a blob is named by 64 hexadecimal digits, not {blob!r}")
        return self._folder / blob[:2] / blob

    def _name(self, partial: Path, name: str) -> None:
        path = self._path(name)
        path.parent.mkdir(exist_ok=True)
        partial.replace(path)
        for folder in (path.parent, self._folder):
            _sync_folder(folder)


def _copy(source: bytes | BinaryIO, target: BinaryIO) -> tuple[str, int]:
    if isinstance(source, bytes | bytearray | memoryview):
        target.write(source)
        return sha256(source).hexdigest(), len(source)
    digest, size = sha256(), 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        size += target.write(chunk)
    return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
