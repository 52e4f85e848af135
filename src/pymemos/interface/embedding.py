"""How memories get their vectors after they were written: what lacks them is read, embedded, and written back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from pymemos.cube.call import Caller, MemoryCall, Request, Scope
from pymemos.cube.cube import MemCube
from pymemos.cube.policy import Action
from pymemos.errors import EmbedderFailed
from pymemos.interface.api import Handler, MemoryAPI, Outcome, Tools, Work
from pymemos.interface.transfer import OnStore
from pymemos.interface.worker import for_owner
from pymemos.operation.embedding import vectors_of
from pymemos.ports import Embedder, Job, Vector, WriteUnit

EMBEDDER = "embedder"  # the setting that names what made the store's vectors
PAGE = 200  # memories that one job embeds: some seconds of work on one core


class Unembedded(Request, frozen=True, kw_only=True, tag="unembedded"):
    """Read the next memories of a namespace, and which of them have no vectors of an embedder."""

    embedder: str
    after: str | None = None
    limit: int = PAGE


class PutVectors(Request, frozen=True, kw_only=True, tag="embed"):
    """Write vectors of versions that are still current, and queue the rest of the namespace behind ``after``."""

    vectors: tuple[tuple[str, str, tuple[Vector, ...]], ...]  # id, version, vectors
    after: str | None = None


class UseEmbedder(Request, frozen=True, kw_only=True, tag="use_embedder"):
    """Make an embedder the store's own; gives the names of the namespaces."""

    embedder: str


class Lacking(msgspec.Struct, frozen=True, kw_only=True):
    """The memories of a page that have no vectors, and where the next page begins."""

    cubes: tuple[MemCube, ...]
    after: str | None = None


def embedded(text: str, tools: Tools) -> dict[str, tuple[Vector, ...]]:
    """The vectors of a text that is known before the unit, by the text; none where a job has to make them."""
    if tools.embedder is None:
        return {}
    try:
        return {text: vectors_of([text], tools.embedder)[0]}
    except EmbedderFailed:
        return {}


class UnembeddedHandler(Handler):
    """A page in order of ids, so that a job that was killed goes on where it was."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Unembedded = work.call.request  # type: ignore[assignment]
        page = work.unit.page(work.selection(), limit=request.limit, after=request.after)
        cubes = tuple(record.cube for record in page if record.cube.text)
        lacking = tuple(cube for cube in cubes if not _is_embedded(work, cube, request.embedder))
        after = page[-1].cube.id if len(page) == request.limit else None
        return Outcome(result=Lacking(cubes=lacking, after=after), memories=tuple(cube.id for cube in lacking))


class UseEmbedderHandler(OnStore):
    """From now on the store opens with this embedder only."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: UseEmbedder = work.call.request  # type: ignore[assignment]
        work.unit.set_setting(EMBEDDER, request.embedder)
        return Outcome(result=[space.name for space in work.unit.namespaces()])


class PutVectorsHandler(Handler):
    """What was changed since it was read gets no vectors: whoever changed it has seen to that."""

    action = Action.MANAGE
    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: PutVectors = work.call.request  # type: ignore[assignment]
        namespace = work.call.scope.namespace or ""
        given = {(id, version): vectors for id, version, vectors in request.vectors}
        current = work.unit.current([id for id, _, _ in request.vectors])
        written = [r.cube for r in current if (r.cube.id, r.cube.version) in given and r.cube.namespace == namespace]
        if written:
            work.unit.advance(namespace, work.now)
        for cube in written:
            work.unit.put_vectors(cube.id, given[cube.id, cube.version])
        if request.after is not None:
            queue_embedding(work.unit, namespace, work, after=request.after)
        return Outcome(result=len(written), memories=tuple(cube.id for cube in written))


def queue_embedding(unit: WriteUnit, namespace: str, work: Work, *, after: str | None = None) -> str | None:
    """Queue the embedding of what has no vectors in a namespace; None where that is queued already."""
    job = embedding_of(namespace, work.tools, work.now, after=after)
    return job.id if unit.enqueue(job) else None


def embedding_of(namespace: str, tools: Tools, now: datetime, *, after: str | None = None) -> Job:
    """The job that embeds what has no vectors in a namespace, from behind ``after``; it begins once at a time."""
    arguments = {} if after is None else {"after": after}
    key = None if after is not None else f"embed {namespace}"
    return Job(id=tools.new_id(now), kind="embed", namespace=namespace, run_at=now, arguments=arguments, dedup_key=key)


def embed_job(api: MemoryAPI, tools: Tools, job: Job) -> MemoryCall | None:
    """Embed the next page of a namespace; the effect writes it and queues what is behind it."""
    if tools.embedder is None:
        return None  # nobody can: whoever sets an embedder embeds what is missing
    lacking, effect = _embed_page(api, tools.embedder, for_owner(job), job.arguments.get("after"))
    if lacking.after is not None:
        rest = msgspec.structs.replace(effect.request, after=lacking.after)
        return msgspec.structs.replace(effect, request=rest)
    return effect if lacking.cubes else None


def embed_all(api: MemoryAPI, tools: Tools, namespace: str) -> Iterator[int]:
    """Embed whatever has no vectors in a namespace, page by page; gives how many each page had."""
    assert tools.embedder is not None  # noqa: S101 (the facade checked)
    owner = for_owner(Job(id="", kind="embed", namespace=namespace, run_at=tools.clock()))
    after: str | None = None
    while True:
        lacking, effect = _embed_page(api, tools.embedder, owner, after)
        if lacking.cubes:
            yield int(api.dispatch(effect))
        after = lacking.after
        if after is None:
            return


def _embed_page(
    api: MemoryAPI, embedder: Embedder, owner: tuple[Caller, Scope], after: str | None
) -> tuple[Lacking, MemoryCall]:
    """What lacks vectors behind ``after``, and the call that gives it some."""
    caller, scope = owner
    ask = Unembedded(embedder=embedder.identity, after=after)
    lacking: Lacking = api.dispatch(MemoryCall(caller=caller, scope=scope, request=ask))
    made = vectors_of([cube.text for cube in lacking.cubes], embedder)
    vectors = tuple((cube.id, cube.version, own) for cube, own in zip(lacking.cubes, made, strict=True))
    return lacking, MemoryCall(caller=caller, scope=scope, request=PutVectors(vectors=vectors))


def _is_embedded(work: Work, cube: MemCube, embedder: str) -> bool:
    return any(vector.embedder == embedder for vector in work.unit.vectors_of(cube.id))
