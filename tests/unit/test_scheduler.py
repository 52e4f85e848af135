"""The scheduler: what reaches the model, in which form, where and why."""

from __future__ import annotations

import pytest
from tests.unit.scheduling_kit import CALIBRATION, candidate, planned

from pymemos.cube.header import Priority
from pymemos.operation.budgets import Budgets, Why
from pymemos.operation.costs import Form
from pymemos.operation.scheduler import Asked, Decision, Place, Plan, replay, schedule
from pymemos.operation.strategies import PolicyBook, SchedulePolicy, StrategyName


def ids(plan: Plan) -> list[str]:
    return [one.id for one in plan.placed]


def by(strategy: str, *labels: str) -> SchedulePolicy:
    return SchedulePolicy(strategy=StrategyName(strategy), labels=labels)


class TestStrategies:
    def test_recency_prefers_who_was_used_last(self):
        plan = planned(
            candidate("old", last_used=1.0), candidate("new", last_used=9.0), candidate("never"), policy=by("recency")
        )

        assert ["new", "old", "never"] == ids(plan)

    def test_similarity_prefers_who_fits_best(self):
        plan = planned(candidate("a", score=0.2), candidate("b", score=0.9), policy=by("similarity"))

        assert ["b", "a"] == ids(plan)

    def test_labels_count_before_fit(self):
        plan = planned(
            candidate("fits", score=0.9),
            candidate("bears", score=0.1, labels=("travel",)),
            candidate("bears both", score=0.1, labels=("travel", "work")),
            policy=by("labels", "travel", "work"),
        )

        assert ["bears both", "bears", "fits"] == ids(plan)

    def test_priority_counts_before_fit(self):
        plan = planned(
            candidate("fits", score=0.9, priority=Priority.LOW),
            candidate("matters", score=0.1, priority=Priority.HIGH),
            policy=by("priority"),
        )

        assert ["matters", "fits"] == ids(plan)

    def test_cost_prefers_what_gives_most_for_its_time(self):
        plan = planned(
            candidate("long", score=0.6, tokens=1_000), candidate("short", score=0.5, tokens=20), policy=by("cost")
        )

        assert ["short", "long"] == ids(plan)

    def test_cost_knows_what_a_kv_cache_saves(self):
        both = [candidate("text", score=0.6, tokens=500), candidate("kv", score=0.5, tokens=500, forms=(Form.KV,))]

        assert "text: as text" in planned(*both).reasons()[1]
        assert planned(*both, policy=by("cost"), memories=1).placed[0].id == "kv"

    def test_the_narrowest_policy_holds(self):
        book = PolicyBook(
            tasks={"review": by("labels", "code")}, users={"ana": by("recency")}, organisations={"acme": by("cost")}
        )

        assert by("labels", "code") == book.of(task="review", user="ana", organisation="acme")
        assert by("recency") == book.of(task="other", user="ana", organisation="acme")
        assert by("cost") == book.of(user="bo", organisation="acme")
        assert SchedulePolicy() == book.of(user="bo")


class TestBudgets:
    def test_what_does_not_fit_is_left_out_and_smaller_ones_still_come_in(self):
        plan = planned(
            candidate("a", score=0.9, tokens=60),
            candidate("b", score=0.8, tokens=60),
            candidate("c", score=0.7, tokens=40),
            tokens=100,
        )

        assert ["a", "c"] == ids(plan)
        assert [("b", Why.TOKENS)] == [(one.id, one.why) for one in plan.left_out]
        assert 100 == plan.tokens

    def test_the_time_for_reading_is_kept(self):
        plan = planned(*(candidate(name, score=score) for name, score in [("a", 0.9), ("b", 0.8)]), seconds=0.15)

        assert ["a"] == ids(plan)
        assert [Why.SECONDS] == [one.why for one in plan.left_out]
        assert plan.seconds <= 0.15

    def test_no_more_memories_than_asked_for(self):
        plan = planned(candidate("a", score=0.9), candidate("b", score=0.8), memories=1)

        assert ["a"] == ids(plan)
        assert "b: left out, the budget of memories is 1" == plan.reasons()[1]

    def test_text_is_read_where_the_bytes_are_taken(self):
        kv = {"forms": (Form.KV,)}
        plan = planned(candidate("a", score=0.9, **kv), candidate("b", score=0.8, **kv), device_bytes=5_000_000)

        assert [("a", Form.KV), ("b", Form.TEXT)] == [(one.id, one.form) for one in plan.placed]
        assert "left as text: 8 MB would pass the budget of 5 MB" in plan.reasons()[1]

    def test_text_is_read_where_the_callers_rate_leaves_no_calls_for_more(self):
        both = [candidate("a", score=0.9, forms=(Form.KV,)), candidate("b", score=0.8, forms=(Form.KV,))]

        assert [Form.KV, Form.KV] == [one.form for one in planned(*both, calls=2).placed]
        plan = planned(*both, calls=1)

        assert [Form.TEXT, Form.TEXT] == [one.form for one in plan.placed]
        assert "left as text: 2 calls would pass the 1 that the caller's rate limit leaves" in plan.reasons()[0]

    def test_behind_a_text_the_stable_block_is_text(self):
        kv = {"forms": (Form.KV,), "tokens": 100}
        block = [candidate(name, position=place, **kv) for place, name in enumerate("abc")]
        small = candidate("d", position=3, tokens=10, forms=(Form.KV,))

        plan = planned(*block, small, device_bytes=9_000_000)

        assert [Form.KV, Form.KV, Form.TEXT, Form.TEXT] == [one.form for one in plan.placed]
        assert "left as text: what stands before it in the prompt is read as text" in plan.reasons()[3]

    def test_the_tighter_of_two_budgets_holds(self):
        one, other = Budgets(tokens=100, seconds=0.5), Budgets(tokens=50, memories=3)

        assert Budgets(tokens=50, seconds=0.5, memories=3) == one.within(other) == other.within(one)

    def test_an_adapter_takes_no_room_in_the_prompt(self):
        plan = planned(candidate("a", forms=(Form.KV, Form.ADAPTER), tokens=1_000), tokens=10)

        assert [Form.ADAPTER] == [one.form for one in plan.placed]
        assert 0 == plan.tokens


class TestOrder:
    def test_adapters_then_the_hottest_then_what_fits_best(self):
        plan = planned(
            candidate("text", score=0.9),
            candidate("warm", score=0.8, heat=1.0, forms=(Form.KV,)),
            candidate("hot", score=0.1, heat=9.0, forms=(Form.KV,)),
            candidate("weights", score=0.2, tokens=900, forms=(Form.ADAPTER,)),
            candidate("less", score=0.3),
        )

        assert ["weights", "hot", "warm", "text", "less"] == ids(plan)
        assert [Place.WEIGHTS, Place.STABLE, Place.STABLE, Place.VOLATILE, Place.VOLATILE] == [
            one.place for one in plan.placed
        ]

    def test_trusted_and_current_memories_come_before_the_others(self):
        plan = planned(
            candidate("web", score=0.9, is_trusted=False),
            candidate("old", score=0.8, is_current=False),
            candidate("said", score=0.1),
        )

        assert ["said", "web", "old"] == ids(plan)

    def test_the_order_of_candidates_makes_no_difference(self):
        some = [candidate(name, score=0.5, heat=1.0, forms=(Form.KV,)) for name in "abcd"]

        assert planned(*some) == planned(*reversed(some))

    def test_equals_are_told_apart_by_their_ids(self):
        assert ["a", "b"] == ids(planned(candidate("b"), candidate("a")))


class TestRules:
    def test_what_rules_refuse_is_left_out_with_what_they_say(self):
        plan = planned(candidate("a", refused="only physicians may read it"))

        assert [] == ids(plan)
        assert ["a: left out, only physicians may read it"] == plan.reasons()

    def test_what_is_stale_is_left_out(self):
        plan = planned(candidate("a", is_stale=True))

        assert ["a: left out, what it was made from has changed"] == plan.reasons()


class TestDecisions:
    @pytest.mark.parametrize("strategy", StrategyName)
    def test_a_decision_survives_json_and_is_made_again(self, strategy):
        some = (
            candidate("a", score=0.9, labels=("x",), forms=(Form.KV,), last_used=3.0),
            candidate("b", refused="no"),
            candidate("c", priority=Priority.HIGH, forms=(Form.KV, Form.ADAPTER)),
        )
        decision = schedule(
            Asked(
                candidates=some,
                budgets=Budgets(tokens=500, device_bytes=10**7),
                policy=SchedulePolicy(strategy=strategy, labels=("x",)),
                calibration=CALIBRATION,
            )
        )

        kept = Decision.from_json(decision.as_json())

        assert decision == kept
        assert decision == replay(kept)

    def test_a_decision_on_other_inputs_is_another(self):
        decision = schedule(Asked(candidates=(candidate("a"), candidate("b")), calibration=CALIBRATION))
        tampered = Decision(asked=Asked(candidates=(candidate("a"),), calibration=CALIBRATION), plan=decision.plan)

        assert tampered != replay(tampered)
