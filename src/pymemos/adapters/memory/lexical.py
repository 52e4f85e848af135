"""BM25 over weighted columns, written out term by term."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import msgspec

from pymemos.ports import Column, TermWeights, TextRow


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What BM25 knows of one namespace: its current full-text rows and no others, not even matched history."""

    memories: int
    words: int
    holding: dict[str, int]  # term of the query → current rows that hold it in any column

    @property
    def mean(self) -> float:
        """The mean length of a row; 1.0 where there are no rows, or none that holds a word."""
        return self.words / self.memories if self.words else 1.0


def distinct(terms: Sequence[str]) -> tuple[str, ...]:
    """The terms of a query, each once, in the order of their first use."""
    return tuple(dict.fromkeys(terms))


def statistics(rows: Sequence[TextRow], terms: Sequence[str]) -> Statistics:
    """The statistics of a namespace with these current rows, as far as ``terms`` need them."""
    holding = {term: sum(holds(row, term) for row in rows) for term in terms}
    return Statistics(memories=len(rows), words=sum(row.length for row in rows), holding=holding)


def holds(row: TextRow, term: str) -> bool:
    """Whether the row has the term in any column."""
    return term in row.terms or term in row.context or term in row.facets


def columns_of(row: TextRow, term: str) -> list[Column]:
    """The column of every occurrence of the term in the row."""
    columns = {Column.TERMS: row.terms, Column.CONTEXT: row.context, Column.FACETS: row.facets}
    return [column for column, terms in columns.items() for _ in range(terms.count(term))]


def bm25(row: TextRow, terms: Sequence[str], seen: Statistics, weights: TermWeights) -> float:
    """The score of one row: the sum over the distinct terms of inverse document frequency times saturated frequency."""
    norm = weights.k1 * (1 - weights.b + weights.b * row.length / seen.mean)
    score = 0.0
    for term in terms:
        frequency = _frequency(row, term, weights)
        if frequency:
            found = seen.holding[term]
            rarity = log(1 + (seen.memories - found + 0.5) / (found + 0.5))
            score += rarity * frequency * (weights.k1 + 1) / (frequency + norm)
    return score


def _frequency(row: TextRow, term: str, weights: TermWeights) -> float:
    return (
        weights.terms * row.terms.count(term)
        + weights.context * row.context.count(term)
        + weights.facets * row.facets.count(term)
    )
