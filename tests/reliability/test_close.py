"""A store that is closed under threads that use it: they are told so, and what was acknowledged or answered stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.reliability.support import Waiting, assert_sound, audited

from pymemos import MemOS
from pymemos.adapters.sqlite import SqliteStore
from pymemos.errors import StoreClosed, StoreError
from pymemos.ports import WriteUnit
from pymemos.testing.acts import select

ROUNDS = 6


def writes(unit: WriteUnit) -> None:
    unit.set_setting("written", "1")


def test_a_writer_that_waits_for_its_turn_is_told_that_the_store_was_closed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "home")
    writer = Waiting(store, "writer", writes)

    store.close()
    with (tmp_path / "other").open("wb") as other:  # takes the number that the ticket had
        writer.go_on()
        other.write(b"x")

    assert isinstance(writer.told, StoreClosed)
    reopened = SqliteStore(tmp_path / "home")
    with reopened.read() as unit:
        assert unit.setting("written") is None
    reopened.close()


def test_a_reader_may_finish_while_the_store_is_closed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "home")
    store.write(writes)

    with store.read() as unit:
        store.close()
        assert unit.setting("written") == "1"

    with pytest.raises(StoreClosed):
        select(store)


def test_closing_waits_for_a_write_that_has_begun(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "home")
    begun, closing = threading.Event(), threading.Event()

    def slow(unit: WriteUnit) -> None:
        begun.set()
        assert closing.wait(5)
        writes(unit)

    with ThreadPoolExecutor(2) as pool:
        written = pool.submit(store.write, slow)
        assert begun.wait(5)
        closed = pool.submit(store.close)
        closing.set()
        written.result(5)
        closed.result(5)

    reopened = SqliteStore(tmp_path / "home")
    with reopened.read() as unit:
        assert unit.setting("written") == "1"
    reopened.close()


@pytest.mark.parametrize("n", range(ROUNDS))
def test_closing_a_busy_system_loses_nothing_that_was_acknowledged(tmp_path: Path, n: int) -> None:
    home = tmp_path / "home"
    mem = MemOS(home)
    added: list[str] = []
    answered: list[int] = []
    told: list[StoreError] = []

    def repeat(call: Callable[[], object]) -> None:
        try:
            while True:
                call()
        except StoreError as error:
            told.append(error)

    def add() -> None:
        added.append(mem.add(f"note {len(added)}", user_id="ana").ids[0])

    def search() -> None:
        answered.append(len(mem.search("note", user_id="ana")))

    calls = [add, add, add, search, search, lambda: mem.list(user_id="ana"), mem.doctor]
    with ThreadPoolExecutor(len(calls) + 2) as pool:
        busy = [pool.submit(repeat, call) for call in calls]
        while not (len(added) > 5 * n and answered):
            threading.Event().wait(0.001)
        closing = [pool.submit(mem.close) for _ in range(2)]
        for one in closing + busy:
            one.result(30)

    assert {StoreClosed} == {type(error) for error in told}
    assert len(told) == len(calls)
    with MemOS(home) as reopened:
        assert set(added) <= {cube.id for cube in reopened.list(user_id="ana", limit=10_000).cubes}
    assert len(answered) == sum(record.operation == "search" for record in audited(home))
    assert_sound(home)


def test_a_closed_system_closes_again_after_a_call_that_came_too_late(tmp_path: Path) -> None:
    mem = MemOS(tmp_path / "home")
    mem.close()
    with pytest.raises(StoreClosed):
        mem.search("anything")

    mem.close()
