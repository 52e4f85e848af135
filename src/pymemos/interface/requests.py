"""The requests of the Memory API: one frozen value per operation (5.3.2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from pymemos.cube.call import Lease, Request
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import Filter
from pymemos.cube.header import Lifespan, Origin, Priority, SemanticType, Stage, Trust
from pymemos.cube.payload import Activation, Parametric
from pymemos.cube.privacy import Kind
from pymemos.ports import AuditQuery, Job, JobState, Record


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message in OpenAI form, checked; ``rest`` holds the fields that are not ours, kept with the memory."""

    content: str
    role: str | None = None
    id: str | None = None
    name: str | None = None
    timestamp: datetime | None = None
    rest: dict[str, Any] = {}


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says about memories that are added or changed; None leaves the default or the present value."""

    semantic_type: SemanticType | None = None
    tags: tuple[str, ...] | None = None
    entities: tuple[str, ...] | None = None
    metadata: dict[str, Any] | None = None
    language: str | None = None
    priority: Priority | None = None
    sensitivity: tuple[str, ...] | None = None
    origin: Origin | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    timestamp: datetime | None = None
    lifespan: Lifespan | None = None
    trust: Trust | None = None
    provenance: dict[str, Any] | None = None  # those of its fields that were given


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a memory: the version, by its hash, that was read of it; None pins what is current."""

    id: str
    version: str | None = None


class Add(Request, frozen=True, kw_only=True, tag="add"):
    """Keep messages, in order, as one memory each; a conversation also gets its episode."""

    messages: tuple[Message, ...]
    parents: tuple[Pin, ...] = ()  # what a text was made from; messages are made from nothing
    labels: Labels = Labels()
    conversation: bool = True
    idempotency_key: str | None = None


class AddTensor(Request, frozen=True, kw_only=True, tag="add_tensor"):
    """Keep an activation or parametric memory whose blob is stored already."""

    payload: Activation | Parametric
    parents: tuple[Pin, ...] = ()  # what it was made from
    labels: Labels = Labels()
    idempotency_key: str | None = None


class Search(Request, frozen=True, kw_only=True, tag="search"):
    """Find the memories that answer a question."""

    query: str
    limit: int = 10
    where: Filter | None = None
    stages: tuple[Stage, ...] | None = None  # where they may stand; None: the live ones, and what the filter names


class Get(Request, frozen=True, kw_only=True, tag="get"):
    """Read one memory: its current version, or the one that ``version`` names by number or hash."""

    id: str
    version: int | str | None = None


class ListPage(Request, frozen=True, kw_only=True, tag="list"):
    """Read memories in order of their ids, a page at a time."""

    where: Filter | None = None
    limit: int = 100
    after: str | None = None
    episodes: bool = False
    stages: tuple[Stage, ...] | None = None


class Update(Request, frozen=True, kw_only=True, tag="update"):
    """Write the next version of a memory; ``appended`` joins the content to the present one."""

    id: str
    content: str | None = None
    appended: bool = False
    parents: tuple[Pin, ...] | None = None  # what it is made from now; None leaves its sources as they are pinned
    labels: Labels = Labels()
    expected: int | str | None = None
    idempotency_key: str | None = None


class Delete(Request, frozen=True, kw_only=True, tag="delete"):
    """Delete one memory recoverably, or all that a scope and a filter select."""

    id: str | None = None
    where: Filter | None = None
    expected: int | str | None = None


class History(Request, frozen=True, kw_only=True, tag="history"):
    """Read every version of a memory."""

    id: str


class Diff(Request, frozen=True, kw_only=True, tag="diff"):
    """Compare two versions of a memory."""

    id: str
    a: int | str
    b: int | str


class Log(Request, frozen=True, kw_only=True, tag="log"):
    """Read the audit log (5.3.2, LogQuery)."""

    query: AuditQuery


class Export(Request, frozen=True, kw_only=True, tag="export"):
    """Read whole memories, every version, a page at a time; some kinds of what is personal or secret left out."""

    limit: int = 200
    after: str | None = None
    redact: tuple[Kind, ...] = ()
    sign: bool = False  # sign what this instance has not signed yet; nothing of it is kept


class Import(Request, frozen=True, kw_only=True, tag="import"):
    """Take in whole memories as another store knew them."""

    memories: tuple[tuple[Record, ...], ...]


class Backup(Request, frozen=True, kw_only=True, tag="backup"):
    """Copy the store to a file."""

    target: str


class Doctor(Request, frozen=True, kw_only=True, tag="doctor"):
    """Examine the store."""

    grep_erased: bool = False  # search every byte of its files for what was erased, too


class Enqueue(Request, frozen=True, kw_only=True, tag="enqueue"):
    """Put a job into the queue."""

    job: Job


class Jobs(Request, frozen=True, kw_only=True, tag="jobs"):
    """Read the queue."""

    state: JobState | None = None
    limit: int = 100


class ControlJob(Request, frozen=True, kw_only=True, tag="control_job"):
    """Retry or cancel a job."""

    id: str
    action: str  # "retry" or "cancel"


class Claim(Request, frozen=True, kw_only=True, tag="claim"):
    """Lease the next due job."""

    worker: str
    kinds: tuple[str, ...]
    now: datetime
    until: datetime


class Heartbeat(Request, frozen=True, kw_only=True, tag="heartbeat"):
    """Hold a lease for longer."""

    lease: Lease
    until: datetime


class FailJob(Request, frozen=True, kw_only=True, tag="fail_job"):
    """Say that an attempt failed, and whether for good."""

    lease: Lease
    error: str
    now: datetime
    said: str = ""
    final: bool = False


class FinishJob(Request, frozen=True, kw_only=True, tag="finish_job"):
    """Say that a job is done which changed nothing else."""


class Reindex(Request, frozen=True, kw_only=True, tag="reindex"):
    """Analyse some memories of a namespace anew, and queue the rest."""

    after: str | None = None
    limit: int = 200


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """What ``add`` kept: the memories in the order of the messages, their episode, and which were there already."""

    cubes: tuple[MemCube, ...]
    episode: MemCube | None = None
    deduplicated: tuple[str, ...] = ()  # ids among ``cubes`` that were there before
    queued: tuple[str, ...] = ()  # ids of follow-up jobs
    skipped: tuple[int, ...] = ()  # places, from 0, of the messages that said nothing: their content was None
    replayed: bool = False  # the key was known: this is what the first call made, also what was deleted since

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the memories."""
        return tuple(cube.id for cube in self.cubes)


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What ``delete`` took out of reach; history still knows it."""

    ids: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one version of a memory to another: a unified diff of the text, and the header's fields."""

    id: str
    a: int
    b: int
    text: str
    fields: dict[str, tuple[Any, Any]]

    def __str__(self) -> str:
        changes = [f"{name}: {old!r} → {new!r}" for name, (old, new) in self.fields.items()]
        return "\n".join([*changes, self.text] if self.text else changes)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Memories in order of their ids; ``after`` continues behind the last one, None at the end."""

    cubes: tuple[MemCube, ...]
    after: str | None = None

    def __iter__(self) -> Any:
        return iter(self.cubes)

    def __len__(self) -> int:
        return len(self.cubes)

    def __getitem__(self, index: int) -> MemCube:
        return self.cubes[index]
