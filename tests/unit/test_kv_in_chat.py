"""KV memories in chats: what chats read again and again as text is encoded, and from then on injected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.kv_kit import opened

from pymemos import MemOS
from pymemos.ports import ChatOptions, Kv, Piece, Tokens
from pymemos.settings import Settings
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.toy_engine import ToyEngine

SEED = 1  # of a toy that does not end an answer before it has begun
FACT = "Ana is allergic to peanuts."


def chatted(mem: MemOS, times: int) -> list[dict[str, int]]:
    """The tiers of the memories in the answers to the same question, each in a session of its own."""
    ana = mem.bind(user_id="ana")
    asked = {"max_tokens": 8, "remember": False}
    return [ana.chat("Peanuts?", session_id=f"s{number}", **asked).plan.tiers for number in range(times)]


def hot(mem: MemOS, **labels: Any) -> str:
    """A memory that was used so often that it stands in every prompt."""
    [id] = mem.add(FACT, user_id="ana", **labels).ids
    for _ in range(5):
        mem.search("peanuts", user_id="ana")
    mem._api.buffer.flush()
    return id


@pytest.mark.parametrize(("after", "expected"), [(2, ["text", "text", "kv", "kv"]), (0, ["text"] * 4)])
def test_a_block_that_was_read_often_enough_is_injected(tmp_path: Path, after: int, expected: list[str]) -> None:
    settings = Settings(home=tmp_path / "home", config_dir=tmp_path / "config", kv_after_uses=after)
    with opened(tmp_path / "home", ToyEngine(window=1 << 20, seed=SEED), settings=settings) as mem:
        hot(mem)

        came = [next(iter(one)).partition("-")[0] for one in chatted(mem, 4)]

    assert came == expected


def test_a_block_that_changed_is_read_as_text_again(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", config_dir=tmp_path / "config", kv_after_uses=1)
    with opened(tmp_path / "home", ToyEngine(window=1 << 20, seed=SEED), settings=settings) as mem:
        id = hot(mem)
        assert "text" not in chatted(mem, 2)[1]

        mem.update(id, "Ana is allergic to peanuts and shellfish.")

        assert set(chatted(mem, 1)[0]) == {"text"}


class Interrupted(ToyEngine):
    """An engine during whose first answer, once it is told to, something else happens."""

    def __init__(self) -> None:
        super().__init__(window=1 << 20, seed=SEED)
        self.meddle: Callable[[], object] | None = None
        self.injected: list[int] = []  # tokens, of each answer

    def run(self, tokens: Tokens, options: ChatOptions, *, prefix: Sequence[Kv] = (), **given: Any) -> Iterator[Piece]:
        self.injected.append(sum(len(kv.tokens) for kv in prefix))
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()
        return super().run(tokens, options, prefix=prefix, **given)


ENDS: dict[str, Callable[[MemOS, str, FrozenClock], object]] = {
    "expired": lambda mem, id, clock: clock.advance(timedelta(hours=2)),
    "deleted": lambda mem, id, clock: mem.delete(id, user_id="ana"),
    "erased": lambda mem, id, clock: mem.erase(id, user_id="ana"),
    "changed": lambda mem, id, clock: mem.update(id, "Ana is allergic to nothing.", user_id="ana"),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_while_an_answer_reads_from_it_stands_in_no_answer(tmp_path: Path, end: str) -> None:
    settings = Settings(home=tmp_path / "home", config_dir=tmp_path / "config", kv_after_uses=1)
    engine, clock = Interrupted(), FrozenClock()
    with opened(tmp_path / "home", engine, settings=settings, clock=clock) as mem:
        id = hot(mem, lifespan={"ttl_s": 3_600})
        version = mem.get(id, user_id="ana").version
        chatted(mem, 2)
        engine.meddle = lambda: ENDS[end](mem, id, clock)

        reply = mem.chat("Peanuts?", user_id="ana", session_id="last", max_tokens=8)

        first, second = engine.injected[-2:]
        assert first > second
        assert 2 == reply.plan.attempts
        assert (id, version) not in [(one.id, one.version) for one in reply.plan.used]
        assert not [one for one in mem.placements() if one.locks]
