"""The benchmark of the life cycle, Time Machine and governance: worlds of what-if, sweeps and ways back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import TypeVar

from benchmarks import report
from benchmarks._texts import Texts, conversation
from benchmarks.core import BATCH, MEMORIES, Workshop
from benchmarks.report import Row
from pymemos import MemOS
from pymemos.ports import Embedder
from pymemos.testing.doubles import HashingEmbedder

T = TypeVar("T")
OWNER = "ana"  # of a namespace that holds everything
QUESTIONS = 60
CHANGED = 1_000  # memories that are changed before the way back


# What-if.


def what_if(shop: Workshop) -> Iterable[Row]:
    """The same questions in a world with changes and in the store, in turns, in one namespace that holds everything.

    By words alone, and by words and meaning; the vectors are of words, for a model would only take longer on both
    sides.
    """
    ratios = []
    for name, embedder in (("words", None), ("meaning", HashingEmbedder(384))):
        opened, first, normal, imagined = _world_times(shop, f"world-{name}", embedder)
        ratios.append(imagined / normal)
        yield Row.plain(f"what_if_open_{name}_ms", opened * 1e3, "ms")
        yield Row.plain(f"what_if_first_search_{name}_ms", first * 1e3, "ms")
        yield Row.plain(f"what_if_search_{name}_ms", imagined * 1e3, "ms")
        yield Row.plain(f"search_{name}_ms", normal * 1e3, "ms")
    yield Row.at_most("what_if_search_ratio", max(ratios), "× a search", 1.5)


def _world_times(shop: Workshop, name: str, embedder: Embedder | None) -> tuple[float, float, float, float]:
    """Seconds that opening takes, the first search in a world, a search of the store, and one in the world."""
    mem = shop.keep(MemOS(shop.path(name), embedder=embedder or "none"))
    texts, held = Texts(), list[str]()
    for _ in range(MEMORIES // BATCH):
        held += (batch := texts.messages(BATCH))
        mem.add(conversation(batch), user_id=OWNER)
    questions = [texts.question(texts.pick(held))[0] for _ in range(QUESTIONS)]
    mem.search(questions[0], user_id=OWNER)  # reads the namespace into memory
    opening, world = _seconds(lambda: mem.what_if(user_id=OWNER))
    changed = world.list(limit=20).cubes
    for number, cube in enumerate(changed):
        world.delete(cube.id) if number % 2 else world.update(cube.id, texts.message())
    world.add(conversation(texts.messages(10)))
    first, _ = _seconds(lambda: world.search(questions[0]))
    store: list[float] = []
    inside: list[float] = []
    for question in questions:
        store.append(_seconds(partial(mem.search, question, user_id=OWNER))[0])
        inside.append(_seconds(partial(world.search, question))[0])
    world.close()
    return opening, first, median(store[10:]), median(inside[10:])


# The life cycle, and the way back.


def sweeping(shop: Workshop) -> Iterable[Row]:
    """A sweep that looks at every memory: first none is due, then, a long time later, every one moves."""
    mem, _, _ = shop.large
    looked, swept = _seconds(mem.sweep)
    assert swept.examined >= MEMORIES  # the manifests of conversations too
    later = datetime.now(UTC) + timedelta(days=5_000)
    took, moved = _seconds(lambda: mem.sweep(now=later))
    yield Row.at_most("sweep_100k_s", looked, "s", 5)
    yield Row.plain("sweep_100k_moves", len(moved.moves), "memories")
    yield Row.plain("sweep_100k_moving_s", took, "s")


def way_back(shop: Workshop) -> Iterable[Row]:
    """The whole store back to a moment, after which some of its memories were changed."""
    mem, _, questions = shop.large
    taken = mem.snapshot("before")
    users = list(dict.fromkeys(user for user, _, _ in questions))
    cubes = [cube for user in users for cube in mem.list(user_id=user, limit=CHANGED // len(users) + 1)][:CHANGED]
    for cube in cubes:
        mem.update(cube.id, f"{cube.text} or not", user_id=cube.namespace.removeprefix("users/"))
    took, returned = _seconds(lambda: mem.restore_to(taken, everything=True))
    assert len(returned.steps) == len(cubes)
    yield Row.plain("restore_store_100k_s", took, "s")


def _seconds(act: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


MEASURES = {
    ("what_if_search_ratio",): what_if,
    ("restore_store_100k_s",): way_back,
    ("sweep_100k_s",): sweeping,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    shop = Workshop()
    try:
        report.main("governance", {metrics: partial(run, shop) for metrics, run in MEASURES.items()}, arguments)
    finally:
        shop.close()


if __name__ == "__main__":
    main()
