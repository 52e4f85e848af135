"""The benchmark of speed: hybrid searches against a bare scan, a scan of everything, and what embedding costs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
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
from pymemos.operation.retrieval.space import Spaces

DIMENSIONS = 384


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
    """One namespace of 100k vectors: the scan that a search does, against reading the bytes once."""
    known = Known()
    mem = store.keep(MemOS(store.path("all"), embedder=known))
    texts = Texts()
    for _ in range(MEMORIES // 10_000):
        mem.add(conversation(texts.messages(10_000)), user_id="all")
    vector = known.embed(["what is it"])[0]
    with mem._tools.store.read() as unit:
        snapshot = Spaces(1 << 40).snapshot(unit, "users/all", known.identity, DIMENSIONS)
        assert snapshot is not None
        matrix = snapshot.parts.vectors
        scan = _best_of(lambda: np.argpartition(-(matrix @ vector), 10))
        read = _best_of(lambda: matrix.max())
    return [
        Row.at_most("search_all_100k_ms", 1e3 * scan, "ms", 15),
        Row.at_most("search_all_vs_limit", scan / read, "× reading the bytes", 1.5),
        Row.plain("read_100k_ms", 1e3 * read, "ms"),
    ]


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
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
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
