"""BM25 over the postings of the full-text index: read each posting once, score in memory.

The index's vocabulary gives the row and column of every occurrence of a qualified term; the number of rows is the
document frequency. Scoring in SQL was measured slower by half: it sorts every posting twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple

import apsw
import msgspec

from pymemos.adapters.sqlite.selection import Parameters, conditions, eligible, is_current, needs_version
from pymemos.adapters.sqlite.terms import qualify
from pymemos.cube.call import Selection
from pymemos.cube.filters import microseconds
from pymemos.ports import TermWeights

_PLACES = "SELECT doc, col FROM texts_places WHERE term = ?"
_OLD_PLACES = "SELECT doc, col FROM old_texts_places WHERE term = ?"

# Which of the found rows may be seen, as (row of the index, memory, revision, length).
_SEEN_TEXTS = """
SELECT t.mem, t.mem, 0, t.length
FROM json_each(:rows) AS r CROSS JOIN texts AS t ON t.mem = r.value
WHERE :ended IS NULL OR t.ends IS NULL OR t.ends > :ended"""
_SEEN_CURRENT = """
SELECT t.mem, t.mem, 0, t.length
FROM json_each(:rows) AS r CROSS JOIN texts AS t ON t.mem = r.value CROSS JOIN memories AS v ON v.mem = t.mem
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions}"""
_SEEN_THEN = """
WITH eligible AS MATERIALIZED ({eligible})
SELECT t.mem, t.mem, v.revision, t.length
FROM json_each(:rows) AS r CROSS JOIN texts AS t ON t.mem = r.value CROSS JOIN memories AS v ON v.mem = t.mem
JOIN eligible AS e ON e.mem = v.mem AND e.revision = v.revision
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions}"""
_SEEN_OLD = """
WITH eligible AS MATERIALIZED ({eligible})
SELECT t.text, t.mem, t.revision, t.length
FROM json_each(:rows) AS r CROSS JOIN old_texts AS t ON t.text = r.value
JOIN eligible AS e ON e.mem = t.mem AND e.revision = t.revision
CROSS JOIN versions AS v ON v.mem = t.mem AND v.revision = t.revision
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {conditions}"""

_POSTINGS = """
SELECT (
    SELECT json_group_array(doc * 4 + CASE col WHEN 'terms' THEN 0 WHEN 'context' THEN 1 ELSE 2 END)
    FROM texts_places WHERE term = wanted.value
)
FROM json_each(:terms) AS wanted ORDER BY wanted.key"""
_NUMBERS = msgspec.json.Decoder(list[int])

Seen = tuple[int, int, int, int]  # row of the index, memory, revision, length
Frequencies = dict[int, float]  # weighted occurrences of one term, by row of the index


class Space(NamedTuple):
    """A namespace with the totals that BM25 needs."""

    ns: int
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
    selection: Selection,
    *,
    limit: int,
    weights: TermWeights,
) -> list[Ranked]:
    """The best ``limit`` versions that the selection lets be seen, best first, ties in the order of first writing."""
    candidates = (one for space in spaces for one in _in_space(connection, words, space, selection, weights))
    return nsmallest(limit, candidates, key=lambda one: (-one.score, one.mem))


def postings(connection: apsw.Connection, words: Sequence[str], space: int) -> list[list[int]]:
    """The postings of the words, as one JSON array each: several times faster than rows of Python."""
    terms = json.dumps([qualify(space, word) for word in words])
    return [_NUMBERS.decode(row[0]) for row in connection.execute(_POSTINGS, {"terms": terms})]


def _damping(space: Space, weights: TermWeights) -> tuple[float, float]:
    """What a frequency is damped by: a floor, and a slope times the length of the row."""
    slope = weights.k1 * weights.b * (space.memories / space.words if space.words else 1.0)
    return weights.k1 * (1 - weights.b), slope


def _in_space(
    connection: apsw.Connection, words: Sequence[str], space: Space, selection: Selection, weights: TermWeights
) -> Iterator[Ranked]:
    columns = {"terms": weights.terms, "context": weights.context, "facets": weights.facets}
    now = [_frequencies(connection, _PLACES, qualify(space.ns, word), columns) for word in words]
    gains = [_gain(space, len(rows), weights) for rows in now]
    if needs_version(selection):
        template = _SEEN_CURRENT if is_current(selection) else _SEEN_THEN
        seen = _seen_versions(connection, template, now, selection, space)
    else:
        seen = _seen_texts(connection, now, selection)
    yield from _scored(words, now, gains, seen, space, weights)
    if not is_current(selection):
        old = [_frequencies(connection, _OLD_PLACES, qualify(space.ns, word), columns) for word in words]
        yield from _scored(
            words, old, gains, _seen_versions(connection, _SEEN_OLD, old, selection, space), space, weights
        )


def _frequencies(connection: apsw.Connection, places: str, term: str, columns: dict[str, float]) -> Frequencies:
    frequencies: Frequencies = {}
    for row, column in connection.execute(places, (term,)):
        frequencies[row] = frequencies.get(row, 0.0) + columns[column]
    return frequencies


def _gain(space: Space, df: int, weights: TermWeights) -> float:
    """The inverse document frequency, times what BM25 saturates at."""
    return math.log(1 + (space.memories - df + 0.5) / (df + 0.5)) * (weights.k1 + 1)


def _seen_texts(connection: apsw.Connection, found: Sequence[Frequencies], selection: Selection) -> list[Seen]:
    ended = None if selection.ended_before is None else microseconds(selection.ended_before)
    return _seen(connection, _SEEN_TEXTS, {"rows": _rows(found), "ended": ended})


def _seen_versions(
    connection: apsw.Connection, template: str, found: Sequence[Frequencies], selection: Selection, space: Space
) -> list[Seen]:
    parameters = Parameters(rows=_rows(found))
    parts = {"conditions": conditions(selection, [space.ns], parameters)}
    if not is_current(selection):
        parts["eligible"] = eligible(selection, [space.ns], parameters)
    return _seen(connection, template.format(**parts), parameters)


def _seen(connection: apsw.Connection, query: str, parameters: dict[str, Any]) -> list[Seen]:
    seen: list[Any] = connection.execute(query, parameters).fetchall()
    return seen


def _rows(found: Sequence[Frequencies]) -> str:
    return json.dumps(list(set().union(*found)))


def _scored(
    words: Sequence[str],
    found: Sequence[Frequencies],
    gains: Sequence[float],
    seen: Sequence[Seen],
    space: Space,
    weights: TermWeights,
) -> Iterator[Ranked]:
    floor, slope = _damping(space, weights)
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
