"""What is kept of a job's error: words of ours, and nothing that a memory says."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.adapter_kit import WHO, opened, told

from pymemos.errors import (
    ChatFailed,
    InvalidInput,
    ModelError,
    NotAllowed,
    PymemosError,
    RateLimited,
    TrainingStopped,
)
from pymemos.operation.queue import SAID, after_failure, is_final, words_of
from pymemos.ports import JobState
from pymemos.testing.builders import a_job
from pymemos.testing.doubles import WHEN
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner

ID = "0196b02e-8180-7000-8000-000000000001"


class TestWordsOf:
    def test_ours_are_kept(self) -> None:
        assert "there is no local model" == words_of(ModelError("there is no local model"))
        assert "a rule 'no-models' refuses it" == words_of(NotAllowed("a rule 'no-models' refuses it"))

    def test_what_they_quote_is_not_unless_it_is_an_id(self) -> None:
        said = words_of(InvalidInput(f'memory {ID!r} asks {"What is the password? It is hunter2."!r} of "Ana\'s" twin'))

        assert f"memory '{ID}' asks '…' of '…' twin" == said

    @pytest.mark.parametrize(
        "secret", ["hunter2", "it's hunter2", 'say "hunter2"', "both ' and \" hunter2", "a\nhunter2"]
    )
    def test_no_way_of_quoting_lets_a_secret_through(self, secret: str) -> None:
        assert "hunter2" not in words_of(InvalidInput(f"the question {secret!r} opens no gate of {secret!r}"))

    def test_an_apostrophe_is_no_quote(self) -> None:
        assert "the adapter's file is gone" == words_of(TrainingStopped("the adapter's file is gone"))

    def test_of_a_kind_that_may_quote_anything_its_class_says_what_to_do(self) -> None:
        assert words_of(ChatFailed("the endpoint said: hunter2")) == " ".join((ChatFailed.__doc__ or "").split())

    def test_of_a_librarys_nothing_is_kept(self) -> None:
        assert "" == words_of(ValueError("hunter2"))

    def test_they_are_bounded(self) -> None:
        assert SAID == len(words_of(ModelError("x" * 5_000)))

    @pytest.mark.parametrize("kind", PymemosError.__subclasses__())
    def test_every_error_has_words(self, kind: Any) -> None:
        assert words_of(kind())


class TestAfterFailure:
    def test_a_refusal_is_final_and_a_rate_is_not(self) -> None:
        assert [True, False, False] == [is_final(one) for one in (NotAllowed(), RateLimited(), ModelError())]

    def test_one_that_failed_for_good_is_parked_at_once(self) -> None:
        job = after_failure(a_job(attempt=1, max_attempts=5), error="NotAllowed", now=WHEN, said="no", final=True)

        assert (JobState.DEAD, "NotAllowed", "no") == (job.state, job.error, job.said)


def test_a_parked_job_says_why_and_not_what_the_memories_say(tmp_path: Any) -> None:
    class Quoting(ToyTuner):
        def train(self, lessons: Any, *given: Any, **more: Any) -> Any:
            raise InvalidInput(f"the question {lessons[0].question!r} opens no gate of {lessons[0].answer!r}")

    with opened(tmp_path, tuner=Quoting(ToyEngine().ref)) as mem:
        mem.distil(told(mem, "The password of Zorvania is hunter2."), **WHO)
        mem.tick()

        [failed] = [one for one in mem.jobs() if one.kind == "distil"]
        assert ("InvalidInput", "the question '…' opens no gate of '…'") == (failed.error, failed.said)
