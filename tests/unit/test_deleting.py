"""What a delete or an erasure takes: nothing by an oversight, and nothing beside what was named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pymemos import MemOS
from pymemos.cube.filters import EVERYTHING, NOTHING, parse, simplified
from pymemos.errors import EmptyScope, InvalidInput, UnknownMemory

EMPTY: list[dict[str, Any]] = [
    {},
    {"AND": []},
    {"AND": [{}, {"AND": []}]},
    {"NOT": {"OR": []}},
    {"OR": [{"tags": "x"}, {}]},
]


@pytest.mark.parametrize("filters", EMPTY)
def test_a_filter_that_excludes_nothing_is_everything(filters: dict[str, Any]) -> None:
    assert EVERYTHING == simplified(parse(filters))


def test_a_filter_that_admits_nothing_is_nothing_and_one_with_a_condition_stays() -> None:
    assert NOTHING == simplified(parse({"AND": [{"OR": []}, {"tags": "x"}]}))
    assert parse({"tags": "x"}) == simplified(parse({"AND": [{}, {"OR": [{"NOT": {}}, {"tags": "x"}]}]}))


class TestAnEmptyFilter:
    @pytest.mark.parametrize("filters", EMPTY)
    @pytest.mark.parametrize("take", [MemOS.delete, MemOS.erase])
    def test_takes_nothing_where_nobody_is_named(
        self, mem: MemOS, take: Callable[..., Any], filters: dict[str, Any]
    ) -> None:
        mem.add("Milk.")

        with pytest.raises(EmptyScope, match="name an id"):
            take(mem, filters=filters)
        assert 1 == len(mem.list())

    def test_takes_nothing_through_a_handle_that_names_nobody_in_the_call(self, mem: MemOS) -> None:
        ann = mem.bind(user_id="ann")
        ann.add("Milk.")

        with pytest.raises(EmptyScope):
            ann.delete(filters={})
        assert 1 == len(ann.list())

    def test_leaves_a_scope_that_is_named_as_it_is(self, mem: MemOS) -> None:
        made = mem.add("Milk.", user_id="ann").ids
        mem.add("Bread.")

        assert made == mem.delete(user_id="ann", filters={}).ids
        assert 1 == len(mem.list())

    def test_that_admits_nothing_deletes_nothing(self, mem: MemOS) -> None:
        mem.add("Milk.")

        assert () == mem.delete(filters={"OR": []}).ids


@pytest.mark.parametrize("take", [MemOS.delete, MemOS.erase])
class TestAnId:
    def test_of_another_session_or_agent_than_is_named_is_unknown(self, mem: MemOS, take: Callable[..., Any]) -> None:
        id = mem.add("Milk.", user_id="ann", agent_id="cook", session_id="s1").ids[0]

        for other in ({"session_id": "s2"}, {"agent_id": "gardener"}, {"agent_id": "cook", "run_id": "s2"}):
            with pytest.raises(UnknownMemory, match="name its own"):
                take(mem, id, user_id="ann", **other)
        with pytest.raises(UnknownMemory, match="session 's2'"):
            take(mem.bind(user_id="ann", session_id="s2"), id)
        assert "Milk." == mem.get(id, user_id="ann").text

    def test_of_what_is_named_goes(self, mem: MemOS, take: Callable[..., Any]) -> None:
        id = mem.add("Milk.", user_id="ann", agent_id="cook", session_id="s1").ids[0]
        take(mem, id, user_id="ann", agent_id="cook", session_id="s1")

        with pytest.raises(UnknownMemory):
            mem.get(id, user_id="ann")

    def test_goes_with_no_filter(self, mem: MemOS, take: Callable[..., Any]) -> None:
        id = mem.add("Milk.", tags=["x"]).ids[0]

        with pytest.raises(InvalidInput, match="pass one of them"):
            take(mem, id, filters={"tags": "other"})
        assert "Milk." == mem.get(id).text


def test_a_memory_that_was_deleted_is_erased_within_its_session(mem: MemOS) -> None:
    id = mem.add("Milk.", session_id="s1").ids[0]
    mem.delete(id)

    with pytest.raises(UnknownMemory):
        mem.erase(id, session_id="s2", dry_run=True)
    assert (id,) == mem.erase(id, session_id="s1").memories


def test_an_expected_version_is_of_one_memory(mem: MemOS) -> None:
    mem.add("Milk.", session_id="s1")

    with pytest.raises(InvalidInput, match="name its id"):
        mem.delete(session_id="s1", expected=7)
    assert 1 == len(mem.list())


def test_a_memory_of_another_session_is_read_and_corrected_by_its_id(mem: MemOS) -> None:
    id = mem.add("Milk.", user_id="ann", session_id="s1").ids[0]
    later = mem.bind(user_id="ann", session_id="s2")
    later.update(id, "Bread.")

    assert "Bread." == later.get(id).text
