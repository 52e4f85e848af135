"""The context block: dated, grouped, prefix-stable, never over its budget."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from pymemos import MemOS


@pytest.fixture
def talkative(mem: MemOS) -> MemOS:
    for day in (1, 2, 3):
        for hour in range(4):
            mem.add(f"Note {hour} about the garden.", timestamp=f"2025-03-0{day}T0{hour}:00:00Z", user_id="ann")
    return mem


def test_each_day_has_one_heading(talkative: MemOS) -> None:
    block = talkative.search("garden", user_id="ann", limit=20).context()

    assert sorted(re.findall(r"^\[(.*)\]$", block, re.MULTILINE)) == ["2025-03-01", "2025-03-02", "2025-03-03"]
    assert len(block.memories) == 12


def test_a_smaller_block_is_the_beginning_of_a_larger_one(talkative: MemOS) -> None:
    hits = talkative.search("garden", user_id="ann", limit=20)
    blocks = [hits.context(max_tokens=budget) for budget in range(0, 200, 5)]

    assert all(larger.startswith(smaller) for smaller, larger in pairwise(blocks))


def test_a_block_is_never_over_its_budget_by_its_own_counter(talkative: MemOS) -> None:
    hits = talkative.search("garden", user_id="ann", limit=20)

    for budget in range(0, 200, 7):
        block = hits.context(max_tokens=budget)
        assert block.tokens <= budget
        assert len(block.memories) + block.left_out == 12


def test_the_caller_may_bring_a_counter_and_the_block_names_it(talkative: MemOS) -> None:
    def words(text: str) -> int:
        return len(text.split())

    block = talkative.search("garden", user_id="ann").context(max_tokens=20, counter=words)

    assert block.counter == "words"
    assert block.tokens == len(block.split()) <= 20


def test_the_best_hit_comes_first(mem: MemOS) -> None:
    mem.add("The garden is large.", timestamp="2025-03-01T00:00:00Z")
    mem.add("Tulips, tulips and more tulips in the garden.", timestamp="2025-03-02T00:00:00Z")

    assert mem.search("tulips in the garden").context(max_tokens=40).splitlines()[1].startswith("- Tulips")


def test_nothing_found_is_an_empty_block(mem: MemOS) -> None:
    block = mem.search("nothing").context(max_tokens=100)

    assert (block, block.tokens) == ("", 0)
