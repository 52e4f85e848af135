"""Memories: add, search, get, list, update, append, delete, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import msgspec

from pymemos.cube import filters as grammar
from pymemos.cube.call import Request, TimeWindow
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.header import Lifespan, Origin, Priority, SemanticType, Stage, Trust
from pymemos.cube.payload import Activation, Parametric
from pymemos.errors import InvalidInput, StaleMemory
from pymemos.facade.handle import Handle
from pymemos.interface import requests
from pymemos.interface.arguments import (
    When,
    check_blob,
    check_id,
    check_limit,
    check_name,
    check_query,
    check_stages,
    check_text,
    check_version,
    optional_id,
    optional_time,
    optional_version,
    parse_choice,
    parse_content,
    parse_labels,
    parse_parents,
)
from pymemos.interface.requests import Added, Deleted, Difference, Labels, Page, Pin
from pymemos.interface.viewing import through
from pymemos.operation.hits import Hits
from pymemos.ports import Record

Parents = Sequence[str | MemCube | Parent]


class Memories(Handle):
    """The methods that applications use most."""

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
        trust: Trust | str | None = None,
        language: str | None = None,
        priority: Priority | str | None = None,
        sensitivity: Sequence[str] | None = None,
        valid_from: When | None = None,
        valid_to: When | None = None,
        lifespan: Lifespan | Mapping[str, Any] | None = None,
        parents: Parents = (),
        provenance: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        namespace: str | None = None,
    ) -> Added:
        """Keep a text, a conversation or a tensor; returns when it is durable and can be found.

        A conversation is a list of messages in OpenAI form (``role``, ``content``, optionally ``id``, ``name``,
        ``timestamp``, ``metadata``): each becomes one memory, verbatim. The same one (same id, text and session) is
        kept once; one whose content is None, as of an assistant that only calls tools, is left out: see ``skipped``.
        With an ``idempotency_key`` a retry returns what the first call made. A list is one atomic call. ``parents`` are
        what a text or tensor was made from: cubes pin what was read, ids what is current. ``lifespan`` says how long it
        is kept: ``{"ttl_s": 3600}``, ``{"expires": time}``, or ``{"half_life_s": 86400}`` until it fades. ``namespace``
        is a place where others are at home too, such as ``shared/team``, and a policy lets the caller write. ``trust``
        says where the words came from; those of another ``agent``, a ``tool`` or the ``web`` are quoted in prompts.
        """
        call = self._in(self._bind(user_id, agent_id, run_id, session_id, role, task), namespace)
        labels = parse_labels(
            timestamp=timestamp,
            metadata=metadata,
            tags=tags,
            entities=entities,
            type=type,
            origin=origin,
            trust=trust,
            language=language,
            priority=priority,
            sensitivity=sensitivity,
            valid_from=valid_from,
            valid_to=valid_to,
            lifespan=lifespan,
            provenance=provenance,
        )
        key = None if idempotency_key is None else check_name(idempotency_key, "idempotency_key")
        request, skipped = self._addition(content, parse_parents(parents), labels, key)
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
        lifespan: Lifespan | Mapping[str, Any] | None = None,
        parents: Parents | None = None,
        provenance: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Write the next version of a memory; what is not given stays.

        The old text stays true for the time before ``valid_from`` (by default ``timestamp``, else now). With
        ``expected``, a revision or version, the update is refused when somebody else changed the memory since.
        ``parents`` pins anew what it is made from. A new text has no ``provenance`` but the one that is given with it.
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
            lifespan=lifespan,
            provenance=provenance,
        )
        pins = None if parents is None else parse_parents(parents)
        return self._update(id, content, False, expected, user_id, agent_id, labels, idempotency_key, pins)

    def append(
        self,
        id: str,
        content: str,
        *,
        expected: int | str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        timestamp: When | None = None,
        provenance: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Write the next version of a memory: the present text, and ``content`` on a line of its own."""
        labels = parse_labels(timestamp=timestamp, provenance=provenance)
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
        """Delete one memory, or all that a scope or a filter select; recoverable, and history still knows them.

        With an id, a session or an agent that is named has to be the memory's own.
        """
        if id is None and expected is not None:
            raise InvalidInput("expected is a version of one memory; name its id, or leave expected out")
        call = self._bind(user_id, agent_id, run_id, session_id)
        named, where = parse_choice(id, filters, user_id, agent_id, run_id, session_id)
        request = requests.Delete(id=named, where=where, expected=optional_version(expected, "expected"))
        deleted: Deleted = self._dispatch(call, request)
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
        states: Sequence[Stage | str] | None = None,
        namespaces: Sequence[str] | str | None = None,
        view: str | None = None,
        explain: bool = False,
    ) -> Hits:
        """The memories that answer ``query``, best first; each says why.

        Without times: what is known and not over. ``valid_at`` asks what was true then, ``known_at`` what was known
        then. What is archived, frozen or expired is found only where ``states`` or the filter names it:
        ``states=["archived", "frozen"]``. Both go by words alone. ``namespaces`` looks elsewhere, ranked as one: in
        places that policies open to the caller, such as ``["users/bo", "shared/team"]``, or in all that it may read,
        ``"*"``. ``view`` looks through what ``compose`` made, by its name or id. The explanation (``hits.explain()``)
        is always there; ``explain`` is for the word's sake.
        """
        del explain
        call = self._across(self._bind(user_id, agent_id, run_id, session_id), namespaces, view)
        window = TimeWindow(valid_at=optional_time(valid_at, "valid_at"), known_at=optional_time(known_at, "known_at"))
        where = None if filters is None else grammar.parse(filters)
        request = requests.Search(
            query=check_query(query), limit=check_limit(limit), where=where, stages=check_stages(states)
        )
        asked = request if view is None else through(request, check_name(view, "view"))
        hits: Hits = self._dispatch(call, asked, window)
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
        states: Sequence[Stage | str] | None = None,
        namespaces: Sequence[str] | str | None = None,
        view: str | None = None,
    ) -> Page:
        """Memories in the order in which they were made, a page at a time; ``after=page.after`` continues.

        As in a search, what is archived, frozen or expired is left out, unless ``states`` asks for it, ``namespaces``
        looks elsewhere, and ``view`` through what ``compose`` made. With ``episodes`` manifests are listed too, of
        conversations and of views.
        """
        call = self._across(self._bind(user_id, agent_id, run_id, session_id), namespaces, view)
        window = TimeWindow(valid_at=optional_time(valid_at, "valid_at"), known_at=optional_time(known_at, "known_at"))
        where = None if filters is None else grammar.parse(filters)
        request = requests.ListPage(
            where=where,
            limit=check_limit(limit),
            after=optional_id(after, "after"),
            episodes=episodes,
            stages=check_stages(states),
        )
        asked = request if view is None else through(request, check_name(view, "view"))
        page: Page = self._dispatch(call, asked, window)
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

    # Blobs of tensor memories.

    def put_blob(self, source: bytes | BinaryIO) -> tuple[str, int]:
        """Store the bytes of a tensor before the memory that names them; gives hash and size."""
        checked = check_blob(source)
        with self._tools.store.read():  # raises where the store is closed
            return self._tools.blobs.put(checked)

    def open_blob(
        self, id: str, *, user_id: str | None = None, agent_id: str | None = None, even_stale: bool = False
    ) -> memoryview:
        """The bytes of a tensor memory, mapped and not copied; those of a stale one only if that is what is meant."""
        cube = self.get(id, user_id=user_id, agent_id=agent_id)
        payload = cube.payload
        if cube.stale and not even_stale:
            why = "; ".join(map(str, cube.stale[:3]))
            raise StaleMemory(f"memory {id!r} is stale ({why}); make it anew from its sources, or pass even_stale=True")
        if not isinstance(payload, Activation | Parametric):
            raise InvalidInput(f"memory {id!r} is text and has no blob; read its payload")
        return self._tools.blobs.open(payload.blob)

    def _addition(
        self, content: Any, parents: tuple[Pin, ...], labels: Labels, key: str | None
    ) -> tuple[Request, tuple[int, ...]]:
        """What is asked for, and the places of messages that say nothing."""
        if isinstance(content, Activation | Parametric):
            return requests.AddTensor(payload=content, parents=parents, labels=labels, idempotency_key=key), ()
        conversation = not isinstance(content, str)
        if conversation and parents:
            raise InvalidInput("messages are what was said, and made from nothing; parents go with a text or a tensor")
        messages, skipped = parse_content(content, text_limit=self._settings.text_limit)
        request = requests.Add(
            messages=messages, parents=parents, labels=labels, conversation=conversation, idempotency_key=key
        )
        return request, skipped

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
        parents: tuple[Pin, ...] | None = None,
    ) -> MemCube:
        if content is not None:
            check_text(content, "the text", limit=self._settings.text_limit)
        if content is None and parents is None and labels == Labels():
            raise InvalidInput("the update changes nothing; pass a text, tags, metadata or another label")
        request = requests.Update(
            id=check_id(id),
            content=content,
            appended=appended,
            parents=parents,
            labels=labels,
            expected=optional_version(expected, "expected"),
            idempotency_key=None if idempotency_key is None else check_name(idempotency_key, "idempotency_key"),
        )
        cube: MemCube = self._dispatch(self._bind(user_id, agent_id), request)
        return cube
