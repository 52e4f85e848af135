"""The budgets of a planned chat: what is read, in which form, within tokens, seconds, bytes and the caller's rate."""

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
from tests.unit.test_planned_chat import ANA, SHORT, decision

from pymemos import MemOS, Reply
from pymemos.errors import InvalidInput, RateLimited
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.operation.budgets import Budgets, Why, size
from pymemos.operation.costs import Form
from pymemos.operation.scheduler import replay
from pymemos.settings import Settings
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.toy_engine import ToyEngine

MB = 1_000_000


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", config_dir=tmp_path / "config", cache_dir=tmp_path / "cache")


@pytest.fixture
def mem(settings: Settings, clock: FrozenClock) -> Iterator[MemOS]:
    engine = ToyEngine(window=1 << 20, seed=1)
    keep(
        msgspec.structs.replace(CALIBRATION, model=engine.identity),
        calibration_file(settings.cache_dir, engine.identity),
    )
    with opened(settings.home, engine, clock=clock, settings=settings) as mem:
        yield mem


@pytest.fixture
def hot(mem: MemOS, clock: FrozenClock) -> tuple[str, str]:
    """Two memories whose segments are stored, in this order."""
    first, second = told(mem, LISBON, TEA, **ANA)
    for word in ("Lisbon", "green"):
        use(mem, clock, word, days=9, a_day=6)
        mem.move(**ANA)
    return first, second


def within(mem: MemOS, **budgets: Any) -> Reply:
    """An answer that is planned within budgets."""
    return mem.chat("What?", schedule={"strategy": "similarity", "budgets": budgets}, **SHORT)


def tiers(reply: Reply) -> dict[str, str]:
    return {one.id: one.tier.value for one in reply.plan.used}


class TestBytes:
    def test_what_passes_the_bytes_is_read_as_text_and_the_plan_says_so(self, mem, hot):
        first, second = hot
        needed = decision(within(mem)).plan
        assert {"kv-device"} == set(tiers(within(mem)).values())

        reply = within(mem, device_bytes=int(needed.device_bytes) - 1)

        assert {first: "kv-device", second: "text"} == tiers(reply)
        made = decision(reply)
        assert [Form.KV, Form.TEXT] == [one.form for one in made.plan.placed]
        assert Why.BYTES is made.plan.placed[1].held_back
        total = size(needed.device_bytes)
        assert (
            f"left as text: {total} would pass the budget of {size(needed.device_bytes - 1)}"
            in (made.plan.reasons()[1])
        )
        assert made == replay(made)

    def test_none_at_all_leaves_everything_as_text(self, mem, hot):
        reply = within(mem, device_bytes=0)

        assert {"text"} == set(tiers(reply).values())
        assert 0 == reply.plan.injected_tokens
        assert set(hot) == set(tiers(reply))

    def test_the_bytes_of_the_files_count_whatever_the_plan_expected(self, mem, hot, settings):
        sizes = [cube.payload.size for cube in mem.list(filters={"kind": "activation"}, **ANA)]
        engine = mem._activations.needed()[0].engine
        small = msgspec.structs.replace(CALIBRATION, model=engine.identity, kv_token_bytes=1.0)
        keep(small, calibration_file(settings.cache_dir, engine.identity))

        reply = within(mem, device_bytes=sum(sizes) - 1)

        assert [Form.KV, Form.KV] == [one.form for one in decision(reply).plan.placed]
        assert {hot[0]: "kv-device", hot[1]: "text"} == tiers(reply)
        assert any("was read as text:" in one and "would pass the budget of" in one for one in reply.plan.remarks)

    def test_blending_keeps_to_no_bytes_and_so_is_left(self, mem, hot):
        mem.probe_blending()
        reply = mem.chat(
            "What?", mode="blend", schedule={"strategy": "cost", "budgets": {"device_bytes": 900 * MB}}, **SHORT
        )

        assert any("nothing was blended: blending keeps to no budget" in one for one in reply.plan.remarks)
        assert {"kv-device"} == set(tiers(reply).values())


class TestSeconds:
    def test_what_takes_too_long_is_left_out_of_the_prompt(self, mem):
        one, other = told(mem, LISBON, "Ana has seen Lisbon in the rain. " * 20, **ANA)
        both = decision(mem.chat("Lisbon?", schedule="similarity", **SHORT)).plan
        assert {one, other} == {each.id for each in both.placed}

        reply = mem.chat("Lisbon?", schedule={"budgets": {"seconds": both.seconds * 0.7}}, **SHORT)

        assert 1 == len(reply.plan.used)
        [left] = reply.plan.left_out
        assert "s of reading would pass the budget of" in left.why
        assert decision(reply).plan.seconds <= both.seconds * 0.7

    def test_the_stable_block_keeps_to_them_too(self, mem, hot):
        whole = decision(within(mem)).plan.seconds

        reply = within(mem, seconds=whole * 0.75)

        assert {hot[0]: "kv-device"} == tiers(reply)
        assert [hot[1]] == [one.id for one in reply.plan.left_out]

    def test_what_was_never_measured_binds_nothing_and_that_is_said(self, mem, hot, settings):
        engine = mem._activations.needed()[0].engine
        calibration_file(settings.cache_dir, engine.identity).unlink()

        reply = within(mem, seconds=0.0, device_bytes=0)

        assert set(hot) == set(tiers(reply))
        assert {"text"} == set(tiers(reply).values())  # the bytes of files are known
        assert any("the plan counts tokens, and no seconds" in one for one in reply.plan.remarks)


class TestRates:
    """A limit that somebody's role or rate sets is honoured before it ends an answer that is half made."""

    def limit(self, mem: MemOS, calls: int, **more: Any) -> None:
        mem.set_access_policy("slow", {"effect": "limit", "rate": {"calls": calls, "per_s": 60}, **more}, namespace="*")

    def ask(self, mem: MemOS, **given: Any) -> Reply:
        return mem.chat("What?", schedule="similarity", max_tokens=8, **{**ANA, **given})

    def test_a_caller_with_few_calls_left_reads_text_and_the_answer_is_kept(self, mem, hot, clock):
        self.limit(mem, 3)

        reply = self.ask(mem)

        assert {"text"} == set(tiers(reply).values())
        assert 2 == len(reply.kept)
        assert "2 calls would pass the 1 that the caller's rate limit leaves" in decision(reply).plan.reasons()[0]
        with pytest.raises(RateLimited):
            self.ask(mem), self.ask(mem)
        clock.advance(timedelta(minutes=2))
        self.limit(mem, 20)
        assert "kv-device" in tiers(self.ask(mem)).values()

    def test_the_limit_of_a_role_is_that_of_who_acts_in_it(self, mem, hot):
        self.limit(mem, 3, who=["roles/guest"])

        assert "kv-device" in tiers(self.ask(mem)).values()
        assert "kv-device" not in tiers(self.ask(mem, role="guest")).values()

    def test_with_few_calls_no_adapter_is_looked_for(self, settings, clock):
        with adapter_kit.opened(settings.home, clock=clock, settings=settings) as mem:
            ids = adapter_kit.told(mem, "The capital of Zorvania is Quelmar.")
            adapter_kit.distilled(mem, *ids)
            asked = {"use_adapters": True, "max_tokens": 8, **ANA}
            self.limit(mem, 3)

            few = mem.chat("What is the capital of Zorvania?", **asked)

            assert {ids[0]: "text"} == tiers(few)
            assert any("no adapter was looked for" in one for one in few.plan.remarks)
            clock.advance(timedelta(minutes=2))
            self.limit(mem, 4)  # to recall, to look for adapters and to use one, and to keep the answer
            enough = mem.chat("What is the capital of Zorvania?", **asked)
            assert "adapter" == tiers(enough)[ids[0]]
            assert 2 == len(enough.kept)


class TestPolicies:
    def test_a_policy_keeps_its_budgets_and_a_call_the_tighter(self, mem):
        told(mem, LISBON, TEA, **ANA)
        policy = mem.set_schedule_policy({"strategy": "cost", "budgets": {"memories": 1, "tokens": 2_000}}, **ANA)

        reply = mem.chat("Lisbon and green tea?", memory_tokens=900, **SHORT)

        assert Budgets(memories=1, tokens=2_000) == policy.budgets == mem.schedule_policy(**ANA).budgets
        assert 1 == len(reply.plan.used)
        assert Budgets(memories=1, tokens=900) == decision(reply).plan.budgets
        assert ["the budget of memories is 1"] == [one.why for one in reply.plan.left_out]

    @pytest.mark.parametrize(
        "budgets",
        [{"speed": 1}, {"calls": 1}, {"seconds": "1"}, {"seconds": -1}, {"memories": 1.5}, {"tokens": True}, [1], 7,
         {"seconds": float("nan")}],
    )  # fmt: skip
    def test_nonsense_is_refused(self, mem, budgets):
        with pytest.raises(InvalidInput, match="budget"):
            mem.set_schedule_policy({"budgets": budgets}, **ANA)
