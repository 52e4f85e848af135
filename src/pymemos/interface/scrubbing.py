"""The job that does the second phase of an erasure: scrub, verify, and say so in the receipt (ADR 0029)."""

from __future__ import annotations

from datetime import timedelta

from pymemos.cube.call import Caller, MemoryCall, Scope
from pymemos.cube.erasure import Departure, Verification
from pymemos.errors import ScrubFailed, StoreError
from pymemos.interface.api import MemoryAPI, Tools
from pymemos.interface.erasure_handlers import Departures, Scrubbed
from pymemos.interface.training import remove_ended
from pymemos.interface.worker import for_owner
from pymemos.ports import Job

HALF_WRITTEN = timedelta(days=1)  # ours: a blob that is still being written, or waits to be named, is younger


def scrub_job(api: MemoryAPI, tools: Tools, job: Job) -> MemoryCall:
    """Scrub an erasure; the effect signs its receipt. Where anything is left the job fails, and the receipt says so."""
    caller, scope = for_owner(job)
    erasure = job.arguments.get("erasure")
    if erasure is None:
        return MemoryCall(caller=caller, scope=scope, request=Scrubbed(erasure=None))
    everything = MemoryCall(
        caller=Caller(system=True), scope=Scope(namespace=None), request=Departures(erasure=erasure)
    )
    api.buffer.flush()  # an export is in the log within a second; here it is looked for now
    left: tuple[Departure, ...] = api.dispatch(everything)

    def told(verification: Verification | None, reason: str = "") -> MemoryCall:
        request = Scrubbed(erasure=erasure, verification=verification, left=left, reason=reason)
        return MemoryCall(caller=caller, scope=scope, request=request)

    _remove_leavings(tools)
    try:
        verification = tools.store.scrub(erasure, tools.blobs)
    except StoreError as error:
        api.dispatch(told(None, str(error)))
        raise
    if verification.remnants:
        reason = f"{verification.remnants} pieces of what was erased are still in the files"
        api.dispatch(told(verification, reason))
        raise ScrubFailed(f"erasure {erasure}: {reason}; 'pymemos doctor --grep-erased' looks again")
    return told(verification)


def _remove_leavings(tools: Tools) -> None:
    """Remove the files of crashes: half written ones, and those that no memory came to name, such as KV segments.

    And what trainings keep of memories that are gone.
    """
    remove_ended(tools)
    before = tools.clock() - HALF_WRITTEN
    tools.blobs.remove_partial(before)
    with tools.store.read() as unit:
        named = unit.blobs()
    tools.blobs.remove_unnamed(named, before)
