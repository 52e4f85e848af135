"""Measuring what an adapter takes: a part of a training, and the whole that follows from it."""

from __future__ import annotations

import json
from collections import Counter
from itertools import count

import msgspec
import pytest
from tests.unit.adapter_kit import opened
from tests.unit.scheduling_kit import CALIBRATION, steadily

from pymemos.cube.adapter import Recipe
from pymemos.errors import InvalidInput
from pymemos.interface.calibrating import calibrate, calibration_file, keep, kept, latest
from pymemos.interface.calibrating_adapters import STATEMENTS, STEPS, measure_training, sample_of
from pymemos.operation.costs import Form, costs
from pymemos.operation.distilling.lessons import course
from pymemos.operation.moves import ASSUMED, move
from pymemos.operation.training_costs import TrainingSample, TrainingShape, with_adapters
from pymemos.operation.usage import UNINFORMED
from pymemos.testing.doubles import WHEN
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner

SAMPLE = TrainingSample(
    lessons=50, read_s=5.0, step_s=1.5, asked=64, asked_s=6.4, plain_s=0.1, gated_s=0.104, file_bytes=8_000_000
)
SHAPE = TrainingShape(facts=10, tokens=100, lessons=400, taught=40, asked=1_000, asked_anyway=500)
RECIPE = Recipe(steps=40, phrasings=4, kept=10)


class _Clock:
    """A clock that goes on only while something that is told works."""

    def __init__(self) -> None:
        self.spent, self._ticks = 0.0, count()

    def __call__(self) -> float:
        return self.spent + 1e-9 * next(self._ticks)


class _TimedEngine(ToyEngine):
    """A toy whose passes take a second, and a tenth more with an adapter."""

    clock = _Clock()

    def run(self, tokens, options, **given):
        self.clock.spent += 1.1 if given.get("adapters") else 1.0
        return super().run(tokens, options, **given)


class _TimedTuner(ToyTuner):
    """A toy that takes 0.2 s to read a lesson, 3 s for a step, and 0.5 s for an answer."""

    clock = _Clock()

    def train(self, lessons, recipe, *, on_step, **given):
        def told(done, steps):
            on_step(done, steps)
            self.clock.spent += 3.0 + (0.2 * len(lessons) if done == 0 else 0.0)

        return super().train(lessons, recipe, on_step=told, **given)

    def answers(self, questions, **given):
        self.clock.spent += 0.5 * len(questions)
        return super().answers(questions, **given)


@pytest.fixture
def timed():
    engine = _TimedEngine()
    tuner, clock = _TimedTuner(engine.ref), _Clock()
    engine.clock = tuner.clock = clock
    return engine, tuner, clock


class TestWhatFollows:
    def test_the_whole_is_as_many_times_the_parts(self):
        found = with_adapters(CALIBRATION, SAMPLE, SHAPE, RECIPE)

        reading, steps, exam = 5.0 * 400 / 50, 40 * 1.5, 0.1 * 1_000
        shared = steps * 10 / 50 + 0.1 * 500  # ten of fifty lessons in a step are of no fact
        assert pytest.approx(reading + steps + exam) == found.training_s
        assert pytest.approx(shared / 10) == found.train_s
        assert pytest.approx((reading + steps + exam - shared) / 100) == found.train_token_s
        assert pytest.approx(0.004) == found.attach_s
        assert 800_000 == found.adapter_bytes
        assert found.adapter_measured

    def test_ten_memories_of_one_fact_take_one_training(self):
        found = with_adapters(CALIBRATION, SAMPLE, SHAPE, RECIPE)

        assert pytest.approx(found.training_s) == 10 * costs(10, found).adapter.write_s

    def test_a_pass_that_came_out_quicker_with_the_adapter_takes_nothing_more(self):
        noisy = msgspec.structs.replace(SAMPLE, gated_s=0.09)

        assert 0.0 == with_adapters(CALIBRATION, noisy, SHAPE, RECIPE).attach_s

    def test_a_part_that_took_no_time_is_refused(self):
        with pytest.raises(InvalidInput, match="finer clock"):
            with_adapters(CALIBRATION, msgspec.structs.replace(SAMPLE, step_s=0.0), SHAPE, RECIPE)


class TestMeasuring:
    def test_a_few_steps_and_some_questions_say_what_all_of_them_take(self, timed):
        engine, tuner, clock = timed

        sample, shape = measure_training(engine, tuner, clock, system="Be brief.", recipe=Recipe())

        assert pytest.approx(0.2) == sample.read_s / sample.lessons
        assert pytest.approx(3.0) == sample.step_s
        assert pytest.approx(0.5) == sample.asked_s / sample.asked
        assert pytest.approx(0.1) == sample.gated_s - sample.plain_s
        assert STEPS == tuner.trained
        assert sample.asked < shape.asked / 7

    def test_it_counts_the_whole_training_that_is_left_out(self, timed):
        engine, tuner, clock = timed

        _, shape = measure_training(engine, tuner, clock, system="Be brief.", recipe=Recipe())

        made = course({str(n): text for n, text in enumerate(STATEMENTS)}, Recipe())
        assert (10, len(made.lessons)) == (shape.facts, shape.lessons)
        assert 10 * Recipe().phrasings + len(made.back.facts) * Recipe().reverse == shape.taught
        assert 0 < shape.asked_anyway < shape.asked

    def test_a_step_of_the_sample_has_as_many_lessons_as_one_of_the_whole(self):
        recipe = Recipe()
        made = course({str(n): text for n, text in enumerate(STATEMENTS)}, recipe)

        chosen = sample_of(made, recipe)

        counts = Counter(one.fact for one in chosen if one.answer is not None)
        kept, all_kept = ([one for one in some if one.answer is None] for some in (chosen, made.lessons))
        turned = len(made.back.facts)
        assert [recipe.phrasings] * 10 + [recipe.reverse] * turned == [counts[one] for one in range(10 + turned)]
        assert recipe.kept <= len(kept)
        assert len(set(chosen)) == len(chosen)
        assert pytest.approx(len(all_kept) / len(made.lessons), abs=0.02) == len(kept) / len(chosen)

    def test_a_calibration_with_a_tuner_has_the_figures_of_adapters(self, timed):
        engine, tuner, clock = timed

        found = calibrate(_Read(engine, clock), clock, WHEN, lengths=(32, 64, 128), tuner=tuner)

        assert found.adapter_measured
        assert pytest.approx(0.1, rel=0.01) == found.attach_s
        assert found.training_s > 40 * 3.0

    def test_the_facade_measures_the_model_that_learns_and_keeps_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PYMEMOS_CACHE_DIR", str(tmp_path / "cache"))

        with opened(tmp_path / "home") as mem:
            found = mem.calibrate()

        assert found.adapter_measured
        assert found == latest(tmp_path / "cache")


class _Read(_TimedEngine):
    """The same engine, whose reading takes time too."""

    def __init__(self, engine, clock):
        super().__init__()
        self.clock = clock

    def prefill(self, tokens, *, prefix=()):
        self.clock.spent += 0.5 + 0.002 * len(tokens)
        return super().prefill(tokens, prefix=prefix)


class TestWhatIsSaid:
    usage = steadily(14, 9)

    def reason(self, calibration):
        return move("m", Form.TEXT, Form.ADAPTER, costs(40, calibration), self.usage, UNINFORMED, self.usage.at).reason

    def test_a_threshold_goes_by_what_was_measured(self):
        dear = with_adapters(CALIBRATION, msgspec.structs.replace(SAMPLE, step_s=150.0), SHAPE, RECIPE)
        cheap = with_adapters(CALIBRATION, msgspec.structs.replace(SAMPLE, step_s=0.015), SHAPE, RECIPE)

        assert self.reason(dear) != self.reason(cheap)
        assert ASSUMED not in self.reason(dear)

    def test_what_was_not_measured_is_said_to_be_assumed(self):
        assert self.reason(CALIBRATION).endswith(ASSUMED)

    def test_what_has_nothing_to_do_with_adapters_needs_no_such_word(self):
        found = move("m", Form.TEXT, Form.KV, costs(40, CALIBRATION), self.usage, UNINFORMED, self.usage.at)

        assert not found.is_assumed

    def test_a_file_of_before_is_read_with_the_figures_of_then(self, tmp_path):
        file = calibration_file(tmp_path, "toy")
        keep(CALIBRATION, file)
        fields = json.loads(file.read_bytes())
        for name in ("training_s", "adapter_measured", "attach_s", "train_s", "train_token_s", "adapter_bytes"):
            del fields[name]
        file.write_text(json.dumps(fields))

        found = kept(file)

        assert found == CALIBRATION
        assert not found.adapter_measured
