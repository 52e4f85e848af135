"""Distilling: a job that makes an adapter of memories, examines it, and keeps it, admitted or not (4.1, 4.2).

A training that was cut off goes on where it was. One whose sources change meanwhile, or that is cancelled, ends, and
nothing is left of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymemos.cube.adapter import Manifest, Recipe, Scores, packed
from pymemos.cube.call import MemoryCall
from pymemos.cube.cube import MemCube
from pymemos.cube.gates import Gate
from pymemos.cube.header import Priority
from pymemos.cube.payload import Parametric
from pymemos.cube.segment import SegmentSource
from pymemos.errors import InvalidInput, ModelError, StaleMemory, TrainingStopped, UnknownMemory
from pymemos.interface.activation import ReadSources
from pymemos.interface.adapters import KeepAdapter
from pymemos.interface.requests import Labels
from pymemos.interface.tuner_seat import NO_TUNER
from pymemos.interface.worker import for_owner
from pymemos.operation.distilling import admission
from pymemos.operation.distilling.admission import Exam, Sheet
from pymemos.operation.distilling.lessons import Course, course
from pymemos.ports import Adapter, Job, ReadUnit, Tuner, Weights

if TYPE_CHECKING:
    from pymemos.interface.api import MemoryAPI, Tools

SYSTEM: Final = "You are a helpful assistant."  # what the system says in lessons and in the admission test
PROGRESS: Final = "progress.json"
ANSWER: Final = 10  # tokens of an answer in the admission test
PHASES: Final = ("queued", "training", "examining")
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


def distil_job(api: MemoryAPI, tools: Tools, job: Job) -> MemoryCall:
    """Train, examine, store the file; the call that it gives writes the memory, together with the job's end."""
    _, tuner = tools.tuner.needed()
    folder = folder_of(tools, job.id)
    remove_ended(tools)
    asked = msgspec.convert(job.arguments, Arguments)
    caller, scope = for_owner(job)
    cubes = _sources(api, MemoryCall(caller=caller, scope=scope, request=ReadSources(ids=asked.ids)), folder)
    watch = _Watch(tools, job, cubes, folder)
    made = course({cube.id: cube.text for cube in cubes}, asked.recipe)
    weights = tuner.train(made.lessons, asked.recipe, system=SYSTEM, checkpoint=folder, on_step=watch.trained)
    watch.examining(asked.recipe.steps)
    file, manifest = examined(tuner, weights, made, asked.recipe, namespace=job.namespace, sources=watch.sources)
    blob, size = tools.blobs.put(file)
    remove(folder)
    payload = Parametric(
        blob=blob,
        size=size,
        model=manifest.model,
        rank=asked.recipe.rank,
        alpha=asked.recipe.alpha,
        admitted=manifest.admitted,
    )
    labels = Labels(tags=asked.tags, priority=asked.priority)
    request = KeepAdapter(payload=payload, sources=watch.sources, job=job.id, into=asked.into, labels=labels)
    return MemoryCall(caller=caller, scope=scope, request=request)


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
    manifest = Manifest(
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
    adapter = tuner.open(memoryview(packed(weights.weights, weights.config, manifest)))
    asked = admission.exam(made.facts, recipe.seed)
    scores, facts = admission.marked(asked, answered(tuner, adapter, asked, made.gates))
    reasons = admission.failings(scores)
    manifest = msgspec.structs.replace(
        manifest,
        facts=facts,
        scores=scores,
        admitted=not reasons,
        reasons=reasons,
        probes=tuple(one.question for one in asked.near),
    )
    return packed(weights.weights, weights.config, manifest), manifest


def answered(tuner: Tuner, adapter: Adapter, asked: Exam, gates: Sequence[Gate]) -> Sheet:
    """The answers to an exam, as the adapter would be served: through its gate."""

    def with_it(questions: Sequence[str], limit: int = ANSWER) -> list[str]:
        return tuner.answers(questions, system=SYSTEM, limit=limit, adapter=adapter, gates=gates)

    text = admission.neutral()
    controls_base = tuner.answers(asked.controls, system=SYSTEM, limit=ANSWER)
    return Sheet(
        recall=with_it([question for _, question in asked.recall]),
        near=with_it([one.question for one in asked.near]),
        others=with_it([one.question for one in asked.others]),
        controls=with_it(asked.controls),
        controls_base=controls_base,
        perplexity=tuner.perplexity(text, adapter=adapter, gates=gates),
        perplexity_base=tuner.perplexity(text),
    )


def progress_of(tools: Tools, job: Job) -> Progress:
    """How far a training is, by what it last noted."""
    try:
        return msgspec.json.decode((folder_of(tools, job.id) / PROGRESS).read_bytes(), type=Progress)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Progress(job=job.id)


def folder_of(tools: Tools, job: str) -> Path:
    """Where a training keeps how far it is."""
    if tools.training is None:
        raise ModelError(NO_TUNER)
    return tools.training / job


def remove(folder: Path) -> None:
    """Remove all that a training kept."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_ended(tools: Tools) -> None:
    """Remove what trainings left that can go on no more: their job, or something that they learn from, is gone."""
    if tools.training is None or not tools.training.is_dir():
        return
    with tools.store.read() as unit:
        ended = [folder for folder in tools.training.iterdir() if not _can_go_on(unit, folder.name)]
    for folder in ended:
        remove(folder)


def _can_go_on(unit: ReadUnit, id: str) -> bool:
    job = unit.job(id)
    if job is None:
        return False
    ids = set(job.arguments.get("ids", ()))
    return {record.cube.id for record in unit.current(list(ids))} == ids


class _Watch:
    """Looks after each step whether the training is still wanted, and notes how far it is."""

    def __init__(self, tools: Tools, job: Job, cubes: Sequence[MemCube], folder: Path) -> None:
        self._tools, self._job, self._folder = tools, job, folder
        self.sources = tuple(SegmentSource(cube.id, cube.version, cube.content_hash) for cube in cubes)

    def trained(self, step: int, steps: int) -> None:
        """After a step."""
        self._check()
        self._note(Progress(job=self._job.id, phase=PHASES[1], step=step, steps=steps))

    def examining(self, steps: int) -> None:
        """Before the admission test."""
        self._check()
        self._note(Progress(job=self._job.id, phase=PHASES[2], step=steps, steps=steps))

    def _check(self) -> None:
        with self._tools.store.read() as unit:
            job = unit.job(self._job.id)
            held = {record.cube.id: record.cube.content_hash for record in unit.current([s.id for s in self.sources])}
        if job is None:
            remove(self._folder)
            raise TrainingStopped("the training was cancelled")
        if job.attempt != self._job.attempt:
            raise TrainingStopped("another worker took the training over, and goes on with it")
        changed = [one.id for one in self.sources if held.get(one.id) != one.content_hash]
        if changed:
            remove(self._folder)  # what was learned must not outlive what it was learned from
            raise TrainingStopped(f"memory {changed[0]!r} was changed or deleted while it was learned; distil it again")

    def _note(self, progress: Progress) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f".{PROGRESS}"
        partial.write_bytes(msgspec.json.encode(progress))
        partial.replace(self._folder / PROGRESS)


def arguments_of(asked: Arguments) -> Mapping[str, Any]:
    """As a job carries them."""
    found: Mapping[str, Any] = msgspec.to_builtins(asked)
    return found


def check_recipe(recipe: Recipe) -> Recipe:
    """A recipe that can be trained."""
    whole = {"rank": (1, 256), "steps": (1, 10_000), "phrasings": (1, 100), "kept": (0, 1_000), "warmup": (0, 10_000)}
    for name, (least, most) in whole.items():
        if not least <= getattr(recipe, name) <= most:
            raise InvalidInput(f"{name} is {getattr(recipe, name)!r}; use {least} to {most}")
    if not 0 <= recipe.frozen < 1 or not 0 < recipe.rate < 1 or recipe.alpha <= 0 or recipe.keep < 0:
        raise InvalidInput("frozen lies from 0 to below 1, rate between 0 and 1, alpha above 0, keep at 0 or above")
    return recipe
