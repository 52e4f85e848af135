"""Steering vectors: what tells two kinds of text apart inside a model, added to what it thinks as it answers (4.1).

A vector is the difference between the mean states of wanted and of other texts behind one layer, as long as a state
there usually is. So a scale says how strong it is beside what the model thinks itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from pymemos.cube import steering as files
from pymemos.cube.steering import Effect, MadeSteering, SteeringItem
from pymemos.errors import InvalidInput, SegmentRefused
from pymemos.ports import SteeringUse, Utterance

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine

SCALES: Final = (0.05, 0.1, 0.2, 0.3)  # of the length of a usual state
LEAST_PAIRS: Final = 6
ASK: Final = "Please say something."  # in answer to which the texts of pairs are read
_DEPTHS: Final = (0.3, 0.4, 0.5, 0.6, 0.7)  # where in the model it is tried to steer; at the ends it does little
_HELD_OUT: Final = 3  # every third pair chooses layer and scale, and is not in the vector
_RESAMPLES: Final = 2_000

Texts = tuple[str, str]  # one as wanted, and its contrast


def make(
    engine: LocalEngine,
    pairs: Sequence[Texts],
    *,
    layers: Sequence[int] | None = None,
    scales: Sequence[float] = SCALES,
) -> MadeSteering:
    """The vector of contrasting pairs, at the layer and scale that move held-out pairs most without harm.

    Harm is to make the wanted texts themselves less likely, as a vector that is too strong does with all text. The
    effect is that on the held-out pairs, which chose it: measure it again on items of your own. Raises InvalidInput
    where there are too few pairs, and where none of the settings helps.
    """
    if len(pairs) < LEAST_PAIRS:
        raise InvalidInput(f"{len(pairs)} pairs are too few to tell what they have in common; pass {LEAST_PAIRS}")
    tried = _layers(engine, layers)
    held = [SteeringItem(ask=ASK, wanted=a, other=b) for a, b in pairs[_HELD_OUT - 1 :: _HELD_OUT]]
    learnt = [pair for number, pair in enumerate(pairs, 1) if number % _HELD_OUT]
    vectors = _differences(engine, learnt, tried)
    plain = likelihoods(engine, held)
    found = []
    for layer in tried:
        for scale in scales:
            likely = likelihoods(engine, held, [SteeringUse(vectors={layer: vectors[layer]}, scale=scale)])
            if fmean(a for a, _ in likely) >= fmean(a for a, _ in plain):
                found.append((effect_of(plain, likely), layer, scale))
    if not found or (best := max(found, key=lambda one: one[0].change))[0].change <= 0:
        raise InvalidInput(
            "no layer and scale make the wanted texts likelier; pass more pairs, which differ in one way"
        )
    effect, layer, scale = best
    file = files.dump(engine.ref, {layer: vectors[layer].float().cpu().numpy().astype("<f4").tobytes()})
    return MadeSteering(file=file, layers=(layer,), scale=scale, effect=effect)


def load(engine: LocalEngine, file: memoryview, layers: Sequence[int]) -> dict[int, Tensor]:
    """The vectors of a file, checked; raises SegmentRefused where it is not what was expected."""
    width = engine.model.config.hidden_size
    if not layers or not all(0 <= layer < len(engine.layers) for layer in layers):
        raise SegmentRefused(f"the vectors are of layers {list(layers)}, and the model has {len(engine.layers)}")
    found = files.load(file, engine.ref, tuple(layers), width)
    vectors = {layer: torch.frombuffer(bytearray(data), dtype=torch.float32) for layer, data in found.items()}
    if not all(bool(vector.isfinite().all()) for vector in vectors.values()):
        raise SegmentRefused("a steering vector holds what is no number")
    return vectors


def measure(engine: LocalEngine, items: Sequence[SteeringItem], steering: Sequence[SteeringUse]) -> Effect:
    """What steerings together do on labelled items."""
    if not items:
        raise InvalidInput("there is nothing to measure on; pass items")
    return effect_of(likelihoods(engine, items), likelihoods(engine, items, steering))


def likelihoods(
    engine: LocalEngine, items: Sequence[SteeringItem], steering: Sequence[SteeringUse] = ()
) -> list[tuple[float, float]]:
    """For each item the mean log-probability of a token of the wanted text and of the other, in nats."""
    return [
        (_likelihood(engine, one.ask, one.wanted, steering), _likelihood(engine, one.ask, one.other, steering))
        for one in items
    ]


def effect_of(before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]], *, seed: int = 0) -> Effect:
    """The change of the margins, with the interval of a bootstrap over items; the same for the same likelihoods."""
    was = [wanted - other for wanted, other in before]
    now = [wanted - other for wanted, other in after]
    changes = [b - a for a, b in zip(was, now, strict=True)]
    dice = random.Random(seed)  # noqa: S311 (no secret)
    means = sorted(fmean(dice.choices(changes, k=len(changes))) for _ in range(_RESAMPLES))
    low, high = means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES) - 1]
    return Effect(items=len(changes), before=fmean(was), after=fmean(now), low=low, high=high)


def _layers(engine: LocalEngine, asked: Sequence[int] | None) -> list[int]:
    count = len(engine.layers)
    if asked is None:
        return sorted({min(count - 1, int(depth * count)) for depth in _DEPTHS})
    if not asked or not all(0 <= layer < count for layer in asked):
        raise InvalidInput(f"layers is {list(asked)}; the model has layers 0 to {count - 1}")
    return sorted(set(asked))


def _differences(engine: LocalEngine, pairs: Sequence[Texts], layers: Sequence[int]) -> dict[int, Tensor]:
    """For each layer the direction from the other texts to the wanted ones, as long as a state is there on average."""
    wanted, lengths = _means(engine, [a for a, _ in pairs], layers)
    other, more = _means(engine, [b for _, b in pairs], layers)
    vectors = {}
    for layer in layers:
        difference = wanted[layer] - other[layer]
        length = difference.norm()
        if not float(length) > 0:
            raise InvalidInput("the pairs do not differ; pass texts that contrast")
        vectors[layer] = difference / length * (lengths[layer] + more[layer]) / 2
    return vectors


def _means(
    engine: LocalEngine, texts: Sequence[str], layers: Sequence[int]
) -> tuple[dict[int, Tensor], dict[int, float]]:
    """The mean state of texts' tokens behind each layer, every text counting alike, and the mean length of a state."""
    sums = {layer: torch.zeros(engine.model.config.hidden_size) for layer in layers}
    lengths = dict.fromkeys(layers, 0.0)
    for text in texts:
        for layer, states in _states(engine, text, layers).items():
            sums[layer] += states.mean(dim=0)
            lengths[layer] += float(states.norm(dim=-1).mean())
    count = len(texts)
    return {layer: one / count for layer, one in sums.items()}, {layer: one / count for layer, one in lengths.items()}


def _states(engine: LocalEngine, text: str, layers: Sequence[int]) -> dict[int, Tensor]:
    """What leaves the layers for each token of a text: float32, (tokens, width)."""
    asked, said = _tokens(engine, ASK, text)
    found: dict[int, Tensor] = {}

    def record(layer: int, states: Tensor) -> None:
        if layer in layers:
            found[layer] = states[0, -len(said) :].float().cpu()

    tokens = [*asked, *said]
    engine.passed(tokens, engine.new_past(len(tokens)), record=record)
    return found


def _likelihood(engine: LocalEngine, ask: str, text: str, steering: Sequence[SteeringUse]) -> float:
    """The mean log-probability of a text's tokens in answer to a question; each is steered as if it were generated."""
    asked, said = _tokens(engine, ask, text)
    tokens = [*asked, *said[:-1]]
    rows = engine.passed(tokens, engine.new_past(len(tokens)), keep=len(said), steering=steering)
    likely = rows.float().log_softmax(-1)[torch.arange(len(said)), torch.tensor(said)]
    return float(likely.mean())


def _tokens(engine: LocalEngine, ask: str, text: str) -> tuple[list[int], list[int]]:
    asked = engine.prompt("", (), [Utterance("user", ask)]).tokens
    said = list(engine.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    if not said:
        raise InvalidInput("a text says nothing; pass one with words in it")
    return list(asked), said
