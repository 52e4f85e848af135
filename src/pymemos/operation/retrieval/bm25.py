"""BM25 over the rows of a namespace, from the postings of a question's words and the lengths that are in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymemos.operation.retrieval.space import Snapshot
from pymemos.ports import TermWeights

if TYPE_CHECKING:
    from pymemos.ports import Floats


class WordScores(NamedTuple):
    """The score of every row of a space, and what it is made of: one entry for each row that holds a word."""

    terms: tuple[str, ...]
    values: Floats  # of every row
    rows: NDArray[np.int64]  # of each entry
    places: NDArray[np.int64]  # which of the terms, for each entry

    def words_in(self, row: int) -> tuple[str, ...]:
        """The terms that a row holds, in the order of the question."""
        return tuple(self.terms[place] for place in self.places[self.rows == row].tolist())


def word_scores(
    snapshot: Snapshot, terms: Sequence[str], postings: Sequence[Sequence[int]], weights: TermWeights
) -> WordScores:
    """Score the rows that hold ``terms``, by ``postings`` as a unit gives them.

    A row is as long as those of its columns that count.
    """
    count = len(snapshot.columns.key)
    found = np.array([place for posting in postings for place in posting], np.int64)
    if not len(found):
        return WordScores(tuple(terms), np.zeros(count, np.float32), found, found)
    term = np.repeat(np.arange(len(postings)), [len(posting) for posting in postings])
    rows, frequency, term = _frequencies(snapshot, found, term, weights)
    holding = np.bincount(term, minlength=len(postings))
    rarity = np.log1p((len(snapshot.turns.rows) - holding + 0.5) / (holding + 0.5)) * (weights.k1 + 1)
    lengths = snapshot.columns.row_terms if weights.context else snapshot.columns.terms
    mean = (snapshot.turns.mean_row_terms if weights.context else snapshot.turns.mean_terms) or 1.0
    damping = weights.k1 * (1 - weights.b + weights.b / mean * lengths[rows])
    values = np.bincount(rows, rarity[term] * frequency / (frequency + damping), count)
    return WordScores(tuple(terms), values.astype(np.float32), rows, term)


def _frequencies(
    snapshot: Snapshot, found: NDArray[np.int64], term: NDArray[np.int64], weights: TermWeights
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """The row, weighted frequency and term of each entry; the occurrences of a term in a row stand side by side."""
    keys = found >> 2
    first = np.empty(len(found), np.bool_)
    first[0] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    first[1:] |= term[1:] != term[:-1]
    starts = np.flatnonzero(first)
    shares = np.array((weights.terms, weights.context, weights.facets))
    frequency = np.add.reduceat(shares[found & 3], starts)
    rows, here = snapshot.turns.rows_of(keys[starts])
    here &= frequency > 0  # a column without weight holds nothing
    if here.all():
        return rows, frequency, term[starts]
    return rows[here], frequency[here], term[starts][here]
