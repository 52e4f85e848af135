"""What jobs made: remembered when one ends, and found again where the same is asked for once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pymemos.cube.cube import MemCube
from pymemos.cube.header import Transformed
from pymemos.interface.api import Work
from pymemos.interface.sources import marked
from pymemos.operation.lineage import is_over
from pymemos.ports import Replay

_BY: Final = "transform "  # behind it the namespace: under no caller's name, so that nobody's own keys meet it
_DERIVED: Final = "derived_from"
_NONE: Final = Transformed(pathway="")  # of what no pathway made


def note_made(work: Work, job: str, ids: Sequence[str]) -> None:
    """Remember for a week what a job ended with, in the transaction of its end."""
    work.unit.remember(_BY + _home(work), job, Replay(digest="", ids=tuple(ids), at=work.now))


def made_by(work: Work, job: str) -> tuple[str, ...] | None:
    """The memories that a job ended with; None where it is not known, or not the caller's."""
    replay = work.unit.replayed(_BY + _home(work), job)
    return None if replay is None else replay.ids


def made_before(work: Work, key: str, sources: Iterable[str]) -> tuple[MemCube, ...]:
    """The memories of the caller's namespace that were made of some sources under a key, and still hold.

    What was made of something that a pathway wrote on its way counts too.
    """
    children = _children(work, sources)
    found = [*children, *_children(work, [cube.id for cube in children])]
    own = {cube.id: cube for cube in found if _way(cube).key == key and not is_over(cube, work.now)}
    return tuple(cube for cube in marked(work, list(own.values())) if not cube.stale)


def _children(work: Work, sources: Iterable[str]) -> list[MemCube]:
    """What pathways made of some memories, in the caller's namespace."""
    edges = (edge for id in dict.fromkeys(sources) for edge in work.unit.edges(id, kind=_DERIVED, reverse=True))
    records = work.unit.current(list(dict.fromkeys(edge.source for edge in edges)))
    return [one.cube for one in records if one.cube.namespace == _home(work) and _way(one.cube) is not _NONE]


def _way(cube: MemCube) -> Transformed:
    why = cube.header.descriptive.provenance
    return _NONE if why is None or why.transformed is None else why.transformed


def _home(work: Work) -> str:
    return work.call.scope.namespace or work.call.caller.namespace
