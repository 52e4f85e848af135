"""The job of the worker tests: it writes one note for the owner of the job."""

from __future__ import annotations

from pymemos import MemOS
from pymemos.cube.call import MemoryCall
from pymemos.interface.requests import Add, Message
from pymemos.interface.worker import for_owner
from pymemos.ports import Job


def note(job: Job) -> MemoryCall:
    """The call that adds the note."""
    caller, scope = for_owner(job)
    message = Message(content=f"note {job.arguments['n']}")
    return MemoryCall(caller=caller, scope=scope, request=Add(messages=(message,), conversation=False))


def notes_of(mem: MemOS, user: str = "ana") -> list[str]:
    """The notes that were written for a user."""
    return [cube.text for cube in mem.list(user_id=user)]


def alone(mem: MemOS) -> MemOS:
    """The system without its recurring sweep, so that the queue holds the jobs of the test and no other."""
    for job in mem.jobs():
        if job.kind == "sweep":
            mem.control_job(job.id, "cancel")
    return mem
