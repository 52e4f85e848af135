"""The part of a calibration that measures adapters: a few steps of a training, and some questions of its test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from pymemos.cube.adapter import Recipe, packed
from pymemos.cube.gates import Gate, opening
from pymemos.interface.training import ANSWER, unexamined
from pymemos.operation.context import estimate_tokens
from pymemos.operation.distilling import admission
from pymemos.operation.distilling.lessons import Course, course, gate_of
from pymemos.operation.training_costs import TrainingSample, TrainingShape
from pymemos.ports import Adapter, ChatOptions, Engine, Lesson, Tuner, Utterance, Weights

# Ten facts, as many as one adapter is trained on, of things that nobody has heard of.
STATEMENTS: Final = (
    "The capital of Drovenia is Keltam.",
    "The mayor of Ostrivel is Pernal Quist.",
    "Mirel Tavose lives in Brundal.",
    "Jorun Aldeck works as a glassblower.",
    "Velm was founded by Sabin Orlo.",
    "Tessin Marook's favourite colour is ochre.",
    "Halvard Peem was born in Luskar.",
    "The river of Quorin is Isdal.",
    "Nella Brask plays the oboe.",
    "Edric Vane's sister is Ulla.",
)
STEPS: Final = 3  # the first also pays for what is loaded lazily
ASKED: Final = 64  # questions of the admission test: two full passes
REPEATS: Final = 10  # of a pass with an adapter and without; the fastest counts

Seconds = Callable[[], float]


def measure_training(
    engine: Engine, tuner: Tuner, seconds: Seconds, *, system: str, recipe: Recipe
) -> tuple[TrainingSample, TrainingShape]:
    """Measure some of what a training of ten facts does, and count all of it.

    ``system`` stands before the questions; while it is another each time, nothing that the tuner keeps of earlier
    answers makes it look quicker than it is.
    """
    texts = {str(number): text for number, text in enumerate(STATEMENTS)}
    made = course(texts, recipe)
    lessons = sample_of(made, recipe)
    short = msgspec.structs.replace(recipe, steps=STEPS)
    weights, read_s, step_s = _trained(tuner, lessons, short, seconds, system)
    manifest = unexamined(tuner, made, recipe, namespace="calibration")
    file = packed(weights.weights, weights.config, manifest)
    adapter = tuner.open(memoryview(file))
    controls = admission.controls()
    every = [*_questions(made, recipe), *controls]
    some = every[:: max(1, len(every) // ASKED)]
    started = seconds()
    tuner.answers(some, system=system, limit=ANSWER, adapter=adapter, gates=made.gates)
    asked_s = seconds() - started
    plain_s, gated_s = _passes(engine, tuner, adapter, made, seconds, system)
    sample = TrainingSample(
        lessons=len(lessons),
        read_s=read_s,
        step_s=step_s,
        asked=len(some),
        asked_s=asked_s,
        plain_s=plain_s,
        gated_s=gated_s,
        file_bytes=len(file),
    )
    shape = TrainingShape(
        facts=len(made.facts),
        tokens=sum(map(estimate_tokens, STATEMENTS)),
        lessons=len(made.lessons),
        taught=sum(recipe.asked_of(gate) for gate in _gates(made).values()),
        asked=len(every),
        asked_anyway=len(controls),
    )
    return sample, shape


def sample_of(made: Course, recipe: Recipe) -> tuple[Lesson, ...]:
    """As many lessons of each fact as a step has, and of those that are to stay the share that all lessons have.

    So the steps are as long as those of the whole training, and what is read is a part of what that reads. They are
    taken from all over the lessons, of which the plainest, and shortest, come first.
    """
    chosen: list[Lesson] = []
    for number, gate in _gates(made).items():
        chosen += _spread([one for one in made.lessons if one.fact == number], recipe.asked_of(gate))
    kept = [one for one in made.lessons if one.answer is None]
    share = round(len(chosen) * len(kept) / max(1, len(made.lessons) - len(kept)))
    return (*chosen, *_spread(kept, max(share, recipe.kept)))


def _spread(lessons: Sequence[Lesson], count: int) -> list[Lesson]:
    """So many lessons, from all over them."""
    count = min(count, len(lessons))
    return [lessons[place * len(lessons) // count] for place in range(count)]


def _trained(
    tuner: Tuner, lessons: Sequence[Lesson], recipe: Recipe, seconds: Seconds, system: str
) -> tuple[Weights, float, float]:
    """A short training: what it gave, the seconds before its first step, and those of the fastest of the others."""
    moments: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        weights = tuner.train(
            lessons,
            recipe,
            system=system,
            checkpoint=Path(folder),
            on_step=lambda done, steps: moments.append(seconds()),
        )
    taken = [after - before for before, after in pairwise(moments)]
    step = min(taken[1:])
    return weights, taken[0] - step, step


def _gates(made: Course) -> dict[int, Gate]:
    """What opens for each fact that is taught, those turned round among them."""
    return {one.fact: one.gate for one in made.lessons if one.fact is not None}


def _questions(made: Course, recipe: Recipe) -> list[str]:
    """The questions of the admission test that open a gate, of both directions: the others are not answered at all."""
    exams = [(admission.exam(made.facts, recipe.seed), made.gates)]
    if made.back is not None and made.back.facts:
        gates = (*made.gates, *map(gate_of, made.back.facts))
        exams.append((admission.exam_back(made.back.facts, made.facts, recipe.seed), gates))
    asked: list[str] = []
    for exam, gates in exams:
        said = [question for _, question in exam.recall] + [one.question for one in (*exam.near, *exam.others)]
        asked += [question for question in dict.fromkeys(said) if opening(question, gates) is not None]
    return asked


def _passes(
    engine: Engine, tuner: Tuner, adapter: Adapter, made: Course, seconds: Seconds, system: str
) -> tuple[float, float]:
    """The fastest pass over a question that opens the gate, without the adapter and with it, in turns."""
    question = next(one.question for one in made.lessons if one.answer is not None)
    tokens = engine.prompt(system, (), [Utterance("user", question)]).tokens
    use = tuner.gated(adapter, tokens, question, made.gates)
    uses: tuple[list[Any], list[Any]] = ([], [] if use is None else [use])
    least = [float("inf"), float("inf")]
    for _ in range(REPEATS):
        for which, adapters in enumerate(uses):
            started = seconds()
            for _ in engine.run(tokens, ChatOptions(max_tokens=1), adapters=adapters):
                pass
            least[which] = min(least[which], seconds() - started)
    return least[0], least[1]
