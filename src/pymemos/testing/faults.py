"""A fault-injecting SQLite VFS: power loss, crashes, full disks, I/O errors and read-only folders on demand.

Everything is written through to the real files, because the readers of a write-ahead log in the same process must see
it; beside that the VFS keeps what a power failure could take back. One file has a list of changes since its last
successful ``xSync``, and one list holds the files created and deleted since their folder was last synced.

    faults = Faults()
    connection = apsw.Connection(path, vfs=faults.name)
    faults.crash_after(7)          # the eighth write, sync, truncation or deletion fails, and all after it
    ...                            # the application meets an ordinary apsw.IOError
    faults.power_loss(seed=3)      # the disk as it may be after the power failed; seed=None loses all that it may
    connection = apsw.Connection(path, vfs=faults.name)

A crash without power loss, as by ``kill -9``, is ``crash()``, close the connections, ``reboot()``: nothing is lost.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Faults", "Operation"]

SECTOR = 512  # what a disk writes whole or not at all

Change = Literal["xWrite", "xSync", "xTruncate", "xDelete"]
Fallible = Literal["xRead", "xWrite", "xSync", "xTruncate", "xDelete"]

_CODES: dict[Fallible, int] = {
    "xRead": apsw.SQLITE_IOERR_READ,
    "xWrite": apsw.SQLITE_IOERR_WRITE,
    "xSync": apsw.SQLITE_IOERR_FSYNC,
    "xTruncate": apsw.SQLITE_IOERR_TRUNCATE,
    "xDelete": apsw.SQLITE_IOERR_DELETE,
}
_JOURNALS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


class Operation(NamedTuple):
    """One step that changed the disk, or made it durable."""

    operation: Change
    file: str
    offset: int  # of a write; 0 otherwise
    size: int  # bytes written; the new length after a truncation; 0 otherwise


@dataclass(frozen=True, slots=True)
class _Edit:
    """A write or truncation that no sync has made durable, with what undoes it."""

    offset: int
    new: bytes
    old: bytes  # what it overwrote or cut off
    before: int  # size of the file
    after: int

    def undo(self, image: bytearray) -> None:
        _resize(image, self.before)
        image[self.offset : self.offset + len(self.old)] = self.old

    def sectors(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (number of the sector, offset, bytes), so that a write can be torn."""
        offset = self.offset
        while offset < self.offset + len(self.new):
            end = min((offset // SECTOR + 1) * SECTOR, self.offset + len(self.new))
            yield offset // SECTOR, offset, self.new[offset - self.offset : end - self.offset]
            offset = end


@dataclass(slots=True)
class _Node:
    """A file's content, whatever becomes of its name."""

    edits: list[_Edit] = field(default_factory=list)
    deleted: bytes | None = None  # its content when it was deleted


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name that appeared in a folder, or vanished from it, and no sync of the folder since."""

    path: str
    node: _Node
    created: bool


@dataclass(slots=True)
class _Rule:
    operation: Fallible
    suffix: str
    skip: int
    times: int | None

    def strikes(self, operation: Fallible, path: str) -> bool:
        if operation != self.operation or not path.endswith(self.suffix) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults(apsw.VFS):
    """A VFS to pass by its name (``apsw.Connection(path, vfs=faults.name)``); keep it while a connection is open.

    Temporary files, and the shared memory of the write-ahead log, are left alone. While the disk is full or read-only,
    or an operation is to fail, closing the last connection leaves the log as it is.

    SQLite forgives a checkpoint that fails after a commit (``wal_autocheckpoint``), but apsw raises what a Python VFS
    raised: the commit then looks as if it failed. Checkpoints that the application asks for itself are told apart.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"faults-{uuid.uuid4().hex}"
        self.log: list[Operation] = []  # every operation that took effect
        self._lock = threading.Lock()
        self._nodes: dict[str, _Node] = {}
        self._databases: set[str] = set()
        self._entries: list[_Entry] = []
        self._boot = 0  # a file opened before the last reboot belongs to a dead process
        self._dead = False
        self._left: int | None = None  # operations before the crash
        self._free: int | None = None  # bytes
        self._frozen = False
        self._rules: list[_Rule] = []
        super().__init__(self.name, "", maxpathname=0)

    # What happened

    @property
    def operations(self) -> int:
        """How many writes, syncs, truncations and deletions took effect."""
        return len(self.log)

    @property
    def syncs(self) -> int:
        """How many of them were syncs."""
        return sum(entry.operation == "xSync" for entry in tuple(self.log))

    @property
    def crashed(self) -> bool:
        return self._dead

    # Faults

    def crash(self) -> None:
        """Stop the machine: from now on nothing changes the disk, and whatever would is an I/O error."""
        with self._lock:
            self._dead = True

    def crash_after(self, count: int) -> None:
        """Let ``count`` more operations succeed; the next one is the crash and fails."""
        with self._lock:
            self._left = count

    def disk_full(self, after_bytes: int | None = 0) -> None:
        """Let files grow by so many bytes more, less what they shrink; None: the disk has room again."""
        with self._lock:
            self._free = after_bytes

    def fail(self, operation: Fallible, *, nth: int = 1, times: int | None = 1, file: str = "") -> None:
        """Fail the ``nth`` such operation from now on files whose path ends in ``file``, and so many in a row.

        ``times=None`` fails all that follow. The operation changes nothing.
        """
        if operation not in _CODES or nth < 1:
            raise ValueError(f"cannot fail {operation} number {nth}")
        with self._lock:
            self._rules.append(_Rule(operation, file, nth - 1, times))

    def read_only(self, frozen: bool = True) -> None:
        """Refuse writes, as on a read-only folder; what exists can still be opened for reading."""
        with self._lock:
            self._frozen = frozen

    def heal(self) -> None:
        """Take back every fault that was asked for; a crash that has happened stays."""
        with self._lock:
            self._left = self._free = None
            self._frozen = False
            self._rules.clear()

    # After a crash

    def power_loss(self, *, seed: int | None = None, vanish: bool = False) -> None:
        """Crash, lose what was not synced, and start again; see ``restore_disk``."""
        self.restore_disk(seed=seed, vanish=vanish)
        self.reboot()

    def restore_disk(self, *, seed: int | None = None, vanish: bool = False) -> None:
        """Put the real files into a state that the disk may have after the power failed now.

        What was synced is there. Without a seed all the rest is gone: writes, truncations, and deletions whose folder
        was not synced. With a seed an arbitrary part of it survives, sector by sector. ``vanish`` lets files be gone
        whose folder was not synced since they were created.

        The files are new ones under the old names, so connections that were left open cannot disturb them.
        """
        with self._lock:
            self._dead = True
            rng = None if seed is None else random.Random(seed)
            found = self._after_loss(self._surviving_entries(rng, vanish))
            for path in sorted(self._nodes.keys() - found.keys()):
                _remove(path)
            for path, (content, edits) in sorted(found.items()):
                _replace(path, _settle(content, edits, rng))
            for path in self._databases:
                _remove(path + "-shm")  # memory
            self._boot += 1
            self._nodes.clear()
            self._entries.clear()

    def reboot(self) -> None:
        """Let files be opened and changed again; whatever was open before stays dead.

        Close those connections first, unless the disk was restored: they hold locks, as the dead process would not.
        """
        with self._lock:
            self._boot += 1
            self._dead = False
            self._left = None

    def _surviving_entries(self, rng: random.Random | None, vanish: bool) -> int:
        """Return how many of the pending changes to folders survive: a file system keeps their order."""
        created = [number for number, entry in enumerate(self._entries, start=1) if entry.created]
        least = 0 if vanish or not created else created[-1]
        return least if rng is None else rng.randint(least, len(self._entries))

    def _after_loss(self, surviving: int) -> dict[str, tuple[bytes, list[_Edit]]]:
        """Return each file that has a name on the disk, as it is now, with what may be lost of it."""
        found = {path: (_content(path), node.edits) for path, node in self._nodes.items() if os.path.exists(path)}
        for entry in reversed(self._entries[surviving:]):
            if entry.created:
                found.pop(entry.path, None)
            else:
                found[entry.path] = (entry.node.deleted or b"", entry.node.edits)
        return found

    # What SQLite calls

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if name is None or flags[0] & apsw.SQLITE_OPEN_DELETEONCLOSE:
            return apsw.VFSFile("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with self._lock:
            existed = os.path.exists(path)
            wanted = self._permitted(path, flags[0], existed)
            granted = [wanted, flags[1]]
            file = _File(self, path, name, granted)
            flags[1] = granted[1]
            if not existed:
                self._entries.append(_Entry(path, file.node, created=True))
            if wanted & apsw.SQLITE_OPEN_MAIN_DB:
                self._databases.add(path)
            return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        with self._lock:
            self._admit("xDelete", filename)
            content = _content(filename) if os.path.exists(filename) else b""
            super().xDelete(filename, syncdir)
            node = self._nodes.pop(filename, None) or _Node()
            node.deleted = content
            self._entries.append(_Entry(filename, node, created=False))
            if syncdir:
                self._folder_synced(filename)
            self._happened("xDelete", filename, growth=-len(content))

    def xAccess(self, pathname: str, flags: int) -> bool:
        if self._frozen and flags == apsw.SQLITE_ACCESS_READWRITE:
            return False
        return super().xAccess(pathname, flags)

    def _permitted(self, path: str, wanted: int, exists: bool) -> int:
        """Return the flags to open a file with, or raise."""
        if self._dead:
            raise _error(apsw.SQLITE_CANTOPEN, "xOpen", path)
        if not self._frozen or not wanted & apsw.SQLITE_OPEN_READWRITE:
            return wanted
        if not exists:
            code = apsw.SQLITE_READONLY_DIRECTORY if wanted & _JOURNALS else apsw.SQLITE_CANTOPEN
            raise _error(code, "xOpen", path)
        changing = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        return wanted & ~changing | apsw.SQLITE_OPEN_READONLY

    # What the files call, under the lock

    def _node(self, path: str) -> _Node:
        return self._nodes.setdefault(path, _Node())

    def _admit(self, operation: Change, path: str, *, boot: int | None = None, growth: int = 0) -> None:
        """Raise the fault that is due, if any, before an operation."""
        if self._left == 0:
            self._dead = True
        if self._dead or boot not in (None, self._boot):
            raise _error(_CODES[operation], operation, path)
        self._strike(operation, path)
        if self._frozen and operation != "xSync":  # there is nothing to sync
            code = apsw.SQLITE_IOERR_DELETE if operation == "xDelete" else apsw.SQLITE_READONLY
            raise _error(code, operation, path)
        if self._free is not None and growth > max(self._free, 0):
            raise _error(apsw.SQLITE_FULL, operation, path)

    def _strike(self, operation: Fallible, path: str) -> None:
        struck = [rule.strikes(operation, path) for rule in self._rules]  # every rule counts every operation
        if any(struck):
            raise _error(_CODES[operation], operation, path)

    def _armed(self) -> bool:
        return self._frozen or self._free is not None or any(rule.times != 0 for rule in self._rules)

    def _happened(self, operation: Change, path: str, *, offset: int = 0, size: int = 0, growth: int = 0) -> None:
        self.log.append(Operation(operation, path, offset, size))
        if self._left is not None:
            self._left -= 1
        if self._free is not None:
            self._free -= growth

    def _folder_synced(self, path: str) -> None:
        folder = os.path.dirname(path)
        self._entries = [entry for entry in self._entries if os.path.dirname(entry.path) != folder]


class _File(apsw.VFSFile):
    """An open database, log or journal."""

    def __init__(self, faults: Faults, path: str, name: str | apsw.URIFilename, flags: list[int]) -> None:
        # The unix VFS syncs the folder at the first sync of each journal or log that it might have created.
        self._syncs_folder = bool(flags[0] & _JOURNALS and flags[0] & apsw.SQLITE_OPEN_CREATE)
        super().__init__("", name, flags)
        self.node = faults._node(path)
        self._faults = faults
        self._path = path
        self._boot = faults._boot

    def xWrite(self, data: Any, offset: int) -> None:
        with self._faults._lock:
            before = super().xFileSize()
            after = max(before, offset + len(data))
            self._faults._admit("xWrite", self._path, boot=self._boot, growth=after - before)
            old = self._old(offset, min(before, offset + len(data)))
            super().xWrite(data, offset)
            self._edited(_Edit(offset, bytes(data), old, before, after))
            self._faults._happened("xWrite", self._path, offset=offset, size=len(data), growth=after - before)

    def xTruncate(self, newsize: int) -> None:
        with self._faults._lock:
            before = super().xFileSize()
            self._faults._admit("xTruncate", self._path, boot=self._boot, growth=max(newsize - before, 0))
            old = self._old(newsize, before)
            super().xTruncate(newsize)
            self._edited(_Edit(newsize, b"", old, before, newsize))
            self._faults._happened("xTruncate", self._path, size=newsize, growth=newsize - before)

    def xSync(self, flags: int) -> None:
        with self._faults._lock:
            self._faults._admit("xSync", self._path, boot=self._boot)
            super().xSync(flags)
            self.node.edits.clear()
            if self._syncs_folder:
                self._faults._folder_synced(self._path)
                self._syncs_folder = False
            self._faults._happened("xSync", self._path)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._alive("xRead", apsw.SQLITE_IOERR_READ)
        with self._faults._lock:
            self._faults._strike("xRead", self._path)
        return super().xRead(amount, offset)

    def xFileSize(self) -> int:
        self._alive("xFileSize", apsw.SQLITE_IOERR_FSTAT)
        return super().xFileSize()

    def xLock(self, level: int) -> None:
        if level >= apsw.SQLITE_LOCK_EXCLUSIVE and self._must_keep_log():
            # SQLite forgives a checkpoint that fails while a connection is closed, but apsw would raise the failure
            # from close(), or print it if the connection is collected. Only this exception it keeps to itself.
            raise apsw.BusyError
        if level >= apsw.SQLITE_LOCK_RESERVED and self._is_dead():
            raise _error(apsw.SQLITE_IOERR_LOCK, "xLock", self._path)
        super().xLock(level)

    def _is_dead(self) -> bool:
        return self._faults._dead or self._boot != self._faults._boot

    def _must_keep_log(self) -> bool:
        """Say whether the checkpoint that closes a database would meet a fault: in WAL mode only it locks so high."""
        return (self._is_dead() or self._faults._armed()) and os.path.exists(self._path + "-wal")

    def xFileControl(self, op: int, ptr: int) -> bool:
        if op in (apsw.SQLITE_FCNTL_SIZE_HINT, apsw.SQLITE_FCNTL_CHUNK_SIZE):
            return True  # heeding these hints would change the file without a write
        return super().xFileControl(op, ptr)

    def _alive(self, operation: str, code: int) -> None:
        """Raise if this file was opened before the reboot: what it reads is not what is on the disk now."""
        if self._boot != self._faults._boot:
            raise _error(code, operation, self._path)

    def _old(self, start: int, end: int) -> bytes:
        # Read through SQLite: opening the file here and closing it again would drop the locks of this process.
        return super().xRead(end - start, start) if start < end else b""

    def _edited(self, edit: _Edit) -> None:
        if self.node.deleted is None:
            self.node.edits.append(edit)


def _settle(content: bytes, edits: list[_Edit], rng: random.Random | None) -> bytes:
    """Return a file as it may be on the disk, if it holds ``content`` and the edits are not synced."""
    image = bytearray(content)
    for edit in reversed(edits):
        edit.undo(image)
    if rng is not None and edits:
        _redo_some(image, edits, rng)
    return bytes(image)


def _redo_some(image: bytearray, edits: list[_Edit], rng: random.Random) -> None:
    """Apply an arbitrary part of the edits.

    A page cache writes sectors in any order but each as it stood at one moment; so each sector has all its edits up to
    some point and none after it, and so has the file's size.
    """
    sizes = [len(image), *(edit.after for edit in edits)]
    part = rng.choice(("none", "all", "some"))  # of two files often one is all there and the other is not
    extent = {"none": 0, "all": len(edits)}
    reached: dict[int, int] = {}
    resized = extent.get(part, rng.randint(0, len(edits)))
    for number, edit in enumerate(edits):
        if edit.after < edit.before and number < resized:
            del image[edit.after :]
        for sector, offset, data in edit.sectors():
            if sector not in reached:
                reached[sector] = extent.get(part, rng.randint(0, len(edits)))
            if number < reached[sector]:
                _put(image, offset, data)
    _resize(image, sizes[resized])


def _put(image: bytearray, offset: int, data: bytes) -> None:
    _resize(image, max(len(image), offset + len(data)))
    image[offset : offset + len(data)] = data


def _resize(image: bytearray, size: int) -> None:
    del image[size:]
    image.extend(bytes(size - len(image)))


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _replace(path: str, content: bytes) -> None:
    """Write a new file under this name: SQLite finds the locks and shared memory of a file by its inode."""
    new = f"{path}.{uuid.uuid4().hex}"
    with open(new, "xb") as file:
        file.write(content)
    if os.path.exists(path):
        shutil.copymode(path, new)
    os.replace(new, path)


def _error(code: int, operation: str, path: str) -> Exception:
    error = apsw.exception_for(code)
    error.args = (f"injected by the fault VFS: {operation} of {path}",)
    return error
