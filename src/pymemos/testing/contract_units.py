"""Contract of the units of work: whole or not at all, snapshots, threads, and the life of a store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from pymemos.errors import NestedWrite, StoreClosed, StoreError
from pymemos.ports import Namespace, Store, TermWeights, WriteUnit
from pymemos.testing.acts import add, change, current, found, ids_of, remove, select
from pymemos.testing.builders import ANA, EVERYTHING, a_job, a_row, a_vector, an_audit_record, an_entry, the_next
from pymemos.testing.doubles import WHEN

BO = "users/bo"
MICROSECOND = timedelta(microseconds=1)


class Deliberate(Exception):
    """What a closure raises on purpose."""


class UnitsContract:
    """What ``Store.read`` and ``Store.write`` promise, and ``WriteUnit.advance``."""

    def test_an_empty_store_holds_nothing(self, store: Store) -> None:
        with store.read() as unit:
            assert unit.namespace(ANA) is None
            assert unit.namespaces() == []
            assert unit.page(EVERYTHING, limit=10) == []
            assert unit.count(EVERYTHING) == 0
            assert unit.match(["lisbon"], EVERYTHING, limit=10, weights=TermWeights()) == []
            assert unit.vectors(ANA) == []
            assert unit.blobs() == set()
            assert unit.last_turn(ANA, None) is None
            assert unit.next_due() is None
            assert unit.jobs() == []

    def test_unknown_ids_give_nothing(self, store: Store) -> None:
        with store.read() as unit:
            assert unit.owner_of("nobody") is None
            assert unit.current(["nobody"]) == []
            assert unit.versions("nobody") == []
            assert unit.text("nobody") is None
            assert unit.followers("nobody") == []
            assert unit.edges("nobody") == []
            assert unit.job("nobody") is None
            assert unit.replayed("nobody", "key") is None
            assert unit.audit_tail("nobody") is None
            assert unit.setting("nothing") is None

    def test_write_gives_what_the_closure_returns(self, store: Store) -> None:
        assert store.write(lambda unit: "the result") == "the result"

    def test_a_write_is_visible_to_the_next_read(self, store: Store) -> None:
        entry = an_entry()

        add(store, entry)

        assert ids_of(select(store)) == [entry.cube.id]

    def test_a_closure_sees_its_own_writes(self, store: Store) -> None:
        entry = an_entry("Lisbon", text=a_row("lisbon"))

        def work(unit: WriteUnit) -> tuple[int, int, int]:
            unit.advance(ANA, WHEN)
            unit.insert(entry)
            matches = unit.match(["lisbon"], EVERYTHING, limit=10, weights=TermWeights())
            return len(unit.current([entry.cube.id])), unit.count(EVERYTHING), len(matches)

        assert store.write(work) == (1, 1, 1)

    def test_a_closure_that_raises_changes_nothing(self, store: Store) -> None:
        kept, other = an_entry("kept", vectors=[a_vector(1.0)]), an_entry("other")
        add(store, kept)
        with store.read() as unit:
            before = (unit.namespaces(), unit.page(EVERYTHING, limit=10), unit.vectors(ANA))

        def work(unit: WriteUnit) -> None:
            unit.advance(ANA, WHEN + timedelta(hours=1))
            unit.advance(BO, WHEN)
            unit.insert(other)
            unit.supersede(the_next(kept))
            unit.use([kept.cube.id], WHEN)
            unit.enqueue(a_job(id="j"))
            unit.append_audit(an_audit_record())
            unit.set_setting("analysis", "2")
            raise Deliberate

        with pytest.raises(Deliberate):
            store.write(work)
        with store.read() as unit:
            assert (unit.namespaces(), unit.page(EVERYTHING, limit=10), unit.vectors(ANA)) == before
            assert len(unit.versions(kept.cube.id)) == 1
            assert unit.text(other.cube.id) is None
            assert (unit.job("j"), unit.audit_tail(ANA), unit.setting("analysis")) == (None, None, None)

    def test_a_store_works_on_after_a_closure_that_raised(self, store: Store) -> None:
        def work(unit: WriteUnit) -> None:
            unit.advance(ANA, WHEN)
            raise Deliberate

        with pytest.raises(Deliberate):
            store.write(work)

        assert add(store, an_entry()).seq == 1

    def test_a_write_inside_a_write_is_refused_and_undoes_the_outer_one(self, store: Store) -> None:
        def work(unit: WriteUnit) -> None:
            unit.set_setting("outer", "1")
            store.write(lambda inner: inner.set_setting("inner", "1"))

        with pytest.raises(NestedWrite):
            store.write(work)
        with store.read() as unit:
            assert (unit.setting("outer"), unit.setting("inner")) == (None, None)

    def test_a_read_inside_a_write_sees_what_was_committed(self, store: Store) -> None:
        def work(unit: WriteUnit) -> str | None:
            unit.set_setting("name", "new")
            with store.read() as snapshot:
                return snapshot.setting("name")

        assert store.write(work) is None

    def test_a_snapshot_does_not_see_later_writes(self, store: Store) -> None:
        first, second = an_entry("first", vectors=[a_vector(1.0)]), an_entry("second")
        add(store, first)

        with store.read() as snapshot:
            before = (snapshot.namespace(ANA), snapshot.page(EVERYTHING, limit=10), snapshot.vectors(ANA))
            add(store, second)
            change(store, the_next(first))
            remove(store, second.cube.id)
            after = (snapshot.namespace(ANA), snapshot.page(EVERYTHING, limit=10), snapshot.vectors(ANA))

        assert after == before
        assert found(store) == ["Ana moved to Porto."]

    def test_writers_in_many_threads_lose_nothing(self, store: Store) -> None:
        entries = [[an_entry(f"{thread}/{n}") for n in range(10)] for thread in range(6)]

        with ThreadPoolExecutor(6) as pool:
            stamps = list(pool.map(lambda mine: [add(store, entry) for entry in mine], entries))

        assert len(select(store)) == 60
        assert sorted(stamp.seq for mine in stamps for stamp in mine) == list(range(1, 61))
        assert len({stamp.at for mine in stamps for stamp in mine}) == 60

    def test_the_failure_of_one_thread_leaves_the_writes_of_others(self, store: Store) -> None:
        start = threading.Barrier(8)

        def work(n: int) -> bool:
            def closure(unit: WriteUnit) -> None:
                unit.set_setting(f"n{n}", "1")
                if n % 2:
                    raise Deliberate

            start.wait()
            try:
                store.write(closure)
            except Deliberate:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(work, range(8)))

        with store.read() as unit:
            assert [unit.setting(f"n{n}") == "1" for n in range(8)] == done == [True, False] * 4

    def test_readers_beside_a_writer_see_whole_units_only(self, store: Store) -> None:
        stop = threading.Event()

        def read() -> set[int]:
            seen = set()
            while not stop.is_set():
                with store.read() as unit:
                    seen.add(unit.count(EVERYTHING) % 2)
            return seen

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for n in range(15):
                    add(store, an_entry(f"{n}a"), an_entry(f"{n}b"))
            finally:
                stop.set()

        assert all(reader.result() <= {0} for reader in readers)

    def test_advance_raises_the_seq_once_per_unit(self, store: Store) -> None:
        def work(unit: WriteUnit) -> tuple[int, int]:
            return unit.advance(ANA, WHEN).seq, unit.advance(ANA, WHEN + timedelta(days=1)).seq

        assert store.write(work) == (1, 1)
        assert store.write(work) == (2, 2)

    def test_advancing_again_in_a_unit_gives_the_same_time_and_fresh_totals(self, store: Store) -> None:
        def work(unit: WriteUnit) -> None:
            first = unit.advance(ANA, WHEN)
            unit.insert(an_entry(text=a_row("a b c")))
            again = unit.advance(ANA, WHEN + timedelta(days=1))

            assert (again.seq, again.at) == (first.seq, first.at) == (1, WHEN)
            assert (first.memories, first.words) == (0, 0)
            assert (again.memories, again.words) == (1, 3)

        store.write(work)

    def test_the_time_of_a_unit_is_later_than_the_last_even_where_the_clock_stepped_back(self, store: Store) -> None:
        times = [WHEN, WHEN, WHEN - timedelta(days=1), WHEN + timedelta(days=1)]

        stamps = [_advance(store, at).at for at in times]

        assert stamps == [WHEN, WHEN + MICROSECOND, WHEN + 2 * MICROSECOND, WHEN + timedelta(days=1)]

    def test_namespaces_advance_on_their_own(self, store: Store) -> None:
        add(store, an_entry(), at=WHEN + timedelta(days=1))

        stamp = add(store, an_entry(namespace=BO))

        assert (stamp.seq, stamp.at) == (1, WHEN)
        with store.read() as unit:
            assert [(each.name, each.seq) for each in unit.namespaces()] == [(ANA, 1), (BO, 1)]

    def test_writing_a_version_without_having_advanced_is_refused(self, store: Store) -> None:
        entry = an_entry()
        with pytest.raises(StoreError):
            store.write(lambda unit: unit.insert(entry))

        add(store, entry)

        with pytest.raises(StoreError):
            store.write(lambda unit: unit.supersede(the_next(entry)))
        with pytest.raises(StoreError):
            store.write(lambda unit: unit.retire(entry.cube.id))
        assert len(select(store)) == 1

    def test_advancing_another_namespace_is_not_enough(self, store: Store) -> None:
        def work(unit: WriteUnit) -> None:
            unit.advance(BO, WHEN)
            unit.insert(an_entry())

        with pytest.raises(StoreError):
            store.write(work)

    def test_a_closed_store_says_so_and_closes_twice(self, store: Store) -> None:
        store.close()
        store.close()

        with pytest.raises(StoreClosed):
            store.write(lambda unit: None)
        with pytest.raises(StoreClosed), store.read():
            pass
        with pytest.raises(StoreClosed):
            store.check()

    def test_closing_inside_a_write_is_refused_and_undoes_it(self, store: Store) -> None:
        def work(unit: WriteUnit) -> None:
            unit.set_setting("name", "1")
            store.close()

        with pytest.raises(NestedWrite, match="closed inside a write"):
            store.write(work)
        with store.read() as unit:
            assert unit.setting("name") is None

    def test_writers_and_readers_beside_a_close_are_told_so(self, store: Store) -> None:
        begun, told = threading.Barrier(7), list[type[Exception]]()

        def use(n: int) -> None:
            begun.wait()
            try:
                while True:
                    if n % 2:
                        store.write(lambda unit: unit.set_setting("name", str(n)))
                    else:
                        with store.read() as unit:
                            unit.setting("name")
            except StoreError as error:
                told.append(type(error))

        with ThreadPoolExecutor(6) as pool:
            users = [pool.submit(use, n) for n in range(6)]
            begun.wait()
            store.close()
            for user in users:
                user.result()

        assert told == [StoreClosed] * 6

    def test_the_check_of_a_sound_store_finds_nothing_wrong(self, store: Store) -> None:
        entry, other = an_entry(vectors=[a_vector(1.0)]), an_entry()
        add(store, entry, other)
        change(store, the_next(entry, vectors=[a_vector(2.0)]))
        remove(store, other.cube.id)
        store.write(lambda unit: unit.append_audit(an_audit_record()))

        findings = store.check()

        assert findings
        assert [finding for finding in findings if not finding.ok] == []

    def test_a_sound_store_is_found_sound_however_often_it_changes_in_between(self, store: Store) -> None:
        for words in ("lisbon", "porto lisbon", "porto"):
            entry = an_entry(text=a_row(words))
            add(store, entry)
            assert [finding for finding in store.check() if not finding.ok] == []
            remove(store, entry.cube.id)
            assert [finding for finding in store.check() if not finding.ok] == []

    def test_words_and_memories_count_the_current_rows(self, store: Store) -> None:
        entry, other = an_entry(text=a_row("a b", context="c", facets="d")), an_entry(text=a_row("e"))
        add(store, entry, other)
        with store.read() as unit:
            full = unit.namespace(ANA)
        change(store, the_next(entry, text=a_row("a")))
        remove(store, other.cube.id)
        with store.read() as unit:
            less = unit.namespace(ANA)

        assert full is not None
        assert (full.memories, full.words) == (2, 5)
        assert less is not None
        assert (less.memories, less.words) == (1, 1)
        assert current(store, other.cube.id) is None


def _advance(store: Store, at: datetime) -> Namespace:
    return store.write(lambda unit: unit.advance(ANA, at))
