"""The job that does the second phase of an erasure: scrub, verify, and say so in the receipt (ADR 0029)."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta

from pymemos.cube.call import Caller, MemoryCall, Scope
from pymemos.cube.erasure import Departure, Verification
from pymemos.errors import MissingBlob, ScrubFailed, StoreError
from pymemos.interface.api import MemoryAPI, Tools
from pymemos.interface.erasure_handlers import Departures, Scrubbed
from pymemos.interface.training import remove_ended
from pymemos.interface.worker import for_owner
from pymemos.ports import Job, ReadUnit

PAGE = 1_000
_IDS = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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

    _remove_leavings(tools, erasure)
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


def _remove_leavings(tools: Tools, erasure: str) -> None:
    """Remove the files of crashes: half written ones, and those that no memory came to name, such as KV segments.

    One that says that it was made of what is erased goes however young it is: nobody can come to name it any more. And
    what trainings keep of memories that are gone.
    """
    remove_ended(tools)
    before = tools.clock() - HALF_WRITTEN
    tools.blobs.remove_partial(before)
    with tools.store.read() as unit:
        named, erased = unit.blobs(), _erased(unit, erasure)
    tools.blobs.remove_unnamed(named, before)
    for blob in tools.blobs.names() - named:
        with suppress(MissingBlob):  # somebody else removed it
            if erased & set(_IDS.findall(tools.blobs.open(blob))):
                tools.blobs.remove(blob)


def _erased(unit: ReadUnit, erasure: str) -> set[bytes]:
    """The ids of everything that an erasure erased, as bytes."""
    found: set[bytes] = set()
    after = None
    while page := unit.erased_by(erasure, limit=PAGE, after=after):
        found |= {id.encode() for id in page}
        after = page[-1]
    return found
