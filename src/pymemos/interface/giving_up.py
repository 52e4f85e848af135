"""Giving up: derived memories that a turn of the scheduler does not want any more, and their files (5.4.2).

What is given up is a cache: its memory is deleted and stays in the history, with the decision; its file goes, for
whoever wants it can make it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pymemos.cube.call import MemoryCall, Request, Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import Compare
from pymemos.cube.header import Descriptive, Provenance
from pymemos.cube.payload import Activation, Parametric
from pymemos.errors import MissingBlob, NotAllowed
from pymemos.infrastructure import vault
from pymemos.interface.api import Handler, Outcome, Tools, Work
from pymemos.interface.segments import held_by
from pymemos.interface.versions import check_editable, check_written
from pymemos.interface.worker import for_owner
from pymemos.operation.decisions import KEPT, FormDecision, as_kept
from pymemos.operation.turns import Leaving
from pymemos.ports import Job, ReadUnit

FREE: Final = "free"  # the kind of the job that removes files of what was given up
CAUSE: Final = "give_up"  # of the last version of what was given up
TRIGGER: Final = "scheduler"  # in the provenance of what moves made
PAGE: Final = 1_000
_TENSORS: Final = Compare("kind", "in", ("activation", "parametric"))


class GiveUp(Request, frozen=True, kw_only=True, tag="give_up"):
    """Give derived memories up that are still as they were seen: the memory is deleted, and its file removed."""

    leaving: tuple[Leaving, ...]


class Free(Request, frozen=True, kw_only=True, tag="free"):
    """Remove files of what was given up, as far as no other memory names them, or did and might come back."""

    blobs: tuple[str, ...] = ()


class GiveUpHandler(Handler):
    """What was changed, used otherwise or frozen since it was seen stays; the next turn looks at it again."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: GiveUp = work.call.request  # type: ignore[assignment]
        found = {record.cube.id: record.cube for record in work.unit.current([one.id for one in request.leaving])}
        given_up: list[MemCube] = []
        for one in request.leaving:
            cube = found.get(one.id)
            if cube is None or cube.version != one.version or not work.serves(cube) or not _is_a_cache(cube):
                continue
            try:
                check_editable(cube)
            except NotAllowed:
                continue
            last = _last_version(work, cube, one)
            check_written(work, [last])
            vault.supersede(work.unit, vault.draft(last), work.now)
            vault.retire(work.unit, last, work.now)
            given_up.append(cube)
        self._queue_removal(work, given_up)
        ids = tuple(cube.id for cube in given_up)
        return Outcome(result=ids, memories=ids)

    def _queue_removal(self, work: Work, cubes: Iterable[MemCube]) -> None:
        """The files go in a job of their own, behind this transaction: if it never comes about, nothing is lost."""
        homes: dict[str, list[str]] = {}
        for cube in cubes:
            if isinstance(cube.payload, Activation | Parametric):
                homes.setdefault(cube.namespace, []).append(cube.payload.blob)
        for namespace, blobs in homes.items():
            arguments = {"blobs": blobs}
            id = work.tools.new_id(work.now)
            work.unit.enqueue(Job(id=id, kind=FREE, namespace=namespace, run_at=work.now, arguments=arguments))


def _is_a_cache(cube: MemCube) -> bool:
    return held_by(cube) is not None or (isinstance(cube.payload, Parametric) and is_by_moves(cube))


def _last_version(work: Work, cube: MemCube, one: Leaving) -> MemCube:
    """The version that says why a memory was given up, and by which decisions; the deletion follows it."""
    author = work.call.caller.name
    said = msgspec.structs.replace(cube.header.descriptive, updated=work.now, cause=CAUSE, author=author)
    return cube.derive(descriptive=with_decisions(said, one.decisions, note=one.why))


def with_decisions(
    said: Descriptive, decisions: Iterable[FormDecision], *, note: str | None = None, model: str | None = None
) -> Descriptive:
    """What a derived memory says of itself, with the decisions that made it behind those that it has."""
    made = list(decisions)
    held = said.provenance or Provenance()
    words = note or "; ".join(one.reason for one in made) or None
    provenance = msgspec.structs.replace(held, trigger=TRIGGER, note=words, model=model or held.model)
    earlier = said.metadata.get(KEPT)
    kept = [*(earlier if isinstance(earlier, list) else []), *as_kept(made)]
    return msgspec.structs.replace(
        said, provenance=provenance, metadata={**said.metadata, KEPT: kept} if kept else said.metadata
    )


class FreeHandler(Handler):
    """Files are removed while nobody writes: who comes to name one afterwards finds it missing, and stores it again."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Free = work.call.request  # type: ignore[assignment]
        wanted = set(request.blobs)
        for blob in sorted(wanted - _needed(work.unit, wanted)):
            work.tools.blobs.remove(blob)
        return Outcome(result=None)


def _needed(unit: ReadUnit, blobs: set[str]) -> set[str]:
    """Those of some files that a memory names, or named before: unless it was given up, it can be brought back."""
    needed = blobs & _named_now(unit) if blobs else set()
    if needed == blobs:
        return needed
    ids = unit.ever(Selection(namespaces=None, where=_TENSORS))
    alive = {record.cube.id for record in unit.current(ids)}
    for id in ids:
        cubes = [record.cube for record in unit.versions(id)]
        if id in alive or cubes[-1].header.descriptive.cause != CAUSE:
            payloads = [cube.payload for cube in cubes]
            needed |= {one.blob for one in payloads if isinstance(one, Activation | Parametric)} & blobs
    return needed


def _named_now(unit: ReadUnit) -> set[str]:
    """The files that current memories name."""
    after, found, asked = None, set(), Selection(namespaces=None, where=_TENSORS)
    while page := unit.page(asked, limit=PAGE, after=after):
        payloads = [record.cube.payload for record in page]
        found |= {one.blob for one in payloads if isinstance(one, Activation | Parametric)}
        after = page[-1].cube.id
    return found


def free_job(job: Job) -> MemoryCall:
    """Remove the files of what a turn gave up."""
    caller, scope = for_owner(job)
    return MemoryCall(caller=caller, scope=scope, request=msgspec.convert(job.arguments, Free))


def is_by_moves(cube: MemCube) -> bool:
    """Whether a turn of the scheduler made a derived memory."""
    said = cube.header.descriptive.provenance
    return said is not None and said.trigger == TRIGGER


HANDLERS: dict[type[Request], Handler] = {GiveUp: GiveUpHandler(), Free: FreeHandler()}


def is_let_go(tools: Tools, cube: MemCube) -> bool:
    """Whether the file of a tensor memory is gone, as that of a cache which was given up: it cannot come back."""
    if not isinstance(cube.payload, Activation | Parametric):
        return False
    try:
        tools.blobs.open(cube.payload.blob)
    except MissingBlob:
        return True
    return False


def let_go(unit: ReadUnit, missing: set[str]) -> set[str]:
    """Those of some missing files that were caches of memories which are deleted: they were given up."""
    if not missing:
        return set()
    ids = unit.ever(Selection(namespaces=None, where=_TENSORS))
    alive = {record.cube.id for record in unit.current(ids)}
    gone = [record.cube for id in ids if id not in alive for record in unit.versions(id)]
    caches = [cube.payload for cube in gone if _is_a_cache(cube)]
    dropped = {one.blob for one in caches if isinstance(one, Activation | Parametric)}
    return (dropped & missing) - _named_now(unit)
