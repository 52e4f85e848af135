"""Schedule policies: by which strategy a caller's chats are planned, for tasks, owners and the store (5.4.2)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pymemos.cube.call import Caller, Request
from pymemos.cube.policy import Action
from pymemos.errors import InvalidInput
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.operation.strategies import PolicyBook, SchedulePolicy
from pymemos.ports import ReadUnit, WriteUnit

TASKS: Final = 100  # with a policy of their own, in one place: every chat reads them (ours)
_STORE: Final = "store"  # the organisation whose policies hold for everybody


class ReadSchedulePolicy(Request, frozen=True, kw_only=True, tag="schedule_policy"):
    """Read by which policy an owner's chats are planned, in a task; None where they are not."""

    task: str | None = None


class SetSchedulePolicy(Request, frozen=True, kw_only=True, tag="set_schedule_policy"):
    """Set the policy of a namespace or of the store, or of a task in it; None takes it back."""

    policy: SchedulePolicy | None
    task: str | None = None


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """What is set in one place."""

    default: SchedulePolicy | None = None
    tasks: dict[str, SchedulePolicy] = {}


class ReadHandler(Handler):
    """Whoever owns a namespace may know what holds in it."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ReadSchedulePolicy = work.call.request  # type: ignore[assignment]
        return Outcome(result=_holding(work.unit, work.call.scope.namespace, request.task))


class SetHandler(Handler):
    """An owner sets its own, the steward that of the store too."""

    action = Action.MANAGE
    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: SetSchedulePolicy = work.call.request  # type: ignore[assignment]
        namespace = work.call.scope.namespace
        _keep(work.unit, namespace, request.policy, request.task)
        return Outcome(result=_holding(work.unit, namespace, request.task))


HANDLERS: dict[type[Request], Handler] = {ReadSchedulePolicy: ReadHandler(), SetSchedulePolicy: SetHandler()}


def policy_of(unit: ReadUnit, caller: Caller) -> SchedulePolicy | None:
    """The policy by which a caller's chats are planned: its task's, its own, the store's; None where none is set."""
    return _holding(unit, caller.namespace, caller.task)


def forget(unit: WriteUnit, namespace: str) -> None:
    """Drop the policies of a namespace of which everything goes: they name tasks and labels."""
    if unit.setting(_name(namespace)):
        unit.set_setting(_name(namespace), "")


def _holding(unit: ReadUnit, namespace: str | None, task: str | None) -> SchedulePolicy | None:
    own = Policies() if namespace is None else _kept(unit, namespace)
    store = _kept(unit, None)
    tasks = {**store.tasks, **own.tasks}
    if task not in tasks and own.default is None and store.default is None:
        return None
    users = {} if own.default is None or namespace is None else {namespace: own.default}
    organisations = {} if store.default is None else {_STORE: store.default}
    book = PolicyBook(tasks=tasks, users=users, organisations=organisations)
    return book.of(task=task, user=namespace, organisation=_STORE)


def _keep(unit: WriteUnit, namespace: str | None, policy: SchedulePolicy | None, task: str | None) -> None:
    held = _kept(unit, namespace)
    if task is None:
        held = msgspec.structs.replace(held, default=policy)
    else:
        others = {name: one for name, one in held.tasks.items() if name != task}
        if policy is not None and len(others) >= TASKS:
            raise InvalidInput(f"{TASKS:,} tasks have a policy of their own; take one back (None) before the next")
        held = msgspec.structs.replace(held, tasks=others if policy is None else {**others, task: policy})
    unit.set_setting(_name(namespace), msgspec.json.encode(held).decode())


def _kept(unit: ReadUnit, namespace: str | None) -> Policies:
    held = unit.setting(_name(namespace))
    return msgspec.json.decode(held, type=Policies) if held else Policies()


def _name(namespace: str | None) -> str:
    return "schedule" if namespace is None else f"schedule {namespace}"
