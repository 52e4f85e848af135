"""The system: MemOS opens a home, wires the adapters into the layers, and speaks to applications."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from pymemos import wiring
from pymemos.cube import filters as grammar
from pymemos.cube.call import Caller, MemoryCall, Request, Scope, TimeWindow
from pymemos.cube.cube import MemCube
from pymemos.cube.header import Origin, Priority, SemanticType
from pymemos.cube.ids import new_id
from pymemos.cube.payload import Activation, Parametric
from pymemos.errors import EmptyScope, InvalidInput, ModelError
from pymemos.interface import embedding, importers, requests, transfer, upkeep
from pymemos.interface.api import MemoryAPI, Span, Tools
from pymemos.interface.arguments import (
    MOST_ATTEMPTS,
    PRIORITIES,
    When,
    check_blob,
    check_id,
    check_limit,
    check_member,
    check_metadata,
    check_name,
    check_names,
    check_number,
    check_records,
    check_text,
    check_version,
    optional_id,
    optional_time,
    optional_version,
    parse_content,
    parse_labels,
)
from pymemos.interface.registry import HANDLERS
from pymemos.interface.requests import Added, Deleted, Difference, Labels, Page
from pymemos.interface.worker import JobHandler, TickReport, Worker
from pymemos.operation.hits import Hits
from pymemos.operation.retrieval.searcher import Searcher
from pymemos.ports import (
    AuditQuery,
    AuditRecord,
    BlobStore,
    Clock,
    Embedder,
    Finding,
    Job,
    JobState,
    NewId,
    Record,
    Store,
)
from pymemos.settings import Settings, from_environment


def utc_now() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)


class MemOS:
    """A memory that keeps what it is told: durable, versioned, searchable, explained.

    ``home`` is the folder of the store, created when it is not there; without one, PYMEMOS_HOME or the user's data
    folder. Whoever opens a store is its steward; ``bind`` gives a handle that acts for one user or agent. A call
    without an identity acts in the namespace ``default``, never on everything.

    ``jobs`` maps kinds of jobs to handlers of the application. ``store``, ``blobs``, ``clock``, ``new_id``, ``key``
    replace what is wired in otherwise; the doubles of ``pymemos.testing`` are made for that. ``embedder`` is one,
    or the name of one ("none" for none); else the settings say. Only with ``reembedding`` may it be another than the
    one that made the store's vectors: ``reembed`` comes next.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        settings: Settings | None = None,
        jobs: Mapping[str, JobHandler] | None = None,
        store: Store | None = None,
        blobs: BlobStore | None = None,
        clock: Clock = utc_now,
        new_id: NewId = new_id,
        key: bytes | None = None,
        embedder: Embedder | str | None = None,
        reembedding: bool = False,
        on_span: Span | None = None,
    ) -> None:
        settings = settings or from_environment(os.environ, Path.home())
        if home is not None:
            settings = msgspec.structs.replace(settings, home=wiring.folder(home))
        opened = store or wiring.open_store(settings.home)
        chosen = embedder is not None or settings.embedder is not None
        if embedder is None or isinstance(embedder, str):
            embedder = wiring.open_embedder(settings, embedder)
        self._settings = settings
        self._tools = Tools(
            store=opened,
            blobs=blobs or wiring.open_blobs(settings.home),
            clock=clock,
            new_id=new_id,
            key=key or wiring.instance_key(settings, opened),
            embedder=embedder,
            searcher=Searcher(embedder, cache_bytes=settings.cache_bytes),
        )
        self._api = MemoryAPI(self._tools, HANDLERS, on_span=on_span)
        self._caller = Caller(steward=True)
        self._root = True
        own = upkeep.own_jobs(self._api, self._tools)
        self._worker = Worker(self._api, {**own, **(jobs or {})}, name=wiring.worker_name(), clock=clock)
        upkeep.begin(self._api, self._tools, any_embedder=reembedding, by_words_meant=chosen)

    # Writing.

    def add(
        self,
        content: str | Mapping[str, Any] | Iterable[Mapping[str, Any]] | Activation | Parametric,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        role: str | None = None,
        task: str | None = None,
        timestamp: When | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        entities: Sequence[str] | None = None,
        type: SemanticType | str | None = None,
        origin: Origin | str | None = None,
        language: str | None = None,
        priority: Priority | str | None = None,
        sensitivity: Sequence[str] | None = None,
        valid_from: When | None = None,
        valid_to: When | None = None,
        parents: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Added:
        """Keep a text, a conversation or a tensor; returns when it is durable and can be found.

        A conversation is a list of messages in OpenAI form (``role``, ``content``, optionally ``id``, ``name``,
        ``timestamp``): each becomes one memory, verbatim. The same message (same id, text and session) is kept once;
        one whose content is None, as of an assistant that only calls tools, is left out and named in ``skipped``.
        With an ``idempotency_key`` a retry returns what the first call made. A list is one atomic call.
        """
        call = self._bind(user_id, agent_id, run_id, session_id, role, task)
        labels = parse_labels(
            timestamp=timestamp,
            metadata=metadata,
            tags=tags,
            entities=entities,
            type=type,
            origin=origin,
            language=language,
            priority=priority,
            sensitivity=sensitivity,
            valid_from=valid_from,
            valid_to=valid_to,
        )
        key = None if idempotency_key is None else check_name(idempotency_key, "idempotency_key")
        request: Request
        skipped: tuple[int, ...] = ()
        if isinstance(content, Activation | Parametric):
            request = requests.AddTensor(
                payload=content, parents=check_names(parents, "parents"), labels=labels, idempotency_key=key
            )
        else:
            messages, skipped = parse_content(content, text_limit=self._settings.text_limit)
            conversation = not isinstance(content, str)
            request = requests.Add(messages=messages, labels=labels, conversation=conversation, idempotency_key=key)
        added: Added = self._dispatch(call, request)
        return msgspec.structs.replace(added, skipped=skipped)

    def update(
        self,
        id: str,
        content: str | None = None,
        *,
        expected: int | str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        timestamp: When | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        entities: Sequence[str] | None = None,
        type: SemanticType | str | None = None,
        language: str | None = None,
        priority: Priority | str | None = None,
        sensitivity: Sequence[str] | None = None,
        valid_from: When | None = None,
        valid_to: When | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Write the next version of a memory; what is not given stays.

        The old text stays true for the time before ``valid_from`` (by default ``timestamp``, else now). With
        ``expected``, a revision or version, the update is refused when somebody else changed the memory since.
        """
        labels = parse_labels(
            timestamp=timestamp,
            metadata=metadata,
            tags=tags,
            entities=entities,
            type=type,
            language=language,
            priority=priority,
            sensitivity=sensitivity,
            valid_from=valid_from,
            valid_to=valid_to,
        )
        return self._update(id, content, False, expected, user_id, agent_id, labels, idempotency_key)

    def append(
        self,
        id: str,
        content: str,
        *,
        expected: int | str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        timestamp: When | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Write the next version of a memory: the present text, and ``content`` on a line of its own."""
        labels = Labels(timestamp=optional_time(timestamp, "timestamp"))
        return self._update(id, content, True, expected, user_id, agent_id, labels, idempotency_key)

    def delete(
        self,
        id: str | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        expected: int | str | None = None,
    ) -> Deleted:
        """Delete one memory, or all that a scope or a filter select; recoverable, and history still knows them."""
        if id is None and filters is None and (user_id, agent_id, run_id, session_id) == (None,) * 4:
            raise EmptyScope()
        call = self._bind(user_id, agent_id, run_id, session_id)
        where = None if filters is None else grammar.parse(filters)
        deleted: Deleted = self._dispatch(
            call,
            requests.Delete(id=optional_id(id, "id"), where=where, expected=optional_version(expected, "expected")),
        )
        return deleted

    # Reading.

    def search(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        limit: int = 10,
        filters: Mapping[str, Any] | None = None,
        valid_at: When | None = None,
        known_at: When | None = None,
        explain: bool = False,
    ) -> Hits:
        """The memories that answer ``query``, best first; each says why.

        Without times: what is known and not over. ``valid_at`` asks what was true then, ``known_at`` what was known
        then. The explanation (``hits.explain()``) is always there; ``explain`` is for the word's sake.
        """
        del explain
        call = self._bind(user_id, agent_id, run_id, session_id)
        window = TimeWindow(valid_at=optional_time(valid_at, "valid_at"), known_at=optional_time(known_at, "known_at"))
        where = None if filters is None else grammar.parse(filters)
        check_text(query, "the query", limit=self._settings.text_limit)
        request = requests.Search(query=query, limit=check_limit(limit), where=where)
        hits: Hits = self._dispatch(call, request, window)
        return hits

    def get(
        self, id: str, *, version: int | str | None = None, user_id: str | None = None, agent_id: str | None = None
    ) -> MemCube:
        """One memory: its current version, or the revision or version hash that is named."""
        cube: MemCube = self._dispatch(
            self._bind(user_id, agent_id), requests.Get(id=check_id(id), version=optional_version(version, "version"))
        )
        return cube

    def list(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        limit: int = 100,
        after: str | None = None,
        episodes: bool = False,
        valid_at: When | None = None,
        known_at: When | None = None,
    ) -> Page:
        """Memories in the order in which they were made, a page at a time; ``after=page.after`` continues."""
        call = self._bind(user_id, agent_id, run_id, session_id)
        window = TimeWindow(valid_at=optional_time(valid_at, "valid_at"), known_at=optional_time(known_at, "known_at"))
        where = None if filters is None else grammar.parse(filters)
        request = requests.ListPage(
            where=where, limit=check_limit(limit), after=optional_id(after, "after"), episodes=episodes
        )
        page: Page = self._dispatch(call, request, window)
        return page

    def history(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> Sequence[Record]:
        """Every version of a memory, oldest first, with when it was known and when it was true."""
        records: Sequence[Record] = self._dispatch(self._bind(user_id, agent_id), requests.History(id=check_id(id)))
        return records

    def diff(
        self, id: str, a: int | str, b: int | str, *, user_id: str | None = None, agent_id: str | None = None
    ) -> Difference:
        """What changed from version ``a`` of a memory to version ``b``."""
        request = requests.Diff(id=check_id(id), a=check_version(a, "a"), b=check_version(b, "b"))
        difference: Difference = self._dispatch(self._bind(user_id, agent_id), request)
        return difference

    def log(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        since: When | None = None,
        until: When | None = None,
        caller: str | None = None,
        operation: str | None = None,
        memory: str | None = None,
        limit: int = 100,
    ) -> Sequence[AuditRecord]:
        """The newest entries of the audit log: one's own, or, for a steward who names nobody, everybody's."""
        self._api.buffer.flush()
        query = AuditQuery(
            since=optional_time(since, "since"),
            until=optional_time(until, "until"),
            caller=optional_id(caller, "caller"),
            operation=optional_id(operation, "operation"),
            memory=optional_id(memory, "memory"),
            limit=check_limit(limit),
        )
        records: Sequence[AuditRecord] = self._dispatch(self._everywhere(user_id, agent_id), requests.Log(query=query))
        return records

    # Blobs of tensor memories.

    def put_blob(self, source: bytes | BinaryIO) -> tuple[str, int]:
        """Store the bytes of a tensor before the memory that names them; gives hash and size."""
        return self._tools.blobs.put(check_blob(source))

    def open_blob(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> memoryview:
        """The bytes of a tensor memory, mapped and not copied."""
        payload = self.get(id, user_id=user_id, agent_id=agent_id).payload
        if not isinstance(payload, Activation | Parametric):
            raise InvalidInput(f"memory {id!r} is text and has no blob; read its payload")
        return self._tools.blobs.open(payload.blob)

    # The store as a whole.

    def export_lines(self, *, user_id: str | None = None, agent_id: str | None = None) -> Iterator[bytes]:
        """Whole memories as JSON Lines, every version, in order of their ids: one's own, or, for a steward, all."""
        call, after = self._everywhere(user_id, agent_id), None
        while True:
            page: transfer.Exported = self._dispatch(call, requests.Export(after=after))
            if not page.lines:
                return
            yield from page.lines
            after = page.after

    def import_records(self, memories: Iterable[tuple[Record, ...]]) -> transfer.Imported:
        """Take in memories that ``pymemos.interface.transfer.from_line`` read; repeating it changes nothing."""
        report: transfer.Imported = self._dispatch(
            self._everywhere(), requests.Import(memories=check_records(memories))
        )
        return report

    import_from = importers.import_from  # other programs' archives: it only calls what is public here

    def backup(self, target: str | os.PathLike[str]) -> Path:
        """Copy the store, while it is in use, as one moment saw it, to the new file ``target``."""
        return Path(self._dispatch(self._everywhere(), requests.Backup(target=os.fspath(target))))

    def doctor(self) -> Sequence[Finding]:
        """Examine the store: integrity, agreement of its parts, counts, blobs, free space."""
        findings: Sequence[Finding] = self._dispatch(self._everywhere(), requests.Doctor())
        return findings

    # Jobs and time.

    def enqueue(
        self,
        kind: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_at: When | None = None,
        priority: int = 0,
        max_attempts: int = 5,
        dedup_key: str | None = None,
    ) -> str | None:
        """Queue a job for the owner; gives its id, or None when one with its kind and dedup key waits already.

        A higher ``priority`` runs first. A job that failed ``max_attempts`` times, at most 40, is parked.
        """
        caller, scope = self._bind(user_id, agent_id)
        now = self._tools.clock()
        job = Job(
            id=self._tools.new_id(now),
            kind=check_name(kind, "kind"),
            namespace=scope.namespace or caller.namespace,
            run_at=optional_time(run_at, "run_at") or now,
            arguments=check_metadata(arguments or {}, "arguments"),
            priority=check_number(priority, "priority", least=-PRIORITIES, most=PRIORITIES),
            max_attempts=check_number(max_attempts, "max_attempts", least=1, most=MOST_ATTEMPTS),
            dedup_key=None if dedup_key is None else check_name(dedup_key, "dedup_key"),
            created=now,
        )
        id: str | None = self._dispatch((caller, scope), requests.Enqueue(job=job))
        return id

    def jobs(self, *, state: JobState | str | None = None, limit: int = 100) -> Sequence[Job]:
        """Unfinished jobs in the order in which they would run."""
        wanted = None if state is None else check_member(JobState, state, "state")
        found: Sequence[Job] = self._dispatch(self._everywhere(), requests.Jobs(state=wanted, limit=check_limit(limit)))
        return found

    def control_job(self, id: str, action: str) -> Job:
        """Retry a job now ("retry") or take it out of the queue ("cancel")."""
        job: Job = self._dispatch(self._everywhere(), requests.ControlJob(id=check_id(id), action=action))
        return job

    def next_due(self) -> datetime | None:
        """When the next job that this process can do becomes due; a worker sleeps until then."""
        with self._tools.store.read() as unit:  # tells nothing about memories, so it needs no decision
            return unit.next_due(self._worker.kinds)

    def tick(self, now: datetime | None = None, *, limit: int = 100) -> TickReport:
        """One turn of the system: do what is due at ``now``, at most ``limit`` jobs."""
        if not self._caller.steward:
            self._dispatch(self._everywhere(), requests.Jobs())  # refused and recorded, as any such call
        return self._worker.tick(optional_time(now, "now") or self._tools.clock(), limit=check_limit(limit))

    def reembed(self, on_progress: Callable[[int], None] | None = None) -> int:
        """Make the vectors of the whole store anew with the present embedder; gives how many memories got some.

        Searches go on meanwhile. A run that was cut off goes on where it was: what has vectors is left alone.
        """
        embedder = self._tools.embedder
        if embedder is None:
            raise ModelError("there is no embedder; run 'pymemos models prepare minilm', or set PYMEMOS_EMBEDDER")
        namespaces = self._dispatch(self._everywhere(), embedding.UseEmbedder(embedder=embedder.identity))
        done = 0
        for namespace in namespaces:
            for count in embedding.embed_all(self._api, self._tools, namespace):
                done += count
                if on_progress is not None:
                    on_progress(done)
        return done

    def bind(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        role: str | None = None,
        task: str | None = None,
        model: str | None = None,
    ) -> MemOS:
        """A handle on the same store that carries these identities; it can only narrow further."""
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__)
        bound._root = False
        bound._caller = self._narrow(user_id, agent_id, run_id, session_id, role, task, model)
        return bound

    def close(self) -> None:
        """Write what waits and release the store; a bound handle leaves it open for the others."""
        if not self._root:
            return
        try:
            self._api.buffer.close()
        finally:
            self._tools.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # From arguments to calls.

    def _narrow(
        self,
        user_id: str | None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        role: str | None = None,
        task: str | None = None,
        model: str | None = None,
    ) -> Caller:
        if run_id is not None and session_id is not None and run_id != session_id:
            raise InvalidInput(f"run_id {run_id!r} and session_id {session_id!r} are two names of one thing; pass one")
        given = {
            "user": user_id,
            "agent": agent_id,
            "session": session_id if session_id is not None else run_id,
            "role": role,
            "task": task,
            "model": model,
        }
        checked = {name: check_name(value, name) for name, value in given.items() if value is not None}
        return self._caller.narrow(**checked)

    def _bind(self, *identities: str | None) -> tuple[Caller, Scope]:
        caller = self._narrow(*identities)
        return caller, Scope(namespace=caller.namespace, agent=caller.agent, session=caller.session)

    def _everywhere(self, user_id: str | None = None, agent_id: str | None = None) -> tuple[Caller, Scope]:
        """The whole store for a steward who names nobody, else the caller's own."""
        caller, scope = self._bind(user_id, agent_id)
        return caller, Scope(namespace=None) if caller.steward else scope

    def _dispatch(self, who: tuple[Caller, Scope], request: Request, window: TimeWindow = TimeWindow()) -> Any:  # noqa: B008 (frozen)
        caller, scope = who
        return self._api.dispatch(MemoryCall(caller=caller, request=request, scope=scope, window=window))

    def _update(
        self,
        id: str,
        content: str | None,
        appended: bool,
        expected: int | str | None,
        user_id: str | None,
        agent_id: str | None,
        labels: Labels,
        idempotency_key: str | None,
    ) -> MemCube:
        if content is not None:
            check_text(content, "the text", limit=self._settings.text_limit)
        if content is None and labels == Labels():
            raise InvalidInput("the update changes nothing; pass a text, tags, metadata or another label")
        request = requests.Update(
            id=check_id(id),
            content=content,
            appended=appended,
            labels=labels,
            expected=optional_version(expected, "expected"),
            idempotency_key=None if idempotency_key is None else check_name(idempotency_key, "idempotency_key"),
        )
        cube: MemCube = self._dispatch(self._bind(user_id, agent_id), request)
        return cube
