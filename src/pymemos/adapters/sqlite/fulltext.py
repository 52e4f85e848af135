"""The full-text rows of current memories: written with what totals they move, and indexed some at a time.

A transaction of one row costs the index a segment of its own, which is later merged: 0.07 ms of an add of 0.6 ms. So
rows of new memories wait until they are some, and a search reads those that wait where they lie (ADR 0045). Waiting is
everything above a number that the settings keep; nothing else knows of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import apsw

from pymemos.adapters.sqlite import terms
from pymemos.adapters.sqlite.queries import QUERIES
from pymemos.adapters.sqlite.recent import Recent
from pymemos.ports import TextRow

LONG: Final = 4_000  # characters of the rows of a unit, beyond which none wait: each search would read them
COLUMNS: Final = ("terms", "context", "facets")

Row = tuple[int, str, str, str]  # memory, and the columns as they are stored


class New(NamedTuple):
    """The text of a memory that had none in the store."""

    mem: int
    ns: int
    text: TextRow
    ends: int | None


class FullText:
    """The rows, inside the writer's transaction."""

    def __init__(self, connection: apsw.Connection, recent: Recent) -> None:
        self._connection, self._recent = connection, recent

    def insert_all(self, texts: Iterable[New], last: int) -> None:
        """Add rows of new memories, the newest of which is ``last``, in the order of their numbers."""
        facets: dict[tuple[int, tuple[str, ...]], str] = {}  # most turns have the same
        before: tuple[int, tuple[str, ...], str] = (0, (), "")  # a turn's terms come again as the context of the next
        rows: list[tuple[Any, ...]] = []
        indexed: list[Row] = []
        totals: dict[int, tuple[int, int]] = {}
        size = 0
        for mem, ns, text, ends in texts:
            again = text.context is before[1] and ns == before[0]
            context = before[2] if again else terms.column(ns, text.context)
            before = ns, text.terms, terms.column(ns, text.terms)
            facet = facets.get(place := (ns, text.facets))
            if facet is None:
                facet = facets[place] = terms.column(*place)
            length = text.length
            rows.append((mem, text.context_of, ends, length, before[2], context, facet))
            indexed.append((mem, before[2], context, facet))
            size += len(before[2]) + len(context) + len(facet)
            memories, words = totals.get(ns, (0, 0))
            totals[ns] = (memories + 1, words + length)
        if size > LONG or last - self._indexed_to() >= self._recent.waiting:
            self._index([*self._waiting(), *indexed], last)
        self._connection.executemany(QUERIES["insert_text"], rows)
        for ns, (memories, words) in totals.items():
            self._add_totals(ns, memories, words)

    def write(self, mem: int, ns: int, text: TextRow, *, ends: int | None) -> None:
        """Add the row of a memory that has none."""
        stored = [terms.column(ns, part) for part in (text.terms, text.context, text.facets)]
        self._connection.execute(QUERIES["insert_text"], (mem, text.context_of, ends, text.length, *stored))
        self._add_totals(ns, 1, text.length)
        if mem <= self._indexed_to():
            self._connection.execute(QUERIES["index_text"], (mem, *stored))
        elif sum(map(len, stored)) > LONG or mem - self._indexed_to() >= self._recent.waiting:
            self.index_waiting()

    def unwrite(self, mem: int, ns: int, *, keep_as: int | None) -> None:
        """Take a row out, and keep it in the history as that of a revision, if one is given."""
        row = self._connection.execute(QUERIES["stored_text"], {"mem": mem}).fetchone()
        if row is None:
            return
        context_of, length, *columns = row
        if mem <= self._indexed_to():
            self._connection.execute(QUERIES["unindex_text"], (mem, *columns))
        self._connection.execute(QUERIES["delete_text"], {"mem": mem})
        self._add_totals(ns, -1, -length)
        if keep_as is not None:
            self._connection.execute(QUERIES["insert_old_text"], (mem, keep_as, context_of, length, *columns))
            self._connection.execute(QUERIES["index_old_text"], (self._connection.last_insert_rowid(), *columns))

    def index_waiting(self) -> None:
        """Let nothing wait."""
        rows = self._waiting()
        if rows:
            self._index(rows, rows[-1][0])

    def _waiting(self) -> list[Row]:
        rows: list[Any] = self._connection.execute(QUERIES["waiting_texts"]).fetchall()
        return rows

    def _index(self, rows: Sequence[Row], last: int) -> None:
        self._connection.executemany(QUERIES["index_text"], rows)
        self._connection.execute(QUERIES["set_indexed_to"], (last,))
        self._recent.indexed_to = last

    def _indexed_to(self) -> int:
        if self._recent.indexed_to is None:
            self._recent.indexed_to = int(self._connection.execute(QUERIES["indexed_to"]).get)
        return self._recent.indexed_to

    def _add_totals(self, ns: int, memories: int, words: int) -> None:
        self._connection.execute(QUERIES["add_totals"], {"ns": ns, "memories": memories, "words": words})
        self._recent.add_totals(ns, memories, words)


class Waiting:
    """The rows of a namespace that the index does not have yet, for one search."""

    def __init__(self, connection: apsw.Connection, ns: int) -> None:
        rows: list[Any] = connection.execute(QUERIES["waiting_of"], (ns,)).fetchall()
        self._counts = [
            (mem, name, Counter(column.split(" ")))
            for mem, *columns in rows
            for name, column in zip(COLUMNS, columns, strict=True)
            if column
        ]

    def places(self, term: str) -> Iterator[tuple[int, str]]:
        """Memory and column of every occurrence of a qualified term, as the index would tell them."""
        for mem, name, counts in self._counts:
            for _ in range(counts[term]):
                yield mem, name
