"""Distilling: a job that makes an adapter of memories, examines it, and keeps it, admitted or not (4.1, 4.2).

A training that was cut off goes on where it was. One whose sources change meanwhile, or that is cancelled, ends, and
nothing is left of it.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pymemos.cube.adapter import Manifest, Recipe, Reverse, Scores, packed
from pymemos.cube.call import Caller, MemoryCall, Scope
from pymemos.cube.cube import MemCube
from pymemos.cube.gates import Gate, opening
from pymemos.cube.header import Priority
from pymemos.cube.payload import Activation, Parametric
from pymemos.cube.segment import SegmentSource
from pymemos.errors import InvalidInput, ModelError, NotAllowed, StaleMemory, TrainingStopped, UnknownMemory
from pymemos.interface.activation import ReadSources
from pymemos.interface.adapters import DISTIL, Distil, KeepAdapter
from pymemos.interface.asking import questions_for
from pymemos.interface.requests import Labels
from pymemos.interface.tuner_seat import NO_TUNER
from pymemos.interface.worker import check_still, for_owner
from pymemos.operation.decisions import FormDecision
from pymemos.operation.distilling import admission
from pymemos.operation.distilling.admission import Exam, Sheet
from pymemos.operation.distilling.lessons import Course, course, gate_of
from pymemos.operation.distilling.reversing import TurnedRound
from pymemos.operation.queue import is_held, is_taken_over
from pymemos.ports import Adapter, Job, JobState, ReadUnit, Teacher, Tuner, Weights

if TYPE_CHECKING:
    from pymemos.interface.api import MemoryAPI, Tools

SYSTEM: Final = "You are a helpful assistant."  # what the system says in lessons and in the admission test
PROGRESS: Final = "progress.json"
SOURCES: Final = "sources.json"
ATTEMPTS: Final = 3  # at a training, before its job is parked (ours)
ANSWER: Final = 10  # tokens of an answer in the admission test
TEACHING: Final = "with its notes injected"  # how a manifest says that a teacher was learned from
SENTENCE: Final = 24  # where a teacher was learned from, who may answer in a sentence
PHASES: Final = ("queued", "training", "examining")
PARKED: Final = "parked"  # it failed too often, and waits until somebody lets it run again
_UNKNOWN: Final = Scores(
    recall=0.0,
    phrasings=0,
    leak=0.0,
    near_misses=0,
    leak_same_subject=0.0,
    others=0,
    controls=0,
    changed=0,
    perplexity=0.0,
    perplexity_base=0.0,
)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a training is."""

    job: str
    phase: str = PHASES[0]
    step: int = 0
    steps: int = 0


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """What the job of a training is given."""

    ids: tuple[str, ...]
    recipe: Recipe = Recipe()
    into: str | None = None
    tags: tuple[str, ...] | None = None
    priority: Priority | None = None
    by_chat: bool = False  # whether the chat model makes further questions to learn from
    decisions: tuple[FormDecision, ...] = ()  # of the scheduler, where that asked for it


def distil_job(api: MemoryAPI, tools: Tools, job: Job) -> MemoryCall:
    """Train, examine, store the file; the call that it gives writes the memory, together with the job's end."""
    remove_ended(tools)
    asked = msgspec.convert(job.arguments, Arguments)
    request, _ = trained(api, tools, job, asked, still=lambda: _still(api, tools, job, asked))
    remove(folder_of(tools, job.id))
    caller, scope = for_owner(job)
    return MemoryCall(caller=caller, scope=scope, request=request)


def _still(api: MemoryAPI, tools: Tools, job: Job, asked: Arguments) -> None:
    """Raise NotAllowed, with nothing left of what was learned, where whoever asked may not distil this any more."""
    engine, _ = tools.tuner.needed()
    again = Distil(job=job, ids=asked.ids, into=asked.into, dry_run=True)
    try:
        check_still(api, job, again, model=engine.identity)
    except NotAllowed:
        remove(folder_of(tools, job.id))
        raise


def trained(
    api: MemoryAPI,
    tools: Tools,
    job: Job,
    asked: Arguments,
    *,
    still: Callable[[], None],
    teacher: Teacher | None = None,
) -> tuple[KeepAdapter, Manifest]:
    """Train and examine an adapter, by the texts or by a teacher that has read them; its file is stored.

    ``still`` raises where that is not allowed any more: it is asked before anything is learned, and before it is kept.
    What was learned so far stays in the job's folder, for whoever does it again.
    """
    _, tuner = tools.tuner.needed()
    folder = folder_of(tools, job.id)
    caller, scope = for_owner(job)
    cubes = _sources(api, MemoryCall(caller=caller, scope=scope, request=ReadSources(ids=asked.ids)), folder)
    still()
    _keep_to(folder, {cube.id: cube.content_hash for cube in cubes})
    watch = _Watch(tools, job, cubes, folder)
    made = _course(api, tools, job, asked, cubes)
    if teacher is not None:
        made = msgspec.structs.replace(made, taught_by=f"{tuner.ref.name} {TEACHING}, else {made.taught_by}")
    weights = tuner.train(
        made.lessons, asked.recipe, system=SYSTEM, checkpoint=folder, on_step=watch.trained, teacher=teacher
    )
    watch.examining(asked.recipe.steps)
    file, manifest = examined(tuner, weights, made, asked.recipe, namespace=job.namespace, sources=watch.sources)
    watch.examining(asked.recipe.steps)  # it took its time, and the manifest says what was learned
    still()
    blob, size = tools.blobs.put(file)
    payload = Parametric(
        blob=blob,
        size=size,
        model=manifest.model,
        rank=asked.recipe.rank,
        alpha=asked.recipe.alpha,
        admitted=manifest.admitted,
    )
    labels = Labels(tags=asked.tags, priority=asked.priority)
    request = KeepAdapter(
        payload=payload,
        sources=watch.sources,
        job=job.id,
        into=asked.into,
        labels=labels,
        decisions=asked.decisions,
    )
    return request, manifest


def _keep_to(folder: Path, sources: dict[str, str]) -> None:
    """Let a folder be of what some memories say now; what was asked or learned of what they said before goes."""
    if _learned_of(folder) == sources:
        return
    noted = (folder / PROGRESS).read_bytes() if (folder / PROGRESS).exists() else None
    remove(folder)
    _write(folder, SOURCES, msgspec.json.encode(sources))
    if noted is not None:
        _write(folder, PROGRESS, noted)


def _learned_of(folder: Path) -> dict[str, str] | None:
    """The memories that a training learns from, by id, with their content hashes; None where it has not begun."""
    try:
        return msgspec.json.decode((folder / SOURCES).read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _write(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}"
    partial.write_bytes(data)
    partial.replace(folder / name)


def undone(tools: Tools, job: Job, effect: MemoryCall) -> None:
    """Remove the file of what a job made and may not keep: it holds what may have been erased meanwhile.

    Where another worker took the job over it stays, for that one may be about to name it.
    """
    payload = getattr(effect.request, "payload", None)
    if not isinstance(payload, Activation | Parametric):
        return
    with tools.store.read() as unit:  # tells nobody anything, so it needs no decision
        held = unit.job(job.id)
        is_wanted = payload.blob in unit.blobs() or (held is not None and is_taken_over(held, job))
    if not is_wanted:
        tools.blobs.remove(payload.blob)


def _course(api: MemoryAPI, tools: Tools, job: Job, asked: Arguments, cubes: Sequence[MemCube]) -> Course:
    """What is to be taught; with the chat model's questions where that was asked for, and it may read the memories."""
    texts = {cube.id: cube.text for cube in cubes}
    if not asked.by_chat:
        return course(texts, asked.recipe)
    if tools.chat is None:
        raise ModelError("there is no chat model to make questions; pass chat=, or distil without it")
    chat, folder = tools.chat(), folder_of(tools, job.id)
    owner, scope = for_owner(job)
    reader = msgspec.structs.replace(owner, system=False).narrow(model=chat.identity)  # so that its rules hold
    as_read = MemoryCall(caller=reader, scope=scope, request=ReadSources(ids=asked.ids))
    found = questions_for({cube.id: cube.text for cube in _sources(api, as_read, folder)}, chat, folder)
    return course(texts, asked.recipe, asked=found.questions, by=found.by)


def _sources(api: MemoryAPI, call: MemoryCall, folder: Path) -> Sequence[MemCube]:
    """What is to be learned; where that is gone, what was learned of it goes too."""
    try:
        cubes: Sequence[MemCube] = api.dispatch(call)
    except (UnknownMemory, StaleMemory, InvalidInput):
        remove(folder)
        raise
    return cubes


def examined(
    tuner: Tuner, weights: Weights, made: Course, recipe: Recipe, *, namespace: str, sources: Sequence[SegmentSource]
) -> tuple[bytes, Manifest]:
    """The adapter's file with its manifest, after the admission test."""
    manifest = unexamined(tuner, made, recipe, namespace=namespace, sources=sources)
    adapter = tuner.open(memoryview(packed(weights.weights, weights.config, manifest)))
    asked = admission.exam(made.facts, recipe.seed)
    scores, facts = admission.marked(asked, answered(tuner, adapter, asked, made.gates, limit=room(manifest)))
    reasons = admission.failings(scores)
    manifest = msgspec.structs.replace(
        manifest,
        reverse=None if made.back is None else _examined_back(tuner, adapter, made, asked, manifest),
        facts=facts,
        scores=scores,
        admitted=not reasons,
        reasons=reasons,
        probes=tuple(one.question for one in asked.near),
    )
    return packed(weights.weights, weights.config, manifest), manifest


def unexamined(
    tuner: Tuner, made: Course, recipe: Recipe, *, namespace: str, sources: Sequence[SegmentSource] = ()
) -> Manifest:
    """What is known of an adapter before the admission test."""
    return Manifest(
        model=tuner.ref,
        namespace=namespace,
        sources=tuple(sources),
        subjects=made.subjects,
        facts=(),
        recipe=recipe,
        scores=_UNKNOWN,
        admitted=False,
        taught_by=made.taught_by,
        system=SYSTEM,
        gates=made.gates,
    )


def answered(tuner: Tuner, adapter: Adapter, asked: Exam, gates: Sequence[Gate], *, limit: int = ANSWER) -> Sheet:
    """The answers to an exam, of at most ``limit`` tokens, as the adapter would be served: through its gates.

    Where none opens the model is the base, which was taught nothing; what it says there is not computed.
    """

    def with_it(questions: Sequence[str]) -> list[str]:
        return tuner.answers(questions, system=SYSTEM, limit=limit, adapter=adapter, gates=gates)

    said = (*(question for _, question in asked.recall), *(one.question for one in (*asked.near, *asked.others)))
    opens = [question for question in dict.fromkeys(said) if opening(question, gates) is not None]
    given = dict(zip(opens, with_it(opens), strict=True))
    text = admission.neutral()
    controls_base = tuner.answers(asked.controls, system=SYSTEM, limit=limit)
    return Sheet(
        recall=[given.get(question, "") for _, question in asked.recall],
        near=[given.get(one.question, "") for one in asked.near],
        others=[given.get(one.question, "") for one in asked.others],
        controls=with_it(asked.controls),
        controls_base=controls_base,
        perplexity=tuner.perplexity(text, adapter=adapter, gates=gates),
        perplexity_base=tuner.perplexity(text),
    )


def _examined_back(tuner: Tuner, adapter: Adapter, made: Course, forward: Exam, manifest: Manifest) -> Reverse:
    """How an adapter did the other way round, with all its gates; those that fail stay closed, and no others."""
    back = made.back or TurnedRound()
    if not back.facts:
        return Reverse(left=back.left, reasons=("no fact can be asked for the other way round",))
    gates = [gate_of(fact) for fact in back.facts]
    asked = admission.exam_back(back.facts, made.facts, manifest.recipe.seed)
    given = answered(tuner, adapter, asked, (*made.gates, *gates), limit=room(manifest))
    _, facts = admission.marked(asked, given)
    known = [one.right >= admission.RECALL * one.asked for one in facts]
    known = known if any(known) else [True] * len(facts)  # then all of them fail together
    scores, _ = admission.marked(*admission.narrowed(asked, given, known))
    reasons = (*admission.failings(scores), *admission.crossing(forward, gates))
    return Reverse(
        facts=facts,
        gates=tuple(dict.fromkeys(gate for gate, is_known in zip(gates, known, strict=True) if is_known)),
        left=back.left,
        scores=scores,
        admitted=not reasons,
        reasons=reasons,
        probes=tuple(one.question for one in asked.near),
    )


def room(manifest: Manifest) -> int:
    """The tokens that an adapter is given to answer in, when it is examined or probed."""
    return SENTENCE if TEACHING in manifest.taught_by else ANSWER


def progress_of(tools: Tools, job: Job) -> Progress:
    """How far a training is, by what it last noted; one that failed too often is parked, wherever it was."""
    try:
        noted = msgspec.json.decode((folder_of(tools, job.id) / PROGRESS).read_bytes(), type=Progress)
    except (FileNotFoundError, msgspec.MsgspecError):
        noted = Progress(job=job.id)
    return msgspec.structs.replace(noted, phase=PARKED) if job.state is JobState.DEAD else noted


def note(tools: Tools, progress: Progress) -> None:
    """Keep how far a job is, for whoever asks."""
    _write(folder_of(tools, progress.job), PROGRESS, msgspec.json.encode(progress))


def folder_of(tools: Tools, job: str) -> Path:
    """Where a training keeps how far it is."""
    if tools.training is None:
        raise ModelError(NO_TUNER)
    return tools.training / job


def remove(folder: Path) -> None:
    """Remove all that a training kept."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_ended(tools: Tools) -> None:
    """Remove what trainings left that cannot go on: their job is gone, or something that they learn from changed."""
    if tools.training is None or not tools.training.is_dir():
        return
    folders = [*tools.training.iterdir()]
    if not folders:
        return
    with tools.store.read() as unit:
        ended = [folder for folder in folders if not _can_go_on(unit, folder)]
    for folder in ended:
        remove(folder)


def remove_cancelled(tools: Tools, job: Job) -> None:
    """Remove what a cancelled job left; a worker that does it removes that itself, when it sees what happened."""
    if tools.training is not None and not is_held(job, tools.clock()):
        remove(folder_of(tools, job.id))


def ids_in(job: Job) -> frozenset[str]:
    """The memories that a job names; of one that somebody queued by hand, whatever looks like that."""
    named = job.arguments.get("ids")
    return frozenset(id for id in named if isinstance(id, str)) if isinstance(named, list | tuple) else frozenset()


def _can_go_on(unit: ReadUnit, folder: Path) -> bool:
    job = unit.job(folder.name)
    if job is None:
        return False
    ids, learned = ids_in(job), _learned_of(folder) or {}
    held = {record.cube.id: record.cube.content_hash for record in unit.current([*(ids | learned.keys())])}
    return ids <= held.keys() and all(held.get(id) == digest for id, digest in learned.items())


class _Watch:
    """Looks after each step whether the training is still wanted, and notes how far it is."""

    def __init__(self, tools: Tools, job: Job, cubes: Sequence[MemCube], folder: Path) -> None:
        self._tools, self._job, self._folder = tools, job, folder
        self.sources = tuple(SegmentSource(cube.id, cube.version, cube.content_hash) for cube in cubes)

    def trained(self, step: int, steps: int) -> None:
        """After a step."""
        self._check()
        note(self._tools, Progress(job=self._job.id, phase=PHASES[1], step=step, steps=steps))

    def examining(self, steps: int) -> None:
        """Before the admission test, and behind it."""
        self._check()
        note(self._tools, Progress(job=self._job.id, phase=PHASES[2], step=steps, steps=steps))

    def _check(self) -> None:
        with self._tools.store.read() as unit:
            job = unit.job(self._job.id)
            held = {record.cube.id: record.cube.content_hash for record in unit.current([s.id for s in self.sources])}
        if job is None:
            remove(self._folder)
            raise TrainingStopped("the training was cancelled")
        if is_taken_over(job, self._job):
            raise TrainingStopped("another worker took the training over, and goes on with it")
        changed = [one.id for one in self.sources if held.get(one.id) != one.content_hash]
        if changed:
            remove(self._folder)  # what was learned must not outlive what it was learned from
            raise TrainingStopped(f"memory {changed[0]!r} was changed or deleted while it was learned; distil it again")


def training_job(
    tools: Tools, who: tuple[Caller, Scope], asked: Arguments, now: datetime, *, dedup_key: str | None = None
) -> Job:
    """The job of a training, due at once."""
    caller, scope = who
    return Job(
        id=tools.new_id(now),
        kind=DISTIL,
        namespace=scope.namespace or caller.namespace,
        run_at=now,
        arguments=msgspec.to_builtins(asked),
        max_attempts=ATTEMPTS,
        dedup_key=dedup_key,
        created=now,
    )


def check_recipe(recipe: Recipe) -> Recipe:
    """A recipe that can be trained."""
    try:
        recipe = msgspec.convert(msgspec.to_builtins(recipe), Recipe)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidInput(f"recipe is {recipe!r}; pass a Recipe, such as Recipe(steps=36): {error}") from error
    whole = {"rank": (1, 256), "steps": (1, 10_000), "phrasings": (1, 100), "kept": (0, 1_000), "warmup": (0, 10_000)}
    whole |= {"reverse": (0, 100), "seed": (0, 2**32 - 1)}
    for name, (least, most) in whole.items():
        if not least <= getattr(recipe, name) <= most:
            raise InvalidInput(f"{name} is {getattr(recipe, name)!r}; use {least} to {most}")
    finite = math.isfinite(recipe.alpha) and math.isfinite(recipe.keep)
    if not finite or not 0 <= recipe.frozen < 1 or not 0 < recipe.rate < 1 or recipe.alpha <= 0 or recipe.keep < 0:
        raise InvalidInput("frozen lies from 0 to below 1, rate between 0 and 1, alpha above 0, keep at 0 or above")
    return recipe
