"""Scoring: the weighted sum of the signals of some rows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymemos.operation.retrieval.routing import Plan
from pymemos.operation.retrieval.signals import SIGNALS, Evidence
from pymemos.operation.retrieval.space import Kind

if TYPE_CHECKING:
    from pymemos.ports import Floats

NONE_KNOWN: Mapping[str, Floats] = MappingProxyType({})


class Scores(NamedTuple):
    """The scores of some rows, and what they are made of."""

    rows: NDArray[np.int64]
    signals: dict[str, Floats]  # of every row of the space
    weights: dict[str, Floats]  # one for all of ``rows``, or one for each
    total: Floats  # of each of ``rows``


def scored(seen: Evidence, rows: NDArray[np.int64], known: Mapping[str, Floats] = NONE_KNOWN) -> Scores:
    """Score those of ``rows`` that have, or may have, to do with the question; ``known`` signals stay as they are."""
    rows = rows[(seen.words[rows] > 0) | (seen.cosine[rows] > -seen.error)]
    weights = _weights(seen.plan, seen.snapshot.columns.kind[rows])
    signals = {name: known[name] if name in known else SIGNALS[name].values(seen) for name in weights}
    total = np.zeros(len(rows), np.float32)
    for name, weight in weights.items():
        total += weight * signals[name][rows]
    return Scores(rows, signals, weights, total)


def _weights(made: Plan, kinds: NDArray[np.int8]) -> dict[str, Floats]:
    """The weights of each signal, of those that count for a kind that is there: one, or one for each row."""
    present = [Kind(place) for place in np.flatnonzero(np.bincount(kinds)).tolist()]
    if len(present) == 1:
        return {name: np.array(weight, np.float32) for name, weight in made.weights[present[0]].items() if weight}
    names = [name for name in SIGNALS if any(made.weights[kind].get(name) for kind in present)]
    return {name: np.array([made.weights[kind].get(name, 0.0) for kind in Kind], np.float32)[kinds] for name in names}
