"""What a chat says of the adapters that it does not use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapter_kit import WHO, distilled, opened, told

from pymemos import MemOS
from pymemos.testing.doubles import FrozenClock

ASKED: dict[str, Any] = {"use_adapters": True, "remember": False, "max_tokens": 8, **WHO}
CAPITAL, HOME = "What is the capital of Zorvania?", "Where does Tarn Velk live?"


@pytest.fixture
def mem(tmp_path: Path) -> Iterator[MemOS]:
    with opened(tmp_path / "home", clock=FrozenClock()) as mem:
        yield mem


def remarks(mem: MemOS, question: str) -> list[str]:
    """What a chat says of adapters."""
    return [one for one in mem.chat(question, **ASKED).plan.remarks if "adapter" in one]


def test_one_that_is_used_needs_no_remark(mem: MemOS) -> None:
    distilled(mem, *told(mem))

    assert remarks(mem, CAPITAL) == []


def test_a_chat_says_why_a_damaged_one_is_not_used(mem: MemOS, tmp_path: Path) -> None:
    adapter = distilled(mem, *told(mem))
    [file] = tmp_path.glob("home/blobs/??/*")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-3] + b"xxx")

    [said] = remarks(mem, CAPITAL)
    assert adapter in said
    assert "not those that were stored" in said


def test_a_stale_one_is_spoken_of_where_what_it_learned_from_is_found(mem: MemOS) -> None:
    capital, *_ = told(mem)
    adapter = distilled(mem, capital)
    mem.update(capital, "The capital of Zorvania is Ostrel now.", **WHO)

    assert [one for one in remarks(mem, CAPITAL) if adapter in one]
    assert [one for one in remarks(mem, HOME) if adapter in one] == []
