"""A chat within the window of a local model, whose tokens are more than was estimated: a byte is a token of the toy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.kv_kit import opened

from pymemos import MemOS, Reply, errors
from pymemos.facade.fitting import NOTHING, narrowed
from pymemos.operation.layout import Budget
from pymemos.testing.toy_engine import ToyEngine

WINDOW = 7_400  # so that by estimate the usual budgets fit
SMALL = 3_000
ANSWER = 20
TALK = {"user_id": "ana", "session_id": "s", "max_tokens": ANSWER}
SEED = 1  # of a toy that does not end an answer before it has begun


@pytest.fixture
def mem(tmp_path: Path) -> Iterator[MemOS]:
    with opened(tmp_path / "home", ToyEngine(window=WINDOW, seed=SEED)) as found:
        yield found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[MemOS]:
    with opened(tmp_path / "home", ToyEngine(window=SMALL, seed=SEED)) as found:
        yield found


def talked(mem: MemOS, exchanges: int) -> None:
    """A session that is far longer than the window, and by estimate far shorter than the budget."""
    for number in range(exchanges):
        said = [("user", f"Question {number}? " + "Yesterday I walked by the sea. " * 8), ("assistant", "Indeed.")]
        mem.add([{"role": role, "content": text} for role, text in said], user_id="ana", session_id="s")


def fits(reply: Reply, window: int = WINDOW) -> bool:
    return reply.usage.prompt + ANSWER <= window


class TestTalk:
    def test_a_session_with_more_tokens_than_was_estimated_is_answered(self, mem: MemOS) -> None:
        talked(mem, 30)

        reply = mem.chat("Well?", **TALK)

        assert fits(reply)
        assert 0 < reply.plan.history < 30
        assert "more tokens than was estimated" in reply.plan.remarks[0]

    def test_and_goes_on_from_where_it_was_cut(self, mem: MemOS) -> None:
        talked(mem, 30)

        lengths = [mem.chat("Well?", **TALK).plan.history for _ in range(3)]

        assert [lengths[0], lengths[0] + 1, lengths[0] + 2] == lengths

    def test_nothing_is_said_where_it_fits(self, mem: MemOS) -> None:
        talked(mem, 2)

        reply = mem.chat("Well?", **TALK)

        assert (2, ()) == (reply.plan.history, reply.plan.remarks)

    def test_it_keeps_room_for_the_answer(self, mem: MemOS) -> None:
        talked(mem, 15)
        short = mem.chat("Well?", remember=False, **TALK)

        long = mem.chat("Well?", remember=False, **{**TALK, "max_tokens": 3_000})

        assert 15 == short.plan.history
        assert long.usage.prompt + 3_000 <= WINDOW
        assert 0 < long.plan.history < 15


class TestMemories:
    def test_memories_with_more_tokens_than_was_estimated_leave_room_for_the_question(self, small: MemOS) -> None:
        said = "The boat number {} lies in the harbour of Lisbon. " * 12
        small.add([said.format(*[number] * 12) for number in range(12)], user_id="ana")

        reply = small.chat("Where is the boat?", limit=12, user_id="ana", max_tokens=ANSWER)

        assert fits(reply, SMALL)
        assert 0 < len(reply.plan.used) < 12
        assert len(reply.plan.used) + len(reply.plan.left_out) == 12

    @pytest.mark.parametrize("schedule", [None, "similarity"])
    def test_a_block_that_a_talk_keeps_gives_way_to_the_question(self, small: MemOS, schedule: str | None) -> None:
        [id] = small.add("Ana keeps bees in the garden behind the house. " * 8, user_id="ana").ids
        for _ in range(5):
            small.search("bees", user_id="ana")
        small.log()  # what waits is written
        asked = {**TALK, "limit": 1, "schedule": schedule}
        kept = small.chat("Well?", **asked)

        reply = small.chat("Well? " * 420, **asked)

        assert [id] == [one.id for one in kept.plan.used]
        assert fits(reply, SMALL)
        assert ((), 0) == (reply.plan.used, reply.plan.history)


def test_what_the_caller_says_alone_is_refused_where_it_is_too_long(mem: MemOS) -> None:
    talked(mem, 2)

    with pytest.raises(errors.PromptTooLong):
        mem.chat("Well? " * 1_300, **TALK)


class TestNarrowed:
    def test_a_budget_shrinks_as_much_as_what_was_counted_has_to(self) -> None:
        less = narrowed(Budget(memory=1_000, history=6_000), estimated=5_000, counted=10_000, room=8_000)

        assert Budget(memory=1_000, history=3_000) == less

    def test_without_room_there_is_none(self) -> None:
        assert NOTHING == narrowed(Budget(), estimated=5_000, counted=10_000, room=-1)
