"""What the writing connection remembers between transactions, held to the truth after writes that went wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from pymemos.adapters.sqlite import SqliteStore
from pymemos.adapters.sqlite.migrations import scripts
from pymemos.cube.header import SemanticType
from pymemos.cube.policy import RuleChange
from pymemos.errors import NewerFormat, StoreError
from pymemos.ports import Entry, WriteUnit
from pymemos.testing.acts import add, found, remove, search
from pymemos.testing.builders import ANA, a_row, an_audit_record, an_entry
from pymemos.testing.doubles import WHEN
from pymemos.testing.faults import Faults


@pytest.fixture
def faults() -> Iterator[Faults]:
    faults = Faults()
    yield faults
    faults.unregister()


@pytest.fixture
def store(tmp_path: Path, faults: Faults) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "home", vfs=faults.name)
    yield store
    store.close()


def a_message(content: str) -> Entry:
    return an_entry(content, text=a_row(content), session="s", semantic_type=SemanticType.MESSAGE)


def newest(unit: WriteUnit) -> str | None:
    turn = unit.last_turn(ANA, "s")
    return None if turn is None else turn.cube.text


def talk(unit: WriteUnit, *contents: str) -> None:
    """Write messages and all that goes with them."""
    unit.advance(ANA, WHEN)
    unit.insert_all([a_message(content) for content in contents])
    tail = unit.audit_tail(ANA)
    unit.append_audit(an_audit_record(n=tail.n + 1 if tail else 1))
    unit.set_setting("last", contents[-1])


def test_a_closure_goes_on_after_an_insertion_that_was_refused(store: SqliteStore) -> None:
    known = a_message("known")
    add(store, known)

    def work(unit: WriteUnit) -> str | None:
        unit.advance(ANA, WHEN)
        with pytest.raises(StoreError, match="in the store already"):
            unit.insert_all([a_message("half"), known])
        before = newest(unit)
        unit.insert(a_message("later"))
        return before

    assert store.write(work) == "half"
    assert store.write(newest) == "later"
    assert found(store) == ["half", "known", "later"]
    assert stamped(store)


def test_two_stores_that_write_in_turns_know_what_the_other_did(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "home")) as one, closing(SqliteStore(tmp_path / "home")) as other:
        for number in range(25):
            add(one, *(a_message(f"one {number}.{n}") for n in range(1 + number % 3)))
            assert stamped(other)
            add(other, a_message(f"other {number}"))
            assert stamped(one)
            for store in (one, other):
                rule = RuleChange(id=f"{id(store)} {number}", namespace=ANA, name="p", at=WHEN, author=ANA)
                written = store.write(lambda unit, rule=rule: unit.put_rule(rule))
                assert {each.write(lambda unit: unit.last_rule_change()) for each in (one, other)} == {written}

        assert len(search(one, "one", limit=100)) == sum(1 + number % 3 for number in range(25))
        assert len(search(other, "other", limit=100)) == 25
        assert [finding for finding in one.check() if not finding.ok] == []


def test_what_waits_for_the_index_is_known_where_another_store_indexed_it(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "home")) as one, closing(SqliteStore(tmp_path / "home")) as other:
        entries = [a_message(f"tram {number}") for number in range(20)]
        add(one, entries[0])
        for entry in entries[1:]:
            add(other, entry)

        remove(one, entries[3].cube.id)

        assert [finding for finding in one.check() if not finding.ok] == []
        assert len(search(one, "tram", limit=100)) == 19


def test_what_waits_for_the_index_still_does_where_its_indexing_was_undone(store: SqliteStore) -> None:
    first, *others = (a_message(f"tram {number}") for number in range(20))
    add(store, first)

    def work(unit: WriteUnit) -> None:
        unit.advance(ANA, WHEN)
        unit.insert_all(others)
        raise KeyError

    with pytest.raises(KeyError):
        store.write(work)
    remove(store, first.cube.id)

    assert [finding for finding in store.check() if not finding.ok] == []
    assert search(store, "tram") == []


def test_a_store_that_a_newer_pymemos_migrated_meanwhile_is_not_written(store: SqliteStore, tmp_path: Path) -> None:
    add(store, a_message("before"))
    newer = apsw.Connection(str(tmp_path / "home" / "store.db"))
    newer.pragma("user_version", max(scripts()) + 1)
    newer.close()

    with pytest.raises(NewerFormat, match="upgrade pymemos"):
        add(store, a_message("after"))


def stamped(store: SqliteStore) -> bool:
    """Whether the writer knows a namespace as it is."""
    with store.read() as unit:
        before = unit.namespace(ANA)
    stamp = store.write(lambda unit: unit.advance(ANA, WHEN))
    with store.read() as unit:
        assert unit.namespace(ANA) == stamp
    return before is None or (stamp.seq, stamp.words) == (before.seq + 1, before.words)


def broken_disk(faults: Faults) -> None:
    faults.fail("xWrite", nth=2_000)


def full_disk(faults: Faults) -> None:
    faults.disk_full(6 << 20)


def failing_sync(faults: Faults) -> None:
    faults.fail("xSync")


@pytest.mark.parametrize("happens", [broken_disk, full_disk, failing_sync])
@pytest.mark.parametrize("others", [0, 2])
def test_what_follows_a_large_write_that_the_disk_failed_is_right(
    store: SqliteStore, faults: Faults, happens: Callable[[Faults], None], others: int
) -> None:
    def large(unit: WriteUnit) -> None:
        talk(unit, *(f"{n} " * 100_000 for n in range(80)))  # more than the cache holds, so it is written in between

    store.write(lambda unit: talk(unit, "before"))
    happens(faults)

    told = together(store, large, *(lambda unit, n=n: talk(unit, f"other {n}") for n in range(others)))
    faults.heal()
    store.write(lambda unit: talk(unit, "after"))

    assert isinstance(told[0], StoreError)
    kept = [f"other {n}" for n in range(others) if told[n + 1] is None]
    assert found(store) == sorted(["after", "before", *kept])
    assert store.write(newest) == "after"
    assert store.write(lambda unit: unit.setting("last")) == "after"
    assert stamped(store)
    assert [finding for finding in store.check() if not finding.ok] == []


def together(store: SqliteStore, *works: Callable[[WriteUnit], None]) -> list[StoreError | None]:
    """Write from a thread each, all queued while the turn is taken; the errors that they got."""
    gate = threading.Event()

    def told(work: Callable[[WriteUnit], None]) -> StoreError | None:
        try:
            store.write(work)
        except StoreError as error:
            return error
        return None

    with ThreadPoolExecutor(len(works) + 1) as pool:
        pool.submit(store.write, lambda unit: gate.wait())
        results = []
        for work in works:
            time.sleep(0.05)  # so that they are queued in their order
            results.append(pool.submit(told, work))
        time.sleep(0.05)
        gate.set()
        return [result.result() for result in results]
