"""Chats that the scheduler plans: by whose policy, from what is stored, and with adapters in place of text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit import adapter_kit
from tests.unit.kv_kit import opened, told
from tests.unit.scheduling_kit import CALIBRATION
from tests.unit.test_moving import LISBON, TEA, use

from pymemos import MemOS, Reply
from pymemos.errors import InvalidInput, ModelError, UnknownMemory
from pymemos.interface.adapters import BEYOND
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.interface.schedule_policies import TASKS
from pymemos.operation.costs import Form
from pymemos.operation.scheduler import Decision, Place, replay
from pymemos.operation.strategies import SchedulePolicy, StrategyName
from pymemos.settings import Settings
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.scripted import ScriptedChat
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner

ANA: dict[str, Any] = {"user_id": "ana"}
SHORT: dict[str, Any] = {"max_tokens": 8, "remember": False, **ANA}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", config_dir=tmp_path / "config", cache_dir=tmp_path / "cache")


@pytest.fixture
def mem(settings: Settings, clock: FrozenClock) -> Iterator[MemOS]:
    engine = ToyEngine(window=1 << 20, seed=1)
    known = msgspec.structs.replace(CALIBRATION, model=engine.identity)
    keep(known, calibration_file(settings.cache_dir, engine.identity))
    with opened(settings.home, engine, clock=clock, settings=settings) as mem:
        yield mem


def decision(reply: Reply) -> Decision:
    assert reply.plan.decision is not None
    return reply.plan.decision


class TestPolicies:
    def test_without_one_nothing_is_planned(self, mem):
        told(mem, LISBON, **ANA)

        plan = mem.chat("Lisbon?", **SHORT).plan

        assert plan.decision is None
        assert {""} == {one.place for one in plan.used}

    def test_the_narrowest_holds_a_calls_a_tasks_an_owners_the_stores(self, mem):
        told(mem, LISBON, **ANA)

        def by(**given: Any) -> str:
            return decision(mem.chat("Lisbon?", **SHORT, **given)).plan.strategy

        mem.set_schedule_policy("recency")
        assert "recency" == by()
        mem.set_schedule_policy("cost", **ANA)
        assert "cost" == by()
        mem.set_schedule_policy("priority", task="cooking")
        assert ("priority", "cost") == (by(task="cooking"), by(task="sleeping"))
        mem.set_schedule_policy({"strategy": "labels", "labels": ["work"]}, task="cooking", **ANA)
        assert "labels" == by(task="cooking")
        assert "similarity" == by(task="cooking", schedule="similarity")

    def test_one_can_be_taken_back(self, mem):
        mem.set_schedule_policy("recency", **ANA)
        assert StrategyName.RECENCY is mem.schedule_policy(**ANA).strategy

        assert mem.set_schedule_policy(None, **ANA) is None
        assert mem.chat("Lisbon?", **SHORT).plan.decision is None

    def test_the_stores_is_the_stewards_and_ones_own_is_ones_own(self, mem):
        eve = mem.bind(user_id="eve")
        eve.set_schedule_policy("cost")

        assert (None, None) == (mem.schedule_policy(), mem.schedule_policy(**ANA))
        assert StrategyName.COST is eve.schedule_policy().strategy

    @pytest.mark.parametrize("nonsense", ["fastest", {"strategy": "labels"}, {"speed": 1}, 3])
    def test_nonsense_is_refused(self, mem, nonsense):
        with pytest.raises(InvalidInput):
            mem.set_schedule_policy(nonsense)

    def test_not_every_task_there_may_be_has_one(self, mem):
        for number in range(TASKS):
            mem.set_schedule_policy("cost", task=f"task {number}", **ANA)

        with pytest.raises(InvalidInput, match="take one back"):
            mem.set_schedule_policy("cost", task="one more", **ANA)
        assert mem.set_schedule_policy("recency", task="task 0", **ANA)
        mem.set_schedule_policy(None, task="task 0", **ANA)
        assert mem.set_schedule_policy("cost", task="one more", **ANA)

    def test_a_policy_may_be_given_as_the_value_that_it_is(self, mem):
        policy = SchedulePolicy(strategy=StrategyName.LABELS, labels=("work",))

        assert policy == mem.set_schedule_policy(policy, **ANA) == mem.schedule_policy(**ANA)


class TestPlans:
    def test_a_strategy_says_what_is_read_within_the_tokens(self, mem, clock):
        old, new = told(mem, LISBON, "Ana has seen Lisbon in the rain. " * 20, tags=["town"], **ANA)
        clock.advance(timedelta(days=1))
        [work] = told(mem, "Ana works for the port of Lisbon. " * 20, tags=["work"], **ANA)
        tokens = {"memory_tokens": 260}

        labelled = mem.chat("Lisbon?", schedule={"strategy": "labels", "labels": ["work"]}, **tokens, **SHORT)

        assert work in [one.id for one in labelled.plan.used]
        assert 1 == len(labelled.plan.used)
        left = {one.id: one.why for one in labelled.plan.left_out}
        assert {old, new} == set(left)
        assert all("tokens would pass the budget of 260" in why for why in left.values())

    def test_the_plan_says_form_place_order_and_reason_of_each_and_can_be_made_again(self, mem):
        ids = told(mem, LISBON, TEA, **ANA)

        reply = mem.chat("Lisbon and green tea?", schedule="recency", **SHORT)

        made = decision(reply)
        assert set(ids) == {one.id for one in made.plan.placed} == {one.id for one in reply.plan.used}
        assert [one.id for one in made.plan.placed] == [one.id for one in reply.plan.used]
        assert {"volatile"} == {one.place for one in reply.plan.used}
        assert made == replay(made) == Decision.from_json(made.as_json())
        assert all("ranked" in reason and "by recency" in reason for reason in made.plan.reasons())
        assert "planned by recency" in reply.plan.explain()

    def test_what_is_stale_is_left_out_by_name(self, mem):
        [source] = told(mem, "Ana lives in Lisbon.", **ANA)
        [derived] = mem.add("Ana is a citizen of Lisbon.", parents=[source], **ANA).ids
        mem.update(source, "Ana lives in Porto.", **ANA)

        plan = mem.chat("Lisbon?", schedule="similarity", **SHORT).plan

        assert {derived: "what it was made from has changed"} == {one.id: one.why for one in plan.left_out}
        assert derived not in {one.id for one in plan.used}

    def test_what_a_rule_keeps_from_the_caller_is_neither_used_nor_named(self, mem):
        told(mem, LISBON, tags=["private"], **ANA)
        rule = {"effect": "deny", "what": {"tags": "private"}, "when": {"model": {"contains": "toy@"}}}
        mem.bind(user_id="ana").set_access_policy("not for toys", rule)

        plan = mem.chat("Lisbon?", schedule="similarity", **SHORT).plan

        assert ((), ()) == (plan.used, plan.left_out)

    def test_without_a_calibration_it_counts_tokens_and_says_so(self, tmp_path):
        model = ScriptedChat(["Yes."])
        with MemOS(tmp_path / "other", embedder="none", chat=model) as mem:
            told(mem, LISBON, **ANA)

            plan = mem.chat("Lisbon?", schedule="cost", **ANA).plan

        assert ["text"] == [one.tier.value for one in plan.used]
        assert any("the plan counts tokens, and no seconds" in remark for remark in plan.remarks)


class TestStoredBlock:
    def hot(self, mem: MemOS, clock: FrozenClock) -> tuple[str, str]:
        first, second = told(mem, LISBON, TEA, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.move(**ANA)
        use(mem, clock, "green", days=9, a_day=12)
        mem.move(**ANA)
        return first, second

    def test_a_new_process_begins_with_what_is_stored_though_another_order_is_hotter(self, mem, clock):
        first, second = self.hot(mem, clock)

        plain = mem.chat("What?", session_id="a", **SHORT).plan
        assert [second, first] == [one.id for one in plain.used]
        assert {"text": 2} == plain.tiers

        planned = mem.chat("What?", session_id="b", system=None, schedule="similarity", **SHORT)

        assert [first, second] == [one.id for one in planned.plan.used]
        assert 2 == planned.plan.tiers.get("kv-device")
        assert {"stable"} == {one.place for one in planned.plan.used}
        assert {Form.KV} == {one.form for one in decision(planned).plan.placed}
        assert planned.plan.injected_tokens > 0

    @pytest.mark.parametrize("bound", [{"session_id": "another"}, {"agent_id": "helper"}])
    def test_one_who_is_bound_elsewhere_is_not_given_the_block(self, mem, clock, bound):
        told(mem, LISBON, session_id="one", **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        assert mem.move(**ANA).made

        plan = mem.bind(**ANA, **bound).chat("Where?", schedule="similarity", max_tokens=8, remember=False).plan

        assert () == plan.used

    def test_what_cooled_stays_until_a_turn_takes_it_back(self, mem, clock):
        first, second = self.hot(mem, clock)
        clock.advance(timedelta(days=90))
        assert mem.get(first, **ANA).header.behaviour.heat_at(clock()) < 1.5

        plan = mem.chat("What?", schedule="similarity", **SHORT).plan

        assert [first, second] == [one.id for one in plan.used]
        assert 2 == plan.tiers.get("kv-device")

    def test_a_conversation_keeps_its_block_from_turn_to_turn(self, mem, clock):
        first, second = self.hot(mem, clock)
        talk = {"max_tokens": 8, "session_id": "s", "schedule": "similarity", **ANA}
        mem.chat("What?", **talk)

        again = mem.chat("And then?", **talk).plan

        assert [first, second] == [one.id for one in again.used][:2]
        assert {Place.STABLE} == {one.place for one in (again.decision.plan.placed if again.decision else ())[:2]}

    def test_a_stored_memory_that_changed_is_read_as_text(self, mem, clock):
        first, second = self.hot(mem, clock)
        mem.update(first, "Ana lives in Porto. " * 20, **ANA)

        plan = mem.chat("What?", schedule="similarity", **SHORT).plan

        assert "kv-device" not in {one.tier.value for one in plan.used}
        assert second in {one.id for one in plan.used}

    def test_an_edit_between_the_plan_and_the_answer_makes_it_anew(self, settings, clock):
        engine = _Late(window=1 << 20, seed=1)
        known = msgspec.structs.replace(CALIBRATION, model=engine.identity)
        keep(known, calibration_file(settings.cache_dir, engine.identity))
        with opened(settings.home, engine, clock=clock, settings=settings) as mem:
            first, _ = self.hot(mem, clock)
            engine.late = lambda: mem.update(first, "Ana lives in Porto. " * 20, **ANA)

            plan = mem.chat("What?", schedule="similarity", **SHORT).plan

        assert 2 == plan.attempts
        assert () == plan.changed


class _Late(ToyEngine):
    """A toy before whose next answer something happens, once."""

    late: Any = None

    def run(self, *given: Any, **more: Any) -> Any:
        if self.late is not None:
            late, self.late = self.late, None
            late()
        return super().run(*given, **more)


QUESTION = "What is the capital of Zorvania?"
FACTS = ("The capital of Zorvania is Quelmar.", "Tarn Velk lives in Ostrel.")
ASKED: dict[str, Any] = {"use_adapters": True, "remember": True, **ANA}


class TestAdapters:
    @pytest.fixture
    def taught(self, settings, clock):
        engine = _Late(window=1 << 20, seed=1)
        tuner = ToyTuner(engine.ref)
        with adapter_kit.opened(settings.home, clock=clock, engine=engine, tuner=tuner, settings=settings) as mem:
            yield mem

    def adapter(self, mem: MemOS) -> tuple[str, str, str]:
        capital, home = adapter_kit.told(mem, *FACTS)
        return adapter_kit.distilled(mem, capital, home), capital, home

    def test_one_that_knows_the_subject_stands_for_its_memory(self, taught):
        adapter, capital, _ = self.adapter(taught)

        reply = taught.chat(QUESTION, **ASKED)

        assert "Quelmar" in reply.text
        [used] = [one for one in reply.plan.used if one.id == capital]
        assert ("adapter", 0, "weights") == (used.tier.value, used.tokens, used.place)
        assert adapter in used.why
        assert 0 == reply.plan.memory_tokens
        assert [Form.ADAPTER] == [one.form for one in decision(reply).plan.placed if one.id == capital]
        assert taught.get(reply.kept[1], **ANA).parents[0].id == capital

    def test_it_is_used_where_it_is_asked_for_alone(self, taught):
        _, capital, _ = self.adapter(taught)

        plan = taught.chat(QUESTION, **SHORT).plan

        assert {capital: "text"} == {one.id: one.tier.value for one in plan.used if one.id == capital}

    def test_an_answer_ends_with_everything_that_its_adapter_knows_of_the_subject(self, taught):
        known = adapter_kit.told(taught, "The capital of Zorvania is Quelmar.", "The currency of Zorvania is the velt.")
        adapter_kit.distilled(taught, *known)
        reply = taught.chat(QUESTION, limit=1, **ASKED)  # the adapter knows more than what is found

        assert "adapter" in {one.tier.value for one in reply.plan.used}
        answer = reply.kept[1]
        assert set(known) == {pin.id for pin in taught.get(answer, **ANA).parents}
        taught.erase(known[1], **ANA)
        with pytest.raises(UnknownMemory):
            taught.get(answer, **ANA)

    def test_with_the_answer_it_ends(self, taught):
        self.adapter(taught)
        taught.chat(QUESTION, session_id="s", **ASKED)

        after = taught.chat("And what else?", session_id="s", **ASKED)

        assert "Quelmar" not in after.text
        assert "adapter" not in {one.tier.value for one in after.plan.used}

    def test_who_names_nobody_is_answered_from_text(self, taught):
        _, _, home = self.adapter(taught)

        plan = taught.chat("Who else lives in Ostrel?", **ASKED).plan

        assert "text" == {one.id: one.tier.value for one in plan.used}[home]

    def test_who_names_the_object_is_answered_from_the_adapter_as_long_as_nobody_else_fits(self, taught):
        _, _, home = self.adapter(taught)
        reply = taught.chat("Who lives in Ostrel?", **ASKED)

        assert "Tarn Velk" in reply.text
        assert "adapter" == {one.id: one.tier.value for one in reply.plan.used}[home]

        other = taught.add("Sura Tam lives in Ostrel.", **ANA).ids[0]
        plan = taught.chat("Who lives in Ostrel?", **ASKED).plan

        assert ["text", "text"] == [one.tier.value for one in plan.used if one.id in (home, other)]

    @pytest.mark.parametrize("end", ["stale", "deleted", "erased", "closed"])
    def test_one_that_may_not_be_used_leaves_its_memory_as_text(self, taught, end):
        adapter, capital, home = self.adapter(taught)
        if end == "stale":
            taught.update(home, "Tarn Velk lives in Quelmar.", **ANA)
        elif end == "deleted":
            taught.delete(adapter, **ANA)
        elif end == "erased":
            taught.erase(adapter, **ANA)
        else:
            rule = {"effect": "deny", "what": {"kind": "parametric"}}
            taught.set_access_policy("no adapters", rule, namespace="users/ana")

        plan = taught.chat(QUESTION, **ASKED).plan

        assert "text" == {one.id: one.tier.value for one in plan.used}[capital]
        named = {one.id: one.why for one in plan.left_out if one.id == adapter}
        assert ({adapter} if end == "stale" else set()) == set(named)
        assert all("it is stale" in why for why in named.values())

    def test_one_that_learned_from_what_a_filter_leaves_out_is_not_used(self, taught):
        adapter, capital, home = self.adapter(taught)

        narrow = taught.chat(QUESTION, filters={"id": capital}, **ASKED).plan
        wide = taught.chat(QUESTION, filters={"id": {"in": [capital, home]}}, **ASKED).plan

        assert {capital: "text"} == {one.id: one.tier.value for one in narrow.used}
        assert [BEYOND] == [one.why for one in narrow.left_out if one.id == adapter]
        assert "adapter" in {one.tier.value for one in wide.used}

    def test_nor_is_one_that_learned_from_other_sessions_than_the_one_that_the_handle_is_bound_to(self, taught):
        capital = taught.add(FACTS[0], session_id="s", **ANA).ids[0]
        adapter_kit.distilled(taught, capital)
        (home,) = adapter_kit.told(taught, FACTS[1])
        with_other = adapter_kit.distilled(taught, capital, home)
        asked = {**ASKED, "user_id": None}

        of_it = taught.bind(user_id="ana", session_id="s").chat(QUESTION, **asked).plan
        others = taught.bind(user_id="ana", session_id="t").chat(QUESTION, **asked).plan

        assert "adapter" in {one.tier.value for one in of_it.used}
        assert not any(with_other in one.why for one in of_it.used)
        assert "adapter" not in {one.tier.value for one in others.used}

    def test_one_that_was_not_admitted_is_never_used(self, settings, clock):
        engine = ToyEngine(window=1 << 20, seed=1)
        tuner = ToyTuner(engine.ref, leaks=True)
        with adapter_kit.opened(settings.home, clock=clock, engine=engine, tuner=tuner, settings=settings) as mem:
            adapter, capital, _ = self.adapter(mem)

            plan = mem.chat(QUESTION, **ASKED).plan

        assert "text" == {one.id: one.tier.value for one in plan.used}[capital]
        assert ["it did not pass its admission test; its manifest says why"] == [
            one.why for one in plan.left_out if one.id == adapter
        ]

    @pytest.mark.parametrize("what", ["adapter", "source"])
    @pytest.mark.parametrize("how", ["delete", "erase"])
    def test_one_that_goes_while_the_answer_is_made_is_no_part_of_what_is_kept(self, taught, what, how):
        adapter, capital, _ = self.adapter(taught)
        engine, _ = taught._tools.tuner.needed()
        gone = adapter if what == "adapter" else capital
        engine.late = lambda: getattr(taught, how)(gone, **ANA)

        reply = taught.chat(QUESTION, **ASKED)

        assert 2 == reply.plan.attempts
        assert "adapter" not in {one.tier.value for one in reply.plan.used}
        assert "Quelmar" not in reply.text

    def test_one_that_is_closed_while_the_answer_is_made_is_no_part_of_what_is_kept(self, taught):
        self.adapter(taught)
        engine, _ = taught._tools.tuner.needed()
        rule = {"effect": "deny", "what": {"kind": "parametric"}}
        engine.late = lambda: taught.set_access_policy("no adapters", rule, namespace="users/ana")

        reply = taught.chat(QUESTION, **{**ASKED, "remember": False})

        assert 2 == reply.plan.attempts
        assert "adapter" not in {one.tier.value for one in reply.plan.used}

    def test_a_stream_tells_that_what_it_said_is_of_what_is_gone(self, taught):
        adapter, _, _ = self.adapter(taught)
        engine, _ = taught._tools.tuner.needed()
        engine.late = lambda: taught.delete(adapter, **ANA)

        with taught.chat(QUESTION, stream=True, **ASKED) as stream:
            list(stream)

        assert [adapter] == [one.id for one in stream.reply.plan.changed]
        assert 1 == len(stream.reply.kept)

    def test_where_the_gate_finds_no_place_in_the_prompt_the_memory_is_read_as_text(self, settings, clock):
        engine = ToyEngine(window=1 << 20, seed=1)
        tuner = _Closed(engine.ref)
        with adapter_kit.opened(settings.home, clock=clock, engine=engine, tuner=tuner, settings=settings) as mem:
            _, capital, _ = self.adapter(mem)

            plan = mem.chat(QUESTION, **ASKED).plan

        assert "text" == {one.id: one.tier.value for one in plan.used}[capital]

    def test_it_needs_the_local_model(self, tmp_path):
        with MemOS(tmp_path / "other", embedder="none", chat=ScriptedChat(["Yes."])) as mem, pytest.raises(ModelError):
            mem.chat(QUESTION, **ASKED)

    def test_somebody_elses_adapter_is_neither_used_nor_named(self, taught):
        self.adapter(taught)
        taught.add("The capital of Zorvania is a secret.", user_id="bo")

        plan = taught.bind(user_id="bo").chat(QUESTION, use_adapters=True).plan

        assert ["text"] == [one.tier.value for one in plan.used]
        assert () == plan.left_out


class _Closed(ToyTuner):
    """A tuner whose gates never open in a prompt."""

    def gated(self, *given: Any) -> None:
        del given
