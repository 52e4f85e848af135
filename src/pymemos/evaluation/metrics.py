"""Metrics: what a ranking is worth when it is known which turns answer the question; pure functions.

A ranking is a sequence of passages, each the ids of the turns that it holds: one for a system that finds messages,
several for one that finds chunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec
import numpy as np

Ranking = Sequence[Collection[str]]

ROUNDS = 2000  # resamples of a bootstrap: the ends of a 95 % interval are then stable to about a tenth of its width
NDCG_RANKS = 10


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A mean, and between which ends it lies in 95 of 100 resamples."""

    mean: float
    low: float
    high: float


def recall_at(found: Ranking, evidence: Collection[str], k: int) -> float:
    """The share of the evidence that the first ``k`` passages hold."""
    return len(_held(found[:k]) & set(evidence)) / len(set(evidence))


def hit_at(found: Ranking, evidence: Collection[str], k: int) -> float:
    """Whether the first ``k`` passages hold any of the evidence."""
    return float(recall_at(found, evidence, k) > 0)


def all_at(found: Ranking, evidence: Collection[str], k: int) -> float:
    """Whether the first ``k`` passages hold the evidence whole."""
    return float(set(evidence) <= _held(found[:k]))


def ndcg_at(found: Ranking, evidence: Collection[str], k: int = NDCG_RANKS) -> float:
    """Normalised discounted cumulative gain: a rank gains 1 when it holds evidence that no rank before it held.

    The ideal ranking has one piece of evidence at each rank from the first on.
    """
    wanted, gain = set(evidence), 0.0
    ideal = sum(_discount(rank) for rank in range(min(len(wanted), k)))
    for rank, passage in enumerate(found[:k]):
        new = wanted & set(passage)
        gain += _discount(rank) if new else 0.0
        wanted -= new
    return gain / ideal


def recall_within(found: Ranking, costs: Sequence[int], evidence: Collection[str], budget: int) -> float:
    """The share of the evidence in a prompt of ``budget`` tokens.

    It is filled in rank order and ends with the first passage that does not fit; nothing behind that is let in.
    """
    return recall_at(found, evidence, fitting(costs, budget))


def fitting(costs: Iterable[int], budget: int) -> int:
    """How many passages fit into ``budget`` tokens, in rank order, up to the first that does not."""
    count = total = 0
    for cost in costs:
        total += cost
        if total > budget:
            break
        count += 1
    return count


def sessions_of(found: Ranking, session: Mapping[str, str]) -> list[tuple[str]]:
    """The ranking of sessions that a ranking of turns stands for: each at its first turn."""
    return [(id,) for id in dict.fromkeys(session[turn] for passage in found for turn in passage)]


def mean(values: Iterable[float]) -> float:
    """The mean; nan of nothing."""
    kept = list(values)
    return math.fsum(kept) / len(kept) if kept else math.nan


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the values lie, between two of them where need be; nan of nothing."""
    if not values:
        return math.nan
    ordered, place = sorted(values), share * (len(values) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def paired_bootstrap(
    ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0, rounds: int = ROUNDS
) -> Interval:
    """How much better ``ours`` is than ``theirs`` on the same questions, by resampling questions with replacement.

    Both must be in the same order. The same seed gives the same interval.
    """
    differences = np.subtract(ours, theirs, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(differences), (rounds, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), (0.025, 0.975))
    return Interval(mean=mean(differences.tolist()), low=float(low), high=float(high))


def score(
    found: Ranking, costs: Sequence[int], evidence: Collection[str], *, ranks: Iterable[int], budgets: Iterable[int]
) -> dict[str, float]:
    """Every metric of one question by name, such as ``recall@10`` and ``recall≤1000`` (tokens)."""
    by_rank: dict[str, Callable[[Ranking, Collection[str], int], float]] = {
        "recall": recall_at,
        "hit": hit_at,
        "all": all_at,
    }
    scores = {f"{name}@{k}": metric(found, evidence, k) for name, metric in by_rank.items() for k in ranks}
    scores[f"ndcg@{NDCG_RANKS}"] = ndcg_at(found, evidence)
    return scores | {f"recall≤{b}": recall_within(found, costs, evidence, b) for b in budgets}


def _held(passages: Iterable[Collection[str]]) -> set[str]:
    return {turn for passage in passages for turn in passage}


def _discount(rank: int) -> float:
    """What the passage at ``rank``, counted from 0, is worth."""
    return 1 / math.log2(rank + 2)
