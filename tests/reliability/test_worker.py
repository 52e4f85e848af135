"""The queue and its workers: whatever kills a worker, no job is lost and none takes effect twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.reliability.notes import alone, note, notes_of
from tests.reliability.support import assert_sound, start

from pymemos import MemOS
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.call import Caller, MemoryCall
from pymemos.errors import PymemosError, StoreBusy, StoreError, UnknownJob
from pymemos.interface.api import MemoryAPI, Tools
from pymemos.interface.registry import HANDLERS
from pymemos.interface.requests import Heartbeat
from pymemos.interface.worker import TickReport, Worker
from pymemos.operation.queue import FIRST_RETRY, LEASE, LONGEST_RETRY, after_failure
from pymemos.ports import Job, JobState
from pymemos.system import utc_now
from pymemos.testing.builders import a_job
from pymemos.testing.doubles import FrozenClock, SequentialIds
from pymemos.testing.faults import Faults

KEY = bytes(32)
SECOND = timedelta(seconds=1)
POINTS = ["before the claim", "during the handler", "before the effect", "before the commit", "after the effect"]


class Died(BaseException):
    """What a worker in these tests dies of: nothing catches it, as nothing catches a kill."""


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "home")
    yield store
    store.close()


@pytest.fixture
def system(store: SqliteStore, clock: FrozenClock) -> Callable[..., MemOS]:
    """Makes a system of its own on the one store: another worker, with the handler that is given."""
    ids = SequentialIds()

    def make(handler: Callable[[Job], MemoryCall | None] = note) -> MemOS:
        return alone(MemOS(store=store, clock=clock, new_id=ids, key=KEY, jobs={"note": handler}))

    return make


def dies(_: Job) -> MemoryCall:
    raise Died


def fails(_: Job) -> MemoryCall:
    raise ConnectionError("the model is away")


# Killed workers.


@pytest.mark.parametrize("point", POINTS)
def test_a_job_whose_worker_is_killed_takes_effect_once(tmp_path: Path, point: str) -> None:
    home = tmp_path / "home"
    with alone(MemOS(home)) as mem:
        mem.enqueue("note", {"n": 1}, user_id="ana")
    worker = start("worker", home, point)
    assert worker.stdout is not None
    assert json.loads(worker.stdout.readline()) == {"at": point}

    worker.kill()
    worker.communicate()

    with MemOS(home, jobs={"note": note}) as mem:
        mem.tick(utc_now() + LEASE + SECOND)
        assert notes_of(mem) == ["note 1"]
        assert mem.jobs() == []
        assert not mem.tick(utc_now() + 9 * LEASE)
    assert_sound(home)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # apsw reports what SQLite forgives
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_crash_at_any_step_of_a_turn_loses_no_job_and_applies_none_twice(tmp_path: Path, seed: int | None) -> None:
    step, finished = 0, False
    while not finished:
        finished = _turn_with_crash(tmp_path / str(step), step, seed)
        step += 1

    assert step > 5


def _turn_with_crash(home: Path, step: int, seed: int | None) -> bool:
    """One turn over two jobs in which the disk stops after so many operations; says whether it came to its end."""
    faults, clock = Faults(), FrozenClock()
    mem = _system_on(home, faults, clock)
    for n in (1, 2):
        mem.enqueue("note", {"n": n}, user_id="ana")
    faults.crash_after(step)
    finished = _survives(mem.tick)
    faults.crash()
    _survives(mem.close)
    faults.power_loss(seed=seed)

    clock.advance(LEASE + SECOND)
    again = _system_on(home, faults, clock)
    again.tick()
    assert sorted(notes_of(again)) == ["note 1", "note 2"]
    assert again.jobs() == []
    assert [finding for finding in again.doctor() if not finding.ok] == []
    again.close()
    return finished


def _system_on(home: Path, faults: Faults, clock: FrozenClock) -> MemOS:
    store = SqliteStore(home, vfs=faults.name)
    return alone(MemOS(home, store=store, clock=clock, key=KEY, jobs={"note": note}))


def _survives(step: Callable[[], object]) -> bool:
    try:
        step()
    except StoreError:
        return False
    return True


# Leases.


def test_a_job_is_taken_over_when_its_lease_ran_out_and_not_before(
    system: Callable[..., MemOS], clock: FrozenClock
) -> None:
    first, second = system(dies), system()
    first.enqueue("note", {"n": 1}, user_id="ana")
    with pytest.raises(Died):
        first.tick()

    clock.advance(LEASE - SECOND)
    assert not second.tick()
    clock.advance(SECOND)
    assert len(second.tick().done) == 1
    assert notes_of(second) == ["note 1"]


def test_a_slow_worker_whose_lease_ran_out_cannot_finish(system: Callable[..., MemOS], clock: FrozenClock) -> None:
    second = system()

    def slow(job: Job) -> MemoryCall:
        clock.advance(LEASE)
        assert len(second.tick().done) == 1
        return note(job)

    first = system(slow)
    first.enqueue("note", {"n": 1}, user_id="ana")

    report = first.tick()

    assert report == TickReport(failed=report.failed)
    assert notes_of(second) == ["note 1"]


def test_a_slow_worker_cannot_finish_while_another_holds_the_job(
    system: Callable[..., MemOS], clock: FrozenClock
) -> None:
    second = system(dies)

    def slow(job: Job) -> MemoryCall:
        clock.advance(LEASE)
        with pytest.raises(Died):
            second.tick()
        return note(job)

    first = system(slow)
    first.enqueue("note", {"n": 1}, user_id="ana")
    first.tick()
    assert notes_of(first) == []

    clock.advance(LEASE)
    system().tick()
    assert notes_of(first) == ["note 1"]


def test_a_slow_worker_cannot_report_the_failure_of_a_job_that_it_lost(
    system: Callable[..., MemOS], clock: FrozenClock
) -> None:
    second = system()

    def slow(_: Job) -> MemoryCall:
        clock.advance(LEASE)
        second.tick()
        raise ConnectionError

    first = system(slow)
    first.enqueue("note", {"n": 1}, user_id="ana")

    assert not first.tick().done
    assert notes_of(second) == ["note 1"]
    assert second.jobs() == []


def test_a_job_behind_a_slow_one_is_leased_from_when_it_begins(
    system: Callable[..., MemOS], clock: FrozenClock
) -> None:
    other, leased, taken = system(), [], []

    def slow(job: Job) -> MemoryCall:
        clock.advance(LEASE - SECOND)
        leased.append(job.lease_until)
        if len(leased) == 2:
            taken.extend(other.tick().done)
        return note(job)

    mem, start = system(slow), clock.now
    for n in (1, 2):
        mem.enqueue("note", {"n": n}, user_id="ana")

    assert 2 == len(mem.tick().done)
    assert [start + LEASE, start + 2 * LEASE - SECOND] == leased
    assert [] == taken


def test_a_heartbeat_keeps_a_job_that_takes_longer_than_its_lease(store: SqliteStore) -> None:
    ids = SequentialIds()
    mem = MemOS(store=store, key=KEY)
    tools = Tools(store=store, blobs=None, clock=utc_now, new_id=ids, key=KEY, keys=None, searcher=None)  # type: ignore[arg-type]
    api = MemoryAPI(tools, HANDLERS)
    id = mem.enqueue("note", {"n": 1}, user_id="ana")
    assert id is not None

    def long(job: Job) -> MemoryCall:
        assert job.lease_until is not None
        pause = threading.Event()
        while utc_now() < job.lease_until + timedelta(seconds=0.2):
            assert not other.tick(utc_now(), limit=1)
            pause.wait(0.02)
        return note(job)

    short = timedelta(seconds=0.3)
    worker = Worker(api, {"note": long}, name="long", clock=utc_now, lease=short)
    other = Worker(api, {"note": note}, name="other", clock=utc_now, lease=short)

    assert worker.tick(utc_now(), limit=10) == TickReport(done=(id,))
    assert notes_of(mem) == ["note 1"]


def test_a_store_that_is_busy_for_a_moment_does_not_stop_the_heart(store: SqliteStore) -> None:
    class BusyOnce(MemoryAPI):
        """A door that turns the first heartbeat away."""

        beats = 0

        def dispatch(self, call: MemoryCall) -> Any:
            if isinstance(call.request, Heartbeat):
                self.beats += 1
                if self.beats == 1:
                    raise StoreBusy("another process holds the store")
            return super().dispatch(call)

    mem = MemOS(store=store, key=KEY)
    ids = SequentialIds()
    tools = Tools(store=store, blobs=None, clock=utc_now, new_id=ids, key=KEY, keys=None, searcher=None)  # type: ignore[arg-type]
    api = BusyOnce(tools, HANDLERS)
    id = mem.enqueue("note", {"n": 1}, user_id="ana")
    assert id is not None

    def long(job: Job) -> MemoryCall:
        pause, given_up = threading.Event(), utc_now() + timedelta(seconds=5)
        while api.beats < 3 and utc_now() < given_up:
            pause.wait(0.02)
        with store.read() as unit:
            held = unit.job(job.id)
        assert held is not None
        leases.extend((job.lease_until, held.lease_until))
        return note(job)

    leases: list[Any] = []
    worker = Worker(api, {"note": long}, name="long", clock=utc_now, lease=timedelta(seconds=0.6))

    assert worker.tick(utc_now(), limit=10) == TickReport(done=(id,))
    assert leases[0] < leases[1]


# Failures.


def test_a_failed_job_runs_again_after_a_pause_that_doubles(system: Callable[..., MemOS], clock: FrozenClock) -> None:
    mem = system(fails)
    mem.enqueue("note", {"n": 1}, max_attempts=4)

    for attempt, pause in enumerate([FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY], start=1):
        assert len(mem.tick().failed) == 1
        (job,) = mem.jobs()
        assert (job.attempt, job.run_at, job.error) == (attempt, clock.now + pause, "ConnectionError")
        clock.advance(pause - SECOND)
        assert not mem.tick()
        clock.advance(SECOND)

    assert len(mem.tick().parked) == 1
    assert [job.state for job in mem.jobs()] == [JobState.DEAD]


def test_the_pause_after_a_failure_begins_with_it(system: Callable[..., MemOS], clock: FrozenClock) -> None:
    def slow(job: Job) -> MemoryCall:
        clock.advance(LEASE / 2)
        return fails(job)

    mem = system(slow)
    mem.enqueue("note", {"n": 1})
    mem.tick()

    assert [clock.now + FIRST_RETRY] == [job.run_at for job in mem.jobs()]


def test_a_turn_at_another_time_than_the_clocks_counts_from_that(
    system: Callable[..., MemOS], clock: FrozenClock
) -> None:
    def slow(job: Job) -> MemoryCall:
        clock.advance(-SECOND)  # set back meanwhile
        return fails(job)

    mem, later = system(slow), clock.now + timedelta(days=1)
    mem.enqueue("note", {"n": 1})
    mem.tick(later)

    assert [later + FIRST_RETRY] == [job.run_at for job in mem.jobs()]


def test_the_pause_after_a_failure_has_a_limit(clock: FrozenClock) -> None:
    job = after_failure(a_job(attempt=30, max_attempts=99), error="Timeout", now=clock.now)

    assert job.run_at == clock.now + LONGEST_RETRY


def test_a_parked_job_rests_until_it_is_retried_and_has_all_its_attempts_again(
    system: Callable[..., MemOS], clock: FrozenClock
) -> None:
    broken, mended = system(fails), system()
    id = broken.enqueue("note", {"n": 1}, user_id="ana", max_attempts=1)
    assert id is not None
    assert broken.tick().parked == (id,)
    clock.advance(99 * LEASE)
    assert not mended.tick()

    mended.control_job(id, "retry")

    (job,) = mended.jobs()
    assert (job.state, job.attempt, job.error) == (JobState.READY, 0, None)
    assert mended.tick().done == (id,)
    assert notes_of(mended) == ["note 1"]


def test_a_job_whose_worker_died_in_the_last_attempt_is_parked(
    system: Callable[..., MemOS], clock: FrozenClock
) -> None:
    mem = system(dies)
    id = mem.enqueue("note", {"n": 1}, max_attempts=1)
    with pytest.raises(Died):
        mem.tick()
    clock.advance(LEASE)

    assert mem.tick().parked == (id,)
    assert [(job.state, job.error) for job in mem.jobs()] == [(JobState.DEAD, "WorkerDied")]


def test_a_cancelled_job_never_runs(system: Callable[..., MemOS]) -> None:
    mem = system()
    id = mem.enqueue("note", {"n": 1}, user_id="ana")
    assert id is not None

    mem.control_job(id, "cancel")

    assert not mem.tick()
    assert notes_of(mem) == []
    with pytest.raises(UnknownJob):
        mem.control_job(id, "cancel")


def test_cancelling_a_running_job_drops_its_result(system: Callable[..., MemOS]) -> None:
    other = system()

    def slow(job: Job) -> MemoryCall:
        other.control_job(job.id, "cancel")
        return note(job)

    mem = system(slow)
    mem.enqueue("note", {"n": 1}, user_id="ana")

    assert not mem.tick().done
    assert notes_of(mem) == []


def test_an_effect_that_is_refused_fails_the_job(system: Callable[..., MemOS]) -> None:
    def wrong(_: Job) -> MemoryCall:
        raise PymemosError

    mem = system(wrong)
    mem.enqueue("note", {"n": 1}, max_attempts=1)

    assert len(mem.tick().parked) == 1


NO_REQUEST = MemoryCall(caller=Caller(system=True), request="rubbish")  # type: ignore[arg-type]


@pytest.mark.parametrize("rubbish", ["done", 0, NO_REQUEST], ids=["a text", "a number", "a call for nothing"])
def test_an_effect_that_is_no_call_fails_the_job_and_not_the_turn(system: Callable[..., MemOS], rubbish: Any) -> None:
    mem = system(lambda _: rubbish)
    first = mem.enqueue("note", {"n": 1}, max_attempts=1)
    second = mem.enqueue("note", {"n": 2}, max_attempts=1)

    assert mem.tick().parked == (first, second)


def test_a_job_whose_effect_is_known_by_its_key_ends_without_a_second_one(system: Callable[..., MemOS]) -> None:
    def keyed(job: Job) -> MemoryCall:
        call = note(job)
        return replace(call, request=replace(call.request, idempotency_key="once"))

    mem = system(keyed)
    for _ in range(2):
        mem.enqueue("note", {"n": 1}, user_id="ana")

    assert len(mem.tick().done) == 2
    assert mem.jobs() == []
    assert notes_of(mem) == ["note 1"]


# The order of the queue.


def test_a_job_with_the_key_of_an_unfinished_one_is_not_queued(system: Callable[..., MemOS]) -> None:
    mem = system()
    assert mem.enqueue("note", {"n": 1}, user_id="ana", dedup_key="k") is not None
    assert mem.enqueue("note", {"n": 2}, user_id="ana", dedup_key="k") is None

    mem.tick()

    assert mem.enqueue("note", {"n": 3}, user_id="ana", dedup_key="k") is not None
    mem.tick()
    assert notes_of(mem) == ["note 1", "note 3"]


def test_urgent_jobs_run_first_then_the_earliest_then_the_oldest(
    system: Callable[..., MemOS], clock: FrozenClock
) -> None:
    mem = system()
    early = clock.now - SECOND
    for n, (priority, run_at) in enumerate([(0, None), (0, None), (0, early), (5, None), (-1, early)]):
        mem.enqueue("note", {"n": n}, user_id="ana", priority=priority, run_at=run_at)

    mem.tick()

    assert notes_of(mem) == ["note 3", "note 2", "note 0", "note 1", "note 4"]


def test_a_delayed_job_waits_for_its_time(system: Callable[..., MemOS], clock: FrozenClock) -> None:
    mem = system()
    then = clock.now + timedelta(days=1)
    mem.enqueue("note", {"n": 1}, user_id="ana", run_at=then)

    assert mem.next_due() == then
    clock.now = then - SECOND
    assert not mem.tick()
    clock.now = then
    assert len(mem.tick().done) == 1
    assert mem.next_due() is None


def test_a_turn_does_at_most_as_many_jobs_as_it_may(system: Callable[..., MemOS]) -> None:
    mem = system()
    for n in range(5):
        mem.enqueue("note", {"n": n}, user_id="ana")

    assert [len(mem.tick(limit=2).done) for _ in range(4)] == [2, 2, 1, 0]


def test_a_job_of_a_kind_that_nobody_here_knows_stays_for_others(system: Callable[..., MemOS]) -> None:
    mem = system()
    mem.enqueue("dream", {"n": 1})

    assert not mem.tick()
    assert [job.attempt for job in mem.jobs()] == [0]


def test_an_effect_belongs_to_the_owner_of_the_job_and_is_audited_as_the_systems(
    system: Callable[..., MemOS],
) -> None:
    mem = system()
    mem.enqueue("note", {"n": 1}, user_id="bo")

    mem.tick()

    assert (notes_of(mem, "bo"), notes_of(mem, "ana")) == (["note 1"], [])
    (entry,) = mem.log(operation="add")
    assert (entry.caller.system, entry.caller.user, entry.namespace) == (True, "bo", "users/bo")
