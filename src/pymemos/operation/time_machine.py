"""Time Machine: what it takes to make a namespace say again what it said at an earlier moment (5.4.3).

Nothing is undone: every step is a new version, so the way back can be gone back as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.records import Record


class Act(StrEnum):
    """What is done with one memory."""

    RESTORE = "restore"  # it says again what it said
    REVIVE = "revive"  # it was deleted since, and comes back
    DELETE = "delete"  # it was not there yet
    ACTIVATE = "activate"  # a merge or fusion since then put it into the archive
    LEAVE = "leave"  # it should change, but may not


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with one memory, and why; ``revision`` is the one that it goes back to."""

    id: str
    act: Act
    reason: str
    revision: int | None = None


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """The way back to a moment: its steps in order of the memories' ids; with ``dry_run`` none was taken."""

    at: datetime
    steps: tuple[Step, ...]
    dry_run: bool

    def count(self, act: Act) -> int:
        """How many memories this is done with."""
        return sum(step.act is act for step in self.steps)

    def __str__(self) -> str:
        told = [f"{self.count(act)} {said}" for act, said in _SAID.items() if self.count(act)]
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC: {', '.join(told) or 'everything is as it was'}"


_SAID = {
    Act.RESTORE: "restored",
    Act.REVIVE: "brought back",
    Act.DELETE: "deleted",
    Act.ACTIVATE: "out of the archive",
    Act.LEAVE: "left as they are",
}


def way_back(then: Iterable[Record], now: Iterable[Record]) -> Iterator[Step]:
    """The steps from what is known now to what was known then; both are in order of their ids."""
    for old, new in _pairs(then, now):
        step = _step(None if old is None else old.cube, None if new is None else new.cube)
        if step is not None:
            yield step


def _step(then: MemCube | None, now: MemCube | None) -> Step | None:
    match then, now:
        case None, MemCube() as cube:
            return _unless_frozen(cube, Step(id=cube.id, act=Act.DELETE, reason="it was not known then"))
        case MemCube() as cube, None:
            reason = "it was deleted since"
            return Step(id=cube.id, act=Act.REVIVE, reason=reason, revision=cube.revision)
        case MemCube() as old, MemCube() as new if old.version != new.version and not _says_the_same(old, new):
            reason = f"revision {new.revision} says something else"
            return _unless_frozen(new, Step(id=new.id, act=Act.RESTORE, reason=reason, revision=old.revision))
    return None


def _unless_frozen(cube: MemCube, step: Step) -> Step:
    if not cube.header.governance.frozen:
        return step
    return Step(id=cube.id, act=Act.LEAVE, reason="it is frozen; the steward can unfreeze it", revision=step.revision)


def _says_the_same(old: MemCube, new: MemCube) -> bool:
    """Whether two versions differ in who made them alone, as after a return, or in rules that stay as they are."""
    return (old.payload, old.parents, _told(old)) == (new.payload, new.parents, _told(new))


def _told(cube: MemCube) -> object:
    said = cube.header.descriptive
    return msgspec.structs.replace(said, updated=said.created, cause="", author=None)


def _pairs(then: Iterable[Record], now: Iterable[Record]) -> Iterator[tuple[Record | None, Record | None]]:
    """What both hold of each memory, by walking them side by side."""
    left, right = iter(then), iter(now)
    old, new = next(left, None), next(right, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old.cube.id < new.cube.id):
            yield old, None
            old = next(left, None)
        elif old is None or new.cube.id < old.cube.id:
            yield None, new
            new = next(right, None)
        else:
            yield old, new
            old, new = next(left, None), next(right, None)
