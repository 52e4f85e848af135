"""Transformations: every pathway carried out, measured in the header of what it makes, taken back, and made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.adapter_kit import TEXTS, WHO, ask, opened, said, told

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.adapter import Recipe
from pymemos.cube.cube import MemCube
from pymemos.cube.header import Origin, Transformed, Trust
from pymemos.cube.ids import new_id
from pymemos.cube.payload import Activation
from pymemos.cube.segment import SegmentAbout
from pymemos.errors import InvalidInput, ModelError, StaleMemory, UnknownJob, UnknownMemory
from pymemos.interface.transfer import from_line
from pymemos.interface.transforming import ATTEMPTS
from pymemos.operation.pathways import PAIRS
from pymemos.testing.doubles import FrozenClock, SequentialIds
from pymemos.testing.toy_engine import ToyEngine, ToyKv
from pymemos.testing.toy_tuner import ToyTuner

LATER = datetime(2099, 1, 1, tzinfo=UTC)  # when the lease of whoever was killed is long over
QUESTION = "Do you know what the capital of Zorvania is?"
SHORT = [f"Yes, {number}." for number in range(PAIRS)]
LONG = [f"Well, as to that, let me begin with number {number}." for number in range(PAIRS)]


def transformed(mem: MemOS, ids: Sequence[str], to: str, **given: Any) -> list[MemCube]:
    """What a transformation of Ana's made."""
    job = mem.transform(ids, to, **{**WHO, **given}).job
    assert job is not None
    assert job in mem.tick().done
    return [mem.get(id, **WHO) for id in mem.transformation(job, **WHO).made]


def way(cube: MemCube) -> Transformed:
    """By which pathway a memory came about."""
    why = cube.header.descriptive.provenance
    assert why is not None
    assert why.trigger == "transform"
    assert why.transformed is not None
    return why.transformed


def of_kind(mem: MemOS, kind: str, form: str | None = None) -> list[str]:
    """The ids of Ana's memories of a kind that a pathway made."""
    page = mem.list(filters={"kind": kind}, limit=1_000, **WHO)
    return [
        cube.id
        for cube in page
        if cube.header.descriptive.provenance is not None
        and cube.header.descriptive.provenance.transformed is not None
        and form in (None, getattr(cube.payload, "form", None))
    ]


def adapter(mem: MemOS) -> str:
    """An adapter of Ana's texts."""
    return transformed(mem, told(mem), "parametric")[0].id


def stray(mem: MemOS, text: str, *, parents: Sequence[str] = (), line: str = "\n- [2025-05-08] {}") -> str:
    """A segment that somebody encoded elsewhere with the same model, and Ana brought here."""
    engine, _ = mem._tools.tuner.needed()
    kv = engine.prefill(tuple(line.format(text).encode()))
    file = engine.dump(kv, SegmentAbout(namespace="users/ana"))
    blob, size = mem.put_blob(file)
    payload = Activation(form="kv", blob=blob, size=size, model=engine.ref, tokens=len(kv.tokens), start=0)
    return mem.add(payload, parents=list(parents), **WHO).ids[0]


class TestPathways:
    def test_texts_become_segments_that_lose_nothing(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            made = transformed(mem, ids, "activation")

            assert [cube.parents[-1].id for cube in made] == list(ids)
            assert all(way(cube).of == ids for cube in made)
            assert way(made[-1]).measured == {"kl": 0.0, "largest_difference": 0.0, "prompts": 1.0}
            with mem.inject(ids, QUESTION, **WHO) as found:
                assert [note.tokens for note in found.report.notes] == [one.injected for one in found.report.notes]

    def test_a_lossy_form_is_measured_as_it_lies_in_its_file(self, tmp_path: Path) -> None:
        class Rounding(ToyEngine):
            def load(self, *given: Any) -> ToyKv:
                kv = super().load(*given)
                states = bytes(kv.states)
                return msgspec.structs.replace(kv, states=states[:-1] + bytes([states[-1] ^ 1]))

        engine = Rounding()
        with opened(tmp_path, engine=engine, tuner=ToyTuner(engine.ref)) as mem:
            (made,) = transformed(mem, told(mem)[:1], "activation", form="int8")

            assert way(made).measured["kl"] > 0
            assert way(made).measured["largest_difference"] > 0

    def test_texts_become_an_adapter_with_its_scores(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            (made,) = transformed(mem, ids, "parametric", tags=["taught"], priority="high")

            scores = mem.adapter(made.id, **WHO).manifest.scores
            assert way(made).measured["recall"] == scores.recall
            assert way(made).measured["leak_same_subject"] == scores.leak_same_subject
            assert way(made).measured["admitted"] == 1.0
            assert made.header.descriptive.tags == ("taught",)
            assert said(mem, ask(mem, QUESTION)) == "Quelmar."

    def test_a_segment_teaches_an_adapter_what_its_texts_say(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            segments = transformed(mem, ids, "activation")
            (made,) = transformed(mem, [segments[1].id], "parametric")

            assert way(made).of == (segments[1].id,)
            assert [pin.id for pin in made.parents] == list(ids[:2])  # the third stands behind the segment
            assert way(made).measured["kl_before"] == 1.0
            assert way(made).measured["kl_after"] == 0.0
            assert way(made).measured["teacher_right"] == 1.0
            assert way(made).measured["held_out"] == 32
            assert "injected" in mem.adapter(made.id, **WHO).manifest.taught_by
            assert said(mem, ask(mem, QUESTION)) == "Quelmar."

    def test_an_adapter_is_written_out_as_far_as_it_answers(self, tmp_path: Path) -> None:
        class Forgetful(ToyTuner):
            def answers(self, questions: Sequence[str], **given: Any) -> list[str]:
                found = super().answers(questions, **given)
                return ["No idea." if "Ostrel" in one else one for one in found]

        engine = ToyEngine()
        with opened(tmp_path, engine=engine, tuner=Forgetful(engine.ref)) as mem:
            source = adapter(mem)
            (made,) = transformed(mem, [source], "plaintext")

            assert made.text == "The capital of Zorvania is Quelmar.\nMirrin was founded by Olda Prast."
            assert way(made).left == ("Tarn Velk: home",)
            assert way(made).measured == {
                "facts": 2.0,
                "left_out": 1.0,
                "probes": 48.0,
                "right_with": 2 / 3,
                "right_without": 0.0,
            }
            assert way(made).of == (source,)
            assert made.header.descriptive.origin is Origin.TUNING
            assert made.parents == mem.get(source, **WHO).parents

    def test_an_adapter_that_adds_nothing_gives_no_text(self, tmp_path: Path) -> None:
        class Knowing(ToyTuner):
            def answers(self, questions: Sequence[str], **given: Any) -> list[str]:
                return ["Quelmar, Ostrel, Olda Prast."] * len(questions)

        engine = ToyEngine()
        with opened(tmp_path, engine=engine, tuner=Knowing(engine.ref)) as mem:
            job = mem.transform([adapter(mem)], "plaintext", **WHO).job

            assert job in mem.tick().failed
            assert of_kind(mem, "plaintext") == []

    def test_an_adapter_that_may_not_serve_can_be_written_out(self, tmp_path: Path) -> None:
        with opened(tmp_path, leaks=True) as mem:
            source = adapter(mem)
            assert not mem.adapter(source, **WHO).serves
            (made,) = transformed(mem, [source], "plaintext")

            assert made.text == "\n".join(TEXTS)

    def test_an_adapter_comes_to_memory_by_way_of_its_text(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            source = adapter(mem)
            text, segment = transformed(mem, [source], "activation")

            assert segment.parents[-1].id == text.id
            assert way(segment).of == way(text).of == (source,)
            assert way(segment).measured["kl"] == 0.0
            assert way(segment).measured["right_with"] == way(text).measured["right_with"] == 1.0

    def test_segments_go_back_to_the_texts_that_say_the_same(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            segments = transformed(mem, ids, "activation")
            back = transformed(mem, [cube.id for cube in segments], "plaintext")

            assert [cube.id for cube in back] == list(ids)
            assert of_kind(mem, "plaintext") == []
            for cube in segments:
                with pytest.raises(UnknownMemory):
                    mem.get(cube.id, **WHO)
            entry = next(one for one in mem.log(**WHO) if one.operation == "keep_transformed" and one.about)
            assert entry.about == {"put_away": 3, "tokens_differ": 0.0}

    def test_notes_that_were_encoded_apart_go_back_too(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            mem.probe_blending(cases=100)
            apart = mem.encode(ids, mode="blend", **WHO).ids
            back = transformed(mem, apart, "plaintext")

            assert [cube.id for cube in back] == list(ids)
            with pytest.raises(InvalidInput, match="encoded apart"):
                mem.transform([mem.encode(ids, mode="blend", **WHO).ids[0]], "parametric", **WHO)

    def test_a_segment_without_sources_is_written_down(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            source = stray(mem, "Mirrin was founded by Olda Prast.")
            (made,) = transformed(mem, [source], "plaintext")

            assert made.text == "Mirrin was founded by Olda Prast."
            assert way(made).measured["tokens_differ"] == 0.0
            assert way(made).measured["tokens"] == 49
            assert [pin.id for pin in made.parents] == [source]
            assert made.header.descriptive.event_time == datetime(2025, 5, 8, tzinfo=UTC)
            assert made.trust is Trust.WEB  # nobody here knows who said it
            assert not made.stale

    def test_what_does_not_come_back_as_it_was_is_measured(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            engine, _ = mem._tools.tuner.needed()
            kv = engine.prefill((*b"\n- half a letter: ", 0xC3))
            blob, size = mem.put_blob(engine.dump(kv, SegmentAbout(namespace="users/ana")))
            id = mem.add(Activation(form="kv", blob=blob, size=size, model=engine.ref), **WHO).ids[0]
            (made,) = transformed(mem, [id], "plaintext")

            assert way(made).measured["tokens_differ"] > 0

    def test_behaviours_become_a_vector_beside_the_texts_that_are_named(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            wanted, others = told(mem, *SHORT), told(mem, *LONG)
            (made,) = transformed(mem, wanted, "steering", against=others)
            payload = made.payload

            assert isinstance(payload, Activation)
            assert payload.form == "steering"
            assert {pin.id for pin in made.parents} == {*wanted, *others}
            assert set(way(made).measured) == {"effect", "effect_low", "effect_high", "held_out"}
            assert mem.steering([made.id], **WHO).ids == (made.id,)

    def test_behaviours_become_a_vector_beside_what_the_model_says_by_itself(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            turns = [
                {"role": role, "content": text}
                for number, answer in enumerate(SHORT)
                for role, text in (("user", f"Is it {number}?"), ("assistant", answer))
            ]
            ids = mem.add(turns, **WHO).ids
            (made,) = transformed(mem, ids[1::2], "steering")

            assert {pin.id for pin in made.parents} == set(ids)

    def test_the_figures_are_those_that_the_plan_named(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            plan = mem.transform(ids, "activation", dry_run=True, **WHO).plan

            assert set(way(transformed(mem, ids, "activation")[0]).measured) == set(plan.measures)
            source = transformed(mem, ids, "parametric")[0].id
            for to in ("plaintext", "activation"):
                plan = mem.transform([source], to, dry_run=True, **WHO).plan
                assert set(way(transformed(mem, [source], to)[-1]).measured) == set(plan.measures)

    def test_its_provenance_tells_what_was_lost(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            made = transformed(mem, [source := adapter(mem)], "plaintext")[0]
            told_of = mem.provenance(made.id, **WHO).text()

            assert f"transformed  {source}" in told_of
            assert "right_with 1" in told_of

    def test_a_plan_alone_changes_nothing(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            found = mem.transform(told(mem), "parametric", dry_run=True, **WHO)

            assert found.job is None
            assert not mem.tick().done
            assert of_kind(mem, "parametric") == []

    def test_what_was_lost_goes_where_the_memory_goes(self, tmp_path: Path) -> None:
        with opened(tmp_path / "a") as mem:
            made = transformed(mem, [adapter(mem)], "plaintext")[0]
            lines = [line for line in mem.export_lines(**WHO) if made.id.encode() in line]
        with opened(tmp_path / "b") as mem:
            mem.import_records([from_line(line) for line in lines if b"right_with" in line])

            assert way(mem.get(made.id, **WHO)) == way(made)


class TestBack:
    @pytest.mark.parametrize("to", ["activation", "parametric"])
    def test_deleting_what_was_made_leaves_what_was_there(self, tmp_path: Path, to: str) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            for cube in transformed(mem, ids, to):
                mem.delete(cube.id, **WHO)

            assert [mem.get(id, **WHO).text for id in ids] == list(TEXTS)
            assert ask(mem, QUESTION).adapters == ()
            assert mem.transform(ids, to, **WHO).job is not None  # it may be made anew

    def test_a_segment_that_was_put_away_is_restored_or_made_again(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            segments = transformed(mem, ids, "activation")
            transformed(mem, [segments[-1].id], "plaintext")
            mem.restore(segments[-1].id, **WHO)
            assert mem.verify(segments[-1].id, **WHO).ok

            transformed(mem, [cube.id for cube in segments], "plaintext")
            transformed(mem, ids, "activation")

            with mem.inject(ids, QUESTION, **WHO) as found:
                assert found.report.injected > 0
                assert not found.report.refused

    def test_a_vector_is_taken_back(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            wanted, others = told(mem, *SHORT), told(mem, *LONG)
            (made,) = transformed(mem, wanted, "steering", against=others)
            mem.delete(made.id, **WHO)

            with pytest.raises(UnknownMemory):
                mem.steering([made.id], **WHO)
            assert [mem.get(id, **WHO).text for id in wanted] == SHORT

    def test_there_and_back_the_facts_are_the_same(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            (text,) = transformed(mem, [adapter(mem)], "plaintext")
            (again,) = transformed(mem, [text.id], "parametric")

            facts = {(fact.subject, fact.object) for fact in mem.adapter(again.id, **WHO).manifest.facts}
            assert facts == {("Zorvania", "Quelmar"), ("Tarn Velk", "Ostrel"), ("Mirrin", "Olda Prast")}


class TestCoherence:
    @pytest.mark.parametrize("what", ["update", "erase"])
    @pytest.mark.parametrize("to", ["activation", "parametric", "plaintext"])
    def test_what_was_made_ends_with_its_sources(self, tmp_path: Path, what: str, to: str) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            begin = [transformed(mem, ids, "parametric")[0].id] if to == "plaintext" else ids
            made = transformed(mem, begin, to)
            if what == "update":
                mem.update(ids[0], "The capital of Zorvania is Brend.", **WHO)
                assert all(mem.get(cube.id, **WHO).stale for cube in made)
            else:
                mem.erase(ids[0], **WHO)
                for cube in made:
                    with pytest.raises(UnknownMemory):
                        mem.get(cube.id, **WHO)

    def test_an_erased_fact_is_in_no_file_whatever_it_became(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            segments = transformed(mem, ids, "activation")
            transformed(mem, [segments[-1].id], "parametric")
            transformed(mem, [adapter_id := of_kind(mem, "parametric")[0]], "plaintext")
            transformed(mem, [adapter_id], "activation")
            mem.erase(ids[0], **WHO)
            mem.tick()

            assert not any(b"Quelmar" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    def test_a_segment_of_what_was_changed_is_not_read_back(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            (segment, *_) = transformed(mem, ids, "activation")
            mem.update(ids[0], "The capital of Zorvania is Brend.", **WHO)

            for to in ("plaintext", "parametric"):
                with pytest.raises(InvalidInput, match="stale"):
                    mem.transform([segment.id], to, **WHO)

    def test_what_was_erased_is_not_read_out_of_a_segment_from_elsewhere(self, tmp_path: Path) -> None:
        with opened(tmp_path / "here") as mem, opened(tmp_path / "there", new_id=new_id) as other:
            fact = mem.add(TEXTS[0], **WHO).ids[0]
            other.import_records([from_line(line) for line in mem.export_lines(**WHO)])
            made = stray(other, TEXTS[0], parents=[fact])
            (line,) = [line for line in other.export_lines(**WHO) if from_line(line)[-1].cube.id == made]
            mem.erase(fact, **WHO)
            assert mem.import_records([from_line(line)]).erased == (made,)

            with pytest.raises(UnknownMemory):
                mem.transform([made], "plaintext", **WHO)

    def test_a_tensor_that_only_claims_a_source_does_not_put_its_own_words_there(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            forged = stray(mem, "The capital of Zorvania is Brend.", parents=[ids[0]])
            (made,) = transformed(mem, [forged], "plaintext")

            assert made.id not in ids
            assert made.text == "The capital of Zorvania is Brend."
            assert made.trust is Trust.WEB
            assert mem.get(ids[0], **WHO).text == TEXTS[0]

    def test_what_changes_between_plan_and_work_is_seen(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            segments = transformed(mem, ids, "activation")
            job = mem.transform([segments[0].id], "plaintext", **WHO).job
            mem.update(ids[0], "The capital of Zorvania is Brend.", **WHO)

            assert job in mem.tick().failed
            assert mem.get(segments[0].id, **WHO).stale

    def test_a_frozen_segment_is_not_put_away(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            segments = transformed(mem, told(mem), "activation")
            job = mem.transform([segments[0].id], "plaintext", **WHO).job
            mem.freeze(segments[0].id, **WHO)  # meanwhile

            assert job in mem.tick().failed
            assert mem.get(segments[0].id, **WHO)


class TestOnce:
    def test_asked_for_twice_there_is_one_job(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            first, second = (mem.transform(ids, "parametric", **WHO) for _ in range(2))

            assert first.job == second.job is not None
            assert mem.transform(ids[:1], "parametric", **WHO).job != first.job

    @pytest.mark.parametrize("way_of", ["activation", "parametric", "steering"])
    def test_what_was_made_is_not_made_again(self, tmp_path: Path, way_of: str) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem, *SHORT) if way_of == "steering" else told(mem)
            more = {"against": told(mem, *LONG)} if way_of == "steering" else {}
            made = transformed(mem, ids, way_of, **more)
            again = mem.transform(ids, way_of, **WHO, **more)

            assert again.job is None
            assert again.made == tuple(cube.id for cube in made)

    def test_of_a_source_that_changed_it_is_made_again(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            (first,) = transformed(mem, ids, "parametric")
            mem.update(ids[0], "The capital of Zorvania is Brend.", **WHO)
            (second,) = transformed(mem, ids, "parametric")

            assert first.id != second.id
            assert said(mem, ask(mem, QUESTION)) == "Brend."


class Stopped(BaseException):
    """A kill."""


class Killed(ToyEngine):
    """An engine that dies in the ``last``-th call of a method."""

    def __init__(self, method: str = "", last: int = 1) -> None:
        super().__init__()
        self.method, self.left = method, last

    def _count(self, method: str) -> None:
        if method == self.method:
            self.left -= 1
            if self.left == 0:
                raise Stopped

    def prefill(self, *given: Any, **more: Any) -> ToyKv:
        self._count("prefill")
        return super().prefill(*given, **more)

    def load(self, *given: Any) -> ToyKv:
        self._count("load")
        return super().load(*given)

    def logits(self, *given: Any, **more: Any) -> Any:
        self._count("logits")
        return super().logits(*given, **more)

    def place(self, *given: Any, **more: Any) -> ToyKv:
        self._count("place")
        return super().place(*given, **more)

    def decode(self, *given: Any) -> str:
        self._count("decode")
        return super().decode(*given)

    def make_steering(self, *given: Any, **more: Any) -> Any:
        self._count("make_steering")
        return super().make_steering(*given, **more)


class KilledTuner(ToyTuner):
    """A tuner that dies in the ``last``-th call of a method."""

    def __init__(self, ref: Any, method: str = "", last: int = 1) -> None:
        super().__init__(ref)
        self.method, self.left = method, last

    def _count(self, method: str) -> None:
        if method == self.method:
            self.left -= 1
            if self.left == 0:
                raise Stopped

    def train(self, *given: Any, **more: Any) -> Any:
        self._count("train")
        return super().train(*given, **more)

    def answers(self, *given: Any, **more: Any) -> list[str]:
        self._count("answers")
        return super().answers(*given, **more)

    def compared(self, *given: Any, **more: Any) -> Any:
        self._count("compared")
        return super().compared(*given, **more)


Begin = Callable[[MemOS], Sequence[str]]
PREPARED: dict[str, tuple[Begin, str, str]] = {
    "plaintext-activation": (told, "activation", "activation"),
    "plaintext-parametric": (told, "parametric", "parametric"),
    "activation-parametric": (lambda mem: [mem.encode(told(mem), **WHO).ids[-1]], "parametric", "parametric"),
    "activation-plaintext": (lambda mem: [stray(mem, TEXTS[0])], "plaintext", "plaintext"),
    "parametric-plaintext": (lambda mem: [adapter(mem)], "plaintext", "plaintext"),
    "parametric-activation": (lambda mem: [adapter(mem)], "activation", "activation"),
    "plaintext-steering": (lambda mem: told(mem, *SHORT), "steering", "activation"),
}


@pytest.mark.parametrize(
    ("pathway", "engine_dies", "tuner_dies", "count"),
    [
        ("plaintext-activation", ("prefill", 1), None, 3),
        ("plaintext-activation", ("prefill", 3), None, 3),
        ("plaintext-activation", ("load", 1), None, 3),
        ("plaintext-activation", ("logits", 1), None, 3),
        ("plaintext-activation", ("logits", 2), None, 3),
        ("plaintext-parametric", None, ("train", 1), 1),
        ("plaintext-parametric", None, ("answers", 2), 1),
        ("activation-parametric", ("load", 2), None, 1),
        ("activation-parametric", None, ("train", 1), 1),
        ("activation-parametric", None, ("compared", 1), 1),
        ("activation-plaintext", ("decode", 1), None, 1),
        ("parametric-plaintext", None, ("answers", 1), 1),
        ("parametric-plaintext", None, ("answers", 2), 1),
        ("parametric-activation", None, ("answers", 2), 1),
        ("parametric-activation", ("prefill", 1), None, 1),
        ("parametric-activation", ("logits", 2), None, 1),
        ("plaintext-steering", ("make_steering", 1), None, 1),
    ],
)
def test_one_that_was_killed_is_done_again_and_gives_one_result(
    tmp_path: Path, pathway: str, engine_dies: tuple[str, int] | None, tuner_dies: tuple[str, int] | None, count: int
) -> None:
    begin, to, kind = PREPARED[pathway]
    ids = SequentialIds()
    with opened(tmp_path, new_id=ids) as mem:
        begun = begin(mem)
        more = {"against": told(mem, *LONG)} if to == "steering" else {}
        job = mem.transform(begun, to, **WHO, **more).job
        assert job is not None
        before = set(of_kind(mem, kind))
    engine = Killed(*(engine_dies or ()))
    with opened(tmp_path, new_id=ids, engine=engine, tuner=KilledTuner(engine.ref, *(tuner_dies or ()))) as mem:
        with pytest.raises(Stopped):
            mem.tick()
        assert mem.transformation(job, **WHO).phase != "done"
    with opened(tmp_path, new_id=ids) as mem:
        report = mem.tick(LATER, limit=1)
        found = mem.transformation(job, **WHO)
        made = [id for id in of_kind(mem, kind) if mem.get(id, **WHO).parents and id not in before]

        assert job in report.done
        assert found.done
        assert len(made) == count
        assert set(made) <= set(found.made)
        assert not list((tmp_path / "training").iterdir())


def test_one_that_was_killed_before_its_end_finds_what_it_kept(tmp_path: Path) -> None:
    ids = SequentialIds()
    with opened(tmp_path, new_id=ids) as mem:
        job = mem.transform(told(mem), "activation", **WHO).job
        assert job is not None
    engine = Killed("place", 1)  # the segments are written, and about to be kept at hand
    with opened(tmp_path, new_id=ids, engine=engine, tuner=ToyTuner(engine.ref)) as mem:
        with pytest.raises(Stopped):
            mem.tick()
        made = of_kind(mem, "activation")
        assert len(made) == 4
    with opened(tmp_path, new_id=ids) as mem:
        mem.tick(LATER, limit=1)

        assert of_kind(mem, "activation") == made
        assert mem.transformation(job, **WHO).made == tuple(made[1:])  # the first is of what the system says


class LateBlobs(MemoryBlobs):
    """Files, behind the next of which something happens, once."""

    late: Callable[[], object] | None = None

    def put(self, source: Any) -> tuple[str, int]:
        made = super().put(source)
        if self.late is not None:
            late, self.late = self.late, None
            late()
        return made


class TestLeavings:
    """What a job made and may not keep holds what it was made from: its file goes."""

    @pytest.mark.parametrize("end", ["erased", "changed", "cancelled"])
    @pytest.mark.parametrize("begin", ["texts", "segment", "behaviour"])
    def test_no_file_is_left_of_what_ends_while_it_is_stored(self, tmp_path: Path, begin: str, end: str) -> None:
        blobs = LateBlobs()
        with opened(tmp_path, store=MemoryStore(), blobs=blobs) as mem:
            ids = told(mem, *(SHORT if begin == "behaviour" else TEXTS))
            more = {"against": told(mem, *LONG)} if begin == "behaviour" else {}
            of = [transformed(mem, ids, "activation")[-1].id] if begin == "segment" else ids
            to = "steering" if begin == "behaviour" else "parametric"
            before = blobs.names()
            job = mem.transform(of, to, **more, **WHO).job
            assert job is not None
            blobs.late = {
                "erased": lambda: mem.erase(ids[0], wait=True, **WHO),
                "changed": lambda: mem.update(ids[0], "Something else.", **WHO),
                "cancelled": lambda: mem.cancel_transformation(job, **WHO),
            }[end]

            report = mem.tick(limit=1)

            assert blobs.late is None
            assert not report.done
            assert blobs.names() <= before

    @pytest.mark.parametrize("to", ["parametric", "activation"])
    def test_what_a_killed_job_stored_goes_with_what_it_was_made_from(self, tmp_path: Path, to: str) -> None:
        def killed() -> None:
            raise Stopped

        store, blobs = MemoryStore(), LateBlobs()
        with opened(tmp_path, store=store, blobs=blobs) as mem:
            (fact,) = told(mem, TEXTS[0])
            transformed(mem, told(mem, TEXTS[1]), "activation")  # what the system says is stored from now on
            mem.transform([fact], to, **WHO)
            blobs.late, before = killed, blobs.names()
            with pytest.raises(Stopped):
                mem.tick(limit=1)
            assert blobs.names() > before
            other = mem.put_blob(b"of somebody who is about to name it")[0]

            mem.erase(fact, wait=True, **WHO)

            assert blobs.names() == {*before, other}

    def test_what_is_erased_during_the_admission_test_is_not_stored(self, tmp_path: Path) -> None:
        class Erasing(ToyTuner):
            late: Callable[[], object] | None = None

            def perplexity(self, *given: Any, **more: Any) -> float:
                if self.late is not None:
                    late, self.late = self.late, None
                    late()
                return super().perplexity(*given, **more)

        engine = ToyEngine()
        tuner = Erasing(engine.ref)
        with opened(tmp_path, engine=engine, tuner=tuner) as mem:
            (fact,) = told(mem, TEXTS[0])
            mem.distil([fact], **WHO)
            tuner.late = lambda: mem.erase(fact, wait=True, **WHO)

            mem.tick(limit=1)

            assert mem._tools.blobs.names() == set()


class TestJobs:
    def test_what_a_rule_keeps_from_the_model_is_not_for_it(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            (secret,) = mem.add(TEXTS[0], tags=["private"], **WHO).ids
            rule = {"effect": "deny", "what": {"tags": "private"}, "when": {"model": {"contains": "toy@"}}}
            mem.set_access_policy("not for toys", rule, **WHO)

            for act in (
                lambda: mem.transform([secret], "activation", **WHO),
                lambda: mem.transform([secret], "parametric", **WHO),
                lambda: mem.distil([secret], **WHO),
            ):
                with pytest.raises(UnknownMemory):
                    act()
            assert mem.transform(told(mem, TEXTS[1]), "activation", **WHO).job

    def test_a_segment_of_what_was_shared_is_refused_before_a_job_is_queued(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            (lent,) = mem.add(TEXTS[0], user_id="bob").ids
            share = {"effect": "permit", "who": ["users/ana"], "actions": ["read"]}
            mem.bind(user_id="bob").set_access_policy("share", share)
            segment = mem.encode([lent], **WHO).ids[-1]

            for to in ("parametric", "plaintext"):
                with pytest.raises(InvalidInput, match="somebody else's"):
                    mem.transform([segment], to, **WHO)

    def test_a_frozen_segment_is_refused_before_a_job_is_queued(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            (segment,) = transformed(mem, told(mem)[:1], "activation")
            mem.freeze(segment.id, **WHO)

            with pytest.raises(InvalidInput, match="unfreeze it"):
                mem.transform([segment.id], "plaintext", **WHO)

    @pytest.mark.parametrize(
        "recipe",
        [
            5,
            {"rank": "4"},
            Recipe(rank="4"),  # type: ignore[arg-type]
            Recipe(alpha=float("nan")),
            Recipe(alpha=float("inf")),
            Recipe(keep=float("nan")),
            Recipe(seed=1 << 70),
        ],
    )
    def test_a_recipe_that_nobody_can_train_by_is_refused(self, tmp_path: Path, recipe: Any) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            for act in (mem.distil, lambda *given, **more: mem.transform(*given, "parametric", **more)):
                with pytest.raises(InvalidInput):
                    act(ids, recipe=recipe, **WHO)

    def test_a_turn_that_expired_is_no_contrast(self, tmp_path: Path) -> None:
        clock = FrozenClock()
        with opened(tmp_path, clock=clock) as mem:
            answers = []
            for text in SHORT:
                asked = [{"role": "user", "content": f"Why {text}"}]
                mem.add(asked, session_id="s", lifespan={"ttl_s": 60}, **WHO)
                told_back = [{"role": "assistant", "content": text}]
                answers.append(mem.add(told_back, session_id="s", **WHO).ids[-1])
            clock.advance(timedelta(hours=1))

            with pytest.raises(InvalidInput, match="no answer"):
                mem.transform(answers, "steering", **WHO)

    def test_texts_with_contrasts_are_another_job_than_all_of_them_by_themselves(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = []
            for text in (*SHORT, *LONG):
                turns = [{"role": "user", "content": f"Why {text}"}, {"role": "assistant", "content": text}]
                ids.append(mem.add(turns, session_id="s", **WHO).ids[-1])
            alone = mem.transform(ids, "steering", **WHO).job

            beside = mem.transform(ids[:PAIRS], "steering", against=ids[PAIRS:], **WHO).job

            assert None not in (alone, beside)
            assert alone != beside

    def test_one_that_was_parked_says_so_and_makes_room_when_it_is_asked_for_again(self, tmp_path: Path) -> None:
        class Failing(ToyEngine):
            fails = True

            def logits(self, *given: Any, **more: Any) -> Any:
                if self.fails:
                    raise RuntimeError
                return super().logits(*given, **more)

        engine, clock = Failing(), FrozenClock()
        with opened(tmp_path, engine=engine, tuner=ToyTuner(engine.ref), clock=clock) as mem:
            ids = told(mem)[:1]
            job = mem.transform(ids, "activation", **WHO).job
            assert job is not None
            for _ in range(ATTEMPTS):
                clock.advance(timedelta(hours=1))
                mem.tick()
            assert mem.transformation(job, **WHO).phase == "parked"
            engine.fails = False

            anew = mem.transform(ids, "activation", **WHO).job

            assert anew not in (None, job)
            assert [anew] == [one.id for one in mem.jobs() if one.kind == "transform"]
            assert anew in mem.tick().done

    def test_it_says_how_far_it_is_and_can_be_cancelled(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            job = mem.transform(told(mem), "activation", **WHO).job
            assert job is not None
            assert mem.transformation(job, **WHO).phase == "queued"
            for other in (mem.bind(user_id="eve"), mem):
                with pytest.raises(UnknownJob):
                    other.transformation(job)

            mem.cancel_transformation(job, **WHO)

            assert not mem.tick().done
            for act in (mem.transformation, mem.cancel_transformation):
                with pytest.raises(UnknownJob):
                    act(job, **WHO)
            assert of_kind(mem, "activation") == []

    def test_one_that_is_cancelled_while_it_runs_stops_before_its_next_step(self, tmp_path: Path) -> None:
        class Meddled(ToyEngine):
            def prefill(self, *given: Any, **more: Any) -> ToyKv:
                self.meddle()  # type: ignore[attr-defined]
                return super().prefill(*given, **more)

        engine = Meddled()
        with opened(tmp_path, engine=engine, tuner=ToyTuner(engine.ref)) as mem:
            job = mem.transform(told(mem), "activation", **WHO).job
            assert job is not None
            steps = []

            def meddle() -> None:
                if not steps:
                    steps.append(mem.transformation(job, **WHO).phase)
                    mem.cancel_transformation(job, **WHO)

            engine.meddle = meddle  # type: ignore[attr-defined]
            mem.tick(limit=1)

            assert steps == ["encode"]
            assert of_kind(mem, "activation") == []

    def test_what_nothing_leads_to_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            refused: list[tuple[Any, str, dict[str, Any], str]] = [
                (ids, "plaintext", {}, "already"),
                (ids, "steering", {}, "6 or more"),
                (told(mem, *SHORT), "steering", {}, "no answer of an assistant"),
                (ids, "activation", {"against": ids}, "leave out against"),
                (ids, "parametric", {"form": "int8"}, "only with to='activation'"),
                (ids, "weights", {}, "to is 'weights'"),
                ([mem.encode(ids, **WHO).ids[0]], "plaintext", {}, "what the system says"),
            ]
            for given, to, more, why in refused:
                with pytest.raises(InvalidInput, match=why):
                    mem.transform(given, to, **WHO, **more)
            mem.update(ids[0], "The capital of Zorvania is Brend.", **WHO)
            derived = mem.add("Brend, as I said.", parents=[ids[0]], **WHO).ids[0]
            mem.update(ids[0], "The capital of Zorvania is Ulm.", **WHO)
            with pytest.raises(StaleMemory):
                mem.transform([derived], "activation", **WHO)

    def test_without_a_local_model_it_is_said_what_is_needed(self, tmp_path: Path) -> None:
        with opened(tmp_path, engine=None, tuner=None) as mem, pytest.raises(ModelError, match="pass engine="):
            mem.transform(told(mem), "activation", **WHO)


class TestOthers:
    def test_nobody_transforms_what_is_not_theirs(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            segment, lora = transformed(mem, ids, "activation")[-1].id, transformed(mem, ids, "parametric")[0].id
            eve = mem.bind(user_id="eve")
            for given, to in ((ids, "activation"), ([segment], "plaintext"), ([lora], "plaintext")):
                with pytest.raises(UnknownMemory):
                    eve.transform(given, to)

    def test_what_was_only_shared_is_not_transformed_into_ones_own(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            mem.bind(user_id="ana").share(ids[0], to="users/eve")
            with pytest.raises(InvalidInput, match="lives in"):
                mem.bind(user_id="eve").transform([ids[0]], "activation")

    def test_what_was_read_of_somebody_elses_is_not_written_down(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            mem.bind(user_id="ana").share(ids[0], to="users/eve")
            eve = mem.bind(user_id="eve")
            segment = eve.encode([ids[0]]).ids[-1]
            with pytest.raises(InvalidInput, match="somebody else's"):
                eve.transform([segment], "plaintext")
            job = eve.enqueue("transform", {"ids": [segment], "to": "plaintext"})

            assert job in mem.tick().failed
            assert [cube.text for cube in eve.list(filters={"kind": "plaintext"})] == []

    @pytest.mark.parametrize("to", ["activation", "parametric", "plaintext"])
    def test_what_was_made_is_as_closed_as_its_sources(self, tmp_path: Path, to: str) -> None:
        with opened(tmp_path) as mem:
            begin = [adapter(mem)] if to == "plaintext" else told(mem)
            made = transformed(mem, begin, to)[-1]
            mem.bind(user_id="ana").share(made.id, to="users/bo")

            with pytest.raises(UnknownMemory):
                mem.bind(user_id="bo").get(made.id)

    def test_a_recipe_that_somebody_wrote_by_hand_is_looked_at(self, tmp_path: Path) -> None:
        with opened(tmp_path) as mem:
            recipe = msgspec.to_builtins(Recipe(steps=1_000_000))
            job = mem.enqueue("transform", {"ids": list(told(mem)), "to": "parametric", "recipe": recipe}, **WHO)

            assert job in mem.tick().failed

    @pytest.mark.parametrize("to", ["activation", "parametric", "plaintext"])
    def test_a_job_that_somebody_wrote_by_hand_reaches_nothing_more(self, tmp_path: Path, to: str) -> None:
        with opened(tmp_path) as mem:
            ids = told(mem)
            segment = transformed(mem, ids, "activation")[-1].id
            eve = mem.bind(user_id="eve")
            job = eve.enqueue("transform", {"ids": [segment] if to == "plaintext" else list(ids), "to": to})

            assert job in mem.tick().failed
            assert list(eve.list()) == []
            assert mem.get(segment, **WHO)
