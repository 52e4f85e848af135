"""Contract of what a search keeps in memory: it can be brought forward from any seq, and scores as ``match`` does."""

from __future__ import annotations

import struct

import pytest

from pymemos.cube.call import Selection
from pymemos.ports import Change, Store, WriteUnit
from pymemos.testing.acts import PLAIN, add, change, remove
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

        assert told.record is not None
        assert (told.record.cube, told.seq, told.length) == (entry.cube, 1, 2)
        assert told.vectors == ((0, one.values), (1, two.values))
        assert other.vectors == none.vectors == ()

    def test_only_what_changed_after_a_seq_is_told(self, store: Store) -> None:
        tea, mint = an_entry("tea"), an_entry("mint")
        add(store, tea)
        add(store, mint)

        assert self._contents(store, since=0) == ["tea", "mint"]
        assert self._contents(store, since=1) == ["mint"]
        assert self._contents(store, since=2) == []

    def test_a_next_version_is_told_under_the_same_key(self, store: Store) -> None:
        tea = an_entry("tea", vectors=[a_vector(1.0)])
        add(store, tea)
        [before] = self._changes(store)
        change(store, the_next(tea, "mint tea"))

        [after] = self._changes(store, since=1)

        assert (after.key, after.seq) == (before.key, 2)
        assert after.record is not None
        assert after.record.cube.text == "mint tea"
        assert after.vectors == ()

    def test_a_deleted_memory_is_told_as_gone(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)
        [before] = self._changes(store)
        remove(store, tea.cube.id)

        assert self._changes(store, since=1) == [Change(key=before.key, seq=2, record=None)]

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

    def test_scores_are_those_of_match_with_the_words_as_bits(self, store: Store) -> None:
        add(
            store,
            an_entry("a", text=a_row("tea mint")),
            an_entry("b", text=a_row("mint", context="tea")),
            an_entry("c", text=a_row("coffee")),
        )

        with store.read() as unit:
            scores = unit.scores(["tea", "mint", "tea"], ANA, weights=PLAIN)
            matches = unit.match(["tea", "mint"], Selection(namespaces=(ANA,)), limit=9, weights=PLAIN)
            records = unit.keyed(scores.keys)

        told = {r.cube.text: (s, w) for r, s, w in zip(records, scores.scores, scores.words, strict=True)}
        assert {text: words for text, (_, words) in told.items()} == {"a": 0b11, "b": 0b11}
        for match in matches:
            assert told[match.record.cube.text][0] == pytest.approx(match.score)

    def test_an_unknown_namespace_has_no_changes_and_no_scores(self, store: Store) -> None:
        with store.read() as unit:
            assert unit.changes("users/nobody") == []
            assert unit.scores(["tea"], "users/nobody", weights=PLAIN).keys == []

    def test_keys_are_those_of_the_current_memories_that_a_selection_admits(self, store: Store) -> None:
        add(store, an_entry("tea", session="s1"), an_entry("mint", session="s2"))

        with store.read() as unit:
            keys = unit.keys(Selection(namespaces=(ANA,), session="s2"))
            assert [record.cube.text for record in unit.keyed(keys)] == ["mint"]

    def test_records_come_in_the_order_of_the_keys(self, store: Store) -> None:
        add(store, an_entry("tea"), an_entry("mint"))

        with store.read() as unit:
            first, second = (told.key for told in unit.changes(ANA))
            assert [record.cube.text for record in unit.keyed([second, first])] == ["mint", "tea"]

    def _changes(self, store: Store, since: int = 0) -> list[Change]:
        with store.read() as unit:
            return unit.changes(ANA, since=since, embedder=a_vector(1.0).embedder)

    def _contents(self, store: Store, since: int) -> list[str]:
        return [told.record.cube.text for told in self._changes(store, since) if told.record is not None]
