"""Views behind the door: compose one, and search or list through it under the rights of whoever reads (ADR 0027)."""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import Any

import msgspec

from pymemos.cube.call import MemoryCall, Request
from pymemos.cube.cube import MemCube
from pymemos.cube.header import Descriptive, Governance, SemanticType, Stage
from pymemos.cube.ids import is_id
from pymemos.errors import InvalidInput, StaleVersion, UnknownMemory
from pymemos.infrastructure import vault
from pymemos.infrastructure.governance import Target
from pymemos.infrastructure.vault import Draft
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.handlers import ListHandler, SearchHandler, look
from pymemos.interface.provenance import Changing
from pymemos.interface.requests import ListPage, Search
from pymemos.interface.sources import may_read
from pymemos.interface.versions import check_editable, check_expected, check_written, manifest
from pymemos.operation import views
from pymemos.operation.retrieval.question import Found, Vectors
from pymemos.operation.views import Parts, View
from pymemos.ports import ReadUnit, Record

_NAMED = "view:"  # with its name behind it: the source of a view, by which the index on sources finds it


class Compose(Request, frozen=True, kw_only=True, tag="compose"):
    """Keep a view under a name, as the next version where there is one of that name."""

    name: str
    ids: tuple[str, ...] = ()
    namespaces: tuple[str, ...] | None = None  # None: one's own, where a filter is all that is said
    where: dict[str, Any] | None = None
    expected: int | str | None = None
    idempotency_key: str | None = None


class SearchView(Search, frozen=True, kw_only=True, tag="search"):
    """Find the memories of a view that answer a question."""

    view: str  # its id, or its name among one's own


class ListView(ListPage, frozen=True, kw_only=True, tag="list"):
    """Read the memories of a view in order of their ids, a page at a time."""

    view: str


def through(request: Search | ListPage, view: str) -> SearchView | ListView:
    """The request, of a view."""
    asked = {name: getattr(request, name) for name in request.__struct_fields__}
    return SearchView(view=view, **asked) if isinstance(request, Search) else ListView(view=view, **asked)


class ComposeHandler(Changing):
    """What it shows is decided when it is read; what it names must be there for whoever composes it."""

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        return Target(namespaces=() if call.scope.namespace is None else (call.scope.namespace,))

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Compose = work.call.request  # type: ignore[assignment]
        namespace = work.call.scope.namespace or work.call.caller.namespace
        own = () if request.where is None else (namespace,)
        named = own if request.namespaces is None else request.namespaces
        view = View(name=request.name, namespaces=named, where=request.where, ids=request.ids)
        _check_members(work, view)
        held = _named(work.unit, namespace, view.name)
        if held is None and request.expected is not None:
            raise StaleVersion(f"there is no view {view.name!r} yet; compose it without expected")
        if held is None:
            return self.written(work, _first(work, namespace, view))
        check_written(work, [held])
        check_expected(held, request.expected)
        check_editable(held)
        return self.written(work, held if held.payload == view.payload() else _next(work, held, view))


class _Reading:
    """How a request reaches what a view shows: no further than the reader may go without it, at the time of reading."""

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        """The view, and of its namespaces those that are open to the reader; a view that is closed to it is unknown."""
        cube = _view(unit, call)
        if cube is None:
            return Target(memory=call.request.view)  # type: ignore[attr-defined]
        names = tuple(dict.fromkeys([cube.namespace, *(name for name, _ in _parts(unit, cube))]))
        if call.caller.steward or call.caller.system:
            return Target(namespaces=names, memory=cube.id)
        return Target(namespaces=(cube.namespace,), memory=cube.id, readable=True, among=names)


class SearchViewHandler(_Reading, SearchHandler):
    """A look at each namespace of the view, ranked as one."""

    def found(self, work: Work) -> Found:
        request: SearchView = work.call.request  # type: ignore[assignment]
        vectors: Vectors = {}
        looks = [
            look(work, views.both(request.where, condition), (name,), vectors) for name, condition in _reachable(work)
        ]
        return views.as_one(looks, request.limit)


class ListViewHandler(_Reading, ListHandler):
    """The namespaces of the view side by side, in order of the ids."""

    def records(self, work: Work, limit: int) -> list[Record]:
        request: ListView = work.call.request  # type: ignore[assignment]
        pages = [
            self.page(work, views.both(request.where, condition), limit, (name,))
            for name, condition in _reachable(work)
        ]
        return list(islice(merge(*pages, key=lambda record: record.cube.id), limit))


def _view(unit: ReadUnit, call: MemoryCall) -> MemCube | None:
    """The memory that a request names as its view, by id or by name; None where there is none."""
    named: str = call.request.view  # type: ignore[attr-defined]
    if not is_id(named):
        return None if call.scope.namespace is None else _named(unit, call.scope.namespace, named)
    records = unit.current([named])
    return records[0].cube if records else None


def _named(unit: ReadUnit, namespace: str, name: str) -> MemCube | None:
    """The view of a name in a namespace; of several, as after a restore, the latest."""
    source = _NAMED + name
    found = unit.current(unit.by_source(namespace, None, [source]).get(source, []))
    return next((record.cube for record in reversed(found) if record.cube.is_view), None)


def _parts(unit: ReadUnit, cube: MemCube) -> Parts:
    if not cube.is_view:
        return ()
    view = View.of(cube)
    owners = {id: owner for id in view.ids if (owner := unit.owner_of(id)) is not None}
    return views.parts(view, owners)


def _reachable(work: Work) -> Parts:
    """The parts of the view that were decided to be the reader's to see."""
    cube = _view(work.unit, work.call)
    if cube is None or cube.stage_at(work.now) is Stage.EXPIRED:
        raise UnknownMemory
    View.of(cube)
    reach = work.decision.namespaces
    return tuple(part for part in _parts(work.unit, cube) if reach is None or part[0] in reach)


def _check_members(work: Work, view: View) -> None:
    """Every memory that is named must be there for the caller: whether it is elsewhere is not told."""
    current = {record.cube.id: record.cube for record in work.unit.current(view.ids)}
    for id in view.ids:
        cube = current.get(id)
        if cube is None or not may_read(work, cube):
            raise UnknownMemory(f"memory {id!r} is deleted or unknown; a view names what is there")
        if cube.is_manifest:
            raise InvalidInput(f"memory {id!r} is {manifest(cube)}; name its members")


def _first(work: Work, namespace: str, view: View) -> MemCube:
    cube = MemCube.make(
        id=work.tools.new_id(work.now),
        salt=work.tools.new_salt(),
        descriptive=Descriptive(
            created=work.now,
            updated=work.now,
            semantic_type=SemanticType.VIEW,
            cause="compose",
            author=work.call.caller.name,
            source_ids=(_NAMED + view.name,),
            role=work.call.caller.role,
            task=work.call.caller.task,
        ),
        governance=Governance(owner=namespace, namespace=namespace),
        payload=view.payload(),
    )
    check_written(work, [cube])
    vault.write_turns(work.unit, [Draft(cube=cube)], work.now)
    return cube


def _next(work: Work, held: MemCube, view: View) -> MemCube:
    said = msgspec.structs.replace(
        held.header.descriptive, updated=work.now, cause="compose", author=work.call.caller.name
    )
    newer = held.derive(descriptive=said, payload=view.payload())
    check_written(work, [newer])
    vault.supersede(work.unit, Draft(cube=newer), work.now)
    return newer


HANDLERS: dict[type[Request], Handler] = {
    Compose: ComposeHandler(),
    SearchView: SearchViewHandler(),
    ListView: ListViewHandler(),
}
