"""The signals of the ranking, each in one place: what it measures, why it helps, and how that was seen.

A memory's score is the sum of weight × value over all signals. The values are raw: BM25 is already a sum of log odds,
and a cosine has one scale, so nothing is normalised by what else was found, and a score means the same in a namespace
of ten memories and of ten thousand. (Per-query z-scores were measured 0.4 points of R@10 worse, ADR 0020.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymemos.operation.retrieval.bm25 import WordScores
from pymemos.operation.retrieval.cues import Cue
from pymemos.operation.retrieval.routing import Plan
from pymemos.operation.retrieval.space import Parts, Snapshot

if TYPE_CHECKING:
    from pymemos.ports import Floats

NEAR = (0.5, 0.25, 0.12)  # how much of its neighbours a turn is about, at a distance of one, two, three turns
LEAST_NEAR = 0.25  # a mean over fewer neighbours than these shares counts as over these
LEAD = 0.75  # the share of a text's first passage, where it says what it is about; the rest is its best passage's
USUAL = 6.4  # log(1 + memories) of the namespaces that the weights were fitted in


class Evidence(NamedTuple):
    """What signals are computed from: a snapshot, what the query asks for, and what the indexes say."""

    snapshot: Snapshot
    plan: Plan
    words: Floats  # BM25 of each row
    cosine: Floats  # likeness of meaning of each row, mostly of its first passage; 0 where it has no vector
    best: Floats  # likeness of its best passage
    error: float = 0.0  # how far from the exact one any likeness may be; 0 where they are exact


class SignalKind(NamedTuple):
    """One signal: how it is computed for every row, and why it is there."""

    values: Callable[[Evidence], Floats]
    reason: str
    reach: int | None = None  # how many turns away it looks at what is meant; None: it does not look at that


def evidence(snapshot: Snapshot, plan: Plan, found: WordScores, vector: Floats | None) -> Evidence:
    """What the indexes say, row by row."""
    words = found.values * np.float32(_gain(len(snapshot.turns.rows)))
    if vector is None:
        nothing = np.zeros_like(words)
        return Evidence(snapshot, plan, words, nothing, nothing)
    cosines, error = snapshot.parts.cosines(vector)
    first, best = by_passage(cosines, snapshot.parts, len(words))
    return Evidence(snapshot, plan, words, likeness(first, best), best, error)


def likeness(first: Floats, best: Floats) -> Floats:
    """How much texts mean like the question, from their first and their best passage."""
    return best if first is best else LEAD * first + (1 - LEAD) * best


def _gain(memories: int) -> float:
    """Rarity grows with the logarithm of how many memories there are; this keeps BM25 on the scale of the weights."""
    return min(1.4, max(0.7, USUAL / math.log1p(max(memories, 1))))


def _words(e: Evidence) -> Floats:
    return e.words


def _meaning(e: Evidence) -> Floats:
    return e.cosine


def _nearby_words(e: Evidence) -> Floats:
    return nearby(e.snapshot, e.words)


def _nearby_meaning(e: Evidence) -> Floats:
    return nearby(e.snapshot, e.cosine, mean=True)


def _partner(e: Evidence) -> Floats:
    """In a chat: of a user's message its reply, of a reply the message that it answers; 0 where there is none."""
    rows, talk = e.snapshot.turns.rows, e.snapshot.turns.talk
    placed, user = e.best[rows], e.snapshot.columns.user[rows]
    answered = user[:-1] & ~user[1:] & (talk[1:] == talk[:-1])
    other = np.zeros(len(rows), np.float32)
    other[:-1] = placed[1:] * answered
    other[1:] += placed[:-1] * answered
    return _back(e.best, rows, other)


def _conversation(e: Evidence) -> Floats:
    return of_conversation(e.snapshot, e.words)


def _speaker(e: Evidence) -> Floats:
    if len(e.plan.people) != 1:
        return _nothing(e)
    return _floats(e.snapshot.columns.speaker == e.plan.people[0])


def _time(e: Evidence) -> Floats:
    said = e.snapshot.columns.said
    hit = np.zeros(len(said), np.bool_)
    for start, end in e.plan.spans:
        hit |= (said >= start) & (said < end)
    return _floats(hit)


def _question(e: Evidence) -> Floats:
    return _shows(e, Cue.QUESTION)


def _says_when(e: Evidence) -> Floats:
    return _shows(e, Cue.TIME) if e.plan.asks_when else _nothing(e)


def _preference(e: Evidence) -> Floats:
    return _shows(e, Cue.PREFERENCE)


def _kind(e: Evidence) -> Floats:
    return np.ones(len(e.words), np.float32)


def _length(e: Evidence) -> Floats:
    return e.snapshot.columns.length


def _user(e: Evidence) -> Floats:
    return _floats(e.snapshot.columns.user)


SIGNALS: Mapping[str, SignalKind] = {
    "words": SignalKind(_words, "words of the question, by BM25; words of the turn before count half"),
    "meaning": SignalKind(_meaning, "likeness of meaning: its best passage and its first", reach=0),
    "nearby words": SignalKind(_nearby_words, "the turns around it hold words of the question"),
    "nearby meaning": SignalKind(_nearby_meaning, "the turns around it mean something like it", reach=len(NEAR)),
    "conversation": SignalKind(_conversation, "the best turn of its conversation matches"),
    "partner": SignalKind(_partner, "the other half of the exchange is about it", reach=1),
    "speaker": SignalKind(_speaker, "said by the one person whom the question names"),
    "user": SignalKind(_user, "said by the user: what assistants say is seldom about the user"),
    "time": SignalKind(_time, "said in the time that the question names"),
    "says when": SignalKind(_says_when, "the question asks when, and it says a time"),
    "preference": SignalKind(_preference, "it states what its speaker likes, needs or avoids"),
    "asking": SignalKind(_question, "a question is rarely the evidence"),
    "length": SignalKind(_length, "how much it says"),
    "kind": SignalKind(_kind, "it was kept on purpose: a statement or a note is no passing remark"),
}


def by_passage(cosines: Floats, parts: Parts, count: int) -> tuple[Floats, Floats]:
    """For each of ``count`` rows the value of its first passage and of its best; 0 where it has none."""
    first = np.zeros(count, np.float32)
    first[parts.rows] = cosines[parts.starts]
    if len(parts.starts) == len(cosines):  # every text is one passage
        return first, first
    best = np.zeros(count, np.float32)
    best[parts.rows] = np.maximum.reduceat(cosines, parts.starts)
    return first, best


def around(snapshot: Snapshot, rows: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """``rows`` and the turns up to ``reach`` away from them, in the same conversation; each row once, rising."""
    turns = snapshot.turns
    places = np.empty(len(snapshot.columns.key), np.int64)
    places[turns.rows] = np.arange(len(turns.rows))
    near = (places[rows][:, None] + np.arange(-reach, reach + 1)).clip(0, len(turns.rows) - 1)
    return np.unique(turns.rows[near[turns.talk[near] == turns.talk[places[rows]][:, None]]])


def nearby(snapshot: Snapshot, values: Floats, *, mean: bool = False) -> Floats:
    """The values of the turns around each, in the same conversation, the nearer the more; their sum or mean."""
    rows, talk = snapshot.turns.rows, snapshot.turns.talk
    placed, near = values[rows], np.zeros(len(rows), np.float32)
    shares = np.zeros(len(rows), np.float32)
    for distance, share in enumerate(NEAR, start=1):
        same = (talk[distance:] == talk[:-distance]) * np.float32(share)
        near[distance:] += placed[:-distance] * same
        near[:-distance] += placed[distance:] * same
        shares[distance:] += same
        shares[:-distance] += same
    if mean:
        near /= np.maximum(shares, np.float32(LEAST_NEAR))
    return _back(values, rows, near)


def of_conversation(snapshot: Snapshot, values: Floats) -> Floats:
    """The greatest value in the conversation of each."""
    rows, talk, starts = snapshot.turns.rows, snapshot.turns.talk, snapshot.turns.starts
    if not len(rows):
        return np.zeros_like(values)
    return _back(values, rows, np.maximum.reduceat(values[rows], starts)[talk])


def _back(values: Floats, rows: NDArray[np.int64], placed: Floats) -> Floats:
    result = np.zeros_like(values)
    result[rows] = placed
    return result


def _shows(e: Evidence, cue: Cue) -> Floats:
    return _floats((e.snapshot.columns.cues & cue) != 0)


def _floats(flags: NDArray[np.bool_]) -> Floats:
    return np.asarray(flags, np.float32)


def _nothing(e: Evidence) -> Floats:
    return np.zeros(len(e.words), np.float32)
