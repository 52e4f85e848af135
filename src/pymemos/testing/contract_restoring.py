"""Contract of what brings a deleted memory back: its versions, its times, and the turns around it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pymemos.cube.header import SemanticType
from pymemos.errors import StoreError, UnknownMemory
from pymemos.ports import Edge, Entry, Namespace, Record, Store, Turn, WriteUnit
from pymemos.testing.acts import add, change, current, found, remove, search, select, versions
from pymemos.testing.builders import a_row, a_vector, an_entry, the_next
from pymemos.testing.doubles import WHEN

HOUR = timedelta(hours=1)
BO = "users/bo"


def revive(store: Store, entry: Entry, *, hours: float = 0) -> Namespace:
    """Write the next version of a deleted memory."""

    def work(unit: WriteUnit) -> Namespace:
        stamp = unit.advance(entry.cube.namespace, WHEN + hours * HOUR)
        unit.revive(entry)
        return stamp

    return store.write(work)


def _back_from_the_dead(store: Store) -> tuple[Entry, Entry]:
    """Told of Lisbon at hour 0, deleted at hour 10, told of Porto at hour 20; gives both entries."""
    lisbon = an_entry("Lisbon", text=a_row("lisbon"), vectors=[a_vector(1, 0)])
    porto = the_next(lisbon, "Porto", valid_from=WHEN + 5 * HOUR, text=a_row("porto"), vectors=[a_vector(0, 1)])
    add(store, lisbon)
    remove(store, lisbon.cube.id, at=WHEN + 10 * HOUR)
    revive(store, porto, hours=20)
    return lisbon, porto


def _names(turns: tuple[Turn | None, Turn | None]) -> list[str | None]:
    return [None if turn is None else turn.cube.text for turn in turns]


class RestoringContract:
    """What ``revive`` and ``turns_around`` do."""

    def test_a_revived_memory_is_current_with_all_its_versions(self, store: Store) -> None:
        lisbon, porto = _back_from_the_dead(store)

        old, new = versions(store, lisbon.cube.id)

        assert [old.cube, new.cube] == [lisbon.cube, porto.cube]
        assert (old.retired, new.retired) == (None, None)
        assert (old.known_to, new.known_from, new.known_to) == (WHEN + 10 * HOUR, WHEN + 20 * HOUR, None)
        assert current(store, lisbon.cube.id) == new
        assert select(store) == [new]

    def test_the_last_version_before_ends_where_the_new_one_begins(self, store: Store) -> None:
        lisbon, _ = _back_from_the_dead(store)

        assert [record.valid_to for record in versions(store, lisbon.cube.id)] == [WHEN + 5 * HOUR, None]

    @pytest.mark.parametrize(
        ("known", "expected"), [(0, ["Lisbon"]), (9, ["Lisbon"]), (10, []), (19, []), (20, ["Porto"]), (30, ["Porto"])]
    )
    def test_between_deletion_and_return_it_was_not_known(
        self, store: Store, known: float, expected: list[str]
    ) -> None:
        _back_from_the_dead(store)
        then = WHEN + known * HOUR

        assert found(store, known_at=then) == expected
        assert found(store, known_at=then, valid_at=WHEN + 6 * HOUR) == expected

    def test_what_was_true_before_is_answered_by_the_last_version_before(self, store: Store) -> None:
        _back_from_the_dead(store)

        assert found(store, valid_at=WHEN + HOUR) == ["Lisbon"]
        assert found(store, valid_at=WHEN + 6 * HOUR) == ["Porto"]

    def test_words_and_vectors_of_the_new_version_are_current(self, store: Store) -> None:
        _, porto = _back_from_the_dead(store)

        assert [match.record.cube.text for match in search(store, "porto lisbon")] == ["Porto"]
        with store.read() as unit:
            assert unit.text(porto.cube.id) == a_row("porto")
            assert unit.vectors_of(porto.cube.id) == (a_vector(0, 1),)
            space = unit.namespace("users/ana")
            assert space is not None
            assert (space.memories, space.words) == (1, 1)

    def test_searches_in_memory_are_told_of_it(self, store: Store) -> None:
        _, porto = _back_from_the_dead(store)

        with store.read() as unit:
            changed = unit.changes("users/ana", since=2, embedder="echo")

        assert [(one.key, one.seq, one.cube) for one in changed] == [(1, 3, porto.cube)]

    def test_a_revived_memory_can_be_changed_and_deleted_again(self, store: Store) -> None:
        _, porto = _back_from_the_dead(store)
        third = the_next(porto, "Faro")
        change(store, third)
        remove(store, porto.cube.id)

        revive(store, the_next(third, "Evora"))

        assert [record.cube.text for record in versions(store, porto.cube.id)] == ["Lisbon", "Porto", "Faro", "Evora"]
        assert found(store) == ["Evora"]

    def test_its_edges_are_in_the_graph(self, store: Store) -> None:
        entry, source = an_entry(), an_entry()
        edge = Edge(source=entry.cube.id, kind="derived_from", target=source.cube.id)
        add(store, entry, source)
        remove(store, entry.cube.id)

        revive(store, the_next(entry, edges=[edge]))

        with store.read() as unit:
            assert unit.edges(source.cube.id, reverse=True) == [edge]

    def test_one_that_was_deleted_elsewhere_comes_back_behind_its_last_version(self, store: Store) -> None:
        """As when a replica tells of a version, and of its end, that this store had not heard of."""
        lisbon = an_entry("Lisbon")
        porto = the_next(lisbon, "Porto", valid_from=WHEN + 4 * HOUR)
        add(store, lisbon)
        end = WHEN + 9 * HOUR
        told = [
            Record(cube=entry.cube, seq_from=7, known_from=since, known_to=until, valid_from=since, retired=end)
            for entry, since, until in ((lisbon, WHEN, porto.valid_from), (porto, porto.valid_from, end))
        ]
        store.write(lambda unit: (unit.advance(lisbon.cube.namespace, WHEN), unit.adopt(told, None)))

        revive(store, the_next(porto, "Braga", valid_from=end), hours=10)

        assert [(one.cube.text, one.valid_to) for one in versions(store, lisbon.cube.id)] == [
            ("Lisbon", None),
            ("Porto", end),
            ("Braga", None),
        ]

    def test_only_a_deleted_memory_is_revived(self, store: Store) -> None:
        entry = an_entry()
        with pytest.raises(UnknownMemory):
            revive(store, entry)
        add(store, entry)
        with pytest.raises(UnknownMemory):
            revive(store, the_next(entry))

        assert len(versions(store, entry.cube.id)) == 1

    def test_a_memory_comes_back_in_its_own_namespace(self, store: Store) -> None:
        entry, other = an_entry(), an_entry("else", BO)
        add(store, entry, other)
        remove(store, entry.cube.id)
        moved = an_entry(cube=the_next(an_entry("moved", BO, id=entry.cube.id)).cube)

        with pytest.raises(StoreError):
            revive(store, moved)

        assert current(store, entry.cube.id) is None

    def test_the_turns_around_a_memory_are_its_neighbours_by_writing(self, store: Store) -> None:
        turns = [an_entry(str(n), session="s", text=a_row(str(n))) for n in range(4)]
        add(store, turns[0], an_entry("other session", session="t"), turns[1], an_entry("not hers", BO, session="s"))
        add(store, an_entry("a fact", session="s", semantic_type=SemanticType.FACT), turns[2], turns[3])

        with store.read() as unit:
            assert [_names(unit.turns_around(turn.cube.id)) for turn in turns] == [
                [None, "1"],
                ["0", "2"],
                ["1", "3"],
                ["2", None],
            ]
            assert unit.turns_around(turns[1].cube.id)[1] == Turn(cube=turns[2].cube, text=a_row("2"))

    def test_deleted_turns_have_neighbours_and_are_none(self, store: Store) -> None:
        turns = [an_entry(str(n)) for n in range(4)]
        add(store, *turns)
        remove(store, turns[1].cube.id, turns[2].cube.id)

        with store.read() as unit:
            assert _names(unit.turns_around(turns[1].cube.id)) == ["0", "3"]
            assert _names(unit.turns_around(turns[3].cube.id)) == ["0", None]
            assert _names(unit.turns_around("nobody")) == [None, None]
