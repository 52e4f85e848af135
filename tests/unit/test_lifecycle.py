"""The life cycle's pure rules: the whole table, and what is due when, with its reason (5.4.3, ADR 0006, ADR 0024)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from pymemos.cube.filters import parse
from pymemos.cube.header import LIVE, Behaviour, Lifespan, Priority, Stage, State
from pymemos.cube.life import LifeFacts
from pymemos.operation.lifecycle import (
    DEFAULT_POLICY,
    Cause,
    LifecyclePolicy,
    Move,
    Refusal,
    Tier,
    Transition,
    due,
    on_use,
    over_quota,
    plan,
    reach,
    transition,
)
from pymemos.testing.builders import ANA, a_cube
from pymemos.testing.doubles import WHEN

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
G, A, M, R, E = State.GENERATED, State.ACTIVATED, State.MERGED, State.ARCHIVED, State.EXPIRED

# The oracle, written out on its own: cause → what becomes of a memory in each of the five states; "-" is no edge.
TABLE: dict[Cause, tuple[State | None, ...]] = {
    #                 G     A     M     R     E
    Cause.USE: (A, A, A, None, None),
    Cause.MERGE: (M, M, M, None, None),
    Cause.ABSORB: (R, R, R, R, None),
    Cause.DISUSE: (R, R, R, None, None),
    Cause.DECAY: (R, R, R, None, None),
    Cause.QUOTA: (R, R, R, None, None),
    Cause.TTL: (E, E, E, E, None),
    Cause.EXPIRY: (E, E, E, E, None),
    Cause.ARCHIVE: (R, R, R, R, None),
    Cause.ACTIVATE: (A, A, A, A, None),
    Cause.FREEZE: (G, A, M, R, None),
    Cause.UNFREEZE: (G, A, M, R, None),
}
TIERS = {G: Tier.FAST, A: Tier.FAST, M: Tier.FAST, R: Tier.VAULT, E: Tier.GONE}


def facts(id: str = "a", **given: Any) -> LifeFacts:
    usual: dict[str, Any] = {
        "namespace": ANA,
        "revision": 1,
        "state": G,
        "uses": 0,
        "last_used": None,
        "heat": 0.0,
        "created": WHEN,
        "updated": WHEN,
        "lifespan": Lifespan(),
        "priority": Priority.MID,
        "frozen": False,
        "episode": False,
        "bytes": 100,
    }
    return LifeFacts(id=id, **{**usual, **given})


def told(move: Move | None) -> tuple[State, Cause] | None:
    return None if move is None else (move.after, move.cause)


# ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_names_every_cause() -> None:
    assert set(Cause) == set(TABLE)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("cause", list(Cause))
def test_every_edge_is_there_or_refused_with_a_reason(cause: Cause, state: State, frozen: bool) -> None:
    marks = cause in (Cause.FREEZE, Cause.UNFREEZE)
    wanted = TABLE[cause][list(State).index(state)] if marks or not frozen else None

    result = transition(state, frozen, cause)

    if wanted is None:
        assert isinstance(result, Refusal)
        assert result.reason
    else:
        assert result == Transition(wanted, cause is Cause.FREEZE)
        assert result.tier == (Tier.VAULT if cause is Cause.FREEZE else TIERS[wanted])


# ── What is due ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_memory_stays() -> None:
    assert due(facts(), DEFAULT_POLICY, WHEN) is None


@pytest.mark.parametrize("state", [G, A, M, R])
@pytest.mark.parametrize(
    ("lifespan", "cause"),
    [(Lifespan(ttl_s=60), Cause.TTL), (Lifespan(expires=WHEN + timedelta(seconds=60)), Cause.EXPIRY)],
)
def test_it_expires_at_its_very_instant(state: State, lifespan: Lifespan, cause: Cause) -> None:
    one, end = facts(state=state, lifespan=lifespan), WHEN + timedelta(seconds=60)

    assert due(one, DEFAULT_POLICY, end - MICROSECOND) is None
    assert told(due(one, DEFAULT_POLICY, end)) == (E, cause)


def test_of_two_ends_the_sooner_counts_and_is_named() -> None:
    both = Lifespan(ttl_s=60, expires=WHEN + DAY)

    move = due(facts(lifespan=both), DEFAULT_POLICY, WHEN + 2 * DAY)

    assert told(move) == (E, Cause.TTL)
    assert move is not None
    assert move.reason == "it was kept for 60 seconds"


def test_what_nobody_used_or_changed_for_long_is_archived() -> None:
    year = timedelta(days=365)

    assert due(facts(), DEFAULT_POLICY, WHEN + year - MICROSECOND) is None
    assert told(due(facts(), DEFAULT_POLICY, WHEN + year)) == (R, Cause.DISUSE)
    assert due(facts(last_used=WHEN + DAY), DEFAULT_POLICY, WHEN + year) is None
    assert due(facts(updated=WHEN + DAY), DEFAULT_POLICY, WHEN + year) is None


def test_disuse_spares_what_is_important_and_can_be_switched_off() -> None:
    late = WHEN + timedelta(days=4_000)

    assert due(facts(priority=Priority.HIGH), DEFAULT_POLICY, late) is None
    assert due(facts(), LifecyclePolicy(archive_after_days=None), late) is None
    assert told(due(facts(), LifecyclePolicy(archive_after_days=1), WHEN + DAY)) == (R, Cause.DISUSE)


def test_decay_archives_below_its_floor_and_a_use_makes_it_fresh() -> None:
    fading = facts(lifespan=Lifespan(half_life_s=DAY.total_seconds()))

    assert due(fading, DEFAULT_POLICY, WHEN + 4 * DAY) is None
    assert told(due(fading, DEFAULT_POLICY, WHEN + 4 * DAY + MICROSECOND * 10)) == (R, Cause.DECAY)
    assert due(replace(fading, last_used=WHEN + 2 * DAY), DEFAULT_POLICY, WHEN + 5 * DAY) is None


@pytest.mark.parametrize("given", [{"frozen": True}, {"state": E}])
def test_nothing_is_due_of_what_is_frozen_or_at_its_end(given: dict[str, Any]) -> None:
    one = facts(lifespan=Lifespan(ttl_s=1, half_life_s=1), **given)

    assert due(one, DEFAULT_POLICY, WHEN + 4_000 * DAY) is None


def test_the_manifest_of_a_conversation_expires_but_is_not_archived() -> None:
    late = WHEN + 4_000 * DAY

    assert due(facts(episode=True), DEFAULT_POLICY, late) is None
    assert told(due(facts(episode=True, lifespan=Lifespan(ttl_s=1)), DEFAULT_POLICY, late)) == (E, Cause.TTL)


def test_a_life_beyond_every_calendar_never_ends() -> None:
    assert due(facts(lifespan=Lifespan(ttl_s=1e300)), LifecyclePolicy(archive_after_days=None), WHEN + DAY) is None


# ── Use ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_use_activates_once_it_is_warm_enough() -> None:
    assert told(on_use(facts(heat=1.0), DEFAULT_POLICY)) == (A, Cause.USE)
    assert on_use(facts(heat=2.9), LifecyclePolicy(activate_heat=3)) is None
    assert told(on_use(facts(heat=3.0, state=M), LifecyclePolicy(activate_heat=3))) == (A, Cause.USE)


@pytest.mark.parametrize("given", [{"state": A}, {"state": R}, {"state": E}, {"frozen": True}])
def test_a_use_moves_nothing_that_is_active_or_put_away(given: dict[str, Any]) -> None:
    assert on_use(facts(heat=9.0, **given), DEFAULT_POLICY) is None


def test_heat_is_the_uses_each_halved_with_every_half_life() -> None:
    seen = Behaviour().used(WHEN).used(WHEN + 14 * DAY).used(WHEN)

    assert (seen.uses, seen.last_used, seen.heat) == (3, WHEN + 14 * DAY, 2.0)
    assert seen.heat_at(WHEN + 28 * DAY) == 1.0
    assert seen.heat_at(WHEN) == 2.0  # a question about before sees no more than there was


# ── Quotas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_quota_archives_the_coldest_and_priority_protects() -> None:
    held = [
        facts("hot", heat=3.0, last_used=WHEN),
        facts("cold"),
        facts("cold and low", priority=Priority.LOW, heat=1.0, last_used=WHEN),
        facts("cold and high", priority=Priority.HIGH),
    ]

    def archived(most: int) -> list[str]:
        return [move.id for move in over_quota(held, LifecyclePolicy(quota_memories=most), WHEN)]

    assert archived(4) == []
    assert archived(3) == ["cold and low"]
    assert archived(2) == ["cold and low", "cold"]
    assert archived(0) == ["cold and low", "cold", "hot", "cold and high"]


def test_a_quota_in_bytes_archives_until_it_fits() -> None:
    held = [facts(str(n), bytes=100, heat=float(n), last_used=WHEN) for n in range(5)]

    moves = over_quota(held, LifecyclePolicy(quota_bytes=250), WHEN)

    assert [move.id for move in moves] == ["0", "1", "2"]
    assert moves[0].reason == "500 bytes, 250 allowed; its priority is mid, its heat 0"


def test_what_is_put_away_counts_for_no_quota() -> None:
    away = [facts("a", state=R), facts("b", frozen=True), facts("c", episode=True)]

    assert over_quota([*away, facts("d")], LifecyclePolicy(quota_memories=1), WHEN) == []


def test_a_plan_takes_what_is_due_before_it_counts() -> None:
    held = [facts("over", lifespan=Lifespan(ttl_s=1)), facts("b"), facts("c", namespace="users/bo")]
    policies = {ANA: LifecyclePolicy(quota_memories=1), "users/bo": DEFAULT_POLICY}

    moves = list(plan(held, policies.__getitem__, WHEN + DAY))

    assert [(move.id, move.cause) for move in moves] == [("over", Cause.TTL)]


# ── Moves ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("since", [{"uses": 1}, {"revision": 2}, {"state": A}, {"frozen": True}])
def test_a_move_no_longer_holds_once_anything_happened(since: dict[str, Any]) -> None:
    one = facts()
    move = due(one, LifecyclePolicy(archive_after_days=0), WHEN)
    assert move is not None

    assert move.still_holds(one)
    assert not move.still_holds(replace(one, **since))


# ── Who is found ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("where", "more"),
    [
        (None, ()),
        ({"speaker": "Ann"}, ()),
        ({"state": "archived"}, (Stage.ARCHIVED,)),
        ({"OR": [{"state": {"in": ["expired", "merged"]}}, {"NOT": {"frozen": False}}]}, ("expired", "frozen")),
    ],
)
def test_by_default_the_live_ones_are_found_and_what_the_filter_names(where: Any, more: tuple[str, ...]) -> None:
    assert reach(None, None if where is None else parse(where)) == (*LIVE, *more)


def test_who_asks_for_standings_gets_those() -> None:
    assert reach((Stage.FROZEN,), parse({"state": "archived"})) == (Stage.FROZEN,)


@pytest.mark.parametrize("state", list(State))
def test_frozen_comes_before_every_state_and_expiry_before_the_others(state: State) -> None:
    over = Lifespan(expires=WHEN)

    assert a_cube(frozen=True, lifespan=over, behaviour=Behaviour(state=state)).stage_at(WHEN) == Stage.FROZEN
    assert a_cube(lifespan=over, behaviour=Behaviour(state=state)).stage_at(WHEN) == Stage.EXPIRED
    assert a_cube(behaviour=Behaviour(state=state)).stage_at(WHEN).value == state.value
