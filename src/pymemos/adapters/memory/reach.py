"""What a reach hides: memories that were made from something outside it, by walking every path up."""

from __future__ import annotations

from pymemos.adapters.memory.state import Memory, State
from pymemos.cube.call import Reach, Selection
from pymemos.cube.filters import EVERYTHING, matches

DERIVED = "derived_from"


def hidden(state: State, selection: Selection) -> set[str]:
    """The ids of what a selection's reach hides in its namespaces."""
    reach = selection.reach
    if reach is None:
        return set()
    ever = selection.known_at is not None or selection.valid_at is not None
    names = selection.namespaces
    return {
        id
        for id, memory in state.memories.items()
        if (names is None or memory.namespace in names)
        and (ever or memory.current is not None)
        and not all(_readable(state, reach, home, source) for home, source in _sources(state, id, ever))
    }


def _sources(state: State, id: str, ever: bool) -> set[tuple[str, str]]:
    """Every source of a memory, theirs, and so on, each with the namespace of what was made from it."""
    found: set[tuple[str, str]] = set()
    waiting = [id]
    while waiting:
        made = waiting.pop()
        memory = state.memories.get(made)
        if memory is None:
            continue
        fresh = {(memory.namespace, one) for one in _parents(state, made, memory, ever)} - found
        found |= fresh
        waiting += [one for _, one in fresh]
    return found


def _parents(state: State, id: str, memory: Memory, ever: bool) -> set[str]:
    if ever:
        return {edge.target for edge in state.edges if edge.source == id and edge.kind == DERIVED}
    return set() if memory.current is None else {pin.id for pin in memory.current.cube.parents}


def _readable(state: State, reach: Reach, home: str, source: str) -> bool:
    memory = state.memories.get(source)
    if memory is None:
        return reach.of(home) == EVERYTHING
    where = reach.of(memory.namespace)
    if memory.current is None:
        return where == EVERYTHING
    return matches(where, memory.record(memory.current).cube)
