"""What a turn of the scheduler proposes: memories that should be kept in another form, by their use (5.4.2).

A proposal is all that is made here; encoding and distilling are jobs of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.cube.payload import Activation, Parametric, Plaintext
from pymemos.operation.context import estimate_tokens
from pymemos.operation.costs import DAY_S, DEFAULT_PRICES, Calibration, Form, Prices, costs
from pymemos.operation.moves import Move, decide, move
from pymemos.operation.usage import Usage, learn

_KV = "kv"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """The moves that a turn proposes, those that save most seconds a day first, and what they were judged by."""

    at: datetime
    examined: int  # memories that were looked at
    moves: tuple[Move, ...] = ()
    model: str | None = None  # whose calibration it was; None where there is none, and so no proposal
    measured: str | None = None


def propose(
    cubes: Iterable[MemCube], now: datetime, calibration: Calibration, prices: Prices = DEFAULT_PRICES
) -> Schedule:
    """Which of some current memories should be kept in another form; derived ones tell which forms there are."""
    at = _days(now)
    texts, forms = _sorted_out(cubes)
    seen = {cube.id: usage_of(cube) for cube in texts}
    prior = learn(seen.values(), at)
    moves: list[Move] = []
    for cube in texts:
        usage, before = seen[cube.id], forms.get(cube.id, Form.TEXT)
        of = costs(max(1, estimate_tokens(cube.text)), calibration, prices)
        after = decide(before, of, usage, prior, at).form
        if after is not before:
            moves.append(move(cube.id, before, after, of, usage, prior, at))
    moves.sort(key=lambda one: (-one.uses_day * one.saves_s, one.id))
    return Schedule(
        at=now, examined=len(texts), moves=tuple(moves), model=calibration.model, measured=calibration.measured
    )


def usage_of(cube: MemCube) -> Usage:
    """What the header of a memory tells of its use: its heat is the count of uses, and of changes the last is known.

    Whether uses came in one sitting is not told; each counts as one of its own.
    """
    described, behaviour = cube.header.descriptive, cube.header.behaviour
    updated = described.updated if described.updated > described.created else None
    last = max(moment for moment in (described.created, updated, behaviour.last_used) if moment is not None)
    changed = None if updated is None else _days(updated)
    usage = Usage(since=_days(described.created), at=_days(last), uses=behaviour.heat_at(last), changed=changed)
    if changed is not None:  # as it weighs at the last that happened
        change = Usage(since=usage.since, at=changed, changes=1.0).aged(usage.at)
        usage = msgspec.structs.replace(usage, changes=change.changes)
    return msgspec.structs.replace(usage, is_used=behaviour.last_used is not None and behaviour.last_used == last)


def _sorted_out(cubes: Iterable[MemCube]) -> tuple[Sequence[MemCube], dict[str, Form]]:
    """The memories that are text, and the form beyond it of those that have one which still holds."""
    texts: list[MemCube] = []
    forms: dict[str, Form] = {}
    for cube in cubes:
        match cube.payload:
            case Plaintext() if not cube.is_manifest:
                texts.append(cube)
            case Activation(form=form) if form == _KV and cube.parents and not cube.stale:
                forms.setdefault(
                    cube.parents[-1].id, Form.KV
                )  # a segment is of the last; what is before, it goes on from
            case Parametric() if not cube.stale:
                forms.update((pin.id, Form.ADAPTER) for pin in cube.parents)
    return texts, forms


def _days(moment: datetime) -> float:
    return moment.timestamp() / DAY_S
