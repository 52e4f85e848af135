"""Contract of the two times: what a selection sees at ``known_at`` and at ``valid_at``."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pymemos.cube.filters import Compare
from pymemos.ports import Store
from pymemos.testing.acts import add, change, found, remove, retext, search, select
from pymemos.testing.builders import a_row, an_entry, the_next
from pymemos.testing.doubles import WHEN

MICROSECOND = timedelta(microseconds=1)


def day(number: float) -> datetime:
    """A moment, in days from WHEN."""
    return WHEN + timedelta(days=number)


def _lisbon_porto(store: Store) -> str:
    """Ana told on day 0 of Lisbon (since day -9), on day 10 of Porto (since day 5), and on day 20 had it deleted."""
    entry = an_entry("Lisbon", valid_from=day(-9), text=a_row("lisbon"))
    add(store, entry, at=day(0))
    change(store, the_next(entry, "Porto", valid_from=day(5), text=a_row("porto")), at=day(10))
    remove(store, entry.cube.id, at=day(20))
    return entry.cube.id


def store_namespace(store: Store, id: str) -> str:
    """Where a memory lives."""
    with store.read() as unit:
        namespace = unit.owner_of(id)
    assert namespace is not None
    return namespace


class TimesContract:
    """How ``known_at``, ``valid_at`` and ``ended_before`` pick one version of each memory, or none."""

    @pytest.mark.parametrize(
        ("known", "expected"),
        [(-1, []), (0, ["Lisbon"]), (9, ["Lisbon"]), (10, ["Porto"]), (19, ["Porto"]), (20, []), (30, [])],
    )
    def test_known_at_sees_the_version_that_was_current_then(
        self, store: Store, known: int, expected: list[str]
    ) -> None:
        _lisbon_porto(store)

        assert found(store, known_at=day(known)) == expected

    def test_a_look_back_leaves_out_what_a_rule_leaves_out_since(self, store: Store) -> None:
        """A rule judges the version that answers, and the memory by its last one, deleted or not."""
        id = _lisbon_porto(store)
        namespace = store_namespace(store, id)

        for word, expected in (("Lisbon", []), ("Porto", ["Porto"]), ("o", ["Lisbon", "Porto"])):
            rules = ((namespace, Compare("content", "contains", word)),)
            seen = [
                text for at in (0, 10) for text in found(store, known_at=day(at), namespaces=(namespace,), rules=rules)
            ]
            assert seen == expected

    def test_known_intervals_are_half_open_to_the_microsecond(self, store: Store) -> None:
        _lisbon_porto(store)

        assert found(store, known_at=day(0) - MICROSECOND) == []
        assert found(store, known_at=day(10) - MICROSECOND) == ["Lisbon"]
        assert found(store, known_at=day(20) - MICROSECOND) == ["Porto"]

    @pytest.mark.parametrize(
        ("known", "valid", "expected"),
        [
            (-1, 0, []),  # nothing was known yet
            (0, -10, []),
            (0, -9, ["Lisbon"]),
            (0, 7, ["Lisbon"]),  # nobody knew of Porto yet
            (9, 100, ["Lisbon"]),
            (10, -9, ["Lisbon"]),
            (10, 4, ["Lisbon"]),
            (10, 5, ["Porto"]),  # what was learned on day 10 is true since day 5
            (10, 7, ["Porto"]),
            (19, 100, ["Porto"]),
            (20, 7, []),  # deleted
            (None, 7, []),
            (None, -9, []),
        ],
    )
    def test_valid_at_sees_what_was_true_then_as_it_was_known(
        self, store: Store, known: int | None, valid: int, expected: list[str]
    ) -> None:
        _lisbon_porto(store)

        assert found(store, known_at=None if known is None else day(known), valid_at=day(valid)) == expected

    def test_valid_at_alone_goes_by_everything_that_is_known(self, store: Store) -> None:
        entry = an_entry("Lisbon", valid_from=day(0))
        add(store, entry)
        change(store, the_next(entry, "Porto", valid_from=day(5)), at=day(400))

        assert found(store, valid_at=day(0) - MICROSECOND) == []
        assert found(store, valid_at=day(0)) == ["Lisbon"]
        assert found(store, valid_at=day(5) - MICROSECOND) == ["Lisbon"]
        assert found(store, valid_at=day(5)) == ["Porto"]
        assert found(store, valid_at=day(1000)) == ["Porto"]

    def test_a_declared_end_of_validity_is_half_open(self, store: Store) -> None:
        add(store, an_entry("a visit", valid_from=day(1), valid_to=day(3)))

        expected = {0.9: [], 1: ["a visit"], 2.9: ["a visit"], 3: [], 4: []}
        assert {at: found(store, valid_at=day(at)) for at in expected} == expected

    def test_before_it_was_superseded_a_version_ended_where_it_declared(self, store: Store) -> None:
        entry = an_entry("Lisbon", valid_from=day(0), valid_to=day(8))
        add(store, entry, at=day(0))
        change(store, the_next(entry, "Porto", valid_from=day(5)), at=day(10))

        assert found(store, valid_at=day(7), known_at=day(9)) == ["Lisbon"]
        assert found(store, valid_at=day(8), known_at=day(9)) == []
        assert found(store, valid_at=day(7), known_at=day(10)) == ["Porto"]

    def test_a_time_between_two_validities_sees_neither(self, store: Store) -> None:
        entry = an_entry("Lisbon", valid_from=day(0), valid_to=day(2))
        add(store, entry)
        change(store, the_next(entry, "Porto", valid_from=day(5)))

        assert [found(store, valid_at=day(at)) for at in (1, 3, 6)] == [["Lisbon"], [], ["Porto"]]

    def test_where_several_versions_were_true_the_latest_answers(self, store: Store) -> None:
        entry = an_entry("first", valid_from=day(0))
        second = the_next(entry, "second", valid_from=day(10))
        add(store, entry)
        change(store, second)
        change(store, the_next(second, "third", valid_from=day(5)))

        assert [found(store, valid_at=day(at)) for at in (3, 7, 12)] == [["first"], ["third"], ["third"]]

    def test_a_correction_from_the_same_beginning_replaces_the_old_version(self, store: Store) -> None:
        entry = an_entry("Lisbn", valid_from=day(0))
        add(store, entry, at=day(1))
        change(store, the_next(entry, "Lisbon", valid_from=day(0)), at=day(2))

        assert found(store, valid_at=day(0)) == ["Lisbon"]
        assert found(store, valid_at=day(0), known_at=day(1)) == ["Lisbn"]

    def test_what_was_over_by_then_can_be_left_out(self, store: Store) -> None:
        add(store, an_entry("over", valid_to=day(1)), an_entry("lasting"), an_entry("not yet", valid_to=day(2)))

        assert found(store) == ["lasting", "not yet", "over"]
        assert found(store, ended_before=day(1) - MICROSECOND) == ["lasting", "not yet", "over"]
        assert found(store, ended_before=day(1)) == ["lasting", "not yet"]
        assert found(store, ended_before=day(2)) == ["lasting"]

    def test_what_was_over_goes_by_the_end_that_was_known_then(self, store: Store) -> None:
        entry = an_entry("Lisbon", valid_from=day(0))
        add(store, entry, at=day(0))
        change(store, the_next(entry, "Porto", valid_from=day(5)), at=day(10))

        assert found(store, known_at=day(9), ended_before=day(9)) == ["Lisbon"]

    def test_what_was_over_is_not_left_out_of_a_question_about_its_time(self, store: Store) -> None:
        add(store, an_entry("over", valid_from=day(0), valid_to=day(1)))

        assert found(store, valid_at=day(0), ended_before=day(9)) == ["over"]

    def test_a_current_memory_is_selected_before_it_becomes_true(self, store: Store) -> None:
        add(store, an_entry("a plan", valid_from=day(30)))

        assert found(store) == found(store, known_at=day(0)) == ["a plan"]

    def test_the_rest_of_a_selection_judges_the_version_that_the_times_picked(self, store: Store) -> None:
        entry = an_entry("first", valid_from=day(0), session="old", tags=("old",))
        second = the_next(entry, "second", valid_from=day(10), session="new", tags=("new",))
        add(store, entry, at=day(0))
        change(store, second, at=day(10))
        change(store, the_next(second, "third", valid_from=day(5), session="new", tags=("new",)), at=day(20))

        assert found(store, session="old") == found(store, where={"tags": "old"}) == []
        assert found(store, session="old", valid_at=day(7)) == []
        assert found(store, where={"tags": "old"}, valid_at=day(3)) == ["first"]
        assert found(store, where={"tags": "new"}, known_at=day(0)) == []
        assert found(store, where={"tags": "old"}, known_at=day(0)) == ["first"]

    def test_a_record_of_the_past_shows_what_closed_it_since(self, store: Store) -> None:
        _lisbon_porto(store)

        (record,) = select(store, known_at=day(0))

        assert (record.seq_from, record.seq_to, record.known_to) == (1, 2, day(10))
        assert (record.valid_to, record.retired) == (day(5), day(20))

    def test_words_of_past_versions_are_found_at_their_time_only(self, store: Store) -> None:
        _lisbon_porto(store)

        def words(known_at: datetime | None, valid_at: datetime | None = None) -> list[tuple[str, ...]]:
            return [match.words for match in search(store, "lisbon porto", known_at=known_at, valid_at=valid_at)]

        assert words(None) == []
        assert words(day(0)) == words(day(10), day(0)) == [("lisbon",)]
        assert words(day(10)) == [("porto",)]
        assert words(day(20)) == []

    def test_a_past_version_is_found_by_the_full_text_row_it_had_last(self, store: Store) -> None:
        entry = an_entry(text=a_row("lisbon"))
        add(store, entry, at=day(0))
        retext(store, entry.cube.id, a_row("lisboa"))
        change(store, the_next(entry, text=a_row("porto")), at=day(10))

        assert [match.words for match in search(store, "lisbon lisboa", known_at=day(1))] == [("lisboa",)]
