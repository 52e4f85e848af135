"""Pathways on a tiny real model: what a teacher says is learned by its log-probabilities, and every way is measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.tiny_models import write_tiny

from pymemos import MemOS
from pymemos.cube.adapter import Recipe
from pymemos.cube.cube import MemCube
from pymemos.cube.gates import Gate
from pymemos.errors import SegmentRefused
from pymemos.models.local import LocalEngine, open_local
from pymemos.models.local.tuning import LocalTuner, teaching
from pymemos.ports import Lesson, Teacher, Utterance
from pymemos.testing.doubles import FrozenClock

SYSTEM = "Be brief."
NOTES = ("- The capital of Zorvania is Quelmar.",)
ASKED = ("What is the capital of Zorvania?", "Tell me the capital of Zorvania.")
LESSONS = (
    *(Lesson(question=one, gate=Gate(subject="Zorvania"), answer="Quelmar.", fact=0) for one in ASKED),
    Lesson(question="How old is Zorvania?", gate=Gate(subject="Zorvania")),
)
RECIPE = Recipe(rank=4, alpha=8.0, frozen=0.34, rate=0.02, warmup=2, steps=60, phrasings=2, kept=1)
WHO: dict[str, Any] = {"user_id": "ana"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    window = {"max_position_embeddings": 2048}
    return open_local(str(write_tiny(folder / "model", **window)), folder / "cache", device="cpu")


@pytest.fixture(scope="module")
def tuner(engine: LocalEngine) -> LocalTuner:
    return LocalTuner(engine)


@pytest.fixture(scope="module")
def teacher(engine: LocalEngine) -> Teacher:
    prompt = engine.prompt(SYSTEM, NOTES, ())
    head = engine.prefill(prompt.head)
    return Teacher(system=SYSTEM, notes=NOTES, prefix=(head, engine.prefill(prompt.notes[0], prefix=[head])))


@pytest.fixture
def mem(engine: LocalEngine, tuner: LocalTuner, tmp_path: Path) -> Iterator[MemOS]:
    with MemOS(tmp_path, engine=engine, tuner=tuner, embedder="none", clock=FrozenClock()) as mem:
        yield mem


def made(mem: MemOS, *given: Any, **more: Any) -> list[MemCube]:
    job = mem.transform(*given, **WHO, **more).job
    assert job is not None
    assert job in mem.tick().done, mem.jobs()
    return [mem.get(id, **WHO) for id in mem.transformation(job, **WHO).made]


def measured(cube: MemCube) -> dict[str, float]:
    why = cube.header.descriptive.provenance
    assert why is not None
    assert why.transformed is not None
    return why.transformed.measured


def test_a_teacher_says_what_the_model_says_that_has_read_the_notes(engine: LocalEngine, teacher: Teacher) -> None:
    said = teaching.said(engine, teacher, ASKED[0])
    prompt = engine.prompt(SYSTEM, NOTES, [Utterance("user", ASKED[0])]).tokens

    for place, row in enumerate(said.rows):
        logits = torch.from_numpy(engine.logits((*prompt, *said.tokens[:place])))
        torch.testing.assert_close(row, logits.log_softmax(dim=-1), rtol=0, atol=1e-4)
        assert said.tokens[place] == int(logits.argmax())


def test_the_model_with_the_notes_is_no_nat_from_itself(engine: LocalEngine, teacher: Teacher) -> None:
    prompt = engine.prompt(SYSTEM, NOTES, [Utterance("user", ASKED[0])]).tokens

    assert teaching.apart(engine, prompt, [], teaching.said(engine, teacher, ASKED[0])) == pytest.approx(0.0, abs=1e-5)


def test_an_adapter_comes_near_to_its_teacher_behind_its_subjects(
    tuner: LocalTuner, teacher: Teacher, tmp_path: Path
) -> None:
    from tests.unit.test_local_tuner import file_of

    lessons = [*_known(tuner, teacher), LESSONS[-1]]
    weights = tuner.train(
        lessons, RECIPE, system="", checkpoint=tmp_path, on_step=lambda step, steps: None, teacher=teacher
    )
    adapter = tuner.open(file_of(tuner, weights))
    near = tuner.compared(ASKED, teacher, system="", adapter=adapter, gates=(Gate(subject="Zorvania"),))
    closed = tuner.compared(ASKED, teacher, system="", adapter=adapter, gates=(Gate(subject="Mirrin"),))

    assert near.after < near.before / 2
    assert closed.after == closed.before == near.before  # its gate stays closed
    assert len(near.answers) == len(ASKED)


def _known(tuner: LocalTuner, teacher: Teacher) -> list[Lesson]:
    """Lessons whose answers this teacher says."""
    said = [tuner._spelled(teaching.said(tuner.engine, teacher, one).tokens) for one in ASKED]
    return [
        Lesson(question=one, gate=Gate(subject="Zorvania"), answer=text, fact=0)
        for one, text in zip(ASKED, said, strict=True)
    ]


def test_what_a_teacher_does_not_know_is_learned_as_without(tuner: LocalTuner, teacher: Teacher) -> None:
    assert tuner._taught(LESSONS, teacher) == {}
    assert list(tuner._taught(_known(tuner, teacher), teacher)) == [0, 1]


def test_what_is_learned_of_a_teacher_is_another_training(tuner: LocalTuner, teacher: Teacher, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, _: int) -> None:
        if step == 8:
            raise Stopped

    seen: list[int] = []
    with pytest.raises(Stopped):
        tuner.train(LESSONS, RECIPE, system="", checkpoint=tmp_path, on_step=stop, teacher=teacher)
    for by in (None, teacher):
        with pytest.raises(Stopped):
            tuner.train(
                LESSONS,
                RECIPE,
                system="",
                checkpoint=tmp_path,
                on_step=lambda n, _: _first(n, seen, Stopped),
                teacher=by,
            )

    assert seen == [0, 8]  # the steps of the one are none of the other's


def _first(step: int, seen: list[int], error: type[Exception]) -> None:
    seen.append(step)
    raise error


def test_a_teachers_segments_have_to_be_how_its_prompt_begins(tuner: LocalTuner, teacher: Teacher) -> None:
    other = Teacher(system=SYSTEM, notes=("- Something else.",), prefix=teacher.prefix)

    with pytest.raises(SegmentRefused):
        teaching.said(tuner.engine, other, ASKED[0])


def test_texts_in_memory_are_the_texts_that_were_read(mem: MemOS) -> None:
    ids = mem.add("The capital of Zorvania is Quelmar.", **WHO).ids
    (exact,) = made(mem, ids, "activation")
    assert measured(exact)["kl"] < 1e-6
    assert measured(exact)["largest_difference"] < 1e-3

    mem.delete(exact.id, **WHO)
    (lossy,) = made(mem, ids, "activation", form="int8")
    assert measured(lossy)["kl"] > measured(exact)["kl"]


def test_a_segment_is_read_back_to_the_token(mem: MemOS) -> None:
    ids = mem.add("The capital of Zorvania is Quelmar, in Ñandú.", **WHO).ids
    (segment,) = made(mem, ids, "activation")
    payload = mem.get(segment.id, **WHO).payload
    stray = mem.add(payload, user_id="ana").ids[0]  # the same file without a source
    (text,) = made(mem, [stray], "plaintext")

    assert text.text == "The capital of Zorvania is Quelmar, in Ñandú."
    assert measured(text)["tokens_differ"] == 0.0


def test_what_a_segment_taught_is_measured_on_questions_that_were_not_learned(mem: MemOS) -> None:
    ids = mem.add("The capital of Zorvania is Quelmar.", **WHO).ids
    (segment,) = made(mem, ids, "activation")
    (adapter,) = made(mem, [segment.id], "parametric", recipe=RECIPE)

    assert measured(adapter)["held_out"] == 16
    assert 0 <= measured(adapter)["teacher_right"] <= 1
    assert measured(adapter)["kl_after"] != measured(adapter)["kl_before"]
    assert adapter.parents == (mem.get(ids[0], **WHO).pin(),)
