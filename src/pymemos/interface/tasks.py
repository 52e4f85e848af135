"""The requests on tasks: what the chats of each were read from, where sessions are, and the swaps that were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from pymemos.cube.call import Request
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.operation.proposing import days
from pymemos.operation.swapping import Part, SwapDecision, Tasks, noted, without
from pymemos.ports import ReadUnit, WriteUnit

SWAPS: Final = 20  # decisions that are kept of an owner, the newest


class ReadTasks(Request, frozen=True, kw_only=True, tag="tasks"):
    """Read what is kept of an owner's tasks."""


class NoteTask(Request, frozen=True, kw_only=True, tag="note_task"):
    """Keep what a chat under a task was read from, and the decision on a swap."""

    session: str
    task: str
    parts: tuple[Part, ...] = ()
    decision: SwapDecision | None = None
    gone: tuple[str, ...] = ()  # parts that turned out to be no more


class ReadSwaps(Request, frozen=True, kw_only=True, tag="swaps"):
    """Read the swaps of an owner."""


class ReadTasksHandler(Handler):
    """One's own, and nobody else's: tasks say what somebody works at."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=tasks_of(work.unit, work.call.caller.namespace))


class NoteTaskHandler(Handler):
    """Whoever chats may say so, in its own namespace."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: NoteTask = work.call.request  # type: ignore[assignment]
        namespace, held = work.call.caller.namespace, tasks_of(work.unit, work.call.caller.namespace)
        parts = tuple(one for one in request.parts if work.unit.owner_of(one.id) == namespace)
        decision = request.decision if _holds(work, request, held) else None
        at = days(work.now) if decision is None else decision.grounds.at
        now = noted(held, request.session, request.task, at, parts=parts, decision=decision, gone=request.gone)
        _keep(work.unit, namespace, now)
        if decision is not None and not decision.waits:
            _keep_swaps(work.unit, namespace, (*_swaps_of(work.unit, namespace), decision)[-SWAPS:])
        return Outcome(result=None, about={} if decision is None else _figures(decision))


class ReadSwapsHandler(Handler):
    """The decisions, oldest first."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=_swaps_of(work.unit, work.call.caller.namespace))


HANDLERS: dict[type[Request], Handler] = {
    ReadTasks: ReadTasksHandler(),
    NoteTask: NoteTaskHandler(),
    ReadSwaps: ReadSwapsHandler(),
}


def tasks_of(unit: ReadUnit, namespace: str) -> Tasks:
    """What is kept of an owner's tasks."""
    held = unit.setting(_tasks(namespace))
    return msgspec.json.decode(held, type=Tasks) if held else Tasks()


def forget(unit: WriteUnit, namespace: str) -> None:
    """Drop the traces of the tasks of a namespace of which everything goes: they name what somebody worked at."""
    for name in (_tasks(namespace), _swaps(namespace)):
        if unit.setting(name):
            unit.set_setting(name, "")


def forget_memories(
    unit: WriteUnit, homes: Mapping[str, str], own: Iterable[str] = (), session: str | None = None
) -> None:
    """Drop memories that are erased, given with the namespace of each, from sets, and the swaps that name them.

    With a ``session``, of which everything goes in the namespaces ``own``, it is forgotten where that was.
    """
    mine = set(own)
    for namespace in {*homes.values(), *mine}:
        tasks = tasks_of(unit, namespace)
        left = without(tasks, homes.keys(), session if namespace in mine else None)
        if left != tasks:
            _keep(unit, namespace, left)
        swaps = _swaps_of(unit, namespace)
        still = tuple(one for one in swaps if not one.names(homes.keys()))
        if still != swaps:
            _keep_swaps(unit, namespace, still)


def _holds(work: Work, request: NoteTask, held: Tasks) -> bool:
    """Whether a decision may be kept: nothing that it names was erased meanwhile, and the session is where it was."""
    decision, here = request.decision, held.sessions.get(request.session)
    if decision is None or decision.grounds.before != (None if here is None else here.task):
        return False
    named = {one.id for one in (*decision.grounds.old, *decision.grounds.new)}
    return all(work.unit.owner_of(id) == work.call.caller.namespace for id in named)


def _swaps_of(unit: ReadUnit, namespace: str) -> tuple[SwapDecision, ...]:
    held = unit.setting(_swaps(namespace))
    return msgspec.json.decode(held, type=tuple[SwapDecision, ...]) if held else ()


def _keep(unit: WriteUnit, namespace: str, tasks: Tasks) -> None:
    unit.set_setting(_tasks(namespace), msgspec.json.encode(tasks).decode())


def _keep_swaps(unit: WriteUnit, namespace: str, swaps: tuple[SwapDecision, ...]) -> None:
    unit.set_setting(_swaps(namespace), msgspec.json.encode(swaps).decode())


def _figures(decision: SwapDecision) -> dict[str, Any]:
    counts = {name: len(getattr(decision, name)) for name in ("load", "keep", "drop")}
    return {**counts, "waits": decision.waits}


def _tasks(namespace: str) -> str:
    return f"tasks {namespace}"


def _swaps(namespace: str) -> str:
    return f"swaps {namespace}"
