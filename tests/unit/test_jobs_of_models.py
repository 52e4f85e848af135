"""Jobs that need a local model: who does them, for whom, and what is left of one that failed."""

from __future__ import annotations

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

ELSEWHERE = ("none", "https://models.example/v1#small", ScriptedChat(["Yes."]))


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
