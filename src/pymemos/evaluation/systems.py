"""Systems: what an evaluation compares, behind one small protocol: pymemos itself, and the usual baselines."""

from __future__ import annotations

import math
import re
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from pymemos import MemOS
from pymemos.evaluation.cases import Case, Question, Session, Turn
from pymemos.evaluation.tokens import Counter
from pymemos.ports import Embedder

Floats = NDArray[np.float32]

K1, B = 1.2, 0.75  # of BM25, as Lucene sets them
RRF_K, RRF_DEPTH = 60, 100  # the constant of the paper on RRF (Cormack 2009), and how far down each list is read
CHUNK_TOKENS = 128  # the smallest chunk that the MemOS paper gives to RAG, and its best with 256 (table 4)
REMEMBERED_TEXTS = 100_000  # 150 MB of vectors of 384 dimensions
_WORD = re.compile(r"\w+")


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """What a system found: the turns that it holds, and its text as a prompt would hold it."""

    turns: tuple[str, ...]
    text: str


class System(Protocol):
    """What is evaluated: it takes in cases, and finds passages of one of them that answer a question."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def take(self, case: Case) -> None:
        """Take in a case; questions about it follow, until the next case comes."""

    def search(self, case: Case, question: Question, k: int) -> Sequence[Passage]:
        """At most ``k`` passages, best first."""


# ── pymemos ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class AskedClock:
    """A clock that shows when a question is asked, where the benchmark says so, and else the time of the machine."""

    def __init__(self) -> None:
        self.asked: datetime | None = None

    def __call__(self) -> datetime:
        """What it shows."""
        return self.asked or datetime.now(UTC)


class Pymemos:
    """pymemos through its public calls: a case is a user, a session is added in one call, a question is searched."""

    def __init__(self, mem: MemOS, clock: AskedClock | None = None, *, name: str = "pymemos") -> None:
        self.name = name
        self._mem, self._clock = mem, clock or AskedClock()
        self._turns: dict[str, Turn] = {}

    def take(self, case: Case) -> None:
        """Add the case's sessions under a user of its own."""
        self._turns = {turn.id: turn for turn in case.turns}
        for session in case.sessions:
            if session.turns:
                self._mem.add([*map(_message, session.turns)], user_id=case.id, session_id=session.id)
        while self._mem.tick():
            pass  # what an add left for later, such as vectors, belongs to what is measured

    def search(self, case: Case, question: Question, k: int) -> Sequence[Passage]:
        """What a search for the question gives, as if it were asked when it was asked."""
        self._clock.asked = question.asked
        hits = self._mem.search(question.text, user_id=case.id, limit=k)
        self._clock.asked = None
        return [_whole(self._turns[hit.source_ids[0]]) for hit in hits]


def _message(turn: Turn) -> dict[str, Any]:
    named = {} if turn.speaker is None else {"name": turn.speaker}
    timed = {} if turn.at is None else {"timestamp": turn.at}
    return {"role": turn.role, "content": turn.text, "id": turn.id, **named, **timed}


# ── Baselines ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Bm25:
    """BM25 over the turns as they are: lower-case words, no stemming, no stop words."""

    name = "BM25"

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._lengths: list[int] = []
        self._postings: dict[str, list[tuple[int, int]]] = {}

    def take(self, case: Case) -> None:
        """Count the words of every turn."""
        self._turns, self._lengths, self._postings = list(case.turns), [], {}
        for place, turn in enumerate(self._turns):
            words = words_of(turn.said)
            self._lengths.append(len(words))
            for word, count in Tally(words).items():
                self._postings.setdefault(word, []).append((place, count))

    def search(self, case: Case, question: Question, k: int) -> Sequence[Passage]:
        """The turns that share words with the question."""
        scores: dict[int, float] = {}
        usual = sum(self._lengths) / max(len(self._lengths), 1)
        for word in words_of(question.text):
            postings = self._postings.get(word, ())
            rarity = math.log1p((len(self._turns) - len(postings) + 0.5) / (len(postings) + 0.5))
            for place, count in postings:
                damped = count + K1 * (1 - B + B * self._lengths[place] / usual)
                scores[place] = scores.get(place, 0.0) + rarity * count * (K1 + 1) / damped
        best = sorted(scores, key=lambda place: (-scores[place], place))
        return [_whole(self._turns[place]) for place in best[:k]]


class Dense:
    """One vector for each turn, the nearest by dot product."""

    name = "dense"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._passages: list[Passage] = []
        self._rows: Floats | None = None

    def take(self, case: Case) -> None:
        """Embed every turn."""
        turns = list(case.turns)
        self._passages = [_whole(turn) for turn in turns]
        self._rows = self._embedder.embed([turn.said for turn in turns])

    def search(self, case: Case, question: Question, k: int) -> Sequence[Passage]:
        """The turns that mean nearly what the question means."""
        return [self._passages[place] for place in _nearest(self._embedder, self._rows, question.text, k)]


class Rrf:
    """Reciprocal rank fusion of two systems that find single turns: what most products do."""

    name = "RRF"

    def __init__(self, one: System, other: System) -> None:
        self._parts = (one, other)

    def take(self, case: Case) -> None:
        """Nothing: the two systems took the case already."""

    def search(self, case: Case, question: Question, k: int) -> Sequence[Passage]:
        """The turns with the largest sum of 1 ÷ (60 + rank)."""
        scores: dict[Passage, float] = {}
        for part in self._parts:
            for rank, passage in enumerate(part.search(case, question, RRF_DEPTH), start=1):
                scores[passage] = scores.get(passage, 0.0) + 1 / (RRF_K + rank)
        return sorted(scores, key=lambda passage: -scores[passage])[:k]


class Chunks:
    """Usual RAG: each session is cut into chunks of so many tokens, and the nearest chunks are found.

    A chunk is credited with every turn of which it holds any word, which favours it.
    """

    def __init__(self, embedder: Embedder, count: Counter, *, size: int = CHUNK_TOKENS) -> None:
        self.name = chunks_name(size)
        self._embedder, self._count, self._size = embedder, count, size
        self._passages: list[Passage] = []
        self._rows: Floats | None = None

    def take(self, case: Case) -> None:
        """Cut and embed every session."""
        self._passages = [chunk for session in case.sessions for chunk in cut(session, self._count, self._size)]
        self._rows = self._embedder.embed([chunk.text for chunk in self._passages])

    def search(self, case: Case, question: Question, k: int) -> Sequence[Passage]:
        """The chunks that mean nearly what the question means."""
        return [self._passages[place] for place in _nearest(self._embedder, self._rows, question.text, k)]


class Remembering:
    """An embedder that keeps what it made of texts, so that the systems of a run share the work; not of questions.

    When it is full it forgets everything and begins anew: benchmarks repeat themselves in the short run.
    """

    def __init__(self, embedder: Embedder, *, limit: int = REMEMBERED_TEXTS) -> None:
        self._embedder, self._limit = embedder, limit
        self._known: dict[str, Floats] = {}

    @property
    def identity(self) -> str:
        """That of the embedder within."""
        return self._embedder.identity

    @property
    def dimensions(self) -> int:
        """Those of the embedder within."""
        return self._embedder.dimensions

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """The rows of the texts; only those that were never seen are embedded."""
        if queries:
            return self._embedder.embed(texts, queries=True)
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(self._known) + len(new) > self._limit:
            self._known, new = {}, list(dict.fromkeys(texts))
        if new:
            self._known.update(zip(new, self._embedder.embed(new), strict=True))
        rows = [self._known[text] for text in texts]
        return np.stack(rows) if rows else np.empty((0, self.dimensions), np.float32)


def chunks_name(size: int = CHUNK_TOKENS) -> str:
    """What reports call chunks of so many tokens."""
    return f"chunks of {size}"


def words_of(text: str) -> list[str]:
    """Lower-case words, nothing else."""
    return _WORD.findall(text.lower())


def cut(session: Session, count: Counter, size: int) -> Iterator[Passage]:
    """The session's turns as one text, cut between words where ``size`` tokens are full."""
    words: list[str] = []
    turns: dict[str, None] = {}
    tokens = 0
    for word, turn in _words_with_turns(session.turns):
        cost = count(word)
        if words and tokens + cost > size:
            yield Passage(turns=tuple(turns), text=" ".join(words))
            words, turns, tokens = [], {}, 0
        words.append(word)
        turns[turn] = None
        tokens += cost
    if words:
        yield Passage(turns=tuple(turns), text=" ".join(words))


def _words_with_turns(turns: Iterable[Turn]) -> Iterator[tuple[str, str]]:
    return ((word, turn.id) for turn in turns for word in turn.line.split())


def _whole(turn: Turn) -> Passage:
    return Passage(turns=(turn.id,), text=turn.line)


def _nearest(embedder: Embedder, rows: Floats | None, query: str, k: int) -> list[int]:
    """The places of the ``k`` rows that are nearest to the query, best first, ties in order."""
    if rows is None or not len(rows):
        return []
    near = rows @ embedder.embed([query], queries=True)[0]
    places: list[int] = np.argsort(-near, kind="stable")[:k].tolist()
    return places
