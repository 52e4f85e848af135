"""What-if behind the door: a world is opened, and every call in it is decided on anew and recorded (5.4.3).

What is asked in a world is carried out by the same handlers as ever, on a unit that lies over one of the store. That
unit only reads, so nothing of it can reach the versions, the counters or the mutation log of the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from pymemos.cube.call import MemoryCall, Request
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import Compare
from pymemos.errors import EmbedderFailed, InvalidInput
from pymemos.infrastructure import vault
from pymemos.infrastructure.governance import Target
from pymemos.interface import handlers, requests
from pymemos.interface.api import Handler, Outcome, Tools, Work, operation
from pymemos.interface.lifecycle_handlers import Unfreeze, UnfreezeHandler
from pymemos.interface.time_machine import TICK, moment_of, spaces_of
from pymemos.interface.versions import answering, check_expected, current_record
from pymemos.operation.embedding import vectors_of
from pymemos.operation.hits import Hits
from pymemos.operation.what_if import World, imagined
from pymemos.ports import OverlaidUnit, ReadUnit, Vector

PAGE = 1_000  # memories that are looked at together


class OpenWorld(Request, frozen=True, kw_only=True, tag="what_if"):
    """Open a world as of a moment, of the one with a name, or of now."""

    moment: datetime | str | None = None


class InWorld(Request, frozen=True, kw_only=True, tag="in_what_if"):
    """Carry a request out in a world."""

    request: Request
    world: Any  # a World: it lives in this process and crosses no wire


class Changes(Request, frozen=True, kw_only=True, tag="changes"):
    """Read what a world changed."""


class Ready(NamedTuple):
    """What was made before the unit: by the handler of the request, and vectors that the world still lacks."""

    inner: Any
    vectors: list[tuple[MemCube, tuple[Vector, ...]]]


class OpenWorldHandler(Handler):
    """The store is only read; what stays of the call is its entry in the access log."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: OpenWorld = work.call.request  # type: ignore[assignment]
        if work.tools.new_overlay is None:
            raise InvalidInput("this system has nothing to keep the changes of a what-if in; pass new_overlay")
        if request.moment is None:  # between what was written last and what will be written next
            at = max([work.now - TICK, *(space.at for space in spaces_of(work))])
        else:
            at = moment_of(work, request.moment)
        world = World(at, work.tools.new_overlay(at), work.tools.searcher.forked())
        unit = world.overlay.over(work.unit)
        _follow(unit, work, at)
        _keep(world, unit, work.tools)
        return Outcome(result=world)


class ChangesHandler(Handler):
    """As values, of memories that the call may see: as they are in the world, or were in the store."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        altered = imagined(work.unit.altered())
        chosen = work.selection(Compare("id", "in", tuple(one.id for one in altered)))
        there = work.unit.page(chosen, limit=len(altered))
        before = work.unit.base.page(replace(chosen, known_at=work.now), limit=len(altered)) if altered else []
        visible = {record.cube.id for record in (*there, *before)}
        seen = tuple(one for one in altered if one.id in visible)
        return Outcome(result=seen, memories=tuple(one.id for one in seen))


class InWorldHandler(Handler):
    """Decides like the request itself would be, then carries it out on the world's unit, at the world's time."""

    def __init__(self, handlers: Mapping[type[Request], Handler]) -> None:
        self._handlers = handlers

    def prepare(self, call: MemoryCall, tools: Tools) -> Ready:
        inner, world = _inner(call), _world(call)
        if getattr(inner.request, "idempotency_key", None) is not None:
            raise InvalidInput("a what-if remembers no idempotency keys: it ends with its process; call without one")
        tools = _tools(tools, world)
        vectors = _lacking(tools, world) if isinstance(inner.request, requests.Search) else []
        return Ready(self._handler(inner).prepare(inner, tools), vectors)

    def seen(self, call: MemoryCall, unit: ReadUnit) -> ReadUnit:
        return _world(call).overlay.over(unit)

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        inner = _inner(call)
        return self._handler(inner).target(inner, self.seen(call, unit))

    def run(self, work: Work, prepared: Ready) -> Outcome:
        world = _world(work.call)
        with world.lock:
            unit = world.overlay.over(work.unit)
            _follow(unit, work, world.at)
            _embed(unit, prepared.vectors, world.at)
            inside = replace(work, unit=unit, call=_inner(work.call), now=world.at, tools=_tools(work.tools, world))
            outcome = self._carry_out(inside, prepared.inner)
            _keep(world, unit, work.tools)
        known = work.unit.keys_of(outcome.memories)  # what is made in a world has no name outside of it
        return Outcome(
            result=_told(outcome.result, world), memories=tuple(id for id in outcome.memories if id in known)
        )

    def _carry_out(self, work: Work, prepared: Any) -> Outcome:
        match work.call.request:
            case requests.Update() as request:
                work = _with(work, _thawed(work, request.id, request))
            case requests.Delete(id=str(id)) as request:
                work = _with(work, _thawed(work, id, request))
            case requests.Delete() as request:
                return self._delete_all(work, request)
        return self._handler(work.call).run(work, prepared)

    def _delete_all(self, work: Work, request: requests.Delete) -> Outcome:
        """One by one, newest first: a frozen one would be another one by the time that a filter looks at it."""
        selection = work.selection(request.where, episodes=True)
        page = work.unit.page(selection, limit=max(1, work.unit.count(selection)))
        ids = [record.cube.id for record in answering(work, request.where, page)]
        for id in reversed(ids):
            self._carry_out(_with(work, requests.Delete(id=id)), None)
        return Outcome(result=requests.Deleted(ids=tuple(ids)), memories=tuple(ids))

    def _handler(self, call: MemoryCall) -> Handler:
        handler = self._handlers.get(type(call.request))
        if handler is None:
            asked = operation(call.request) + (" through a view" if hasattr(call.request, "view") else "")
            raise InvalidInput(f"a what-if knows no {asked}; ask the store itself")
        return handler


HANDLERS: dict[type[Request], Handler] = {
    OpenWorld: OpenWorldHandler(),
    InWorld: InWorldHandler(
        {
            requests.Add: handlers.AddHandler(),
            requests.AddTensor: handlers.AddTensorHandler(),
            requests.Search: handlers.SearchHandler(),
            requests.Get: handlers.GetHandler(),
            requests.ListPage: handlers.ListHandler(),
            requests.Update: handlers.UpdateHandler(),
            requests.Delete: handlers.DeleteHandler(),
            requests.History: handlers.HistoryHandler(),
            requests.Diff: handlers.DiffHandler(),
            Changes: ChangesHandler(),
        }
    ),
}


def _inner(call: MemoryCall) -> MemoryCall:
    request: InWorld = call.request  # type: ignore[assignment]
    return replace(call, request=request.request)


def _world(call: MemoryCall) -> World:
    world: World = call.request.world  # type: ignore[attr-defined]
    return world


def _tools(tools: Tools, world: World) -> Tools:
    return replace(tools, searcher=world.searcher, clock=lambda: world.at)


def _with(work: Work, request: Request) -> Work:
    return replace(work, call=replace(work.call, request=request))


def _follow(unit: OverlaidUnit, work: Work, at: datetime) -> None:
    """Undo for the world what the store did since the moment, in whatever the call reaches."""
    reach = work.decision.namespaces
    for name in [space.name for space in unit.base.namespaces()] if reach is None else reach:
        carried = unit.follow(name)
        for record in unit.current(carried):
            vault.place(unit, record.cube, at)


def _keep(world: World, unit: OverlaidUnit, tools: Tools) -> None:
    world.overlay.keep(unit)
    if tools.embedder is not None:
        world.unembedded = tuple(unit.unembedded(tools.embedder.identity))


def _thawed(work: Work, id: str, request: Any) -> Any:
    """A frozen memory may change in a world: it is unfrozen there first, and the one in the store stays frozen."""
    cube = current_record(work, id).cube
    if not cube.header.governance.frozen:
        return request
    check_expected(cube, request.expected)
    UnfreezeHandler().run(_with(work, Unfreeze(id=id)), None)
    return replace(request, expected=None)


def _lacking(tools: Tools, world: World) -> list[tuple[MemCube, tuple[Vector, ...]]]:
    """Vectors of what has none in the world, such as a text that was appended to: there are no jobs in it."""
    if tools.embedder is None or not world.unembedded:
        return []
    cubes = world.unembedded
    try:
        return list(zip(cubes, vectors_of([cube.text for cube in cubes], tools.embedder), strict=True))
    except EmbedderFailed:
        return []


def _embed(unit: OverlaidUnit, vectors: list[tuple[MemCube, tuple[Vector, ...]]], at: datetime) -> None:
    current = {record.cube.version for record in unit.current([cube.id for cube, _ in vectors])}
    for cube, made in vectors:
        if cube.version in current:
            unit.advance(cube.namespace, at)
            unit.put_vectors(cube.id, made)


def _told(result: Any, world: World) -> Any:
    if not isinstance(result, Hits):
        return result
    reason = f"in a what-if: what was known at {world.at.isoformat()}, and what was changed there since"
    return Hits(list(result), terms=result.terms, decision=result.decision, reasons=(reason, *result.reasons))
