"""Tiers: where KV segments lie (device, host memory, disk, text), and which makes room for another (4.1, 5.4.2).

Everything here is pure: it is told what is held, in which budget, and at which time, and gives steps with reasons. The
file on the disk stays whatever happens above it; below it there is always the text that a segment was made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from pymemos.cube.header import HEAT_HALF_LIFE, Priority

BANDWIDTH = 1.5e9  # bytes a second from a disk, where nothing was measured yet (ours)
_Rank = tuple[int, float, datetime, str]
_IMPORTANCE = {Priority.LOW: 0, Priority.MID: 1, Priority.HIGH: 2}
_SPARE = -1


class Tier(StrEnum):
    """Where a segment is read from, the quickest place first (the memory hierarchy that the paper builds on)."""

    DEVICE = "device"  # where the model computes
    HOST = "host"  # in the memory of the machine
    DISK = "disk"  # in its file, which is mapped
    TEXT = "text"  # nowhere: the model reads the text

    @property
    def below(self) -> Tier:
        """The next slower place."""
        return _ORDER[min(_ORDER.index(self) + 1, len(_ORDER) - 1)]


_ORDER = tuple(Tier)
RESIDENT = (Tier.DEVICE, Tier.HOST)


class Budget(msgspec.Struct, frozen=True):
    """How many bytes of segments may lie on the device and in the memory of the host."""

    device: int = 0
    host: int = 0

    def of(self, tier: Tier) -> int:
        """The bytes for one of the two tiers."""
        return self.device if tier is Tier.DEVICE else self.host


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that lies in memory: what it takes, how it is used, and what it would cost to bring it back."""

    blob: str
    nbytes: int
    tier: Tier
    priority: Priority = Priority.MID
    heat: float = 1.0  # uses, each counting half as much for every half-life since
    last_used: datetime
    rebuild_s: float | None = None  # seconds it took to bring it here; None: as long as reading its bytes takes
    locks: int = 0  # of those who read it now
    frozen: bool = False  # stays until it is thawed (selective freezing)
    spare: bool = False  # of a task that is over: whatever its priority, it is the first to make room

    @property
    def is_stuck(self) -> bool:
        """Whether nothing may move it now."""
        return self.locks > 0 or self.frozen

    def cost(self) -> float:
        """Seconds that it takes to bring it back."""
        return self.nbytes / BANDWIDTH if self.rebuild_s is None else self.rebuild_s

    def worth(self, now: datetime) -> float:
        """Seconds that keeping it is expected to save for every megabyte that it takes: uses to come times their cost.

        Uses to come are taken to be as many as there were, of which half are forgotten in every half-life.
        """
        forgotten: float = 0.5 ** (max((now - self.last_used).total_seconds(), 0.0) / HEAT_HALF_LIFE.total_seconds())
        return self.heat * forgotten * self.cost() / max(self.nbytes, 1) * 1e6


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One segment moved down, and why just this one."""

    blob: str
    nbytes: int
    before: Tier
    after: Tier
    why: str


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is room for a segment in a tier, after which steps; ``why`` says what stands in the way."""

    tier: Tier
    steps: tuple[Step, ...] = ()
    why: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the segment may lie in memory."""
        return self.tier in RESIDENT


class Wanted(msgspec.Struct, frozen=True):
    """The tier that a segment should be read from, and why."""

    tier: Tier
    why: str


def wanted(uses: int, priority: Priority, budget: Budget, *, frozen: bool = False) -> Wanted:
    """Where a segment is to lie that is about to be used for the ``uses``-th time in this process: lazily in memory.

    A first use reads it from its file, which costs no more than bringing it to memory first. What is used again is kept
    there; what matters much, or is frozen, from its first use on; what matters little, never.
    """
    best = Tier.DEVICE if budget.device else Tier.HOST
    if not budget.device and not budget.host:
        return Wanted(Tier.DISK, "there is no budget for segments in memory")
    if frozen:
        return Wanted(best, "it is frozen, and so kept at hand")
    if priority is Priority.HIGH:
        return Wanted(best, "its priority is high")
    if priority is Priority.LOW:
        return Wanted(Tier.DISK, "its priority is low")
    if uses < 2:
        return Wanted(Tier.DISK, "it is used for the first time")
    return Wanted(best, f"it is used for the {uses}th time" if uses > 3 else "it is used again")


def room(held: Iterable[Held], budget: Budget, tier: Tier, nbytes: int, now: datetime) -> Room:
    """Make room for ``nbytes`` in a tier: what is worth least moves down, to the host's memory, else to its file.

    Where there can be none, as everything is locked or frozen, the next tier down is tried; the last is the file.
    """
    here = {one.blob: one for one in held}
    reasons: list[str] = []
    while tier in RESIDENT:
        steps = _emptied(here, budget, tier, nbytes, now)
        if steps is not None:
            return Room(tier=tier, steps=steps, why="; ".join(reasons))
        reasons.append(_no_room(here.values(), budget, tier, nbytes))
        tier = tier.below
    return Room(tier=Tier.DISK, why="; ".join(reasons))


def _emptied(
    here: Mapping[str, Held], budget: Budget, tier: Tier, nbytes: int, now: datetime, below: _Rank | None = None
) -> tuple[Step, ...] | None:
    """The steps that leave ``nbytes`` free in a tier; None where no steps do. Only what ranks below ``below`` moves."""
    own = [one for one in here.values() if one.tier is tier]
    missing = sum(one.nbytes for one in own) + nbytes - budget.of(tier)
    left = dict(here)
    steps: list[Step] = []
    for one in sorted((one for one in own if not one.is_stuck), key=lambda one: _rank(one, now)):
        if missing <= 0 or (below is not None and _rank(one, now) >= below):
            break
        for step in _moved_down(left, budget, one, now):
            steps.append(step)
            _apply(left, step)
        missing -= one.nbytes
    return tuple(steps) if missing <= 0 else None


def _moved_down(left: Mapping[str, Held], budget: Budget, one: Held, now: datetime) -> list[Step]:
    """The steps by which a segment leaves its tier: what is worth less may have to leave the next one for it."""
    further = None
    if one.tier is Tier.DEVICE:
        further = _emptied(left, budget, Tier.HOST, one.nbytes, now, below=_rank(one, now))
    after = Tier.DISK if further is None else Tier.HOST
    own = Step(blob=one.blob, nbytes=one.nbytes, before=one.tier, after=after, why=_why(one, now))
    return [*(further or ()), own]


def _apply(left: dict[str, Held], step: Step) -> None:
    if step.after is Tier.DISK:
        del left[step.blob]
    else:
        left[step.blob] = msgspec.structs.replace(left[step.blob], tier=step.after)


def _rank(one: Held, now: datetime) -> _Rank:
    """How much speaks for keeping a segment: its priority, then what that saves, then how recent its use was."""
    return (_SPARE if one.spare else _IMPORTANCE[one.priority], one.worth(now), one.last_used, one.blob)


def _why(one: Held, now: datetime) -> str:
    age = max((now - one.last_used).total_seconds(), 0.0)
    priority = "its task is over" if one.spare else f"priority {one.priority.value}"
    return (
        f"{priority}, heat {one.heat:.2f}, last used {age:,.0f} s ago, "
        f"{one.cost() * 1e3:,.0f} ms to bring back {one.nbytes:,} bytes: worth least to keep"
    )


def _no_room(held: Iterable[Held], budget: Budget, tier: Tier, nbytes: int) -> str:
    if nbytes > budget.of(tier):
        return f"{nbytes:,} bytes are more than the budget of the {tier.value}, {budget.of(tier):,}"
    stuck = [one for one in held if one.tier is tier and one.is_stuck]
    taken = sum(one.nbytes for one in stuck)
    return f"{taken:,} of {budget.of(tier):,} bytes of the {tier.value} are in use or frozen"
