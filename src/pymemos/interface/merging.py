"""Merging behind the door: merge, fuse, what either would say, and the way back (5.3.2, 5.4.3, ADR 0027)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec

from pymemos.cube.call import MemoryCall, Request
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.header import Descriptive, Governance, Origin, Provenance, Stage, least_trusted
from pymemos.cube.payload import Plaintext
from pymemos.errors import InvalidInput, NotAllowed, StaleMemory, TextTooLong, UnknownMemory
from pymemos.infrastructure import vault
from pymemos.infrastructure.governance import Target
from pymemos.interface import letting_in, lives
from pymemos.interface.api import Handler, Outcome, Tools, Work
from pymemos.interface.arguments import LINKS_LIMIT, PARENTS_LIMIT, WORDS_LIMIT
from pymemos.interface.embedding import embedded, queue_embedding
from pymemos.interface.provenance import Changing, write_restored
from pymemos.interface.sources import check_no_ring, check_owner_reads, marked, may_read
from pymemos.interface.versions import (
    OnMemory,
    check_editable,
    check_expected,
    check_written,
    current_record,
    manifest,
    pick_version,
    version_record,
)
from pymemos.operation import merging
from pymemos.operation.lifecycle import Cause
from pymemos.operation.lineage import is_over
from pymemos.operation.merging import Merged, Policy
from pymemos.ports import ReadUnit, Record, Vector

UNDOABLE = ("merge", "fuse", "compose")
Vectors = dict[str, tuple[Vector, ...]]  # by text


class Rules(TypedDict):
    """How several become one, as arguments of a request."""

    policy: Policy
    content: str | None
    text_limit: int


class _Together(Request, frozen=True, kw_only=True):
    """What every merging request says: how fields that collide are settled, and perhaps the text."""

    policy: Policy = Policy.NEWEST
    content: str | None = None
    text_limit: int


class Merge(_Together, frozen=True, kw_only=True, tag="merge"):
    """Consolidate other memories into the next version of one."""

    id: str
    others: tuple[str, ...]
    expected: int | str | None = None
    idempotency_key: str | None = None


class Fuse(_Together, frozen=True, kw_only=True, tag="fuse"):
    """Make a new memory of several."""

    ids: tuple[str, ...]
    archive_sources: bool = False
    beside_sources: bool = True  # for a steward: where they live, if that is one namespace
    idempotency_key: str | None = None


class PlanMerge(_Together, frozen=True, kw_only=True, tag="plan_merge"):
    """What a merge or a fusion of these memories would say."""

    ids: tuple[str, ...]


class Undo(Request, frozen=True, kw_only=True, tag="undo"):
    """Take back the merge, fusion or composition that wrote a memory's current version."""

    id: str
    expected: int | str | None = None
    idempotency_key: str | None = None


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken back: the memory as it is again, None where it is deleted, and the sources brought to hand."""

    id: str
    undone: str  # "merge", "fuse" or "compose"
    cube: MemCube | None = None
    brought_back: tuple[str, ...] = ()


class _Merging(Changing):
    """A handler that writes a text of several memories; a text that was given is embedded before the unit."""

    def prepare(self, call: MemoryCall, tools: Tools) -> Vectors:
        request: _Together = call.request  # type: ignore[assignment]
        return {} if request.content is None else embedded(request.content, tools)

    def _vectors(self, work: Work, cube: MemCube, sources: Sequence[MemCube], prepared: Vectors) -> tuple[Vector, ...]:
        """The vectors of the text, from a source that says the same where there is one; else a job makes them."""
        alike = [one.id for one in sources if one.text == cube.text]
        held: tuple[Vector, ...] = work.unit.vectors_of(alike[0]) if alike else prepared.get(cube.text, ())
        if not held and work.tools.embedder is not None:
            queue_embedding(work.unit, cube.namespace, work)
        return held


class MergeHandler(_Merging):
    """The next version of the target says what all say; the others of its namespace leave for the archive."""

    def run(self, work: Work, prepared: Vectors) -> Outcome:
        request: Merge = work.call.request  # type: ignore[assignment]
        target, *others = cubes = sources_to_merge(work, (request.id, *request.others))
        check_expected(target, request.expected)
        check_editable(target)
        check_no_ring(work, target, others)
        check_owner_reads(work, target, others)
        merged = _merged(cubes, request)
        newer = target.derive(
            descriptive=_trusted(_descriptive(target.header.descriptive, merged, work, cause="merge"), cubes),
            governance=_governance(target.header.governance, merged),
            payload=merged.payload,
            parents=_parents(target, others),
        )
        newer = letting_in.settled_version(work, target, newer)
        check_written(work, [newer])
        vectors = self._vectors(work, newer, cubes, prepared)
        vault.supersede(work.unit, msgspec.structs.replace(vault.draft(newer), vectors=vectors), work.now)
        _move(work, [target], Cause.MERGE)
        _absorb(work, others, target.namespace)
        return _outcome(work, newer.id, cubes)


class FuseHandler(_Merging):
    """A new memory, made from all; the sources stay as they are, unless they are to be archived."""

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        """Where the caller writes; a steward who names nobody keeps it with its sources, where they live together."""
        request: Fuse = call.request  # type: ignore[assignment]
        owners = {owner for id in request.ids if (owner := unit.owner_of(id)) is not None}
        if call.caller.steward and request.beside_sources and len(owners) == 1:
            return Target(namespaces=tuple(owners))
        return Handler.target(self, call, unit)

    def run(self, work: Work, prepared: Vectors) -> Outcome:
        request: Fuse = work.call.request  # type: ignore[assignment]
        cubes = sources_to_merge(work, request.ids)
        [namespace] = work.decision.namespaces or (work.call.caller.namespace,)
        merged = _merged(cubes, request)
        fused = MemCube.make(
            id=work.tools.new_id(work.now),
            salt=work.tools.new_salt(),
            descriptive=_trusted(_descriptive(_made_by(work), merged, work, cause="fuse"), cubes),
            governance=_governance(Governance(owner=namespace, namespace=namespace), merged),
            payload=merged.payload,
            parents=_parents(None, cubes),
        )
        fused = letting_in.settled_new(work, fused)
        check_written(work, [fused])
        vectors = self._vectors(work, fused, cubes, prepared)
        vault.write_turns(work.unit, [msgspec.structs.replace(vault.draft(fused), vectors=vectors)], work.now)
        if request.archive_sources:
            _absorb(work, cubes, namespace)
        return _outcome(work, fused.id, cubes)


class PlanMergeHandler(Handler):
    """The pure rules, asked; nothing is written."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: PlanMerge = work.call.request  # type: ignore[assignment]
        return Outcome(result=_merged(sources_to_merge(work, request.ids), request), memories=request.ids)


class UndoHandler(OnMemory):
    """One step back, whole: the version before it says what it said, and what it put away is at hand again.

    Only while that step is the memory's last: what came after it would be lost.
    """

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Undo = work.call.request  # type: ignore[assignment]
        record = current_record(work, request.id)
        check_expected(record.cube, request.expected)
        check_editable(record.cube)
        cause = record.cube.header.descriptive.cause
        if cause not in UNDOABLE:
            raise InvalidInput(
                f"the last change of memory {request.id!r} was {cause!r}, and undo takes back a merge, fuse or compose "
                "alone; restore goes back to any revision, and activate brings an archived source to hand"
            )
        cube = _step_back(work, record, cause)
        brought = _brought_back(work, record)
        undone = Undone(id=request.id, undone=cause, cube=cube, brought_back=brought)
        version = "" if cube is None else cube.version
        return Outcome(result=undone, memories=(request.id, *brought), replay=(cause, request.id, version, *brought))

    def replay(self, work: Work, ids: tuple[str, ...]) -> Undone:
        cause, id, version, *brought = ids
        cube = marked(work, [version_record(work, id, version).cube])[0] if version else None
        return Undone(id=id, undone=cause, cube=cube, brought_back=tuple(brought))


def sources_to_merge(work: Work, ids: Sequence[str]) -> tuple[MemCube, ...]:
    """The memories that are merged; of one that the caller may not know of, it is not told whether it is there."""
    found = {record.cube.id: record.cube for record in work.unit.current(ids) if may_read(work, record.cube)}
    for id in ids:
        if id not in found:
            raise UnknownMemory(f"memory {id!r} is deleted or unknown; history shows what it was")
    cubes = marked(work, [found[id] for id in ids])
    for cube in cubes:
        _check_mergeable(cube, work)
    return cubes


def _check_mergeable(cube: MemCube, work: Work) -> None:
    if not isinstance(cube.payload, Plaintext):
        raise InvalidInput(
            f"memory {cube.id!r} holds tensors, and their numbers are not merged; encode or train a new one from the "
            "union of the sources, and add it with these as its parents"
        )
    if cube.is_manifest:
        raise InvalidInput(f"memory {cube.id!r} is {manifest(cube)}; only memories that say something are merged")
    if cube.stage_at(work.now) is Stage.EXPIRED:
        raise UnknownMemory(f"memory {cube.id!r} has expired; history shows what it was")
    if is_over(cube, work.now):
        raise InvalidInput(f"memory {cube.id!r} no longer holds, so what is made from it would be stale; leave it out")
    if cube.stale:
        why = "; ".join(map(str, cube.stale[:3]))
        raise StaleMemory(f"memory {cube.id!r} is stale ({why}); make it anew from its sources, and then merge it")
    if work.veil.hides(cube):
        raise InvalidInput(f"something in memory {cube.id!r} is hidden from the caller; merge what may be read whole")


def _parents(target: MemCube | None, cubes: Sequence[MemCube]) -> tuple[Parent, ...]:
    parents = merging.parents_of(target, cubes)
    if len(parents) > PARENTS_LIMIT:
        raise InvalidInput(
            f"the memory would be made from {len(parents):,} others, and has at most {PARENTS_LIMIT:,} parents; "
            "merge or fuse in steps, some into one memory and others into another"
        )
    return parents


def _merged(cubes: Sequence[MemCube], request: _Together) -> Merged:
    merged = merging.merge(cubes, request.policy, request.content)
    size = len(merged.payload.content)
    if size > request.text_limit:
        raise TextTooLong(f"together they have {size:,} characters, the limit is {request.text_limit:,}; pass content=")
    if len(merged.links) > LINKS_LIMIT:
        raise InvalidInput(f"together they have {len(merged.links)} links, and a memory keeps at most {LINKS_LIMIT}")
    return merged


def _trusted(said: Descriptive, cubes: Sequence[MemCube]) -> Descriptive:
    """What is made of several is trusted no more than any of them (ADR 0031)."""
    least = least_trusted([said.trusted_as, *(cube.trust for cube in cubes)])
    return said if least is said.trusted_as else msgspec.structs.replace(said, trust=least)


def _made_by(work: Work) -> Descriptive:
    caller, scope = work.call.caller, work.call.scope
    return Descriptive(
        created=work.now,
        updated=work.now,
        origin=Origin.INFERENCE,
        agent=scope.agent,
        session=scope.session,
        role=caller.role,
        task=caller.task,
    )


def _descriptive(base: Descriptive, merged: Merged, work: Work, *, cause: str) -> Descriptive:
    """The identity of ``base`` with what was merged; what collided is told where everybody looks for reasons.

    Part of the identity is the message that it came from: so an import that comes again knows it.
    """
    brought = {key: value for key, value in base.metadata.items() if key == merging.MESSAGE}
    note = "; ".join(map(str, merged.conflicts))[:WORDS_LIMIT] or None
    return msgspec.structs.replace(
        base,
        updated=work.now,
        cause=cause,
        author=work.call.caller.name,
        semantic_type=merged.semantic_type,
        speaker=merged.speaker,
        speaker_role=merged.speaker_role,
        language=merged.language,
        tags=merged.tags,
        entities=merged.entities,
        event_time=merged.event_time,
        valid_from=merged.valid_from,
        valid_to=merged.valid_to,
        provenance=Provenance(trigger=cause, model=work.call.caller.model, links=merged.links, note=note),
        metadata={**merged.metadata, **brought},
    )


def _governance(base: Governance, merged: Merged) -> Governance:
    return msgspec.structs.replace(
        base,
        access=merged.access,
        lifespan=merged.lifespan,
        priority=merged.priority,
        sensitivity=merged.sensitivity,
        watermark=merged.watermark,
    )


def _move(work: Work, cubes: Sequence[MemCube], cause: Cause) -> None:
    """Move memories along the table; where one may not, nothing of the call happens."""
    for cube in cubes:
        at = work.unit.advance(cube.namespace, work.now).at
        refusal = lives.moved(work.unit, cube.id, cause, at, work.call.caller.name)
        if refusal is not None:
            raise NotAllowed(f"memory {cube.id!r} cannot be merged: {refusal.reason}; activate or leave it out")


def _absorb(work: Work, cubes: Sequence[MemCube], namespace: str) -> None:
    """Put away what lives beside the memory that it went into; what the caller may only read stays where it is."""
    _move(work, [cube for cube in cubes if cube.namespace == namespace and work.decision.admits(cube)], Cause.ABSORB)


def _outcome(work: Work, id: str, sources: Sequence[MemCube]) -> Outcome:
    cube = marked(work, [work.unit.current([id])[0].cube])[0]
    touched = tuple(dict.fromkeys([id, *(one.id for one in sources)]))
    return Outcome(result=cube, memories=touched, replay=(cube.id, cube.version))


def _step_back(work: Work, record: Record, cause: str) -> MemCube | None:
    """What the memory was before, as its next version, with the rules that it had; a first version is deleted."""
    cube = record.cube
    if cube.revision == 1:
        vault.retire(work.unit, cube, work.now)
        return None
    before = pick_version(work.unit.versions(cube.id), cube.id, cube.revision - 1).cube
    check_written(work, [before])
    write_restored(work, cube, before, deleted=False, governance=before.header.governance)
    if cause == "merge":
        _move(work, [cube], Cause.ACTIVATE)
    return marked(work, [work.unit.current([cube.id])[0].cube])[0]


def _brought_back(work: Work, record: Record) -> tuple[str, ...]:
    """Bring to hand what the version put away."""
    away = [cube for cube in put_away(work, record) if work.decision.admits(cube)]
    _move(work, away, Cause.ACTIVATE)
    return tuple(cube.id for cube in away)


def put_away(work: Work, record: Record) -> list[MemCube]:
    """The sources that were archived in the very unit that wrote a version, and are there still."""
    ids = [pin.id for pin in record.cube.parents if pin.id != record.cube.id]
    return [source.cube for source in work.unit.current(ids) if _put_away_by(work, source.cube, record)]


def _put_away_by(work: Work, cube: MemCube, record: Record) -> bool:
    """Whether the last move of a memory was into the archive, by the unit that wrote the version of ``record``."""
    if cube.namespace != record.cube.namespace or cube.header.governance.frozen:
        return False
    journal = work.unit.state_changes(cube.id)
    return bool(journal) and (journal[-1].cause, journal[-1].at) == (Cause.ABSORB, record.known_from)


HANDLERS: dict[type[Request], Handler] = {
    Merge: MergeHandler(),
    Fuse: FuseHandler(),
    PlanMerge: PlanMergeHandler(),
    Undo: UndoHandler(),
}
