"""What a reach hides: memories that were made from something outside it, by walking every path up."""

from __future__ import annotations

from collections.abc import Iterable

from pymemos.cube.call import Reach, Selection
from pymemos.cube.filters import EVERYTHING, matches
from pymemos.ports import ReadUnit

DERIVED = "derived_from"


def hidden(unit: ReadUnit, ids: Iterable[str], selection: Selection, *, since: ReadUnit | None = None) -> set[str]:
    """Those of some memories that a selection's reach hides, by what a unit says of their sources.

    ``since`` is a unit that has later versions of some sources: these are judged too.
    """
    reach = selection.reach
    if reach is None:
        return set()
    ever = selection.known_at is not None or selection.valid_at is not None
    return {
        id
        for id in ids
        if not all(
            _readable(unit, reach, home, source)
            and (since is None or since.owner_of(source) is None or _readable(since, reach, home, source))
            for home, source in _sources(unit, id, ever)
        )
    }


def _sources(unit: ReadUnit, id: str, ever: bool) -> set[tuple[str, str]]:
    """Every source of a memory, theirs, and so on, each with the namespace of what was made from it."""
    found: set[tuple[str, str]] = set()
    waiting = [id]
    while waiting:
        made = waiting.pop()
        home = unit.owner_of(made)
        if home is None:
            continue
        fresh = {(home, one) for one in _parents(unit, made, ever)} - found
        found |= fresh
        waiting += [one for _, one in fresh]
    return found


def _parents(unit: ReadUnit, id: str, ever: bool) -> set[str]:
    if ever:
        return {edge.target for edge in unit.edges(id, kind=DERIVED)}
    return {pin.id for record in unit.current([id]) for pin in record.cube.parents}


def _readable(unit: ReadUnit, reach: Reach, home: str, source: str) -> bool:
    owner = unit.owner_of(source)
    current = unit.current([source])
    if owner is None or not current:
        return reach.of(owner or home) == EVERYTHING
    return matches(reach.of(owner), current[0].cube)
