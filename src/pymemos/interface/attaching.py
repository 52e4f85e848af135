"""Attaching: the adapters for a question, loaded, confirmed at this use, and gated (4.1, 5.4.2)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymemos.cube.adapter import Manifest, manifest_of
from pymemos.cube.call import Caller, MemoryCall, Request, Scope
from pymemos.cube.cube import Parent
from pymemos.cube.filters import Filter
from pymemos.errors import AdapterRefused, MissingBlob
from pymemos.interface.adapters import Attach, FindAdapters, Held, Unused, Usable
from pymemos.interface.training import SYSTEM
from pymemos.operation.costs import Form
from pymemos.operation.distilling.routing import Candidate, Route, kept_closed, routed
from pymemos.operation.swapping import Part
from pymemos.ports import Adapter, Tokens, Tuner, Utterance

if TYPE_CHECKING:
    from pymemos.interface.api import MemoryAPI, Tools

LOADED: Final = 512_000_000  # bytes of adapters that are kept in memory (ours)
READ: Final = 1_000  # manifests that are kept in memory (ours)
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
    parts: tuple[Part, ...] = ()  # those of the caller's own, as they lie in memory


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
        self._loaded: OrderedDict[str, Adapter] = OrderedDict()  # by blob
        self._manifests: OrderedDict[str, Manifest] = OrderedDict()  # by blob: which adapter knows whom
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
        texts: Collection[str] = (),
        limit: int = 1,
        sought: Filter | None = None,
    ) -> Routing:
        """The adapters that know whom a question names, before there is a prompt for it; ``texts`` are the hits'.

        With ``sought``, those alone that learned from nothing which this filter, or the scope, leaves out.
        """
        _, tuner = self._tools.tuner.needed()
        held: Held = self._dispatch(who, FindAdapters(sought=sought))
        unused = list(held.unused)
        known = self._known(held.usable, unused)
        candidates = [_candidate(id, manifest) for id, (_, manifest) in known.items()]
        unused += [Unused(id, why) for id, why in kept_closed(question, candidates, texts=texts)]
        while True:
            left = [one for one in candidates if one.id in known]
            found = routed(question, left, hits=hits, texts=texts, limit=limit)
            chosen = self._chosen(tuner, [route.id for route in found], known, unused)
            if len(chosen) == len(found):  # else one cannot be read, and gives its place to the next
                break
        self._let_go()
        return Routing(question=question, routes=found, chosen=chosen, unused=tuple(unused), others=held.others)

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
            parts=tuple(
                Part(route.id, of.chosen[route.id][0].blob, of.chosen[route.id][1].adapter.nbytes, Form.ADAPTER)
                for route, use in used.items()
                if use is not None and of.chosen[route.id][0].namespace == who[0].namespace
            ),
        )

    def bring(self, who: Who, id: str) -> bool:
        """Load an adapter before it is asked for; False where others would have to leave for it.

        Raises AdapterRefused where it may not be used, or cannot be read.
        """
        _, tuner = self._tools.tuner.needed()
        held: Held = self._dispatch(who, FindAdapters())
        one = next((one for one in held.usable if one.id == id), None)
        if one is None:
            raise AdapterRefused(next((one.reason for one in held.unused if one.id == id), "it is there no more"))
        self._read(tuner, one.blob)
        with self._lock:
            if sum(other.nbytes for other in self._loaded.values()) > self._room:
                self._loaded.pop(one.blob, None)
            return one.blob in self._loaded

    def holds(self, blob: str) -> bool:
        """Whether an adapter lies in memory."""
        with self._lock:
            return blob in self._loaded

    def detach(self, blobs: Iterable[str]) -> None:
        """Take adapters out of memory; an answer that is being made with one keeps it to its end."""
        with self._lock:
            for blob in blobs:
                self._loaded.pop(blob, None)

    def _known(self, usable: Sequence[Usable], unused: list[Unused]) -> dict[str, tuple[Usable, Manifest]]:
        """The adapters whose files say what they know, by id; of the others it is noted why not."""
        found = {}
        for one in usable:
            try:
                found[one.id] = (one, self._manifest(one.blob))
            except (AdapterRefused, MissingBlob) as error:
                unused.append(Unused(one.id, str(error)))
        return found

    def _chosen(
        self, tuner: Tuner, ids: Sequence[str], known: dict[str, tuple[Usable, Manifest]], unused: list[Unused]
    ) -> dict[str, tuple[Usable, _Loaded]]:
        """Some adapters, loaded; one that cannot be is known no more, and it is noted why."""
        chosen = {}
        for id in ids:
            usable, manifest = known[id]
            try:
                chosen[id] = (usable, _Loaded(manifest, self._read(tuner, usable.blob)))
            except (AdapterRefused, MissingBlob) as error:
                unused.append(Unused(id, str(error)))
                del known[id]
        return chosen

    def _manifest(self, blob: str) -> Manifest:
        with self._lock:
            if blob in self._manifests:
                self._manifests.move_to_end(blob)
                return self._manifests[blob]
        manifest = manifest_of(self._tools.blobs.open_whole(blob))
        with self._lock:
            self._manifests[blob] = manifest
            while len(self._manifests) > READ:
                self._manifests.popitem(last=False)
        return manifest

    def _read(self, tuner: Tuner, blob: str) -> Adapter:
        with self._lock:
            if blob in self._loaded:
                self._loaded.move_to_end(blob)
                return self._loaded[blob]
        adapter = tuner.open(self._tools.blobs.open_whole(blob))
        with self._lock:
            self._loaded[blob] = adapter
        return adapter

    def _let_go(self) -> None:
        """Drop those that were used longest ago, where there is no room, and those whose file is gone."""
        with self._lock:
            while len(self._loaded) > 1 and sum(one.nbytes for one in self._loaded.values()) > self._room:
                self._loaded.popitem(last=False)

    def forget(self) -> None:
        """Drop everything from memory whose file is no longer stored."""
        with self._lock:
            gone = [blob for blob in {*self._loaded, *self._manifests} if not self._is_stored(blob)]
            for blob in gone:
                self._loaded.pop(blob, None)
                self._manifests.pop(blob, None)

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
    told = {fact.source for fact in (*manifest.facts, *manifest.backward.facts) if fact.subject in subjects}
    return [
        Parent(id=one.id, version=one.version, content_hash=one.content_hash)
        for one in manifest.sources
        if one.id in told
    ]


def _candidate(id: str, manifest: Manifest) -> Candidate:
    back = manifest.backward.facts
    return Candidate(
        id=id,
        gates=manifest.opens,
        sources=tuple(source.id for source in manifest.sources),
        learned=tuple((fact.subject, fact.relation, fact.source) for fact in (*manifest.facts, *back)),
        answers={(fact.subject.casefold(), fact.relation): fact.object for fact in back},
    )
