"""Lives: the life cycle inside a unit of the store: whose policy holds, and what a use or a command moves (5.4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from pymemos.cube.audit import AuditRecord
from pymemos.cube.life import LifeFacts, StateChange
from pymemos.operation.lifecycle import DEFAULT_POLICY, Cause, LifecyclePolicy, Move, Refusal, on_use, transition
from pymemos.ports import ReadUnit, WriteUnit

_POLICY = "lifecycle policy"  # the setting that holds the store's; a namespace's own has its name behind it


def policy_of(unit: ReadUnit, namespace: str | None) -> LifecyclePolicy:
    """The policy of a namespace: its own, else the store's (None asks for that), else the default."""
    own = None if namespace is None else unit.setting(_name(namespace))
    held = own or unit.setting(_name(None))
    return msgspec.json.decode(held, type=LifecyclePolicy) if held else DEFAULT_POLICY


def set_policy(unit: WriteUnit, namespace: str | None, policy: LifecyclePolicy | None) -> None:
    """Keep the policy of a namespace, or the store's; None goes back to what held before there was one."""
    unit.set_setting(_name(namespace), "" if policy is None else msgspec.json.encode(policy).decode())


def note_uses(unit: WriteUnit, records: Iterable[AuditRecord]) -> None:
    """Count the uses that audit entries tell of, and activate what they made warm enough (5.4.3: reference)."""
    users: dict[str, AuditRecord] = {}
    for record in records:
        unit.use(record.memories, record.at)
        users |= dict.fromkeys(record.memories, record)
    if not users:
        return
    policies: dict[str, LifecyclePolicy] = {}
    changes = []
    for facts in unit.lives_of(list(users)):
        if facts.namespace not in policies:
            policies[facts.namespace] = policy_of(unit, facts.namespace)
        move = on_use(facts, policies[facts.namespace])
        if move is not None:
            user = users[facts.id]
            changes.append(written(move, user.at, user.caller.name))
    if changes:
        unit.move(changes)


def moved(unit: WriteUnit, id: str, cause: Cause, at: datetime, author: str) -> Refusal | None:
    """Move one current memory along the table, in a namespace that was advanced; says why where it may not."""
    [facts] = unit.lives_of([id])
    to = transition(facts.state, facts.frozen, cause)
    if isinstance(to, Refusal):
        return to
    if to.state is not facts.state:
        unit.move([StateChange(id=id, at=at, before=facts.state, after=to.state, cause=cause, author=author)])
    return None


def legal(move: Move, facts: LifeFacts) -> bool:
    """Whether a move that was planned may be made now: the memory is as it was seen, and the table has the edge."""
    to = transition(facts.state, facts.frozen, move.cause)
    return move.still_holds(facts) and not isinstance(to, Refusal) and to.state is move.after


def written(move: Move, at: datetime, author: str) -> StateChange:
    """A move as the journal keeps it."""
    return StateChange(id=move.id, at=at, before=move.before, after=move.after, cause=move.cause, author=author)


def _name(namespace: str | None) -> str:
    return _POLICY if namespace is None else f"{_POLICY} of {namespace}"
