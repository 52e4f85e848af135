"""KV memories in chats: what chats read again and again as text is encoded, and from then on injected."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.kv_kit import opened

from pymemos import MemOS
from pymemos.settings import Settings
from pymemos.testing.toy_engine import ToyEngine

SEED = 1  # of a toy that does not end an answer before it has begun
FACT = "Ana is allergic to peanuts."


def chatted(mem: MemOS, times: int) -> list[dict[str, int]]:
    """The tiers of the memories in the answers to the same question, each in a session of its own."""
    ana = mem.bind(user_id="ana")
    asked = {"max_tokens": 8, "remember": False}
    return [ana.chat("Peanuts?", session_id=f"s{number}", **asked).plan.tiers for number in range(times)]


def hot(mem: MemOS) -> str:
    """A memory that was used so often that it stands in every prompt."""
    [id] = mem.add(FACT, user_id="ana").ids
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
