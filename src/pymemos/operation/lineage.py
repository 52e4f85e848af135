"""Lineage: what a memory was made from, whether that is still what it was, and what was made from it (4.2, 5.3.2).

Stale is a predicate over pinned content hashes and never a flag, so it is true in the very transaction of a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import datetime

from pymemos.cube.cube import MemCube, Parent, Source, Standing
from pymemos.cube.header import State


def standing(pin: Parent, source: MemCube | None, now: datetime) -> Standing:
    """How a source stands to what was made from it, its own sources apart."""
    if source is None:
        return Standing.UNKNOWN
    if is_over(source, now):
        return Standing.ENDED
    return Standing.SAME if source.content_hash == pin.content_hash else Standing.CHANGED


def is_over(cube: MemCube, now: datetime) -> bool:
    """Whether a memory no longer holds: what it says ended, or it expired. An archived or merged one still holds."""
    ends = (cube.header.descriptive.valid_to, cube.header.governance.lifespan.expires)
    return cube.header.behaviour.state is State.EXPIRED or any(end is not None and end <= now for end in ends)


def stale(
    cube: MemCube, sources: Mapping[str, MemCube], now: datetime, deleted: Set[str] = frozenset()
) -> tuple[Source, ...]:
    """The sources that no longer stand for ``cube``, in the order of its parents; none where it is fresh.

    ``sources`` holds, by id, what is there of its parents, theirs, and so on: what is missing counts as unknown, and so
    as stale, unless ``deleted`` names it. A source that is stale itself makes stale what was made from it.
    """
    return _reasons(cube, sources, now, deleted, stale_ids(sources, now))


def stale_each(
    cubes: Iterable[MemCube], sources: Mapping[str, MemCube], now: datetime, deleted: Set[str] = frozenset()
) -> list[tuple[Source, ...]]:
    """``stale`` of many memories over the same sources."""
    tainted = stale_ids(sources, now)
    return [_reasons(cube, sources, now, deleted, tainted) for cube in cubes]


def stale_ids(sources: Mapping[str, MemCube], now: datetime) -> set[str]:
    """The ids of those that are stale among ``sources``: by a pin of their own, or through one that is."""
    users: dict[str, list[str]] = {}
    found: set[str] = set()
    for id, cube in sources.items():
        for pin in cube.parents:
            users.setdefault(pin.id, []).append(id)
            if standing(pin, sources.get(pin.id), now) is not Standing.SAME:
                found.add(id)
    waiting = list(found)
    while waiting:
        fresh = [user for user in users.get(waiting.pop(), ()) if user not in found]
        found.update(fresh)
        waiting += fresh
    return found


def _reasons(
    cube: MemCube, sources: Mapping[str, MemCube], now: datetime, deleted: Set[str], tainted: Set[str]
) -> tuple[Source, ...]:
    found = []
    for pin in cube.parents:
        stands = standing(pin, sources.get(pin.id), now)
        if stands is Standing.UNKNOWN and pin.id in deleted:
            stands = Standing.DELETED
        if stands is Standing.SAME and pin.id in tainted:
            stands = Standing.STALE
        if stands is not Standing.SAME:
            found.append(Source(id=pin.id, standing=stands))
    return tuple(found)
