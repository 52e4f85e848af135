"""Blobs as files: written once, named by their SHA-256, durable before any row names them."""

from __future__ import annotations

import mmap
import os
import re
import stat
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from pymemos.errors import DamagedBlob, InvalidInput, MissingBlob

_CHUNK = 1 << 20  # bytes read at a time
_NAME = re.compile(r"[0-9a-f]{64}")
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe would wait for a writer
_READ_ONLY = 0o400
_TICK_S = 0.05  # longer than any tick of a file system's clock: two writes within one leave the same times

_Stamp = tuple[int, int, int, int, int]  # device, inode, size, and in nanoseconds when bytes and when anything changed


class FileBlobs:
    """The blobs of one store: ``folder/ab/ab12…``, each file complete from the moment it has its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked_at: dict[str, tuple[_Stamp, bool]] = {}  # whether the file was whole, as it was then

    def put(self, source: bytes | memoryview | BinaryIO) -> tuple[str, int]:
        """Write, fsync, rename, fsync the folder; gives the hash and the size in bytes.

        The file can be read only: what is mapped into memory must not change by a mistake.
        """
        return self._put(source)

    def _put(self, source: bytes | memoryview | BinaryIO, expected: str | None = None) -> tuple[str, int]:
        """The same; bytes that have not the hash that is expected get no name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="tmp-", delete=False) as partial:
            try:
                name, size = _copy(source, partial)  # type: ignore[arg-type]
                if expected not in (None, name):
                    raise _changed(str(expected))
                partial.flush()
                os.fchmod(partial.fileno(), _READ_ONLY)
                os.fsync(partial.fileno())
                self._name(Path(partial.name), name)
            except BaseException:
                Path(partial.name).unlink(missing_ok=True)
                raise
        return name, size

    def open(self, blob: str) -> memoryview:
        """The file's bytes, mapped and not copied."""
        return self._mapped(blob)[0]

    def open_whole(self, blob: str) -> memoryview:
        """The file's bytes, of which each was looked at since the file was touched last.

        A file that is written to, or put in the place of another, gets other times, which nobody can set back.
        """
        data, found = self._mapped(blob)
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        known = self._looked_at.get(blob)
        if known is not None and known[0] == stamp:
            whole = known[1]
        else:
            now = time.time()
            whole = sha256(data).hexdigest() == blob
            if now - found.st_ctime > _TICK_S:
                self._looked_at[blob] = (stamp, whole)
        if not whole:
            raise _changed(blob)
        return data

    def names(self) -> set[str]:
        """The hashes of all blobs that are stored."""
        return {path.name for path in self._folder.glob("??/*") if _NAME.fullmatch(path.name)}

    def copy_to(self, folder: Path) -> None:
        """Copy every blob into the blobs of another store; DamagedBlob names those that are not what was stored.

        All others are copied before that, so that damage to one file does not keep a backup from being made.
        """
        copy, damaged = FileBlobs(folder), []
        for name in sorted(self.names() - copy.names()):
            try:
                copy._put(self.open(name), expected=name)
            except DamagedBlob:
                damaged.append(name)
        if damaged:
            raise DamagedBlob(
                f"not copied, for the bytes are not those that were stored: {', '.join(damaged)}; all else was copied. "
                "Put these files back from an earlier backup, or make anew what was kept in them"
            )

    def remove(self, blob: str) -> None:
        """Unlink a blob; one that is not there is no error."""
        path = self._path(blob)
        self._looked_at.pop(blob, None)
        with suppress(FileNotFoundError):
            path.unlink()
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

    def _mapped(self, blob: str) -> tuple[memoryview, os.stat_result]:
        """The bytes with what the file system says of the file; whatever else stands in its place is no blob."""
        try:
            descriptor = os.open(self._path(blob), _READING)
        except FileNotFoundError as error:
            raise MissingBlob(f"blob {blob!r} is not in the store; restore it from a backup") from error
        except OSError as error:
            raise _unreadable(blob, error) from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise DamagedBlob(f"what stands in the place of blob {blob[:12]}… is no file; put the file back there")
            if found.st_size == 0:
                return memoryview(b""), found
            return memoryview(mmap.mmap(descriptor, found.st_size, access=mmap.ACCESS_READ)), found
        except (OSError, ValueError) as error:  # it may become shorter meanwhile
            raise _unreadable(blob, error) from error
        finally:
            os.close(descriptor)

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


def _changed(blob: str) -> DamagedBlob:
    said = "restore it from a backup, or make it again"
    return DamagedBlob(f"the bytes of blob {blob[:12]}… are not those that were stored; {said}")


def _unreadable(blob: str, error: Exception) -> DamagedBlob:
    said = error.strerror if isinstance(error, OSError) else error
    return DamagedBlob(f"blob {blob[:12]}… cannot be read ({said}); restore it from a backup, or make it again")


def _copy(source: bytes | memoryview | BinaryIO, target: BinaryIO) -> tuple[str, int]:
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
