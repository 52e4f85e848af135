"""The queue's rules: when a failed job runs again, when it is parked, and what is kept of its error."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import msgspec

from pymemos.errors import (
    InvalidInput,
    LeaseLost,
    ModelError,
    NotAllowed,
    PymemosError,
    RateLimited,
    StaleMemory,
    StaleVersion,
    TrainingStopped,
    UnknownJob,
    UnknownMemory,
)
from pymemos.ports import Job, JobState

LEASE = timedelta(seconds=60)  # a worker that says nothing for so long has lost its job
FIRST_RETRY = timedelta(seconds=2)  # doubled by every further failure
LONGEST_RETRY = timedelta(hours=1)
SAID: Final = 300  # characters of an error that are kept
_OURS: Final = (  # what these say names ids, rules and settings; a kind of them may quote what an endpoint answered
    InvalidInput, LeaseLost, ModelError, NotAllowed, RateLimited, StaleMemory, StaleVersion, TrainingStopped,
    UnknownJob, UnknownMemory,
)  # fmt: skip
_QUOTED: Final = re.compile(r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ELLIPSIS: Final = "'…'"


def after_failure(job: Job, *, error: str, now: datetime, said: str = "", final: bool = False) -> Job:
    """``job`` after an attempt failed: ready again after a pause that doubles, or parked after its last attempt.

    One that failed for good (``final``) is parked at once: no other attempt would do better.
    """
    job = msgspec.structs.replace(job, worker=None, lease_until=None, error=error, said=said)
    if final or job.attempt >= job.max_attempts:
        return msgspec.structs.replace(job, state=JobState.DEAD)
    pause = min(FIRST_RETRY * 2 ** (job.attempt - 1), LONGEST_RETRY)
    return msgspec.structs.replace(job, state=JobState.READY, run_at=now + pause)


def is_final(error: Exception) -> bool:
    """Whether trying again is of no use: a rule refused it. A rate is no rule: it lets calls through again."""
    return isinstance(error, NotAllowed) and not isinstance(error, RateLimited)


def words_of(error: Exception) -> str:
    """What may be kept of an error: words of ours, at most so many, without what they quote unless that is an id.

    A library's error may say anything, and one of ours may quote a memory or what an endpoint answered: of the first
    nothing is kept, of the second what its class says.
    """
    if not isinstance(error, PymemosError):
        return ""
    plain = str(error) if type(error) in _OURS else type(error).__doc__ or ""
    whole = " ".join(plain.split()) if isinstance(error, NotAllowed) else _unquoted(plain)
    return whole if len(whole) <= SAID else whole[: SAID - 1] + "…"


def _unquoted(text: str) -> str:
    kept = _QUOTED.sub(lambda quoted: quoted[0] if _ID.fullmatch(quoted[0][1:-1]) else _ELLIPSIS, text)
    return " ".join(kept.split())


def retried(job: Job, now: datetime) -> Job:
    """A parked or waiting job, to run now, with all its attempts before it; one that runs is left to its worker."""
    if is_held(job, now):
        raise InvalidInput(f"job {job.id!r} runs until it ends or fails; wait for that, or cancel it")
    return msgspec.structs.replace(
        job, state=JobState.READY, worker=None, lease_until=None, run_at=now, attempt=0, error=None, said=""
    )


def is_held(job: Job, now: datetime) -> bool:
    """Whether a worker does the job now; one whose lease ran out is taken for dead."""
    return job.state is JobState.RUNNING and (job.lease_until is None or now < job.lease_until)


def is_taken_over(held: Job, job: Job) -> bool:
    """Whether ``held``, as it stands in the queue, is no longer the attempt that ``job`` was claimed for.

    A retry counts attempts from the first again, so their number alone would not tell.
    """
    return (held.worker, held.attempt) != (job.worker, job.attempt)


def extended(job: Job, until: datetime) -> Job:
    """A running job whose worker is alive: its lease holds until then."""
    return msgspec.structs.replace(job, lease_until=until)
