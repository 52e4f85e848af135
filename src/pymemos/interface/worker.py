"""The worker: leases due jobs, does their work, and hands the effect to the door together with the job's end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec

from pymemos.cube.call import Caller, Lease, MemoryCall, Request, Scope
from pymemos.errors import LeaseLost, NotAllowed, PymemosError, RateLimited, StoreClosed, StoreError, UnknownMemory
from pymemos.interface.api import MemoryAPI
from pymemos.interface.requests import Claim, FailJob, FinishJob, Heartbeat
from pymemos.operation.queue import LEASE, is_final, words_of
from pymemos.ports import Clock, Job, JobState

# Does a job's slow work and returns the call that is its effect, or None when there is none. The effect and the end
# of the job are one transaction, so that a job takes effect once however often it is tried.
JobHandler = Callable[[Job], MemoryCall | None]


class TickReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn did: ids of the jobs that were done, that failed and will run again, and that were parked."""

    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    parked: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.done or self.failed or self.parked)


class _Turn:
    """The time within one turn: what is due is asked for its start; leases and pauses count from when they begin.

    The clock says only how long it has lasted, for a turn may be taken at another time than the clock's.
    """

    def __init__(self, start: datetime, clock: Clock) -> None:
        self.start = start
        self._clock = clock
        self._began = clock()

    @property
    def now(self) -> datetime:
        """The time of the turn by now; a clock that was set back does not take it back."""
        return self.start + max(self._clock() - self._began, timedelta(0))


class Worker:
    """Works off the queue under a name of its own."""

    def __init__(
        self,
        api: MemoryAPI,
        handlers: Mapping[str, JobHandler],
        *,
        name: str,
        clock: Clock,
        lease: timedelta = LEASE,
        undone: Callable[[Job, MemoryCall], None] = lambda job, effect: None,
    ) -> None:
        self._api = api
        self._handlers = handlers
        self._name = name
        self._clock = clock
        self._lease = lease
        self._undone = undone  # told of an effect that was refused, so that nothing is left of it

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of jobs that it can do."""
        return tuple(self._handlers)

    def tick(self, now: datetime, *, limit: int, kinds: tuple[str, ...] | None = None) -> TickReport:
        """Do what is due at ``now``, at most ``limit`` jobs, of some kinds or of all that it can do."""
        ended: dict[str, list[str]] = {"done": [], "failed": [], "parked": []}
        turn = _Turn(now, self._clock)
        for _ in range(limit):
            until = turn.now + self._lease
            claim = Claim(worker=self._name, kinds=kinds or self.kinds, now=turn.start, until=until)
            job = self._api.dispatch(self._call(claim))
            if job is None:
                break
            ended[self._run(job, turn)].append(job.id)
        return TickReport(**{how: tuple(ids) for how, ids in ended.items()})

    def _run(self, job: Job, turn: _Turn) -> str:
        """Do one job; says how it ended."""
        if job.state is JobState.DEAD:
            return "parked"
        lease = Lease(job=job.id, worker=self._name, attempt=job.attempt)
        try:
            with self._heart(lease):
                effect = _checked(self._handlers[job.kind](msgspec.structs.replace(job, begun=turn.start)))
        except Exception as error:  # noqa: BLE001 (whatever a handler raises must not stop the queue)
            return self._fail(lease, error, turn)
        return self._finish(job, effect or self._call(FinishJob()), lease, turn)

    def _finish(self, job: Job, effect: MemoryCall, lease: Lease, turn: _Turn) -> str:
        try:
            self._api.dispatch(msgspec.structs.replace(effect, completes=lease))
        except LeaseLost:
            self._undone(job, effect)
            return "failed"  # whoever took the job over says how it ends
        except StoreError:
            raise  # the store failed, not the job: its lease runs out, and another turn does it
        except PymemosError as error:
            self._undone(job, effect)
            return self._fail(lease, error, turn)
        return "done"

    def _fail(self, lease: Lease, error: Exception, turn: _Turn) -> str:
        said, final = words_of(error), is_final(error)
        request = FailJob(lease=lease, error=type(error).__name__, now=turn.now, said=said, final=final)
        try:
            job: Job = self._api.dispatch(self._call(request))
        except LeaseLost:
            return "failed"  # whoever took the job over says how it ends
        return "parked" if job.state is JobState.DEAD else "failed"

    @contextmanager
    def _heart(self, lease: Lease) -> Iterator[None]:
        """Hold the lease while a handler works, with a beat every third of its length."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self._lease.total_seconds() / 3):
                try:
                    request = Heartbeat(lease=lease, until=self._clock() + self._lease)
                    self._api.dispatch(self._call(request))
                except (LeaseLost, StoreClosed):
                    return  # the end of the job will say so
                except StoreError:
                    continue  # a store that is busy or full for a moment takes the next beat

        thread = threading.Thread(target=beat, daemon=True, name=f"heartbeat {lease.job}")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _call(self, request: Claim | FailJob | FinishJob | Heartbeat) -> MemoryCall:
        return MemoryCall(caller=Caller(system=True), request=request, scope=Scope(namespace=None))


def _checked(effect: object) -> MemoryCall | None:
    """What a handler of an application returned, which no type checker may have seen."""
    if effect is not None and not isinstance(effect, MemoryCall):
        raise TypeError(f"a handler returned {type(effect).__name__}; return a MemoryCall, or None")
    return effect


def for_owner(job: Job) -> tuple[Caller, Scope]:
    """The system caller on behalf of a job's owner, and the owner's scope."""
    kind, _, name = job.namespace.partition("/")
    caller = Caller(system=True, user=name if kind == "users" else None, agent=name if kind == "agents" else None)
    return caller, Scope(namespace=job.namespace)


def check_still(api: MemoryAPI, job: Job, again: Request, *, model: str) -> None:
    """Raise NotAllowed where whoever asked for a job may not do so by the rules of now; it is audited as theirs.

    ``again`` is what was asked, without an effect, and ``model`` what reads for it. Jobs of before it was kept who
    asked are their owner's.
    """
    owner, scope = for_owner(job)
    asker = job.by or msgspec.structs.replace(owner, system=False)
    asker = asker if asker.model else asker.narrow(model=model)
    try:
        api.dispatch(MemoryCall(caller=asker, scope=scope, request=again))
    except RateLimited:
        return  # no rule refused it: these are asked first
    except (NotAllowed, UnknownMemory) as refused:  # what is hidden from somebody is as good as unknown
        raise NotAllowed(f"whoever asked for this job may not do it any more: {refused}") from refused
