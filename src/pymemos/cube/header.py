"""The metadata header of a MemCube: the paper's three groups (4.2) as frozen values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec


class Origin(StrEnum):
    """Where a memory came from: the paper's four origin signatures (4.2)."""

    USER_INPUT = "user_input"
    INFERENCE = "inference_extraction"
    RETRIEVAL = "external_retrieval"
    TUNING = "parameter_tuning"


class Trust(StrEnum):
    """Where the words of a memory came from; the last three are quoted in prompts, and never followed (ADR 0031)."""

    USER = "user"
    ASSISTANT = "assistant"
    AGENT = "agent"  # another agent
    TOOL = "tool"
    WEB = "web"

    @property
    def is_trusted(self) -> bool:
        """Whether its words may stand in a prompt without a fence."""
        return self in (Trust.USER, Trust.ASSISTANT)


_TRUST_OF_ROLES = {
    "user": Trust.USER, "human": Trust.USER, "system": Trust.USER, "developer": Trust.USER,
    "assistant": Trust.ASSISTANT, "tool": Trust.TOOL, "function": Trust.TOOL,
}  # fmt: skip
_TRUST_OF_ORIGINS = {Origin.RETRIEVAL: Trust.WEB, Origin.INFERENCE: Trust.ASSISTANT}


class SemanticType(StrEnum):
    """What a memory is about (4.2); ``message``, ``episode`` and ``view`` are ours.

    Messages are verbatim dialogue. An episode is the manifest of a conversation, a view that of memories read as one.
    """

    MESSAGE = "message"
    EPISODE = "episode"
    VIEW = "view"
    FACT = "fact"
    PREFERENCE = "user_preference"
    EVENT = "event"
    PROCEDURE = "procedure"
    TASK_PROMPT = "task_prompt"
    KNOWLEDGE = "domain_knowledge"


class Priority(StrEnum):
    """How much a memory matters to the scheduler (4.2)."""

    LOW = "low"
    MID = "mid"
    HIGH = "high"


class State(StrEnum):
    """Where a memory stands in its life (5.4.3); Frozen is declared in the governance group, not observed here."""

    GENERATED = "generated"
    ACTIVATED = "activated"
    MERGED = "merged"
    ARCHIVED = "archived"
    EXPIRED = "expired"


class Stage(StrEnum):
    """Where a memory stands for whoever asks now: its state, unless it is frozen or its time is over (5.4.3)."""

    GENERATED = "generated"
    ACTIVATED = "activated"
    MERGED = "merged"
    ARCHIVED = "archived"
    EXPIRED = "expired"
    FROZEN = "frozen"


MANIFESTS = frozenset({SemanticType.EPISODE, SemanticType.VIEW})  # they name memories, and say nothing themselves
LIVE = (Stage.GENERATED, Stage.ACTIVATED, Stage.MERGED)  # what searches and listings find without being asked
COLD = frozenset({State.ARCHIVED, State.EXPIRED})  # states whose memories no search keeps in memory
HEAT_HALF_LIFE = timedelta(days=14)  # ours: the paper gives no number (5.5.1)

_ADD, _PRIVATE, _COLD = "add", "private", 0.0


class Extensible(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A group of fields that keeps what a newer writer added: unknown fields live in ``extra`` and are written back.

    Not watched by the garbage collector: a frozen tree of values has no cycles.
    """

    extra: dict[str, Any] = {}


def least_trusted(given: Iterable[Trust]) -> Trust:
    """The least trusted of some; what was made from several is no better than any of them."""
    return max(given, key=tuple(Trust).index)


def share_default(group: Extensible, name: str, default: Any) -> None:
    """Make a field that equals its default the default object itself: the encoder leaves out only that one.

    So equal values have equal bytes, however they came about. Needed for texts, floats and groups; the rest are
    singletons.
    """
    value = getattr(group, name)
    if value is not default and value == default:
        msgspec.structs.force_setattr(group, name, default)


class Transformed(Extensible, frozen=True):
    """By which pathway a memory came to its form, from which memories, and what was measured to be lost (4.2).

    ``measured`` has figures by name, all finite; the ADR of the pathways says what each means. ``left`` names what was
    left out, for it could not be shown to be there.
    """

    pathway: str  # "plaintext-activation", …
    of: tuple[str, ...] = ()  # the ids of the memories that it began from
    key: str | None = None  # digest of what it was made of: the same again is not made twice
    measured: dict[str, float] = {}
    left: tuple[str, ...] = ()


class Provenance(Extensible, frozen=True):
    """Why a memory exists (5.3.2): the trigger, the state it was made in, the model and the links that it cites.

    ``note`` is what somebody thought worth saying of it, in words; ``transformed`` is of one that changed its form.
    """

    trigger: str | None = None
    context: str | None = None
    model: str | None = None
    links: tuple[str, ...] = ()
    note: str | None = None
    transformed: Transformed | None = None


class Descriptive(Extensible, frozen=True):
    """Group 1, the descriptive identifiers: what the memory says of itself."""

    created: datetime
    updated: datetime
    origin: Origin = Origin.USER_INPUT
    semantic_type: SemanticType = SemanticType.MESSAGE
    cause: str = _ADD  # the operation that made this version
    author: str | None = None  # the caller that made this version
    speaker: str | None = None  # the name under which the text was said
    speaker_role: str | None = None  # "user", "assistant", "system" or "tool", as in chat messages
    source_ids: tuple[str, ...] = ()  # ids of the messages that it came from
    episode: str | None = None  # id of the episode that it was said in
    agent: str | None = None
    session: str | None = None
    role: str | None = None
    task: str | None = None
    language: str | None = None  # ISO 639-1, where known
    tags: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    event_time: datetime | None = None  # when it was said or happened
    valid_from: datetime | None = None  # None: since event_time
    valid_to: datetime | None = None  # None: until superseded
    provenance: Provenance | None = None
    trust: Trust | None = None  # None: as its role, else its origin, says
    metadata: dict[str, Any] = {}

    def __post_init__(self) -> None:
        share_default(self, "cause", _ADD)

    @property
    def trusted_as(self) -> Trust:
        """Where the words came from: as declared, else by the role that they were said in, else by their origin."""
        if self.trust is not None:
            return self.trust
        said = _TRUST_OF_ROLES.get((self.speaker_role or "").casefold())
        found = _TRUST_OF_ORIGINS.get(self.origin, Trust.USER)
        return found if said is None else least_trusted([said, found])


class Access(Extensible, frozen=True):
    """Who may do what beyond the owner; empty means the owner alone."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    share: str = _PRIVATE

    def __post_init__(self) -> None:
        share_default(self, "share", _PRIVATE)


class Lifespan(Extensible, frozen=True):
    """How long the memory is kept: an instant, a time-to-live in seconds, or a half-life in seconds of its weight."""

    expires: datetime | None = None
    ttl_s: float | None = None
    half_life_s: float | None = None

    def ends(self, created: datetime) -> datetime | None:
        """When a memory that was made at ``created`` expires: the earlier of the two ends; None when it never does."""
        lived = None if self.ttl_s is None else _later(created, self.ttl_s)
        return min((end for end in (self.expires, lived) if end is not None), default=None)

    def weight(self, age: timedelta) -> float:
        """What decay leaves of a memory that was last touched ``age`` ago: 1 when fresh, a half after a half-life."""
        if not self.half_life_s or self.half_life_s < 0:
            return 1.0
        return _halved(age.total_seconds() / self.half_life_s)


_OWNER_ALONE, _FOR_GOOD = Access(), Lifespan()


class Governance(Extensible, frozen=True):
    """Group 2, the governance attributes: who owns the memory, who may use it and how long."""

    owner: str
    namespace: str
    access: Access = _OWNER_ALONE
    lifespan: Lifespan = _FOR_GOOD
    priority: Priority = Priority.MID
    sensitivity: tuple[str, ...] = ()
    watermark: str | None = None
    frozen: bool = False  # 5.4.3: updates disabled, history kept

    def __post_init__(self) -> None:
        share_default(self, "access", _OWNER_ALONE)
        share_default(self, "lifespan", _FOR_GOOD)


class Behaviour(Extensible, frozen=True):
    """Group 3, the behavioural indicators: what the system observed; never part of a version."""

    state: State = State.GENERATED
    uses: int = 0
    last_used: datetime | None = None
    heat: float = _COLD

    def __post_init__(self) -> None:
        share_default(self, "heat", _COLD)

    def used(self, at: datetime) -> Behaviour:
        """What is observed after one more use, which may be reported late."""
        latest = at if self.last_used is None else max(self.last_used, at)
        heat = self.heat_at(latest) + _halved((latest - at) / HEAT_HALF_LIFE)
        return msgspec.structs.replace(self, uses=self.uses + 1, last_used=latest, heat=heat)

    def heat_at(self, moment: datetime) -> float:
        """How many uses there were, each counting half as much for every half-life since (5.5.1: usage heat)."""
        return self.heat if self.last_used is None else self.heat * _halved((moment - self.last_used) / HEAT_HALF_LIFE)


UNUSED = Behaviour()  # what is observed of a memory that was never used


class Header(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The three groups of the paper together; the first two are declared, the third is observed."""

    descriptive: Descriptive
    governance: Governance
    behaviour: Behaviour = UNUSED


def _halved(times: float) -> float:
    """One, halved so many times; what is yet to come counts whole."""
    return math.exp2(-max(times, 0.0))


def _later(moment: datetime, seconds: float) -> datetime | None:
    """``seconds`` after a moment; None where that is beyond every calendar."""
    try:
        return moment + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None
