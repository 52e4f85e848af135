"""The search: a plan for the question, signals for every row, their weighted sum, and the best of them explained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from pymemos.cube.call import Hit, Selection, Signal, Why
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import microseconds
from pymemos.errors import EmbedderFailed
from pymemos.infrastructure import analysis
from pymemos.operation.retrieval.bm25 import WordScores, word_scores
from pymemos.operation.retrieval.forks import Forks
from pymemos.operation.retrieval.question import Found, Question, Vectors
from pymemos.operation.retrieval.rescoring import Exact, rescored
from pymemos.operation.retrieval.routing import Plan, plan
from pymemos.operation.retrieval.scoring import Scores, scored
from pymemos.operation.retrieval.signals import SIGNALS, Evidence, evidence
from pymemos.operation.retrieval.space import Columns, Snapshot, Spaces, View
from pymemos.operation.retrieval.vectors import COARSE_ABOVE
from pymemos.operation.retrieval.words import CHAT_WEIGHTS, WEIGHTS
from pymemos.operation.timewords import may_name_a_talk
from pymemos.ports import Embedder, ReadUnit

if TYPE_CHECKING:
    from pymemos.ports import Floats


class _Candidate(NamedTuple):
    """One of the best rows of a namespace, with the value and weight of each signal and the words that it shares."""

    score: float
    key: int
    entered: tuple[tuple[str, float, float], ...]
    words: tuple[str, ...]

    def why(self) -> Why:
        """The signals that moved the score, the strongest first."""
        moved = [entry for entry in self.entered if entry[1] * entry[2]]
        moved.sort(key=lambda one: -abs(one[1] * one[2]))
        return Why(Signal(name, round(value, 4), round(weight, 4), self._detail(name)) for name, value, weight in moved)

    def _detail(self, name: str) -> str:
        return f"BM25: {', '.join(self.words)}" if name == "words" else SIGNALS[name].reason


class _Look(NamedTuple):
    """What a look at one namespace gave."""

    best: list[_Candidate]
    words: tuple[str, ...]
    reasons: tuple[str, ...]


class Search:
    """Searches what is current, with what it keeps in memory; one for a store, for any number of threads."""

    def __init__(self, embedder: Embedder | None, *, cache_bytes: int, coarse_above: int | None = COARSE_ABOVE) -> None:
        self._embedder = embedder
        self._spaces = Spaces(cache_bytes, coarse_above=coarse_above)

    def forked(self) -> Search:
        """A search for the units of one overlay."""
        fork = copy(self)
        fork._spaces = Forks(self._spaces)
        return fork

    def search(
        self, unit: ReadUnit, question: Question, namespaces: Iterable[str], vectors: Vectors | None = None
    ) -> Found:
        """The memories of these namespaces that answer the question best, as the unit sees them."""
        meanings = _Meanings(self._embedder, {} if vectors is None else vectors)
        looks = [
            _look(unit, question, namespace, snapshot, meanings)
            for namespace in namespaces
            if (snapshot := self._snapshot(unit, namespace, question.selection)) is not None
        ]
        candidates = sorted((one for look in looks for one in look.best), key=lambda one: (-one.score, one.key))
        best = candidates[: question.limit]
        hits = [Hit(cube=cube, score=_logistic(one.score), why=one.why()) for one, cube in _fetched(unit, best)]
        terms = tuple(dict.fromkeys(word for look in looks for word in look.words))
        return Found(hits, terms, tuple(dict.fromkeys(reason for look in looks for reason in look.reasons)))

    def _snapshot(self, unit: ReadUnit, namespace: str, selection: Selection) -> Snapshot | None:
        here = msgspec.structs.replace(selection, namespaces=(namespace,))
        view = View(selection.rule_of(namespace), tuple(unit.hidden(here)))
        embedder = self._embedder
        if embedder is None:
            return self._spaces.snapshot(unit, namespace, None, 0, view)
        return self._spaces.snapshot(unit, namespace, embedder.identity, embedder.dimensions, view)


def _fetched(unit: ReadUnit, best: Sequence[_Candidate]) -> Iterable[tuple[_Candidate, MemCube]]:
    """The memories; one that was erased since it was read into memory, as a what-if may have it, is left out."""
    cubes = unit.cubes([one.key for one in best])
    if len(cubes) == len(best):
        return zip(best, cubes, strict=True)
    return [(one, cube) for one in best for cube in unit.cubes([one.key])]


class _Meanings:
    """The vectors of one question, which is another text in each namespace: without the names of the people there."""

    def __init__(self, embedder: Embedder | None, vectors: Vectors) -> None:
        self._embedder = embedder
        self.embedder = embedder.identity if embedder is not None else ""
        self._vectors = vectors

    def of(self, text: str) -> Floats | None:
        """The vector; None where there is no embedder, or where it fails."""
        if text not in self._vectors:
            self._vectors[text] = self._embedded(text)
        return self._vectors[text]

    def _embedded(self, text: str) -> Floats | None:
        if self._embedder is None:
            return None
        try:
            vector: Floats = self._embedder.embed([text], queries=True)[0]
        except EmbedderFailed:
            return None
        return vector


def _look(unit: ReadUnit, question: Question, namespace: str, snapshot: Snapshot, meanings: _Meanings) -> _Look:
    """What one namespace has to say."""
    made = _planned(question, snapshot, by_meaning=len(snapshot.parts) > 0)
    reasons = made.reasons
    vector = meanings.of(made.meaning) if len(snapshot.parts) else None
    if vector is None and len(snapshot.parts):
        made = _planned(question, snapshot, by_meaning=False)
        reasons = (*made.reasons, "the embedder failed: by words alone")
    found = _words(unit, question, made, namespace, snapshot)
    seen = evidence(snapshot, made, found, vector)
    admitted = _admitted(unit, question, namespace, seen)
    left_out = int(np.count_nonzero(snapshot.seen) - np.count_nonzero(admitted))
    if left_out:
        reasons = (
            *reasons,
            f"{left_out:,} memories are left out by scope, filter or the end of their validity",
        )
    if not meanings.embedder:
        reasons = (*reasons, "no embedder is used: by words alone")
    elif lacking := snapshot.without_vectors(admitted):
        reasons = (*reasons, f"{lacking:,} memories have no vectors yet; 'pymemos reembed' makes them")
    scores = scored(seen, np.flatnonzero(admitted))
    if vector is not None and seen.error:
        scores = rescored(Exact(unit, namespace, meanings.embedder, vector), seen, scores, question.limit)
    return _Look(_best(scores, snapshot.columns, found, question.limit), found.terms, reasons)


def _planned(question: Question, snapshot: Snapshot, *, by_meaning: bool) -> Plan:
    """The plan for what the namespace holds; its conversations are listed where the question may name one."""
    return plan(
        question.text,
        snapshot.speakers,
        now=question.now,
        by_meaning=by_meaning,
        talks=snapshot.talks(question.now) if may_name_a_talk(question.text) else (),
        known_days=snapshot.known_days,
    )


def _words(unit: ReadUnit, question: Question, made: Plan, namespace: str, snapshot: Snapshot) -> WordScores:
    """The scores of the question's words; the names of people count only where nothing else is found."""
    weights = WEIGHTS if snapshot.speakers else CHAT_WEIGHTS
    if not snapshot.whole:  # the turn before may be one that is left out
        weights = msgspec.structs.replace(weights, context=0.0)
    languages = tuple(dict.fromkeys([*question.languages, *snapshot.languages]))
    for text in dict.fromkeys(filter(None, (made.words, question.text))):
        terms = tuple(dict.fromkeys(analysis.query_terms(text, languages)))
        found = word_scores(snapshot, terms, unit.postings(terms, namespace), weights)
        if len(found.rows):
            break
    return found


def _best(scores: Scores, columns: Columns, found: WordScores, limit: int) -> list[_Candidate]:
    """The best of the rows that were scored."""
    keys = columns.key[scores.rows]
    top = _top(scores.total, keys, limit)
    rows = scores.rows[top]
    values = zip(*(signal[rows].tolist() for signal in scores.signals.values()), strict=True)
    weights = zip(*(_of_each(weight, top) for weight in scores.weights.values()), strict=True)
    return [
        _Candidate(score, key, tuple(zip(scores.signals, value, weight, strict=True)), found.words_in(row))
        for score, key, row, value, weight in zip(
            scores.total[top].tolist(), keys[top].tolist(), rows.tolist(), values, weights, strict=True
        )
    ]


def _of_each(weight: Floats, rows: NDArray[np.int64]) -> list[float]:
    weights: list[float] = weight[rows].tolist() if weight.ndim else [float(weight)] * len(rows)
    return weights


def _top(total: Floats, keys: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """The places of the greatest values, in order; equal ones in the order of writing."""
    best = np.argpartition(-total, limit)[:limit] if limit < len(total) else np.arange(len(total))
    return best[np.lexsort((keys[best], -total[best]))]


def _admitted(unit: ReadUnit, question: Question, namespace: str, seen: Evidence) -> NDArray[np.bool_]:
    """Which rows the selection lets be seen: by columns in the usual case, else by the store's own reading of it.

    What access rules leave out is not in the snapshot to begin with.
    """
    selection, columns = question.selection, seen.snapshot.columns
    allowed = seen.snapshot.seen
    if selection.ended_before is not None:
        allowed = allowed & (columns.ends > microseconds(selection.ended_before))
    if (selection.agent, selection.session, selection.where) == (None, None, None):
        return allowed
    here_alone = msgspec.structs.replace(selection, namespaces=(namespace,), rules=(), reach=None)
    rows, here = seen.snapshot.turns.rows_of(unit.keys(here_alone))
    chosen = np.zeros_like(allowed)
    chosen[rows[here]] = True
    return allowed & chosen


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-max(min(x / 4, 30.0), -30.0)))
