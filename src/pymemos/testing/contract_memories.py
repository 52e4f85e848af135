"""Contract of memories: versions, and what is written, moved and read with them."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from pymemos.cube.call import Selection
from pymemos.cube.header import MANIFESTS, Behaviour, SemanticType
from pymemos.cube.payload import Activation, ModelRef, Parametric
from pymemos.errors import StoreError, UnknownMemory
from pymemos.ports import Edge, Entry, Namespace, ReadUnit, Record, Store, StoredVector, TextRow, Vector, WriteUnit
from pymemos.testing.acts import add, change, current, found, ids_of, remove, retext, search, select, versions
from pymemos.testing.builders import ANA, EVERYTHING, a_cube, a_row, a_vector, an_entry, the_next
from pymemos.testing.doubles import WHEN

BO = "users/bo"
HOUR = timedelta(hours=1)


class MemoriesContract:
    """What the methods of the units promise that write and read single memories."""

    # ── Versions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_an_inserted_memory_comes_back_as_it_was_written(self, store: Store) -> None:
        entry = an_entry(tags=("home",), metadata={"n": [1, 2.5, None]}, valid_to=WHEN + HOUR)

        stamp = add(store, entry)

        expected = Record(
            cube=entry.cube, seq_from=1, known_from=stamp.at, valid_from=entry.valid_from, valid_to=entry.valid_to
        )
        assert versions(store, entry.cube.id) == [expected]
        assert current(store, entry.cube.id) == expected
        assert select(store) == [expected]

    def test_fields_of_a_newer_writer_survive_the_store(self, store: Store) -> None:
        cube = msgspec.structs.replace(a_cube(extra={"mood": {"k": [1]}}), extra={"sealed": True})

        add(store, an_entry(cube=cube))

        assert [record.cube for record in versions(store, cube.id)] == [cube]

    def test_inserting_an_id_twice_is_refused(self, store: Store) -> None:
        entry = an_entry()
        add(store, entry)
        with pytest.raises(StoreError):
            add(store, entry)

        remove(store, entry.cube.id)

        with pytest.raises(StoreError):
            add(store, entry)

    def test_superseding_closes_the_old_version_where_the_new_one_begins(self, store: Store) -> None:
        entry = an_entry("Lisbon")
        after = the_next(entry, "Porto", valid_from=WHEN + HOUR)
        add(store, entry)

        stamp = change(store, after, at=WHEN + 2 * HOUR)

        old, new = versions(store, entry.cube.id)
        assert (old.cube.text, old.seq_from, old.seq_to, old.known_to) == ("Lisbon", 1, 2, stamp.at)
        assert (old.valid_from, old.valid_to, old.retired) == (WHEN, WHEN + HOUR, None)
        assert (new.cube, new.seq_from, new.seq_to) == (after.cube, 2, None)
        assert (new.known_from, new.known_to, new.valid_from, new.valid_to) == (stamp.at, None, WHEN + HOUR, None)
        assert current(store, entry.cube.id) == new
        assert found(store) == ["Porto"]

    @pytest.mark.parametrize(
        ("declared", "begins", "closed"),
        [(None, 2, 2), (1, 2, 1), (3, 2, 2), (2, 2, 2), (None, -1, 0), (3, -1, 0)],
        ids=["open", "over before", "cut short", "meets", "before it began", "before it began, with an end"],
    )
    def test_the_end_of_a_superseded_version(
        self, store: Store, declared: int | None, begins: int, closed: int
    ) -> None:
        entry = an_entry(valid_from=WHEN, valid_to=None if declared is None else WHEN + declared * HOUR)
        add(store, entry)

        change(store, the_next(entry, valid_from=WHEN + begins * HOUR))

        assert versions(store, entry.cube.id)[0].valid_to == WHEN + closed * HOUR

    def test_versions_written_in_one_unit_are_all_kept(self, store: Store) -> None:
        entry = an_entry("one")
        second = the_next(entry, "two")

        def work(unit: WriteUnit) -> None:
            unit.advance(ANA, WHEN)
            unit.insert(entry)
            unit.supersede(second)

        store.write(work)

        assert [record.cube.text for record in versions(store, entry.cube.id)] == ["one", "two"]
        assert found(store) == ["two"]

    def test_retiring_leaves_the_history_and_nothing_current(self, store: Store) -> None:
        entry = an_entry(vectors=[a_vector(1.0)])
        add(store, entry)
        change(store, the_next(entry, vectors=[a_vector(2.0)]))

        stamp = remove(store, entry.cube.id)

        first, last = versions(store, entry.cube.id)
        assert (last.seq_to, last.known_to, last.valid_to) == (stamp.seq, stamp.at, None)
        assert first.retired == last.retired == stamp.at
        assert current(store, entry.cube.id) is None
        assert found(store) == []
        with store.read() as unit:
            assert unit.owner_of(entry.cube.id) == ANA
            assert unit.text(entry.cube.id) is None
            assert [stored.seq_to for stored in unit.vectors(ANA)] == [2, 3]

    def test_a_deleted_or_unknown_memory_cannot_be_changed(self, store: Store) -> None:
        entry = an_entry()
        add(store, entry)
        remove(store, entry.cube.id)

        for gone in (entry, an_entry()):
            with pytest.raises(UnknownMemory):
                change(store, the_next(gone))
            with pytest.raises(UnknownMemory):
                remove(store, gone.cube.id)
            with pytest.raises(UnknownMemory):
                retext(store, gone.cube.id, None)
            with pytest.raises(UnknownMemory):
                _put(store, gone.cube.id, a_vector(1.0))

    def test_current_versions_come_in_the_order_asked_for(self, store: Store) -> None:
        entries = [an_entry(str(n)) for n in range(3)]
        add(store, *entries)
        remove(store, entries[1].cube.id)
        asked = [entries[2].cube.id, "nobody", entries[1].cube.id, entries[0].cube.id]

        with store.read() as unit:
            assert ids_of(unit.current(asked)) == [asked[0], asked[3]]

    def test_the_owner_of_a_memory_is_its_namespace(self, store: Store) -> None:
        mine, theirs = an_entry(), an_entry(namespace=BO)
        add(store, mine, theirs)

        with store.read() as unit:
            assert [unit.owner_of(entry.cube.id) for entry in (mine, theirs)] == [ANA, BO]

    # ── Pages ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_pages_follow_one_another_by_id(self, store: Store) -> None:
        entries = [an_entry(str(n)) for n in range(5)]
        add(store, *reversed(entries))
        ids = [entry.cube.id for entry in entries]

        with store.read() as unit:
            first = ids_of(unit.page(EVERYTHING, limit=2))
            second = ids_of(unit.page(EVERYTHING, limit=2, after=first[-1]))
            rest = ids_of(unit.page(EVERYTHING, limit=100, after=second[-1]))
            assert [first, second, rest] == [ids[:2], ids[2:4], ids[4:]]
            assert unit.page(EVERYTHING, limit=2, after=ids[-1]) == []
            assert unit.page(EVERYTHING, limit=0) == []
            assert unit.count(EVERYTHING) == 5

    def test_known_ids_are_those_of_all_memories_deleted_or_not(self, store: Store) -> None:
        entries = [an_entry("hers"), an_entry("his", BO), an_entry("deleted")]
        add(store, *reversed(entries))
        remove(store, entries[2].cube.id)
        ids = [entry.cube.id for entry in entries]

        with store.read() as unit:
            assert unit.known_ids(None, limit=100) == ids
            assert unit.known_ids(None, limit=2) == ids[:2]
            assert unit.known_ids(None, limit=2, after=ids[1]) == ids[2:]
            assert unit.known_ids((ANA, "users/eve"), limit=100) == [ids[0], ids[2]]
            assert unit.known_ids((), limit=100) == []

    def test_a_selection_reaches_the_namespaces_it_names(self, store: Store) -> None:
        add(store, an_entry("hers"), an_entry("his", BO), an_entry("nobody's", "default"))

        assert found(store, namespaces=(ANA,)) == ["hers"]
        assert found(store, namespaces=(ANA, BO, "users/eve")) == ["hers", "his"]
        assert found(store, namespaces=()) == []
        assert found(store, namespaces=None) == ["hers", "his", "nobody's"]
        with store.read() as unit:
            assert unit.count(Selection(namespaces=(BO,))) == 1

    def test_a_selection_narrows_to_an_agent_and_a_session(self, store: Store) -> None:
        add(
            store,
            an_entry("a1", agent="a", session="1"),
            an_entry("a2", agent="a", session="2"),
            an_entry("b1", agent="b", session="1"),
            an_entry("none"),
        )

        assert found(store, agent="a") == ["a1", "a2"]
        assert found(store, session="1") == ["a1", "b1"]
        assert found(store, agent="a", session="1") == ["a1"]
        assert found(store) == ["a1", "a2", "b1", "none"]

    @pytest.mark.parametrize("kind", sorted(MANIFESTS))
    def test_manifests_are_left_out_unless_asked_for(self, store: Store, kind: SemanticType) -> None:
        add(store, an_entry("a turn"), an_entry("a manifest", semantic_type=kind))

        assert found(store) == ["a turn"]
        assert found(store, episodes=True) == ["a manifest", "a turn"]

    # ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_the_full_text_row_is_that_of_the_current_version(self, store: Store) -> None:
        first = a_row("lisbon may", context="where", facets="2025", context_of="turn")
        entry = an_entry(text=first)
        add(store, entry)
        with store.read() as unit:
            assert unit.text(entry.cube.id) == first

        change(store, the_next(entry, text=a_row("porto")))

        with store.read() as unit:
            assert unit.text(entry.cube.id) == a_row("porto")

    def test_a_full_text_row_can_be_replaced_and_dropped_without_a_new_version(self, store: Store) -> None:
        entry = an_entry(text=a_row("lisbon"))
        add(store, entry)

        retext(store, entry.cube.id, a_row("porto", context_of="turn"))

        assert [match.words for match in search(store, "lisbon porto")] == [("porto",)]
        with store.read() as unit:
            assert unit.followers("turn") == [entry.cube.id]

        retext(store, entry.cube.id, None)

        assert search(store, "lisbon porto") == []
        with store.read() as unit:
            assert unit.text(entry.cube.id) is None
            assert unit.followers("turn") == []
        assert len(versions(store, entry.cube.id)) == 1

    def test_followers_are_the_current_memories_with_words_of_a_turn(self, store: Store) -> None:
        turn = an_entry("turn")
        entries = [an_entry(str(n), text=a_row("x", context="turn", context_of=turn.cube.id)) for n in range(3)]
        add(store, turn, *entries)
        change(store, the_next(entries[0], text=a_row("x")))
        remove(store, entries[1].cube.id)

        with store.read() as unit:
            assert unit.followers(turn.cube.id) == [entries[2].cube.id]

    def test_the_last_turn_is_the_newest_current_message_of_its_session(self, store: Store) -> None:
        first, second = an_entry("1", session="s"), an_entry("2", session="s")
        add(store, first, second)
        add(
            store,
            an_entry("other session", session="t"),
            an_entry("no session"),
            an_entry("a fact", session="s", semantic_type=SemanticType.FACT),
            an_entry("not hers", BO, session="s"),
        )

        with store.read() as unit:
            assert _turn(unit, "s") == second.cube.id

        remove(store, second.cube.id)

        with store.read() as unit:
            assert _turn(unit, "s") == first.cube.id
            assert _turn(unit, "u") is None

    def test_the_last_turn_goes_by_the_order_of_writing_not_by_ids_or_times(self, store: Store) -> None:
        late, early = an_entry("written last"), an_entry("written first", created=WHEN + HOUR)
        add(store, early)
        add(store, late)

        assert late.cube.id < early.cube.id
        with store.read() as unit:
            assert _turn(unit, None) == late.cube.id

    def test_the_session_without_a_name_is_another_than_none(self, store: Store) -> None:
        nameless, none = an_entry(session="", source_ids=("m",)), an_entry(source_ids=("m",))
        add(store, none, nameless)

        with store.read() as unit:
            assert [_turn(unit, ""), _turn(unit, None)] == [nameless.cube.id, none.cube.id]
            assert unit.by_source(ANA, "", ["m"]) == {"m": [nameless.cube.id]}
            assert unit.by_source(ANA, None, ["m"]) == {"m": [none.cube.id]}
        assert len(select(store, session="")) == 1

    def test_an_edited_message_does_not_become_the_last_turn(self, store: Store) -> None:
        first, second = an_entry("1"), an_entry("2")
        add(store, first, second)

        change(store, the_next(first))

        with store.read() as unit:
            assert _turn(unit, None) == second.cube.id

    def test_memories_are_found_by_their_first_source(self, store: Store) -> None:
        entry = an_entry(source_ids=("m1", "m2"), session="s")
        deleted = an_entry(source_ids=("m3",), session="s")
        add(store, entry, deleted, an_entry(source_ids=("m1",)), an_entry(BO, source_ids=("m4",), session="t"))
        remove(store, deleted.cube.id)

        with store.read() as unit:
            assert unit.by_source(ANA, "s", ["m1", "m2", "m3", "m4"]) == {"m1": [entry.cube.id]}
            assert unit.by_source(ANA, None, ["m2", "m3"]) == {}
            assert unit.by_source(ANA, "s", []) == {}

    def test_memories_with_one_source_are_given_in_the_order_of_writing(self, store: Store) -> None:
        fact = an_entry("a fact", source_ids=("m1",), semantic_type=SemanticType.FACT)
        message = an_entry("the message", source_ids=("m1",))
        add(store, message)
        add(store, fact)

        with store.read() as unit:
            assert unit.by_source(ANA, None, ["m1"]) == {"m1": [message.cube.id, fact.cube.id]}

    # ── Edges ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_edges_are_found_from_both_ends_sorted(self, store: Store) -> None:
        made = [
            Edge(source="f", kind="next", target="a"),
            Edge(source="f", kind="derived_from", target="b"),
            Edge(source="f", kind="derived_from", target="a"),
        ]
        store.write(lambda unit: unit.link(made))
        store.write(lambda unit: unit.link(made[:1]))

        with store.read() as unit:
            assert unit.edges("f") == sorted(made)
            assert unit.edges("f", kind="next") == [made[0]]
            assert unit.edges("a", reverse=True) == [made[2], made[0]]
            assert unit.edges("a", kind="next", reverse=True) == [made[0]]
            assert unit.edges("a") == []

    def test_edges_are_written_with_their_entry(self, store: Store) -> None:
        entry = an_entry()
        first = Edge(source=entry.cube.id, kind="next", target="a")
        second = Edge(source=entry.cube.id, kind="next", target="b")
        add(store, msgspec.structs.replace(entry, edges=(first,)))

        change(store, the_next(entry, edges=[first, second]))

        with store.read() as unit:
            assert unit.edges(entry.cube.id) == [first, second]

    # ── Vectors ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_vectors_tell_when_they_were_added_and_removed(self, store: Store) -> None:
        one, two, new = a_vector(1.0, 0.5), a_vector(2.0, part=1), a_vector(3.0)
        entry = an_entry(vectors=[two, one])
        id = entry.cube.id
        add(store, entry)
        change(store, the_next(entry, vectors=[new]))

        with store.read() as unit:
            assert (
                unit.vectors(ANA)
                == unit.vectors(ANA, since=1)
                == [
                    StoredVector(id=id, vector=one, seq_from=1, seq_to=2),
                    StoredVector(id=id, vector=new, seq_from=2),
                    StoredVector(id=id, vector=two, seq_from=1, seq_to=2),
                ]
            )
            assert unit.vectors(ANA, since=2) == []
            assert unit.vectors(BO) == []

    def test_vectors_can_be_replaced_without_a_new_version(self, store: Store) -> None:
        entry = an_entry()
        add(store, entry)

        _put(store, entry.cube.id, a_vector(1.0))
        _put(store, entry.cube.id, a_vector(2.0), a_vector(3.0, part=1))

        with store.read() as unit:
            stored = [(each.vector, each.seq_from, each.seq_to) for each in unit.vectors(ANA)]
            since = [(each.vector, each.seq_from, each.seq_to) for each in unit.vectors(ANA, since=2)]
        assert stored == since == [(a_vector(1.0), 2, 3), (a_vector(2.0), 3, None), (a_vector(3.0, part=1), 3, None)]
        assert len(versions(store, entry.cube.id)) == 1

    # ── Use ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_uses_are_counted_on_every_version_and_change_none(self, store: Store) -> None:
        entry = an_entry()
        add(store, entry)
        change(store, the_next(entry))
        before = versions(store, entry.cube.id)
        id = entry.cube.id

        store.write(lambda unit: unit.use([id, id, "nobody"], WHEN + HOUR))
        store.write(lambda unit: unit.use([id], WHEN))

        records = versions(store, id)
        seen = Behaviour().used(WHEN + HOUR).used(WHEN + HOUR).used(WHEN)
        assert (seen.uses, seen.last_used) == (3, WHEN + HOUR)
        assert [record.cube.header.behaviour for record in records] == [seen, seen]
        assert [record.cube.version for record in records] == [record.cube.version for record in before]
        assert [record.seq_from for record in records] == [1, 2]

    def test_superseding_keeps_the_uses_that_were_counted_meanwhile(self, store: Store) -> None:
        entry = an_entry()
        add(store, entry)
        store.write(lambda unit: unit.use([entry.cube.id], WHEN))

        change(store, the_next(entry))

        record = current(store, entry.cube.id)
        assert record is not None
        assert record.cube.header.behaviour == Behaviour(uses=1, last_used=WHEN, heat=1.0)

    def test_what_was_observed_before_a_memory_came_is_kept(self, store: Store) -> None:
        seen = Behaviour(uses=7, last_used=WHEN, heat=0.5)
        entry = an_entry(behaviour=seen)

        add(store, entry)

        record = current(store, entry.cube.id)
        assert record is not None
        assert record.cube.header.behaviour == seen

    # ── Blobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_blobs_are_those_that_any_version_refers_to(self, store: Store) -> None:
        model = ModelRef(name="m", weights="w")
        kept = an_entry(cube=a_cube(payload=Activation(form="kv", blob="a" * 64, size=1, model=model)))
        gone = an_entry(cube=a_cube(payload=Parametric(blob="b" * 64, size=1, model=model)))
        add(store, kept, gone, an_entry())

        change(store, the_next(kept, "plain now"))
        remove(store, gone.cube.id)

        with store.read() as unit:
            assert unit.blobs() == {"a" * 64, "b" * 64}

    # ── Adopting ────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_an_adopted_memory_keeps_its_times_and_gets_this_units_seqs(self, store: Store) -> None:
        first, last = _history(an_entry("Lisbon"), "Porto")

        stamp = _adopt(store, [first, last], a_row("porto"))

        old, new = versions(store, first.cube.id)
        for kept, given in ((old, first), (new, last)):
            assert msgspec.structs.replace(kept, seq_from=0, seq_to=None) == msgspec.structs.replace(
                given, seq_from=0, seq_to=None
            )
        assert (old.seq_from, old.seq_to, new.seq_from, new.seq_to) == (stamp.seq, stamp.seq, stamp.seq, None)
        assert found(store) == ["Porto"]
        assert found(store, known_at=first.known_from) == ["Lisbon"]
        assert found(store, valid_at=last.valid_from - HOUR) == ["Lisbon"]
        assert [match.words for match in search(store, "porto lisbon")] == [("porto",)]

    def test_a_deleted_memory_is_adopted_as_deleted(self, store: Store) -> None:
        first, last = _history(an_entry("Lisbon"), "Porto")
        gone = WHEN + 9 * HOUR
        first = msgspec.structs.replace(first, retired=gone)
        last = msgspec.structs.replace(last, known_to=gone, retired=gone)

        _adopt(store, [first, last], None)

        assert found(store) == []
        assert found(store, known_at=gone) == []
        assert found(store, known_at=gone - HOUR) == ["Porto"]
        assert [record.retired for record in versions(store, first.cube.id)] == [gone, gone]

    def test_an_adopted_memory_continues_the_one_that_is_here(self, store: Store) -> None:
        entry = an_entry("Lisbon", text=a_row("lisbon"), vectors=[a_vector(1.0)])
        add(store, entry)
        history = _history(entry, "Porto")

        _adopt(store, history, a_row("porto"))

        assert [record.cube.text for record in versions(store, entry.cube.id)] == ["Lisbon", "Porto"]
        assert found(store) == ["Porto"]
        with store.read() as unit:
            assert unit.text(entry.cube.id) == a_row("porto")
            assert [stored.seq_to for stored in unit.vectors(ANA)] == [2]
            namespace = unit.namespace(ANA)
        assert namespace is not None
        assert (namespace.memories, namespace.words) == (1, 1)

    def test_adopting_other_versions_than_those_that_are_here_is_refused(self, store: Store) -> None:
        entry = an_entry("Lisbon")
        add(store, entry)
        change(store, the_next(entry, "Braga"))

        with pytest.raises(StoreError):
            _adopt(store, _history(entry, "Porto"), None)
        with pytest.raises(StoreError):
            _adopt(store, _history(entry, "Porto")[:1], None)

        assert found(store) == ["Braga"]

    def test_an_adopted_memory_can_be_changed_and_deleted(self, store: Store) -> None:
        entry = an_entry("Lisbon")
        first, last = _history(entry, "Porto")
        _adopt(store, [first, last], None)
        held = Entry(cube=last.cube, valid_from=last.valid_from)

        change(store, the_next(held, "Braga"), at=WHEN + 5 * HOUR)

        assert [record.cube.text for record in versions(store, entry.cube.id)] == ["Lisbon", "Porto", "Braga"]
        remove(store, entry.cube.id)
        assert found(store) == []


def _put(store: Store, id: str, *vectors: Vector) -> None:
    def work(unit: WriteUnit) -> None:
        unit.advance(ANA, WHEN)
        unit.put_vectors(id, vectors)

    store.write(work)


def _history(entry: Entry, content: str) -> list[Record]:
    """What another store would know: the entry from WHEN on, its successor known and true from four hours later."""
    then = WHEN + 4 * HOUR
    after = the_next(entry, content, valid_from=then)
    return [
        Record(cube=entry.cube, seq_from=7, seq_to=9, known_from=WHEN, known_to=then, valid_from=WHEN, valid_to=then),
        Record(cube=after.cube, seq_from=9, known_from=then, valid_from=then),
    ]


def _adopt(store: Store, records: list[Record], text: TextRow | None) -> Namespace:
    def work(unit: WriteUnit) -> Namespace:
        stamp = unit.advance(ANA, WHEN)
        unit.adopt(records, text)
        return stamp

    return store.write(work)


def _turn(unit: ReadUnit, session: str | None) -> str | None:
    turn = unit.last_turn(ANA, session)
    return None if turn is None else turn.cube.id
