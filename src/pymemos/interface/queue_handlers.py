"""How the requests on the queue are carried out, and the jobs that the system gives itself."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pymemos.cube.policy import Action
from pymemos.errors import InvalidInput, UnknownJob
from pymemos.infrastructure import vault
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.requests import Claim, ControlJob, Enqueue, FailJob, Heartbeat, Jobs, Reindex
from pymemos.interface.transfer import OnStore
from pymemos.operation import queue
from pymemos.ports import Job

DIED: Final = "its worker ended without a word in its last attempt"


class EnqueueHandler(Handler):
    """A job of the caller's own namespace: the system does it in the name of whoever owns that."""

    changes = True
    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Enqueue = work.call.request  # type: ignore[assignment]
        caller = work.call.caller
        job = request.job if caller.system else _own(msgspec.structs.replace(request.job, by=caller))
        return Outcome(result=job.id if work.unit.enqueue(job) else None)


def _own(job: Job) -> Job:
    """The job with a key of its owner's own: nobody else's, nor the system's, is held up by it, or seen through it."""
    if job.dedup_key is None:
        return job
    return msgspec.structs.replace(job, dedup_key=f"{job.namespace!r} {job.dedup_key}")


class JobsHandler(OnStore):
    """The queue in the order in which it would run."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Jobs = work.call.request  # type: ignore[assignment]
        return Outcome(result=work.unit.jobs(state=request.state, limit=request.limit))


class ControlJobHandler(OnStore):
    """Retry a job now, with all its attempts before it, or cancel it."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ControlJob = work.call.request  # type: ignore[assignment]
        job = work.unit.job(request.id)
        if job is None:
            raise UnknownJob(f"no unfinished job has the id {request.id!r}; 'pymemos jobs' lists them")
        if request.action == "retry":
            job = queue.retried(job, work.now)
            work.unit.replace_job(job)
        elif request.action == "cancel":
            work.unit.remove_job(job.id)
        else:
            raise InvalidInput(f"a job can be retried or cancelled, not {request.action!r}")
        return Outcome(result=job)


class ClaimHandler(OnStore):
    """Lease the next due job."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Claim = work.call.request  # type: ignore[assignment]
        job = work.unit.claim(worker=request.worker, now=request.now, lease_until=request.until, kinds=request.kinds)
        if job is not None and job.attempt > job.max_attempts:  # its worker died in its last attempt
            parked = queue.after_failure(job, error="WorkerDied", now=request.now, said=DIED)
            work.unit.replace_job(parked)
            return Outcome(result=parked)
        return Outcome(result=job)


class HeartbeatHandler(OnStore):
    """Hold a lease for longer."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Heartbeat = work.call.request  # type: ignore[assignment]
        job = queue.extended(work.unit.leased(request.lease), request.until)
        work.unit.replace_job(job)
        return Outcome(result=job)


class FailJobHandler(OnStore):
    """Let a failed job run again later, or park it."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: FailJob = work.call.request  # type: ignore[assignment]
        job = queue.after_failure(
            work.unit.leased(request.lease),
            error=request.error,
            now=request.now,
            said=request.said,
            final=request.final,
        )
        work.unit.replace_job(job)
        return Outcome(result=job)


class FinishJobHandler(OnStore):
    """Nothing but the end of the job, which the door itself writes."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=None)


class ReindexHandler(Handler):
    """Analyse some memories of a namespace anew; the rest is queued in the same transaction."""

    action = Action.MANAGE
    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Reindex = work.call.request  # type: ignore[assignment]
        records = work.unit.page(work.selection(), limit=request.limit, after=request.after)
        for record in records:
            vault.retext(work.unit, record.cube, work.now)
        if len(records) == request.limit:
            self._queue_rest(work, records[-1].cube.id)
        return Outcome(result=len(records), memories=tuple(record.cube.id for record in records))

    def _queue_rest(self, work: Work, after: str) -> None:
        namespace = work.call.scope.namespace or ""
        id = work.tools.new_id(work.now)
        arguments = {"after": after}
        work.unit.enqueue(Job(id=id, kind="reindex", namespace=namespace, run_at=work.now, arguments=arguments))
