"""The Provenance API (5.3.2): annotate, restore, and where a memory comes from."""

from __future__ import annotations

from typing import Any

import msgspec

from pymemos.cube.call import Request
from pymemos.cube.cube import MemCube
from pymemos.cube.header import Governance, Provenance, Stage, State
from pymemos.cube.life import StateChange
from pymemos.errors import InvalidInput, NotAllowed
from pymemos.infrastructure import vault
from pymemos.interface import letting_in
from pymemos.interface.api import Outcome, Work
from pymemos.interface.arguments import LINKS_LIMIT
from pymemos.interface.embedding import queue_embedding
from pymemos.interface.giving_up import is_let_go
from pymemos.interface.sources import is_known, marked, may_read, sources_of
from pymemos.interface.versions import (
    OnMemory,
    check_editable,
    check_expected,
    check_written,
    living_record,
    pick_version,
    shown_versions,
    version_record,
)
from pymemos.operation.lineage import Kin, graph, stale_each, steps
from pymemos.operation.tracing import Lineage
from pymemos.ports import Record

DERIVED = "derived_from"
CHUNK = 500  # memories that are looked at together when somebody asks what was made from one


class Annotate(Request, frozen=True, kw_only=True, tag="annotate"):
    """Say more of why a memory exists; its content stays, and whatever was made from it stays fresh."""

    id: str
    given: dict[str, Any]  # the fields of the provenance that are given; links are added to those that are there
    expected: int | str | None = None
    idempotency_key: str | None = None


class Restore(Request, frozen=True, kw_only=True, tag="restore"):
    """Go back to a version of a memory, or bring a deleted one back; either is a new version."""

    id: str
    version: int | str | None = None
    expected: int | str | None = None
    idempotency_key: str | None = None


class Trace(Request, frozen=True, kw_only=True, tag="provenance"):
    """Ask where a memory comes from, and what came from it."""

    id: str
    depth: int = 10  # generations each way
    limit: int = 100  # memories each way


class Changing(OnMemory):
    """A handler that writes a version, and gives it again when the call is repeated."""

    changes = True

    def replay(self, work: Work, ids: tuple[str, ...]) -> MemCube:
        id, version = ids
        return marked(work, [version_record(work, id, version).cube])[0]

    def written(self, work: Work, newer: MemCube) -> Outcome:
        return Outcome(result=marked(work, [newer])[0], memories=(newer.id,), replay=(newer.id, newer.version))


class AnnotateHandler(Changing):
    """A version that says more of itself; a frozen memory takes none, nor one that has expired."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Annotate = work.call.request  # type: ignore[assignment]
        cube = living_record(work, request.id).cube
        check_expected(cube, request.expected)
        check_editable(cube)
        said = msgspec.structs.replace(
            cube.header.descriptive,
            updated=work.now,
            cause="annotate",
            author=work.call.caller.name,
            provenance=_annotated(cube.header.descriptive.provenance or Provenance(), request.given),
        )
        newer = cube.derive(descriptive=said)
        vectors = work.unit.vectors_of(cube.id)
        vault.supersede(work.unit, msgspec.structs.replace(vault.draft(newer), vectors=vectors), work.now)
        return self.written(work, newer)


class RestoreHandler(Changing):
    """What a version said is said again; who may see the memory stays as it is now (no revoked grant comes back)."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Restore = work.call.request  # type: ignore[assignment]
        # What the caller may not read it cannot say again: it would be read by that.
        versions = [record for record in work.unit.versions(request.id) if may_read(work, record.cube)]
        last, deleted = versions[-1].cube, versions[-1].known_to is not None
        check_expected(last, request.expected)
        check_editable(last)
        newer = write_restored(
            work, last, _wanted(shown_versions(work, request.id), request, deleted=deleted), deleted=deleted
        )
        check_written(work, [newer])
        return self.written(work, newer)


def write_restored(
    work: Work, last: MemCube, wanted: MemCube, *, deleted: bool, governance: Governance | None = None
) -> MemCube:
    """Write what the version ``wanted`` said as the next version of a memory, whose last one is ``last``.

    Rules stay as they are now, unless some are given, with the labels of what is said again. An archived memory is at
    hand again (5.4.3); an expired one is at its end.
    """
    if last.stage_at(work.now) is Stage.EXPIRED:
        raise NotAllowed(f"memory {last.id!r} has expired and is not restored; history shows what it was")
    if is_let_go(work.tools, wanted):
        raise NotAllowed(f"the file of memory {last.id!r} is gone, as it was given up; make it anew from its sources")
    said = msgspec.structs.replace(
        wanted.header.descriptive, updated=work.now, cause="restore", author=work.call.caller.name
    )
    rules = letting_in.with_labels(work, governance or last.header.governance, wanted)
    newer = last.derive(descriptive=said, governance=rules, payload=wanted.payload, parents=wanted.parents)
    vectors = () if deleted or newer.text != last.text else work.unit.vectors_of(last.id)
    draft = msgspec.structs.replace(vault.draft(newer), vectors=vectors)
    (vault.revive if deleted else vault.supersede)(work.unit, draft, work.now)
    if newer.text and not newer.is_manifest and not vectors and work.tools.embedder is not None:
        queue_embedding(work.unit, newer.namespace, work)
    return _at_hand(work, newer)


def _at_hand(work: Work, cube: MemCube) -> MemCube:
    """The memory that was restored, no longer archived."""
    seen = cube.header.behaviour
    if seen.state is not State.ARCHIVED:
        return cube
    change = StateChange(
        id=cube.id,
        at=work.now,
        before=seen.state,
        after=State.ACTIVATED,
        cause="restore",
        author=work.call.caller.name,
    )
    work.unit.move([change])
    return cube.observed(msgspec.structs.replace(seen, state=change.after))


class TraceHandler(OnMemory):
    """The versions of a memory, and the graph of its sources and derivatives, within what the caller may know."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Trace = work.call.request  # type: ignore[assignment]
        versions = shown_versions(work, request.id)
        family = _Family(work, versions, request)
        family.climb()
        family.descend()
        cubes = [one.cube for one in family.kin.values()]
        sources = sources_of(work, cubes)
        why = dict(zip(family.kin, stale_each(cubes, sources.cubes, work.now, sources.deleted), strict=True))
        shown = {id: msgspec.structs.replace(kin, cube=work.veil.cube(kin.cube)) for id, kin in family.kin.items()}
        nodes, arrows = graph(shown, family.generations, why, work.now)
        said = work.veil.cube(versions[-1].cube).header.descriptive
        lineage = Lineage(
            id=request.id,
            origin=said.origin,
            provenance=said.provenance or Provenance(),
            source_ids=said.source_ids,
            episode=said.episode,
            session=said.session,
            agent=said.agent,
            steps=steps([msgspec.structs.replace(one, cube=work.veil.cube(one.cube)) for one in versions]),
            deleted=versions[-1].retired,
            stale=why[request.id],
            nodes=nodes,
            arrows=arrows,
            cut=tuple(family.cut),
        )
        return Outcome(result=lineage, memories=(request.id,))


class _Family:
    """The relatives of a memory as they are found, a generation at a time, up to the bounds of the request."""

    def __init__(self, work: Work, versions: list[Record], request: Trace) -> None:
        self._work, self._request = work, request
        self.kin = {request.id: _kin(versions, 0)}
        self.generations = {request.id: 0}
        self.cut: list[str] = []

    def climb(self) -> None:
        """Find what the memory was made from, and that from, and so on."""
        level = [self.kin[self._request.id].cube]
        for generation in range(1, self._request.depth + 2):
            above = dict.fromkeys(pin.id for cube in level for pin in cube.parents if pin.id not in self.generations)
            room = self._room(generation, len(above), "sources", found=-1)
            if not above or room == 0:
                return
            level = self._meet(list(above)[:room], -generation)

    def descend(self) -> None:
        """Find what was made from the memory, from that, and so on."""
        level = [self.kin[self._request.id].cube]
        for generation in range(1, self._request.depth + 2):
            wanted = self._request.limit - sum(place > 0 for place in self.generations.values()) + 1
            below = self._children(level, 1 if generation > self._request.depth else wanted)
            room = self._room(generation, len(below), "derivatives", found=1)
            if not below or room == 0:
                return
            level = self._meet(below[:room], generation)

    def _room(self, generation: int, wanted: int, what: str, *, found: int) -> int:
        """How many more may be met in this direction; says so where that is not all of them."""
        if wanted and generation > self._request.depth:
            self.cut.append(f"more {what} beyond {self._request.depth} generations")
            return 0
        room = self._request.limit - sum(place * found > 0 for place in self.generations.values())
        if wanted > room:
            self.cut.append(f"more than {self._request.limit} {what}")
        return max(room, 0)

    def _meet(self, ids: list[str], generation: int) -> list[MemCube]:
        """Note some memories; gives those of which the caller may know."""
        found = {record.cube.id: record for record in self._known(ids)}
        self.generations |= dict.fromkeys(ids, generation)
        for id in found:
            self.kin[id] = _kin(self._work.unit.versions(id), generation)
        return [record.cube for record in found.values()]

    def _known(self, ids: list[str]) -> list[Record]:
        """The current or last versions of those of some memories of which the caller may know."""
        unit = self._work.unit
        current = {record.cube.id: record for record in unit.current(ids)}
        gone = [id for id in ids if id not in current and is_known(self._work, unit.owner_of(id))]
        found = [*current.values(), *(unit.versions(id)[-1] for id in gone)]
        return [record for record in found if may_read(self._work, record.cube)]

    def _children(self, level: list[MemCube], wanted: int) -> list[str]:
        """At most so many memories that are made from one of ``level`` by their present pins.

        A memory that the caller may not know of is not counted either: how many there are would tell of them.
        """
        found: dict[str, None] = {}
        for cube in level:
            edges = self._work.unit.edges(cube.id, kind=DERIVED, reverse=True)
            ids = [edge.source for edge in edges if edge.source not in self.generations and edge.source not in found]
            for start in range(0, len(ids), CHUNK):
                for record in self._known(ids[start : start + CHUNK]):
                    if any(pin.id == cube.id for pin in record.cube.parents):
                        found[record.cube.id] = None
                if len(found) >= wanted:
                    return list(found)[:wanted]
        return list(found)


def _kin(versions: list[Record], generation: int) -> Kin:
    last = versions[-1]
    revisions = {record.cube.content_hash: record.cube.revision for record in reversed(versions)}
    return Kin(cube=last.cube, generation=generation, revisions=revisions, deleted=last.known_to is not None)


def _annotated(held: Provenance, given: dict[str, Any]) -> Provenance:
    """``held`` with what is given now; links are added."""
    links = tuple(dict.fromkeys((*held.links, *given.get("links", ()))))
    if len(links) > LINKS_LIMIT:
        raise InvalidInput(f"the memory would have {len(links)} links; it keeps at most {LINKS_LIMIT}")
    return msgspec.structs.replace(held, **{**given, "links": links})


def _wanted(versions: list[Record], request: Restore, *, deleted: bool) -> MemCube:
    """The version to go back to."""
    last = versions[-1].cube
    if request.version is None:
        if not deleted:
            raise InvalidInput(f"memory {request.id!r} is not deleted; name the version to go back to")
        return last
    wanted = pick_version(versions, request.id, request.version).cube
    if wanted.version == last.version and not deleted:
        raise InvalidInput(f"memory {request.id!r} is at revision {last.revision} already; name an earlier one")
    return wanted
