"""What an adapter takes, from a part of a training that was measured: the whole is as many times that (5.4.2).

Measuring a whole training would take minutes. Its parts grow evenly: what it reads with the lessons, what it does in a
step with the steps, what it is asked with the questions. ``interface.calibrating_adapters`` measures them.
"""

from __future__ import annotations

import msgspec

from pymemos.cube.adapter import Recipe
from pymemos.errors import InvalidInput
from pymemos.operation.costs import Calibration


class TrainingShape(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much a whole training has to do: of so many facts, in memories of so many tokens together."""

    facts: int
    tokens: int
    lessons: int
    taught: int  # lessons in a step that ask for a fact; the others keep the model's own answers
    asked: int  # questions of the admission test that something is computed for
    asked_anyway: int  # those of them that are asked however few the facts are


class TrainingSample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was measured; seconds."""

    lessons: int  # that were read for the layers that learn
    read_s: float
    step_s: float  # one step, of as many lessons as a whole training's
    asked: int  # questions that were answered
    asked_s: float
    plain_s: float  # one pass over a question
    gated_s: float  # the same with the adapter attached and its gate open
    file_bytes: int


def with_adapters(calibration: Calibration, sample: TrainingSample, of: TrainingShape, recipe: Recipe) -> Calibration:
    """A calibration with the figures of adapters, as they follow from a sample.

    What a training does however few its facts are is shared by as many memories as have one fact each; the rest
    grows with what they say. Raises InvalidInput where a part took no time.
    """
    if min(sample.lessons, sample.asked, of.facts, of.tokens) < 1 or min(sample.step_s, sample.asked_s) <= 0:
        raise InvalidInput("a part of the training took no time; measure with a finer clock")
    reading = max(sample.read_s, 0.0) * of.lessons / sample.lessons
    steps, question = recipe.steps * sample.step_s, sample.asked_s / sample.asked
    shared = steps * recipe.kept / (recipe.kept + of.taught) + question * of.asked_anyway
    whole = reading + steps + question * of.asked
    return msgspec.structs.replace(
        calibration,
        attach_s=max(sample.gated_s - sample.plain_s, 0.0),
        train_s=shared / of.facts,
        train_token_s=(whole - shared) / of.tokens,
        adapter_bytes=sample.file_bytes / of.facts,
        adapter_measured=True,
        training_s=whole,
    )
