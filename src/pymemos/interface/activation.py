"""The requests on KV memories: what is encoded, kept, found, confirmed at each use, and told of one (4.1, 5.4.2).

Slow work (computing, reading and writing files) is done between these calls and never inside them; whatever may have
changed meanwhile is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pymemos.cube.call import MemoryCall, Request
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.header import Descriptive, Governance, Origin, Priority, Provenance, SemanticType
from pymemos.cube.payload import Activation, Plaintext
from pymemos.cube.policy import Action
from pymemos.cube.segment import EXACT, SegmentAbout, SegmentSource
from pymemos.errors import InvalidInput, ModelError, SensitiveText, StaleMemory, StaleVersion, UnknownMemory
from pymemos.infrastructure import vault
from pymemos.infrastructure.governance import Target
from pymemos.infrastructure.privacy.scanning import scan
from pymemos.infrastructure.vault import Draft
from pymemos.interface.api import Handler, Outcome, Tools, Work
from pymemos.interface.giving_up import with_decisions
from pymemos.interface.kv_pool import Keeping
from pymemos.interface.letting_in import Places, joined, let_in
from pymemos.interface.requests import Labels, Pin
from pymemos.interface.segments import CLOSED, SegmentIndex, about_of, held_by, judged, seal_of
from pymemos.interface.sources import marked, may_read, pinned
from pymemos.interface.versions import OnMemory, check_written, living_record, manifest
from pymemos.operation.decisions import FormDecision
from pymemos.operation.lineage import is_over
from pymemos.operation.prefixes import Link, Refused, Segment, chain
from pymemos.ports import ReadUnit, Tokens

SYSTEM = "system"  # the metadata of a segment that begins a prompt: the text that stands there
NO_ENGINE = "there is no local model whose caches memory can reach; pass engine=, or name one in the settings"

# ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────


class ReadSources(Request, frozen=True, kw_only=True, tag="read_sources"):
    """Read the memories that are going to be encoded, in their order."""

    ids: tuple[str, ...]


class NewSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment whose file is stored: the payload without its seal, and everything that stands in or before it."""

    payload: Activation
    sources: tuple[SegmentSource, ...]
    system: str | None = None  # the text at the beginning of a prompt, for the segment that begins with it


class Encode(Request, frozen=True, kw_only=True, tag="encode"):
    """Keep segments as activation memories, in their order; all of them or none.

    ``since`` is the seq of the namespace at which it was looked for what is stored already: what came behind that is
    not kept twice.
    """

    segments: tuple[NewSegment, ...]
    since: int
    labels: Labels = Labels()
    decisions: tuple[FormDecision, ...] = ()  # of the scheduler, by which they are made
    provenance: Provenance | None = None  # by which pathway they came about


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """Notes as they would stand in a prompt: digests of its beginning, and of each note's own tokens."""

    recipe: str  # by which they were encoded
    head: str
    notes: tuple[str, ...]  # in the order of the request's notes


class FindSegments(Request, frozen=True, kw_only=True, tag="find_segments"):
    """Find the stored beginning of a prompt; ``notes`` are the memories that stand in it.

    Without ``tokens`` only what was encoded apart is looked for.
    """

    tokens: Tokens
    notes: tuple[SegmentSource, ...] = ()
    exact_only: bool = False
    apart: Apart | None = None  # notes that may come from segments which were encoded apart


class Inject(Request, frozen=True, kw_only=True, tag="inject"):
    """Say that segments are about to be used: which of them still may be, as of now."""

    segments: tuple[Segment, ...]
    notes: tuple[SegmentSource, ...] = ()
    loose: tuple[Segment, ...] = ()  # that were encoded apart: each stands for itself


class FallBack(Request, frozen=True, kw_only=True, tag="kv_fallback"):
    """Record that segments which are stored were not used, and their text was read instead."""

    ids: tuple[str, ...]
    notes: tuple[SegmentSource, ...] = ()


class Segments(Request, frozen=True, kw_only=True, tag="segments"):
    """Read a segment, with everything that stands before it, to load or verify it, or before it leaves memory."""

    id: str


# ── What they give ──────────────────────────────────────────────────────────────────────────────────────────────────


class Usable(msgspec.Struct, frozen=True, kw_only=True):
    """A link of a chain, what its file has to say, and how it is to be kept in memory."""

    link: Link
    about: SegmentAbout
    keeping: Keeping


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The stored beginning of a prompt, and what of it may not be used; ``others`` are segments of other models."""

    links: tuple[Usable, ...] = ()
    refused: tuple[Refused, ...] = ()
    others: int = 0
    loose: dict[str, Usable] = {}  # by the memory whose text each holds
    seq: int = 0  # of the caller's own namespace, at which it was looked


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """How many segments of a chain may be used, why no more, and which notes no longer say what is in the prompt."""

    kept: int
    refused: tuple[Refused, ...] = ()
    changed: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()  # the ids of loose segments that may not be used


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A segment with what stands before it: its chain (None: broken), and the memories whose text it holds in order."""

    cube: MemCube
    chain: tuple[Usable, ...] | None
    sources: tuple[MemCube, ...]
    system: str | None
    reason: str  # why it may not be used, or nothing


# ── Handlers ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Across(Handler):
    """A handler that looks in the caller's own namespace and wherever the memories live that the call names."""

    def named(self, request: Any) -> Sequence[str]:
        """The ids that a request names."""
        return [note.id for note in request.notes]

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        own = call.scope.namespace or call.caller.namespace
        homes = [home for id in self.named(call.request) if (home := unit.owner_of(id)) is not None]
        among = tuple(dict.fromkeys((own, *homes)))
        return Target(namespaces=among, readable=True, among=among)


class ReadSourcesHandler(_Across):
    """What may be encoded: texts that hold, that the caller sees whole, and that are not made from what changed."""

    def named(self, request: Any) -> Sequence[str]:
        ids: Sequence[str] = request.ids
        return ids

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ReadSources = work.call.request  # type: ignore[assignment]
        found = {
            record.cube.id: record.cube for record in work.unit.current(request.ids) if may_read(work, record.cube)
        }
        for id in request.ids:
            if id not in found or is_over(found[id], work.now):
                raise UnknownMemory(f"memory {id!r} is deleted or unknown; history shows what it was")
        cubes = marked(work, [found[id] for id in request.ids])
        for cube in cubes:
            check_encodable(work, cube)
        return Outcome(result=cubes, memories=request.ids)


class EncodeHandler(Handler):
    """Segments become memories, made from exactly what was read: where that changed meanwhile, nothing is kept."""

    changes = True

    def prepare(self, call: MemoryCall, tools: Tools) -> list[Places]:
        """What is personal or secret in the texts at the beginning of prompts, which are kept with their segments."""
        request: Encode = call.request  # type: ignore[assignment]
        return [scan(one.system or "") for one in request.segments]

    def run(self, work: Work, prepared: list[Places]) -> Outcome:
        request: Encode = work.call.request  # type: ignore[assignment]
        _check_new(work, request)
        cubes = [_kept(work, one, request, found) for one, found in zip(request.segments, prepared, strict=True)]
        check_written(work, cubes)
        vault.write_turns(work.unit, [Draft(cube=cube) for cube in cubes], work.now)
        return Outcome(result=tuple(cubes), memories=tuple(cube.id for cube in cubes))


class FindSegmentsHandler(_Across):
    """The longest chain of segments that the caller may use, in all places that the prompt's memories come from."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: FindSegments = work.call.request  # type: ignore[assignment]
        index, names = _index(work), work.decision.namespaces or ()
        matches = [one for name in names for one in index.at(work.unit, name).matches(request.tokens)]
        if request.exact_only:
            matches = [one for one in matches if one.segment.form == EXACT]
        reasons = judged(work, [one.segment for one in matches])
        found = chain(matches, lambda one: reasons.get(one.id, ""))
        refused = found.refused or (_unfit(work, request.notes, found.links) if request.tokens else ())
        loose, unfit = _apart(work, request)
        return Outcome(
            result=Found(
                links=_usable(work, found.links),
                refused=_told((*refused, *unfit)),
                loose=loose,
                others=sum(index.others(name) for name in names if work.reads_whole(name)),
                seq=_seq(work, _own(work)),
            )
        )


class InjectHandler(_Across):
    """The check at each use: what was erased, changed, revoked or expired until now is left out."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Inject = work.call.request  # type: ignore[assignment]
        reasons = judged(work, (*request.segments, *request.loose))
        loose = [one.id for one in request.loose if one.id not in reasons]
        kept = next((n for n, one in enumerate(request.segments) if one.id in reasons), len(request.segments))
        left = (*request.segments[kept:], *request.loose)
        confirmed = Confirmed(
            kept=kept,
            refused=_told(Refused(one.id, reasons[one.id]) for one in left if one.id in reasons),
            changed=_changed(work, request.notes),
            closed=tuple(one.id for one in request.loose if one.id in reasons),
        )
        used = (*(one.id for one in request.segments[:kept]), *loose)
        return Outcome(result=confirmed, memories=used, used=bool(used))


class FallBackHandler(_Across):
    """Nothing but the entry in the log."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: FallBack = work.call.request  # type: ignore[assignment]
        known = {record.cube.id for record in work.unit.current(request.ids) if work.serves(record.cube)}
        return Outcome(result=None, memories=tuple(id for id in request.ids if id in known))


class SegmentsHandler(OnMemory):
    """One segment with its chain, as the caller may see it."""

    action = Action.READ

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Segments = work.call.request  # type: ignore[assignment]
        cube = marked(work, [living_record(work, request.id).cube])[0]
        segment = held_by(cube)
        if segment is None:
            raise InvalidInput(f"memory {cube.id!r} is no KV segment; 'kv list' shows which there are")
        links = _chain_to(work, segment)
        cubes = {record.cube.id: record.cube for record in work.unit.current([pin.id for pin in cube.parents])}
        texts = tuple(one for pin in cube.parents if (one := cubes.get(pin.id)) is not None and may_read(work, one))
        shown = Shown(
            cube=cube,
            chain=links,
            sources=texts,
            system=_system(work, links),
            reason=judged(work, [segment]).get(segment.id, ""),
        )
        return Outcome(result=shown, memories=(cube.id,))


HANDLERS: dict[type[Request], Handler] = {
    ReadSources: ReadSourcesHandler(),
    Encode: EncodeHandler(),
    FindSegments: FindSegmentsHandler(),
    Inject: InjectHandler(),
    FallBack: FallBackHandler(),
    Segments: SegmentsHandler(),
}


# ── Inside a unit ───────────────────────────────────────────────────────────────────────────────────────────────────


def _index(work: Work) -> SegmentIndex:
    if work.tools.segments is None:
        raise ModelError(NO_ENGINE)
    index: SegmentIndex = work.tools.segments
    return index


def check_encodable(work: Work, cube: MemCube) -> None:
    """Refuse what a model may not be made from: what is no text, is stale, or is not open to the caller as a whole."""
    if not isinstance(cube.payload, Plaintext) or not cube.text:
        raise InvalidInput(f"memory {cube.id!r} holds no text; encode texts")
    if cube.is_manifest:
        raise InvalidInput(f"memory {cube.id!r} is {manifest(cube)}; encode the memories that it names")
    if cube.stale:
        why = "; ".join(map(str, cube.stale[:3]))
        raise StaleMemory(f"memory {cube.id!r} is stale ({why}); make it anew from its sources, and then encode it")
    if work.veil.hides(cube):
        raise InvalidInput(f"something in memory {cube.id!r} is hidden from the caller; encode what may be read whole")


def _own(work: Work) -> str:
    return work.call.scope.namespace or work.call.caller.namespace


def _seq(work: Work, namespace: str) -> int:
    stamp = work.unit.namespace(namespace)
    return 0 if stamp is None else stamp.seq


def _check_new(work: Work, request: Encode) -> None:
    """Refuse segments of which another call kept the same meanwhile; the next attempt finds and uses those."""
    touched = work.unit.touched(_own(work), since=request.since)
    cubes = [record.cube for record in work.unit.current([id for _, id in touched])]
    held = [_place(cube.payload, cube.parents) for cube in cubes if isinstance(cube.payload, Activation)]
    if any(_place(one.payload, one.sources) in held for one in request.segments):
        raise StaleVersion("another call encoded the same meanwhile; encode it again, and what is stored is used")


def _place(payload: Activation, sources: Sequence[Parent | SegmentSource]) -> tuple[object, ...]:
    """What two segments have in common of which one is enough: a place in prompts, or the memory encoded apart."""
    apart = sources[-1].id if payload.start is None and sources else None
    return payload.model, payload.start, payload.before, payload.through, payload.encoding, apart


def _kept(work: Work, one: NewSegment, request: Encode, found: Places) -> MemCube:
    """A segment as a memory; refused where anything that stands in or before it is no longer what was read."""
    parents, sensitivity = _pinned(work, one, id := work.tools.new_id(work.now))
    caller, scope, labels = work.call.caller, work.call.scope, request.labels
    namespace = _own(work)
    text, tags = let_in(work, namespace, one.system or "", found)
    if text != (one.system or ""):
        raise SensitiveText(f"the privacy policy of {namespace!r} would redact the system's text; leave that out of it")
    seal = seal_of(namespace, one.payload, one.sources, work.tools.key)
    said = Descriptive(
        created=work.now,
        updated=work.now,
        origin=Origin.INFERENCE,
        semantic_type=labels.semantic_type or SemanticType.FACT,
        cause="encode",
        author=caller.name,
        agent=scope.agent,
        session=scope.session,
        role=caller.role,
        task=caller.task,
        tags=labels.tags or (),
        provenance=request.provenance,
        metadata={} if one.system is None else {SYSTEM: one.system},
    )
    if request.decisions:
        own = one.sources[-1].id if one.sources else None
        made = [decision for decision in request.decisions if decision.id == own]
        said = with_decisions(said, made, model=one.payload.model.name)
    rules = Governance(
        owner=namespace,
        namespace=namespace,
        priority=labels.priority or Priority.MID,
        sensitivity=joined(sensitivity, tags),
    )
    return MemCube.make(
        id=id,
        salt=work.tools.new_salt(),
        descriptive=said,
        governance=rules,
        payload=msgspec.structs.replace(one.payload, seal=seal),
        parents=parents,
    )


def _unfit(work: Work, notes: Sequence[SegmentSource], links: Sequence[Link]) -> tuple[Refused, ...]:
    """Segments of the first memory that a chain does not reach, which no longer fit as it says something else now."""
    used = {link.segment.source for link in links}
    missing = next((note.id for note in notes if note.id not in used), None)
    if missing is None:
        return ()
    trees = [_index(work).at(work.unit, name) for name in work.decision.namespaces or ()]
    own = [one for tree in trees for one in tree.segments.values() if one.source == missing]
    return tuple(Refused(id, reason) for id, reason in judged(work, own).items())


def _apart(work: Work, request: FindSegments) -> tuple[dict[str, Usable], tuple[Refused, ...]]:
    """For each note a segment that was encoded apart for such prompts, and those that fit and may not be used."""
    asked = request.apart
    if asked is None:
        return {}, ()
    own = {note.id: digest for note, digest in zip(request.notes, asked.notes, strict=True)}
    held = [one for name in work.decision.namespaces or () for one in _index(work).loose(work.unit, name)]
    here = [one for one in held if one.form == asked.recipe and one.before == asked.head and one.source in own]
    reasons = judged(work, here)
    fitting = [one for one in here if one.id not in reasons and own[one.source or ""] == one.through]
    found = {one.link.segment.source or "": one for one in _usable(work, [Link(one, one.length) for one in fitting])}
    missing = [one for one in here if one.id in reasons and one.source not in found]
    return found, tuple(Refused(one.id, reasons[one.id]) for one in missing)


def _pinned(work: Work, one: NewSegment, id: str) -> tuple[tuple[Parent, ...], tuple[str, ...]]:
    """The sources of a segment, each as it was read and still is, and what makes them sensitive."""
    parents = pinned(work, [Pin(id=source.id, version=source.version) for source in one.sources], id)
    current = {record.cube.id: record.cube for record in work.unit.current([pin.id for pin in parents])}
    for pin, source in zip(parents, one.sources, strict=True):
        cube = current.get(pin.id)
        if cube is None or cube.content_hash != source.content_hash or pin.content_hash != source.content_hash:
            raise StaleVersion(f"memory {pin.id!r} was changed while it was encoded; encode it again")
    labels = [label for cube in current.values() for label in cube.header.governance.sensitivity]
    return parents, joined(labels, ())


def _usable(work: Work, links: Sequence[Link]) -> tuple[Usable, ...]:
    cubes = {record.cube.id: record.cube for record in work.unit.current([link.segment.id for link in links])}
    found = []
    for link in links:
        cube = cubes[link.segment.id]
        rules = cube.header.governance
        keeping = Keeping(
            blob=link.segment.blob,
            id=cube.id,
            namespace=cube.namespace,
            priority=rules.priority,
            heat=cube.header.behaviour.heat_at(work.now),
            frozen=rules.frozen,
        )
        found.append(Usable(link=link, about=about_of(cube), keeping=keeping))
    return tuple(found)


def _told(refused: Any) -> tuple[Refused, ...]:
    """What the caller may hear of segments that it may not use."""
    return tuple(one for one in refused if one.reason != CLOSED)


def _changed(work: Work, notes: Sequence[SegmentSource]) -> tuple[str, ...]:
    """The ids of memories that no longer say what stands in a prompt, or that the caller may no longer read."""
    found = {record.cube.id: record.cube for record in work.unit.current([note.id for note in notes])}
    return tuple(note.id for note in notes if not _still_says(work, note, found.get(note.id)))


def _still_says(work: Work, note: SegmentSource, cube: MemCube | None) -> bool:
    if cube is None or not may_read(work, cube):
        return False
    return cube.content_hash == note.content_hash and not is_over(cube, work.now)


def _chain_to(work: Work, segment: Segment) -> tuple[Usable, ...] | None:
    """The segments before one, and itself; None where one is missing, so that it is of no use.

    An exact one stands behind exact ones alone; another also behind those of its own form, as an injection has it.
    """
    links = [segment]  # one that was encoded apart has nothing before it
    if segment.start and work.tools.segments is not None:
        held = _index(work).at(work.unit, segment.namespace).segments.values()
        reasons = judged(work, list(held))
        fit = [one for one in held if one.id not in reasons and one.form in (EXACT, segment.form)]
        ends = {(one.end, one.through): one for one in sorted(fit, key=lambda one: one.form == EXACT)}  # exact wins
        while links[0].start:
            before = ends.get((links[0].start, links[0].before))
            if before is None:
                break
            links.insert(0, before)
    if links[0].start:
        return None
    return _usable(work, [Link(one, one.length) for one in links])


def _system(work: Work, links: Sequence[Usable] | None) -> str | None:
    if not links:
        return None
    records = work.unit.current([links[0].keeping.id])
    said = work.veil.cube(records[0].cube).header.descriptive.metadata.get(SYSTEM) if records else None
    return said if isinstance(said, str) else None
