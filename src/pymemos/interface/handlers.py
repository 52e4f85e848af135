"""How the requests on memories are carried out: add, search, get, list, update, delete, history, diff, log."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pymemos.cube.call import MemoryCall, Selection
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.filters import EVERYTHING, Compare, Filter
from pymemos.cube.header import (
    Descriptive,
    Governance,
    Lifespan,
    Origin,
    Priority,
    Provenance,
    SemanticType,
    Stage,
    Trust,
    least_trusted,
)
from pymemos.cube.payload import Activation, Parametric, Payload, Plaintext
from pymemos.cube.policy import Action
from pymemos.cube.wire import Document, seal
from pymemos.errors import EmbedderFailed, InvalidInput
from pymemos.infrastructure import analysis, vault
from pymemos.infrastructure.governance import Target, heard
from pymemos.infrastructure.privacy.scanning import scan_all
from pymemos.infrastructure.vault import Draft
from pymemos.interface import letting_in, lives
from pymemos.interface.api import Handler, Outcome, Tools, Work
from pymemos.interface.arguments import check_tensor_labels
from pymemos.interface.drafting import Drafting
from pymemos.interface.embedding import embedded, queue_embedding
from pymemos.interface.requests import (
    Add,
    Added,
    AddTensor,
    Delete,
    Deleted,
    Diff,
    Difference,
    Get,
    History,
    Labels,
    ListPage,
    Log,
    Page,
    Pin,
    Search,
    Update,
)
from pymemos.interface.sources import check_no_ring, check_owner_reads, marked, may_read, pinned
from pymemos.interface.versions import (
    OnMemory,
    answering,
    check_editable,
    check_expected,
    check_within,
    check_written,
    current_record,
    living_record,
    manifest,
    memory_target,
    shown_versions,
    version_record,
)
from pymemos.operation import lifecycle
from pymemos.operation.embedding import vectors_of
from pymemos.operation.hits import Hits
from pymemos.operation.lifecycle import Cause
from pymemos.operation.retrieval.question import Found, Question, Vectors
from pymemos.operation.retrieval.searcher import by_words
from pymemos.ports import ReadUnit, Record, Vector

Tensor = Activation | Parametric


class Prepared(NamedTuple):
    """What an add made before its unit: the episode's id, the memories, what is sensitive in each, and their vectors.

    ``unembedded`` says that the embedder failed.
    """

    episode: str | None
    found: list[letting_in.Places]
    drafts: list[Draft]
    unembedded: bool


class AddHandler(Handler):
    """Messages become one memory each, verbatim, in their order; a conversation gets the manifest of its turns."""

    changes = True

    def prepare(self, call: MemoryCall, tools: Tools) -> Prepared:
        request: Add = call.request  # type: ignore[assignment]
        now = tools.clock()
        # A single message has no order to keep: it gets no manifest.
        episode = tools.new_id(now) if request.conversation and len(request.messages) > 1 else None
        said, rules = _descriptive(request.labels, call, now), _governance(request.labels, call)
        kind = SemanticType.MESSAGE if request.conversation else SemanticType.FACT
        said = msgspec.structs.replace(said, semantic_type=request.labels.semantic_type or kind, episode=episode)
        drafting = Drafting(said, rules, tools)
        found = scan_all([message.content for message in request.messages])
        drafts = [
            letting_in.labelled(drafting.draft(message), places)
            for message, places in zip(request.messages, found, strict=True)
        ]
        return Prepared(episode, found, *_embedded(drafts, tools))

    def run(self, work: Work, prepared: Prepared) -> Outcome:
        episode_id, found, drafts, unembedded = prepared
        drafts = self.derived(work, letting_in.settled(work, drafts, found))
        unembedded = unembedded or (work.tools.embedder is not None and not all(one.vectors for one in drafts))
        known = _known_turns(work, drafts)
        fresh = [one for place, one in enumerate(drafts) if place not in known]
        for one in fresh:
            _check_interval(one.cube)
        check_written(work, [one.cube for one in fresh])
        cubes = [known.get(place, one.cube) for place, one in enumerate(drafts)]
        episode = _episode(episode_id, cubes, work) if episode_id is not None and fresh else None
        if fresh:
            written = [*fresh, Draft(cube=episode)] if episode else fresh
            vault.write_turns(work.unit, written, work.now)
        job = queue_embedding(work.unit, fresh[0].cube.namespace, work) if fresh and unembedded else None
        added = Added(
            cubes=marked(work, cubes),
            episode=episode,
            deduplicated=tuple(cube.id for cube in known.values()),
            queued=() if job is None else (job,),
        )
        remembered = (episode.id if episode else "", *added.ids)
        return Outcome(result=added, memories=tuple(one.cube.id for one in fresh), replay=remembered)

    def derived(self, work: Work, drafts: list[Draft]) -> list[Draft]:
        """The memories with what they were made from, where the call names that."""
        request: Add = work.call.request  # type: ignore[assignment]
        pins, origin = request.parents, request.labels.origin or Origin.INFERENCE
        return [derive(work, one, pins, origin=origin) for one in drafts] if pins else drafts

    def replay(self, work: Work, ids: tuple[str, ...]) -> Added:
        """What the first call made, as it is now; what was deleted since, as it was last."""
        episode, *memories = ids
        found = {record.cube.id: record.cube for record in work.unit.current(ids)}
        for id in set(ids) - found.keys() - {""}:
            found |= {record.cube.id: record.cube for record in work.unit.versions(id)[-1:]}
        cubes = marked(work, [found[id] for id in memories if id in found and work.serves(found[id])])
        manifest = found.get(episode)
        if manifest is not None and not work.serves(manifest):
            manifest = None
        return Added(cubes=cubes, episode=manifest, deduplicated=tuple(c.id for c in cubes), replayed=True)


class AddTensorHandler(Handler):
    """A tensor memory is stored with the exact versions that it was made from."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: AddTensor = work.call.request  # type: ignore[assignment]
        id = work.tools.new_id(work.now)
        said = _descriptive(check_tensor_labels(request.labels), work.call, work.now)
        if not request.labels.origin:
            said = msgspec.structs.replace(said, origin=Origin.INFERENCE)
        cube = MemCube.make(
            id=id,
            salt=work.tools.new_salt(),
            descriptive=said,
            governance=_governance(request.labels, work.call),
            payload=request.payload,
            parents=pinned(work, request.parents, id),
        )
        _check_interval(cube)
        check_written(work, [cube])
        vault.write_turns(work.unit, [Draft(cube=cube)], work.now)
        return Outcome(result=Added(cubes=marked(work, [cube])), memories=(cube.id,), replay=("", cube.id))

    def replay(self, work: Work, ids: tuple[str, ...]) -> Added:
        return AddHandler().replay(work, ids)


class SearchHandler(Handler):
    """The question's words and meaning, in every language of the store, within what the caller may see."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        found = self.found(work)
        served = marked(work, [hit.cube for hit in found.hits])
        marks = [
            hit if cube is hit.cube else msgspec.structs.replace(hit, cube=cube)
            for hit, cube in zip(found.hits, served, strict=True)
        ]
        reasons = work.veil.told(found.reasons, work.decision.namespaces or ())
        hits = Hits(marks, terms=found.terms, decision=heard(work.of, work.decision), reasons=reasons)
        return Outcome(result=hits, memories=tuple(cube.id for cube in served), used=True)

    def found(self, work: Work) -> Found:
        """What answers the question, best first."""
        request: Search = work.call.request  # type: ignore[assignment]
        return look(work, request.where)


def look(
    work: Work, where: Filter | None, namespaces: tuple[str, ...] | None = None, vectors: Vectors | None = None
) -> Found:
    """What answers the question of a search, of all that was decided to be its reach or of some namespaces of that."""
    request: Search = work.call.request  # type: ignore[assignment]
    selection = work.unveiled().selection(where, ended=False, stages=lifecycle.reach(request.stages, where))
    if namespaces is not None:
        selection = msgspec.structs.replace(selection, namespaces=namespaces)
    languages = query_languages(work, request.query, selection)
    limit, veil = request.limit, work.veil
    while True:
        question = Question(request.query, languages, selection, limit, work.now)
        found = work.tools.searcher.search(work.unit, question, vectors)
        whole = [hit for hit in found.hits if not veil.hides(hit.cube)]  # lacks its labels, but was found by its words
        if len(whole) >= request.limit or len(found.hits) < limit:
            return found._replace(hits=whole[: request.limit])
        limit *= 2


class GetHandler(OnMemory):
    """The current version, or the one that is named."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Get = work.call.request  # type: ignore[assignment]
        id, version = request.id, request.version
        record = living_record(work, id) if version is None else version_record(work, id, version)
        return Outcome(result=marked(work, [record.cube])[0], memories=(request.id,), used=True)


class ListHandler(Handler):
    """A page of memories in order of their ids."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ListPage = work.call.request  # type: ignore[assignment]
        records = self.records(work, request.limit + 1)
        cubes = marked(work, [record.cube for record in records[: request.limit]])
        page = Page(cubes=cubes, after=cubes[-1].id if len(records) > request.limit else None)
        return Outcome(result=page, memories=tuple(cube.id for cube in cubes))

    def records(self, work: Work, limit: int) -> list[Record]:
        """At most so many records that are asked for."""
        request: ListPage = work.call.request  # type: ignore[assignment]
        return self.page(work, request.where, limit)

    def page(
        self, work: Work, where: Filter | None, limit: int, namespaces: tuple[str, ...] | None = None
    ) -> list[Record]:
        """The next records of all that was decided to be the call's reach, or of some namespaces of that."""
        request: ListPage = work.call.request  # type: ignore[assignment]
        stages = lifecycle.reach(request.stages, where)
        selection = work.selection(where, episodes=request.episodes, stages=stages)
        if namespaces is not None:
            selection = msgspec.structs.replace(selection, namespaces=namespaces)
        found: list[Record] = []
        after = request.after
        while len(found) < limit:
            page = work.unit.page(selection, limit=limit, after=after)
            found += answering(work, where, page)
            if len(page) < limit:
                break
            after = page[-1].cube.id
        return found[:limit]


class UpdateHandler(OnMemory):
    """The next version of a memory; what it said before stays true for the time until then."""

    changes = True

    def prepare(self, call: MemoryCall, tools: Tools) -> dict[str, tuple[Vector, ...]]:
        """The vectors of the new text, where it is known before the unit; what is appended is embedded by a job."""
        request: Update = call.request  # type: ignore[assignment]
        return {} if request.content is None or request.appended else embedded(request.content, tools)

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Update = work.call.request  # type: ignore[assignment]
        cube = living_record(work, request.id).cube
        check_expected(cube, request.expected)
        check_editable(cube)
        if cube.is_manifest and (request.content is not None or request.labels.semantic_type is not None):
            raise InvalidInput(f"memory {cube.id!r} is {manifest(cube)}, for its own text and type stay")
        newer = letting_in.settled_version(work, cube, _next_version(cube, request, work))
        if _interval(newer) != _interval(cube):
            _check_interval(newer)
        check_written(work, [newer])
        vectors = work.unit.vectors_of(cube.id) if newer.text == cube.text else prepared.get(newer.text, ())
        vault.supersede(work.unit, msgspec.structs.replace(vault.draft(newer), vectors=vectors), work.now)
        if newer.text and not vectors and work.tools.embedder is not None:
            queue_embedding(work.unit, newer.namespace, work)
        if request.appended:  # 5.4.3: what a user adds is consolidated into a new version
            lives.moved(work.unit, newer.id, Cause.MERGE, work.now, work.call.caller.name)
            newer = work.unit.current([newer.id])[0].cube
        return Outcome(result=marked(work, [newer])[0], memories=(newer.id,), replay=(newer.id, newer.version))

    def replay(self, work: Work, ids: tuple[str, ...]) -> MemCube:
        return marked(work, [version_record(work, *ids).cube])[0]


class DeleteHandler(Handler):
    """One memory by its id, or all that a scope and a filter select; recoverable."""

    changes = True

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        request: Delete = call.request  # type: ignore[assignment]
        return super().target(call, unit) if request.id is None else memory_target(request.id, unit)

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Delete = work.call.request  # type: ignore[assignment]
        if request.id is not None:
            cubes = [current_record(work, request.id).cube]
            check_within(work.call.scope, request.id, cubes)
            check_expected(cubes[0], request.expected)
        else:
            selection = work.selection(request.where, episodes=True)
            page = work.unit.page(selection, limit=work.unit.count(selection))
            cubes = [record.cube for record in answering(work, request.where, page)]
        for cube in reversed(cubes):  # newest first: so no turn is given a new context only to be deleted next
            check_editable(cube)
            vault.retire(work.unit, cube, work.now)
        ids = tuple(cube.id for cube in cubes)
        return Outcome(result=Deleted(ids=ids), memories=ids)


class HistoryHandler(OnMemory):
    """Every version, oldest first, with when it was known and true."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: History = work.call.request  # type: ignore[assignment]
        versions = shown_versions(work, request.id)
        if not work.reads_whole(versions[0].cube.namespace):  # the store's numbers would count what is left out
            versions = [msgspec.structs.replace(one, seq_from=0, seq_to=None) for one in versions]
        return Outcome(result=versions, memories=(request.id,))


class DiffHandler(OnMemory):
    """What changed between two versions."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Diff = work.call.request  # type: ignore[assignment]
        a, b = (work.veil.cube(version_record(work, request.id, version).cube) for version in (request.a, request.b))
        return Outcome(result=difference(a, b), memories=(request.id,))


class LogHandler(Handler):
    """The audit log of what the caller may see."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Log = work.call.request  # type: ignore[assignment]
        query = msgspec.structs.replace(request.query, namespaces=work.decision.namespaces)
        return Outcome(result=work.unit.audit(query))


def query_languages(work: Work, query: str, selection: Selection) -> tuple[str, ...]:
    """The languages to read a query in: its own, where it shows, and those of the texts that it may find."""
    own = analysis.detect_language(query)
    held = [(name, code) for name in work.decision.namespaces or () for code in vault.languages(work.unit, name)]
    read = [code for name, code in held if _is_read(work, msgspec.structs.replace(selection, namespaces=(name,)), code)]
    return tuple(dict.fromkeys([*([own] if own else []), *read]))


def _is_read(work: Work, here: Selection, language: str) -> bool:
    """Whether the caller may read a text in that language: else it would tell that there are such texts.

    What is in memory of a part of a namespace knows the languages of that part by itself.
    """
    [namespace] = here.namespaces or ()
    if work.of.powerful or (here.rule_of(namespace) == EVERYTHING and not work.unit.hidden(here)):
        return True
    there = msgspec.structs.replace(here, where=Compare("language", "eq", language))
    return by_words(here) is not None and bool(work.unit.page(there, limit=1))


def difference(a: MemCube, b: MemCube) -> Difference:
    """What changed from ``a`` to ``b``: text as a unified diff, the header's fields as pairs."""
    names = (f"revision {a.revision}", f"revision {b.revision}")
    text = "\n".join(difflib.unified_diff(a.text.splitlines(), b.text.splitlines(), *names, lineterm=""))
    fields: dict[str, tuple[Any, Any]] = {}
    for old, new in ((a.header.descriptive, b.header.descriptive), (a.header.governance, b.header.governance)):
        for name in old.__struct_fields__:
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                fields[name] = (before, after)
    return Difference(id=a.id, a=a.revision, b=b.revision, text=text, fields=fields)


# Cubes from requests.


def _embedded(drafts: list[Draft], tools: Tools) -> tuple[list[Draft], bool]:
    """The drafts with their vectors, and whether the embedder failed: what has none yet is found by its words."""
    if tools.embedder is None:
        return drafts, False
    try:
        made = vectors_of([one.cube.text for one in drafts], tools.embedder)
    except EmbedderFailed:
        return drafts, True
    return [msgspec.structs.replace(one, vectors=own) for one, own in zip(drafts, made, strict=True)], False


def _descriptive(labels: Labels, call: MemoryCall, now: datetime) -> Descriptive:
    caller, scope = call.caller, call.scope
    return Descriptive(
        created=now,
        updated=now,
        origin=labels.origin or Origin.USER_INPUT,
        semantic_type=labels.semantic_type or SemanticType.FACT,
        author=caller.name,
        agent=scope.agent,
        session=scope.session,
        role=caller.role,
        task=caller.task,
        language=labels.language,
        tags=labels.tags or (),
        entities=labels.entities or (),
        event_time=labels.timestamp,
        valid_from=labels.valid_from,
        valid_to=labels.valid_to,
        provenance=provenance(None, labels.provenance or {}, model=caller.model),
        trust=labels.trust,
        metadata=labels.metadata or {},
    )


def provenance(held: Provenance | None, given: dict[str, Any], *, model: str | None = None) -> Provenance | None:
    """What was known of why a memory exists, with what is given now; ``model`` made it unless another is given."""
    named = given if model is None else {"model": model, **given}
    said = msgspec.structs.replace(held or Provenance(), **named)
    return None if said == Provenance() else said


def derive(
    work: Work, draft: Draft, pins: tuple[Pin, ...], *, origin: Origin, provenance: Provenance | None = None
) -> Draft:
    """A draft with the pins of what it was made from, which are known in the unit only."""
    cube, parents = draft.cube, pinned(work, pins, draft.cube.id)
    said = msgspec.structs.replace(cube.header.descriptive, origin=origin)
    said = msgspec.structs.replace(said, trust=_inherited(work, said, parents))
    if provenance is not None:
        said = msgspec.structs.replace(said, provenance=provenance)
    declared = Document(
        id=cube.id, descriptive=said, governance=cube.header.governance, payload=cube.payload, parents=parents
    )
    made, document = seal(declared, cube.salt)
    return msgspec.structs.replace(draft, cube=made, document=document)


def _inherited(work: Work, said: Descriptive, parents: tuple[Parent, ...]) -> Trust | None:
    """How far what was made from others is trusted: no further than any of these, whatever is said of it."""
    sources = [record.cube.trust for record in work.unit.current([pin.id for pin in parents])]
    least = least_trusted([said.trusted_as, *sources])
    return said.trust if least is said.trusted_as else least


def _governance(labels: Labels, call: MemoryCall) -> Governance:
    namespace = call.scope.namespace or call.caller.namespace
    return Governance(
        owner=namespace,
        namespace=namespace,
        lifespan=labels.lifespan or Lifespan(),
        priority=labels.priority or Priority.MID,
        sensitivity=labels.sensitivity or (),
    )


def _episode(id: str, cubes: list[MemCube], work: Work) -> MemCube:
    """The manifest of a conversation: ids, order and speakers of its turns, never their text."""
    turns = [
        {"id": cube.id, "speaker": cube.header.descriptive.speaker, "role": cube.header.descriptive.speaker_role}
        for cube in cubes
    ]
    first = cubes[0].header
    said = msgspec.structs.replace(
        first.descriptive,
        semantic_type=SemanticType.EPISODE,
        speaker=None,
        speaker_role=None,
        source_ids=(),
        language=None,
        episode=None,
        metadata={},
    )
    return MemCube.make(
        id=id,
        salt=work.tools.new_salt(),
        descriptive=said,
        governance=first.governance,
        payload=Plaintext(content=msgspec.json.encode({"turns": turns}).decode(), format="episode"),
    )


def _known_turns(work: Work, drafts: list[Draft]) -> dict[int, MemCube]:
    """By place in the batch: messages that are here already, with the same id and text in the same session.

    One that the caller may not read is as good as not here.
    """
    sources = {place: said[0] for place, one in enumerate(drafts) if (said := one.cube.header.descriptive.source_ids)}
    if not sources:
        return {}
    first = drafts[0].cube
    found = work.unit.by_source(first.namespace, first.header.descriptive.session, list(set(sources.values())))
    seen = {
        (source, said): record.cube
        for source, ids in found.items()
        for record in work.unit.current(ids)
        if record.cube.stage_at(work.now) is not Stage.EXPIRED and may_read(work, record.cube)
        for said in _texts(work, record.cube)
    }
    known: dict[int, MemCube] = {}
    for place, source in sources.items():
        cube = drafts[place].cube
        same = seen.setdefault((source, cube.text), cube)  # a message may also come twice in one call
        if same is not cube:
            known[place] = same
    return known


def _texts(work: Work, cube: MemCube) -> set[str]:
    """What a memory says and, where it was edited, what it said: an edited message that comes again is known."""
    if cube.revision == 1:
        return {cube.text}
    return {record.cube.text for record in work.unit.versions(cube.id) if may_read(work, record.cube)}


def _next_version(cube: MemCube, request: Update, work: Work) -> MemCube:
    said, rules = cube.header.descriptive, cube.header.governance
    labels = check_tensor_labels(request.labels) if isinstance(cube.payload, Tensor) else request.labels
    payload = _next_payload(cube, request)
    speaks_anew = payload is not cube.payload
    given = {name: value for name in ("tags", "entities", "metadata") if (value := getattr(labels, name)) is not None}
    said = msgspec.structs.replace(
        said,
        updated=work.now,
        cause="append" if request.appended else "update",
        author=work.call.caller.name,
        semantic_type=labels.semantic_type or said.semantic_type,
        language=labels.language or (analysis.detect_language(request.content or "") or said.language),
        event_time=labels.timestamp or said.event_time,
        valid_from=labels.valid_from or ((labels.timestamp or work.now) if speaks_anew else said.valid_from),
        valid_to=labels.valid_to or said.valid_to,
        provenance=provenance(
            None if speaks_anew and not request.appended else said.provenance,  # a new text exists for its own reasons
            labels.provenance or {},
            model=work.call.caller.model if speaks_anew else None,
        ),
        **given,
    )
    rules = msgspec.structs.replace(
        rules,
        lifespan=labels.lifespan or rules.lifespan,
        priority=labels.priority or rules.priority,
        sensitivity=rules.sensitivity if labels.sensitivity is None else labels.sensitivity,
    )
    parents = None if request.parents is None else pinned(work, request.parents, cube.id)
    if parents:
        sources = [record.cube for record in work.unit.current([pin.id for pin in parents])]
        check_no_ring(work, cube, sources)
        check_owner_reads(work, cube, sources)
        said = msgspec.structs.replace(said, trust=_inherited(work, said, parents))
    return cube.derive(descriptive=said, governance=rules, payload=payload, parents=parents)


def _next_payload(cube: MemCube, request: Update) -> Payload:
    if request.content is None:
        return cube.payload
    if isinstance(cube.payload, Tensor):
        raise InvalidInput(f"memory {cube.id!r} holds tensors, not text; add a new one from its sources")
    content = f"{cube.payload.content}\n{request.content}" if request.appended else request.content
    return msgspec.structs.replace(cube.payload, content=content)


# Intervals.


def _interval(cube: MemCube) -> tuple[datetime, datetime | None]:
    """When the memory holds: from, and until."""
    return vault.valid_from(cube), cube.header.descriptive.valid_to


def _check_interval(cube: MemCube) -> None:
    """Refuse what would hold at no time; a retry of what once held is checked by its key before."""
    start, end = _interval(cube)
    if end is not None and start >= end:
        raise InvalidInput(
            f"the memory would hold at no time: valid_to {end.isoformat()} is not after {start.isoformat()}, its "
            "valid_from (else its timestamp, else now); pass a later valid_to, or the valid_from that is meant"
        )
