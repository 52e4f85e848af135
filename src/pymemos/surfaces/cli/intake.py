"""The intake of an import: reads lines, cuts them into batches, and hands them to the store.

An exported memory brings its own identity, so taking it in twice changes nothing. A message has none: a run of messages
of one owner is one atomic add under an idempotency key made of the run's lines and its place in the file. The same file
is always cut the same way, so that an import that was interrupted can be repeated.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pymemos.cube.filters import aware
from pymemos.errors import InvalidInput, MalformedRecord, PymemosError, SensitiveText
from pymemos.interface.transfer import from_line

if TYPE_CHECKING:
    from pymemos import MemOS, Record

BATCH = 500  # records in one call
BATCH_BYTES = 8 << 20  # of lines in one call, so that memory stays bounded

OnMalformed = Callable[[int, int, bytes, str], None]  # line number, byte offset, the line, what is wrong with it


class MessageLine(msgspec.Struct, kw_only=True):
    """A line that holds a message; fields that are not named here are kept with it."""

    content: str | list[dict[str, Any]]
    role: str | None = None
    name: str | None = None
    id: str | int | None = None
    timestamp: str | float | None = None
    user_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None
    run_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}


class Malformed(NamedTuple):
    """A line that could not be taken in."""

    line: int
    offset: int
    reason: str


class Report:
    """What an import did so far."""

    def __init__(self) -> None:
        self.written = 0
        self.known = 0
        self.conflicting: list[str] = []
        self.erased: list[str] = []
        self.malformed: list[Malformed] = []

    def public(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {
            "written": self.written,
            "known": self.known,
            "conflicting": self.conflicting,
            "erased": self.erased,
            "malformed": [line._asdict() for line in self.malformed],
        }


class _Line(NamedTuple):
    number: int
    offset: int
    raw: bytes


class _Owner(NamedTuple):
    """What the messages of one call have in common."""

    user_id: str | None
    agent_id: str | None
    session_id: str | None
    tags: tuple[str, ...]


class _Message(NamedTuple):
    """A message as ``add`` takes it, and whose it is."""

    owner: _Owner
    fields: dict[str, Any]


class Intake:
    """Takes lines in; ``identity`` is for messages that name nobody."""

    def __init__(self, mem: MemOS, identity: Mapping[str, str | None], *, on_malformed: OnMalformed) -> None:
        self.report = Report()
        self._mem = mem
        self._identity = identity
        self._on_malformed = on_malformed
        self._records: list[tuple[_Line, tuple[Record, ...]]] = []
        self._messages: list[tuple[_Line, dict[str, Any]]] = []
        self._owner: _Owner | None = None
        self._bytes = 0

    def take(self, lines: Iterable[bytes]) -> None:
        """Take every line in; a malformed one is reported and left out.

        An error of the store is none of a line: it ends the intake, and the report says what was done until then.
        """
        offset = 0
        for number, raw in enumerate(lines, start=1):
            line, offset = _Line(number, offset, raw), offset + len(raw)
            try:
                found = self._read(line)
            except (PymemosError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self._reject(line, error)
                continue
            if found is not None:
                self._sort_in(line, found)
        self._flush()

    def _read(self, line: _Line) -> tuple[Record, ...] | _Message | None:
        """What a line holds, None where it is blank; raises what is wrong with it."""
        text = (line.raw.removeprefix(codecs.BOM_UTF8) if line.number == 1 else line.raw).strip()
        if not text:
            return None
        fields = msgspec.json.decode(text)
        if not isinstance(fields, dict):
            raise MalformedRecord("not an object; a line is an exported memory or a message")
        return from_line(text) if "pymemos" in fields else self._read_message(fields)

    def _sort_in(self, line: _Line, found: tuple[Record, ...] | _Message) -> None:
        """Put what a line holds into the batch that it belongs to."""
        if isinstance(found, _Message):
            if self._records or found.owner != self._owner or len(self._messages) == BATCH:
                self._flush()
            self._owner = found.owner
            self._messages.append((line, found.fields))
        else:
            if self._messages or len(self._records) == BATCH:
                self._flush()
            self._records.append((line, found))
        self._bytes += len(line.raw)
        if self._bytes >= BATCH_BYTES:
            self._flush()

    def _read_message(self, fields: dict[str, Any]) -> _Message:
        if "content" not in fields:
            raise MalformedRecord(f"neither an exported memory nor a message: no 'content' among {sorted(fields)}")
        said = msgspec.convert(fields, MessageLine)
        if isinstance(said.timestamp, str):
            aware(said.timestamp, "timestamp")
        if isinstance(said.content, str) and not said.content.strip():
            raise MalformedRecord("the content is empty")
        rest = {name: value for name, value in fields.items() if name not in MessageLine.__struct_fields__}
        ours = {name: getattr(said, name) for name in ("role", "name", "id", "timestamp", "metadata")}
        given = {name: value for name, value in ours.items() if value is not None}
        return _Message(self._owner_of(said), {**rest, **given, "content": said.content})

    def _owner_of(self, said: MessageLine) -> _Owner:
        """Whose a message is; a session alone names nobody."""
        user, agent, session = said.user_id, said.agent_id, said.session_id or said.run_id
        if user is None and agent is None:
            user, agent = self._identity["user_id"], self._identity["agent_id"]
            session = session or self._identity["session_id"]
        return _Owner(user, agent, session, said.tags)

    def _flush(self) -> None:
        """Hand over the batch that has been gathered."""
        records, self._records = self._records, []
        messages, self._messages = self._messages, []
        self._bytes = 0
        if records:
            self._import(records)
        if messages and self._owner is not None:
            self._add(self._owner, messages)

    def _import(self, records: list[tuple[_Line, tuple[Record, ...]]]) -> None:
        """Take memories in in one call; where one of them is refused, one by one, so that the others are kept."""
        try:
            done = self._mem.import_records([memory for _, memory in records])
        except InvalidInput as error:
            if len(records) == 1:
                self._reject(records[0][0], error)
            else:
                for record in records:
                    self._import([record])
            return
        self.report.written += len(done.written)
        self.report.known += len(done.known)
        self.report.conflicting += done.conflicting
        self.report.erased += done.erased
        for line, memory in records:
            if memory[-1].cube.id in done.refused:
                self._reject(
                    line, SensitiveText("the memory holds what a privacy policy here would not let be written")
                )

    def _add(self, owner: _Owner, messages: list[tuple[_Line, dict[str, Any]]]) -> None:
        """Add messages in one call; where one of them is refused, one by one, so that the others are kept."""
        who = {name: value for name, value in owner._asdict().items() if value not in (None, ())}
        key = _key(owner, [line for line, _ in messages])
        try:
            added = self._mem.add([message for _, message in messages], idempotency_key=key, **who)
        except InvalidInput as error:
            if len(messages) == 1:
                self._reject(messages[0][0], error)
            else:
                for message in messages:
                    self._add(owner, [message])
            return
        known = len(messages) if added.replayed else len(added.deduplicated)
        self.report.known += known
        self.report.written += len(messages) - known

    def _reject(self, line: _Line, error: Exception) -> None:
        reason = f"not JSON: {error}" if type(error) is msgspec.DecodeError else str(error)
        self.report.malformed.append(Malformed(line.number, line.offset, reason))
        self._on_malformed(line.number, line.offset, line.raw, reason)


def _key(owner: _Owner, lines: list[_Line]) -> str:
    """The idempotency key of a batch: the same for the same lines at the same place, whatever the file is called."""
    digest = hashlib.sha256(msgspec.json.encode([owner, lines[0].number]))
    for line in lines:
        digest.update(line.raw.rstrip(b"\r\n"))
        digest.update(b"\n")
    return f"import:{digest.hexdigest()}"
