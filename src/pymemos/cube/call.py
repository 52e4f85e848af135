"""MemoryCall: the system call that every surface translates its requests into, and what comes back (5.1, 5.3.1)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pymemos.cube.cube import MemCube, Source
from pymemos.cube.filters import EVERYTHING, NOTHING, Filter, matches
from pymemos.cube.header import Stage
from pymemos.errors import CannotWiden

DEFAULT_NAMESPACE = "default"


class Caller(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who calls: the identities that applications already use, and whether they may act for everybody.

    ``steward`` is whoever opened the store; ``system`` is the system itself, working off a job for ``user``.
    """

    user: str | None = None
    agent: str | None = None
    session: str | None = None
    role: str | None = None
    task: str | None = None
    model: str | None = None
    purpose: str | None = None
    steward: bool = False
    system: bool = False

    @property
    def namespace(self) -> str:
        """The namespace that the caller owns: the user's, else the agent's, else the default one."""
        if self.user is not None:
            return f"users/{self.user}"
        return f"agents/{self.agent}" if self.agent is not None else DEFAULT_NAMESPACE

    @property
    def name(self) -> str:
        """The caller in one word, for audit entries and authorship."""
        if self.system:
            return f"system({self.namespace})"
        return f"steward({self.namespace})" if self.steward else self.namespace

    def narrow(self, **given: str | None) -> Caller:
        """This caller with identities added; one that is set already cannot be changed, and a steward steps down."""
        named = {name: value for name, value in given.items() if value is not None}
        for name, value in named.items():
            held = getattr(self, name)
            if held is not None and held != value:
                raise CannotWiden(f"this handle is bound to {name} {held!r} and cannot act as {name} {value!r}")
        if self.agent is not None and self.user is None and "user" in named:
            raise CannotWiden(f"this handle is bound to agent {self.agent!r} and cannot take a user's memories")
        steps_down = bool(named.keys() & {"user", "agent"})
        return msgspec.structs.replace(self, steward=self.steward and not steps_down, **named)


def caller_of(namespace: str) -> Caller | None:
    """Whoever owns a namespace, as a caller; None where it is nobody's own."""
    kind, _, name = namespace.partition("/")
    owner = Caller(user=name if kind == "users" else None, agent=name if kind == "agents" else None)
    return owner if owner.namespace == namespace else None


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a call acts: one namespace, or all of them (None, for a steward), narrowed to an agent or a session.

    ``others`` are further namespaces that are looked at as one with it; ``readable`` adds whatever the caller may read.
    """

    namespace: str | None = DEFAULT_NAMESPACE
    agent: str | None = None
    session: str | None = None
    others: tuple[str, ...] = ()
    readable: bool = False


class TimeWindow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Both times of a question: when it was true (``valid_at``) and when we knew it (``known_at``)."""

    valid_at: datetime | None = None
    known_at: datetime | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to finish a job: the attempt fences off a worker whose lease ran out."""

    job: str
    worker: str
    attempt: int


class Request(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="operation"):
    """What a call asks for; one subclass per operation, in ``interface.requests``."""


class MemoryCall(msgspec.Struct, frozen=True, kw_only=True):
    """One system call: who asks, for what, where and about when.

    ``memory_type``, ``topic`` and ``entities`` are what MemReader read in the request (5.3.1). ``completes`` is the
    lease of the job whose effect this call is: both happen in one transaction, or neither does.
    """

    caller: Caller
    request: Request
    scope: Scope = Scope()
    window: TimeWindow = TimeWindow()
    memory_type: str | None = None
    topic: str | None = None
    entities: tuple[str, ...] = ()
    completes: Lease | None = None


class Reach(msgspec.Struct, frozen=True):
    """What somebody may read: by namespace the condition that its memories must satisfy; no other is open."""

    parts: tuple[tuple[str, Filter], ...] = ()

    def of(self, namespace: str) -> Filter:
        """The condition of a namespace."""
        return next((where for name, where in self.parts if name == namespace), NOTHING)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a call may proceed, by which rule, and why; ``namespaces`` is what it may reach (None: all).

    ``parts`` says of each of them which memories; whoever may do everything has none.
    """

    allowed: bool
    rule: str
    reason: str
    namespaces: tuple[str, ...] | None = ()
    parts: tuple[tuple[str, Filter], ...] = ()

    def admits(self, cube: MemCube) -> bool:
        """Whether it reaches a memory, what that was made from apart."""
        if not self.parts:
            return self.allowed and (self.namespaces is None or cube.namespace in self.namespaces)
        where = Reach(self.parts).of(cube.namespace)
        return where == EVERYTHING or matches(where, cube)

    @property
    def narrowed(self) -> tuple[tuple[str, Filter], ...]:
        """The conditions that leave something out."""
        return tuple((name, where) for name, where in self.parts if where != EVERYTHING)


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which memories a store may return: the decision's reach, the call's scope and times, and the user's filter."""

    namespaces: tuple[str, ...] | None = ()  # None: every namespace
    agent: str | None = None
    session: str | None = None
    where: Filter | None = None
    valid_at: datetime | None = None
    known_at: datetime | None = None
    ended_before: datetime | None = None  # leaves out what was over by then; ignored when valid_at is given
    episodes: bool = False  # the manifests too: of episodes and views
    stages: tuple[Stage, ...] | None = None  # where they may stand, judged at ``as_of``; None: anywhere
    as_of: datetime | None = None  # needed with ``stages``; with ``known_at``, states are those of then
    rules: tuple[tuple[str, Filter], ...] = ()  # what memories of some of the namespaces must satisfy besides
    reach: Reach | None = None  # what was made from something outside it is left out; None: nothing is

    def rule_of(self, namespace: str) -> Filter:
        """What memories of a namespace must satisfy besides."""
        return next((where for name, where in self.rules if name == namespace), EVERYTHING)


class Signal(msgspec.Struct, frozen=True):
    """One reason for a score: its name, its value and the weight that it entered the sum with."""

    name: str
    value: float
    weight: float = 1.0
    detail: str = ""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.name} {self.value:+.2f}×{self.weight:g}{detail}"


class Why(tuple[Signal, ...]):
    """The reasons for a score, strongest first; prints as one line."""

    __slots__ = ()

    def __str__(self) -> str:
        return "; ".join(str(signal) for signal in self) or "no signal"


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that answers a search, its score in [0, 1], comparable within one result, and why it was found."""

    cube: MemCube
    score: float
    why: Why

    @property
    def source_ids(self) -> tuple[str, ...]:
        """The ids of the messages that the memory came from; its own id where it came from none."""
        return self.cube.header.descriptive.source_ids or (self.cube.id,)

    @property
    def stale(self) -> tuple[Source, ...]:
        """The sources of the memory that no longer stand for it; none where it is fresh."""
        return self.cube.stale
