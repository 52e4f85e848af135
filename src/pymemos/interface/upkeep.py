"""Upkeep: the jobs that the system gives itself, and what it queues when a store is opened."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from pymemos.cube.call import Caller, MemoryCall, Scope
from pymemos.errors import OtherEmbedder
from pymemos.infrastructure import analysis
from pymemos.interface.adapters import DISTIL
from pymemos.interface.api import MemoryAPI, Tools
from pymemos.interface.embedding import EMBEDDER, embed_job, embedding_of
from pymemos.interface.erasure_handlers import SCRUB
from pymemos.interface.giving_up import FREE, free_job
from pymemos.interface.lifecycle_handlers import SWEEP, queue_sweep
from pymemos.interface.mover import EVERY as TURNS
from pymemos.interface.mover import Mover
from pymemos.interface.moving import MOVE, queue_turns
from pymemos.interface.privacy import SCAN, scan_job
from pymemos.interface.requests import Enqueue, Reindex
from pymemos.interface.scrubbing import scrub_job
from pymemos.interface.sweeping import EVERY, sweep_job
from pymemos.interface.training import distil_job
from pymemos.interface.transform_job import OpenKv, transform_job
from pymemos.interface.transforming import TRANSFORM
from pymemos.interface.worker import JobHandler, for_owner
from pymemos.ports import Job, WriteUnit

_LOGGER = logging.getLogger("pymemos")
_BY_WORDS = (
    "This store is searched by words alone, for no embedder is prepared. To search it by meaning too: "
    "pip install 'pymemos[embed]', then pymemos models prepare minilm. (embedder='none' says that words are enough.)"
)


def own_jobs(
    api: MemoryAPI, tools: Tools, kv: OpenKv | None = None, mover: Mover | None = None
) -> dict[str, JobHandler]:
    """The system's own jobs by kind; ``kv`` opens what injects and encodes, where there may be a local model.

    Where there can be none, what needs one is left to a process that has it. Turns of the scheduler are done only
    where there is a ``mover``, too.
    """
    return {
        "reindex": _reindex,
        "embed": partial(embed_job, api, tools),
        SWEEP: partial(sweep_job, api, tools),
        SCAN: scan_job,
        SCRUB: partial(scrub_job, api, tools),
        FREE: free_job,
        **({} if kv is None else _jobs_of_models(api, tools, kv, mover)),
    }


def _jobs_of_models(api: MemoryAPI, tools: Tools, kv: OpenKv, mover: Mover | None) -> dict[str, JobHandler]:
    """What only a process can do that may have a local model."""
    turns: dict[str, JobHandler] = {} if mover is None else {MOVE: mover.job}
    return {**turns, DISTIL: partial(distil_job, api, tools), TRANSFORM: partial(transform_job, api, tools, kv)}


def begin(
    api: MemoryAPI, tools: Tools, *, any_embedder: bool = False, by_words_meant: bool = False, moves: bool = False
) -> None:
    """Check that the store fits the system that opens it, and queue what is to be brought up to date.

    With ``moves`` the scheduler's turns begin, unless they wait already. A new store without an embedder says so, once,
    unless that is what was meant.
    """
    with tools.store.read() as unit:
        made_by = unit.setting(EMBEDDER)
        analysed, spaces = unit.setting("analysis"), [space.name for space in unit.namespaces()]
    if tools.embedder is not None and not any_embedder:
        _check_embedder(tools, made_by, spaces)
    if analysed is None and tools.embedder is None and not by_words_meant:
        _LOGGER.warning(_BY_WORDS)
    if analysed != analysis.VERSION:
        for namespace in spaces if analysed else []:
            queue(api, tools, "reindex", namespace, dedup_key=f"{namespace} {analysis.VERSION}")
        tools.store.write(lambda unit: _note_analysis(unit, tools, new=analysed is None))
    if moves:
        now = tools.clock()
        tools.store.write(lambda unit: queue_turns(unit, tools.new_id(now), now + TURNS))


def queue(api: MemoryAPI, tools: Tools, kind: str, namespace: str, *, dedup_key: str) -> None:
    """Queue one of the system's own jobs for a namespace."""
    now = tools.clock()
    job = Job(id=tools.new_id(now), kind=kind, namespace=namespace, run_at=now, dedup_key=dedup_key)
    call = MemoryCall(caller=Caller(steward=True), scope=Scope(namespace=namespace), request=Enqueue(job=job))
    api.dispatch(call)


def _note_analysis(unit: WriteUnit, tools: Tools, *, new: bool) -> None:
    """Note by which analysis the store's texts are read; a new store also gets its first sweep."""
    unit.set_setting("analysis", analysis.VERSION)
    if new:
        now = tools.clock()
        queue_sweep(unit, tools.new_id(now), now + EVERY)


def _check_embedder(tools: Tools, made_by: str | None, spaces: Sequence[str]) -> None:
    """A store has one embedder: the first that it is opened with."""
    assert tools.embedder is not None  # noqa: S101 (the caller asked)
    identity = tools.embedder.identity
    if made_by is None:
        tools.store.write(lambda unit: _adopt(unit, tools, identity, spaces))
    elif made_by != identity:
        raise OtherEmbedder(
            f"the store's vectors were made by {made_by!r}, not by {identity!r}; "
            "run 'pymemos reembed' to make them anew, or set the embedder that made them"
        )


def _adopt(unit: WriteUnit, tools: Tools, identity: str, spaces: Sequence[str]) -> None:
    """Make an embedder the store's own, and queue the embedding of what was written before it came."""
    unit.set_setting(EMBEDDER, identity)
    for namespace in spaces:
        unit.enqueue(embedding_of(namespace, tools, tools.clock()))


def _reindex(job: Job) -> MemoryCall:
    caller, scope = for_owner(job)
    return MemoryCall(caller=caller, scope=scope, request=Reindex(after=job.arguments.get("after")))
