"""What a retry may do to a job of a local model that runs, and what is left of one that another worker does now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapter_kit import WHO, opened, told

from pymemos import MemOS
from pymemos.cube.call import Caller, MemoryCall, Scope
from pymemos.cube.payload import Parametric
from pymemos.errors import InvalidInput
from pymemos.interface.adapters import KeepAdapter
from pymemos.interface.training import undone
from pymemos.operation.queue import LEASE
from pymemos.ports import Job
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner


class Watched(ToyTuner):
    """A tuner that lets something happen in the admission test, when all has been learned."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__(ToyEngine().ref)
        self.happens = happens

    def perplexity(self, *given: Any, **more: Any) -> float:
        self.happens()
        return super().perplexity(*given, **more)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def tuner() -> Watched:
    return Watched(lambda: None)


@pytest.fixture
def mem(tmp_path: Path, clock: FrozenClock, tuner: Watched) -> Iterator[MemOS]:
    with opened(tmp_path / "home", clock=clock, tuner=tuner) as mem:
        yield mem


def claimed(mem: MemOS, clock: FrozenClock, worker: str) -> Job:
    """The next training, leased to a worker."""
    now = clock()
    job = mem._tools.store.write(
        lambda unit: unit.claim(worker=worker, now=now, lease_until=now + LEASE, kinds=("distil",))
    )
    assert job is not None
    return job


def taken_over(mem: MemOS, clock: FrozenClock, job: str) -> Job:
    """Let the lease of a job run out, somebody retry it, and another worker take it: its attempt is the first again."""
    clock.advance(LEASE)
    mem.control_job(job, "retry")
    return claimed(mem, clock, "another")


def test_a_job_that_runs_cannot_be_retried(mem: MemOS, tuner: Watched) -> None:
    job = mem.distil(told(mem), **WHO)
    said: list[str] = []

    def retry() -> None:
        with pytest.raises(InvalidInput) as refused:
            mem.control_job(job, "retry")
        said.append(str(refused.value))

    tuner.happens = retry

    assert mem.tick().done == (job,)
    assert all("wait for that, or cancel it" in one for one in said)
    assert said


def test_a_training_whose_worker_fell_silent_ends_where_another_does_it(
    mem: MemOS, tuner: Watched, clock: FrozenClock
) -> None:
    job = mem.distil(told(mem), **WHO)
    tuner.happens = lambda: held_now().worker == "another" or taken_over(mem, clock, job)

    def held_now() -> Job:
        return next(one for one in mem.jobs() if one.id == job)

    assert job in mem.tick().failed
    held = held_now()
    assert (held.worker, held.attempt) == ("another", 1)
    assert (mem._tools.training / job).is_dir()  # the other one goes on from there
    assert mem._tools.blobs.names() == set()


def test_the_file_of_a_late_worker_stays_where_another_may_name_it(mem: MemOS, clock: FrozenClock) -> None:
    job = mem.distil(told(mem), **WHO)
    late = claimed(mem, clock, "the late one")
    held = taken_over(mem, clock, job)
    assert late.attempt == held.attempt
    blob, size = mem._tools.blobs.put(b"what both of them made")
    kept = Parametric(blob=blob, size=size, model=ToyEngine().ref, rank=1, alpha=1.0, admitted=True)
    request = KeepAdapter(payload=kept, sources=(), job=job)
    effect = MemoryCall(caller=Caller(system=True), scope=Scope(namespace=None), request=request)

    undone(mem._tools, late, effect)
    assert blob in mem._tools.blobs.names()

    undone(mem._tools, held, effect)
    assert blob not in mem._tools.blobs.names()


@pytest.mark.parametrize("by", ["its owner", "the steward"])
@pytest.mark.parametrize("left", ["silent", "waiting"])
def test_nothing_is_left_of_a_training_that_is_cancelled_while_nobody_does_it(
    mem: MemOS, clock: FrozenClock, tuner: Watched, left: str, by: str
) -> None:
    job = mem.distil(told(mem), **WHO)

    def fail() -> None:
        raise ConnectionError("the model is away") if left == "waiting" else KeyboardInterrupt

    tuner.happens = fail
    with suppress(KeyboardInterrupt):
        mem.tick()
    clock.advance(LEASE)
    assert (mem._tools.training / job).is_dir()

    if by == "its owner":
        mem.cancel_training(job, **WHO)
    else:
        mem.control_job(job, "cancel")

    assert not (mem._tools.training / job).exists()
