"""BM25 over the postings of the full-text index: read each posting once, score in memory.

The index's vocabulary gives the row and column of every occurrence of a qualified term; the number of rows is the
document frequency. Scoring in SQL was measured slower by half: it sorts every posting twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import chain
from typing import Any, NamedTuple

import apsw
import msgspec

from pymemos.adapters.sqlite.fulltext import COLUMNS, Waiting
from pymemos.adapters.sqlite.selection import Look, Parameters, conditions, eligible, is_current, needs_version
from pymemos.adapters.sqlite.terms import qualify
from pymemos.cube.call import Selection
from pymemos.cube.filters import microseconds
from pymemos.ports import TermWeights

_PLACES = {
    "texts": "SELECT doc, col FROM texts_places WHERE term = ?",
    "old_texts": "SELECT doc, col FROM old_texts_places WHERE term = ?",
}
# The index still has rows of what was erased until they are scrubbed; they count nowhere.
_SCRUBBING = "SELECT EXISTS (SELECT 1 FROM scrubs WHERE place IN ('texts', 'old_texts') AND row IS NOT NULL)"
_NOT_ERASED = {
    name: f" AND doc NOT IN (SELECT row FROM scrubs WHERE place = '{name}' AND row IS NOT NULL)" for name in _PLACES
}

# How many words a row has, with those of the turn before, and without them: these may be out of reach.
_LENGTH = "t.length"
_OWN_LENGTH = """t.length - CASE t.context
    WHEN '' THEN 0 ELSE 1 + length(t.context) - length(replace(t.context, ' ', '')) END"""

# Which of the found rows may be seen, as (row of the index, memory, revision, length).
_SEEN_TEXTS = """
SELECT t.mem, t.mem, 0, t.length
FROM json_each(:rows) AS r CROSS JOIN texts AS t ON t.mem = r.value
WHERE :ended IS NULL OR t.ends IS NULL OR t.ends > :ended"""
_SEEN_CURRENT = """
SELECT t.mem, t.mem, 0, {length}
FROM json_each(:rows) AS r CROSS JOIN texts AS t ON t.mem = r.value CROSS JOIN memories AS v ON v.mem = t.mem
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions}"""
_SEEN_THEN = """
WITH eligible AS MATERIALIZED ({eligible})
SELECT t.mem, t.mem, v.revision, {length}
FROM json_each(:rows) AS r CROSS JOIN texts AS t ON t.mem = r.value CROSS JOIN memories AS v ON v.mem = t.mem
JOIN eligible AS e ON e.mem = v.mem AND e.revision = v.revision
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions}"""
_SEEN_OLD = """
WITH eligible AS MATERIALIZED ({eligible})
SELECT t.text, t.mem, t.revision, {length}
FROM json_each(:rows) AS r CROSS JOIN old_texts AS t ON t.text = r.value
JOIN eligible AS e ON e.mem = t.mem AND e.revision = t.revision
CROSS JOIN versions AS v ON v.mem = t.mem AND v.revision = t.revision
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions}"""

_POSTINGS = """
SELECT (
    SELECT json_group_array(doc * 4 + CASE col WHEN 'terms' THEN 0 WHEN 'context' THEN 1 ELSE 2 END)
    FROM texts_places WHERE term = wanted.value{not_erased}
)
FROM json_each(:terms) AS wanted ORDER BY wanted.key"""
_NUMBERS = msgspec.json.Decoder(list[int])

Seen = tuple[int, int, int, int]  # row of the index, memory, revision, length
Frequencies = dict[int, float]  # weighted occurrences of one term, by row of the index


class Space(NamedTuple):
    """A namespace with the totals that BM25 needs."""

    ns: int
    name: str
    memories: int
    words: int


class Ranked(NamedTuple):
    """A version that shares words with the query; revision 0 stands for the current one."""

    mem: int
    revision: int
    score: float
    words: tuple[str, ...]


def rank(
    connection: apsw.Connection,
    words: Sequence[str],
    spaces: Sequence[Space],
    look: Look,
    *,
    limit: int,
    weights: TermWeights,
) -> list[Ranked]:
    """The best ``limit`` versions that the selection lets be seen, best first, ties in the order of first writing."""
    candidates = (one for space in spaces for one in _in_space(connection, words, space, look, weights))
    return nsmallest(limit, candidates, key=lambda one: (-one.score, one.mem))


def postings(connection: apsw.Connection, words: Sequence[str], space: int) -> list[list[int]]:
    """The postings of the words, as one JSON array each: several times faster than rows of Python."""
    terms = json.dumps([qualify(space, word) for word in words])
    scrubbing = connection.execute(_SCRUBBING).get
    query = _POSTINGS.format(not_erased=_NOT_ERASED["texts"] if scrubbing else "")
    found = [_NUMBERS.decode(row[0]) for row in connection.execute(query, {"terms": terms})]
    waiting = Waiting(connection, space)
    for numbers, word in zip(found, words, strict=True):
        numbers += [mem * 4 + COLUMNS.index(column) for mem, column in waiting.places(qualify(space, word))]
    return found


class Statistics(NamedTuple):
    """What BM25 knows of rows: how many hold each word, how many there are, and their mean length."""

    holding: Sequence[int]
    memories: int
    mean: float

    def gain(self, place: int, weights: TermWeights) -> float:
        """The inverse document frequency of a word, times what BM25 saturates at."""
        df = self.holding[place]
        return math.log(1 + (self.memories - df + 0.5) / (df + 0.5)) * (weights.k1 + 1)


def _in_space(
    connection: apsw.Connection, words: Sequence[str], space: Space, look: Look, weights: TermWeights
) -> Iterator[Ranked]:
    current = is_current(look.selection)
    context = None if look.is_closed else weights.context  # the turn before may be one that is left out
    columns = {"terms": weights.terms, "context": context, "facets": weights.facets}
    look = look._replace(spaces=[space.ns])
    places = _places(connection)
    terms = [qualify(space.ns, word) for word in words]
    waiting = Waiting(connection, space.ns)
    now = [
        _frequencies(chain(connection.execute(places["texts"], (term,)), waiting.places(term)), columns)
        for term in terms
    ]
    if needs_version(look):
        found = [(now, _seen_versions(connection, _SEEN_CURRENT if current else _SEEN_THEN, now, look))]
    else:
        found = [(now, _seen_texts(connection, now, look.selection))]
    if not current:
        old = [_frequencies(connection.execute(places["old_texts"], (term,)), columns) for term in terms]
        found.append((old, _seen_versions(connection, _SEEN_OLD, old, look)))
    known = _of_what_is_seen(found) if look.is_closed else _of_all(now, space)
    for frequencies, seen in found:
        yield from _scored(words, frequencies, seen, known, weights)


def _places(connection: apsw.Connection) -> dict[str, str]:
    """Where the indexes hold a term, by index, without what was erased."""
    if not connection.execute(_SCRUBBING).get:
        return _PLACES
    return {name: query + _NOT_ERASED[name] for name, query in _PLACES.items()}


def _of_all(found: Sequence[Frequencies], space: Space) -> Statistics:
    mean = space.words / space.memories if space.words else 1.0
    return Statistics([len(rows) for rows in found], space.memories, mean)


def _of_what_is_seen(found: Sequence[tuple[Sequence[Frequencies], Sequence[Seen]]]) -> Statistics:
    """Statistics of what may be seen: where rules leave something out, no score may tell of it."""
    lengths = [length for _, seen in found for *_, length in seen]
    holding = [0] * len(found[0][0])
    for frequencies, seen in found:
        for place, rows in enumerate(frequencies):
            holding[place] += sum(row in rows for row, *_ in seen)
    return Statistics(holding, len(lengths), sum(lengths) / len(lengths) if any(lengths) else 1.0)


def _frequencies(places: Iterable[Any], columns: Mapping[str, float | None]) -> Frequencies:
    frequencies: Frequencies = {}
    for row, column in places:
        weight = columns[column]
        if weight is not None:
            frequencies[row] = frequencies.get(row, 0.0) + weight
    return frequencies


def _seen_texts(connection: apsw.Connection, found: Sequence[Frequencies], selection: Selection) -> list[Seen]:
    ended = None if selection.ended_before is None else microseconds(selection.ended_before)
    return _seen(connection, _SEEN_TEXTS, {"rows": _rows(found), "ended": ended})


def _seen_versions(connection: apsw.Connection, template: str, found: Sequence[Frequencies], look: Look) -> list[Seen]:
    parameters = Parameters(rows=_rows(found))
    parts = {"conditions": conditions(look, parameters), "length": _OWN_LENGTH if look.is_closed else _LENGTH}
    if not is_current(look.selection):
        parts["eligible"] = eligible(look, parameters)
    return _seen(connection, template.format(**parts), parameters)


def _seen(connection: apsw.Connection, query: str, parameters: dict[str, Any]) -> list[Seen]:
    seen: list[Any] = connection.execute(query, parameters).fetchall()
    return seen


def _rows(found: Sequence[Frequencies]) -> str:
    return json.dumps(list(set().union(*found)))


def _scored(
    words: Sequence[str],
    found: Sequence[Frequencies],
    seen: Sequence[Seen],
    known: Statistics,
    weights: TermWeights,
) -> Iterator[Ranked]:
    floor, slope = weights.k1 * (1 - weights.b), weights.k1 * weights.b / known.mean
    gains = [known.gain(place, weights) for place in range(len(words))]
    terms = list(zip(words, found, gains, strict=True))
    for row, mem, revision, length in seen:
        damping = floor + slope * length
        score, shared = 0.0, []
        for word, frequencies, gain in terms:
            tf = frequencies.get(row)
            if tf is not None:
                score += gain * tf / (tf + damping)
                shared.append(word)
        yield Ranked(mem, revision, score, tuple(shared))
