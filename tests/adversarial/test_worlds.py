"""Family: side channels of search. Two worlds differ in nothing but what is hidden; Eve must not tell them apart.

Everything that a search says is held equal to the bit: hits, order, scores, reasons, terms, counts, blocks for prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.adversarial.world import ADAPTERS, ANA, EVE, MINUTE, strike, told

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.testing.doubles import FrozenClock, HashingEmbedder, SequentialIds

Hidden = Callable[
    [MemOS, int], Any
]  # one text more that is hidden, said at the beginning, in the middle and at the end

OPEN: list[dict[str, Any]] = [
    {"content": [{"role": "user", "content": "Tea at five, Zed?", "name": "Bob"}], "session_id": "s"},
    {"content": [{"role": "user", "content": "Mint tea is best, Bob.", "name": "Zed"}], "session_id": "s"},
    {"content": "The parties are running on Monday.", "type": "domain_knowledge"},
    {"content": "Ana prefers green tea.", "type": "user_preference"},
]
QUESTIONS = [
    "tea", "When did Bob and Zed have mint tea?", "Zed Bob", "swordfish", "What happened on Clara's birthday?",
    "Hunde und Katzen parties", "running parties tea Monday", "last conversation", "Clara",
]  # fmt: skip


def silence(mem: MemOS, place: int) -> None:
    """Nothing that is hidden."""


def note(mem: MemOS, place: int) -> None:
    """Many notes with the words of the question."""
    for n in range(5):
        mem.add(f"A secret about mint tea and swordfish, {place} {n}.", user_id="ana")


def speakers(mem: MemOS, place: int) -> None:
    """People, in another order than the one in which they are heard."""
    for name in ("Zed", "Clara", "Bob"):
        said = {"role": "user", "content": f"Swordfish tea with a long tail of words, {place}.", "name": name}
        mem.add([said], user_id="ana", session_id="s")


def german(mem: MemOS, place: int) -> None:
    """Another language."""
    mem.add(f"Der Hund und die Katze waren gestern in der Klinik und schliefen dort, {place}.", user_id="ana")


def days(mem: MemOS, place: int) -> None:
    """A day that a question may name."""
    said = {"role": "user", "content": f"My birthday is on May {place + 3}.", "name": "Clara"}
    mem.add([said], user_id="ana", session_id="s")


def derived(mem: MemOS, place: int) -> None:
    """Something that looks open, and was made from something that is not."""
    source = mem.add(f"Swordfish {place}.", user_id="ana").ids[0]
    mem.add("Mint tea, says the swordfish.", user_id="ana", tags=["open"], parents=[source])


def deleted(mem: MemOS, place: int) -> None:
    """Something that is gone."""
    mem.delete(mem.add(f"Der Hund mag Tee. Mint tea, {place}!", user_id="ana").ids[0], user_id="ana")


WORLDS: list[Hidden] = [note, speakers, german, days, derived, deleted]


def seen_by_eve(folder: Path, adapter: str, hidden: Hidden, embedder: object, times: str) -> list[str]:
    """Everything that Eve is told in a world, with the names of her ids in the order in which she meets them."""
    clock, ids = FrozenClock(), SequentialIds()
    doubles: Any = {"store": MemoryStore(), "blobs": MemoryBlobs()} if adapter == "memory" else {}
    with MemOS(folder, clock=clock, new_id=ids, embedder=embedder, **doubles) as mem:  # type: ignore[arg-type]
        mem.share(to=EVE, filters={"tags": "open"}, name="open", user_id="ana")
        for place, one in enumerate(OPEN):
            clock.advance(MINUTE)
            hidden(mem, place)
            clock.now = FrozenClock().now + 10 * (place + 1) * MINUTE
            mem.add(**one, user_id="ana", tags=["open"])
        clock.now = FrozenClock().now + 100 * MINUTE
        now = clock()
        windows: dict[str, dict[str, Any]] = {
            "now": {},
            "then": {"known_at": now},
            "valid": {"valid_at": now},
            "vault": {"states": ["generated", "activated", "archived"]},
        }
        window = windows[times]
        eve = mem.bind(user_id="eve")
        looks = [strike(eve, "search", query=one, namespaces=ANA, **window) for one in QUESTIONS]
        listed = strike(eve, "list", namespaces="*", episodes=True, limit=2, **window)
        return [_without_ids(told(look.result), look.result) for look in (*looks, listed)]


def _without_ids(text: str, result: Any) -> str:
    cubes = [getattr(hit, "cube", hit) for hit in result]
    for cube in sorted(cubes, key=lambda one: str(one.text)):
        text = text.replace(cube.id, cube.text)
    return text


@pytest.mark.parametrize("hidden", WORLDS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("times", ["now", "then", "valid", "vault"])
def test_a_search_by_words_tells_two_worlds_not_apart(tmp_path: Path, adapter: str, hidden: Hidden, times: str) -> None:
    empty, full = (seen_by_eve(tmp_path / one.__name__, adapter, one, "none", times) for one in (silence, hidden))

    assert empty == full


@pytest.mark.parametrize("hidden", WORLDS, ids=lambda one: one.__name__)
def test_a_search_by_meaning_tells_two_worlds_not_apart(tmp_path: Path, hidden: Hidden) -> None:
    empty, full = (
        seen_by_eve(tmp_path / one.__name__, "sqlite", one, HashingEmbedder(), "now") for one in (silence, hidden)
    )

    assert empty == full


def test_two_rules_that_python_calls_equal_show_each_their_own_part(tmp_path: Path) -> None:
    """1 equals True, but not to a filter."""
    with MemOS(tmp_path / "home", clock=FrozenClock(), embedder="none") as mem:
        for text, level in (("tea, a number", 1), ("tea, a flag", True)):
            mem.add(text, user_id="ana", metadata={"level": level})
        mem.share(to="users/bo", filters={"metadata.level": 1}, user_id="ana", name="number")
        mem.share(to=EVE, filters={"metadata.level": True}, user_id="ana", name="flag")

        for who, text in (("bo", "tea, a number"), ("eve", "tea, a flag"), ("bo", "tea, a number")):
            found = mem.bind(user_id=who).search("tea", namespaces=ANA)
            assert [text] == [hit.cube.text for hit in found]


def test_a_mask_follows_what_changes_under_it(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home", clock=FrozenClock(), embedder="none") as mem:
        mem.share(to=EVE, filters={"tags": "open"}, user_id="ana")
        eve, ana = mem.bind(user_id="eve"), mem.bind(user_id="ana")
        id = ana.add("Tea.", tags=["open"]).ids[0]

        def seen() -> list[str]:
            return [hit.cube.text for hit in eve.search("tea milk", namespaces=ANA)]

        assert ["Tea."] == seen()
        ana.update(id, tags=["closed"])
        assert [] == seen()
        ana.update(id, "Tea with milk.", tags=["open"])
        assert ["Tea with milk."] == seen()
        ana.delete(id)
        assert [] == seen()
        ana.restore(id)
        assert ["Tea with milk."] == seen()


def test_the_numbers_of_a_history_count_nothing_that_is_hidden(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home", clock=FrozenClock(), embedder="none") as mem:
        ana = mem.bind(user_id="ana")
        ids = []
        for noise in (0, 7):
            id = ana.add("Tea.", tags=["open"]).ids[0]
            for n in range(noise):
                ana.add(f"A secret, {n}.")
            ana.update(id, "Tea with milk.")
            ids.append(id)
        mem.share(to=EVE, filters={"tags": "open"}, user_id="ana")

        one, other = ([(r.seq_from, r.seq_to) for r in mem.bind(user_id="eve").history(id)] for id in ids)

        assert one == other
        assert [(r.seq_from, r.seq_to) for r in ana.history(ids[0])] != [
            (r.seq_from, r.seq_to) for r in ana.history(ids[1])
        ]
