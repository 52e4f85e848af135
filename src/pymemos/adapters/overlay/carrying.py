"""Memories of a store as they were at a moment, copied into the state of an overlay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from pymemos.adapters.memory.state import Memory, Row
from pymemos.ports import ReadUnit, Record, StoredVector, TextRow


def as_known(versions: Sequence[Record], at: datetime) -> list[Record]:
    """The versions that were known then, as they were: what closed the last one later has not happened."""
    known = [record for record in versions if record.known_from <= at]
    if not known:
        return []
    last = known[-1]
    if last.known_to is not None and last.known_to <= at:
        return [replace(record, retired=last.known_to) for record in known]
    ends = last.cube.header.descriptive.valid_to
    known[-1] = replace(last, seq_to=None, known_to=None, valid_to=ends)
    return [replace(record, retired=None) for record in known]


def memory_at(
    base: ReadUnit,
    id: str,
    key: int,
    at: datetime,
    *,
    vectors: Sequence[StoredVector] = (),
    text: TextRow | None = None,
) -> Memory | None:
    """One memory of ``base`` as it was known at a moment; None where it was not known yet, or is gone for good.

    ``text`` is the full-text row of the version that was current then, ``vectors`` are its own where it is not current
    any more. How often the memory was used is as it is now.
    """
    versions = base.versions(id)
    records = as_known(versions, at)
    if not records:
        return None
    last = records[-1]
    if len(records) == len(versions) and versions[-1].known_to is None:
        vectors = [StoredVector(id=id, vector=one, seq_from=last.seq_from) for one in base.vectors_of(id)]
    moves = base.state_changes(id)
    journal = tuple(move for move in moves if move.at <= at)
    behaviour = last.cube.header.behaviour
    if len(journal) < len(moves):
        behaviour = replace(behaviour, state=journal[-1].after if journal else moves[0].before)
    return Memory(
        namespace=last.cube.namespace,
        number=key,
        rows=tuple(_row(record, text if record is last and last.known_to is None else None) for record in records),
        vectors=tuple(vectors) if last.known_to is None else (),
        behaviour=behaviour,
        changed=1,  # nothing that a search has to be told of, unless whoever carries it says so
        retired=last.retired,
        journal=journal,
    )


def _row(record: Record, text: TextRow | None) -> Row:
    superseded = record.known_to is not None and record.known_to != record.retired
    return Row(
        cube=record.cube,
        seq_from=record.seq_from,
        known_from=record.known_from,
        valid_from=record.valid_from,
        declared_to=record.cube.header.descriptive.valid_to if superseded else record.valid_to,
        text=text,
        seq_to=record.seq_to,
        known_to=record.known_to,
        superseded=superseded,
        closed_to=record.valid_to if superseded else None,
    )
