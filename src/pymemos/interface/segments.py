"""Segments: the KV memories of a store as values, in step with it, and whether a caller may use them now (4.1)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pymemos.cube.call import Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import Compare
from pymemos.cube.header import Stage
from pymemos.cube.payload import Activation, ModelRef
from pymemos.cube.segment import EXACT, SegmentAbout, SegmentSource
from pymemos.cube.wire import digest, encode
from pymemos.errors import MissingBlob
from pymemos.interface.api import Work
from pymemos.interface.rights import is_open
from pymemos.interface.sources import marked, sources_of
from pymemos.operation.lineage import is_over
from pymemos.operation.prefixes import PrefixTree, Segment
from pymemos.ports import Finding, ReadUnit, Tokens

KV = "kv"
CLOSED = "it is not open to the caller"  # never told: who may not read a segment does not learn of it
PAGE = 1_000  # memories that are read together when an index is made
TOKENS_KNOWN = 1_000_000  # token ids of segments that are remembered, so that one that differs later can be cut
_EMPTY = PrefixTree()
_ACTIVATION = Compare("kind", "eq", "activation")

Changed = Callable[[MemCube], None]
Left = Callable[[str, Container[str]], None]


def segment_of(cube: MemCube) -> Segment | None:
    """The segment that a memory keeps; None where it keeps none, or one of which too little is known to use it."""
    payload = cube.payload
    if not isinstance(payload, Activation) or payload.form != KV:
        return None
    start, length, before, through = payload.start, payload.tokens, payload.before, payload.through
    if start is None or not length or before is None or through is None:
        return None
    return Segment(
        id=cube.id,
        blob=payload.blob,
        start=start,
        length=length,
        before=before,
        through=through,
        form=payload.encoding or EXACT,
        size=payload.size,
        namespace=cube.namespace,
        version=cube.version,
        source=cube.parents[-1].id if cube.parents else None,
    )


def about_of(cube: MemCube) -> SegmentAbout:
    """What the file of a segment has to say of itself, from the memory that keeps it."""
    payload = cube.payload
    assert isinstance(payload, Activation)  # noqa: S101 (the caller has a segment of it)
    return SegmentAbout(
        namespace=cube.namespace,
        sources=tuple(SegmentSource(pin.id, pin.version, pin.content_hash) for pin in cube.parents),
        prefix=payload.prefix,
        prefix_tokens=payload.before,
        form=payload.encoding or EXACT,
    )


def seal_of(namespace: str, payload: Activation, sources: Sequence[SegmentSource], key: bytes) -> str:
    """What only this instance can write of a segment: nobody else's numbers get into a model by a memory's name."""
    named = [namespace, payload.blob, payload.start, payload.tokens, payload.before, payload.through, payload.encoding]
    return digest(encode([*named, payload.prefix, payload.model, sources]), key=key)


def is_sealed(cube: MemCube, key: bytes) -> bool:
    """Whether this instance encoded the segment of a memory."""
    payload = cube.payload
    return isinstance(payload, Activation) and payload.seal == seal_of(
        cube.namespace, payload, about_of(cube).sources, key
    )


class _Known(NamedTuple):
    """The segments of a namespace as they were at a seq; ``others`` counts those of other models."""

    seq: int
    tree: PrefixTree
    others: frozenset[str] = frozenset()


class SegmentIndex:
    """The prefix trees of namespaces in memory, brought forward to the snapshot of whoever asks.

    It is told everything by a unit, so what another process erased is noticed at the next use. ``on_changed`` is told
    every memory of a segment that is new or was changed, ``on_left`` the ids of all that are left in a namespace.
    """

    def __init__(self) -> None:
        self._ref: ModelRef | None = None  # until there is a model, every segment is one of another
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._tokens: OrderedDict[str, Tokens] = OrderedDict()
        self.on_left: Left = lambda namespace, ids: None
        self.on_changed: Changed = lambda cube: None

    def use(self, ref: ModelRef) -> None:
        """From now on, the segments of this model."""
        with self._lock:
            self._ref = ref
            self._known.clear()

    def at(self, unit: ReadUnit, namespace: str) -> PrefixTree:
        """The segments of a namespace that were made by this model; it may know some that are newer than the unit."""
        stamp = unit.namespace(namespace)
        with self._lock:
            known = self._known.get(namespace)
            if stamp is None or (known is not None and known.seq >= stamp.seq):
                return _EMPTY if known is None else known.tree
            if known is None or known.seq < stamp.wiped:  # what is erased is not told as a change
                cubes, gone = _every(unit, namespace), set() if known is None else set(known.tree.segments)
            else:
                ids = [id for _, id in unit.touched(namespace, since=known.seq)]
                cubes, gone = [record.cube for record in unit.current(ids)], set(ids)
            return self._forward(namespace, stamp.seq, cubes, gone)

    def others(self, namespace: str) -> int:
        """How many segments of other models there are in a namespace."""
        with self._lock:
            known = self._known.get(namespace)
            return 0 if known is None else len(known.others)

    def follow(self, unit: ReadUnit, namespaces: Iterable[str] = ()) -> None:
        """Bring everything forward that is in memory, so that what was erased is let go of."""
        for namespace in {*self._known, *namespaces}:
            self.at(unit, namespace)

    def learn(self, segment: Segment, tokens: Tokens) -> None:
        """Remember the tokens of a segment that were seen to be its own."""
        with self._lock:
            known = self._known.get(segment.namespace)
            if known is None or segment.id in self._tokens or segment.id not in known.tree.segments:
                return
            self._tokens[segment.id] = tokens
            told = msgspec.structs.replace(known.tree.segments[segment.id], tokens=tokens)
            self._known[segment.namespace] = known._replace(tree=known.tree.changed([told]))
            while sum(map(len, self._tokens.values())) > TOKENS_KNOWN:
                self._tokens.popitem(last=False)

    def _forward(self, namespace: str, seq: int, cubes: Sequence[MemCube], gone: set[str]) -> PrefixTree:
        """The tree with some memories as they are now; of ``gone`` those that are not among them are no more."""
        known = self._known.get(namespace, _Known(0, _EMPTY))
        own, others = [], set(known.others) - gone
        for cube in cubes:
            segment = segment_of(cube)
            if segment is None:
                continue
            if isinstance(cube.payload, Activation) and cube.payload.model != self._ref:
                others.add(cube.id)
                continue
            own.append(msgspec.structs.replace(segment, tokens=self._tokens.get(cube.id)))
            self.on_changed(cube)
        dropped = gone - {one.id for one in own}
        tree = known.tree
        if own or not dropped.isdisjoint(tree.segments):
            tree = tree.changed(own, dropped)
        self._known[namespace] = _Known(seq, tree, frozenset(others))
        for id in dropped:
            self._tokens.pop(id, None)
        self.on_left(namespace, tree.segments)
        return tree


def _every(unit: ReadUnit, namespace: str | None) -> list[MemCube]:
    """All activation memories of a namespace, or of the store."""
    names = None if namespace is None else (namespace,)
    asked, after, found = Selection(namespaces=names, where=_ACTIVATION), None, []
    while page := unit.page(asked, limit=PAGE, after=after):
        found += [record.cube for record in page]
        after = page[-1].cube.id
    return found


def segments_finding(work: Work) -> Finding:
    """Whether the file of every KV memory is there with the size that it was stored with; bytes are not read."""
    found = [one for cube in _every(work.unit, None) if (one := segment_of(cube)) is not None]
    wrong = [one.id for one in found if _size_of(work, one) != one.size]
    size = sum(one.size for one in found)
    detail = f"{len(found):,} segments, {size:,} bytes"
    if wrong:
        detail = (
            f"{len(wrong):,} of {detail} are not whole, such as {', '.join(wrong[:3])}; 'pymemos kv verify' says why"
        )
    return Finding(check="KV segments", ok=not wrong, detail=detail)


def _size_of(work: Work, segment: Segment) -> int | None:
    try:
        return len(work.tools.blobs.open(segment.blob))
    except MissingBlob:
        return None


def judged(work: Work, segments: Sequence[Segment]) -> dict[str, str]:
    """Why segments may not be used by the caller, by id; those that may be are not in it. In the unit's snapshot."""
    ids = list(dict.fromkeys(one.id for one in segments))
    found = {record.cube.id: record.cube for record in work.unit.current(ids)}
    served = {cube.id: cube for cube in marked(work, list(found.values()))}
    sources = sources_of(work, served.values()).cubes
    veiled = {id for id, cube in sources.items() if work.veil.hides(cube)}
    open_ids = _open(work, served.values())
    reasons = {
        one.id: CLOSED
        if one.id in served and one.id not in open_ids
        else _reason(work, served.get(one.id), one, sources, veiled)
        for one in segments
    }
    return {id: reason for id, reason in reasons.items() if reason}


def _open(work: Work, cubes: Iterable[MemCube]) -> set[str]:
    """The ids of those that the call may show, as it may all of their sources (see ``Work.serves``).

    In a chain each segment has the sources of the one before, so that the last one answers for all of them.
    """
    found: set[str] = set()
    seen: list[tuple[str, frozenset[str]]] = []
    for cube in sorted(cubes, key=lambda one: -len(one.parents)):
        pins = frozenset(pin.id for pin in cube.parents)
        known = any(home == cube.namespace and pins <= more for home, more in seen)
        if not work.decision.admits(cube) or not (known or is_open(work.unit, work.of, cube)):
            continue
        found.add(cube.id)
        if not known:
            seen.append((cube.namespace, pins))
    return found


def _reason(
    work: Work, cube: MemCube | None, segment: Segment, sources: Mapping[str, MemCube], veiled: set[str]
) -> str:
    if cube is None:
        return "it was deleted or erased"
    now = segment_of(cube)
    if now is None or msgspec.structs.replace(segment, tokens=None, version="") != msgspec.structs.replace(
        now, version=""
    ):
        return "its memory was changed"
    if not is_sealed(cube, work.tools.key):
        return "it was not encoded by this instance; encode it again"
    if is_over(cube, work.now):
        return "it has expired"
    if cube.stage_at(work.now) is Stage.ARCHIVED:
        return "it is archived; activate it to use it again"
    if cube.stale:
        return f"it is stale: {'; '.join(map(str, cube.stale[:3]))}"
    if work.veil.hides(cube) or (veiled and _above(cube, sources) & veiled):
        return "something in its sources is hidden from the caller, who reads their text without it"
    return ""


def _above(cube: MemCube, sources: Mapping[str, MemCube]) -> set[str]:
    """The ids of everything that a memory was made from, as far as it is known."""
    found: set[str] = set()
    waiting = [pin.id for pin in cube.parents]
    while waiting:
        id = waiting.pop()
        if id not in found:
            found.add(id)
            waiting += [pin.id for pin in sources[id].parents] if id in sources else []
    return found
