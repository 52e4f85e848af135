"""Questions that a chat model makes for a fact: what it is told, and which of its questions serve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapter_kit import WHO, distilled, opened, told

from pymemos import MemOS
from pymemos.cube.adapter import Manifest
from pymemos.errors import ChatFailed
from pymemos.interface.asking import QUESTIONS, questions_for
from pymemos.operation.distilling.asking import LONGEST, MOST, request, served
from pymemos.operation.distilling.facts import Fact, facts_in
from pymemos.ports import Weights
from pymemos.testing.scripted import ScriptedChat
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner

LATER = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
def fact() -> Fact:
    return facts_in("The capital of Zorvania is Quelmar.", "m1")[0]


def test_the_model_is_told_the_fact_and_a_plain_question(fact: Fact) -> None:
    system, user = request(fact)

    assert "'Zorvania'" in system.content
    assert "The capital of Zorvania is Quelmar." in user.content
    assert "What is the capital of Zorvania?" in user.content


def test_what_names_the_subject_and_asks_serves(fact: Fact) -> None:
    asked = ["Which city governs Zorvania?", "From where is  Zorvania ruled?"]

    assert served("\n".join(asked), fact) == (asked[0], "From where is Zorvania ruled?")


@pytest.mark.parametrize(
    "question",
    [
        "What is its capital?",
        "Is Quelmar the capital of Zorvania?",
        "Zorvania has a capital.",
        "What about Zorvanian cheese?",
        f"What {'very ' * LONGEST}is the capital of Zorvania?",
        "",
    ],
)
def test_what_would_teach_something_else_does_not(fact: Fact, question: str) -> None:
    assert served(question, fact) == ()


def test_what_a_list_has_around_its_items_is_left_out(fact: Fact) -> None:
    text = 'Sure!\n1. What is the seat of Zorvania?\n2) "Where is Zorvania governed?",\n- And Zorvania?\n'

    assert served(text, fact) == ("What is the seat of Zorvania?", "Where is Zorvania governed?", "And Zorvania?")


def test_each_serves_once_and_no_more_than_were_asked_for(fact: Fact) -> None:
    many = [f"Question {n // 2}: what is the capital of Zorvania?" for n in range(4 * MOST)]

    assert len(served("\n".join(many), fact)) == MOST


# ── In a training ───────────────────────────────────────────────────────────────────────────────────────────────────


def manifest_of(mem: MemOS, adapter: str) -> Manifest:
    return mem.adapter(adapter, **WHO).manifest


def test_a_training_is_taught_by_the_chat_model_where_that_is_asked_for(tmp_path: Path) -> None:
    chat = ScriptedChat(["Which city governs Zorvania?"])
    with opened(tmp_path, chat=chat) as mem:
        (fact,) = told(mem, "The capital of Zorvania is Quelmar.")

        by_chat, plain = distilled(mem, fact, by_chat=True), distilled(mem, fact)

        assert manifest_of(mem, by_chat).taught_by == chat.identity
        assert manifest_of(mem, plain).taught_by == "templates"
        assert len(chat.calls) == 1


def test_a_training_that_goes_on_asks_no_second_time(tmp_path: Path) -> None:
    chat = ScriptedChat(["Which city governs Zorvania?"])
    texts = {"m1": "The capital of Zorvania is Quelmar."}

    first = questions_for(texts, chat, tmp_path / "job")
    again = questions_for(texts, chat, tmp_path / "job")

    assert first == again
    assert first.questions == {0: ("Which city governs Zorvania?",)}
    (tmp_path / "job" / QUESTIONS).write_text("{", "utf-8")
    with pytest.raises(ChatFailed):  # the script has run out: it was asked
        questions_for(texts, chat, tmp_path / "job")


def test_a_model_that_fails_in_between_is_not_asked_everything_again(tmp_path: Path) -> None:
    texts = {"m1": "The capital of Zorvania is Quelmar.", "m2": "Tarn Velk lives in Ostrel."}
    first, second = ScriptedChat(["Which city governs Zorvania?"]), ScriptedChat(["Which town is Tarn Velk's home?"])

    with pytest.raises(ChatFailed):
        questions_for(texts, first, tmp_path)
    asked = questions_for(texts, second, tmp_path)

    assert len(second.calls) == 1
    assert asked.questions == {0: ("Which city governs Zorvania?",), 1: ("Which town is Tarn Velk's home?",)}


class _Failing(ToyTuner):
    """A tuner that fails until it is told not to."""

    fails = True

    def train(self, *given: Any, **more: Any) -> Weights:
        if self.fails:
            raise RuntimeError
        return super().train(*given, **more)


def test_what_was_asked_of_a_memory_that_changed_since_is_not_learned(tmp_path: Path) -> None:
    chat = ScriptedChat(["Which city governs Zorvania?", "Which town governs Zorvania?"])
    tuner = _Failing(ToyEngine().ref)
    with opened(tmp_path, chat=chat, tuner=tuner) as mem:
        (fact,) = told(mem, "The capital of Zorvania is Quelmar.")
        job = mem.distil([fact], by_chat=True, **WHO)
        assert mem.tick().failed
        mem.update(fact, "The capital of Zorvania is Ostrel.", **WHO)
        tuner.fails = False

        assert job in mem.tick(LATER).done
        assert len(chat.calls) == 2


@pytest.mark.parametrize("end", ["changed", "cancelled", "erased"])
def test_what_a_parked_training_holds_goes_with_its_memories(tmp_path: Path, end: str) -> None:
    chat = ScriptedChat(["Which city governs Zorvania?"])
    with opened(tmp_path, chat=chat, tuner=_Failing(ToyEngine().ref)) as mem:
        (fact,) = told(mem, "The capital of Zorvania is Quelmar.")
        job = mem.distil([fact], by_chat=True, **WHO)
        for hour in range(3):
            mem.tick(mem._tools.clock() + timedelta(hours=hour))
        assert mem.training(job, **WHO).phase == "parked"
        assert (tmp_path / "training" / job / QUESTIONS).exists()

        if end == "changed":
            mem.update(fact, "The capital of Zorvania is Ostrel.", **WHO)
            mem.tick(mem._tools.clock() + timedelta(days=1))  # a sweep
        elif end == "cancelled":
            mem.cancel_training(job, **WHO)
        else:
            mem.erase(fact, **WHO)
            mem.tick()

        assert not (tmp_path / "training" / job).exists()


def test_what_the_chat_model_may_not_read_it_is_not_told(tmp_path: Path) -> None:
    chat = ScriptedChat([])
    with opened(tmp_path, chat=chat) as mem:
        (fact,) = told(mem, "The capital of Zorvania is Quelmar.")
        mem.set_access_policy(
            "no-models", {"effect": "deny", "actions": ["read"], "when": {"model": chat.identity}}, **WHO
        )
        mem.distil([fact], by_chat=True, **WHO)

        assert mem.tick().failed
        assert chat.calls == []


def test_where_no_other_is_set_the_local_model_asks(tmp_path: Path) -> None:
    """The toy says nothing that serves: the templates are left."""
    with opened(tmp_path, engine=ToyEngine(window=1 << 20)) as mem:
        (fact,) = told(mem, "The capital of Zorvania is Quelmar.")

        adapter = distilled(mem, fact, by_chat=True)

        assert manifest_of(mem, adapter).taught_by == mem._tools.tuner.needed()[0].identity
        assert mem.adapter(adapter, **WHO).serves
