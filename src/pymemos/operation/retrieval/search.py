"""The search: a plan for the question, signals for every row, their weighted sum, and the best of them explained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymemos.cube.call import Hit, Signal, Why
from pymemos.cube.filters import microseconds
from pymemos.infrastructure import analysis
from pymemos.operation.retrieval.question import Found, Question
from pymemos.operation.retrieval.routing import Plan, plan
from pymemos.operation.retrieval.signals import SIGNALS, Evidence, evidence
from pymemos.operation.retrieval.space import Kind, Snapshot, Spaces
from pymemos.operation.retrieval.words import WEIGHTS
from pymemos.ports import Embedder, ReadUnit, Scores

if TYPE_CHECKING:
    from pymemos.ports import Floats


class _Candidate(NamedTuple):
    """One of the best rows of a namespace."""

    score: float
    key: int
    why: Why


class Search:
    """Searches what is current, with what it keeps in memory; one for a store, for any number of threads."""

    def __init__(self, embedder: Embedder | None, *, cache_bytes: int) -> None:
        self._embedder = embedder
        self._spaces = Spaces(cache_bytes)

    def search(self, unit: ReadUnit, question: Question, namespaces: Iterable[str]) -> Found:
        """The memories of these namespaces that answer the question best, as the unit sees them."""
        best: list[_Candidate] = []
        terms: dict[str, None] = {}
        reasons: dict[str, None] = {}
        vectors: dict[str, Floats] = {}  # the same question without the names of other people is another text
        for namespace in namespaces:
            snapshot = self._snapshot(unit, namespace)
            if snapshot is None:
                continue
            by_meaning = self._embedder is not None and len(snapshot.part_rows) > 0
            made = plan(question.text, snapshot.speakers, now=question.now, by_meaning=by_meaning)
            found, words = self._words(unit, question, made, namespace)
            if by_meaning and made.meaning not in vectors:
                vectors[made.meaning] = self._embedded(made.meaning)
            seen = evidence(snapshot, made, found, vectors.get(made.meaning))
            best += _best(unit, question, seen, found, words)
            terms |= dict.fromkeys(words)
            reasons |= dict.fromkeys(made.reasons)
        best = sorted(best, key=lambda one: (-one.score, one.key))[: question.limit]
        records = unit.keyed([one.key for one in best])
        hits = [
            Hit(cube=record.cube, score=_logistic(one.score), why=one.why)
            for one, record in zip(best, records, strict=True)
        ]
        return Found(hits, tuple(terms), tuple(reasons))

    def _snapshot(self, unit: ReadUnit, namespace: str) -> Snapshot | None:
        embedder = self._embedder
        if embedder is None:
            return self._spaces.snapshot(unit, namespace, None, 0)
        return self._spaces.snapshot(unit, namespace, embedder.identity, embedder.dimensions)

    def _embedded(self, text: str) -> Floats:
        assert self._embedder is not None  # noqa: S101 (the caller asked)
        vector: Floats = self._embedder.embed([text], queries=True)[0]
        return vector

    def _words(self, unit: ReadUnit, question: Question, made: Plan, namespace: str) -> tuple[Scores, tuple[str, ...]]:
        """The scores of the question's words; the names of people count only where nothing else is found."""
        words = analysis.query_terms(made.words, question.languages) if made.words else ()
        found = unit.scores(words, namespace, weights=WEIGHTS)
        if found.keys or made.words == question.text:
            return found, words
        words = analysis.query_terms(question.text, question.languages)
        return unit.scores(words, namespace, weights=WEIGHTS), words


def _best(unit: ReadUnit, question: Question, seen: Evidence, found: Scores, words: Sequence[str]) -> list[_Candidate]:
    """The best rows of one namespace, of those that have anything to do with the question."""
    columns = seen.snapshot.columns
    allowed = _admitted(unit, question, seen) & ((seen.words > 0) | (seen.cosine > 0))
    rows = np.flatnonzero(allowed)
    if not len(rows):
        return []
    values = {name: kind.values(seen) for name, kind in SIGNALS.items() if _counts(name, seen.plan)}
    table = {name: _weights(name, seen) for name in values}
    total = np.zeros(len(rows), np.float32)
    for name, value in values.items():
        total += table[name][rows] * value[rows]
    order = _top(total, columns.key[rows], question.limit)
    bits = dict(zip(found.keys, found.words, strict=True))
    return [
        _Candidate(
            float(total[place]),
            int(columns.key[row]),
            _why(
                {name: (float(value[row]), float(table[name][row])) for name, value in values.items()},
                [word for n, word in enumerate(words) if bits.get(int(columns.key[row]), 0) >> n & 1],
            ),
        )
        for place in order
        for row in (rows[place],)
    ]


def _top(total: Floats, keys: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """The places of the greatest values, in order; equal ones in the order of writing."""
    best = np.argpartition(-total, limit)[:limit] if limit < len(total) else np.arange(len(total))
    return best[np.lexsort((keys[best], -total[best]))]


def _admitted(unit: ReadUnit, question: Question, seen: Evidence) -> NDArray[np.bool_]:
    """Which rows the selection lets be seen: by columns in the usual case, else by the store's own reading of it."""
    selection, columns = question.selection, seen.snapshot.columns
    allowed = seen.snapshot.seen
    if selection.ended_before is not None:
        allowed = allowed & (columns.ends > microseconds(selection.ended_before))
    if (selection.agent, selection.session, selection.where) == (None, None, None):
        return allowed
    rows, here = seen.snapshot.turns.rows_of(unit.keys(selection))
    chosen = np.zeros_like(allowed)
    chosen[rows[here]] = True
    return allowed & chosen


def _counts(name: str, made: Plan) -> bool:
    return any(own.get(name) for own in made.weights.values())


def _weights(name: str, seen: Evidence) -> Floats:
    """The weight of a signal for each row, by its kind."""
    by_kind = np.array([seen.plan.weights[kind].get(name, 0.0) for kind in Kind], np.float32)
    return by_kind[seen.snapshot.columns.kind]


def _why(entered: dict[str, tuple[float, float]], words: Sequence[str]) -> Why:
    """The signals that moved the score, the strongest first."""
    moved = [(name, value, weight) for name, (value, weight) in entered.items() if value * weight]
    moved.sort(key=lambda one: -abs(one[1] * one[2]))
    return Why(
        Signal(
            name,
            round(value, 4),
            round(weight, 4),
            f"BM25: {', '.join(words)}" if name == "words" else SIGNALS[name].reason,
        )
        for name, value, weight in moved
    )


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-max(min(x / 4, 30.0), -30.0)))
