"""Laws of plans: whatever candidates and budgets are, nothing is lost or exceeded, and a plan can be replayed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scheduling_kit import CALIBRATION

from pymemos.cube.header import Priority
from pymemos.operation.budgets import Budgets
from pymemos.operation.costs import Form
from pymemos.operation.scheduler import CALLS, Asked, Decision, Place, replay, schedule
from pymemos.operation.strategies import Candidate, SchedulePolicy, StrategyName

scores = st.floats(0, 1, allow_nan=False)
candidates = st.lists(
    st.builds(
        Candidate,
        id=st.text("abcdefgh", min_size=1, max_size=4),
        version=st.sampled_from("12"),
        tokens=st.integers(1, 2_000),
        score=scores,
        heat=st.floats(0, 50),
        last_used=st.none() | st.floats(0, 1e5),
        changed=st.floats(0, 1e5),
        priority=st.sampled_from(Priority),
        labels=st.lists(st.sampled_from(["x", "y", "z"]), unique=True).map(tuple),
        forms=st.sampled_from([(), (Form.KV,), (Form.ADAPTER,), (Form.KV, Form.ADAPTER)]),
        is_trusted=st.booleans(),
        is_current=st.booleans(),
        is_stale=st.booleans(),
        refused=st.none() | st.just("no"),
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)
budgets = st.builds(
    Budgets,
    tokens=st.none() | st.integers(0, 4_000),
    seconds=st.none() | st.floats(0, 5),
    device_bytes=st.none() | st.integers(0, 10**8),
    memories=st.none() | st.integers(0, 8),
    calls=st.none() | st.integers(0, 4),
)
policies = st.builds(SchedulePolicy, strategy=st.sampled_from(StrategyName), labels=st.just(("x", "z")))


def decided(given: list[Candidate], budgets: Budgets, policy: SchedulePolicy) -> Decision:
    return schedule(Asked(candidates=tuple(given), budgets=budgets, policy=policy, calibration=CALIBRATION))


@given(candidates, budgets, policies)
def test_every_candidate_is_placed_or_left_out_once_and_has_a_reason(some, budgets, policy):
    plan = decided(some, budgets, policy).plan

    assert sorted(one.id for one in some) == sorted(one.id for one in (*plan.placed, *plan.left_out))
    assert len(some) == len(plan.reasons())


@given(candidates, budgets, policies)
def test_no_budget_is_exceeded_and_the_sums_are_true(some, budgets, policy):
    plan = decided(some, budgets, policy).plan

    assert plan.tokens == sum(one.tokens for one in plan.placed)
    assert abs(plan.seconds - sum(one.seconds for one in plan.placed)) < 1e-9
    assert budgets.tokens is None or plan.tokens <= budgets.tokens
    assert budgets.seconds is None or plan.seconds <= budgets.seconds
    assert budgets.device_bytes is None or plan.device_bytes <= budgets.device_bytes
    assert budgets.memories is None or len(plan.placed) <= budgets.memories
    used = {one.form for one in plan.placed} - {Form.TEXT}
    assert budgets.calls is None or sum(CALLS[form] for form in used) <= budgets.calls


@given(candidates, budgets, policies)
def test_what_rules_refuse_or_what_is_stale_is_never_placed(some, budgets, policy):
    kept_out = {one.id for one in some if one.refused is not None or one.is_stale}

    assert not kept_out & {one.id for one in decided(some, budgets, policy).plan.placed}


@given(candidates, budgets, policies)
def test_a_form_that_is_used_lies_ready_and_stands_where_it_belongs(some, budgets, policy):
    ready = {one.id: one.forms for one in some}
    order = [Place.WEIGHTS, Place.STABLE, Place.VOLATILE]

    placed = decided(some, budgets, policy).plan.placed

    assert all(one.form is Form.TEXT or one.form in ready[one.id] for one in placed)
    assert [one.place for one in placed] == sorted((one.place for one in placed), key=order.index)


@given(candidates, budgets, policies, st.randoms(use_true_random=False))
def test_the_order_in_which_candidates_come_makes_no_difference(some, budgets, policy, random):
    shuffled = random.sample(some, len(some))

    one, other = decided(some, budgets, policy).plan, decided(shuffled, budgets, policy).plan

    assert one.placed == other.placed
    assert sorted(one.reasons()) == sorted(other.reasons())


@given(candidates, budgets, policies)
def test_a_decision_is_stored_and_replayed(some, budgets, policy):
    decision = decided(some, budgets, policy)

    kept = Decision.from_json(decision.as_json())

    assert decision == kept == replay(kept)
