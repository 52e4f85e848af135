"""The benchmark of speed: hybrid searches against a bare scan, a scan of everything, and what embedding costs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import accumulate
from statistics import median
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks._texts import Texts, conversation, zipf_sizes
from benchmarks.core import BATCH, MEMORIES, USERS, Workshop
from benchmarks.report import Row
from benchmarks.retrieval import _embedder
from pymemos import MemOS
from pymemos.operation.retrieval.bm25 import word_scores
from pymemos.operation.retrieval.coarse import Coarse
from pymemos.operation.retrieval.rescoring import Exact, contenders
from pymemos.operation.retrieval.routing import plan
from pymemos.operation.retrieval.signals import NEAR, around, evidence
from pymemos.operation.retrieval.space import Snapshot, Spaces
from pymemos.operation.retrieval.vectors import COARSE_ABOVE
from pymemos.operation.retrieval.words import WEIGHTS
from pymemos.ports import ReadUnit

DIMENSIONS = 384
ALL = "users/all"


class Known:
    """An embedder that costs nothing: a vector for each text from a seed; what a search costs beside embedding."""

    identity = "known-384"
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self._table = np.random.default_rng(0).standard_normal((4_096, DIMENSIONS), np.float32)
        self._table /= np.linalg.norm(self._table, axis=1, keepdims=True)

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Any:
        """Two rows of a table, mixed."""
        digests = [hashlib.blake2b(text.encode(), digest_size=4).digest() for text in texts]
        places = np.array([[int.from_bytes(d[:2]) % 4_096, int.from_bytes(d[2:]) % 4_096] for d in digests]).T
        rows = self._table[places[0]] + self._table[places[1]]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Store(Workshop):
    """A large store with vectors, and the bare side of it."""

    @cached_property
    def filled(self) -> tuple[MemOS, Any, list[Any], list[np.ndarray]]:
        """The store, a bare database, questions, and the bare matrix of every user."""
        texts, sizes, known = Texts(), zipf_sizes(USERS, MEMORIES), Known()
        held = [texts.messages(size) for size in sizes]
        mem, bare = self.keep(MemOS(self.path("vectors"), embedder=known)), self.bare("bare.db")
        for number, messages in enumerate(held):
            for start in range(0, len(messages), BATCH):
                mem.add(conversation(messages[start : start + BATCH]), user_id=f"user{number}")
                bare.add(f"user{number}", messages[start : start + BATCH])
        totals, questions = list(accumulate(sizes)), []
        for _ in range(300):
            user = texts.draw(totals)
            questions.append((user, *texts.question(texts.pick(held[user]))))
        matrices = [np.ascontiguousarray(known.embed(messages)) for messages in held]
        return mem, bare, questions, matrices


def searching(store: Store) -> list[Row]:
    """Hybrid searches of one user among a thousand, against a numpy scan, one FTS5 query and ten rows."""
    mem, bare, questions, matrices = store.filled
    known = Known()
    ours, theirs, first = [], [], []
    for user in dict.fromkeys(user for user, _, _ in questions):  # each once, so that it is in memory
        started = time.perf_counter()
        mem.search("anything", user_id=f"user{user}")
        first.append(time.perf_counter() - started)
    for user, question, words in questions:
        vector = known.embed([question])[0]
        started = time.perf_counter()
        np.argpartition(-(matrices[user] @ vector), min(10, len(matrices[user]) - 1))
        bare.search(f"user{user}", words)
        theirs.append(time.perf_counter() - started)
        started = time.perf_counter()
        mem.search(question, user_id=f"user{user}")
        ours.append(time.perf_counter() - started)
    return [
        Row.at_most("search_p50_ms", 1e3 * median(ours[50:]), "ms", 2),
        Row.at_most("search_vs_scan", median(ours[50:]) / median(theirs[50:]), "× bare", 4),
        Row.plain("search_first_p50_ms", 1e3 * median(first), "ms, a user's first search"),
        Row.plain("search_p95_ms", 1e3 * sorted(ours[50:])[int(0.95 * len(ours[50:]))], "ms"),
        Row.plain("search_scan_p50_ms", 1e3 * median(theirs[50:]), "ms"),
    ]


def search_all(store: Store) -> list[Row]:
    """One namespace of 100k vectors: the pass over all of them and the looking up of what it leaves open.

    The limit is that of an exact answer without codes: reading every float32 vector once, at the speed of the fastest
    reading that is at hand. Rows for the record tell of the pass alone against the bytes that it reads itself, and of
    a whole search with its words and signals.
    """
    known = Known()
    mem = store.keep(MemOS(store.path("all"), embedder=known))
    texts = Texts()
    for _ in range(MEMORIES // 10_000):
        mem.add(conversation(texts.messages(10_000)), user_id="all")
    questions = [texts.question(message)[0] for message in texts.messages(45)]
    vector = known.embed(questions[:1])[0]
    with mem._tools.store.read() as unit:
        snapshot, other = (_snapshot(unit, known, coarse_above=above) for above in (COARSE_ABOVE, None))
        held, exact = snapshot.parts.vectors, other.parts.vectors
        looks = [Look(unit, snapshot, known, question) for question in questions]
        whole = median([_seconds(look) for look in looks][5:])
        alone = _best_of(lambda: snapshot.parts.cosines(vector))
        scan = _best_of(lambda: exact @ vector)
    arrays = [held.codes, held.scales] if isinstance(held, Coarse) else [held]
    size = sum(array.nbytes for array in arrays)
    speed = _reading(size)
    limit = exact.nbytes / speed
    searches = [_seconds(partial(mem.search, question, user_id="all")) for question in questions]
    return [
        Row.at_most("search_all_100k_ms", 1e3 * whole, "ms", 15),
        Row.at_most("search_all_vs_limit", whole / limit, "× reading the float32 vectors", 1.5),
        Row.plain("search_all_pass_ms", 1e3 * alone, "ms, the pass alone"),
        Row.plain("search_all_pass_vs_limit", alone / (size / speed), "× reading its int8 bytes"),
        Row.plain("search_all_whole_p50_ms", 1e3 * median(searches[5:]), "ms, with words and signals"),
        Row.plain("search_all_float32_ms", 1e3 * scan, "ms, the scan of float32"),
        Row.plain("search_all_looked_up", median(look.rows for look in looks), "rows, exactly"),
        Row.plain("search_all_mb", size / 1e6, "MB of vectors in memory"),
        Row.plain("search_all_float32_mb", exact.nbytes / 1e6, "MB of vectors as float32"),
        Row.plain("read_gb_per_s", speed / 1e9, "GB/s"),
    ]


class Look:
    """What a search does with the vectors of a namespace: what all mean, and what those mean that may be the best."""

    def __init__(self, unit: ReadUnit, snapshot: Snapshot, known: Known, question: str) -> None:
        self._snapshot = snapshot
        self._plan = plan(question, {}, now=datetime.now(UTC), by_meaning=True)
        self._words = word_scores(snapshot, [], [], WEIGHTS)
        self._exact = Exact(unit, ALL, known.identity, known.embed([question])[0])
        self.rows = 0  # that were looked up

    def __call__(self) -> None:
        """Look once."""
        seen = evidence(self._snapshot, self._plan, self._words, self._exact.vector)
        if not seen.error:
            np.argpartition(-seen.cosine, 10)
            return
        best = contenders(seen.cosine, np.full_like(seen.cosine, seen.error), seen.cosine > seen.error, 10)
        rows = around(self._snapshot, best, len(NEAR))
        self._exact.evidence(seen, rows)
        self.rows = len(rows)


def _snapshot(unit: ReadUnit, known: Known, *, coarse_above: int | None) -> Snapshot:
    snapshot = Spaces(1 << 40, coarse_above=coarse_above).snapshot(unit, ALL, known.identity, DIMENSIONS)
    assert snapshot is not None
    return snapshot


def _reading(size: int) -> float:
    """How many bytes a second can be read of so many, by the fastest of some ways of looking at every one."""
    numbers = np.random.default_rng(0).integers(0, 100, size // 8 * 8, np.int8)
    kinds = (np.int8, np.int32, np.int64, np.float32)
    return size / min(_best_of(numbers.view(kind).max) for kind in kinds)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def query_embedding(_: Store) -> list[Row]:
    """One question through MiniLM."""
    embedder, texts = _embedder(), Texts()
    questions = [texts.question(message)[0] for message in texts.messages(60)]
    embedder.embed(questions[:5])
    times = []
    for question in questions:
        started = time.perf_counter()
        embedder.embed([question], queries=True)
        times.append(time.perf_counter() - started)
    return [Row.at_most("query_embed_ms", 1e3 * median(times), "ms", 10)]


def bulk(store: Store) -> list[Row]:
    """Adding with vectors, in turns with the bare embedder on the same texts."""
    embedder, texts = _embedder(), Texts()
    mem = store.keep(MemOS(store.path("bulk"), embedder=embedder))
    ours, bare = [], []
    for _ in range(7):
        messages = texts.messages(200)
        started = time.perf_counter()
        embedder.embed(messages)
        bare.append(time.perf_counter() - started)
        started = time.perf_counter()
        mem.add(conversation(messages), user_id="bulk")
        ours.append(time.perf_counter() - started)
    return [
        Row.at_least("bulk_vs_embedder", median(bare) / median(ours), "× bare", 0.85),
        Row.plain("embed_rate", 200 / median(bare), "texts/s"),
    ]


def _best_of(work: Callable[[], object], times: int = 15) -> float:
    """The median time of some runs, after one that warms."""
    work()
    taken = []
    for _ in range(times):
        taken.append(_seconds(work))
    return median(taken)


MEASURES = {
    ("search_p50_ms", "search_vs_scan"): searching,
    ("search_all_100k_ms", "search_all_vs_limit"): search_all,
    ("query_embed_ms",): query_embedding,
    ("bulk_vs_embedder",): bulk,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    store = Store()
    try:
        report.main("speed", {metrics: partial(run, store) for metrics, run in MEASURES.items()}, arguments)
    finally:
        store.close()


if __name__ == "__main__":
    main()
