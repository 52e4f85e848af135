"""Turns of the scheduler, carried out: what moves between forms, what is kept of it, and what is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit import adapter_kit
from tests.unit.kv_kit import MeddlingEngine, doubles, told
from tests.unit.scheduling_kit import CALIBRATION

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.cube import MemCube
from pymemos.errors import InvalidInput, NotAllowed
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.interface.mover import EVERY, Turn
from pymemos.interface.training import ATTEMPTS
from pymemos.interface.transfer import from_line
from pymemos.operation.costs import Calibration, Form
from pymemos.ports import JobState
from pymemos.settings import Settings
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner
from pymemos.testing.witness import WitnessStore

LISBON = "Ana lives in Lisbon. " * 20
PORTO = "Ana lives in Porto. " * 20
TEA = "Ana likes green tea. " * 20
ANA: dict[str, Any] = {"user_id": "ana"}
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(params=["sqlite", "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", config_dir=tmp_path / "config", cache_dir=tmp_path / "cache", moves="on")


@pytest.fixture
def engine() -> MeddlingEngine:
    return MeddlingEngine()


@pytest.fixture
def mem(settings: Settings, engine: MeddlingEngine, clock: FrozenClock, adapter: str) -> Iterator[MemOS]:
    calibrated(settings, engine, kv_token_bytes=1e6)  # so large that one which rests is not worth its room
    with MemOS(settings=settings, engine=engine, embedder="none", clock=clock, **doubles(adapter)) as mem:
        yield mem


def calibrated(settings: Settings, engine: ToyEngine, **figures: float) -> Calibration:
    """Figures of the toy, as if they had been measured."""
    known = msgspec.structs.replace(CALIBRATION, model=engine.identity, **figures)
    keep(known, calibration_file(settings.cache_dir, engine.identity))
    return known


def use(mem: MemOS, clock: FrozenClock, query: str, *, days: float, a_day: float) -> None:
    """Search for a memory so often a day."""
    for _ in range(int(days * a_day)):
        clock.advance(DAY / a_day)
        mem.search(query, **ANA)
    mem._api.buffer.flush()


def segments(mem: MemOS) -> list[MemCube]:
    """The KV memories of Ana that there are, oldest first."""
    return list(mem.list(filters={"kind": "activation"}, **ANA))


def moved(turn: Turn) -> list[tuple[str, Form, Form]]:
    return [(one.id, one.before, one.after) for one in turn.decisions]


class TestPromoting:
    def test_what_is_used_often_is_encoded_and_the_next_turn_leaves_it_alone(self, mem, clock):
        hot, *_ = told(mem, LISBON, "Bo likes tea.", **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)

        turn = mem.move(**ANA)

        assert [(hot, Form.TEXT, Form.KV)] == moved(turn)
        assert [hot] == [cube.parents[-1].id for cube in segments(mem) if cube.parents]
        assert (2, ()) == (len(turn.made), turn.left)
        again = mem.move(**ANA)
        assert ((), (), ()) == (again.decisions, again.made, again.given_up)

    def test_memories_come_into_one_block_in_an_order_that_stays(self, mem, clock):
        first, second = told(mem, LISBON, TEA, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.move(**ANA)
        use(mem, clock, "green", days=9, a_day=12)

        turn = mem.move(**ANA)

        assert [second] == [one.id for one in turn.decisions]
        assert [(first,), (first, second)] == [tuple(p.id for p in c.parents) for c in segments(mem) if c.parents]

    def test_a_chat_injects_the_block(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.move(**ANA)

        plan = mem.chat("Where?", max_tokens=4, remember=False, **ANA).plan

        assert ["kv-device"] == [one.tier.value for one in plan.used]
        assert plan.injected_tokens > 0

    def test_what_a_block_has_no_room_for_stays_text_and_is_named(self, mem, clock):
        ids = told(mem, *(f"Ana has seen the town of {name}. " * 20 for name in ("Alva", "Bruk", "Corm")), **ANA)
        use(mem, clock, "town", days=9, a_day=6)

        turn = mem.move(**ANA)

        assert 3 == len(turn.decisions)
        held = {cube.parents[-1].id for cube in segments(mem) if cube.parents}
        assert 2 == len(held)
        assert set(ids) - held == {one.id for one in turn.left}

    def test_it_does_what_the_system_does_by_itself_once_an_hour(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)

        report = mem.tick()

        assert not report.failed
        assert 2 == len(segments(mem))
        [entry] = mem.log(operation="move", **ANA)
        assert (2, 1, True) == (entry.about["made"], entry.about["moves"], entry.caller.system)
        [looked] = mem.log(operation="survey", **ANA)
        assert (False, "scheduler") == (looked.caller.system, looked.caller.purpose)
        clock.advance(EVERY)
        assert mem.tick().done
        assert 2 == len(mem.log(operation="move", **ANA))


class TestAtHand:
    def test_what_was_taken_out_of_memory_is_brought_back_before_it_is_asked_for(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        made = mem.move(**ANA).made
        for id in made:
            mem.evict(id, **ANA)

        assert set(made) == set(mem.move(**ANA).loaded) == {one.id for one in mem.placements(**ANA)}
        assert () == mem.move(**ANA).loaded


class TestDoingNothing:
    def test_without_a_calibration_of_this_model_it_says_so(self, mem, settings, engine):
        calibration_file(settings.cache_dir, engine.identity).unlink()

        turn = mem.move(**ANA)

        assert "pymemos calibrate" in turn.remark
        assert ((), None) == (turn.decisions, turn.model)

    def test_without_a_local_model_it_says_so(self, tmp_path):
        with MemOS(tmp_path / "other", embedder="none", chat="none") as mem:
            assert "no chat model" in mem.move(**ANA).remark or "no local model" in mem.move(**ANA).remark

    @pytest.mark.parametrize("mode", ["off", "propose"])
    def test_unless_it_is_on_nothing_moves_by_itself(self, settings, engine, clock, mode):
        calibrated(settings, engine)
        settings = msgspec.structs.replace(settings, moves=mode)
        with MemOS(settings=settings, engine=engine, embedder="none", clock=clock) as mem:
            told(mem, LISBON, **ANA)
            use(mem, clock, "Lisbon", days=9, a_day=6)

            mem.tick()

            assert [] == segments(mem)
            assert [1] * (mode == "propose") == [one.about["moves"] for one in mem.log(operation="move", **ANA)]


class TestGivingUp:
    def test_what_rests_becomes_text_again_and_its_files_go(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.move(**ANA)
        blobs = {cube.payload.blob for cube in segments(mem)}
        assert blobs <= mem._tools.blobs.names()
        clock.advance(timedelta(days=2_000))

        turn = mem.move(**ANA)
        mem.tick()

        assert 2 == len(turn.given_up)
        assert [] == segments(mem)
        assert not blobs & mem._tools.blobs.names()
        assert all(finding.ok for finding in mem.doctor() if finding.check != "free space")

    def test_a_cache_that_was_archived_goes_and_is_made_again_if_it_pays(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        [*_, segment] = mem.move(**ANA).made
        mem.archive(segment, **ANA)

        turn = mem.move(**ANA)

        assert ((segment,), 1) == (turn.given_up, len(turn.made))

    def test_what_was_given_up_does_not_come_back_without_its_file(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        [*_, segment] = mem.move(**ANA).made
        before = clock()
        clock.advance(timedelta(days=2_000))
        mem.move(**ANA)
        mem.tick()

        with pytest.raises(NotAllowed, match="make it anew"):
            mem.restore(segment, **ANA)
        acts = {step.id: (step.act.value, step.reason) for step in mem.restore_to(before, **ANA).steps}

        assert ("leave", "its file is gone, as it was given up") == acts[segment]
        assert [] == segments(mem)
        assert all(finding.ok for finding in mem.doctor() if finding.check != "free space")

    def test_a_cache_whose_memory_changed_is_made_again_if_it_still_pays(self, mem, clock):
        hot, other = told(mem, LISBON, TEA, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        use(mem, clock, "green", days=4, a_day=6)
        mem.move(**ANA)
        before = {cube.id for cube in segments(mem)}
        mem.update(hot, PORTO, **ANA)
        use(mem, clock, "Porto", days=5, a_day=6)

        turn = mem.move(**ANA)

        assert {hot, other} == {one.id for one in turn.decisions}
        assert {hot, other} == {cube.parents[-1].id for cube in segments(mem) if cube.parents}
        assert 2 == len(set(turn.given_up) & before)
        assert not any(cube.stale for cube in segments(mem))

    def test_a_cache_whose_memory_changed_and_rests_is_dropped(self, mem, clock):
        hot, *_ = told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.move(**ANA)
        mem.update(hot, "Ana moved.", **ANA)
        clock.advance(timedelta(days=60))

        mem.move(**ANA)

        assert [] == segments(mem)

    def test_a_memory_that_is_archived_leaves_the_block_and_the_rest_is_made_again(self, mem, clock):
        first, second = told(mem, LISBON, TEA, **ANA)
        use(mem, clock, "green", days=5, a_day=2)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.move(**ANA)
        assert [(first,), (first, second)] == [tuple(p.id for p in c.parents) for c in segments(mem) if c.parents]
        mem.archive(first, **ANA)

        mem.move(**ANA)

        assert [(second,)] == [tuple(pin.id for pin in cube.parents) for cube in segments(mem) if cube.parents]
        assert ((), ()) == ((again := mem.move(**ANA)).made, again.given_up)

    def test_what_is_frozen_or_of_high_priority_is_never_taken_back(self, mem, clock):
        [hot] = told(mem, LISBON, **ANA)
        made = mem.encode([hot], priority="high", **ANA)
        clock.advance(timedelta(days=2_000))

        assert () == mem.move(**ANA).given_up
        assert list(made.ids) == [cube.id for cube in segments(mem)]

    def test_a_file_that_is_gone_makes_the_cache_again(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.move(**ANA)
        lost = next(cube for cube in segments(mem) if cube.parents)
        mem._tools.blobs.remove(lost.payload.blob)

        turn = mem.move(**ANA)
        mem.tick()

        assert (lost.id,) == turn.given_up
        assert 1 == len(turn.made)
        [again] = [cube for cube in segments(mem) if cube.parents]
        assert mem.verify(again.id, **ANA).ok

    def test_a_file_that_is_damaged_is_given_up_and_made_anew_once(self, settings, clock, engine, adapter):
        if adapter == "memory":
            pytest.skip("only a file can be damaged")
        calibrated(settings, engine)
        given: dict[str, Any] = {"settings": settings, "engine": engine, "embedder": "none", "clock": clock}
        with MemOS(**given) as mem:
            told(mem, LISBON, **ANA)
            use(mem, clock, "Lisbon", days=9, a_day=6)
            mem.move(**ANA)
            blob = next(cube for cube in segments(mem) if cube.parents).payload.blob
        path = settings.home / "blobs" / blob[:2] / blob
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)

        with MemOS(**given) as mem:
            turn = mem.move(**ANA)
            mem.tick()

            assert () == turn.left
            [again] = [cube for cube in segments(mem) if cube.parents]
            assert ([again.id], 1) == ([*turn.made], len(turn.given_up))
            assert mem.verify(again.id, **ANA).ok
            assert blob == again.payload.blob  # the same bytes, in the place of those that were damaged
            after = mem.move(**ANA)
            assert ((), (), ()) == (after.made, after.given_up, after.decisions)

    def test_a_version_that_came_meanwhile_is_left_for_the_next_turn(self, mem, clock, engine):
        """Whoever writes between looking and acting wins: the turn says that it left something."""
        [hot] = told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        engine.meddle = lambda: mem.append(hot, "And more.", **ANA)

        turn = mem.move(**ANA)

        assert ((), [hot]) == (turn.made, [one.id for one in turn.left])
        assert "changed while it was encoded" in turn.left[0].why
        assert [] == segments(mem)


class TestRights:
    def test_a_turn_sees_and_moves_ones_own_alone(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)

        assert (0, ()) == ((turn := mem.bind(user_id="bo").move()).examined, turn.made)

    def test_what_a_rule_keeps_from_the_model_is_not_encoded(self, mem, clock):
        told(mem, LISBON, tags=["private"], **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        rule = {"effect": "deny", "what": {"tags": "private"}, "when": {"model": {"contains": "toy@"}}}
        mem.bind(user_id="ana").set_access_policy("not for toys", rule)

        assert (0, ()) == ((turn := mem.move(**ANA)).examined, turn.made)
        mem.tick()
        assert [] == segments(mem)

    def test_a_rule_on_their_purpose_keeps_turns_out(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        rule = {"effect": "deny", "when": {"purpose": "scheduler"}}
        mem.bind(user_id="ana").set_access_policy("no turns", rule)

        assert () == mem.tick().failed

        assert [] == segments(mem)
        [entry] = mem.log(operation="move", **ANA)
        assert (0, True) == (entry.about["examined"], entry.about["undecided"])
        assert mem.move(**ANA).made  # by hand it is another purpose

    def test_a_limit_counts_the_owners_turns_too(self, mem, clock):
        told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        limit = {"effect": "limit", "actions": ["write"], "rate": {"calls": 1, "per_s": 3600}}
        mem.set_access_policy("slowly", limit, namespace="*")
        mem.bind(user_id="ana").add("One more.")

        mem.tick()

        assert [] == segments(mem)
        [entry] = mem.log(operation="move", **ANA)
        assert 1 == entry.about["left"]


class TestDecisions:
    def test_a_segment_keeps_the_decision_that_made_it_and_it_can_be_made_again(self, mem, clock):
        [hot] = told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        turn = mem.move(**ANA)
        [segment] = [cube for cube in segments(mem) if cube.parents]

        [kept] = mem.decisions(segment.id, **ANA)

        assert (hot, Form.KV) == (kept.id, kept.after)
        assert kept == kept.again()
        assert kept.reason == turn.decisions[0].reason == segment.header.descriptive.provenance.note
        assert "a KV cache pays for itself after" in kept.reason
        assert "scheduler" == segment.header.descriptive.provenance.trigger
        assert (kept,) == mem.decisions(hot, **ANA)

    def test_the_way_back_is_kept_too_and_told_of_what_is_deleted(self, mem, clock):
        [hot] = told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.move(**ANA)
        [segment] = [cube for cube in segments(mem) if cube.parents]
        clock.advance(timedelta(days=2_000))
        mem.move(**ANA)

        there, back = mem.decisions(segment.id, **ANA)

        assert [(Form.TEXT, Form.KV), (Form.KV, Form.TEXT)] == [(one.before, one.after) for one in (there, back)]
        assert "costs more than it saves" in back.reason
        assert back == back.again()
        assert (there, back) == mem.decisions(hot, **ANA)

    def test_what_somebody_writes_into_a_header_is_no_decision(self, mem):
        [id] = told(mem, "Ana likes tea.", metadata={"decisions": [{"after": "kv"}]}, **ANA)

        assert () == mem.decisions(id, **ANA)


FACTS = ("The capital of Zorvania is Quelmar.", "Tarn Velk lives in Ostrel.", "I am often tired in the evening.")
CHEAP = {"train_s": 0.01, "train_token_s": 0.0001, "attach_s": 0.0001, "adapter_bytes": 1.0, "write_s": 5.0}


class TestAdapters:
    @pytest.fixture
    def calibration(self, settings):
        return calibrated(settings, ToyEngine(), **CHEAP)

    @pytest.fixture
    def taught(self, settings, clock, adapter, calibration):
        with adapter_kit.opened(settings.home, adapter=adapter, clock=clock, settings=settings) as mem:
            yield mem

    def hot(self, mem, clock):
        ids = adapter_kit.told(mem, *FACTS)
        for query in ("Zorvania", "Tarn", "tired"):
            use(mem, clock, query, days=9, a_day=6)
        return ids

    def adapters(self, mem):
        return list(mem.list(filters={"kind": "parametric"}, **ANA))

    def test_facts_are_learned_together_and_what_is_no_fact_is_not(self, taught, clock):
        capital, home, _ = self.hot(taught, clock)

        turn = taught.move(**ANA)
        assert 1 == len(turn.queued)
        assert {capital, home} == {one.id for one in turn.decisions if one.after is Form.ADAPTER}
        assert not taught.tick().failed

        [made] = self.adapters(taught)
        assert {capital, home} == {pin.id for pin in made.parents}
        assert {capital, home} == {one.id for one in taught.decisions(made.id, **ANA)}
        assert all(one == one.again() for one in taught.decisions(made.id, **ANA))
        again = taught.move(**ANA)
        assert ((), ()) == (again.queued, again.given_up)

    def test_while_it_is_trained_no_second_one_is_queued(self, taught, clock):
        self.hot(taught, clock)
        taught.move(**ANA)

        assert () == taught.move(**ANA).queued

    def test_while_somebody_transforms_memories_into_one_no_other_is_queued(self, taught, clock):
        capital, *_ = self.hot(taught, clock)
        assert taught.transform([capital], to="parametric", **ANA).job is not None

        assert () == taught.move(**ANA).queued

    def test_one_that_is_not_admitted_stays_and_is_not_tried_again(self, settings, clock, adapter, calibration):
        with adapter_kit.opened(settings.home, adapter=adapter, leaks=True, clock=clock, settings=settings) as mem:
            capital, *_ = self.hot(mem, clock)
            mem.move(**ANA)
            mem.tick()
            [made] = self.adapters(mem)
            assert not made.payload.admitted

            again = mem.move(**ANA)

            assert ((), ()) == (again.queued, again.given_up)
            assert [made.id] == [cube.id for cube in self.adapters(mem)]
            mem.update(capital, "The capital of Zorvania is Ostrel.", **ANA)
            use(mem, clock, "Zorvania", days=5, a_day=6)
            assert 1 == len(mem.move(**ANA).queued)

    def test_an_adapter_whose_memory_changed_is_given_up(self, taught, clock):
        capital, home, _ = self.hot(taught, clock)
        taught.move(**ANA)
        taught.tick()
        [made] = self.adapters(taught)
        taught.update(capital, "The capital of Zorvania is Ostrel.", **ANA)

        assert made.id in taught.move(**ANA).given_up
        assert taught.get(home, **ANA)

    @pytest.mark.parametrize("priority", ["mid", "high"])
    def test_a_stale_one_is_given_up_unless_it_is_of_high_priority(self, taught, clock, priority):
        capital, *_ = self.hot(taught, clock)
        taught.move(**ANA)
        taught.tick()
        [made] = self.adapters(taught)
        taught.update(made.id, priority=priority, **ANA)
        taught.update(capital, "The capital of Zorvania is Ostrel.", **ANA)

        assert ((made.id,) if priority == "mid" else ()) == taught.move(**ANA).given_up

    def test_one_from_elsewhere_is_left_alone(self, taught, clock, tmp_path):
        capital, *_ = self.hot(taught, clock)
        taught.move(**ANA)
        taught.tick()
        [made] = self.adapters(taught)
        blob = tmp_path / "blob"
        blob.write_bytes(taught._tools.blobs.open(made.payload.blob))
        lines = list(taught.export_lines(**ANA))
        settings = Settings(home=tmp_path / "b", config_dir=tmp_path / "config", cache_dir=tmp_path / "cache")
        with adapter_kit.opened(settings.home, clock=clock, settings=settings) as other:
            other.put_blob(blob.read_bytes())
            other.import_records(from_line(line) for line in lines)
            other.update(capital, "The capital of Zorvania is Ostrel.", **ANA)

            assert () == other.move(**ANA).given_up
            assert other.get(made.id, **ANA)

    def test_a_training_that_was_parked_rests_until_somebody_asks_for_a_turn(
        self, settings, clock, adapter, calibration
    ):
        class Failing(ToyTuner):
            def train(self, *given: Any, **more: Any) -> Any:
                raise RuntimeError

        tuner = Failing(ToyEngine().ref)
        with adapter_kit.opened(settings.home, adapter=adapter, tuner=tuner, clock=clock, settings=settings) as mem:
            capital, home, _ = self.hot(mem, clock)
            mem.move(**ANA)
            for _ in range(ATTEMPTS):
                clock.advance(timedelta(minutes=1))
                mem.tick()

            by_itself = mem._mover.turn(mem._bind("ana", None), clock(), anew=False)

            assert {capital, home} == {one.id for one in by_itself.left}
            assert all("parked" in one.why for one in by_itself.left)
            asked_for = mem.move(**ANA)
            assert ((), 1) == (asked_for.left, len(asked_for.queued))
            assert [JobState.READY] == [one.state for one in mem.jobs() if one.kind == "distil"]

    def test_one_that_somebody_asked_for_is_left_alone(self, taught, clock):
        ids = adapter_kit.told(taught, *FACTS[:2])
        adapter_kit.distilled(taught, *ids)
        clock.advance(timedelta(days=4_000))

        assert () == taught.move(**ANA).given_up


class Died(BaseException):
    """What a worker in these tests dies of: nothing catches it, as nothing catches a kill."""


class DyingStore(WitnessStore):
    """A store whose process dies at a write: before it is made, or right after."""

    writes: int | None = None  # how many are left
    after = False

    def _write(self, work: Any) -> Any:
        if self.writes is None:
            return super()._write(work)
        self.writes -= 1
        if self.writes == 0 and not self.after:
            raise Died
        result = super()._write(work)
        if self.writes == 0:
            raise Died
        return result


def test_moves_are_off_proposed_or_on_and_nothing_else(settings):
    with pytest.raises(InvalidInput, match="off, propose, on"):
        msgspec.structs.replace(settings, moves="ON")
    with pytest.raises(InvalidInput, match="off, propose, on"):
        Settings(home=settings.home, config_dir=settings.home, moves="yes")


class TestFreeing:
    @pytest.mark.parametrize("blobs", [[1], "../../ana", 5, ["../../ana"]])
    def test_nonsense_in_a_job_by_hand_fails_that_job_and_no_other(self, mem, blobs):
        mem.bind(user_id="eve").enqueue("free", {"blobs": blobs}, max_attempts=1, priority=1)
        [id] = told(mem, "Ana likes tea.", **ANA)
        other = mem.enqueue("sweep", **ANA)

        report = mem.tick()

        assert other in report.done
        assert mem.get(id, **ANA)

    def test_a_training_by_hand_without_sense_ends_no_turn(self, mem, clock):
        hot, *_ = told(mem, LISBON, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        mem.enqueue("distil", {"ids": 5}, run_at=clock() + DAY, **ANA)

        assert [hot] == [one.id for one in mem.move(**ANA).decisions]

    @pytest.mark.parametrize("which", ["deleted", "an older version"])
    def test_a_job_by_hand_removes_no_file_that_can_be_brought_back(self, tmp_path, adapter, which):
        with adapter_kit.opened(tmp_path, adapter=adapter) as mem:
            ids = adapter_kit.told(mem)
            learned = adapter_kit.distilled(mem, *ids)
            first = mem.get(learned, **ANA)
            if which == "deleted":
                mem.delete(learned, **ANA)
            else:
                job = mem.distil(ids[:1], into=learned, **ANA)
                assert job in mem.tick().done

            mem.bind(user_id="eve").enqueue("free", {"blobs": [first.payload.blob]})
            assert mem.tick().done

            mem.restore(learned, first.version, **ANA)
            assert mem.adapter(learned, **ANA).serves


class TestDying:
    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("writes", range(1, 13))
    def test_whatever_step_a_turn_dies_at_the_next_one_comes_to_the_same(self, settings, clock, engine, writes, after):
        calibrated(settings, engine)
        inner, blobs = MemoryStore(), MemoryBlobs()
        given: dict[str, Any] = {"settings": settings, "engine": engine, "embedder": "none", "clock": clock}
        store = DyingStore(inner)
        mem = MemOS(store=store, blobs=blobs, **given)
        hot, other = told(mem, LISBON, TEA, **ANA)
        use(mem, clock, "Lisbon", days=9, a_day=6)
        use(mem, clock, "green", days=4, a_day=6)
        mem.move(**ANA)
        mem.update(hot, PORTO, **ANA)
        use(mem, clock, "Porto", days=5, a_day=6)
        store.writes, store.after = writes, after
        with pytest.raises(Died):
            mem.tick()
        store.writes = None

        clock.advance(timedelta(minutes=2))  # the lease of the worker that died runs out
        survivor = MemOS(store=inner, blobs=blobs, **given)
        survivor.tick()
        survivor.tick()

        held = segments(survivor)
        assert [{hot, other}] == [{pin.id for pin in cube.parents} for cube in held if len(cube.parents) == 2]
        assert [0, 1, 2] == sorted(len(cube.parents) for cube in held)
        assert not any(cube.stale for cube in held)
        assert {cube.payload.blob for cube in held} == blobs.names()
        assert all(survivor.verify(cube.id, **ANA).ok for cube in held)
        mem._api.buffer.close()
        mem._tools.heads.close()
        survivor.close()


class TestFlapping:
    def test_a_store_that_is_used_evenly_comes_to_rest(self, mem, clock):
        """Turn after turn, with uses between them: each memory moves once, and none moves back."""
        told(mem, LISBON, TEA, **ANA)
        moves: list[tuple[str, Form, Form]] = []
        for _ in range(30):
            use(mem, clock, "Lisbon", days=1, a_day=4)
            use(mem, clock, "green", days=1, a_day=1)
            moves += moved(mem.move(**ANA))

        assert len(moves) == len(set(moves))
        assert all(after is Form.KV for _, _, after in moves)
