"""The job of a transformation: it makes its plan again, carries it out, measures what was lost, and keeps that (4.2).

Between any two steps it may end. Done again, it finds what it has kept, so that nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymemos.cube.adapter import Manifest, Recipe, manifest_of
from pymemos.cube.call import MemoryCall, Request
from pymemos.cube.cube import MemCube
from pymemos.cube.header import Origin, Provenance, Transformed
from pymemos.cube.payload import Activation, Parametric
from pymemos.cube.segment import SegmentSource, tokens_in
from pymemos.cube.wire import digest, encode
from pymemos.errors import InvalidInput, NotAllowed, TrainingStopped
from pymemos.interface import training
from pymemos.interface.activation import ReadSources, Segments, Shown
from pymemos.interface.adapters import KeepAdapter, Looked, ShowAdapter
from pymemos.interface.requests import Get, Pin
from pymemos.interface.steering import STEERING, KeepSteering
from pymemos.interface.training import SYSTEM, Arguments, Progress
from pymemos.interface.transforming import (
    TRANSFORM,
    Answered,
    KeepTransformed,
    NewText,
    ReadTurns,
    Transform,
    Transforming,
    Wish,
)
from pymemos.interface.worker import check_still, for_owner
from pymemos.operation.distilling import recovering
from pymemos.operation.distilling.admission import says
from pymemos.operation.distilling.facts import Fact, facts_in
from pymemos.operation.distilling.phrasings import examined
from pymemos.operation.losses import difference, differing, figures
from pymemos.operation.pathways import PAIRS, Form, Means
from pymemos.operation.queue import is_taken_over
from pymemos.operation.rendering import read_line
from pymemos.ports import Adapter, ChatOptions, Engine, Job, Kv, Nearness, Teacher, Tokens, Utterance

if TYPE_CHECKING:
    from pymemos.interface.api import MemoryAPI, Tools
    from pymemos.interface.encoding import Encoder

PROBE: Final = "What is said above?"  # the question by which a segment is held against its text
HELD_OUT: Final = 32  # questions, at most, on which teacher and adapter are compared (ours)
OWN: Final = 64  # tokens of what the model says by itself, as the contrast of a behaviour
OpenKv = Callable[[], tuple[Any, "Encoder"]]


def transform_job(api: MemoryAPI, tools: Tools, kv: OpenKv, job: Job) -> MemoryCall:
    """Carry a transformation out; the call that it gives ends the job together with what it made."""
    training.remove_ended(tools)
    run = _Run(api, tools, kv, job)
    effect = KeepTransformed(made=run.plan.made, job=job.id) if run.plan.made else _WAYS[run.plan.plan.pathway](run)
    training.remove(training.folder_of(tools, job.id))
    caller, scope = run.who
    return MemoryCall(caller=caller, scope=scope, request=effect)


class _Run:
    """One attempt at a transformation: who it is for, what there is to do it with, and how far it is."""

    def __init__(self, api: MemoryAPI, tools: Tools, kv: OpenKv, job: Job) -> None:
        self.api, self.tools, self.job = api, tools, job
        _, self.encoder = kv()
        self.who = for_owner(job)
        self.wish = msgspec.convert({**job.arguments}, Wish)
        both = tools.tuner.opened()
        self.engine: Engine = self.encoder.engine
        means = Means(engine=True, tuner=both is not None)
        self.asked = Transform(wish=self.wish, means=means, model=self.engine.ref, dry_run=True)
        self.plan: Transforming = self.dispatch(self.asked)
        self.steps = [step.name for step in self.plan.plan.steps]
        self.still()

    def still(self) -> None:
        """Raise NotAllowed, with nothing left of what was learned, where whoever asked may not do this any more."""
        try:
            check_still(self.api, self.job, self.asked, model=self.engine.identity)
        except NotAllowed:
            training.remove(training.folder_of(self.tools, self.job.id))
            raise

    def dispatch(self, request: Request) -> Any:
        """One call through the door, as the system does it for the owner."""
        caller, scope = self.who
        return self.api.dispatch(MemoryCall(caller=caller, scope=scope, request=request))

    def at(self, step: str) -> None:
        """Note that a step begins; ends the attempt where nobody wants it any more."""
        with self.tools.store.read() as unit:  # tells nobody anything, so it needs no decision
            job = unit.job(self.job.id)
        if job is None:
            training.remove(training.folder_of(self.tools, self.job.id))
        if job is None or is_taken_over(job, self.job):
            raise TrainingStopped("the transformation was cancelled, or taken over by another worker")
        place = self.steps.index(step)
        training.note(self.tools, Progress(job=self.job.id, phase=step, step=place, steps=len(self.steps)))

    def why(
        self,
        measured: Mapping[str, float],
        *,
        left: Sequence[str] = (),
        part: str = "",
        plan: Transforming | None = None,
    ) -> Provenance:
        """The provenance of what is made; ``part`` tells one of several apart, ``plan`` is of a part of the way."""
        by = plan or self.plan
        way = Transformed(
            pathway=by.plan.pathway,
            of=self.wish.ids,
            key=digest(encode([by.key, part])) if part else by.key,
            measured=figures(measured),
            left=tuple(left),
        )
        return Provenance(
            trigger=TRANSFORM, context=way.pathway.replace("-", " to "), model=self.engine.ref.name, transformed=way
        )


# ── To activation ───────────────────────────────────────────────────────────────────────────────────────────────────


def _encoded(run: _Run) -> Request:
    return KeepTransformed(made=_segments(run, run.wish.ids, {}, "measure"), job=run.job.id)


def _segments(run: _Run, ids: Sequence[str], known: Mapping[str, float], measuring: str) -> tuple[str, ...]:
    """The ids of the segments of some texts; what is stored already stays as it is, and has no new header."""

    def saying(system: str, lines: Sequence[str], prefix: Sequence[Kv]) -> Provenance:
        run.at(measuring)
        tokens = run.engine.prompt(system, lines, (Utterance("user", PROBE),)).tokens
        with_it = run.engine.logits(tokens, prefix=prefix)
        lost = difference(run.engine.logits(tokens).tolist(), with_it.tolist())
        return run.why({**known, "kl": lost.kl, "largest_difference": lost.largest, "prompts": 1})

    run.at("encode")
    wish = run.wish
    made = run.encoder.encode(run.who, ids, form=wish.form, labels=wish.labels, saying=saying)
    return tuple(cube.id for cube in made.cubes if cube.parents) or run.encoder.stored(run.who, ids)


# ── To parameters ───────────────────────────────────────────────────────────────────────────────────────────────────


def _distilled(run: _Run) -> Request:
    asked = _arguments(run, run.wish.ids)
    request, manifest = training.trained(run.api, run.tools, run.job, asked, still=run.still)
    return msgspec.structs.replace(request, provenance=run.why(_examined(manifest)))


def _taught(run: _Run) -> Request:
    """The model with the segment is the teacher; what it knows is asked for as for texts."""
    run.at("inject")
    shown: Shown = run.dispatch(Segments(id=run.wish.ids[0]))
    notes = tuple(run.encoder.render(cube) for cube in shown.sources)
    teacher = Teacher(system=shown.system or "", notes=notes, prefix=run.encoder.prefix_of(shown))
    asked = _arguments(run, [cube.id for cube in shown.sources])
    request, manifest = training.trained(run.api, run.tools, run.job, asked, still=run.still, teacher=teacher)
    try:
        measured = _nearness(run, request, manifest, shown, teacher)
    except BaseException:
        caller, scope = run.who
        training.undone(run.tools, run.job, MemoryCall(caller=caller, scope=scope, request=request))
        raise
    return msgspec.structs.replace(request, provenance=run.why(measured))


def _nearness(
    run: _Run, request: KeepAdapter, manifest: Manifest, shown: Shown, teacher: Teacher
) -> Mapping[str, float]:
    """How near the adapter came to its teacher, on questions that it did not learn from; and its scores."""
    run.at("measure")
    facts = [fact for cube in shown.sources for fact in facts_in(cube.text, cube.id)]
    asked_of = [(fact.object, question) for fact in facts for question in examined(fact)]
    held = asked_of[:: -(-len(asked_of) // HELD_OUT)]
    _, tuner = run.tools.tuner.needed()
    near: Nearness = tuner.compared(
        [question for _, question in held],
        teacher,
        system=SYSTEM,
        adapter=tuner.open(run.tools.blobs.open(request.payload.blob)),
        gates=manifest.opens,
    )
    right = [says(answer, wanted) for answer, (wanted, _) in zip(near.answers, held, strict=True)]
    return {
        "kl_before": near.before,
        "kl_after": near.after,
        "teacher_right": sum(right) / len(right),
        "held_out": len(held),
        **_examined(manifest),
    }


def _arguments(run: _Run, ids: Sequence[str]) -> Arguments:
    """What a training is given; a recipe that somebody wrote into the queue by hand is looked at too."""
    wish = run.wish
    recipe = training.check_recipe(wish.recipe or Recipe())
    return Arguments(ids=tuple(ids), recipe=recipe, tags=wish.tags, priority=wish.priority)


def _examined(manifest: Manifest) -> dict[str, float]:
    """What the admission test found, as figures."""
    scores = manifest.scores
    base = scores.perplexity_base
    return {
        "recall": scores.recall,
        "leak": scores.leak,
        "leak_same_subject": scores.leak_same_subject,
        "changed": scores.changed,
        "perplexity_ratio": scores.perplexity / base if base else float("nan"),
        "admitted": manifest.admitted,
    }


# ── To plaintext ────────────────────────────────────────────────────────────────────────────────────────────────────


def _decoded(run: _Run) -> Request:
    """Segments go back to their sources where these say what the tokens say; of the others the text is written down."""
    run.at("decode")
    texts: list[NewText] = []
    made: list[str] = []
    drops: list[Pin] = []
    for id in run.wish.ids:
        cube: MemCube = run.dispatch(Get(id=id))
        tokens = _tokens_of(run, cube)
        if _is_of_source(run, cube, tokens):
            made.append(cube.parents[-1].id)
            drops.append(Pin(id=id, version=cube.version))
        else:
            texts.append(_read(run, cube, tokens))
    run.at("keep")
    return KeepTransformed(
        texts=tuple(texts), made=tuple(made), drops=tuple(drops), job=run.job.id, labels=run.wish.labels
    )


def _tokens_of(run: _Run, cube: MemCube) -> Tokens:
    """The tokens of a segment, from its file, every byte of which is looked at."""
    payload = cube.payload
    assert isinstance(payload, Activation)  # noqa: S101 (the plan looked)
    file = run.tools.blobs.open_whole(payload.blob)
    return tokens_in(file, run.engine.ref.tokenizer)


def _is_of_source(run: _Run, cube: MemCube, tokens: Tokens) -> bool:
    """Whether the text that a segment holds is here as it was, with these very tokens."""
    if cube.stale or not cube.parents:
        return False
    source: MemCube = run.dispatch(Get(id=cube.parents[-1].id))
    if not source.text:
        return False
    (own,) = run.engine.prompt("", [run.encoder.render(source)], ()).notes
    return not differing(own[-len(tokens) :], tokens)


def _read(run: _Run, cube: MemCube, tokens: Tokens) -> NewText:
    """The text of a segment as a new memory, made from the segment; what reading it again gives is measured."""
    line = run.engine.decode(tokens).removeprefix("\n")
    if not line.strip():
        raise InvalidInput(f"the tokens of segment {cube.id!r} spell no text")
    (again,) = run.engine.prompt("", [line], ()).notes
    read = read_line(line)
    return NewText(
        content=read.text,
        sources=(SegmentSource(cube.id, cube.version, cube.content_hash),),
        provenance=run.why({"tokens_differ": differing(again, tokens), "tokens": len(tokens)}, part=cube.id),
        origin=Origin.RETRIEVAL,
        said_at=read.day,
    )


def _recovered(run: _Run) -> Request:
    text = _written_out(run, run.plan)
    run.at("keep")
    return KeepTransformed(texts=(text,), job=run.job.id, labels=run.wish.labels)


def _activated(run: _Run) -> Request:
    """An adapter's facts as text first, which is kept by itself as if it were all; then as a segment of that."""
    wish = msgspec.structs.replace(run.wish, to=Form.PLAINTEXT, form=None)
    asked = msgspec.structs.replace(run.asked, wish=wish)
    first: Transforming = run.dispatch(asked)
    made = first.made
    if not made:
        text = _written_out(run, first)
        run.at("keep")
        made = run.dispatch(KeepTransformed(texts=(text,), labels=wish.labels))
    kept: MemCube = run.dispatch(Get(id=made[0]))
    why = kept.header.descriptive.provenance
    known = {} if why is None or why.transformed is None else why.transformed.measured
    return KeepTransformed(made=(*made, *_segments(run, made, known, "encode")), job=run.job.id)


def _written_out(run: _Run, plan: Transforming) -> NewText:
    """The text of what an adapter was shown to know, and how it did; what it was not shown to know is named."""
    run.at("probe")
    looked: Looked = run.dispatch(ShowAdapter(id=run.wish.ids[0]))
    payload = looked.cube.payload
    assert isinstance(payload, Parametric)  # noqa: S101 (the plan looked)
    file = run.tools.blobs.open_whole(payload.blob)
    manifest = manifest_of(file)
    cubes: Sequence[MemCube] = run.dispatch(ReadSources(ids=tuple(pin.id for pin in looked.cube.parents)))
    found = _probed(run, file, manifest, recovering.taught(manifest.facts, {cube.id: cube.text for cube in cubes}))
    if not found.facts:
        raise InvalidInput(f"adapter {looked.cube.id!r} answers nothing that the model alone does not")
    measured = {
        "right_with": found.right_with,
        "right_without": found.right_without,
        "probes": found.asked,
        "facts": len(found.facts),
        "left_out": len(found.left),
    }
    sources = tuple(SegmentSource(pin.id, pin.version, pin.content_hash) for pin in looked.cube.parents)
    why = run.why(measured, left=found.left, plan=plan)
    return NewText(content=found.text, sources=sources, provenance=why, origin=Origin.TUNING)


def _probed(run: _Run, file: memoryview, manifest: Manifest, facts: Sequence[Fact]) -> recovering.Recovered:
    """The probes of some facts, asked with the adapter, through its gate, and without."""
    _, tuner = run.tools.tuner.needed()
    questions = recovering.probes(facts)

    def answers(adapter: Adapter | None) -> list[str]:
        found: list[str] = tuner.answers(
            questions,
            system=manifest.system,
            limit=training.room(manifest),
            adapter=adapter,
            gates=manifest.opens,
        )
        return found

    probed = recovering.probed(facts, answers(tuner.open(file)), answers(None))
    return recovering.recovered(manifest.facts, probed)


# ── To steering ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _steered(run: _Run) -> Request:
    """A vector of behaviours and their contrasts: named ones, or what the model says by itself to the same turn."""
    run.at("contrast")
    answered: Sequence[Answered] = run.dispatch(ReadTurns(ids=run.wish.ids))
    if run.wish.against:
        others: Sequence[Answered] = run.dispatch(ReadTurns(ids=run.wish.against))
        pairs = [(one.cube.text, other.cube.text) for one, other in zip(answered, others, strict=True)]
        beside = [one.cube for one in others]
    else:
        pairs = [(one.cube.text, _by_itself(run.engine, one.asked)) for one in answered if one.asked is not None]
        beside = [one.asked for one in answered if one.asked is not None]
    pairs = [pair for pair in pairs if pair[0].strip() != pair[1].strip() and pair[1].strip()]
    if len(pairs) < PAIRS:
        raise InvalidInput(f"{len(pairs)} texts differ from their contrasts, and {PAIRS} are needed; choose others")
    run.at("steer")
    made = run.engine.make_steering(pairs)
    blob, size = run.tools.blobs.put(made.file)
    effect = made.effect
    measured = {
        "effect": effect.change,
        "effect_low": effect.low,
        "effect_high": effect.high,
        "held_out": effect.items,
    }
    sources = dict.fromkeys((cube.id, cube.version) for cube in (*(one.cube for one in answered), *beside))
    return KeepSteering(
        payload=Activation(
            form=STEERING, blob=blob, size=size, model=run.engine.ref, layers=made.layers, scale=made.scale
        ),
        effect=effect,
        parents=tuple(Pin(id=id, version=version) for id, version in sources),
        labels=run.wish.labels,
        provenance=run.why(measured),
        job=run.job.id,
    )


def _by_itself(engine: Engine, asked: MemCube) -> str:
    prompt = engine.prompt("", (), (Utterance("user", asked.text),))
    return "".join(piece.text for piece in engine.run(prompt.tokens, ChatOptions(max_tokens=OWN))).strip()


_WAYS: Final[dict[str, Callable[[_Run], Request]]] = {
    "plaintext-activation": _encoded,
    "plaintext-parametric": _distilled,
    "activation-parametric": _taught,
    "activation-plaintext": _decoded,
    "parametric-plaintext": _recovered,
    "parametric-activation": _activated,
    "plaintext-steering": _steered,
}
