"""The requests on pathways: what is planned and queued, how far it is, and what comes of it (4.1, 4.2, ADR 0041).

Slow work is done by the job, between these calls and never inside them; what a plan rests on is looked at again then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from pymemos.cube.adapter import Recipe
from pymemos.cube.call import MemoryCall, Request
from pymemos.cube.cube import MemCube, Standing
from pymemos.cube.header import Descriptive, Governance, Origin, Priority, Provenance, SemanticType, least_trusted
from pymemos.cube.payload import Activation, ModelRef, Parametric, Plaintext
from pymemos.cube.segment import SegmentSource, is_loose
from pymemos.cube.wire import digest, encode
from pymemos.errors import InvalidInput, ModelError, StaleVersion, UnknownJob, UnknownMemory
from pymemos.infrastructure import vault
from pymemos.infrastructure.governance import Target
from pymemos.interface import adapters
from pymemos.interface.activation import check_encodable
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.embedding import queue_embedding
from pymemos.interface.letting_in import joined, settled_new
from pymemos.interface.made import made_before, made_by, note_made
from pymemos.interface.requests import Labels, Pin
from pymemos.interface.segments import KV, held_by, is_sealed, judged
from pymemos.interface.sources import marked, may_read, pinned, sources_of
from pymemos.interface.versions import check_editable, check_written
from pymemos.operation.lineage import is_over
from pymemos.operation.pathways import Form, Given, Means, NoPathway, PathwayPlan, plan
from pymemos.ports import Job, ReadUnit

TRANSFORM: Final = "transform"  # the kind of its jobs, and the trigger that the provenance of what they make names
ATTEMPTS: Final = 3  # at a job, before it is parked (ours)
WAITING: Final = 1_000  # jobs that are looked through for one that waits already

# ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be made, as a job carries it: ids and settings, never content."""

    ids: tuple[str, ...]
    to: Form
    against: tuple[str, ...] = ()
    form: str | None = None  # of segments: "exact" or "int8"
    recipe: Recipe | None = None
    tags: tuple[str, ...] | None = None
    priority: Priority | None = None

    @property
    def labels(self) -> Labels:
        """What the caller says of what is made."""
        return Labels(tags=self.tags, priority=self.priority)


class Transform(Request, frozen=True, kw_only=True, tag="transform"):
    """Plan a pathway for memories of one's own, and queue it; ``model`` is the local one, where there is one."""

    wish: Wish
    means: Means
    model: ModelRef | None = None
    dry_run: bool = False


class FindTransform(Request, frozen=True, kw_only=True, tag="find_transform"):
    """Look at a transformation of one's own, or cancel it."""

    job: str
    cancel: bool = False


class ReadTurns(Request, frozen=True, kw_only=True, tag="read_turns"):
    """Read texts of one's own, each with the user's turn that it answers, where there is one."""

    ids: tuple[str, ...]


class NewText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that was read out of another form, and what it was made from."""

    content: str
    sources: tuple[SegmentSource, ...]
    provenance: Provenance
    origin: Origin
    said_at: datetime | None = None


class KeepTransformed(Request, frozen=True, kw_only=True, tag="keep_transformed"):
    """Keep texts, put away the forms that they came from, and remember what a job ended with; all of it or nothing.

    ``made`` are memories that are there already. Without a ``job`` nothing ends.
    """

    texts: tuple[NewText, ...] = ()
    made: tuple[str, ...] = ()
    drops: tuple[Pin, ...] = ()
    job: str | None = None
    labels: Labels = Labels()


# ── What they give ──────────────────────────────────────────────────────────────────────────────────────────────────


class Transforming(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a transformation, and the job that carries it out.

    There is no job where nothing was to be done but to plan, or where just this was ``made`` before and still holds.
    """

    plan: PathwayPlan
    job: str | None = None
    made: tuple[str, ...] = ()
    key: str = ""


class FoundTransform(msgspec.Struct, frozen=True, kw_only=True):
    """A transformation's job while it waits or runs; behind that, what it made."""

    job: Job | None = None
    made: tuple[str, ...] = ()


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A text, and the user's turn that it answers."""

    cube: MemCube
    asked: MemCube | None


# ── Handlers ────────────────────────────────────────────────────────────────────────────────────────────────────────


class TransformHandler(Handler):
    """A plan of what is there now; its job is one that the system does in the name of the owner."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Transform = work.call.request  # type: ignore[assignment]
        wish = request.wish
        cubes = [_own(work, id) for id in wish.ids]
        against = [_own(work, id) for id in wish.against]
        made = plan(
            [_given(work, cube, request) for cube in cubes],
            wish.to,
            request.means,
            against=[_given(work, cube, request) for cube in against],
        )
        if isinstance(made, NoPathway):
            raise (ModelError if made.lacks_model else InvalidInput)(str(made))
        key = _key(work, cubes, against, request)
        kin = [id for cube in cubes for id in (cube.id, *(pin.id for pin in cube.parents))]
        before = _whole(made_before(work, key, kin), wish)
        through = [cube.parents[0].id for cube in before[:1] if made.pathway == "parametric-activation"]
        found = Transforming(plan=made, made=(*through, *(cube.id for cube in before)), key=key)
        if not before and not request.dry_run:
            found = msgspec.structs.replace(found, job=_queued(work, wish, key))
        return Outcome(result=found, memories=(*wish.ids, *wish.against))


class FindTransformHandler(Handler):
    """A transformation of the caller's own namespace; its job may be taken out of the queue."""

    changes = True

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        return Target(namespaces=(call.scope.namespace or call.caller.namespace,), readable=False)

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: FindTransform = work.call.request  # type: ignore[assignment]
        job = work.unit.job(request.job)
        if job is not None and job.kind == TRANSFORM and job.namespace == _home(work):
            if request.cancel:
                work.unit.remove_job(job.id)
            return Outcome(result=FoundTransform(job=job))
        made = made_by(work, request.job)
        if made is None or request.cancel:
            raise UnknownJob(
                f"no transformation of this user or agent is under {request.job!r}; it ended, or never was"
            )
        return Outcome(result=FoundTransform(made=made))


class ReadTurnsHandler(Handler):
    """Texts of the caller's own namespace, and the turns before them."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ReadTurns = work.call.request  # type: ignore[assignment]
        cubes = [_own(work, id) for id in request.ids]
        for cube in cubes:
            check_encodable(work, cube)
        found = tuple(Answered(cube=cube, asked=_asked_before(work, cube)) for cube in cubes)
        return Outcome(result=found, memories=request.ids)


class KeepTransformedHandler(Handler):
    """What came of a job, in the transaction of its end; refused where a source is not what was read."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: KeepTransformed = work.call.request  # type: ignore[assignment]
        for pin in request.drops:
            _drop(work, pin)
        texts = tuple(_kept(work, one, request.labels) for one in request.texts)
        made = (*request.made, *(cube.id for cube in texts))
        if request.job is not None:
            note_made(work, request.job, made)
        dropped = tuple(pin.id for pin in request.drops)
        # What went back to its sources has no header to say so: the log keeps that nothing of it differed.
        about = {"put_away": len(dropped), "tokens_differ": 0.0} if dropped else {}
        return Outcome(result=made, memories=tuple(dict.fromkeys((*made, *dropped))), about=about)


HANDLERS: dict[type[Request], Handler] = {
    Transform: TransformHandler(),
    FindTransform: FindTransformHandler(),
    ReadTurns: ReadTurnsHandler(),
    KeepTransformed: KeepTransformedHandler(),
}


# ── Inside a unit ───────────────────────────────────────────────────────────────────────────────────────────────────


def _home(work: Work) -> str:
    return work.call.scope.namespace or work.call.caller.namespace


def _own(work: Work, id: str) -> MemCube:
    """A memory of the caller's own namespace, as it is; any other is as good as unknown."""
    records = [record for record in work.unit.current([id]) if may_read(work, record.cube)]
    if not records or is_over(records[0].cube, work.now):
        raise UnknownMemory(f"memory {id!r} is deleted or unknown; history shows what it was")
    cube = marked(work, [records[0].cube])[0]
    if cube.namespace != _home(work):
        raise InvalidInput(f"memory {id!r} lives in {cube.namespace!r}; transform what is in {_home(work)!r} alone")
    return cube


def _given(work: Work, cube: MemCube, request: Transform) -> Given:
    """A memory as a plan takes it: what it is, and why it may not be used, or nothing."""
    payload, to = cube.payload, request.wish.to
    if isinstance(payload, Plaintext):
        check_encodable(work, cube)
        bare = to is Form.STEERING and not request.wish.against and _asked_before(work, cube) is None
        return Given(id=cube.id, form=Form.PLAINTEXT, reason=_NO_ANSWER if bare else "")
    if isinstance(payload, Parametric):
        reason = adapters.judged(work, [cube], even_refused=True).get(cube.id, "")
        return Given(id=cube.id, form=Form.PARAMETRIC, reason=reason)
    if payload.form != KV:
        return Given(id=cube.id, form=Form.STEERING)
    reason = _undecodable(work, cube, request.model) if to is Form.PLAINTEXT else _unteachable(work, cube)
    return Given(id=cube.id, form=Form.ACTIVATION, reason=reason)


_NO_ANSWER: Final = "it is no answer of an assistant to a user's turn, and no contrast is named in against="


def _asked_before(work: Work, cube: MemCube) -> MemCube | None:
    """The user's turn that an assistant's answers, where it has not expired and the caller may read it."""
    said = cube.header.descriptive
    if said.speaker_role != "assistant" or said.semantic_type is not SemanticType.MESSAGE:
        return None
    before = work.unit.turns_around(cube.id)[0]
    if before is None or before.cube.header.descriptive.speaker_role != "user":
        return None
    asked: MemCube = before.cube
    if asked.header.descriptive.session != said.session or is_over(asked, work.now):
        return None
    return asked if may_read(work, asked) and not work.veil.hides(asked) else None


def _unteachable(work: Work, cube: MemCube) -> str:
    """Why the model may not be taught by a segment, or nothing."""
    segment = held_by(cube)
    if segment is None:
        return "it was not encoded by this instance; encode its texts again"
    if is_loose(segment.form):
        return "it was encoded apart, and has no place in a prompt; encode its text in its place"
    if not cube.parents:
        return "it holds what the system says, and no memory"
    return judged(work, [segment]).get(segment.id, "") or _of_others(work, cube)


def _undecodable(work: Work, cube: MemCube, model: ModelRef | None) -> str:
    """Why a segment may not be read as text, or nothing: one without known sources may, for it is nobody's past."""
    payload = cube.payload
    assert isinstance(payload, Activation)  # noqa: S101 (the caller looked)
    if payload.model != model:
        return f"it was made by {payload.model.name!r}, which is not the model in use"
    if not cube.parents and is_sealed(cube, work.tools.key):
        return "it holds what the system says, and no memory; delete it where it is of no more use"
    past = [str(one) for one in cube.stale if one.standing is not Standing.UNKNOWN]
    if past:
        return f"it is stale ({'; '.join(past[:3])}): it says what held once, which history shows"
    if cube.header.governance.frozen and cube.parents:
        return "it is frozen, and goes back to its text when that takes its place; unfreeze it"
    if adapters.is_veiled(work, cube):
        return "something in its sources is hidden from the caller"
    return _of_others(work, cube)


def _of_others(work: Work, cube: MemCube) -> str:
    """That a segment holds what lives elsewhere, or nothing: that is only lent."""
    if any(work.unit.owner_of(pin.id) not in (None, _home(work)) for pin in cube.parents):
        return "it holds a text of somebody else's, which is read where it lives"
    return ""


def _key(work: Work, cubes: Sequence[MemCube], against: Sequence[MemCube], request: Transform) -> str:
    """What is asked for, in one digest: the same of the same memories as they are, by the same model."""
    wish = request.wish
    of, beside = ([[cube.id, cube.content_hash] for cube in some] for some in (cubes, against))
    named = [wish.to, of, beside, wish.form, wish.recipe, request.model]
    return digest(encode(named), key=work.tools.key)


def _whole(found: Sequence[MemCube], wish: Wish) -> Sequence[MemCube]:
    """What was made before, if all of it is there: of segments the last, which goes on behind all others."""
    if wish.to is Form.ACTIVATION and all(isinstance(cube.payload, Activation) for cube in found):
        return found if any(len(cube.parents) == len(wish.ids) for cube in found) else ()
    return found


def _queued(work: Work, wish: Wish, key: str) -> str:
    """The id of the job; where one waits or runs that does just this, of that one."""
    namespace, now = _home(work), work.now
    arguments: Mapping[str, Any] = msgspec.to_builtins(wish)
    job = Job(
        id=work.tools.new_id(now),
        kind=TRANSFORM,
        namespace=namespace,
        run_at=now,
        arguments=dict(arguments),
        max_attempts=ATTEMPTS,
        dedup_key=f"{namespace!r} {key}",
        created=now,
        by=work.call.caller,
    )
    if work.unit.enqueue(job):
        return job.id
    waiting: list[Job] = work.unit.jobs(limit=WAITING)
    same = [one for one in waiting if (one.kind, one.dedup_key) == (TRANSFORM, job.dedup_key)]
    if not same:
        raise UnknownJob("the same transformation waits behind a thousand jobs; ask again when they are done")
    return same[0].id


def _drop(work: Work, pin: Pin) -> None:
    """Delete, recoverably, the form that a text came from."""
    records = work.unit.current([pin.id])
    if not records or records[0].cube.version != pin.version:
        raise StaleVersion(f"memory {pin.id!r} was changed while it was read; transform it again")
    cube = records[0].cube
    check_editable(cube)
    check_written(work, [cube])
    vault.retire(work.unit, cube, work.now)


def _kept(work: Work, one: NewText, labels: Labels) -> MemCube:
    """A text as a memory; the one that was kept before, where a job comes this far again."""
    way = one.provenance.transformed
    key = "" if way is None or way.key is None else way.key
    if before := made_before(work, key, [source.id for source in one.sources]):
        return before[0]
    id = work.tools.new_id(work.now)
    parents = pinned(work, [Pin(id=source.id, version=source.version) for source in one.sources], id)
    current = {record.cube.id: record.cube for record in work.unit.current([pin.id for pin in parents])}
    for pin, source in zip(parents, one.sources, strict=True):
        if pin.id not in current or current[pin.id].content_hash != source.content_hash:
            raise StaleVersion(f"memory {pin.id!r} was changed while it was read; transform it again")
    of = [*current.values(), *sources_of(work, current.values()).cubes.values()]
    made = MemCube.make(
        id=id,
        salt=work.tools.new_salt(),
        descriptive=_said(work, one, labels, of),
        governance=Governance(
            owner=_home(work),
            namespace=_home(work),
            priority=labels.priority or Priority.MID,
            sensitivity=joined((label for cube in of for label in cube.header.governance.sensitivity), ()),
        ),
        payload=Plaintext(content=one.content),
        parents=parents,
    )
    cube = settled_new(work, made)
    check_written(work, [cube])
    vault.write_turns(work.unit, [vault.draft(cube)], work.now)
    if work.tools.embedder is not None:
        queue_embedding(work.unit, cube.namespace, work)
    return cube


def _said(work: Work, one: NewText, labels: Labels, of: Sequence[MemCube]) -> Descriptive:
    """Trusted no more than anything that it was made from (ADR 0031)."""
    said = Descriptive(
        created=work.now,
        updated=work.now,
        origin=one.origin,
        semantic_type=SemanticType.FACT,
        cause=TRANSFORM,
        author=work.call.caller.name,
        tags=labels.tags or (),
        event_time=one.said_at,
        provenance=one.provenance,
    )
    return msgspec.structs.replace(said, trust=least_trusted([said.trusted_as, *(cube.trust for cube in of)]))
