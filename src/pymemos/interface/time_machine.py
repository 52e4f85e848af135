"""Time Machine on whole namespaces (5.4.3): moments that have names, and the way back to one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pymemos.cube.call import Request, Selection
from pymemos.cube.header import Stage
from pymemos.cube.policy import Action
from pymemos.errors import InvalidInput
from pymemos.infrastructure import governance, vault
from pymemos.infrastructure.governance import Target
from pymemos.interface import lives
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.giving_up import is_let_go
from pymemos.interface.merging import put_away
from pymemos.interface.provenance import write_restored
from pymemos.interface.rights import is_open, last_version
from pymemos.operation.lifecycle import Cause
from pymemos.operation.time_machine import Act, Returned, Step, way_back
from pymemos.ports import Namespace, ReadUnit, Record, Snapshot

PAGE = 1_000  # memories that are compared together
TICK = timedelta(microseconds=1)


class TakeSnapshot(Request, frozen=True, kw_only=True, tag="snapshot"):
    """Give the present moment a name."""

    name: str


class Snapshots(Request, frozen=True, kw_only=True, tag="snapshots"):
    """Read the moments that have names."""


class ReturnTo(Request, frozen=True, kw_only=True, tag="restore_to"):
    """Make everything in a scope say again what it said at a moment, or at the one with a name."""

    moment: datetime | str


class PlanReturn(Request, frozen=True, kw_only=True, tag="plan_restore_to"):
    """What ``ReturnTo`` would do."""

    moment: datetime | str


class TakeSnapshotHandler(Handler):
    """The moment is later than all that is known, and what comes next is later than the moment."""

    action = Action.MANAGE
    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: TakeSnapshot = work.call.request  # type: ignore[assignment]
        reach = work.decision.namespaces
        scope = None if reach is None else reach[0]
        for held in work.unit.snapshots(scope):
            if held.name == request.name:
                raise InvalidInput(f"{request.name!r} is the name of {held.at.isoformat()} already; take another one")
        spaces = spaces_of(work)
        at = max([work.now, *(space.at + TICK for space in spaces)])
        for space in spaces:
            work.unit.advance(space.name, at)
        taken = Snapshot(name=request.name, at=at, author=work.call.caller.name, namespace=scope)
        work.unit.put_snapshot(taken)
        return Outcome(result=taken)


class SnapshotsHandler(Handler):
    """Those of the caller's namespace; for the whole store those of the store."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=tuple(_snapshots(work)))


class PlanReturnHandler(Handler):
    """The steps, none of them taken."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: PlanReturn = work.call.request  # type: ignore[assignment]
        at = moment_of(work, request.moment)
        return Outcome(result=Returned(at=at, steps=tuple(_steps(work, at)), dry_run=True))


class ReturnToHandler(Handler):
    """Every step in one transaction: the scope goes back as a whole, or stays."""

    action = Action.MANAGE
    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ReturnTo = work.call.request  # type: ignore[assignment]
        at = moment_of(work, request.moment)
        steps = tuple(_steps(work, at))
        for step in reversed(steps):  # newest first: so no turn is given a new context only to be deleted next
            _take(work, step)
        changed = tuple(step.id for step in steps if step.act is not Act.LEAVE)
        return Outcome(result=Returned(at=at, steps=steps, dry_run=False), memories=changed)


def spaces_of(work: Work) -> list[Namespace]:
    """The namespaces that the call reaches."""
    reach = work.decision.namespaces
    return [space for space in work.unit.namespaces() if reach is None or space.name in reach]


def _snapshots(work: Work) -> list[Snapshot]:
    reach = work.decision.namespaces
    own: list[Snapshot] = [] if reach is None else work.unit.snapshots(reach[0])
    return [*own, *(work.unit.snapshots(None) if work.call.caller.steward else [])]


def moment_of(work: Work, moment: datetime | str) -> datetime:
    """A moment that was, or the one with a name."""
    if isinstance(moment, str):
        named = {held.name: held.at for held in reversed(_snapshots(work))}  # one's own go before the store's
        if moment not in named:
            names = ", ".join(map(repr, named)) or "none"
            raise InvalidInput(f"{moment!r} is neither a time with a zone nor the name of a snapshot; there is {names}")
        return named[moment]
    if moment > max([work.now, *(space.at for space in spaces_of(work))]):  # the store's time may be ahead of a clock
        raise InvalidInput(f"{moment.isoformat()} is still to come; go back to a moment that was")
    return moment


def _steps(work: Work, at: datetime) -> list[Step]:
    now = msgspec.structs.replace(work.selection(episodes=True), rules=(), reach=None)
    then = msgspec.structs.replace(now, known_at=at)
    back = way_back(_records(work.unit, then), _records(work.unit, now))
    steps = [_unless_expired(work, step) for step in back]
    steps = sorted([*steps, *_out_of_the_archive(work, at, steps)], key=lambda step: step.id)
    return steps if work.of.powerful else [step for step in steps if _may_take(work, step)]


def _out_of_the_archive(work: Work, at: datetime, steps: list[Step]) -> Iterator[Step]:
    """What was merged or fused since into memories that go back, and has no other reason to come back."""
    known = {step.id for step in steps}
    ids = [step.id for step in steps if step.act in (Act.RESTORE, Act.DELETE)]
    for start in range(0, len(ids), PAGE):
        made = [record.cube for record in work.unit.current(ids[start : start + PAGE]) if record.cube.parents]
        for record in (record for cube in made for record in work.unit.versions(cube.id) if record.known_from > at):
            for source in put_away(work, record):
                if source.id not in known:
                    known.add(source.id)
                    reason = f"it was put away since, when {record.cube.id} was made of it"
                    yield Step(id=source.id, act=Act.ACTIVATE, reason=reason)


def _unless_expired(work: Work, step: Step) -> Step:
    """The step; a memory that is at its end, deleted or not, stays there while the rest goes back (ADR 0006).

    So does a cache that was given up (ADR 0040).
    """
    if step.act not in (Act.RESTORE, Act.REVIVE):
        return step
    last = last_version(work.unit, step.id)
    if last.stage_at(work.now) is Stage.EXPIRED:
        return msgspec.structs.replace(step, act=Act.LEAVE, reason="it has expired")
    if is_let_go(work.tools, last):
        return msgspec.structs.replace(step, act=Act.LEAVE, reason="its file is gone, as it was given up")
    return step


def _may_take(work: Work, step: Step) -> bool:
    """Whether the caller may change the memory, and read what it would say: managing is not enough for that."""
    versions: list[Record] = work.unit.versions(step.id)
    last = versions[-1].cube
    writing = governance.decide(work.of.doing(Action.WRITE), Target(namespaces=(last.namespace,)))
    concerned = [last, *(record.cube for record in versions if record.cube.revision == step.revision)]
    return writing.allowed and all(writing.admits(one) and is_open(work.unit, work.of, one) for one in concerned)


def _records(unit: ReadUnit, selection: Selection) -> Iterator[Record]:
    """What a selection holds, in order of the ids."""
    after: str | None = None
    while True:
        page = unit.page(selection, limit=PAGE, after=after)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].cube.id


def _take(work: Work, step: Step) -> None:
    versions: list[Record] = work.unit.versions(step.id)
    last = versions[-1].cube
    if step.act is Act.DELETE:
        vault.retire(work.unit, last, work.now)
    elif step.act is Act.ACTIVATE:
        at = work.unit.advance(last.namespace, work.now).at
        lives.moved(work.unit, step.id, Cause.ACTIVATE, at, work.call.caller.name)
    elif step.act is not Act.LEAVE:
        wanted = next(record.cube for record in versions if record.cube.revision == step.revision)
        write_restored(work, last, wanted, deleted=step.act is Act.REVIVE)
