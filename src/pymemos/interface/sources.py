"""Sources: pinned when a memory is made from others, and looked at again whenever it is served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from pymemos.cube.call import Reach, Selection, caller_of
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.filters import NOTHING, Compare, matches
from pymemos.cube.header import Behaviour, Stage
from pymemos.cube.policy import Action
from pymemos.errors import InvalidInput, NotAllowed, UnknownMemory, UnknownVersion
from pymemos.infrastructure import governance
from pymemos.interface.api import Work
from pymemos.interface.requests import Pin
from pymemos.interface.rights import is_open
from pymemos.operation.lineage import stale_each
from pymemos.ports import Record

_HELD = tuple(stage for stage in Stage if stage is not Stage.EXPIRED)
SOURCES = 10_000  # that one call looks at; what lies beyond counts as unknown, and so as stale


class Sources(NamedTuple):
    """What a caller may know of the sources of some memories: those that are there, by id, and those that were."""

    cubes: dict[str, MemCube]
    deleted: frozenset[str]


def pinned(work: Work, pins: Sequence[Pin], made: str) -> tuple[Parent, ...]:
    """The sources of the memory with the id ``made``, each as the version that was read, else as it is now.

    The caller may read them, wherever they live; any other id is as good as unknown.
    """
    if any(pin.id == made for pin in pins):
        raise InvalidInput(f"memory {made!r} cannot be made from itself; name its sources")
    return tuple(_pinned(work, pin) for pin in pins)


def _pinned(work: Work, pin: Pin) -> Parent:
    current: list[Record] = work.unit.current([pin.id])
    is_here = is_known(work, work.unit.owner_of(pin.id)) and all(may_read(work, record.cube) for record in current)
    if is_here and pin.version is not None:
        versions: list[Record] = work.unit.versions(pin.id)
        for record in versions:
            if record.cube.version == pin.version and may_read(work, record.cube):
                return record.cube.pin()
        raise UnknownVersion(f"the parent {pin.id!r} has no version {pin.version!r}; read it again")
    if not is_here or not current:
        raise UnknownMemory(f"the parent {pin.id!r} is deleted or unknown; a memory is made from what is there")
    return current[0].cube.pin()


def may_read(work: Work, cube: MemCube) -> bool:
    """Whether the caller may read a version of a memory, and everything that it was made from."""
    reach = work.reach
    return reach is None or (matches(reach.of(cube.namespace), cube) and is_open(work.unit, work.of, cube))


def check_no_ring(work: Work, target: MemCube, sources: Iterable[MemCube]) -> None:
    """Refuse to make a memory from what was made from it: that is stale as soon as the memory says more."""
    for cube in sources:
        if target.id in sources_of(work, [cube]).cubes:
            raise InvalidInput(
                f"memory {cube.id!r} was made from {target.id!r}, which would make it stale by saying more; "
                f"merge {target.id!r} into it, or fuse them"
            )


def check_owner_reads(work: Work, target: MemCube, sources: Iterable[MemCube]) -> None:
    """Refuse to make another's memory from what its owner may not read: its owner could not reach it any more."""
    owner = caller_of(target.namespace)
    if work.of.powerful or owner is None or owner.namespace == work.call.caller.namespace:
        return
    reading = msgspec.structs.replace(work.of, caller=owner).doing(Action.READ)
    reach = governance.reach(reading) or Reach()
    for cube in sources:
        if not (matches(reach.of(cube.namespace), cube) and is_open(work.unit, reading, cube)):
            raise NotAllowed(
                f"{target.namespace!r} may not read memory {cube.id!r}, nor then what is made from it; share it with "
                "them first, or fuse the two into a memory of your own"
            )


def marked(work: Work, cubes: Sequence[MemCube]) -> tuple[MemCube, ...]:
    """``cubes`` as the call serves them; without a query where none of them was made from others."""
    derived = [cube for cube in cubes if cube.parents]
    if not derived:
        return tuple(cubes)
    window = work.call.window
    sources = sources_of(work, derived)
    reasons = stale_each(cubes, sources.cubes, window.valid_at or window.known_at or work.now, sources.deleted)
    return tuple(
        msgspec.structs.replace(cube, stale=why) if why else cube for cube, why in zip(cubes, reasons, strict=True)
    )


def sources_of(work: Work, cubes: Iterable[MemCube]) -> Sources:
    """The sources of ``cubes``, theirs, and so on, as the call's times show them: a query for each generation."""
    found: dict[str, MemCube] = {}
    missing: set[str] = set()
    wanted = _parents(cubes)
    while wanted and len(found) + len(missing) < SOURCES:
        wanted = wanted[: SOURCES - len(found) - len(missing)]
        level = {cube.id: cube for cube in _look(work, wanted)}
        found |= level
        missing |= set(wanted) - level.keys()
        wanted = [id for id in _parents(level.values()) if id not in found and id not in missing]
    return Sources(found, frozenset(id for id in missing if is_known(work, work.unit.owner_of(id))))


def is_known(work: Work, namespace: str | None) -> bool:
    """Whether the caller may know of anything that lives there; what lives nowhere is not known."""
    reach = work.reach
    return namespace is not None and (reach is None or reach.of(namespace) != NOTHING)


def _parents(cubes: Iterable[MemCube]) -> list[str]:
    return list(dict.fromkeys(pin.id for cube in cubes for pin in cube.parents))


def _look(work: Work, ids: list[str]) -> list[MemCube]:
    """Those of some memories that the caller may know of, as they are, or were at the call's times."""
    window = work.call.window
    if window.valid_at is None and window.known_at is None:
        return [record.cube for record in work.unit.current(ids) if is_known(work, record.cube.namespace)]
    reach = work.reach
    then = Selection(
        namespaces=None if reach is None else tuple(name for name, _ in reach.parts),
        where=Compare("id", "in", tuple(ids)),
        valid_at=window.valid_at,
        known_at=window.known_at,
        stages=_HELD,
        as_of=window.valid_at or window.known_at,
        episodes=True,
    )
    # What is observed now, such as that a source has expired since, says nothing of then.
    return [record.cube.observed(Behaviour()) for record in work.unit.page(then, limit=len(ids))]
