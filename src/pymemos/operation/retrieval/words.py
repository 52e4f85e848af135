"""Search by words alone, for looks back in time, and the weights of the full-text columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pymemos.cube.call import Hit, Selection, Signal, Why
from pymemos.ports import Match, ReadUnit, TermWeights

# BM25 as usual. Between people the words of the turn before count half: they are about this turn in part. In a chat
# they do not count, for an answer repeats what it needs of the question.
WEIGHTS = TermWeights(k1=1.2, b=0.75, terms=1.0, context=0.5, facets=1.0)
CHAT_WEIGHTS = TermWeights(k1=1.2, b=0.75, terms=1.0, context=0.0, facets=0.0)


def search_words(unit: ReadUnit, terms: Sequence[str], selection: Selection, *, limit: int) -> list[Hit]:
    """The best ``limit`` memories for the query's ``terms``, best first."""
    if not terms:
        return []
    return fuse(unit.match(terms, selection, limit=limit, weights=WEIGHTS))


def fuse(matches: Sequence[Match]) -> list[Hit]:
    """Score candidates by the logistic of their signals' sum, each signal in standard deviations from its mean."""
    scores = [match.score for match in matches]
    return [
        Hit(cube=match.record.cube, score=_logistic(z), why=Why((_words_signal(match, z),)))
        for match, z in zip(matches, _standard(scores), strict=True)
    ]


def _words_signal(match: Match, z: float) -> Signal:
    return Signal("words", round(z, 4), 1.0, f"BM25 {match.score:.2f}: {', '.join(match.words)}")


def _standard(values: Sequence[float]) -> list[float]:
    """``values`` in standard deviations from their mean; all zero when they are equal."""
    mean = math.fsum(values) / len(values) if values else 0.0
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)) if values else 0.0
    return [(value - mean) / spread if spread > 1e-9 else 0.0 for value in values]


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
