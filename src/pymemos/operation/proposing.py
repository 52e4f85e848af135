"""What a turn of the scheduler proposes: memories that should be kept in another form, by their use (5.4.2).

A proposal is all that is made here; ``turns`` says how it is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.cube.payload import Activation, Parametric, Plaintext
from pymemos.operation.context import estimate_tokens
from pymemos.operation.costs import DAY_S, DEFAULT_PRICES, FORMS, Calibration, Form, Prices
from pymemos.operation.decisions import FormDecision, Grounds, decided
from pymemos.operation.moves import Move
from pymemos.operation.usage import Usage, learn

_KV = "kv"
Allowed = Callable[[MemCube], tuple[Form, ...]]  # the forms that a memory can have


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """The moves that a turn proposes, those that save most seconds a day first, and what they were judged by."""

    at: datetime
    examined: int  # memories that were looked at
    moves: tuple[Move, ...] = ()
    model: str | None = None  # whose calibration it was; None where there is none, and so no proposal
    measured: str | None = None


def propose(
    cubes: Iterable[MemCube],
    now: datetime,
    calibration: Calibration,
    prices: Prices = DEFAULT_PRICES,
    *,
    allowed: Allowed = lambda _: FORMS,
) -> Schedule:
    """Which of some current memories should be kept in another form; derived ones tell which forms there are.

    ``allowed`` says which forms a memory can have.
    """
    texts, forms = _sorted_out(cubes)
    decisions = judge(texts, forms, now, calibration, prices, allowed=allowed)
    return Schedule(
        at=now,
        examined=len(texts),
        moves=tuple(one.move for one in best_first(decisions)),
        model=calibration.model,
        measured=calibration.measured,
    )


def judge(
    texts: Sequence[MemCube],
    forms: Mapping[str, Form],
    now: datetime,
    calibration: Calibration,
    prices: Prices = DEFAULT_PRICES,
    *,
    allowed: Allowed = lambda _: FORMS,
) -> list[FormDecision]:
    """The decision on each of some texts of one owner; ``forms`` has those that are not text at present."""
    at = days(now)
    seen = [usage_of(cube) for cube in texts]
    prior = learn(seen, at)
    return [
        decided(
            Grounds(
                id=cube.id,
                version=cube.version,
                tokens=max(1, estimate_tokens(cube.text)),
                usage=usage,
                prior=prior,
                at=at,
                before=forms.get(cube.id, Form.TEXT),
                allowed=allowed(cube),
                calibration=calibration,
                prices=prices,
            )
        )
        for cube, usage in zip(texts, seen, strict=True)
    ]


def best_first(decisions: Iterable[FormDecision]) -> list[FormDecision]:
    """Those that ask for a move, what saves most seconds a day first."""
    moves = [(one.move, one) for one in decisions if one.is_move]
    return [one for _, one in sorted(moves, key=lambda pair: (-pair[0].uses_day * pair[0].saves_s, pair[0].id))]


def usage_of(cube: MemCube) -> Usage:
    """What the header of a memory tells of its use: its heat is the count of uses, and of changes the last is known.

    Whether uses came in one sitting is not told; each counts as one of its own.
    """
    described, behaviour = cube.header.descriptive, cube.header.behaviour
    updated = described.updated if described.updated > described.created else None
    last = max(moment for moment in (described.created, updated, behaviour.last_used) if moment is not None)
    changed = None if updated is None else days(updated)
    usage = Usage(since=days(described.created), at=days(last), uses=behaviour.heat_at(last), changed=changed)
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
            case Parametric(admitted=True) if not cube.stale:
                forms.update((pin.id, Form.ADAPTER) for pin in cube.parents)
    return texts, forms


def days(moment: datetime) -> float:
    """A moment in days, as usage counts them."""
    return moment.timestamp() / DAY_S
