"""Attaching: the adapters for a question, loaded, confirmed at this use, and gated (4.1, 5.4.2)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymemos.cube.adapter import Manifest, manifest_of
from pymemos.cube.call import Caller, MemoryCall, Request, Scope
from pymemos.cube.cube import Parent
from pymemos.cube.filters import Filter
from pymemos.errors import AdapterRefused, MissingBlob
from pymemos.interface.adapters import Attach, FindAdapters, Held, Unused, Usable
from pymemos.interface.training import SYSTEM
from pymemos.operation.distilling.routing import Candidate, Route, kept_closed, routed
from pymemos.ports import Adapter, Tokens, Tuner, Utterance

if TYPE_CHECKING:
    from pymemos.interface.api import MemoryAPI, Tools

LOADED: Final = 512_000_000  # bytes of adapters that are kept in memory (ours)
Who = tuple[Caller, Scope]


class Attached(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A prompt and the adapters for it: pass ``adapters`` to the engine's ``run`` with ``tokens``.

    They act from the named subject on, and end with the answer. ``unused`` says which stayed out, and why.
    """

    tokens: Tokens
    adapters: tuple[Any, ...] = ()
    routes: tuple[Route, ...] = ()
    unused: tuple[Unused, ...] = ()
    others: int = 0  # adapters of other models
    pins: tuple[Parent, ...] = ()  # the versions of the adapters that are used
    learned: tuple[Parent, ...] = ()  # everything that these learned of the named subjects, as it was learned


class _Loaded(msgspec.Struct, frozen=True, eq=False):
    manifest: Manifest
    adapter: Adapter


class Routing(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The adapters for a question, as they were found: ``chosen`` by id, each loaded; not yet confirmed for a use."""

    question: str
    routes: tuple[Route, ...] = ()
    chosen: dict[str, tuple[Usable, _Loaded]] = {}
    unused: tuple[Unused, ...] = ()
    others: int = 0

    def without(self) -> Routing:
        """The same when none of them is used."""
        return msgspec.structs.replace(self, routes=(), chosen={})


class Attacher:
    """Finds, loads and confirms adapters; those used last stay in memory."""

    def __init__(self, api: MemoryAPI, tools: Tools, *, room: int = LOADED) -> None:
        self._api, self._tools, self._room = api, tools, room
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()  # by blob
        self._lock = threading.Lock()

    def attach(
        self,
        who: Who,
        question: str,
        *,
        tokens: Tokens | None = None,
        hits: Collection[str] | None = None,
        limit: int = 1,
    ) -> Attached:
        """The adapters for the prompt ``tokens``, which ends with the question; without one, a prompt of it alone."""
        engine, _ = self._tools.tuner.needed()
        if tokens is None:
            tokens = engine.prompt(SYSTEM, (), [Utterance("user", question)]).tokens
        return self.gated(who, self.routes(who, question, hits=hits, limit=limit), tokens)

    def routes(
        self,
        who: Who,
        question: str,
        *,
        hits: Collection[str] | None = None,
        limit: int = 1,
        sought: Filter | None = None,
    ) -> Routing:
        """The adapters that know whom a question names, before there is a prompt for it.

        With ``sought``, those alone that learned from nothing which this filter, or the scope, leaves out.
        """
        _, tuner = self._tools.tuner.needed()
        held: Held = self._dispatch(who, FindAdapters(sought=sought))
        unused = list(held.unused)
        known = self._known(tuner, held.usable, unused)
        candidates = [_candidate(id, one.manifest) for id, (_, one) in known.items()]
        unused += [Unused(id, why) for id, why in kept_closed(question, candidates)]
        found = routed(question, candidates, hits=hits, limit=limit)
        return Routing(
            question=question,
            routes=found,
            chosen={route.id: known[route.id] for route in found},
            unused=tuple(unused),
            others=held.others,
        )

    def gated(self, who: Who, of: Routing, tokens: Tokens) -> Attached:
        """Confirm the adapters of a routing at this use, and lay their gates over a prompt."""
        if not of.routes:
            return Attached(tokens=tokens, unused=of.unused, others=of.others)
        _, tuner = self._tools.tuner.needed()
        chosen = tuple(usable for usable, _ in of.chosen.values())
        kept: Sequence[str] = self._dispatch(who, Attach(adapters=chosen))
        late = [Unused(one.id, "it was changed, or taken away, meanwhile") for one in chosen if one.id not in kept]
        used = {
            route: tuner.gated(of.chosen[route.id][1].adapter, tokens, of.question, route.gates)
            for route in of.routes
            if route.id in kept
        }
        return Attached(
            tokens=tokens,
            adapters=tuple(use for use in used.values() if use is not None),
            routes=tuple(route for route, use in used.items() if use is not None),
            unused=(*of.unused, *late),
            others=of.others,
            pins=tuple(_pin(of.chosen[route.id][0]) for route, use in used.items() if use is not None),
            learned=tuple(
                pin
                for route, use in used.items()
                if use is not None
                for pin in _learned(of.chosen[route.id][1].manifest, route.subjects)
            ),
        )

    def _known(self, tuner: Tuner, usable: Sequence[Usable], unused: list[Unused]) -> dict[str, tuple[Usable, _Loaded]]:
        """The adapters that can be read, by id; of the others it is noted why not."""
        found = {}
        for one in usable:
            try:
                found[one.id] = (one, self._read(tuner, one.blob))
            except (AdapterRefused, MissingBlob) as error:
                unused.append(Unused(one.id, str(error)))
        self._let_go()
        return found

    def _read(self, tuner: Tuner, blob: str) -> _Loaded:
        with self._lock:
            if blob in self._loaded:
                self._loaded.move_to_end(blob)
                return self._loaded[blob]
        file = self._tools.blobs.open_whole(blob)
        one = _Loaded(manifest_of(file), tuner.open(file))
        with self._lock:
            self._loaded[blob] = one
        return one

    def _let_go(self) -> None:
        """Drop those that were used longest ago, where there is no room, and those whose file is gone."""
        with self._lock:
            while len(self._loaded) > 1 and sum(one.adapter.nbytes for one in self._loaded.values()) > self._room:
                self._loaded.popitem(last=False)

    def forget(self) -> None:
        """Drop everything from memory whose file is no longer stored."""
        with self._lock:
            gone = [blob for blob in self._loaded if not self._is_stored(blob)]
            for blob in gone:
                del self._loaded[blob]

    def _is_stored(self, blob: str) -> bool:
        try:
            self._tools.blobs.open(blob)
        except MissingBlob:
            return False
        return True

    def _dispatch(self, who: Who, request: Request) -> Any:
        caller, scope = who
        return self._api.dispatch(MemoryCall(caller=caller, request=request, scope=scope))


def _pin(one: Usable) -> Parent:
    return Parent(id=one.id, version=one.version, content_hash=one.content_hash)


def _learned(manifest: Manifest, subjects: Collection[str]) -> list[Parent]:
    """The memories that told an adapter of some subjects: its gate opens for all that it knows of them."""
    told = {fact.source for fact in manifest.facts if fact.subject in subjects}
    return [
        Parent(id=one.id, version=one.version, content_hash=one.content_hash)
        for one in manifest.sources
        if one.id in told
    ]


def _candidate(id: str, manifest: Manifest) -> Candidate:
    return Candidate(
        id=id,
        gates=manifest.opens,
        sources=tuple(source.id for source in manifest.sources),
        learned=tuple((fact.subject, fact.relation, fact.source) for fact in manifest.facts),
    )
