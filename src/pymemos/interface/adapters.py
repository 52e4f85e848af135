"""The requests on adapters: what is distilled, kept, found for a question, and confirmed at each use (4.1, 4.2).

Slow work (training, asking the model, reading files) is done between these calls and never inside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pymemos.cube.call import MemoryCall, Request, Selection
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.filters import Compare, Filter, both
from pymemos.cube.header import Descriptive, Governance, Origin, Priority, Provenance, SemanticType, Stage
from pymemos.cube.payload import Parametric, Payload
from pymemos.cube.segment import SegmentSource
from pymemos.cube.wire import digest, encode
from pymemos.errors import InvalidInput, StaleVersion, UnknownJob, UnknownMemory
from pymemos.infrastructure import vault
from pymemos.infrastructure.governance import Target
from pymemos.infrastructure.vault import Draft
from pymemos.interface.activation import check_encodable
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.giving_up import with_decisions
from pymemos.interface.letting_in import joined
from pymemos.interface.made import note_made
from pymemos.interface.requests import Labels, Pin
from pymemos.interface.sources import marked, may_read, pinned, sources_of
from pymemos.interface.versions import OnMemory, check_editable, check_written, living_record
from pymemos.operation.decisions import FormDecision
from pymemos.operation.lineage import is_over
from pymemos.ports import Job, ReadUnit

DISTIL: Final = "distil"  # the kind of its jobs
JOB: Final = "job"  # the metadata of an adapter: the job that made it
MOST: Final = 1_000  # adapters that are looked at for one question
BEYOND: Final = "it learned from memories that the filters, or the session, leave out"
_PARAMETRIC: Final = Compare("kind", "eq", "parametric")

# ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Distil(Request, frozen=True, kw_only=True, tag="distil"):
    """Queue the training of an adapter on memories of one's own; ``into`` is one that gets a new version by it.

    With ``dry_run`` it is only asked whether the caller may.
    """

    job: Job
    ids: tuple[str, ...]
    into: str | None = None
    dry_run: bool = False


class KeepAdapter(Request, frozen=True, kw_only=True, tag="keep_adapter"):
    """Keep a trained adapter, whose file is stored, with exactly the versions that it learned from."""

    payload: Parametric
    sources: tuple[SegmentSource, ...]
    job: str
    into: str | None = None
    labels: Labels = Labels()
    decisions: tuple[FormDecision, ...] = ()  # of the scheduler, by which it was trained
    provenance: Provenance | None = None  # by which pathway it came about; then the job's result is remembered


class FindAdapters(Request, frozen=True, kw_only=True, tag="find_adapters"):
    """Find the adapters that may be used now; with ``sought``, those that learned from what passes this filter alone.

    An adapter speaks with everything that it learned, so all of its sources have to pass, and to be of the session and
    the agent that the call is of.
    """

    sought: Filter | None = None


class Usable(msgspec.Struct, frozen=True):
    """An adapter, as the version that was found."""

    id: str
    version: str
    blob: str
    content_hash: str = ""
    namespace: str = ""


class Attach(Request, frozen=True, kw_only=True, tag="attach"):
    """Say that adapters are about to be used: which of them still may be, as of now."""

    adapters: tuple[Usable, ...]


class ShowAdapter(Request, frozen=True, kw_only=True, tag="show_adapter"):
    """Read an adapter, to look at its manifest or write its files out."""

    id: str


class FindTraining(Request, frozen=True, kw_only=True, tag="find_training"):
    """Look at a training of one's own, or cancel it."""

    job: str
    cancel: bool = False


# ── What they give ──────────────────────────────────────────────────────────────────────────────────────────────────


class Unused(msgspec.Struct, frozen=True):
    """An adapter that is not used, and why; ``sources`` are the memories that it learned from."""

    id: str
    reason: str
    sources: tuple[str, ...] = ()


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Adapters that may be used now, and those that may not; ``others`` are of other models."""

    usable: tuple[Usable, ...] = ()
    unused: tuple[Unused, ...] = ()
    others: int = 0


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter, and why it may not be used, or nothing."""

    cube: MemCube
    reason: str


# ── Handlers ────────────────────────────────────────────────────────────────────────────────────────────────────────


class DistilHandler(Handler):
    """A job that the system does in the name of the owner, if all that it learns from may be learned from now."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Distil = work.call.request  # type: ignore[assignment]
        namespace = work.call.scope.namespace or work.call.caller.namespace
        for id in request.ids:
            cube = _readable(work, id)
            check_encodable(work, cube)
            if cube.namespace != namespace:
                raise InvalidInput(f"memory {id!r} lives in {cube.namespace!r}; distil what is in {namespace!r} alone")
        if request.into is not None:
            _into(work, request.into, namespace)
        job = msgspec.structs.replace(request.job, namespace=namespace, by=work.call.caller)
        queued = not request.dry_run and work.unit.enqueue(job)
        return Outcome(result=request.job.id if queued else None, memories=request.ids)


class KeepAdapterHandler(Handler):
    """An adapter becomes a memory, made from exactly what it learned from; else nothing is kept."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: KeepAdapter = work.call.request  # type: ignore[assignment]
        namespace = work.call.scope.namespace or work.call.caller.namespace
        id = request.into or work.tools.new_id(work.now)
        parents, sensitivity = _pinned(work, request.sources, id)
        payload = msgspec.structs.replace(
            request.payload, seal=seal_of(namespace, request.payload, request.sources, work.tools.key)
        )
        if request.into is None:
            cube = _new(work, id, payload, parents, request, sensitivity)
            check_written(work, [cube])
            vault.write_turns(work.unit, [Draft(cube=cube)], work.now)
        else:
            cube = _next(work, _into(work, id, namespace), payload, parents, request, sensitivity)
            check_written(work, [cube])
            vault.supersede(work.unit, vault.draft(cube), work.now)
        if request.provenance is not None:
            note_made(work, request.job, (cube.id,))
        return Outcome(result=cube, memories=(cube.id,))


class FindAdaptersHandler(Handler):
    """All adapters of the namespaces that the call reaches, each with whether it may be used now."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        asked = Selection(namespaces=work.decision.namespaces, where=_PARAMETRIC)
        cubes = [record.cube for record in work.unit.page(asked, limit=MOST)]
        mine = [cube for cube in cubes if _of_model(work, cube) and work.serves(cube)]
        reasons = _beyond(work, mine) | judged(work, mine)
        held = Held(
            usable=tuple(_usable(cube) for cube in mine if cube.id not in reasons),
            unused=tuple(_unused(cube, reasons[cube.id]) for cube in mine if cube.id in reasons),
            others=sum(not _of_model(work, cube) and work.serves(cube) for cube in cubes),
        )
        return Outcome(result=held)


def _beyond(work: Work, cubes: Sequence[MemCube]) -> dict[str, str]:
    """The adapters that learned from something which a search as this call's would not find, by id, with the reason."""
    request: FindAdapters = work.call.request  # type: ignore[assignment]
    ids = tuple(dict.fromkeys(pin.id for cube in cubes for pin in cube.parents))
    if request.sought is None or not ids:
        return {}
    found = work.unit.page(work.selection(both(request.sought, Compare("id", "in", ids))), limit=len(ids))
    passing = {record.cube.id for record in found}
    return {cube.id: BEYOND for cube in cubes if not {pin.id for pin in cube.parents} <= passing}


class AttachHandler(Handler):
    """The check at each use: what was erased, changed, revoked or expired until now is left out."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Attach = work.call.request  # type: ignore[assignment]
        found = {record.cube.id: record.cube for record in work.unit.current([one.id for one in request.adapters])}
        same = [
            cube
            for one in request.adapters
            if (cube := found.get(one.id)) is not None and work.serves(cube) and _usable(cube) == one
        ]
        reasons = judged(work, same)
        kept = tuple(cube.id for cube in same if cube.id not in reasons)
        return Outcome(result=kept, memories=kept, used=bool(kept))


class ShowAdapterHandler(OnMemory):
    """One adapter, as the caller may see it."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ShowAdapter = work.call.request  # type: ignore[assignment]
        cube = marked(work, [living_record(work, request.id).cube])[0]
        if not isinstance(cube.payload, Parametric):
            raise InvalidInput(f"memory {cube.id!r} is no adapter; 'list --filter kind=parametric' shows which are")
        if is_veiled(work, cube):
            raise InvalidInput(f"something in what adapter {cube.id!r} learned from is hidden from the caller")
        return Outcome(result=Looked(cube=cube, reason=judged(work, [cube]).get(cube.id, "")), memories=(cube.id,))


class FindTrainingHandler(Handler):
    """A training of the caller's own namespace; its job may be taken out of the queue."""

    changes = True

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        return Target(namespaces=(call.scope.namespace or call.caller.namespace,), readable=False)

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: FindTraining = work.call.request  # type: ignore[assignment]
        job = work.unit.job(request.job)
        names = work.decision.namespaces
        if job is None or job.kind != DISTIL or (names is not None and job.namespace not in names):
            raise UnknownJob(f"no training of this user or agent is under {request.job!r}; it ended, or never was")
        if request.cancel:
            work.unit.remove_job(job.id)
        return Outcome(result=job)


HANDLERS: dict[type[Request], Handler] = {
    Distil: DistilHandler(),
    KeepAdapter: KeepAdapterHandler(),
    FindAdapters: FindAdaptersHandler(),
    Attach: AttachHandler(),
    ShowAdapter: ShowAdapterHandler(),
    FindTraining: FindTrainingHandler(),
}


# ── Inside a unit ───────────────────────────────────────────────────────────────────────────────────────────────────


def judged(work: Work, cubes: Sequence[MemCube], *, even_refused: bool = False) -> dict[str, str]:
    """Why adapters that the caller may see may not be used, by id; those that may be are not in it.

    With ``even_refused`` one that did not pass its admission test may be, for it is only examined.
    """
    served = marked(work, cubes)
    return {cube.id: reason for cube in served if (reason := _reason(work, cube, even_refused=even_refused))}


def _reason(work: Work, cube: MemCube, *, even_refused: bool = False) -> str:
    payload = cube.payload
    if not isinstance(payload, Parametric):
        return "it is no adapter"
    if work.tools.tuner.ref is None:
        return f"{payload.model.name!r}, for which it was made, is not in use"
    if not _of_model(work, cube):
        return f"it was made for {payload.model.name!r}, which is not the model in use"
    if not is_trained_here(work, cube):
        return "it was not trained by this instance; distil its sources here"
    if not payload.admitted and not even_refused:
        return "it did not pass its admission test; its manifest says why"
    if is_over(cube, work.now):
        return "it has expired"
    if cube.stage_at(work.now) is Stage.ARCHIVED:
        return "it is archived; activate it to use it again"
    if cube.stale:
        return f"it is stale: {'; '.join(map(str, cube.stale[:3]))}"
    if is_veiled(work, cube):
        return "something in what it learned from is hidden from the caller"
    return ""


def is_trained_here(work: Work, cube: MemCube) -> bool:
    """Whether this instance trained an adapter, which nobody changed since."""
    payload = cube.payload
    if not isinstance(payload, Parametric):
        return False
    return payload.seal == seal_of(cube.namespace, payload, _sources(cube), work.tools.key)


def is_veiled(work: Work, cube: MemCube) -> bool:
    """Whether something in an adapter, or in anything that it was made from, is hidden from the caller."""
    veil = work.veil
    return veil.hides(cube) or any(veil.hides(one) for one in sources_of(work, [cube]).cubes.values())


def seal_of(namespace: str, payload: Parametric, sources: Sequence[SegmentSource], key: bytes) -> str:
    """What only this instance can write of an adapter: nobody else's numbers get into a model by a memory's name."""
    named = [namespace, payload.blob, payload.size, payload.admitted, payload.model]
    return digest(encode([*named, sources]), key=key)


def _sources(cube: MemCube) -> tuple[SegmentSource, ...]:
    return tuple(SegmentSource(pin.id, pin.version, pin.content_hash) for pin in cube.parents)


def _usable(cube: MemCube) -> Usable:
    payload = cube.payload
    blob = payload.blob if isinstance(payload, Parametric) else ""
    return Usable(cube.id, cube.version, blob, cube.content_hash, cube.namespace)


def _unused(cube: MemCube, reason: str) -> Unused:
    return Unused(cube.id, reason, tuple(pin.id for pin in cube.parents))


def _of_model(work: Work, cube: MemCube) -> bool:
    return isinstance(cube.payload, Parametric) and cube.payload.model == work.tools.tuner.ref


def _readable(work: Work, id: str) -> MemCube:
    """A memory that the caller may read, as it is; any other is as good as unknown."""
    records = [record for record in work.unit.current([id]) if may_read(work, record.cube)]
    if not records or is_over(records[0].cube, work.now):
        raise UnknownMemory(f"memory {id!r} is deleted or unknown; history shows what it was")
    return marked(work, [records[0].cube])[0]


def _into(work: Work, id: str, namespace: str) -> MemCube:
    """An adapter that may get a new version."""
    cube = _readable(work, id)
    if not isinstance(cube.payload, Parametric) or cube.namespace != namespace:
        raise InvalidInput(f"memory {id!r} is no adapter of {namespace!r}; distil into one, or into a new one")
    check_editable(cube)
    return cube


def _pinned(work: Work, sources: Sequence[SegmentSource], id: str) -> tuple[tuple[Parent, ...], tuple[str, ...]]:
    """The sources, each as it was learned and still is, and what makes them sensitive."""
    parents = pinned(work, [Pin(id=one.id, version=one.version) for one in sources], id)
    current = {record.cube.id: record.cube for record in work.unit.current([pin.id for pin in parents])}
    for pin, source in zip(parents, sources, strict=True):
        cube = current.get(pin.id)
        if cube is None or cube.content_hash != source.content_hash or not may_read(work, cube):
            raise StaleVersion(f"memory {pin.id!r} was changed while it was learned; distil it again")
    return parents, joined([one for cube in current.values() for one in cube.header.governance.sensitivity], ())


def _said(work: Work, request: KeepAdapter) -> Descriptive:
    caller = work.call.caller
    said = Descriptive(
        created=work.now,
        updated=work.now,
        origin=Origin.INFERENCE,
        semantic_type=request.labels.semantic_type or SemanticType.FACT,
        cause="distil",
        author=caller.name,
        tags=request.labels.tags or (),
        provenance=request.provenance,
        metadata={JOB: request.job},
    )
    return with_decisions(said, request.decisions, model=request.payload.model.name) if request.decisions else said


def _new(
    work: Work,
    id: str,
    payload: Payload,
    parents: tuple[Parent, ...],
    request: KeepAdapter,
    sensitivity: tuple[str, ...],
) -> MemCube:
    namespace = work.call.scope.namespace or work.call.caller.namespace
    rules = Governance(
        owner=namespace,
        namespace=namespace,
        priority=request.labels.priority or Priority.MID,
        sensitivity=joined(sensitivity, ()),
    )
    return MemCube.make(
        id=id,
        salt=work.tools.new_salt(),
        descriptive=_said(work, request),
        governance=rules,
        payload=payload,
        parents=parents,
    )


def _next(
    work: Work,
    last: MemCube,
    payload: Payload,
    parents: tuple[Parent, ...],
    request: KeepAdapter,
    sensitivity: tuple[str, ...],
) -> MemCube:
    said = msgspec.structs.replace(
        last.header.descriptive,
        updated=work.now,
        cause="distil",
        author=work.call.caller.name,
        metadata={**last.header.descriptive.metadata, JOB: request.job},
    )
    rules = last.header.governance
    rules = msgspec.structs.replace(rules, sensitivity=joined(rules.sensitivity, sensitivity))
    return last.derive(descriptive=said, governance=rules, payload=payload, parents=parents)
