"""Laws of access: a denial only ever takes away, simplified rules mean the same, and a log is read one way alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.rules_kit import (
    BUSY,
    DEEP,
    NOW,
    SPACES,
    Written,
    a_line,
    callers,
    cubes_of,
    grants,
    logs,
    policies,
    whats,
    whens,
    worlds,
)

from pymemos.adapters.memory import MemoryStore
from pymemos.cube.call import Caller
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import All, Any_, Filter, Not, both, either, matches, negated, parse, written
from pymemos.cube.ids import format_id
from pymemos.cube.policy import (
    STORE,
    Action,
    Effect,
    Policy,
    RoleGrant,
    RuleChange,
    check_kept,
    parse_rule,
    parse_what,
    parse_when,
    rule_values,
)
from pymemos.cube.wire import encode
from pymemos.infrastructure import governance
from pymemos.infrastructure.governance import Circumstances, Target
from pymemos.infrastructure.policies import NO_RULES, Rulebook
from pymemos.ports import WriteUnit
from pymemos.testing import strategies as kit
from pymemos.testing.doubles import WHEN

FEW = settings(BUSY, max_examples=1000 if DEEP else 15)  # of what takes long
cubes = cubes_of(format_id(7, 1), [format_id(7, 2)])


class UndoError(Exception):
    """Undoes a unit."""


def allowed(log: list[RuleChange], caller: Caller, world: list[Written]) -> set[tuple[str, str]]:
    """Every action on every memory and namespace that the rules allow."""
    book, found = NO_RULES.after(log), set()
    for action in Action:
        of = Circumstances(caller=caller, action=action, operation="search", book=book, now=NOW)
        for space in SPACES:
            if action is Action.MANAGE and governance.decide(of, Target(namespaces=(space,))).allowed:
                found.add((action.value, space))
        for one in world:
            if action is not Action.MANAGE and governance.decide(of, _naming(one)).admits(one.cube):
                found.add((action.value, one.cube.id))
    return found


def _naming(one: Written) -> Target:
    return Target(namespaces=(one.cube.namespace,), memory=one.cube.id)


# ── What a rule may do ──────────────────────────────────────────────────────────────────────────────────────────────


@FEW
@given(logs(), st.sampled_from([*SPACES, STORE]), policies((Effect.DENY,)), callers, worlds(), st.booleans())
def test_adding_a_denial_never_permits_more(
    log: list[RuleChange], place: str, denial: Policy, caller: Caller, world: list[Written], by_steward: bool
) -> None:
    author = "steward(default)" if by_steward else "users/ana"
    more = [*log, a_line(log, place, "one more", msgspec.structs.replace(denial, name="one more"), author)]

    assert allowed(more, caller, world) <= allowed(log, caller, world)


@FEW
@given(logs(), callers, worlds(), st.integers(0, 99))
def test_taking_a_permission_away_never_permits_more(
    log: list[RuleChange], caller: Caller, world: list[Written], which: int
) -> None:
    held = {(line.namespace, line.name): line for line in log}.values()
    permits = [line for line in held if isinstance(line.rule, Policy) and line.rule.effect is Effect.PERMIT]
    if permits:
        gone = permits[which % len(permits)]
        less = [*log, a_line(log, gone.namespace, gone.name, None)]

        assert allowed(less, caller, world) <= allowed(log, caller, world)


@FEW
@given(logs(), policies((Effect.LIMIT,)), callers, worlds())
def test_a_limit_decides_nothing(log: list[RuleChange], limit: Policy, caller: Caller, world: list[Written]) -> None:
    more = [*log, a_line(log, STORE, "one more", msgspec.structs.replace(limit, name="one more"))]

    assert allowed(more, caller, world) == allowed(log, caller, world)


# ── What a rule says ────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(whats, max_size=4), cubes | kit.cubes())
def test_what_is_put_together_simply_means_the_same(parts: list[Filter], cube: MemCube) -> None:
    assert matches(both(*parts), cube) == matches(All(tuple(parts)), cube)
    assert matches(either(*parts), cube) == matches(Any_(tuple(parts)), cube)
    for part in parts:
        assert matches(negated(part), cube) == matches(Not(part), cube)
        assert matches(negated(negated(part)), cube) == matches(part, cube)


@given(kit.filters())
def test_a_filter_is_read_as_it_was_written(raw: dict[str, Any]) -> None:
    where = parse(raw)

    assert parse(written(where)) == where
    assert parse(msgspec.json.decode(msgspec.json.encode(written(where)))) == where


@given(whats, whens)
def test_so_are_the_filters_of_a_rule(what: Filter, when: Filter) -> None:
    assert (parse_what(written(what)), parse_when(written(when))) == (what, when)


@given(policies(tuple(Effect)) | grants)
def test_a_rule_is_read_as_it_was_kept(rule: Policy | RoleGrant) -> None:
    check_kept(rule)

    assert parse_rule(msgspec.json.decode(encode(rule_values(rule))), rule.name) == rule


# ── How a log is read ───────────────────────────────────────────────────────────────────────────────────────────────


@given(logs(12), st.lists(st.integers(0, 20), max_size=4))
def test_a_log_says_the_same_however_it_is_cut(log: list[RuleChange], cuts: list[int]) -> None:
    book, places = NO_RULES, [0, *sorted(cuts), len(log)]
    for start, end in pairwise(places):
        book = book.after(log[start:end])

    assert book.after([]) == book
    assert_same_book(book, log)


def assert_same_book(book: Any, log: list[RuleChange]) -> None:
    """A book is that of its log, but for principals to whom everything was closed again."""
    whole = NO_RULES.after(log)
    assert (book.last, book.entry, book.places, book.given) == (whole.last, whole.entry, whole.places, whole.given)
    for line in log:
        names = line.rule.who if isinstance(line.rule, Policy) and line.rule.who else ("everyone",)
        assert book.opened_to(names) == whole.opened_to(names)


@FEW
@given(logs(6), logs(6), logs(6))
def test_a_rulebook_shows_each_snapshot_its_own_rules(
    first: list[RuleChange], undone: list[RuleChange], second: list[RuleChange]
) -> None:
    """Whatever it was asked before: by an older snapshot, or by one that was rolled back."""
    store, rules = MemoryStore(), Rulebook()

    def lose(unit: WriteUnit) -> None:
        write(unit, undone, "lost")
        assert_same_book(rules.at(unit), unit.rule_changes())
        raise UndoError

    store.write(lambda unit: write(unit, first, "first"))
    with store.read() as older:
        assert_same_book(rules.at(older), older.rule_changes())
        with pytest.raises(UndoError):
            store.write(lose)
        store.write(lambda unit: write(unit, second, "second"))
        with store.read() as newer:
            for unit in (newer, older, newer):
                assert_same_book(rules.at(unit), unit.rule_changes())
            assert [line.id.partition("-")[0] for line in newer.rule_changes()] == [
                *["first" for _ in first],
                *["second" for _ in second],
            ]


def write(unit: WriteUnit, log: list[RuleChange], name: str) -> None:
    for line in log:
        unit.put_rule(msgspec.structs.replace(line, id=f"{name}-{line.id}", at=WHEN))
