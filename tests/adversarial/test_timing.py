"""Family: the time that a search takes. What one hidden memory holds is not told by it; that many do is (ADR 0026)."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from tests.adversarial.world import ANA, EVE

from pymemos import MemOS
from pymemos.testing.doubles import FrozenClock

ROUNDS = 60
NOISE = 1.5  # measured 1.0 to 1.1; the words of all of 10,000 hidden memories took 5 times as long


def test_a_word_of_one_hidden_memory_takes_no_longer_than_a_word_of_none(tmp_path: Path) -> None:
    """Processor time, one after the other in each round, so that a busy machine slows both."""
    with MemOS(tmp_path / "home", clock=FrozenClock(), embedder="none") as mem:
        mem.share(to=EVE, filters={"tags": "open"}, user_id="ana")
        mem.add([{"role": "user", "content": f"A secret about swordfish, {n}."} for n in range(300)], user_id="ana")
        mem.add("One rare zanzibar.", user_id="ana")
        for n in range(10):
            mem.add(f"Tea number {n}.", user_id="ana", tags=["open"])
        eve = mem.bind(user_id="eve")
        eve.search("tea", namespaces=ANA)
        taken: dict[str, list[float]] = {"zanzibar": [], "aardvark": []}

        for _ in range(ROUNDS):
            for word, times in taken.items():
                started = time.thread_time()
                assert not [hit for hit in eve.search(word, namespaces=ANA) if "zanzibar" in hit.cube.text]
                times.append(time.thread_time() - started)

    hidden, nowhere = (median(times) for times in taken.values())
    assert 1 / NOISE < hidden / nowhere < NOISE
