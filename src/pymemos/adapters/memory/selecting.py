"""Selections over a state: which version of a memory the two times pick, and whether the rest admits it."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime

from msgspec.structs import replace

from pymemos.adapters.memory.state import Memory, Row, State
from pymemos.cube.call import Selection
from pymemos.cube.filters import matches
from pymemos.ports import Record


def select(state: State, selection: Selection, hidden: Set[str]) -> list[tuple[Record, Row]]:
    """The selected versions by id, at most one of each memory, and none of those that the reach hides.

    The times pick the version and everything else judges the one they picked: a version that a later one replaced
    never answers because its successor does not.
    """
    chosen = []
    for id in sorted(state.memories.keys() - hidden):
        memory = state.memories[id]
        if selection.namespaces is not None and memory.namespace not in selection.namespaces:
            continue
        if not matches(selection.rule_of(memory.namespace), memory.record(memory.rows[-1]).cube):
            continue  # also for a look back: what was taken out of reach since is out of it then too
        row = pick(memory, selection)
        if row is not None and _admits(selection, record := memory.record(row)) and _stands(selection, memory, row):
            chosen.append((record, row))
    return chosen


def pick(memory: Memory, selection: Selection) -> Row | None:
    """The version that answers at the selection's times."""
    if selection.valid_at is not None:
        return _true_at(memory, selection.valid_at, selection.known_at)
    row = memory.current if selection.known_at is None else _known_at(memory, selection.known_at)
    if row is None or _over(row, selection.ended_before):
        return None
    return row


def _known_at(memory: Memory, known_at: datetime) -> Row | None:
    """The version that was current then; retiring closed the last one, so a deleted memory has none."""
    for row in memory.rows:
        if row.known_from <= known_at and (row.known_to is None or known_at < row.known_to):
            return row
    return None


def _true_at(memory: Memory, valid_at: datetime, known_at: datetime | None) -> Row | None:
    """The latest version, of those known by ``known_at``, whose validity as it was known then holds ``valid_at``."""
    if (memory.current if known_at is None else _known_at(memory, known_at)) is None:
        return None  # deleted then, though it may have been restored since
    for row in reversed(memory.rows):
        known = known_at is None or row.known_from <= known_at
        end = row.closed_to if row.superseded_by(known_at) else row.declared_to
        if known and row.valid_from <= valid_at and (end is None or valid_at < end):
            return row
    return None


def _over(row: Row, ended_before: datetime | None) -> bool:
    # The declared end is the one that was known: a version that had been closed by then is not the one picked.
    return ended_before is not None and row.declared_to is not None and row.declared_to <= ended_before


def _stands(selection: Selection, memory: Memory, row: Row) -> bool:
    """Whether the memory stood where the selection looks, at the time that it asks about."""
    if selection.stages is None or selection.as_of is None:
        return True
    seen = replace(memory.behaviour, state=memory.state_at(selection.known_at))
    return row.cube.observed(seen).stage_at(selection.as_of) in selection.stages


def _admits(selection: Selection, record: Record) -> bool:
    cube = record.cube
    said = cube.header.descriptive
    return (
        (selection.agent is None or said.agent == selection.agent)
        and (selection.session is None or said.session == selection.session)
        and (selection.episodes or not cube.is_manifest)
        and (selection.where is None or matches(selection.where, cube))
        and matches(selection.rule_of(cube.namespace), cube)
    )
