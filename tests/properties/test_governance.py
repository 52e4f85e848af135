"""One language, three readings: the decision, both stores and the mask agree with an oracle (ADR 0005, ADR 0026)."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.properties.rules_kit import (
    ABSENT,
    AUTHORS,
    BUSY,
    DEEP,
    IDS,
    NOW,
    SPACES,
    Written,
    a_line,
    callers,
    cubes_of,
    entry_of,
    logs,
    placed,
    whats,
    worlds,
)
from tests.properties.rules_oracle import Oracle

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.call import Caller, Reach, Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import NOTHING, Filter, matches
from pymemos.cube.header import LIVE, Behaviour, Stage, State
from pymemos.cube.life import StateChange
from pymemos.cube.policy import Action, Effect, Policy, RuleChange
from pymemos.errors import NotAllowed, UnknownMemory
from pymemos.infrastructure import governance
from pymemos.infrastructure.governance import Circumstances, Target
from pymemos.infrastructure.policies import NO_RULES
from pymemos.interface.rights import sources_are_open
from pymemos.operation.retrieval.space import WHOLE, Spaces, View
from pymemos.ports import ReadUnit, Store, WriteUnit
from pymemos.testing.doubles import WHEN, FrozenClock

COMBINATIONS = 100_000  # of a book of rules, a caller and a memory, that a deep run compares at least
OPERATION = "search"
ACTIONS = (Action.READ, Action.WRITE)
counted = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def enough_is_compared() -> Iterator[None]:
    """Behind the comparison, wherever it stands among the tests: it counts every book with a caller and a memory."""
    yield
    compared = next(counted)
    assert not (DEEP and 0 < compared < COMBINATIONS), f"{compared:,} combinations were compared"


class UndoError(Exception):
    """Undoes a unit, so that every example finds the store empty."""


@pytest.fixture(scope="module")
def sqlite() -> Iterator[SqliteStore]:
    with tempfile.TemporaryDirectory(prefix="pymemos-governance-") as folder:
        store = SqliteStore(Path(folder) / "home")
        yield store
        store.close()


def undone(store: Store, work: Callable[[WriteUnit], None]) -> None:
    def then_undo(unit: WriteUnit) -> None:
        work(unit)
        raise UndoError

    with pytest.raises(UndoError):
        store.write(then_undo)


def write(unit: WriteUnit, world: list[Written]) -> None:
    """Write a world, and let its memories come to their fates."""
    for space in SPACES:
        unit.advance(space, WHEN)
    for one in world:
        unit.insert(entry_of(one.cube))
    for one in world:
        if one.fate == "deleted":
            unit.retire(one.cube.id)
        elif one.fate == "archived":
            unit.move([archived(one.cube)])


def archived(cube: MemCube) -> StateChange:
    return StateChange(
        id=cube.id, at=WHEN, before=State.GENERATED, after=State.ARCHIVED, cause="archive", author="steward(default)"
    )


def circumstances(log: list[RuleChange], caller: Caller, action: Action = Action.READ) -> Circumstances:
    return Circumstances(caller=caller, action=action, operation=OPERATION, book=NO_RULES.after(log), now=NOW)


def ids_of(unit: ReadUnit, selection: Selection) -> set[str]:
    """What a selection finds, by each of the ways to ask for it."""
    found = [record.cube.id for record in unit.page(selection, limit=99)]
    assert found == sorted(found)
    assert unit.count(selection) == len(found)
    if selection.known_at is None:
        assert {cube.id for cube in unit.cubes(unit.keys(selection))} == set(found)
    return set(found)


class Seen:
    """A world as the oracle sees it."""

    def __init__(self, world: list[Written]) -> None:
        self.world = world
        self.homes = {one.cube.id: one.cube.namespace for one in world}
        self.current = {one.cube.id: one.cube for one in world if one.fate != "deleted"}

    def expected(self, oracle: Oracle, action: Action) -> set[str]:
        """The current memories that the action may reach, whose sources are open to reading."""
        return {
            id
            for id, cube in self.current.items()
            if oracle.may(action.value, cube) and oracle.open(cube, self.current, self.homes)
        }


# ── The readings ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(3600 if DEEP else 120)
@settings(BUSY, max_examples=2000 if DEEP else 60)
@given(log=logs(), people=st.lists(callers, min_size=12, max_size=16), world=worlds(5))
def test_decision_and_both_stores_agree_with_the_oracle(
    sqlite: SqliteStore, log: list[RuleChange], people: list[Caller], world: list[Written]
) -> None:
    seen = Seen(world)

    def work(unit: WriteUnit) -> None:
        write(unit, world)
        for caller in dict.fromkeys(people):
            oracle = Oracle(log, caller, OPERATION, NOW)
            for action in ACTIONS:
                check_decisions(unit, seen, oracle, action)
                check_selections(unit, seen, oracle, action)
            check_managing(oracle)

    for store in (MemoryStore(), sqlite):
        undone(store, work)
    for _ in range(len(set(people)) * len(world)):
        next(counted)


def check_decisions(unit: ReadUnit, seen: Seen, oracle: Oracle, action: Action) -> None:
    """``decide``, ``admits`` and the walk over sources, for every memory, deleted ones too."""
    of = circumstances(list(oracle.log), oracle.caller, action)
    reach = governance.reach(of)
    assert reach is not None
    for one in seen.world:
        cube = one.cube
        decision = governance.decide(of, Target(namespaces=(cube.namespace,), memory=cube.id))
        reading = oracle.may("read", cube)
        assert (decision.allowed and decision.admits(cube)) == oracle.may(action.value, cube)
        assert matches(reach.of(cube.namespace), cube) == reading
        assert sources_are_open(unit, reach, cube) == oracle.open(cube, seen.current, seen.homes)


def check_selections(unit: ReadUnit, seen: Seen, oracle: Oracle, action: Action) -> None:
    """The store's own reading, of each namespace, of several as one, and of all that may be read."""
    of = circumstances(list(oracle.log), oracle.caller, action)
    expected, reach = seen.expected(oracle, action), governance.reach(of)
    decisions = [governance.decide(of, Target(namespaces=(space,))) for space in SPACES]
    decisions.append(governance.decide(of, Target(namespaces=SPACES)))
    if action is Action.READ:
        decisions.append(governance.decide(of, Target(readable=True)))
        assert decisions[-1].allowed
        assert all(decisions[-1].admits(one.cube) == oracle.may("read", one.cube) for one in seen.world)
    for decision in decisions:
        if decision.allowed:
            names = decision.namespaces or ()
            rules = decision.narrowed
            selection = Selection(namespaces=names, rules=rules, reach=reach, episodes=True)
            assert ids_of(unit, selection) == {id for id in expected if seen.homes[id] in names}


def check_managing(oracle: Oracle) -> None:
    of = circumstances(list(oracle.log), oracle.caller, Action.MANAGE)
    for space in SPACES:
        assert governance.decide(of, Target(namespaces=(space,))).allowed == oracle.may_manage(space)


@given(
    log=logs(), caller=callers, world=worlds(), asked=st.lists(whats, max_size=3), hours=st.sampled_from([None, 0, 1])
)
def test_both_stores_read_any_selection_alike(
    sqlite: SqliteStore,
    log: list[RuleChange],
    caller: Caller,
    world: list[Written],
    asked: list[Filter],
    hours: int | None,
) -> None:
    """Rules and reaches that no decision would give, in all namespaces or in some, now and looking back."""
    reach = governance.reach(circumstances(log, caller))
    odd = tuple(zip(SPACES, asked, strict=False))
    selections = [
        Selection(namespaces=names, rules=rules, reach=wanted, episodes=True, known_at=None if hours is None else WHEN)
        for names in (None, SPACES, SPACES[:1], ("nowhere", SPACES[1]), ())
        for rules in ((), odd, (("nowhere", NOTHING), *odd))
        for wanted in (None, reach, Reach(odd), Reach())
    ]
    answers = []

    def work(unit: WriteUnit) -> None:
        write(unit, world)
        answers.append([(ids_of(unit, one), unit.hidden(one) != []) for one in selections])

    undone(MemoryStore(), work)
    undone(sqlite, work)

    assert answers[0] == answers[1]


# ── The mask ────────────────────────────────────────────────────────────────────────────────────────────────────────

ids = st.sampled_from(IDS[:5])
steps = st.one_of(
    st.tuples(st.just("write"), ids.flatmap(lambda id: cubes_of(id, [*IDS[:5], ABSENT]))),
    st.tuples(st.just("write"), ids.flatmap(lambda id: cubes_of(id, [*IDS[:5], ABSENT]))),
    st.tuples(st.sampled_from(["delete", "archive", "activate"]), ids),
    st.tuples(st.just("rule"), st.tuples(placed, st.sampled_from(AUTHORS))),
)


@settings(BUSY, max_examples=1000 if DEEP else 60)
@given(
    world=worlds(),
    log=logs(4),
    people=st.lists(callers, min_size=1, max_size=3),
    changes=st.lists(steps, min_size=1, max_size=6),
    kept=st.integers(0, 6),
)
def test_the_mask_shows_what_the_oracle_admits_while_memories_and_rules_change(
    world: list[Written], log: list[RuleChange], people: list[Caller], changes: list[Any], kept: int
) -> None:
    store, spaces, log = MemoryStore(), Spaces(10**9), list(log)
    store.write(lambda unit: write(unit, world))
    with ExitStack() as older:
        held: list[tuple[ReadUnit, list[RuleChange]]] = []
        for n, change in enumerate([None, *changes]):
            if change is not None:
                take(store, log, *change)
            if n == kept:
                held.append((older.enter_context(store.read()), list(log)))
            with store.read() as unit:
                for now, rules in ((unit, log), *held):  # a snapshot that others have gone beyond sees as before
                    for caller in people:
                        check_mask(spaces, now, Oracle(rules, caller, OPERATION, NOW))


def take(store: Store, log: list[RuleChange], what: str, about: Any) -> None:
    """Take one step, where it is possible."""
    if what == "rule":
        (place, rule), author = about
        log.append(a_line(log, place, rule.name, rule, author))
    elif what == "write":
        store.write(lambda unit: put(unit, about))
    else:
        store.write(lambda unit: move(unit, what, about))


def put(unit: WriteUnit, like: MemCube) -> None:
    """Write a memory, or its next version in the namespace where it lives."""
    held = unit.versions(like.id)
    if not held:
        unit.advance(like.namespace, WHEN)
        unit.insert(entry_of(like))
        return
    last = held[-1].cube
    rules = replace(like.header.governance, owner=last.namespace, namespace=last.namespace)
    entry = entry_of(last.derive(descriptive=like.header.descriptive, governance=rules, parents=like.parents))
    unit.advance(last.namespace, WHEN)
    (unit.supersede if unit.current([like.id]) else unit.revive)(entry)


def move(unit: WriteUnit, what: str, id: str) -> None:
    [facts] = unit.lives_of([id]) or [None]
    if facts is None:
        return
    unit.advance(facts.namespace, WHEN)
    if what == "delete":
        unit.retire(id)
        return
    after = State.ARCHIVED if what == "archive" else State.ACTIVATED
    if after is not facts.state:
        unit.move([StateChange(id=id, at=WHEN, before=facts.state, after=after, cause=what, author="ana")])


def check_mask(spaces: Spaces, unit: ReadUnit, oracle: Oracle) -> None:
    """What a search keeps in memory, as far as the caller may see it: what is current and at hand."""
    everything = Selection(namespaces=None, episodes=True)
    current = {record.cube.id: record.cube for record in unit.page(everything, limit=99)}
    homes = {id: str(unit.owner_of(id)) for id in IDS if unit.owner_of(id)}
    of = circumstances(list(oracle.log), oracle.caller)
    for space in SPACES:
        here = {id: cube for id, cube in current.items() if cube.namespace == space and is_at_hand(cube)}
        expected = {id for id, cube in here.items() if oracle.reads(cube, current, homes)}
        decision = governance.decide(of, Target(namespaces=(space,)))
        if not decision.allowed:
            assert expected == set()
            continue
        selection = Selection(namespaces=(space,), rules=decision.narrowed, reach=governance.reach(of))
        view = View(selection.rule_of(space), tuple(unit.hidden(selection)))
        snapshot = spaces.snapshot(unit, space, None, 0, view)
        assert snapshot is not None
        cubes = unit.cubes(snapshot.columns.key[snapshot.seen].tolist())
        assert {cube.id for cube in cubes} == expected
        assert set(snapshot.turns.rows.tolist()) == set(np.flatnonzero(snapshot.seen).tolist())
        spoken = {cube.header.descriptive.speaker for cube in cubes} - {None}
        assert view == WHOLE or set(snapshot.speakers) == spoken


def is_at_hand(cube: MemCube) -> bool:
    return not cube.is_episode and cube.stage_at(NOW) in LIVE


# ── The facade ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(3600 if DEEP else 120)
@settings(BUSY, max_examples=500 if DEEP else 15)
@given(world=worlds(), log=logs(), people=st.lists(callers, min_size=1, max_size=4), over_sqlite=st.integers(0, 9))
def test_what_is_got_listed_and_found_is_what_the_oracle_admits(
    world: list[Written], log: list[RuleChange], people: list[Caller], over_sqlite: int
) -> None:
    rules = [line for line in log if not (isinstance(line.rule, Policy) and line.rule.effect is Effect.LIMIT)]
    seen = Seen(world)
    with tempfile.TemporaryDirectory(prefix="pymemos-governance-") as folder:
        store = SqliteStore(Path(folder) / "home") if over_sqlite == 0 else MemoryStore()
        with MemOS(folder, clock=FrozenClock(NOW), store=store, blobs=MemoryBlobs(), embedder="none") as mem:
            store.write(lambda unit: write(unit, world))
            store.write(lambda unit: [unit.put_rule(line) for line in rules])
            for caller in dict.fromkeys(people):
                names = {"user_id": caller.user, "agent_id": caller.agent, "role": caller.role}
                handle = mem.bind(**names, task=caller.task, purpose=caller.purpose)
                if (caller.user, caller.agent) != (None, None):  # else it is the steward
                    check_facade(handle, seen, lambda name, who=caller: Oracle(rules, who, name, NOW))


def check_facade(handle: MemOS, seen: Seen, oracle_of: Callable[[str], Oracle]) -> None:
    get, listing, search = oracle_of("get"), oracle_of("list"), oracle_of("search")
    got = {id for id in seen.homes if outcome(lambda id=id: handle.get(id)) is not UnknownMemory}
    assert got == seen.expected(get, Action.READ)

    anything: dict[str, Any] = {"states": list(Stage), "episodes": True}
    expected = seen.expected(listing, Action.READ)
    assert {cube.id for cube in handle.list(namespaces="*", **anything)} == expected
    for space in SPACES:
        wanted = {id for id in expected if seen.homes[id] == space}
        found = outcome(lambda space=space: {cube.id for cube in handle.list(namespaces=space, **anything)})
        assert found == wanted or (found is NotAllowed and not wanted)

    expected = {id for id in seen.expected(search, Action.READ) if is_at_hand(one_of(seen, id))}
    assert {hit.cube.id for hit in handle.search("tea", namespaces="*", limit=50)} == expected
    past = handle.search("tea", namespaces="*", limit=50, states=list(Stage))
    assert {hit.cube.id for hit in past} == {
        id for id in seen.expected(search, Action.READ) if not seen.current[id].is_episode
    }


def one_of(seen: Seen, id: str) -> MemCube:
    """A memory with the state that its fate gave it."""
    [one] = [one for one in seen.world if one.cube.id == id]
    return one.cube.observed(Behaviour(state=State.ARCHIVED)) if one.fate == "archived" else one.cube


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (UnknownMemory, NotAllowed) as error:
        return type(error)
