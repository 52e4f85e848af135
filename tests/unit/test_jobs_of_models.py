"""Jobs that need a local model: who does them, for whom, and what is left of one that failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapter_kit import WHO, opened, told

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.interface.mover import EVERY
from pymemos.models.chat.catalog import runs_here
from pymemos.ports import JobState
from pymemos.settings import Settings
from pymemos.testing.doubles import FrozenClock, SequentialIds
from pymemos.testing.scripted import ScriptedChat
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner

ELSEWHERE = ("none", "https://models.example/v1#small", ScriptedChat(["Yes."]))


@pytest.fixture(params=["memory", "sqlite"])
def mem(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MemOS]:
    """A memory that can distil."""
    with opened(tmp_path, adapter=request.param) as mem:
        yield mem


class TestWhoDoesThem:
    @pytest.mark.parametrize("chat", ELSEWHERE)
    def test_a_worker_that_can_have_no_local_model_leaves_them_to_one_that_has_it(
        self, tmp_path: Path, chat: Any
    ) -> None:
        settings = Settings(
            home=tmp_path / "home", config_dir=tmp_path / "config", cache_dir=tmp_path / "cache", moves="on"
        )
        shared: dict[str, Any] = {"store": MemoryStore(), "blobs": MemoryBlobs(), "new_id": SequentialIds()}
        shared |= {"clock": (clock := FrozenClock()), "key": bytes(32), "settings": settings}
        with opened(tmp_path, **shared) as mem, MemOS(chat=chat, embedder="none", **shared) as other:
            ids = told(mem)
            wanted = {mem.distil(ids[:1], **WHO), mem.transform(ids[1:2], "activation", **WHO).job}
            clock.advance(EVERY)

            found = other.tick()

            assert not found.failed
            left = [job for job in mem.jobs() if job.kind in ("distil", "transform", "move")]
            assert ["distil", "move", "transform"] == sorted(job.kind for job in left)
            assert {(JobState.READY, 0)} == {(job.state, job.attempt) for job in left}
            assert other.next_due() != clock()
            assert wanted < set(mem.tick().done)

    def test_a_setting_says_where_its_model_runs_without_opening_it(self) -> None:
        assert [False, False, False] == [runs_here(one) for one in (None, "none", "https://models.example/v1#small")]


def deny(mem: MemOS, operation: str, **when: str) -> None:
    """From now on a rule of the store keeps an operation from everybody, or from those in a context."""
    asked = {"AND": [{"operation": operation}, *({name: value} for name, value in when.items())]}
    rule = {"effect": "deny", "actions": ["write"], "when": asked if when else {"operation": operation}}
    mem.set_access_policy("hands-off", rule, namespace="*")


def refusals(mem: MemOS, operation: str) -> list[tuple[str, str]]:
    """Whom the log of Ana's names as refused an operation, and the rule."""
    found = mem.log(operation=operation, **WHO)
    return [(record.caller.namespace, record.rule) for record in found if not record.allowed]


class TestForWhom:
    def test_a_rule_that_came_behind_a_training_holds_for_it(self, mem: MemOS) -> None:
        job = mem.distil(told(mem), **WHO)
        deny(mem, "distil")

        assert (job,) == mem.tick().parked
        [parked] = mem.jobs(state="dead")
        assert ("NotAllowed", 1) == (parked.error, parked.attempt)
        assert "may not do it any more" in parked.said
        assert "hands-off" in parked.said
        assert [("users/ana", "hands-off")] == refusals(mem, "distil")
        assert not mem.list(filters={"kind": "parametric"}, **WHO).cubes

    def test_so_does_one_that_comes_while_it_is_trained(self, tmp_path: Path) -> None:
        class Meddled(ToyTuner):
            def perplexity(self, *given: Any, **more: Any) -> float:
                deny(mem, "distil")
                return super().perplexity(*given, **more)

        with opened(tmp_path, tuner=Meddled(ToyEngine().ref)) as mem:
            job = mem.distil(told(mem), **WHO)

            assert (job,) == mem.tick().parked
            assert not mem.list(filters={"kind": "parametric"}, **WHO).cubes
            assert set() == mem._tools.blobs.names()
            assert not (mem._tools.training / job).exists()

    @pytest.mark.parametrize("form", ["activation", "parametric"])
    def test_and_for_a_transformation(self, mem: MemOS, form: str) -> None:
        job = mem.transform(told(mem)[:1], form, **WHO).job
        deny(mem, "transform")

        assert (job,) == mem.tick().parked
        assert ["NotAllowed"] == [one.error for one in mem.jobs(state="dead")]
        assert [("users/ana", "hands-off")] == refusals(mem, "transform")
        assert not mem.list(filters={"kind": {"ne": "plaintext"}}, **WHO).cubes

    def test_it_goes_on_when_the_rule_is_gone_and_somebody_retries_it(self, mem: MemOS) -> None:
        job = mem.distil(told(mem), **WHO)
        deny(mem, "distil")
        mem.tick()
        mem.remove_access_policy("hands-off", namespace="*")

        retried = mem.control_job(job, "retry")

        assert ("", None) == (retried.said, retried.error)
        assert (job,) == mem.tick().done

    def test_it_is_asked_of_whoever_asked_and_not_of_the_owner(self, mem: MemOS) -> None:
        """A rule on a role keeps out the one who asked in it, and not the other."""
        ids = told(mem)
        as_guest = mem.bind(user_id="ana", role="guest").distil(ids[:1])
        as_owner = mem.distil(ids[1:], **WHO)
        deny(mem, "distil", role="guest")

        report = mem.tick()

        assert ((as_guest,), (as_owner,)) == (report.parked, report.done)
