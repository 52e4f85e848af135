"""The searcher of a store: chooses how to look, and loads numpy when it is first asked (5.4.1)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pymemos.cube.call import Selection
from pymemos.cube.header import LIVE
from pymemos.infrastructure import analysis
from pymemos.operation.retrieval.question import Found, Question, Vectors
from pymemos.operation.retrieval.words import search_words
from pymemos.ports import Embedder, ReadUnit

if TYPE_CHECKING:
    from pymemos.operation.retrieval.search import Search


class Searcher:
    """Looks for the memories that answer a question; one for a store, for any number of threads."""

    def __init__(self, embedder: Embedder | None, *, cache_bytes: int) -> None:
        self._embedder = embedder
        self._cache_bytes = cache_bytes

    def search(self, unit: ReadUnit, question: Question, vectors: Vectors | None = None) -> Found:
        """The memories that answer the question best, as the unit sees them.

        ``vectors`` keeps those of the question from one look to the next, where a call looks several times.
        A look back in time, or at what is archived, frozen or expired, goes by words alone: what is kept in memory is
        what is current and at hand.
        """
        selection = question.selection
        reason = by_words(selection)
        if reason is not None:
            return _by_words(unit, question, reason)
        named = selection.namespaces
        namespaces = [space.name for space in unit.namespaces()] if named is None else dict.fromkeys(named)
        return self._current.search(unit, question, namespaces, vectors)

    def forked(self) -> Searcher:
        """A searcher for the units of one overlay: what it keeps in memory begins with what this one does."""
        return _Forked(self)

    @cached_property
    def _current(self) -> Search:
        from pymemos.operation.retrieval.search import Search

        return Search(self._embedder, cache_bytes=self._cache_bytes)


class _Forked(Searcher):
    """The origin is forked when it is first needed: then numpy is, too."""

    def __init__(self, origin: Searcher) -> None:
        super().__init__(origin._embedder, cache_bytes=origin._cache_bytes)
        self._origin = origin

    @cached_property
    def _current(self) -> Search:
        return self._origin._current.forked()


def by_words(selection: Selection) -> str | None:
    """Why such a search goes by words alone; None where it goes by what is kept in memory."""
    if selection.valid_at is not None or selection.known_at is not None:
        return "it looks back in time"
    return "it looks into the vault" if selection.stages not in (None, LIVE) else None


def _by_words(unit: ReadUnit, question: Question, reason: str) -> Found:
    terms = analysis.query_terms(question.text, question.languages)
    hits = search_words(unit, terms, question.selection, limit=question.limit)
    return Found(hits, terms, (f"{reason}: by words alone",))
