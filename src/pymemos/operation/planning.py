"""The plan of a chat: its candidates as the scheduler takes them, and what its plan means for the layout (5.4.2).

The stable block stands whatever is asked, in its order: its stored beginning is injected, and only as long as it is
whole. Of what the question found, the strategy says who comes first, and the budget who comes at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.operation.budgets import Budgets
from pymemos.operation.costs import UNMEASURED, Calibration, Form
from pymemos.operation.layout import STABLE_SHARE, Layout, LeftOut, Note, fitting
from pymemos.operation.layout import Budget as Tokens
from pymemos.operation.proposing import days
from pymemos.operation.scheduler import CALLS, Asked, Decision, schedule
from pymemos.operation.strategies import Candidate, SchedulePolicy


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What a chat's plan is made of: a first layout, without what the question found, and that, with scores."""

    layout: Layout
    found: tuple[tuple[MemCube, float, int], ...]  # memory, score, tokens
    known: Mapping[str, MemCube]  # memories of the layout, by id
    block: tuple[str, ...] = ()  # memories whose segments are stored behind each other, from the beginning on
    carried: frozenset[str] = frozenset()  # memories among those found that an adapter for the question knows


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The decision, and what follows: the memories found that are read, in order, and those an adapter stands for.

    ``injected`` says how many memories of the stable block may be injected, from its beginning on, where a budget ends
    that; None: as many as there are.
    """

    decision: Decision
    read: tuple[str, ...]
    carried: tuple[str, ...]
    injected: int | None = None
    within: Budgets = Budgets()  # everything that was asked for, also what nothing was measured for

    @property
    def places(self) -> dict[str, str]:
        """Where each memory stands, by id."""
        return {one.id: one.place.value for one in self.decision.plan.placed}

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The memories that are not used, and why."""
        plan = self.decision.plan
        return tuple(LeftOut(one.id, plan.why_left_out(one)) for one in plan.left_out)

    def in_block(self, stable: Iterable[Note]) -> tuple[Note, ...]:
        """Those of a stable block for which the budgets have room."""
        out = {one.id for one in self.decision.plan.left_out}
        return tuple(note for note in stable if note.id not in out)


def planned(
    of: Material, policy: SchedulePolicy, budgets: Budgets, calibration: Calibration | None, at: datetime
) -> Planned:
    """Plan a chat within the policy's budgets and those that the call leaves.

    Without a calibration nothing is known of seconds and bytes: then the plan counts tokens, memories and calls.
    """
    in_place = {note.id for exchange in of.layout.history for note in exchange.notes}
    in_place |= {id for exchange in of.layout.history for id in (exchange.asked_id, exchange.answer_id)}
    stable = of.layout.stable
    stored = _prefix([note.id for note in stable], of.block)
    candidates = [_candidate(of.known.get(note.id), note, number, at, stored) for number, note in enumerate(stable)]
    standing = {note.id for note in stable} | in_place
    candidates += [
        _of(cube, at, score=score, tokens=tokens, forms=(Form.ADAPTER,) if cube.id in of.carried else ())
        for cube, score, tokens in of.found
        if cube.id not in standing
    ]
    within = policy.budgets.within(budgets)
    measured = within if calibration is not None else msgspec.structs.replace(within, seconds=None, device_bytes=None)
    decision = schedule(
        Asked(
            candidates=tuple(candidates),
            budgets=measured,
            policy=policy,
            calibration=msgspec.structs.replace(calibration or UNMEASURED, timings=()),
        )
    )
    found = {cube.id for cube, _, _ in of.found}
    placed = [one for one in decision.plan.placed if one.id in found]
    return Planned(
        decision=decision,
        read=tuple(one.id for one in placed if one.form is not Form.ADAPTER),
        carried=tuple(one.id for one in placed if one.form is Form.ADAPTER),
        injected=_injected([note.id for note in stable], decision),
        within=within,
    )


def _injected(stable: Sequence[str], decision: Decision) -> int | None:
    """How many memories at the beginning of the stable block may be injected; None: no budget ends that."""
    plan, calls = decision.plan, decision.asked.budgets.calls
    spent = CALLS[Form.ADAPTER] if any(one.form is Form.ADAPTER for one in plan.placed) else 0
    if calls is not None and calls - spent < CALLS[Form.KV]:  # to look for segments takes calls, found or not
        return 0
    out = {one.id for one in plan.left_out}
    standing = [id for id in stable if id not in out]
    held = {one.id for one in plan.placed if one.held_back is not None}
    return next((number for number, id in enumerate(standing) if id in held), None)


def seeded(last: Layout | None, block: Sequence[Note], budget: Tokens) -> Layout | None:
    """The last layout with the stored block before what else was stable: so prompts begin with what is stored.

    Only at the beginning of a conversation: between its turns nothing moves.
    """
    if not block or (last is not None and last.history):
        return last
    kept = fitting(block, STABLE_SHARE * budget.memory)
    ids = {note.id for note in kept}
    rest = [note for note in last.stable if note.id not in ids] if last is not None else []
    return Layout(stable=(*kept, *rest))


def note_of(id: str, version: str, content_hash: str, text: str, tokens: int) -> Note:
    """A memory of the stored block in its place."""
    why = "stable: its keys and values are stored behind those before it"
    return Note(id=id, version=version, content_hash=content_hash, text=text, tokens=tokens, why=why)


def _prefix(stable: Iterable[str], block: Sequence[str]) -> frozenset[str]:
    """The memories of the stable block with which the stored one begins too: no other segment can be injected."""
    same = []
    for id, stored in zip(stable, block, strict=False):
        if id != stored:
            break
        same.append(id)
    return frozenset(same)


def _candidate(cube: MemCube | None, note: Note, position: int, at: datetime, stored: Collection[str]) -> Candidate:
    """A memory of the stable block."""
    forms = (Form.KV,) if note.id in stored else ()
    if cube is None:
        return Candidate(id=note.id, version=note.version, tokens=note.tokens, forms=forms, position=position)
    return _of(cube, at, tokens=note.tokens, forms=forms, position=position)


def _of(
    cube: MemCube,
    at: datetime,
    *,
    tokens: int,
    score: float = 0.0,
    forms: tuple[Form, ...] = (),
    position: int | None = None,
) -> Candidate:
    described, behaviour = cube.header.descriptive, cube.header.behaviour
    used = behaviour.last_used
    return Candidate(
        id=cube.id,
        version=cube.version,
        tokens=tokens,
        score=score,
        uses=behaviour.uses,
        heat=behaviour.heat_at(at),
        last_used=None if used is None else days(used),
        changed=days(described.updated),
        priority=cube.header.governance.priority,
        labels=described.tags,
        forms=forms,
        is_trusted=cube.trust.is_trusted,
        is_stale=bool(cube.stale),
        position=position,
    )
