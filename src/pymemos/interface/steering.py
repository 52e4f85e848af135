"""The requests on steering vectors: one is kept, and read for use if it may be used as of now (4.1, ADR 0037).

Slow work, computing vectors and reading their files, is done between these calls and never inside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pymemos.cube.call import Request
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.header import Descriptive, Governance, Origin, Priority, Provenance, SemanticType, Stage
from pymemos.cube.payload import Activation, ModelRef
from pymemos.cube.steering import Effect
from pymemos.cube.wire import digest, encode
from pymemos.errors import InvalidInput, NotAllowed, SegmentRefused, StaleMemory, StaleVersion
from pymemos.infrastructure import vault
from pymemos.infrastructure.vault import Draft
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.made import note_made
from pymemos.interface.requests import Labels, Pin
from pymemos.interface.sources import marked, pinned
from pymemos.interface.versions import OnMemory, check_written, living_record
from pymemos.ports import SteeringUse

STEERING = "steering"
EFFECT = "effect"  # the metadata of a vector: what it did on the pairs that were held out


class KeepSteering(Request, frozen=True, kw_only=True, tag="keep_steering"):
    """Keep a vector whose file is stored; the payload comes without its seal."""

    payload: Activation
    effect: Effect
    parents: tuple[Pin, ...] = ()  # the memories that its pairs were taken from
    labels: Labels = Labels()
    provenance: Provenance | None = None  # by which pathway it came about
    job: str | None = None  # that made it, so that its result is remembered


class UseSteering(Request, frozen=True, kw_only=True, tag="use_steering"):
    """Read a vector that is about to be used by a model; refused where it may not be, as of now."""

    id: str
    model: ModelRef


class Steered(msgspec.Struct, frozen=True, kw_only=True):
    """A vector that was made: its memory, and what it did on the pairs that were held out to choose layer and scale."""

    cube: MemCube
    effect: Effect

    @property
    def id(self) -> str:
        """The memory's id."""
        return self.cube.id


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors that may be used now: pass ``uses`` to the engine as ``steering``; ask anew for the next answer."""

    uses: tuple[SteeringUse, ...] = ()
    ids: tuple[str, ...] = ()
    pins: tuple[Parent, ...] = ()  # their versions, to look at again once the answer is made


class KeepSteeringHandler(Handler):
    """A vector becomes a memory, made from what its pairs were taken from."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: KeepSteering = work.call.request  # type: ignore[assignment]
        id = work.tools.new_id(work.now)
        parents = pinned(work, request.parents, id)
        caller, scope, labels = work.call.caller, work.call.scope, request.labels
        namespace = scope.namespace or caller.namespace
        told = {name: getattr(request.effect, name) for name in ("items", "change", "low", "high")}
        said = Descriptive(
            created=work.now,
            updated=work.now,
            origin=Origin.INFERENCE,
            semantic_type=labels.semantic_type or SemanticType.PREFERENCE,
            cause="steer",
            author=caller.name,
            agent=scope.agent,
            session=scope.session,
            role=caller.role,
            task=caller.task,
            tags=labels.tags or (),
            provenance=request.provenance,
            metadata={**(labels.metadata or {}), EFFECT: told},
        )
        of = [record.cube for record in work.unit.current([pin.id for pin in parents])]
        if request.job is not None:
            _check_unchanged(parents, of)
        sensitivity = dict.fromkeys(label for cube in of for label in cube.header.governance.sensitivity)
        rules = Governance(
            owner=namespace,
            namespace=namespace,
            priority=labels.priority or Priority.MID,
            sensitivity=tuple(sensitivity),
        )
        seal = seal_of(namespace, request.payload, work.tools.key)
        cube = MemCube.make(
            id=id,
            salt=work.tools.new_salt(),
            descriptive=said,
            governance=rules,
            payload=msgspec.structs.replace(request.payload, seal=seal),
            parents=parents,
        )
        check_written(work, [cube])
        vault.write_turns(work.unit, [Draft(cube=cube)], work.now)
        if request.job is not None:
            note_made(work, request.job, (id,))
        return Outcome(result=Steered(cube=cube, effect=request.effect), memories=(id,))


def _check_unchanged(parents: Sequence[Parent], now: Sequence[MemCube]) -> None:
    """Refuse what a job made of something that was changed meanwhile: it would be stale from its beginning."""
    held = {cube.id: cube.content_hash for cube in now}
    changed = [pin.id for pin in parents if held.get(pin.id) != pin.content_hash]
    if changed:
        raise StaleVersion(f"memory {changed[0]!r} was changed while it was read; transform it again")


class UseSteeringHandler(OnMemory):
    """The check at each use: what was erased, changed, revoked or expired until now is refused."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: UseSteering = work.call.request  # type: ignore[assignment]
        cube = marked(work, [living_record(work, request.id).cube])[0]
        payload = cube.payload
        if not isinstance(payload, Activation) or payload.form != STEERING:
            raise InvalidInput(f"memory {cube.id!r} is no steering vector; 'steering list' shows which there are")
        if payload.seal != seal_of(cube.namespace, payload, work.tools.key):
            raise SegmentRefused(f"vector {cube.id!r} was not made by this instance; make it again")
        if payload.model != request.model:
            raise SegmentRefused(
                f"vector {cube.id!r} was taken from another model ({payload.model.name}); make it again"
            )
        if cube.stage_at(work.now) is Stage.ARCHIVED:
            raise NotAllowed(f"vector {cube.id!r} is archived; activate it to use it again")
        if cube.stale:
            why = "; ".join(map(str, cube.stale[:3]))
            raise StaleMemory(f"vector {cube.id!r} is stale ({why}); make it anew from its sources")
        return Outcome(result=cube, memories=(cube.id,), used=True)


def seal_of(namespace: str, payload: Activation, key: bytes) -> str:
    """What only this instance can write of a vector: nobody else's numbers get into a model by a memory's name."""
    named = [STEERING, namespace, payload.blob, list(payload.layers), payload.scale, payload.model]
    return digest(encode(named), key=key)


HANDLERS: dict[type[Request], Handler] = {
    KeepSteering: KeepSteeringHandler(),
    UseSteering: UseSteeringHandler(),
}
