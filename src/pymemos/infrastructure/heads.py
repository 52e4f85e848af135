"""The signed head: where each audit chain stood, kept beside the instance key, so that a cut tail shows (5.5.1)."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from pymemos.cube.audit import AuditRecord
from pymemos.cube.wire import digest, encode
from pymemos.errors import StoreError, StoreReadOnly
from pymemos.infrastructure.audit import key_id, sync_folder
from pymemos.ports import Clock, ReadUnit, Store

RENEW_S = 1.0  # a change is in the head after this time, or when the store is closed
SHARE = 0.05  # of the time that renewing may take; the heads of very many chains are renewed less often
_LOGGER = logging.getLogger("pymemos")


class Tip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of a chain as a head names it; its MAC stands for everything up to it."""

    n: int
    mac: str
    at: datetime


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the chains of a store stood at a time, signed with the instance key."""

    store: str
    at: datetime
    chains: dict[str, Tip] = {}
    key_id: str = ""
    mac: str = ""
    pymemos: int = 1


class Signature(StrEnum):
    """What can be said of a head file."""

    HOLDS = "holds"
    MISSING = "missing"
    ALTERED = "altered"
    OTHER_KEY = "signed with a key that is not here"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a head file holds; no head unless its signature does."""

    signature: Signature
    head: Head | None = None


def tip_of(record: AuditRecord) -> Tip:
    """An entry as a head names it."""
    return Tip(n=record.n, mac=record.mac, at=record.at)


def signed(head: Head, key: bytes) -> Head:
    """``head`` with its signature."""
    bare = msgspec.structs.replace(head, key_id=key_id(key), mac="")
    return msgspec.structs.replace(bare, mac=digest(b"pymemos audit head", encode(bare), key=key))


def judged(raw: bytes, store_id: str, keys: Mapping[str, bytes]) -> Found:
    """The head that ``raw`` was written from, if every byte of it is."""
    try:
        head = msgspec.json.decode(raw, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Found(signature=Signature.ALTERED)
    if head.key_id not in keys:
        return Found(signature=Signature.OTHER_KEY)
    if encode(head) != raw or signed(head, keys[head.key_id]) != head or head.store != store_id:
        return Found(signature=Signature.ALTERED)
    return Found(signature=Signature.HOLDS, head=head)


def advanced(head: Head, checked: Mapping[str, Tip], tips: Mapping[str, Tip]) -> Head:
    """``head`` with the chains moved forward that still stand where it was ``checked`` that the store holds them.

    A chain never moves back, and never past an entry that is no longer there: the head goes on to show what was cut.
    """
    moved = {
        name: tip
        for name, tip in tips.items()
        if head.chains.get(name) == checked.get(name) and (name not in head.chains or head.chains[name].n < tip.n)
    }
    return msgspec.structs.replace(head, chains={**head.chains, **moved})


def lost(unit: ReadUnit, chains: Mapping[str, Tip]) -> list[str]:
    """The names of those chains that no longer hold the entry that a head names."""
    return [name for name, tip in chains.items() if not _holds(unit, name, tip)]


class HeadKeeper:
    """Keeps the signed head of a store: renewed within a second of a change, and when the store is closed.

    It is told of entries only once they are durable, so a head is never ahead of the log. Processes take turns by a
    lock on the folder. That a head cannot be kept is logged and hinders no call.
    """

    def __init__(self, folder: Path, store_id: str, key: bytes, store: Store, clock: Clock) -> None:
        self.store_id = store_id
        self.key = key
        self.path = folder / f"{store_id}.head"
        self._store, self._clock = store, clock
        self._tips: dict[str, Tip] = {}
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._timer: threading.Timer | None = None
        self.pause = RENEW_S  # seconds from a change until it is signed
        self._closed = self._warned = False

    @property
    def keys(self) -> dict[str, bytes]:
        """The key by its name."""
        return {key_id(self.key): self.key}

    def begin(self) -> None:
        """Sign the head of a log that is still empty: whoever misses a head later knows that somebody took it."""
        if self.path.exists():
            return
        with self._store.read() as unit:
            if unit.audit_rows(None, limit=1):
                return
        try:
            with _turn(self.path.parent):
                if not self.path.exists():
                    self._write({})
        except OSError as error:
            self._warn(f"the signed head of the audit log cannot be kept in {self.path.parent} ({error.strerror})")

    def read(self, keys: Mapping[str, bytes] | None = None) -> Found:
        """What the file holds."""
        try:
            raw = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return Found(signature=Signature.MISSING)
        except OSError as error:
            raise StoreError(f"the signed head {self.path} cannot be read ({error.strerror})") from error
        return judged(raw, self.store_id, {**self.keys, **(keys or {})})

    def note(self, tails: Iterable[AuditRecord]) -> None:
        """These entries are durable, and the last of their chains."""
        with self._lock:
            for tail in tails:
                known = self._tips.get(tail.namespace)
                if known is None or known.n < tail.n:
                    self._tips[tail.namespace] = tip_of(tail)
            if self._timer is None and self._tips and not self._closed:
                self._timer = threading.Timer(self.pause, self.renew)
                self._timer.daemon = True
                self._timer.start()

    def renew(self) -> None:
        """Bring the file up to what was noted."""
        with self._renewing:
            with self._lock:
                tips, self._tips = self._tips, {}
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if not tips:
                return
            started = time.perf_counter()
            try:
                self._move(tips)
            except (OSError, StoreError) as error:
                self._warn(f"the signed head of the audit log cannot be renewed: {error}")
            self.pause = max(RENEW_S, (time.perf_counter() - started) / SHARE)

    def close(self) -> None:
        """Renew for the last time; closing twice is allowed."""
        with self._lock:
            self._closed = True
        self.renew()

    def advance(self, checked: Head, tips: Mapping[str, Tip]) -> Head:
        """Move chains forward that the store was seen to hold; gives what the file says then."""
        try:
            with _turn(self.path.parent):
                head = self.read().head
                return checked if head is None else self._write(advanced(head, checked.chains, tips).chains)
        except OSError as error:
            raise StoreReadOnly(f"the signed head {self.path} cannot be written ({error.strerror})") from error

    def replace(self, tips: Mapping[str, Tip]) -> Head:
        """Sign the chains as they are, whatever the file says."""
        try:
            with _turn(self.path.parent):
                return self._write(tips)
        except OSError as error:
            raise StoreReadOnly(f"the signed head {self.path} cannot be written ({error.strerror})") from error

    def _move(self, tips: Mapping[str, Tip]) -> None:
        with _turn(self.path.parent):
            found = self.read()
            if found.head is None:
                self._warn(f"the signed head of the audit log is {found.signature}; 'pymemos audit verify' says more")
                return
            known = {name: found.head.chains[name] for name in tips if name in found.head.chains}
            with self._store.read() as unit:  # behind the file: what that names was durable before
                cut = lost(unit, known)
            if cut:
                self._warn(f"the audit log of {cut[0]!r} was cut or changed; 'pymemos audit verify' says more")
            head = advanced(found.head, known, {name: tip for name, tip in tips.items() if name not in cut})
            if head.chains != found.head.chains:
                self._write(head.chains)

    def _write(self, chains: Mapping[str, Tip]) -> Head:
        head = signed(Head(store=self.store_id, at=self._clock(), chains=dict(chains)), self.key)
        partial = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode(head))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(self.path.parent)
        return head

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            _LOGGER.warning(message)


def _holds(unit: ReadUnit, chain: str, tip: Tip) -> bool:
    rows = unit.audit_rows((chain,), after=(chain, tip.n - 1), limit=1)
    return bool(rows) and rows[0].n == tip.n and rows[0].record is not None and rows[0].record.mac == tip.mac


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """The folder, while no other process renews a head in it; the lock ends with its descriptor."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
