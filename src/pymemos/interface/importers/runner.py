"""The runner of imports: hands the sessions of a source to the memory, each in one atomic call.

What is there already is known by its ids, so an import that was interrupted is finished by repeating it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pymemos.cube.cube import MemCube
from pymemos.cube.header import SemanticType
from pymemos.errors import CannotWiden, InvalidInput, NotAllowed, UnknownMemory
from pymemos.interface.importers import chatgpt, locomo, markdown
from pymemos.interface.importers.files import as_text
from pymemos.interface.importers.session import Broken, ImportReport, Kind, OnProgress, Progress, Session, Source
from pymemos.interface.requests import Added, Deleted, Message, Page

BATCH = 500  # messages in one call, so that one that goes on for years is not one transaction
PAGE = 1_000  # stored passages that are read at once


class Memories(Protocol):
    """What an import asks of the memory: the public calls of MemOS."""

    def bind(self, *, user_id: str | None = None, agent_id: str | None = None) -> Memories:
        """A handle that acts for one owner."""
        ...

    def add(
        self,
        content: Iterable[Mapping[str, Any]],
        *,
        session_id: str | None = None,
        timestamp: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        type: SemanticType | None = None,
    ) -> Added:
        """Keep messages; one that is known by its id, text and session is kept once."""
        ...

    def update(
        self,
        id: str,
        content: str,
        *,
        timestamp: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
    ) -> MemCube:
        """Write the next version of a memory."""
        ...

    def delete(self, id: str) -> Deleted:
        """Delete a memory recoverably."""
        ...

    def list(
        self,
        *,
        session_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Memories, a page at a time."""
        ...


class Kept(NamedTuple):
    """A passage that the memory holds: its memory's id, the path of its note, and what the note said then."""

    id: str
    path: str
    digest: str | None


def run(
    mem: Memories, path: Path, kind: Kind, *, collection: str | None, prune: bool, on_progress: OnProgress | None
) -> ImportReport:
    """Take in what ``path`` holds; what is broken is left out and reported."""
    if kind is not Kind.MARKDOWN and (collection is not None or prune):
        raise InvalidInput(f"session_id and prune are for notes; the sessions of {kind} name themselves")
    if kind is Kind.MARKDOWN:
        name = path.resolve().as_posix() if collection is None else collection
        source = markdown.read(path, collection=name)
        importing = Importing(mem, _stored(mem, name))
    else:
        source = chatgpt.read(path) if kind is Kind.CHATGPT else locomo.read(path)
        importing = Importing(mem, {})
    importing.take(source, on_progress or (lambda _: None))
    return importing.finish(prune=prune)


class Importing:
    """An import under way; ``stored`` are the passages that an earlier one brought, by the ids of their sources."""

    def __init__(self, mem: Memories, stored: dict[str, Kept]) -> None:
        self._mem = mem
        self._stored = stored
        self._sessions = 0
        self._written = 0
        self._known = 0
        self._updated = 0
        self._broken: list[Broken] = []

    def take(self, source: Source, on_progress: OnProgress) -> None:
        """Take in every session, and tell the progress behind each."""
        for done, found in enumerate(source.sessions, start=1):
            if isinstance(found, Broken):
                self._broken.append(found)
            else:
                self._sessions += 1
                self._take(found)
            on_progress(Progress(done=done, total=source.total, what=found.where))

    def finish(self, *, prune: bool) -> ImportReport:
        """What was done; passages that no note holds any more are named, and deleted with ``prune``."""
        unread = {one.where for one in self._broken}
        gone = {source: kept for source, kept in self._stored.items() if not unread.intersection(_above(kept.path))}
        pruned = tuple(source for source, kept in gone.items() if prune and self._delete(kept))
        return ImportReport(
            sessions=self._sessions,
            written=self._written,
            known=self._known,
            updated=self._updated,
            missing=tuple(source for source in gone if source not in set(pruned)),
            pruned=pruned,
            broken=tuple(self._broken),
        )

    def _take(self, session: Session) -> None:
        fresh = []
        for message in session.messages:
            kept = self._stored.pop(message.id or "", None)
            if kept is None:
                fresh.append(message)
            elif kept.digest == message.rest.get("digest"):
                self._known += 1
            else:
                self._update(session, message, kept)
        for start in range(0, len(fresh), BATCH):
            self._add(session, fresh[start : start + BATCH])

    def _add(self, session: Session, messages: Sequence[Message]) -> None:
        """Add messages in one call; where one of them is refused, one by one, so that the others are kept."""
        try:
            added = self._mem.add(
                [_plain(message) for message in messages],
                session_id=session.id,
                timestamp=session.at,
                metadata=session.metadata,
                tags=session.tags,
                type=session.type,
            )
        except CannotWiden:
            raise
        except InvalidInput as error:
            if len(messages) == 1:
                self._report(session, messages[0], error)
            else:
                for message in messages:
                    self._add(session, [message])
            return
        self._known += len(added.deduplicated)
        self._written += len(messages) - len(added.deduplicated)

    def _update(self, session: Session, message: Message, kept: Kept) -> None:
        try:
            self._mem.update(
                kept.id,
                message.content,
                timestamp=session.at,
                metadata={**session.metadata, "message": message.rest},
                tags=session.tags,
            )
        except (InvalidInput, NotAllowed, UnknownMemory) as error:
            self._report(session, message, error)
            return
        self._updated += 1

    def _delete(self, kept: Kept) -> bool:
        try:
            self._mem.delete(kept.id)
        except (NotAllowed, UnknownMemory) as error:
            self._broken.append(Broken(where=kept.path, reason=str(error)))
            return False
        return True

    def _report(self, session: Session, message: Message, error: Exception) -> None:
        self._broken.append(Broken(where=f"{session.where}, message {message.id}", reason=str(error)))


def _stored(mem: Memories, collection: str) -> dict[str, Kept]:
    """The passages of a collection of notes, by the ids of their sources."""
    stored: dict[str, Kept] = {}
    after = None
    while True:
        page = mem.list(session_id=collection, filters={"metadata.source": "markdown"}, limit=PAGE, after=after)
        for cube in page.cubes:
            said = cube.header.descriptive
            message = said.metadata.get("message")
            digest = message.get("digest") if isinstance(message, dict) else None
            kept = Kept(cube.id, as_text(said.metadata.get("path")), digest)
            stored.update(dict.fromkeys(said.source_ids, kept))
        if page.after is None:
            return stored
        after = page.after


def _above(path: str) -> Iterator[str]:
    """A note and the folders that it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _plain(message: Message) -> dict[str, Any]:
    """A message as ``add`` takes it."""
    ours = {"id": message.id, "role": message.role, "name": message.name, "timestamp": message.timestamp}
    return {**message.rest, **{name: value for name, value in ours.items() if value}, "content": message.content}
