"""The pool: KV segments that lie in memory, within a budget, locked while somebody reads them (4.1, 5.4.2)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.cube.header import HEAT_HALF_LIFE, Priority
from pymemos.cube.payload import Activation
from pymemos.operation import tiers
from pymemos.operation.tiers import RESIDENT, Budget, Held, Room, Step, Tier

if TYPE_CHECKING:
    from pymemos.ports import Engine, Kv

Timer = Callable[[], float]


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """How a segment is to be kept: its blob and size, the memory that names it, and what that says of it."""

    blob: str
    id: str
    namespace: str
    priority: Priority = Priority.MID
    heat: float = 0.0
    frozen: bool = False


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a segment lies in memory: the memory that it belongs to, its bytes, and who holds it there."""

    id: str
    namespace: str
    blob: str
    tier: Tier
    nbytes: int
    locks: int
    frozen: bool
    heat: float
    last_used: datetime
    leaving: bool = False  # found by nobody any more, and freed as soon as it is given back
    spare: bool = False  # of a task that is over, so that it is the first to make room


class _Entry:
    """A segment in memory; its bytes are reserved from before it is brought here."""

    def __init__(self, keeping: Keeping, held: Held) -> None:
        self.keeping, self.held = keeping, held
        self.kv: Kv | None = None  # None while it is on its way

    def locked(self, by: int) -> None:
        self.held = msgspec.structs.replace(self.held, locks=self.held.locks + by)


class Lease:
    """A segment that may be read until it is released; meanwhile nothing takes it out of memory.

    ``wanted`` is where it should lie for the next use; bringing it there is no matter for whoever waits for an answer.
    """

    def __init__(
        self, kv: Kv, tier: Tier, why: str, release: Callable[[], None] | None = None, *, wanted: Tier | None = None
    ) -> None:
        self.kv, self.tier, self.why, self.wanted = kv, tier, why, wanted or tier
        self._release = release
        self._lock = threading.Lock()

    def release(self) -> None:
        """Give it back; once more does nothing."""
        with self._lock:
            release, self._release = self._release, None
        if release is not None:
            release()


class KvPool:
    """Segments on the device and in the memory of the host; any number of threads may use it at once.

    Every segment is known by the hash of its blob, and is in at most one of the two. The file stays where it is.
    """

    def __init__(self, engine: Engine, budget: Budget, *, timer: Timer = time.perf_counter) -> None:
        self._engine, self._budget, self._timer = engine, budget, timer
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._leaving: list[_Entry] = []  # dropped while somebody read them: found by nobody, freed on release
        self._uses: dict[str, int] = {}  # of each segment in this process
        self._no_room: dict[str, str] = {}  # why a segment could not be brought to memory when that was last tried
        self.last_steps: tuple[Step, ...] = ()  # what the last segment that came made leave

    @property
    def budget(self) -> Budget:
        """The bytes that may lie on the device and in the memory of the host."""
        return self._budget

    def lease(self, keeping: Keeping, read: Callable[[], Kv], now: datetime) -> Lease:
        """A segment to read from: where it lies, else from its file, which ``read`` maps and checks.

        What ``read`` raises is raised here, and leaves everything as it was.
        """
        with self._lock:
            uses = self._uses[keeping.blob] = self._uses.get(keeping.blob, 0) + 1
            entry = self._entries.get(keeping.blob)
            if entry is not None and entry.kv is not None:
                return self._leased(entry, keeping, now)
            wanted = tiers.wanted(uses, keeping.priority, self._budget, frozen=keeping.frozen)
            no_room = self._no_room.get(keeping.blob)
        why = f"it is read from its file: {wanted.why}" + (f", but {no_room}" if no_room else "")
        return Lease(read(), Tier.DISK, why, wanted=wanted.tier)

    def place(self, keeping: Keeping, kv: Kv, tier: Tier, now: datetime, *, only_if_free: bool = False) -> Room:
        """Bring a segment into a tier without reading from it.

        With ``only_if_free`` nothing leaves for it but what is spare.
        """
        lease = self._brought(keeping, kv, tier, now, only_if_free=only_if_free)
        lease.release()
        with self._lock:
            if lease.tier in RESIDENT:
                self._no_room.pop(keeping.blob, None)
            elif not only_if_free:
                self._no_room[keeping.blob] = lease.why
        return Room(tier=lease.tier, why=lease.why, steps=self.last_steps)

    def evict(self, blob: str) -> str:
        """Take a segment out of memory; gives why it stays, or nothing."""
        with self._lock:
            entry = self._entries.get(blob)
            if entry is None:
                return "it does not lie in memory"
            if entry.held.is_stuck:
                return "it is frozen" if entry.held.frozen else "it is in use"
            del self._entries[blob]
            return ""

    def drop(self, blobs: Iterable[str]) -> None:
        """Forget segments whose memories are gone, at once; what is being read is freed by whoever reads it last."""
        with self._lock:
            for blob in blobs:
                self._uses.pop(blob, None)
                self._no_room.pop(blob, None)
                entry = self._entries.pop(blob, None)
                if entry is not None and entry.held.locks:
                    self._leaving.append(entry)

    def keep_only(self, namespace: str, ids: Container[str]) -> None:
        """Forget the segments of a namespace whose memories are not among these."""
        with self._lock:
            gone = [
                blob
                for blob, entry in self._entries.items()
                if entry.keeping.namespace == namespace and entry.keeping.id not in ids
            ]
        self.drop(gone)

    def forget(self, ids: Container[str]) -> None:
        """Forget the segments of these memories."""
        with self._lock:
            gone = [blob for blob, entry in self._entries.items() if entry.keeping.id in ids]
        self.drop(gone)

    def namespaces(self) -> set[str]:
        """Where the memories live whose segments lie in memory."""
        with self._lock:
            return {entry.keeping.namespace for entry in self._entries.values()}

    def freeze(self, blob: str, frozen: bool) -> None:
        """Let a segment stay in memory whatever comes, or no longer."""
        with self._lock:
            entry = self._entries.get(blob)
            if entry is not None:
                entry.held = msgspec.structs.replace(entry.held, frozen=frozen)

    def spare(self, blobs: Iterable[str], namespace: str, *, spare: bool = True) -> None:
        """Let segments of a namespace be the first to make room, as their task is over, or no longer so.

        What somebody reads from now stays as it is, and the next use of any of them ends it.
        """
        with self._lock:
            for blob in blobs:
                entry = self._entries.get(blob)
                if entry is not None and entry.keeping.namespace == namespace and not (spare and entry.held.locks):
                    entry.held = msgspec.structs.replace(entry.held, spare=spare)

    def follow(self, cube: MemCube) -> None:
        """Take over what the memory of a segment says now of how it is kept."""
        if isinstance(cube.payload, Activation):
            self.freeze(cube.payload.blob, cube.header.governance.frozen)

    def tier_of(self, blob: str) -> Tier:
        """Where a segment lies."""
        with self._lock:
            entry = self._entries.get(blob)
            return Tier.DISK if entry is None or entry.kv is None else entry.held.tier

    def placements(self) -> tuple[Placement, ...]:
        """Everything that takes memory, also what is only waiting to be freed."""
        with self._lock:
            here = [_placement(entry) for entry in self._entries.values()]
            return (*here, *(_placement(entry, leaving=True) for entry in self._leaving))

    def used(self, tier: Tier) -> int:
        """The bytes that are taken, or reserved, in a tier."""
        with self._lock:
            return sum(one.nbytes for one in self._held() if one.tier is tier)

    def _leased(self, entry: _Entry, keeping: Keeping, now: datetime) -> Lease:
        """Lock what lies in memory, and note the use; the lock is held."""
        held = entry.held
        entry.keeping = keeping
        entry.held = msgspec.structs.replace(
            held,
            locks=held.locks + 1,
            heat=_heat_at(held, now) + 1,
            last_used=max(held.last_used, now),
            priority=keeping.priority,
            frozen=keeping.frozen,
            spare=False,
        )
        assert entry.kv is not None  # noqa: S101 (the caller looked)
        return Lease(entry.kv, held.tier, f"it lies in the memory of the {held.tier.value}", self._releasing(entry))

    def _brought(self, keeping: Keeping, kv: Kv, tier: Tier, now: datetime, *, only_if_free: bool) -> Lease:
        """Reserve room, bring the segment there outside of the lock, and give it out locked."""
        started = self._timer()
        with self._lock:
            if keeping.blob in self._entries:  # another thread was quicker
                return Lease(kv, Tier.DISK, "another thread brought it to memory")
            room = tiers.room(self._held(), self._budget, tier, kv.nbytes, now)
            if not room.is_there or (only_if_free and not all(self._is_spare(step.blob) for step in room.steps)):
                return Lease(kv, Tier.DISK, room.why or "there is no free room in memory")
            self._take(room.steps)
            held = Held(
                blob=keeping.blob,
                nbytes=kv.nbytes,
                tier=room.tier,
                priority=keeping.priority,
                heat=keeping.heat + 1,
                last_used=now,
                locks=1,
                frozen=keeping.frozen,
            )
            entry = self._entries[keeping.blob] = _Entry(keeping, held)
        release = self._releasing(entry)
        try:
            placed = self._engine.place(kv, on_device=room.tier is Tier.DEVICE)
        except BaseException:
            self.drop([keeping.blob])
            release()
            raise
        with self._lock:
            entry.kv = placed
            entry.held = msgspec.structs.replace(entry.held, rebuild_s=self._timer() - started)
        return Lease(placed, room.tier, room.why, release)

    def _take(self, steps: tuple[Step, ...]) -> None:
        """Move segments down, as was decided; the lock is held."""
        self.last_steps = steps
        for step in steps:
            entry = self._entries[step.blob]
            if step.after in RESIDENT:
                assert entry.kv is not None  # noqa: S101 (what is on its way is locked, and so never moved)
                entry.kv = self._engine.place(entry.kv, on_device=False)
                entry.held = msgspec.structs.replace(entry.held, tier=step.after)
            else:
                del self._entries[step.blob]

    def _releasing(self, entry: _Entry) -> Callable[[], None]:
        def release() -> None:
            with self._lock:
                entry.locked(-1)
                if not entry.held.locks and entry in self._leaving:
                    self._leaving.remove(entry)

        return release

    def _is_spare(self, blob: str) -> bool:
        return self._entries[blob].held.spare

    def _held(self) -> list[Held]:
        """What takes memory; what is only waiting to be freed is in use until then."""
        return [entry.held for entry in (*self._entries.values(), *self._leaving)]


def _placement(entry: _Entry, *, leaving: bool = False) -> Placement:
    held, keeping = entry.held, entry.keeping
    return Placement(
        id=keeping.id,
        namespace=keeping.namespace,
        blob=held.blob,
        tier=held.tier,
        nbytes=held.nbytes,
        locks=held.locks,
        frozen=held.frozen,
        heat=held.heat,
        last_used=held.last_used,
        leaving=leaving,
        spare=held.spare,
    )


def _heat_at(held: Held, now: datetime) -> float:
    """What is left of a segment's heat."""
    halves: float = max((now - held.last_used) / HEAT_HALF_LIFE, 0.0)
    return held.heat * float(0.5**halves)
