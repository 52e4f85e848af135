"""The requests of a turn of the scheduler: what it looks at, when it comes, and what is known of it after (5.4.2).

Encoding, training and giving up have requests of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from pymemos.cube.call import Request, Scope
from pymemos.cube.cube import MemCube
from pymemos.cube.header import LIVE, Priority, Stage
from pymemos.cube.payload import Activation, ModelRef, Parametric, Plaintext
from pymemos.errors import MissingBlob
from pymemos.interface.activation import SYSTEM
from pymemos.interface.adapters import DISTIL, is_trained_here
from pymemos.interface.adapters import judged as judged_adapters
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.giving_up import is_by_moves
from pymemos.interface.segments import held_by, is_sealed
from pymemos.interface.sources import marked
from pymemos.interface.training import ids_in
from pymemos.interface.transfer import OnStore
from pymemos.interface.transforming import TRANSFORM
from pymemos.interface.versions import OnMemory, shown_versions
from pymemos.operation.decisions import FormDecision, kept_in
from pymemos.operation.pathways import Form
from pymemos.operation.prefixes import Segment
from pymemos.operation.turns import Seen, Stored, Trained
from pymemos.ports import Job, JobState, WriteUnit

MOVE: Final = "move"  # the kind of the recurring job, and its dedup key
PAGE: Final = 1_000


class Survey(Request, frozen=True, kw_only=True, tag="survey"):
    """Look at a page of an owner's memories, for a model: texts, and the other forms that they have."""

    model: ModelRef
    after: str | None = None


class Surveyed(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what was seen; ``examined`` counts the texts; ``after`` continues, None at the end."""

    seen: Seen
    examined: int
    after: str | None = None


class QueueTurns(Request, frozen=True, kw_only=True, tag="queue_turns"):
    """Queue a turn for every owner, and the next time that this is done."""

    next_at: datetime


class Turned(Request, frozen=True, kw_only=True, tag="move"):
    """Record what a turn did, or would do."""

    about: dict[str, Any] = msgspec.field(default_factory=dict)


class Decisions(Request, frozen=True, kw_only=True, tag="decisions"):
    """Read the decisions on the form of a memory, or those that made it."""

    id: str


# ── Looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class SurveyHandler(Handler):
    """What the caller may read whole, and the model with it: nothing that a rule hides is encoded or learned."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Survey = work.call.request  # type: ignore[assignment]
        selection = work.unveiled().selection(ended=False, stages=(*LIVE, Stage.ARCHIVED))
        records = work.unit.page(selection, limit=PAGE, after=request.after)
        cubes = marked(work, [record.cube for record in records])
        texts = tuple(cube for cube in cubes if _is_text(work, cube))
        seen = Seen(
            texts=texts,
            segments=tuple(_segments(work, cubes, request.model)),
            adapters=tuple(_adapters(work, cubes, request.model)),
            training=frozenset(id for job in _trainings(work, parked=False) for id in ids_in(job)),
            parked=frozenset(job.dedup_key for job in _trainings(work, parked=True) if job.dedup_key is not None),
        )
        after = records[-1].cube.id if len(records) == PAGE else None
        return Outcome(result=Surveyed(seen=seen, examined=len(texts), after=after))


def _is_text(work: Work, cube: MemCube) -> bool:
    is_text = isinstance(cube.payload, Plaintext) and bool(cube.text) and not cube.is_manifest
    return is_text and cube.stage_at(work.now) in LIVE and not work.veil.hides(cube)


def _segments(work: Work, cubes: Iterable[MemCube], model: ModelRef) -> Iterator[Stored]:
    """The segments that this instance encoded with the model; of those that are archived, what moves made."""
    for cube in cubes:
        segment = held_by(cube)
        if segment is None or not isinstance(cube.payload, Activation) or cube.payload.model != model:
            continue
        is_kept = cube.stage_at(work.now) in LIVE or is_by_moves(cube)
        if not is_kept or not is_sealed(cube, work.tools.key):
            continue
        rules, said = cube.header.governance, cube.header.descriptive.metadata.get(SYSTEM)
        yield Stored(
            segment=segment,
            prefix=cube.payload.prefix,
            system=said if isinstance(said, str) else None,
            reason=_why_unusable(work, cube, segment),
            fixed=rules.frozen or rules.priority is Priority.HIGH,
            by_moves=is_by_moves(cube),
        )


def _why_unusable(work: Work, cube: MemCube, segment: Segment) -> str:
    if cube.stage_at(work.now) not in LIVE:
        return "it is archived, as nobody used it"
    if cube.stale:
        return f"it is stale: {'; '.join(map(str, cube.stale[:3]))}"
    try:
        return "" if len(work.tools.blobs.open(segment.blob)) == segment.size else "its file is not whole"
    except MissingBlob:
        return "its file is gone"


def _adapters(work: Work, cubes: Iterable[MemCube], model: ModelRef) -> Iterator[Trained]:
    tensors = [cube for cube in cubes if isinstance(cube.payload, Parametric) and cube.stage_at(work.now) in LIVE]
    own = [cube for cube in tensors if isinstance(cube.payload, Parametric) and cube.payload.model == model]
    reasons = judged_adapters(work, own)
    for cube in own:
        rules = cube.header.governance
        yield Trained(
            id=cube.id,
            version=cube.version,
            sources=tuple((pin.id, pin.content_hash) for pin in cube.parents),
            reason=reasons.get(cube.id, ""),
            is_stale=bool(cube.stale),
            admitted=isinstance(cube.payload, Parametric) and bool(cube.payload.admitted),
            fixed=rules.frozen or rules.priority is Priority.HIGH,
            by_moves=is_by_moves(cube) and is_trained_here(work, cube),
        )


def _trainings(work: Work, *, parked: bool) -> list[Job]:
    """The trainings of the call's namespaces that run or wait, or those that are parked."""
    names = work.decision.namespaces
    jobs = [job for job in work.unit.jobs() if _trains(job) and (job.state is JobState.DEAD) == parked]
    return [job for job in jobs if names and job.namespace in names]


def _trains(job: Job) -> bool:
    return job.kind == DISTIL or (job.kind == TRANSFORM and job.arguments.get("to") == Form.PARAMETRIC)


# ── Turns ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class QueueTurnsHandler(OnStore):
    """Every place that is somebody's own gets a turn; what belongs to nobody stays text."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: QueueTurns = work.call.request  # type: ignore[assignment]
        owned = [space.name for space in work.unit.namespaces() if is_owned(space.name)]
        for name in owned:
            id = work.tools.new_id(work.now)
            work.unit.enqueue(
                Job(id=id, kind=MOVE, namespace=name, run_at=work.now, dedup_key=f"{MOVE} {name}", created=work.now)
            )
        queue_turns(work.unit, work.tools.new_id(work.now), request.next_at)
        return Outcome(result=len(owned))


def is_owned(namespace: str) -> bool:
    """Whether a place is that of one user or agent, or the one of whoever names nobody."""
    return namespace == Scope().namespace or namespace.startswith(("users/", "agents/"))


def queue_turns(unit: WriteUnit, id: str, run_at: datetime) -> bool:
    """Queue the next turns of the whole store, unless they wait; says whether it did."""
    return unit.enqueue(Job(id=id, kind=MOVE, namespace="default", run_at=run_at, dedup_key=MOVE))


class TurnedHandler(Handler):
    """Nothing but the entry in the log, which has the figures of the turn."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Turned = work.call.request  # type: ignore[assignment]
        return Outcome(result=None, about=request.about)


# ── Reading decisions ───────────────────────────────────────────────────────────────────────────────────────────────


class DecisionsHandler(OnMemory):
    """The decisions that a derived memory keeps; of a text, those on it that are kept by what was made from it."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Decisions = work.call.request  # type: ignore[assignment]
        edges = work.unit.edges(request.id, kind="derived_from", reverse=True)
        own = _kept_by(work, request.id)
        others = [one for edge in edges for one in _kept_by(work, edge.source) if one.id == request.id]
        found = {(one.grounds.at, one.id, one.before, one.after): one for one in (*own, *others)}
        decisions = tuple(found[key] for key in sorted(found))
        return Outcome(result=decisions, memories=(request.id,))


def _kept_by(work: Work, id: str) -> list[FormDecision]:
    return [one for record in shown_versions(work, id) for one in kept_in(_metadata(record.cube))]


def _metadata(cube: MemCube) -> Mapping[str, Any]:
    return cube.header.descriptive.metadata


HANDLERS: dict[type[Request], Handler] = {
    Survey: SurveyHandler(),
    QueueTurns: QueueTurnsHandler(),
    Turned: TurnedHandler(),
    Decisions: DecisionsHandler(),
}
