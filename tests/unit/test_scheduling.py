"""Calibrating, and what a turn of the scheduler proposes for a store."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import msgspec
import pytest
from tests.unit.kv_kit import SYSTEM, told
from tests.unit.scheduling_kit import CALIBRATION

from pymemos import MemOS
from pymemos.errors import InvalidInput, ModelError, NotAllowed
from pymemos.interface.calibrating import calibrate, calibration_file, keep, kept, latest
from pymemos.operation.costs import Form
from pymemos.operation.proposing import usage_of
from pymemos.settings import Settings
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN, FrozenClock
from pymemos.testing.toy_engine import ToyEngine


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def clock():
    return FrozenClock()


@pytest.fixture
def mem(tmp_path, cache, clock):
    settings = Settings(home=tmp_path / "store", config_dir=tmp_path / "config", cache_dir=cache)
    with MemOS(settings=settings, engine=ToyEngine(), embedder="none", clock=clock) as mem:
        yield mem


def use(mem, clock, query, *, days, a_day):
    """Search for a memory so often a day."""
    for _ in range(int(days * a_day)):
        clock.advance(timedelta(days=1 / a_day))
        mem.search(query, user_id="ana")
    mem._api.buffer.flush()  # as within a second


class TestCalibrating:
    def test_a_measurement_finds_what_the_model_takes(self):
        """Each look at the clock is a microsecond later, which is all that a file takes then."""
        engine, ticks = _Timed(), count()

        found = calibrate(engine, lambda: engine.spent + 1e-6 * next(ticks), WHEN, lengths=(32, 64, 128, 256))

        assert pytest.approx(0.5, rel=0.01) == found.begin_s
        assert pytest.approx(0.002, rel=0.01) == found.token_s
        assert pytest.approx(1e-6, rel=0.05) == found.square_s
        assert 16 == found.kv_token_bytes
        assert [32, 64, 128, 256] == [one.tokens for one in found.timings]
        assert not found.adapter_measured

    def test_lengths_beyond_the_window_are_left_out(self):
        engine, ticks = _Timed(window=200), count()

        found = calibrate(engine, lambda: engine.spent + 1e-6 * next(ticks), WHEN, lengths=(32, 64, 128, 256))

        assert [32, 64, 128] == [one.tokens for one in found.timings]

    def test_a_clock_that_stands_still_is_refused(self):
        engine = _Timed()

        with pytest.raises(InvalidInput, match="finer clock"):
            calibrate(engine, lambda: engine.spent, WHEN, lengths=(32, 64, 128))

    def test_a_window_that_is_too_small_is_refused(self):
        with pytest.raises(InvalidInput, match="too small to be calibrated"):
            calibrate(ToyEngine(window=60), lambda: 0.0, WHEN)

    def test_it_is_kept_by_model_and_read_again(self, cache):
        file = calibration_file(cache, "smollm2@c682 float32 cpu")
        keep(CALIBRATION, file)

        assert CALIBRATION == kept(file)
        assert "smollm2-c682-float32-cpu.json" == file.name
        assert [file] == list(file.parent.iterdir())

    def test_the_last_one_counts(self, cache):
        newer = msgspec.structs.replace(CALIBRATION, model="other", measured="2027-01-01T00:00:00+00:00")
        for one in (newer, CALIBRATION):
            keep(one, calibration_file(cache, one.model))

        assert newer == latest(cache)

    def test_a_file_that_cannot_be_read_says_what_to_do(self, cache):
        file = calibration_file(cache, "toy")
        file.parent.mkdir(parents=True)
        file.write_text("{")

        with pytest.raises(InvalidInput, match="run 'pymemos calibrate' again"):
            kept(file)

    def test_one_of_another_model_that_cannot_be_read_keeps_nobody_from_planning(self, cache, caplog):
        broken = calibration_file(cache, "other")
        keep(CALIBRATION, calibration_file(cache, CALIBRATION.model))
        broken.write_text("{")

        assert CALIBRATION == latest(cache)
        assert str(broken) in caplog.text

    def test_the_facade_measures_its_own_model_and_keeps_it(self, mem, cache):
        found = mem.calibrate()

        assert mem._activations.needed()[0].engine.identity == found.model
        assert found == latest(cache)

    def test_without_a_local_model_it_says_so(self, tmp_path):
        with MemOS(tmp_path / "other", embedder="none", chat="none") as mem, pytest.raises(ModelError):
            mem.calibrate()

    def test_it_is_for_the_steward_alone(self, mem):
        with pytest.raises(NotAllowed):
            mem.bind(user_id="ana").calibrate()


class TestProposing:
    def test_without_a_calibration_nothing_is_proposed_and_it_says_so(self, mem):
        told(mem, user_id="ana")

        found = mem.schedule(user_id="ana")

        assert (3, (), None) == (found.examined, found.moves, found.model)

    def test_what_is_used_often_and_does_not_change_is_proposed_with_the_reason(self, mem, cache, clock):
        keep(CALIBRATION, calibration_file(cache, "toy"))
        hot, *_ = told(mem, "Ana lives in Lisbon. " * 20, "Bo likes tea.", user_id="ana")
        use(mem, clock, "Lisbon", days=9, a_day=6)

        found = mem.schedule(user_id="ana")

        assert [(hot, Form.TEXT, Form.KV)] == [(one.id, one.before, one.after) for one in found.moves]
        assert "times a day, unchanged for 9 days: a KV cache pays for itself after" in found.moves[0].reason

    def test_what_has_a_cache_that_holds_is_left_alone_and_one_that_is_stale_is_made_again(self, mem, cache, clock):
        keep(CALIBRATION, calibration_file(cache, "toy"))
        hot, *_ = told(mem, "Ana lives in Lisbon. " * 20, user_id="ana")
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.encode([hot], system=SYSTEM, user_id="ana")

        assert () == mem.schedule(user_id="ana").moves

        mem.update(hot, "Ana lives in Porto. " * 20, user_id="ana")
        use(mem, clock, "Porto", days=5, a_day=6)

        assert [(hot, Form.TEXT, Form.KV)] == [(m.id, m.before, m.after) for m in mem.schedule(user_id="ana").moves]

    def test_one_sees_ones_own_memories_alone(self, mem, cache, clock):
        keep(CALIBRATION, calibration_file(cache, "toy"))
        told(mem, "Ana lives in Lisbon. " * 20, user_id="ana")
        use(mem, clock, "Lisbon", days=9, a_day=6)

        assert (0, ()) == ((found := mem.schedule(user_id="bo")).examined, found.moves)

    def test_years_later_nothing_is_hot(self, mem, cache, clock):
        keep(CALIBRATION, calibration_file(cache, "toy"))
        told(mem, "Ana lives in Lisbon. " * 20, user_id="ana")
        use(mem, clock, "Lisbon", days=9, a_day=6)

        assert () == mem.schedule(clock() + timedelta(days=2_000), user_id="ana").moves


class TestUsage:
    def test_a_header_tells_uses_and_the_last_change(self):
        cube = a_cube("Ana likes tea.")
        behaviour = cube.header.behaviour.used(WHEN + timedelta(days=2)).used(WHEN + timedelta(days=3))

        usage = usage_of(cube.observed(behaviour))

        assert 1 < usage.uses < 2
        assert usage.is_used
        assert usage.changed is None

    def test_a_memory_that_nobody_used_has_no_uses(self):
        usage = usage_of(a_cube("Ana likes tea."))

        assert (0, False) == (usage.uses, usage.is_used)


class _Timed(ToyEngine):
    """A toy that takes time by the formula, which is told instead of waited for."""

    spent = 0.0

    def prefill(self, tokens, *, prefix=()):
        self.spent += 0.5 + 0.002 * len(tokens) + 1e-6 * len(tokens) ** 2
        return super().prefill(tokens, prefix=prefix)
