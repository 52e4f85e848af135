"""Contract of access rules in a store: their log, selections that rules narrow, and what a reach hides (ADR 0026)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pymemos.cube.call import Reach, Selection
from pymemos.cube.filters import EVERYTHING, NOTHING, Filter, parse
from pymemos.cube.policy import Action, Policy, RoleGrant, Rule, RuleChange
from pymemos.ports import Edge, Entry, Store, WriteUnit
from pymemos.testing.acts import add, change, found, remove, search, select
from pymemos.testing.builders import ANA, a_row, an_entry, the_next
from pymemos.testing.doubles import WHEN

BO = "users/bo"
HOUR = timedelta(hours=1)
FOOD = parse({"tags": "food"})
OPEN = Policy(name="open", actions=(Action.READ,), what=FOOD, expires=WHEN + HOUR, note="for the team")
GRANT = RoleGrant(name="cook to users/bo", role="cook", to=BO)


class DeliberateError(Exception):
    """Undoes a unit."""


def put(store: Store, *rules: tuple[str, str, Rule | None]) -> list[RuleChange]:
    """Append rules to the log in one unit: the place, the name, and what holds from then on."""

    def work(unit: WriteUnit) -> list[RuleChange]:
        last = unit.last_rule_change()
        first = 1 if last is None else last.entry + 1
        return [
            unit.put_rule(RuleChange(id=f"r{n}", namespace=place, name=name, at=WHEN, author=ANA, rule=rule))
            for n, (place, name, rule) in enumerate(rules, first)
        ]

    return store.write(work)


def made_from(content: str, *sources: Entry, namespace: str = ANA, **declared: Any) -> Entry:
    """A memory that was made from others."""
    entry = an_entry(content, namespace, parents=tuple(one.cube.pin() for one in sources), **declared)
    return _linked(entry)


def _linked(entry: Entry) -> Entry:
    edges = [Edge(source=entry.cube.id, kind="derived_from", target=pin.id) for pin in entry.cube.parents]
    return an_entry(cube=entry.cube, edges=edges)


def reach_of(**parts: Filter) -> Reach:
    """A reach over namespaces of users, by their names."""
    return Reach(tuple((f"users/{name}", where) for name, where in parts.items()))


def hidden(store: Store, reach: Reach, **selection: Any) -> list[str]:
    """The texts of what a reach hides."""
    with store.read() as unit:
        asked = Selection(**{"namespaces": (ANA,), "reach": reach, "episodes": True, **selection})
        return sorted(cube.text for cube in unit.cubes(unit.hidden(asked)))


class RulesContract:
    """What a store does with access rules."""

    # The log.

    def test_the_log_of_rules_is_read_as_it_was_written(self, store: Store) -> None:
        first, second = put(store, (ANA, "open", OPEN), ("*", GRANT.name, GRANT))
        third = put(store, (ANA, "open", None))[0]

        with store.read() as unit:
            assert unit.rule_changes() == [first, second, third]
            assert unit.rule_changes(since=1) == [second, third]
            assert unit.rule_changes(since=3) == []
            assert unit.last_rule_change() == third
        assert [line.entry for line in (first, second, third)] == [1, 2, 3]
        assert (first.rule, second.rule, third.rule) == (OPEN, GRANT, None)

    def test_a_store_without_rules_has_no_last_change(self, store: Store) -> None:
        with store.read() as unit:
            assert (unit.last_rule_change(), unit.rule_changes()) == (None, [])

    def test_a_snapshot_sees_the_rules_of_its_moment(self, store: Store) -> None:
        [first] = put(store, (ANA, "open", OPEN))
        with store.read() as unit:
            assert unit.last_rule_change() == first
            put(store, (ANA, "open", None))

            assert (unit.last_rule_change(), unit.rule_changes()) == (first, [first])

    def test_a_rule_that_was_rolled_back_never_was(self, store: Store) -> None:
        lost = RuleChange(id="lost", namespace=ANA, name="open", at=WHEN, author=ANA, rule=OPEN)

        def work(unit: WriteUnit) -> None:
            assert unit.put_rule(lost).entry == 1
            assert unit.last_rule_change() is not None
            raise DeliberateError

        with pytest.raises(DeliberateError):
            store.write(work)
        [kept] = put(store, (ANA, "open", OPEN))

        with store.read() as unit:
            assert unit.rule_changes() == [kept]

    # Selections that rules narrow.

    def test_a_rule_leaves_a_part_of_one_namespace(self, store: Store) -> None:
        add(
            store,
            an_entry("tea", tags=("food",)),
            an_entry("plan"),
            an_entry("his tea", BO),
            an_entry("eve", "users/e"),
        )
        rules = ((ANA, FOOD), (BO, NOTHING), ("users/nobody", NOTHING))

        assert found(store, namespaces=(ANA,), rules=rules) == ["tea"]
        assert found(store, namespaces=(ANA, BO), rules=rules) == ["tea"]
        assert found(store, rules=rules) == ["eve", "tea"]  # of every namespace
        assert found(store, namespaces=(BO,), rules=rules[:1]) == ["his tea"]
        with store.read() as unit:
            narrowed = Selection(namespaces=(ANA, BO), rules=rules)
            assert unit.count(narrowed) == 1
            assert [cube.text for cube in unit.cubes(unit.keys(narrowed))] == ["tea"]

    def test_rules_judge_the_version_that_the_times_pick_and_the_memory_as_it_is_now(self, store: Store) -> None:
        tea, plan = an_entry("tea", tags=("food",)), an_entry("a plan", tags=())
        kept = an_entry("green tea", tags=("food",))
        add(store, tea, plan, kept)
        change(store, the_next(tea, "tea at work", tags=()), at=WHEN + HOUR)
        change(store, the_next(plan, "a plan for tea", tags=("food",)), at=WHEN + HOUR)
        rules = ((ANA, FOOD),)

        assert found(store, namespaces=(ANA,), rules=rules) == ["a plan for tea", "green tea"]
        assert found(store, namespaces=(ANA,), rules=rules, known_at=WHEN) == ["green tea"]

    def test_a_score_of_a_part_tells_nothing_of_the_rest(self, store: Store) -> None:
        add(store, *(an_entry(text, tags=("food",), text=a_row(text)) for text in ("tea", "mint tea with milk")))
        rules = ((ANA, FOOD),)
        before = [match.score for match in search(store, "tea milk", namespaces=(ANA,), rules=rules)]

        add(store, *(an_entry("tea milk", text=a_row("tea milk", context="milk")) for _ in range(9)))

        after = search(store, "tea milk", namespaces=(ANA,), rules=rules)
        assert [match.score for match in after] == pytest.approx(before)

    # What a reach hides.

    def test_what_was_made_from_something_out_of_reach_is_hidden(self, store: Store) -> None:
        theirs, own = an_entry("theirs", BO, tags=("food",)), an_entry("own")
        first = made_from("first", theirs)
        add(store, theirs, own, first, made_from("second", first), made_from("fine", own))

        assert hidden(store, reach_of(ana=EVERYTHING)) == ["first", "second"]
        assert hidden(store, reach_of(ana=EVERYTHING, bo=parse({"tags": "work"}))) == ["first", "second"]
        assert hidden(store, reach_of(ana=EVERYTHING, bo=FOOD)) == []
        assert found(store, namespaces=(ANA,), reach=reach_of(ana=EVERYTHING)) == ["fine", "own"]
        assert [match.record.cube.text for match in search(store, "fine first", reach=reach_of(ana=EVERYTHING))] == [
            "fine"
        ]

    def test_sources_in_the_same_namespace_are_judged_too(self, store: Store) -> None:
        """Whether or not the selection has rules of its own."""
        secret = an_entry("secret")
        add(store, secret, made_from("made", secret, tags=("food",)), an_entry("tea", tags=("food",)))

        for rules in ((), ((ANA, FOOD),)):
            assert hidden(store, reach_of(ana=FOOD), rules=rules) == ["made"]
        assert found(store, namespaces=(ANA,), rules=((ANA, FOOD),), reach=reach_of(ana=FOOD)) == ["tea"]

    def test_what_is_unknown_or_deleted_takes_the_whole_namespace(self, store: Store) -> None:
        gone, theirs, lost = an_entry("gone", tags=("food",)), an_entry("theirs", BO), an_entry("lost")
        add(store, gone, theirs, made_from("a", gone), made_from("b", theirs), made_from("c", lost))
        remove(store, gone.cube.id)
        remove(store, theirs.cube.id, namespace=BO)

        assert hidden(store, reach_of(ana=EVERYTHING)) == ["b"]
        assert hidden(store, reach_of(ana=EVERYTHING, bo=EVERYTHING)) == []
        assert hidden(store, reach_of(ana=FOOD, bo=EVERYTHING)) == ["a", "c"]

    def test_a_ring_of_sources_ends(self, store: Store) -> None:
        one = an_entry("one")
        two = made_from("two", one)
        add(store, one, two)
        change(store, _linked(an_entry(cube=one.cube.derive(parents=(two.cube.pin(),)))))

        assert hidden(store, reach_of(ana=EVERYTHING)) == []
        assert hidden(store, reach_of(ana=NOTHING)) == ["one", "two"]

    def test_now_goes_by_present_sources_and_a_look_back_by_all_there_were(self, store: Store) -> None:
        theirs = an_entry("theirs", BO)
        made = made_from("made", theirs)
        add(store, theirs, made)
        change(store, _linked(an_entry(cube=made.cube.derive(parents=()))), at=WHEN + HOUR)
        reach = reach_of(ana=EVERYTHING)

        assert hidden(store, reach) == []
        assert hidden(store, reach, known_at=WHEN + 2 * HOUR) == ["made"]
        assert select(store, namespaces=(ANA,), reach=reach, known_at=WHEN) == []

    def test_a_source_that_comes_from_elsewhere_later_is_seen_through_generations(self, store: Store) -> None:
        theirs, one = an_entry("theirs", BO), an_entry("one")
        two = made_from("two", one)
        add(store, theirs, one, two, made_from("three", two))
        pins = (theirs.cube.pin(),)
        assert hidden(store, reach_of(ana=EVERYTHING)) == []

        change(store, _linked(an_entry(cube=one.cube.derive(parents=pins))))

        assert hidden(store, reach_of(ana=EVERYTHING)) == ["one", "three", "two"]

    def test_without_a_reach_nothing_is_hidden(self, store: Store) -> None:
        theirs = an_entry("theirs", BO)
        add(store, theirs, made_from("made", theirs))

        with store.read() as unit:
            assert unit.hidden(Selection(namespaces=None)) == []
        assert found(store, namespaces=(ANA,)) == ["made"]
