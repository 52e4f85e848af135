"""The benchmark of governance, life cycle and Time Machine: what rules cost, sweeps, worlds of what-if, ways back."""

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


# Access.


def overhead(shop: Workshop) -> Iterable[Row]:
    """What deciding, filtering and recording take of a call, with fifty-two policies in the owner's namespace.

    The same calls go in turns to a store without any policy, whose calls less their door are the bare work. No policy
    leaves anything out, so that both do the same.
    """
    governed, plain = shop.open("governed"), shop.open("plain")
    texts = Texts()
    for start in range(0, 5_000, BATCH):
        batch = conversation(texts.messages(BATCH))
        for mem in (governed, plain):
            mem.add(batch, user_id=OWNER, session_id=str(start))
    for number in range(50):
        governed.share(to=f"users/friend{number}", filters={"tags": f"topic{number}"}, user_id=OWNER)
    deny = {"effect": "deny", "what": {"sensitivity": "secret"}, "when": {"NOT": {"role": "physician"}}}
    governed.set_access_policy("physicians only", deny, namespace="*")
    governed.set_access_policy("no work at home", deny | {"what": {"tags": "work"}}, user_id=OWNER)
    questions = [texts.question(texts.message())[0] for _ in range(300)]
    messages = texts.messages(300)
    search = _share(shop, [(mem, partial(_search, mem, questions)) for mem in (governed, plain)])
    add = _share(shop, [(mem, partial(_add, mem, messages)) for mem in (governed, plain)])
    yield Row.at_most("search_overhead", search, "of a search", 0.15)
    yield Row.at_most("add_overhead", add, "of an add", 0.15)


def _search(mem: MemOS, questions: list[str], number: int) -> None:
    mem.search(questions[number], user_id=OWNER)


def _add(mem: MemOS, messages: list[str], number: int) -> None:
    mem.add([{"role": "user", "content": messages[number]}], user_id=OWNER)


def _share(shop: Workshop, sides: list[tuple[MemOS, Callable[[int], None]]]) -> float:
    """What the calls of the first side take beyond the bare work of the second, as a share of them."""
    took: list[list[float]] = [[], []]
    bare: list[float] = []
    for number in range(300):
        for side, (_, act) in enumerate(sides):
            shop.spans.clear()
            seconds, _ = _seconds(partial(act, number))
            took[side].append(seconds)
            if side == 1:
                bare.append(seconds - sum(shop.spans))
    governed = median(took[0][50:])
    return max(0.0, governed - median(bare[50:])) / governed


def pushdown(shop: Workshop) -> Iterable[Row]:
    """One memory in a hundred may be read: the rule in the query, in turns with filtering what a search gives.

    Filtering afterwards asks for more and more until ten may be read, so that both find the same.
    """
    mem = shop.open("pushdown")
    texts, held = Texts(), list[str]()
    for number in range(MEMORIES // BATCH):
        batch = texts.messages(BATCH)
        mem.add(conversation(batch[10:]), user_id=OWNER, session_id=f"closed {number}")
        mem.add(conversation(batch[:10]), user_id=OWNER, session_id=f"open {number}", tags=["open"])
        held += batch[:10]
    mem.share(to="users/reader", filters={"tags": "open"}, user_id=OWNER)
    reader = mem.bind(user_id="reader")
    questions = [texts.question(texts.pick(held))[0] for _ in range(QUESTIONS)]
    reader.search(questions[0], namespaces=f"users/{OWNER}")
    mem.search(questions[0], user_id=OWNER)  # both read what they keep in memory
    inside: list[float] = []
    behind: list[float] = []
    for question in questions:
        inside.append(_seconds(partial(reader.search, question, namespaces=f"users/{OWNER}"))[0])
        behind.append(_seconds(partial(_filtered, mem, question))[0])
    ratio = median(inside[10:]) / median(behind[10:])
    yield Row.at_most("pushdown_ratio", ratio, "× filtering afterwards", 1)
    yield Row.plain("pushdown_ms", median(inside[10:]) * 1e3, "ms")
    yield Row.plain("filtering_ms", median(behind[10:]) * 1e3, "ms")


def _filtered(mem: MemOS, question: str) -> list[str]:
    """The ten best that may be read, out of a search that reads everything."""
    limit = 10
    while True:
        hits = mem.search(question, user_id=OWNER, limit=limit)
        open_ones = [hit.cube.id for hit in hits if "open" in hit.cube.header.descriptive.tags]
        if len(open_ones) >= 10 or len(hits) < limit or limit >= 10_000:
            return open_ones[:10]
        limit = min(limit * 10, 10_000)


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
    ("search_overhead", "add_overhead"): overhead,
    ("pushdown_ratio",): pushdown,
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
