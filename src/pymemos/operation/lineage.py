"""Lineage: what a memory was made from, whether that is still what it was, and what was made from it (4.2, 5.3.2).

Stale is a predicate over pinned content hashes and never a flag, so it is true in the very transaction of a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime

import msgspec

from pymemos.cube.cube import MemCube, Parent, Source, Standing
from pymemos.cube.header import Descriptive, Governance, Stage
from pymemos.ports import Record

EXCERPT = 80  # characters of a memory's text that its node shows


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a memory: who made it, when and why, and what it changed."""

    revision: int
    version: str
    at: datetime
    cause: str
    author: str | None
    changed: tuple[str, ...] = ()  # names of what is not as in the version before
    note: str | None = None  # where this version brought it
    restored: int | None = None  # the revision that this one brought back
    deleted: datetime | None = None  # when the memory was deleted behind this version


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A memory in a lineage; of one that is unknown nothing but the id.

    ``generation`` is 0 for the memory that was asked about, below 0 for its sources, above for what was made from it.
    """

    id: str
    generation: int
    standing: Standing
    kind: str = ""
    type: str = ""
    revision: int = 0
    text: str = ""


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """``made`` was made from ``source``: which revision was read (None: not known here), and how the source stands."""

    source: str
    made: str
    standing: Standing
    read: int | None = None
    current: int | None = None


class Kin(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may know of a memory of a lineage: its current version, or the last one before it was deleted."""

    cube: MemCube
    generation: int
    revisions: dict[str, int]  # by content hash, the first revision that had it
    deleted: bool = False


def standing(pin: Parent, source: MemCube | None, now: datetime) -> Standing:
    """How a source stands to what was made from it, its own sources apart."""
    if source is None:
        return Standing.UNKNOWN
    if is_over(source, now):
        return Standing.ENDED
    return Standing.SAME if source.content_hash == pin.content_hash else Standing.CHANGED


def is_over(cube: MemCube, now: datetime) -> bool:
    """Whether a memory no longer holds: what it says ended, or it expired. An archived or merged one still holds."""
    end = cube.header.descriptive.valid_to
    return cube.stage_at(now) is Stage.EXPIRED or (end is not None and end <= now)


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
        for pin in _others(cube):
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
    for pin in _others(cube):
        stands = standing(pin, sources.get(pin.id), now)
        if stands is Standing.UNKNOWN and pin.id in deleted:
            stands = Standing.DELETED
        if stands is Standing.SAME and pin.id in tainted:
            stands = Standing.STALE
        if stands is not Standing.SAME:
            found.append(Source(id=pin.id, standing=stands))
    return tuple(found)


def _others(cube: MemCube) -> list[Parent]:
    """The parents that are other memories: a merge also pins the version before, which stays what it was."""
    return [pin for pin in cube.parents if pin.id != cube.id]


def steps(records: Sequence[Record]) -> tuple[Step, ...]:
    """The versions of a memory as steps, oldest first."""
    return tuple(_step(records, place) for place in range(len(records)))


def _step(records: Sequence[Record], place: int) -> Step:
    record = records[place]
    said = record.cube.header.descriptive
    older = records[place - 1].cube if place else None
    changed = () if older is None else _changes(older, record.cube)
    note = said.provenance.note if said.provenance else None
    follows = records[place + 1].known_from if place + 1 < len(records) else None
    return Step(
        revision=record.cube.revision,
        version=record.cube.version,
        at=record.known_from,
        cause=said.cause,
        author=said.author,
        changed=changed,
        note=note if older is None or "provenance" in changed else None,
        restored=_restored(records, place) if said.cause == "restore" else None,
        deleted=record.known_to if record.known_to != follows else None,
    )


def _changes(older: MemCube, newer: MemCube) -> tuple[str, ...]:
    """The names of what two versions say differently, apart from who made them when and why."""
    found = [] if older.payload == newer.payload else ["content"]
    for group in ("descriptive", "governance"):
        a: Descriptive | Governance = getattr(older.header, group)
        b: Descriptive | Governance = getattr(newer.header, group)
        names = [name for name in a.__struct_fields__ if name not in ("updated", "cause", "author")]
        found += [name for name in names if getattr(a, name) != getattr(b, name)]
    return (*found, *(["parents"] if older.parents != newer.parents else []))


def _restored(records: Sequence[Record], place: int) -> int | None:
    """The latest version before that says the same; access rules are not restored, so they are not compared."""
    newer = records[place].cube
    governance = set(Governance.__struct_fields__)
    for record in reversed(records[:place]):
        if set(_changes(record.cube, newer)) <= governance:
            return record.cube.revision
    return None


def graph(
    kin: Mapping[str, Kin], generations: Mapping[str, int], why: Mapping[str, tuple[Source, ...]], now: datetime
) -> tuple[tuple[Node, ...], tuple[Arrow, ...]]:
    """The memories of a lineage with their arrows, in order of generation and id.

    ``generations`` names every memory, those too of which nothing may be known; ``why`` says what is stale.
    """
    order = sorted(generations, key=lambda id: (generations[id], id))
    nodes = tuple(_node(id, generations[id], kin.get(id), bool(why.get(id)), now) for id in order)
    arrows = [
        _arrow(pin, id, kin, why) for id in order if id in kin for pin in _others(kin[id].cube) if pin.id in generations
    ]
    return nodes, tuple(arrows)


def _node(id: str, generation: int, one: Kin | None, is_stale: bool, now: datetime) -> Node:
    if one is None:
        return Node(id=id, generation=generation, standing=Standing.UNKNOWN)
    standing = Standing.STALE if is_stale else Standing.SAME
    if is_over(one.cube, now):
        standing = Standing.ENDED
    return Node(
        id=id,
        generation=generation,
        standing=Standing.DELETED if one.deleted else standing,
        kind=one.cube.payload.kind,
        type=one.cube.header.descriptive.semantic_type.value,
        revision=one.cube.revision,
        text=_excerpt(one.cube),
    )


def _arrow(pin: Parent, made: str, kin: Mapping[str, Kin], why: Mapping[str, tuple[Source, ...]]) -> Arrow:
    source = kin.get(pin.id)
    reasons = {one.id: one.standing for one in why.get(made, ())}
    return Arrow(
        source=pin.id,
        made=made,
        standing=reasons.get(pin.id, Standing.SAME),
        read=None if source is None else source.revisions.get(pin.content_hash),
        current=None if source is None or source.deleted else source.cube.revision,
    )


def _excerpt(cube: MemCube) -> str:
    if cube.is_episode:
        return "a conversation"
    if cube.is_view:
        return "a view"
    text = cube.text if cube.text else f"{getattr(cube.payload, 'size', 0):,} bytes"
    line = " ".join(text[: EXCERPT * 4].split())
    return line if len(line) <= EXCERPT and len(text) <= EXCERPT * 4 else f"{line[: EXCERPT - 1]}…"
