"""Contract of what a search keeps in memory: it can be brought forward from any seq, and words are found by key."""

from __future__ import annotations

import struct
from datetime import timedelta

import pytest

from pymemos.cube.call import Selection
from pymemos.ports import Change, Column, Store, WriteUnit
from pymemos.testing.acts import add, change, remove, retext
from pymemos.testing.builders import ANA, a_row, a_vector, an_entry, the_next
from pymemos.testing.doubles import WHEN


class ChangesContract:
    """What every ``Store`` tells a search."""

    def test_a_new_memory_is_a_change_with_its_length_and_the_vectors_of_the_embedder_that_is_asked_for(
        self, store: Store
    ) -> None:
        one, two = a_vector(1.0, part=0), a_vector(2.0, part=1)
        entry = an_entry("tea", text=a_row("tea mint", context="hot", facets="may"), vectors=[one, two])
        add(store, entry)

        with store.read() as unit:
            [told] = unit.changes(ANA, embedder=one.embedder)
            [other] = unit.changes(ANA, embedder="another")
            [none] = unit.changes(ANA)

        assert told.cube is not None
        assert (told.cube, told.seq, told.terms) == (entry.cube, 1, 2)
        assert told.vectors == ((0, one.values), (1, two.values))
        assert other.vectors == none.vectors == ()

    def test_only_what_changed_after_a_seq_is_told(self, store: Store) -> None:
        tea, mint = an_entry("tea"), an_entry("mint")
        add(store, tea)
        add(store, mint)

        assert self._contents(store, since=0) == ["tea", "mint"]
        assert self._contents(store, since=1) == ["mint"]
        assert self._contents(store, since=2) == []

    def test_keys_are_known_by_id_of_what_was_deleted_too(self, store: Store) -> None:
        tea, mint = an_entry("tea"), an_entry("mint")
        add(store, tea, mint)
        remove(store, tea.cube.id)
        told = {change.cube.text: change.key for change in self._changes(store) if change.cube is not None}

        with store.read() as unit:
            keys = unit.keys_of([mint.cube.id, "nobody", tea.cube.id])

        assert keys.keys() == {tea.cube.id, mint.cube.id}
        assert keys[mint.cube.id] == told["mint"]
        assert keys[tea.cube.id] < keys[mint.cube.id]

    def test_what_changed_after_a_seq_is_touched_and_nothing_else(self, store: Store) -> None:
        tea, mint, bo = an_entry("tea"), an_entry("mint"), an_entry("coffee", namespace="users/bo")
        add(store, tea, mint, bo)
        remove(store, tea.cube.id)

        with store.read() as unit:
            keys = unit.keys_of([tea.cube.id, mint.cube.id])
            assert unit.touched(ANA, since=0) == sorted((key, id) for id, key in keys.items())
            assert unit.touched(ANA, since=1) == [(keys[tea.cube.id], tea.cube.id)]
            assert unit.touched(ANA, since=2) == unit.touched("users/nobody", since=0) == []

    @pytest.mark.parametrize(("hours", "seq"), [(-1, 0), (0, 1), (0.5, 1), (1, 2), (2, 3), (2.5, 3), (9, 4)])
    def test_a_moment_has_a_seq_behind_which_lies_what_was_learnt_later(
        self, store: Store, hours: float, seq: int
    ) -> None:
        tea, mint = an_entry("tea"), an_entry("mint")
        add(store, tea, at=WHEN)
        add(store, mint, at=WHEN + timedelta(hours=1))
        change(store, the_next(tea, "mint tea"), at=WHEN + timedelta(hours=2))
        remove(store, mint.cube.id, at=WHEN + timedelta(hours=3))

        with store.read() as unit:
            assert unit.seq_at(ANA, WHEN + timedelta(hours=hours)) == seq
            assert unit.seq_at("users/nobody", WHEN) == 0

    def test_a_next_version_is_told_under_the_same_key(self, store: Store) -> None:
        tea = an_entry("tea", vectors=[a_vector(1.0)])
        add(store, tea)
        [before] = self._changes(store)
        change(store, the_next(tea, "mint tea"))

        [after] = self._changes(store, since=1)

        assert (after.key, after.seq) == (before.key, 2)
        assert after.cube is not None
        assert after.cube.text == "mint tea"
        assert after.vectors == ()

    def test_a_deleted_memory_is_told_as_gone(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)
        [before] = self._changes(store)
        remove(store, tea.cube.id)

        assert self._changes(store, since=1) == [Change(key=before.key, seq=2, cube=None)]

    def test_vectors_that_come_later_are_a_change(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        def embed(unit: WriteUnit) -> None:
            unit.advance(ANA, WHEN)
            unit.put_vectors(tea.cube.id, [a_vector(1.0)])

        store.write(embed)

        [told] = self._changes(store, since=1)
        assert told.vectors == ((0, a_vector(1.0).values),)
        with store.read() as unit:
            assert unit.embedders() == {a_vector(1.0).embedder: 1}

    def test_vectors_are_float32(self) -> None:
        assert len(a_vector(1.0).values) % struct.calcsize("<f") == 0

    def test_postings_tell_every_place_of_a_term_by_key_and_column(self, store: Store) -> None:
        add(
            store,
            an_entry("a", text=a_row("tea mint tea")),
            an_entry("b", text=a_row("mint", context="tea")),
            an_entry("c", text=a_row("coffee")),
        )

        with store.read() as unit:
            tea, mint, none = unit.postings(["tea", "mint", "sage"], ANA)
            cubes = {told.key: told.cube.text for told in unit.changes(ANA) if told.cube is not None}

        assert tea == sorted(tea)
        assert [(cubes[place >> 2], Column(place & 3)) for place in tea] == [
            ("a", Column.TERMS),
            ("a", Column.TERMS),
            ("b", Column.CONTEXT),
        ]
        assert [cubes[place >> 2] for place in mint] == ["a", "b"]
        assert none == []

    def test_a_change_counts_the_terms_of_the_text_and_of_its_row(self, store: Store) -> None:
        add(store, an_entry("a", text=a_row("tea mint tea", context="sage")))

        [told] = self._changes(store)

        assert (told.terms, told.length) == (3, 4)

    def test_a_text_that_is_indexed_anew_is_a_change(self, store: Store) -> None:
        entry = an_entry("a", text=a_row("tea mint", context="sage"))
        add(store, entry)
        [before] = self._changes(store)

        retext(store, entry.cube.id, a_row("tea mint"))

        [after] = self._changes(store, since=before.seq)
        assert (after.key, after.terms, after.length) == (before.key, 2, 2)

    def test_an_unknown_namespace_has_no_changes_and_no_postings(self, store: Store) -> None:
        with store.read() as unit:
            assert unit.changes("users/nobody") == []
            assert unit.postings(["tea", "mint"], "users/nobody") == [[], []]

    def test_keys_are_those_of_the_current_memories_that_a_selection_admits(self, store: Store) -> None:
        add(store, an_entry("tea", session="s1"), an_entry("mint", session="s2"))

        with store.read() as unit:
            keys = unit.keys(Selection(namespaces=(ANA,), session="s2"))
            assert [cube.text for cube in unit.cubes(keys)] == ["mint"]

    def test_cubes_come_in_the_order_of_the_keys(self, store: Store) -> None:
        add(store, an_entry("tea"), an_entry("mint"))

        with store.read() as unit:
            first, second = (told.key for told in unit.changes(ANA))
            assert [cube.text for cube in unit.cubes([second, first])] == ["mint", "tea"]

    def test_vectors_are_found_by_key_in_order_of_key_and_part(self, store: Store) -> None:
        first, second, other = a_vector(1.0, part=0), a_vector(2.0, part=1), a_vector(3.0)
        tea = an_entry("tea", vectors=[second, first])
        mint, sage = an_entry("mint", vectors=[other]), an_entry("sage")
        add(store, tea, mint, sage, an_entry("elsewhere", "users/bo", vectors=[a_vector(4.0)]))

        with store.read() as unit:
            one, two, three = (told.key for told in unit.changes(ANA))
            found = unit.vectors_by_key(ANA, [three, two, one, two], first.embedder)
            others = unit.vectors_by_key(ANA, [one, two], "another")
            nobodys = unit.vectors_by_key("users/nobody", [one], first.embedder)
            bos = unit.vectors_by_key("users/bo", [one, two, three], first.embedder)

        assert found == [(one, first.values), (one, second.values), (two, other.values)]
        assert others == nobodys == bos == []

    def test_vectors_by_key_are_those_of_the_snapshot(self, store: Store) -> None:
        tea = an_entry("tea", vectors=[a_vector(1.0)])
        add(store, tea)

        with store.read() as old:
            [told] = old.changes(ANA)
            change(store, the_next(tea, "mint tea", vectors=[a_vector(2.0)]))
            then = old.vectors_by_key(ANA, [told.key], a_vector(1.0).embedder)
        with store.read() as unit:
            now = unit.vectors_by_key(ANA, [told.key], a_vector(1.0).embedder)
        remove(store, tea.cube.id)
        with store.read() as unit:
            gone = unit.vectors_by_key(ANA, [told.key], a_vector(1.0).embedder)

        assert then == [(told.key, a_vector(1.0).values)]
        assert now == [(told.key, a_vector(2.0).values)]
        assert gone == []

    def _changes(self, store: Store, since: int = 0) -> list[Change]:
        with store.read() as unit:
            return unit.changes(ANA, since=since, embedder=a_vector(1.0).embedder)

    def _contents(self, store: Store, since: int) -> list[str]:
        return [told.cube.text for told in self._changes(store, since) if told.cube is not None]
