"""The queue's rules: when a failed job runs again, and when it is parked."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from pymemos.ports import Job, JobState

LEASE = timedelta(seconds=60)  # a worker that says nothing for so long has lost its job
FIRST_RETRY = timedelta(seconds=2)  # doubled by every further failure
LONGEST_RETRY = timedelta(hours=1)


def after_failure(job: Job, *, error: str, now: datetime) -> Job:
    """``job`` after an attempt failed: ready again after a pause that doubles, or parked after its last attempt."""
    if job.attempt >= job.max_attempts:
        return msgspec.structs.replace(job, state=JobState.DEAD, worker=None, lease_until=None, error=error)
    pause = min(FIRST_RETRY * 2 ** (job.attempt - 1), LONGEST_RETRY)
    return msgspec.structs.replace(
        job, state=JobState.READY, worker=None, lease_until=None, run_at=now + pause, error=error
    )


def retried(job: Job, now: datetime) -> Job:
    """A parked or waiting job, to run now, with all its attempts before it."""
    return msgspec.structs.replace(
        job, state=JobState.READY, worker=None, lease_until=None, run_at=now, attempt=0, error=None
    )


def extended(job: Job, until: datetime) -> Job:
    """A running job whose worker is alive: its lease holds until then."""
    return msgspec.structs.replace(job, lease_until=until)
