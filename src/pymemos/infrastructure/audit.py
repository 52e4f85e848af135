"""The audit log: one chain per namespace, each entry sealed to the one before under the instance key (5.5.1)."""

from __future__ import annotations

import os
import secrets
import threading
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import msgspec

from pymemos.cube.wire import digest, encode
from pymemos.errors import StoreClosed, StoreError, StoreReadOnly
from pymemos.ports import AuditRecord, WriteUnit

KEY_BYTES = 32
BUFFER_LIMIT = 2_000  # entries of reads that wait; beyond it a read waits for them to be written
FLUSH_S = 1.0  # a crash may lose the records of this many seconds of reads, never of a change


@cache
def key_id(key: bytes) -> str:
    """The public name of an instance key."""
    return digest(b"pymemos instance key", key=key)[:16]


def instance_key(folder: Path, store_id: str, *, new: bool = True) -> bytes:
    """The key of a store, kept outside it with mode 0600; made on first use.

    A store that is not ``new`` should have one: where it is missing, as on another machine, the new key says so.
    """
    path = folder / f"{store_id}.key"
    if path.exists():
        return read_key(path)
    if not new:
        warnings.warn(
            f"the instance key of this store is not in {folder}, so a new one is made: it cannot verify earlier audit "
            "entries, and earlier idempotency keys are void; to keep both, copy the key from where it was made",
            stacklevel=4,
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_once(path, secrets.token_bytes(KEY_BYTES).hex())
    except FileExistsError:
        pass  # another process opened the new store at the same time: its key is the store's
    except OSError as error:
        raise StoreReadOnly(
            f"the instance key cannot be kept in {folder} ({error.strerror}); "
            "set PYMEMOS_CONFIG_DIR to a folder that can be written"
        ) from error
    return read_key(path)


def sealed(record: AuditRecord, previous: AuditRecord | None, key: bytes) -> AuditRecord:
    """``record`` as the entry that follows ``previous``."""
    numbered = msgspec.structs.replace(record, n=previous.n + 1 if previous else 1, key_id=key_id(key), mac="")
    return msgspec.structs.replace(numbered, mac=_mac(numbered, previous, key))


def seal_of(record: AuditRecord, previous: AuditRecord | None, key: bytes) -> str:
    """The MAC that an entry must have behind ``previous``."""
    return _mac(msgspec.structs.replace(record, mac=""), previous, key)


def first_broken(chain: Iterable[AuditRecord], key: bytes) -> int | None:
    """The number of the first entry that is not what was written, from entry 1 on; None when the chain holds."""
    previous: AuditRecord | None = None
    for place, record in enumerate(chain, start=1):
        if record.n != place or record.mac != seal_of(record, previous, key):
            return place
        previous = record
    return None


class AuditBuffer:
    """Records of reads and uses on their way to the store: written within a second, or when the buffer is full.

    A crash may lose that second of reads; changes are recorded in their own transaction and never pass through here.
    """

    def __init__(self, flush: Callable[[list[AuditRecord]], None]) -> None:
        self._flush = flush
        self._records: list[AuditRecord] = []
        self._lock = threading.Lock()
        self._flushing = threading.RLock()  # so that closing waits for what another thread is writing
        self._closed = False
        self._timer: threading.Timer | None = None

    def add(self, record: AuditRecord) -> None:
        """Keep a record; writes them all when there are too many, and raises what that raises."""
        with self._lock:
            if self._closed:
                raise StoreClosed()  # nobody would write it, so the answer may not be given
            self._records.append(record)
            full = len(self._records) >= BUFFER_LIMIT
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_S, self._flush_later)
                self._timer.daemon = True
                self._timer.start()
        if full:
            self.flush()

    def flush(self) -> None:
        """Write what waits; where that fails nothing is lost, it waits on."""
        with self._flushing:
            with self._lock:
                records, self._records = self._records, []
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if not records:
                return
            try:
                self._flush(records)
            except StoreError:
                with self._lock:
                    self._records[:0] = records
                raise

    def close(self) -> None:
        """Write what waits, for the last time; closing twice is allowed."""
        with self._flushing:
            with self._lock:
                closed, self._closed = self._closed, True
            if not closed:
                self.flush()

    def _flush_later(self) -> None:
        try:
            self.flush()
        except StoreError:
            return  # it waits in the buffer; the next read tries again, and says so once the buffer is full


def append(unit: WriteUnit, records: list[AuditRecord], key: bytes) -> list[AuditRecord]:
    """Seal and write records, each behind the last of its chain; gives the last of each chain."""
    tails: dict[str, AuditRecord] = {}
    for record in records:
        chain = record.namespace
        tails[chain] = sealed(record, tails.get(chain) or unit.audit_tail(chain), key)
        unit.append_audit(tails[chain])
    return list(tails.values())


def _mac(record: AuditRecord, previous: AuditRecord | None, key: bytes) -> str:
    return digest((previous.mac if previous else "").encode(), encode(record), key=key)


def read_key(path: Path) -> bytes:
    """The instance key in a file."""
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the instance key {path} cannot be read ({error}); restore it, or name another key"
        ) from error
    if len(key) != KEY_BYTES:
        raise StoreError(
            f"the instance key {path} holds {len(key)} bytes, not {KEY_BYTES}; restore it, or name another key"
        )
    return key


def _write_once(path: Path, text: str) -> None:
    """Write a file that is whole from the moment it has its name; raises FileExistsError where it has one already."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    finally:
        partial.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
