"""MemLifecycle behind the door: the requests that move memories, sweep them and say by which policy (5.4.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from pymemos.cube.call import MemoryCall, Request
from pymemos.cube.cube import MemCube
from pymemos.cube.life import LifeFacts
from pymemos.cube.policy import Action
from pymemos.errors import NotAllowed
from pymemos.infrastructure import vault
from pymemos.infrastructure.governance import Target
from pymemos.interface import lives
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.transfer import OnStore
from pymemos.interface.versions import OnMemory, living_record
from pymemos.operation.lifecycle import Cause, LifecyclePolicy, Move, Passage, Refusal, passages, transition
from pymemos.ports import Job, ReadUnit, WriteUnit

SWEEP = "sweep"  # the kind of the recurring job, and its dedup key
PAGE = 20_000  # memories that one look reads
MOVES = 1_000  # moves in one transaction


class Freeze(Request, frozen=True, kw_only=True, tag="freeze"):
    """Let a memory take no more edits."""

    id: str


class Unfreeze(Request, frozen=True, kw_only=True, tag="unfreeze"):
    """Let it take edits again; the steward's alone."""

    id: str


class Archive(Request, frozen=True, kw_only=True, tag="archive"):
    """Put a memory into the vault, out of the default search."""

    id: str


class Activate(Request, frozen=True, kw_only=True, tag="activate"):
    """Bring a memory to hand, from the archive too."""

    id: str


class Passages(Request, frozen=True, kw_only=True, tag="passages"):
    """Read how a memory came to where it stands."""

    id: str


class Look(Request, frozen=True, kw_only=True, tag="look_at_lives"):
    """Read the facts of a page of memories, and the policies that hold for them."""

    after: str | None = None
    limit: int = PAGE


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """A page of facts with the policy of each namespace; ``after`` continues, None at the end."""

    facts: list[LifeFacts]
    policies: dict[str, LifecyclePolicy]
    after: str | None = None


class Settle(Request, frozen=True, kw_only=True, tag="sweep"):
    """Make moves that were planned; gives those that still held. ``next_at`` queues the store's next sweep."""

    moves: tuple[Move, ...]
    next_at: datetime | None = None


class ReadPolicy(Request, frozen=True, kw_only=True, tag="lifecycle_policy"):
    """Read a namespace's policy, or the store's."""


class SetPolicy(Request, frozen=True, kw_only=True, tag="set_lifecycle_policy"):
    """Set it; None goes back to the store's, or to the default."""

    policy: LifecyclePolicy | None


# Commands.


class FreezeHandler(OnMemory):
    """Frozen is declared: a new version says so, and who said it. For the owner, as only the steward can undo it."""

    changes = True
    action = Action.MANAGE
    cause = Cause.FREEZE

    def run(self, work: Work, prepared: Any) -> Outcome:
        cube = living_record(work, work.call.request.id).cube  # type: ignore[attr-defined]
        to = transition(cube.header.behaviour.state, cube.header.governance.frozen, self.cause)
        if isinstance(to, Refusal):
            raise NotAllowed(f"memory {cube.id!r} cannot be changed: {to.reason}")
        if to.frozen != cube.header.governance.frozen:
            cube = _marked(work, cube, to.frozen, self.cause)
        return Outcome(result=cube, memories=(cube.id,))


class UnfreezeHandler(FreezeHandler):
    """Only the steward: the owner's call is refused and recorded, anybody else's id is unknown."""

    cause = Cause.UNFREEZE

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        target = super().target(call, unit)
        return msgspec.structs.replace(target, stewardship=True)


class ArchiveHandler(OnMemory):
    """A command moves a memory along the table; to where it stands already is no error."""

    changes = True
    cause = Cause.ARCHIVE

    def run(self, work: Work, prepared: Any) -> Outcome:
        cube = living_record(work, work.call.request.id).cube  # type: ignore[attr-defined]
        at = work.unit.advance(cube.namespace, work.now).at
        refusal = lives.moved(work.unit, cube.id, self.cause, at, work.call.caller.name)
        if refusal is not None:
            raise NotAllowed(f"memory {cube.id!r} cannot be moved: {refusal.reason}")
        return Outcome(result=work.unit.current([cube.id])[0].cube, memories=(cube.id,))


class ActivateHandler(ArchiveHandler):
    """The way back out of the archive (5.4.3)."""

    cause = Cause.ACTIVATE


class PassagesHandler(OnMemory):
    """From the journal of states and from the versions, which tell of frozen."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        id = work.call.request.id  # type: ignore[attr-defined]
        found: list[Passage] = passages(work.unit.versions(id), work.unit.state_changes(id))
        return Outcome(result=found, memories=(id,))


# Sweeps.


class LookHandler(Handler):
    """One's own memories, or, for the steward, everybody's."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Look = work.call.request  # type: ignore[assignment]
        facts = work.unit.lives(work.decision.namespaces, limit=request.limit, after=request.after)
        names = {one.namespace for one in facts}
        policies = {name: lives.policy_of(work.unit, name) for name in names}
        after = facts[-1].id if len(facts) == request.limit else None
        return Outcome(result=Looked(facts=facts, policies=policies, after=after))


class SettleHandler(Handler):
    """What was used, edited or moved since it was planned stays: the next sweep looks at it again."""

    action = Action.MANAGE
    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Settle = work.call.request  # type: ignore[assignment]
        reach, unit = work.decision.namespaces, work.unit
        held = {facts.id: facts for facts in unit.lives_of([move.id for move in request.moves])}
        done = tuple(
            move
            for move in request.moves
            if (facts := held.get(move.id)) is not None
            and (reach is None or facts.namespace in reach)
            and lives.legal(move, facts)
        )
        at = {name: unit.advance(name, work.now).at for name in sorted({held[move.id].namespace for move in done})}
        author = work.call.caller.name
        unit.move([lives.written(move, at[held[move.id].namespace], author) for move in done])
        if request.next_at is not None:
            queue_sweep(unit, work.tools.new_id(work.now), request.next_at)
        return Outcome(result=done, memories=tuple(move.id for move in done))


def queue_sweep(unit: WriteUnit, id: str, run_at: datetime) -> bool:
    """Queue a sweep of the whole store, unless one waits; says whether it did."""
    return unit.enqueue(Job(id=id, kind=SWEEP, namespace="default", run_at=run_at, dedup_key=SWEEP))


# Policies.


class ReadPolicyHandler(Handler):
    """Whoever owns a namespace may know what holds in it."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=lives.policy_of(work.unit, work.call.scope.namespace))


class SetPolicyHandler(OnStore):
    """The steward's alone."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: SetPolicy = work.call.request  # type: ignore[assignment]
        lives.set_policy(work.unit, work.call.scope.namespace, request.policy)
        return Outcome(result=lives.policy_of(work.unit, work.call.scope.namespace))


def _marked(work: Work, cube: MemCube, frozen: bool, cause: Cause) -> MemCube:
    """The next version, which is frozen or no longer is."""
    rules = msgspec.structs.replace(cube.header.governance, frozen=frozen)
    author = work.call.caller.name
    said = msgspec.structs.replace(cube.header.descriptive, updated=work.now, cause=cause.value, author=author)
    newer = cube.derive(descriptive=said, governance=rules)
    draft = msgspec.structs.replace(vault.draft(newer), vectors=work.unit.vectors_of(cube.id))
    vault.supersede(work.unit, draft, work.now)
    return newer


HANDLERS: dict[type[Request], Handler] = {
    Freeze: FreezeHandler(),
    Unfreeze: UnfreezeHandler(),
    Archive: ArchiveHandler(),
    Activate: ActivateHandler(),
    Passages: PassagesHandler(),
    Look: LookHandler(),
    Settle: SettleHandler(),
    ReadPolicy: ReadPolicyHandler(),
    SetPolicy: SetPolicyHandler(),
}
