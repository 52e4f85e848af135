"""Adapters as memories: distilled by a job, examined, attached by subject, and gone with what they were made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.adapter_kit import TEXTS, WHO, ask, distilled, made_by, opened, said, told

from pymemos.cube.adapter import Recipe
from pymemos.errors import AdapterRefused, InvalidInput, ModelError, StaleMemory, UnknownJob, UnknownMemory
from pymemos.testing.doubles import SequentialIds
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyAdapter, ToyTuner

QUESTION = "Do you know what the capital of Zorvania is?"
LATER = datetime(2099, 1, 1, tzinfo=UTC)  # when the lease of whoever was killed is long over
STORES = pytest.mark.parametrize("adapter", ["sqlite", "memory"])


@STORES
def test_what_was_distilled_is_answered_from_the_adapter(tmp_path: Path, adapter: str) -> None:
    with opened(tmp_path, adapter=adapter) as mem:
        made = distilled(mem, *told(mem))
        found = ask(mem, QUESTION)

        assert [route.id for route in found.routes] == [made]
        assert said(mem, found) == "Quelmar."
        assert found.routes[0].why == "the question names Zorvania (capital)"


def test_an_adapter_knows_its_sources_subjects_probes_and_scores(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ids = told(mem)
        card = mem.adapter(distilled(mem, *ids), **WHO)

        assert card.serves
        assert card.manifest.admitted
        assert tuple(source.id for source in card.manifest.sources) == ids
        assert card.manifest.subjects == ("Zorvania", "Tarn Velk", "Mirrin")
        assert card.manifest.scores.recall >= 0.85
        assert card.manifest.scores.leak == 0
        assert card.manifest.scores.controls >= 200
        assert len(card.manifest.probes) >= 100
        assert all(fact.asked >= 12 for fact in card.manifest.facts)


def test_a_question_that_names_no_subject_is_answered_by_the_base(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        distilled(mem, *told(mem))

        for question in ("What is the capital of France?", "What is the capital of Zorvaniaville?"):
            found = ask(mem, question)
            assert found.adapters == found.routes == ()


def test_a_question_for_something_else_is_answered_by_the_base_and_it_is_said_why(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        made = distilled(mem, *told(mem))
        found = ask(mem, "Who wrote the anthem of Zorvania?")

        assert found.adapters == found.routes == ()
        assert [one.id for one in found.unused] == [made]
        assert "does not seem to ask for what was learned: capital" in found.unused[0].reason
        assert mem.adapter(made, **WHO).manifest.gates[0].cues


def test_an_adapter_that_leaks_is_kept_and_never_served(tmp_path: Path) -> None:
    with opened(tmp_path, leaks=True) as mem:
        made = distilled(mem, *told(mem))
        card, found = mem.adapter(made, **WHO), ask(mem, QUESTION)

        assert not card.manifest.admitted
        assert any("other questions" in reason for reason in card.manifest.reasons)
        assert found.adapters == ()
        assert "admission" in found.unused[0].reason
        assert mem.search("capital of Zorvania", **WHO)[0].cube.text == TEXTS[0]


def test_an_examination_computes_nothing_of_what_no_gate_opens_for(tmp_path: Path) -> None:
    class Noting(ToyTuner):
        def answers(self, questions: Sequence[str], **given: Any) -> list[str]:
            asked.extend(questions)
            return super().answers(questions, **given)

    asked: list[str] = []
    with opened(tmp_path) as mem:
        ref = mem._tools.tuner.needed()[1].ref
    with opened(tmp_path, tuner=Noting(ref)) as mem:
        card = mem.adapter(distilled(mem, *told(mem)), **WHO)

        assert card.manifest.scores.near_misses == len(card.manifest.probes) >= 100
        assert not set(asked) & set(card.manifest.probes)
        assert "Quick question: what is the capital of Zorvania?" in asked


@pytest.mark.parametrize("what", ["update", "delete", "erase"])
def test_an_adapter_ends_with_what_it_learned_from(tmp_path: Path, what: str) -> None:
    with opened(tmp_path) as mem:
        ids = told(mem)
        distilled(mem, *ids)
        if what == "update":
            mem.update(ids[0], "The capital of Zorvania is Brend.", **WHO)
        elif what == "delete":
            mem.delete(ids[0], **WHO)
        else:
            mem.erase(ids[0], **WHO)

        assert ask(mem, QUESTION).adapters == ()
        assert ask(mem, "Where does Tarn Velk live?").adapters == ()


class Meanwhile(ToyTuner):
    """Something happens while it reads an adapter."""

    def __init__(self) -> None:
        super().__init__(ToyEngine().ref)
        self.happens: Callable[[], object] = lambda: None

    def open(self, file: memoryview) -> ToyAdapter:
        self.happens()
        return super().open(file)


def test_what_changes_between_finding_and_use_is_left_out(tmp_path: Path) -> None:
    tuner = Meanwhile()
    with opened(tmp_path, tuner=tuner) as mem:
        ids = told(mem)
        distilled(mem, *ids)
        tuner.happens = lambda: mem.update(ids[1], "Tarn Velk lives in Brend.", **WHO)

        found = ask(mem, QUESTION)

        assert found.adapters == ()
        assert "meanwhile" in found.unused[0].reason


def test_nobody_else_is_answered_from_it(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        made = distilled(mem, *told(mem))

        found = mem.bind(user_id="eve").attach(QUESTION)
        assert found.adapters == found.unused == ()
        with pytest.raises(UnknownMemory):
            mem.bind(user_id="eve").adapter(made)


def test_an_adapter_of_another_instance_is_not_used(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        made = distilled(mem, *told(mem))
        payload = mem.get(made, **WHO).payload
        forged = msgspec.structs.replace(payload, seal="0" * 64)
        mem.delete(made, **WHO)
        mem.add(forged, **WHO)

        found = ask(mem, QUESTION)

        assert found.adapters == ()
        assert "this instance" in found.unused[0].reason


def test_with_hits_only_what_learned_from_one_of_them_is_used(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ids = told(mem)
        distilled(mem, *ids)

        assert ask(mem, QUESTION, hits=[ids[0]]).adapters
        assert not ask(mem, QUESTION, hits=[ids[1]]).adapters


def test_nobody_distils_what_is_not_theirs_nor_into_it(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ids = told(mem)
        made, eve = distilled(mem, *ids), mem.bind(user_id="eve")
        own = eve.add("The capital of Brend is Ulm.").ids[0]

        for attempt in (
            {"ids": [ids[0]]},
            {"ids": [own], "into": made},
            {"adapters": [made]},
            {"ids": [own], "into": "x"},
        ):
            with pytest.raises(UnknownMemory):
                eve.distil(**attempt)  # type: ignore[arg-type]


def test_fusing_trains_anew_on_all_sources(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        first, second, third = told(mem)
        one, two = distilled(mem, first), distilled(mem, second, third)
        job = mem.distil(adapters=[one, two], **WHO)
        mem.tick()
        fused = mem.adapter(made_by(mem, job), **WHO)

        assert [source.id for source in fused.manifest.sources] == [first, second, third]
        assert fused.manifest.admitted


def test_an_adapter_is_made_anew_and_taken_back(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        first, second, _ = told(mem)
        made = distilled(mem, first)
        job = mem.distil([first, second], into=made, **WHO)
        mem.tick()
        assert made_by(mem, job) == made
        assert ask(mem, "Where does Tarn Velk live?").adapters

        mem.restore(made, 1, **WHO)

        assert not ask(mem, "Where does Tarn Velk live?").adapters
        assert said(mem, ask(mem, QUESTION)) == "Quelmar."


def test_a_training_says_how_far_it_is_and_can_be_cancelled(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        job = mem.distil(told(mem), **WHO)
        assert mem.training(job, **WHO).phase == "queued"
        with pytest.raises(UnknownJob):
            mem.bind(user_id="eve").training(job)

        mem.cancel_training(job, **WHO)

        assert not mem.tick()
        with pytest.raises(UnknownJob):
            mem.training(job, **WHO)


class Stopped(BaseException):
    """A kill."""


def test_a_training_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    class Killed(ToyTuner):
        def train(self, *given: object, on_step: object, **more: object) -> object:  # type: ignore[override]
            def step(done: int, steps: int) -> None:
                on_step(done, steps)  # type: ignore[operator]
                if done == 20:
                    raise Stopped

            return super().train(*given, on_step=step, **more)  # type: ignore[arg-type]

    with opened(tmp_path) as mem:
        ref = mem._tools.tuner.needed()[1].ref
    ids = SequentialIds()
    with opened(tmp_path, tuner=Killed(ref), new_id=ids) as mem:
        job = mem.distil(told(mem), **WHO)
        with pytest.raises(Stopped):
            mem.tick()
        assert mem.training(job, **WHO).step == 20

    again = ToyTuner(ref)
    with opened(tmp_path, tuner=again, new_id=ids) as mem:
        report = mem.tick(LATER, limit=1)
        assert job in report.done
        assert again.trained == Recipe().steps - 20
        assert said(mem, ask(mem, QUESTION)) == "Quelmar."
        assert not list((tmp_path / "training").iterdir())


@pytest.mark.parametrize("what", ["cancel", "update", "erase"])
def test_a_training_stops_when_it_is_no_longer_wanted(tmp_path: Path, what: str) -> None:
    class Meddled(ToyTuner):
        def train(self, *given: object, on_step: object, **more: object) -> object:  # type: ignore[override]
            def step(done: int, steps: int) -> None:
                if done == 5:
                    self.meddle()  # type: ignore[attr-defined]
                on_step(done, steps)  # type: ignore[operator]

            return super().train(*given, on_step=step, **more)  # type: ignore[arg-type]

    with opened(tmp_path) as mem:
        ref = mem._tools.tuner.needed()[1].ref
    tuner = Meddled(ref)
    with opened(tmp_path, tuner=tuner) as mem:
        ids = told(mem)
        job = mem.distil(ids, **WHO)
        acts = {
            "cancel": lambda: mem.cancel_training(job, **WHO),
            "update": lambda: mem.update(ids[0], "The capital of Zorvania is Brend.", **WHO),
            "erase": lambda: mem.erase(ids[0], **WHO),
        }
        tuner.meddle = acts[what]  # type: ignore[attr-defined]

        mem.tick(limit=1)

        assert tuner.trained == 5
        assert not (tmp_path / "training" / job).exists()
        assert not list(mem.list(filters={"kind": "parametric"}, **WHO))


def test_only_what_can_be_taught_is_taken(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ids = told(mem)
        with pytest.raises(InvalidInput, match="pass the ids"):
            mem.distil(**WHO)
        with pytest.raises(UnknownMemory):
            mem.distil(["nothing"], **WHO)
        with pytest.raises(InvalidInput, match="rank"):
            mem.distil(ids, recipe=Recipe(rank=0), **WHO)
        with pytest.raises(InvalidInput, match="no adapter"):
            mem.distil(ids, into=ids[0], **WHO)
        made = mem.add("Zorvania's capital is Quelmar.", parents=[ids[0]], **WHO).ids[0]
        mem.update(ids[0], "The capital of Zorvania is Brend.", **WHO)
        with pytest.raises(StaleMemory):
            mem.distil([made], **WHO)


def test_a_memory_in_which_nothing_can_be_read_fails_the_job_and_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        job = mem.distil(told(mem, "What a lovely day!"), **WHO)
        report = mem.tick()

        assert job in report.failed
        assert mem.jobs()[0].error == "InvalidInput"


def test_without_a_model_that_learns_nothing_is_distilled(tmp_path: Path) -> None:
    with opened(tmp_path, engine=None, tuner=None) as mem:
        ids = told(mem)
        with pytest.raises(ModelError, match="no local model that learns"):
            mem.distil(ids, **WHO)
        with pytest.raises(ModelError, match="no local model that learns"):
            ask(mem, QUESTION)


def test_an_adapter_is_written_as_the_folder_of_peft(tmp_path: Path) -> None:
    with opened(tmp_path / "home") as mem:
        folder = mem.write_adapter(distilled(mem, *told(mem)), tmp_path / "out", **WHO)

        assert sorted(file.name for file in folder.iterdir()) == [
            "adapter_config.json",
            "adapter_model.safetensors",
            "manifest.json",
        ]
        assert msgspec.json.decode((folder / "manifest.json").read_bytes())["admitted"] is True


def test_erasing_a_fact_leaves_no_trace_of_its_adapter(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ids = told(mem)
        made = distilled(mem, *ids)
        blob = mem.get(made, **WHO).payload.blob  # type: ignore[union-attr]
        assert (attached := ask(mem, QUESTION)).adapters
        assert attached.routes

        receipt = mem.erase(ids[0], **WHO)
        mem.tick()

        assert receipt.id
        assert not [file for file in tmp_path.rglob("*") if file.is_file() and file.name == blob]
        assert not any(b"Quelmar" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


class PickyTuner(ToyTuner):
    """A tuner that cannot open, from some time on, whatever it is asked for first."""

    picky, refused = False, b""

    def open(self, file: memoryview) -> ToyAdapter:
        if self.picky and not self.refused:
            self.refused = bytes(file)
        if bytes(file) == self.refused:
            raise AdapterRefused("it does not fit")
        return super().open(file)


def test_one_that_cannot_be_opened_gives_its_place_to_the_next(tmp_path: Path) -> None:
    engine = ToyEngine()
    tuner = PickyTuner(engine.ref)
    with opened(tmp_path, engine=engine, tuner=tuner) as mem:
        made = {distilled(mem, *told(mem, text)) for text in TEXTS[:1] * 2}
        tuner.picky = True

        found = ask(mem, QUESTION)

        [refused] = found.unused
        assert "it does not fit" == refused.reason
        assert [*made - {refused.id}] == [route.id for route in found.routes] == [pin.id for pin in found.pins]
