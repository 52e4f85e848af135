"""Contract of erasure: what is erased is unknown to every method, never comes back, and took along what told of it."""

from __future__ import annotations

import struct
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from pymemos.cube.call import Selection
from pymemos.cube.cube import Parent
from pymemos.cube.erasure import Counts, Derived, Phase, Receipt
from pymemos.cube.filters import parse
from pymemos.cube.header import SemanticType, State
from pymemos.cube.life import StateChange
from pymemos.cube.payload import Activation, ModelRef
from pymemos.cube.signature import Signature
from pymemos.errors import StoreError, UnknownMemory
from pymemos.ports import BlobStore, Change, Edge, Entry, Replay, Store, WriteUnit
from pymemos.testing.acts import add, change, found, remove, search, use, versions
from pymemos.testing.builders import ANA, a_cube, a_row, a_vector, an_entry, the_next
from pymemos.testing.doubles import WHEN

BO = "users/bo"
HOUR = timedelta(hours=1)


def a_receipt(id: str = "erasure 1", namespace: str = ANA, **fields: Any) -> Receipt:
    """A receipt that waits."""
    usual = {"at": WHEN, "by": namespace, "asked": {"id": "x"}, "phase": Phase.PENDING}
    return Receipt(id=id, namespace=namespace, **{**usual, **fields})


def erase(
    store: Store, *entries: Entry, receipt: Receipt | None = None, at: Any = WHEN, namespaces: tuple[str, ...] = ()
) -> tuple[Counts, list[str]]:
    """Erase memories in one unit."""
    kept = receipt or a_receipt()

    def work(unit: WriteUnit) -> tuple[Counts, list[str]]:
        for name in dict.fromkeys([*(entry.cube.namespace for entry in entries), *namespaces]):
            unit.advance(name, at)
        unit.put_receipt(kept)
        return unit.erase([entry.cube.id for entry in entries], kept.id)

    return store.write(work)


def _sign(store: Store, entry: Entry, signature: Signature) -> None:
    store.write(lambda unit: unit.put_signatures(entry.cube.id, [signature]))


def a_message(words: str, behind: Entry | None = None, context: str = "", **declared: Any) -> Entry:
    """A turn, with words of the one before it."""
    text = a_row(words, context=context, context_of=None if behind is None else behind.cube.id)
    return an_entry(words, text=text, semantic_type=SemanticType.MESSAGE, **declared)


def made_from(content: str, *sources: Entry, namespace: str = ANA) -> Entry:
    """A memory with sources, and its edges."""
    pins = tuple(
        Parent(id=one.cube.id, version=one.cube.version, content_hash=one.cube.content_hash) for one in sources
    )
    cube = a_cube(content, namespace, parents=pins)
    edges = [Edge(source=cube.id, kind="derived_from", target=pin.id) for pin in pins]
    return an_entry(cube=cube, edges=edges)


class ErasureContract:
    """What every ``Store`` does with what is to be forgotten."""

    def test_a_store_that_keeps_what_was_made_of_an_erased_memory_is_sound(self, store: Store) -> None:
        source = an_entry("tea")
        made = made_from("made of tea", source)
        add(store, source, made)

        erase(store, source)

        assert [finding for finding in store.check() if not finding.ok] == []
        with store.read() as unit:
            assert unit.edges(made.cube.id) == []

    # What is unknown afterwards.

    def test_an_erased_memory_is_unknown_to_every_read(self, store: Store) -> None:
        tea, other = an_entry("tea", vectors=[a_vector(1.0, 2.0)]), an_entry("coffee")
        add(store, tea, other)
        change(store, the_next(tea, "mint tea"))

        erase(store, tea)

        id = tea.cube.id
        with store.read() as unit:
            assert unit.owner_of(id) is None
            assert (unit.current([id]), unit.versions(id), unit.lives_of([id])) == ([], [], [])
            assert unit.known_ids(None, limit=10) == [other.cube.id]
            assert (unit.text(id), unit.vectors_of(id), unit.vectors(ANA)) == (None, (), [])
            assert unit.turns_around(id) == (None, None)
            assert (unit.edges(id), unit.state_changes(id)) == ([], [])
            assert unit.embedders() == {}
        assert found(store) == found(store, known_at=WHEN + HOUR) == ["coffee"]
        assert found(store, valid_at=WHEN) == ["coffee"]
        assert search(store, "tea") == search(store, "tea", known_at=WHEN) == []

    def test_who_signed_what_is_erased_is_gone_too(self, store: Store) -> None:
        tea, other = an_entry("tea"), an_entry("coffee")
        add(store, tea, other)
        for one in (tea, other):
            signature = Signature(version=one.cube.version, key="aa", signature="00")
            _sign(store, one, signature)

        erase(store, tea)

        with store.read() as unit:
            assert unit.signatures(tea.cube.id) == []
            assert len(unit.signatures(other.cube.id)) == 1

    def test_the_words_of_what_is_erased_count_nowhere(self, store: Store) -> None:
        tea, other = an_entry("tea in lisbon"), an_entry("tea at home")
        add(store, tea, other, an_entry("tea in porto"))
        with store.read() as unit:
            before = unit.postings(["tea", "lisbon"], ANA)
        erase(store, tea)

        with store.read() as unit:
            space = unit.namespace(ANA)
            assert space is not None
            assert (space.memories, space.words) == (2, 6)
            assert unit.postings(["tea", "lisbon"], ANA) == [before[0][1:], []]
        scores = [match.score for match in search(store, "tea")]
        assert scores[0] == pytest.approx(0.1823 * 2.2 / 2.2, abs=1e-3)

    def test_who_keeps_memories_in_memory_is_told(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea, an_entry("coffee"))
        with store.read() as unit:
            key = unit.changes(ANA)[0].key

        erase(store, tea)

        with store.read() as unit:
            assert unit.changes(ANA, since=1) == [Change(key=key, seq=2, cube=None)]
            assert unit.cubes([key]) == []
            [space] = unit.namespaces()
        assert (space.seq, space.wiped) == (2, 2)

    def test_a_namespace_in_which_nothing_was_erased_is_not_wiped(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea, an_entry("coffee", BO))

        erase(store, tea, namespaces=(BO,))

        with store.read() as unit:
            assert {space.name: space.wiped for space in unit.namespaces()} == {ANA: 2, BO: 0}

    def test_keys_are_never_used_again(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)
        erase(store, tea)

        add(store, an_entry("coffee"))

        with store.read() as unit:
            assert [change.key for change in unit.changes(ANA)] == [1, 2]

    # What never comes back.

    def test_an_erased_id_is_written_no_more(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)
        [record] = versions(store, tea.cube.id)
        erase(store, tea)

        with pytest.raises(StoreError):
            add(store, tea)
        with pytest.raises(StoreError):
            store.write(lambda unit: (unit.advance(ANA, WHEN), unit.adopt([record], None)))
        with pytest.raises(UnknownMemory):
            change(store, the_next(tea))
        with pytest.raises(UnknownMemory):
            store.write(lambda unit: (unit.advance(ANA, WHEN), unit.revive(the_next(tea))))
        with pytest.raises(UnknownMemory):
            remove(store, tea.cube.id)

        with store.read() as unit:
            assert unit.erased([tea.cube.id, "never there"]) == [tea.cube.id]
            assert unit.known_ids(None, limit=10) == []

    def test_a_use_that_is_told_late_is_passed_over(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)
        erase(store, tea)

        use(store, tea.cube.id)

        with store.read() as unit:
            assert unit.lives(None, limit=10) == []

    def test_what_is_unknown_or_erased_already_is_refused_and_nothing_goes(self, store: Store) -> None:
        tea, coffee = an_entry("tea"), an_entry("coffee")
        add(store, tea, coffee)
        erase(store, tea)

        for one in (tea, an_entry("never written")):
            with pytest.raises(UnknownMemory):
                erase(store, coffee, one, receipt=a_receipt("erasure 2"))

        assert found(store) == ["coffee"]

    def test_an_erasure_needs_its_receipt_and_its_namespaces(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        with pytest.raises(StoreError):
            store.write(lambda unit: (unit.advance(ANA, WHEN), unit.erase([tea.cube.id], "none")))
        with pytest.raises(StoreError):
            store.write(lambda unit: (unit.put_receipt(a_receipt()), unit.erase([tea.cube.id], "erasure 1")))

        assert found(store) == ["tea"]

    # What goes along.

    def test_everything_that_hangs_on_it_goes_and_is_counted(self, store: Store) -> None:
        tea, other = an_entry("tea", vectors=[a_vector(1.0), a_vector(2.0, part=1)]), an_entry("coffee")
        add(store, tea, other)
        change(store, the_next(tea, "mint tea", vectors=[a_vector(3.0)]))
        move = StateChange(
            id=tea.cube.id, at=WHEN, before=State.GENERATED, after=State.ACTIVATED, cause="use", author=ANA
        )

        def hang(unit: WriteUnit) -> None:
            unit.move([move])
            unit.link([Edge(source=tea.cube.id, kind="next", target=other.cube.id)])
            unit.link([Edge(source=other.cube.id, kind="next", target=tea.cube.id)])
            unit.remember(ANA, "k", Replay(digest="d", ids=("", tea.cube.id), at=WHEN))
            unit.remember(ANA, "l", Replay(digest="d", ids=(other.cube.id,), at=WHEN))

        store.write(hang)

        counts, followers = erase(store, tea)

        assert counts == Counts(memories=1, versions=2, texts=2, vectors=3, edges=2, states=1, replays=1)
        assert followers == []
        with store.read() as unit:
            assert (unit.replayed(ANA, "k"), unit.edges(other.cube.id), unit.vectors(ANA)) == (None, [], [])
            assert unit.edges(other.cube.id, reverse=True) == []
            assert unit.replayed(ANA, "l") is not None

    def test_a_deleted_memory_can_be_erased(self, store: Store) -> None:
        tea = an_entry("tea", vectors=[a_vector(1.0)])
        add(store, tea)
        remove(store, tea.cube.id)

        counts, _ = erase(store, tea)

        assert counts == Counts(memories=1, versions=1, texts=1, vectors=1)
        assert versions(store, tea.cube.id) == []

    def test_its_words_leave_the_turns_behind_it_and_their_old_versions(self, store: Store) -> None:
        question = a_message("lisbon")
        answer = a_message("saturday", question, "lisbon")
        again = a_message("sunday")
        add(store, question, answer, again)
        row = a_row("monday", context="lisbon", context_of=question.cube.id)
        change(store, the_next(answer, "monday", text=row))
        with store.read() as unit:
            words = [space.words for space in unit.namespaces()]

        counts, followers = erase(store, question)

        assert (counts.contexts, followers) == (2, [answer.cube.id])
        assert search(store, "lisbon") == search(store, "lisbon", known_at=WHEN) == []
        assert [match.record.cube.text for match in search(store, "saturday", known_at=WHEN)] == ["saturday"]
        with store.read() as unit:
            assert unit.text(answer.cube.id) == a_row("monday")
            assert unit.followers(question.cube.id) == []
            assert [space.words for space in unit.namespaces()] == [words[0] - 2]
            assert [change.key for change in unit.changes(ANA, since=2)] == [1, 2]

    def test_what_ever_was_as_a_selection_says_is_found(self, store: Store) -> None:
        tea, gone, other = an_entry("tea", tags=("hot",)), an_entry("gone", tags=("hot",)), an_entry("other", BO)
        add(store, tea, gone, other)
        change(store, the_next(tea, "cold tea", tags=("cold",)))
        remove(store, gone.cube.id)

        def ever(where: dict[str, Any] | None = None, **given: Any) -> list[str]:
            with store.read() as unit:
                return unit.ever(Selection(**given, where=None if where is None else parse(where)))

        both = [tea.cube.id, gone.cube.id]
        assert ever(namespaces=(ANA,)) == sorted(both)
        assert ever(namespaces=None) == sorted([*both, other.cube.id])
        assert ever({"tags": "hot"}, namespaces=None) == sorted(both)
        assert ever({"tags": "cold"}, namespaces=None) == both[:1]
        assert ever({"content": {"contains": "gone"}}, namespaces=(BO,)) == []
        assert ever(namespaces=None, session="s") == []

    def test_derivatives_are_found_through_all_generations_and_namespaces(self, store: Store) -> None:
        tea = an_entry("tea")
        summary = made_from("summary", tea, namespace=BO)
        report = made_from("report", summary)
        other = made_from("other", an_entry("unknown"))
        add(store, tea, summary, report, other)
        change(store, the_next(summary, "made from nothing now"))

        with store.read() as unit:
            wanted = [
                Derived(id=summary.cube.id, namespace=BO),
                Derived(id=report.cube.id, namespace=ANA),
            ]
            assert unit.derivatives([tea.cube.id]) == wanted
            assert unit.derivatives([tea.cube.id, summary.cube.id]) == wanted[1:]
            assert unit.derivatives([report.cube.id]) == []

    # Receipts.

    def test_a_receipt_is_kept_as_it_stands_and_listed_newest_first(self, store: Store) -> None:
        first, second, third = a_receipt("1"), a_receipt("2", BO), a_receipt("3")
        signed = a_receipt("1", phase=Phase.SIGNED, mac="m")
        for one in (first, second, third, signed):
            store.write(partial(self._keep, one))

        with store.read() as unit:
            assert (unit.receipt("1"), unit.receipt("x")) == (signed, None)
            assert unit.receipts(None, limit=10) == [third, second, signed]
            assert unit.receipts([ANA], limit=1) == [third]
            assert unit.receipts([ANA], limit=5, before="3") == [signed]
            assert unit.receipts([ANA], limit=5, before="x") == []

    def test_an_erasure_knows_what_it_took(self, store: Store) -> None:
        tea, coffee, water = an_entry("tea"), an_entry("coffee"), an_entry("water")
        add(store, tea, coffee, water)
        erase(store, tea, coffee)
        erase(store, water, receipt=a_receipt("erasure 2"))

        with store.read() as unit:
            assert unit.erased_by("erasure 1", limit=10) == sorted([tea.cube.id, coffee.cube.id])
            assert unit.erased_by("erasure 1", limit=10, after=tea.cube.id) == [coffee.cube.id]
            assert unit.erased_by("erasure 1", limit=1) == [tea.cube.id]
            assert unit.erased_by("none", limit=10) == []

    # Scrubbing.

    def test_scrubbing_leaves_nothing_and_may_be_repeated(self, store: Store, blobs: BlobStore) -> None:
        tea = an_entry("a cup of tea in the afternoon", vectors=[a_vector(*struct.unpack("<4f", b"0123456789abcdef"))])
        add(store, tea, an_entry("another cup of coffee"))
        change(store, the_next(tea, "mint tea"))
        erase(store, tea)

        first, again = (store.scrub("erasure 1", blobs) for _ in range(2))

        assert (first.remnants, again.remnants) == (0, 0)
        assert [finding for finding in store.check() if not finding.ok] == []
        assert [match.record.cube.text for match in search(store, "cup")] == ["another cup of coffee"]
        assert store.remnants().remnants == 0

    def test_a_store_is_whole_before_the_scrub(self, store: Store, blobs: BlobStore) -> None:
        question = a_message("lisbon")
        answer = a_message("saturday", question, "lisbon")
        add(store, question, answer)
        change(store, the_next(answer, "monday", text=a_row("monday", context="lisbon", context_of=question.cube.id)))
        erase(store, question)

        assert [finding for finding in store.check() if not finding.ok] == []

        remove(store, answer.cube.id)  # its past row is numbered beyond those that wait
        store.scrub("erasure 1", blobs)
        assert [finding for finding in store.check() if not finding.ok] == []
        assert [match.record.cube.text for match in search(store, "saturday", known_at=WHEN)] == ["saturday"]

    def test_a_blob_goes_unless_another_memory_names_it(self, store: Store, blobs: BlobStore) -> None:
        own, shared = (self._tensor(blobs, content) for content in (b"own", b"shared"))
        add(store, own, shared, self._tensor(blobs, b"shared"))

        counts, _ = erase(store, own, shared)
        assert len(blobs.names()) == 2
        store.scrub("erasure 1", blobs)

        assert counts.blobs == 2
        with store.read() as unit:
            assert blobs.names() == unit.blobs()

    def _keep(self, receipt: Receipt, unit: WriteUnit) -> None:
        unit.put_receipt(receipt)

    def _tensor(self, blobs: BlobStore, content: bytes) -> Entry:
        name, size = blobs.put(content)
        payload = Activation(form="kv", blob=name, size=size, model=ModelRef(name="m", weights="w"))
        return an_entry(cube=a_cube(payload=payload), text=a_row("tensor"))
