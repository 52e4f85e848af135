"""Rescoring: what coarse vectors leave open is looked up, so that the best rows and their scores are the exact ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymemos.operation.retrieval.scoring import Scores, scored
from pymemos.operation.retrieval.signals import SIGNALS, Evidence, around, likeness
from pymemos.ports import ReadUnit

if TYPE_CHECKING:
    from pymemos.ports import Floats

MOST = 1_000  # rows; so many are this close only where texts are all but the same


class Exact(NamedTuple):
    """Where the vectors of a namespace are, and what they are compared with."""

    unit: ReadUnit
    namespace: str
    embedder: str
    vector: Floats  # of the question

    def evidence(self, seen: Evidence, rows: NDArray[np.int64]) -> Evidence:
        """``seen`` with the exact likeness of some rows."""
        keys = seen.snapshot.columns.key[rows]
        held = self.unit.vectors_by_key(self.namespace, keys.tolist(), self.embedder)
        cosine, best = seen.cosine.copy(), seen.best.copy()
        if held:
            vectors = np.frombuffer(b"".join(values for _, values in held), np.float32).reshape(len(held), -1)
            cosines = vectors @ self.vector
            found, starts = np.unique(np.array([key for key, _ in held]), return_index=True)
            by_key = np.argsort(keys)
            places = rows[by_key[np.searchsorted(keys, found, sorter=by_key)]]
            best[places] = np.maximum.reduceat(cosines, starts)
            cosine[places] = likeness(cosines[starts], best[places])
        return seen._replace(cosine=cosine, best=best, error=0.0)


def rescored(exact: Exact, seen: Evidence, scores: Scores, limit: int) -> Scores:
    """Those rows that may be among the ``limit`` best, by their own vectors and those of the turns around them."""
    reaches = {name: reach for name in scores.weights if (reach := SIGNALS[name].reach) is not None}
    slack = np.zeros_like(scores.total)
    for name in reaches:
        slack += seen.error * abs(scores.weights[name])
    sure = (seen.words[scores.rows] > 0) | (seen.cosine[scores.rows] > seen.error)
    rows = scores.rows[contenders(scores.total, slack, sure, limit)]
    known = {name: values for name, values in scores.signals.items() if name not in reaches}
    seen = exact.evidence(seen, around(seen.snapshot, rows, max(reaches.values(), default=0)))
    return scored(seen, rows, known)


def contenders(total: Floats, slack: Floats, sure: NDArray[np.bool_], limit: int) -> NDArray[np.int64]:
    """The places of the totals that may be among the ``limit`` best, where each may be off by its ``slack``.

    Those that are not ``sure`` to count at all keep nobody out.
    """
    least = np.where(sure, total - slack, -np.inf)
    floor = np.partition(least, -limit)[-limit] if len(least) > limit else -np.inf
    places = np.flatnonzero(total + slack >= floor)
    if len(places) <= MOST:
        return places
    return np.sort(places[np.argpartition(-total[places], MOST)[:MOST]])
