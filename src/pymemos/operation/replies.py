"""Replies: an answer with what it was made from, from which tier, why, and at what cost (7.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeGuard

import msgspec

from pymemos.cube.call import Caller, Scope
from pymemos.cube.cube import Source
from pymemos.operation.layout import Layout, LeftOut, Note
from pymemos.operation.scheduler import Decision
from pymemos.operation.swapping import Part, Swapped
from pymemos.ports import ChatModel, Engine, Kv, Prompt, Usage


class Tier(StrEnum):
    """What a memory reached the model as."""

    TEXT = "text"  # read again
    KV_DISK = "kv-disk"  # keys and values from a file
    KV_HOST = "kv-host"  # from the memory of the host
    KV_DEVICE = "kv-device"  # from where the model computes
    ADAPTER = "adapter"  # known by an adapter, and not in the prompt


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that stood in the prompt: why, from which tier, and the tokens that it took."""

    id: str
    version: str
    content_hash: str
    tokens: int
    why: str
    tier: Tier = Tier.TEXT
    place: str = ""  # where a plan put it: "stable", "volatile" or "weights"; nothing where none did


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from the call on: until the memories were found, laid out, the first piece came, and the last."""

    search_ms: float = 0.0
    layout_ms: float = 0.0
    first_ms: float = 0.0
    total_ms: float = 0.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer was made from, and how; the store's snapshot is that of ``at`` and of ``seqs`` by namespace.

    ``changed`` are sources that changed while the answer was made: it may say what no longer holds, and is not kept.
    """

    model: str
    at: datetime
    seqs: Mapping[str, int] = {}
    used: tuple[Used, ...] = ()
    history: int = 0  # earlier questions of the session that stood in the prompt with their answers
    left_out: tuple[LeftOut, ...] = ()
    memory_tokens: int = 0  # of the memories in the prompt, as they were estimated
    injected_tokens: int = 0  # of the prompt that came from keys and values
    steering: tuple[str, ...] = ()  # the steering vectors that were added
    remarks: tuple[str, ...] = ()  # what was done otherwise than asked, and why
    changed: tuple[Source, ...] = ()
    attempts: int = 1
    cost: Cost = Cost()
    decision: Decision | None = None  # of the scheduler, where it was asked to plan
    swap: Swapped | None = None  # what left memory and what came, where the task changed

    @property
    def tiers(self) -> dict[str, int]:
        """How many memories came from which tier."""
        counts: dict[str, int] = {}
        for one in self.used:
            counts[one.tier.value] = counts.get(one.tier.value, 0) + 1
        return counts

    def explain(self) -> str:
        """Which memories were used, from where and why, and what it cost, as text."""
        lines = [
            f"{self.model}: {len(self.used)} memories in {self.memory_tokens} tokens, {self.history} earlier exchanges",
            *(f"- {one.id} ({one.tier}, {one.tokens} tokens) {one.why}" for one in self.used),
            *([f"steered by {', '.join(self.steering)}"] if self.steering else []),
            *(f"- left out: {one.id}, {one.why}" for one in self.left_out),
            *([f"planned by {self.decision.plan.strategy}"] if self.decision is not None else []),
            *(self.swap.told() if self.swap is not None else ()),
            *(f"changed while the answer was made: {source}" for source in self.changed),
            *self.remarks,
            f"found after {self.cost.search_ms:.0f} ms, first word after {self.cost.first_ms:.0f} ms, "
            f"all after {self.cost.total_ms:.0f} ms",
        ]
        return "\n".join(lines)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; ``kept`` are the ids of the question and the answer as memories, in that order."""

    text: str
    plan: Plan
    usage: Usage
    finish: str = "stop"  # or "length": it was cut off at max_tokens
    kept: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def data(self) -> Any:
        """The answer as JSON, as a call with a ``schema`` asked for it; ValueError where it is none."""
        return json.loads(self.text)


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a prompt that need not be read: its keys and values, and where they came from."""

    prefix: tuple[Kv, ...] = ()
    tiers: Mapping[str, Tier] = {}  # by the id of each memory that they hold
    remarks: tuple[str, ...] = ()  # such as why a segment was not used
    by_engine: bool = False  # whether the model is one that keys and values could be injected into
    read: int = 0  # tokens among them that were read for this prompt, as where notes are blended
    parts: tuple[Part, ...] = ()  # the caller's own segments among them

    @property
    def tokens(self) -> int:
        """How many tokens came from memory."""
        return sum(len(kv.tokens) for kv in self.prefix) - self.read


class Within(msgspec.Struct, frozen=True, kw_only=True):
    """How a prompt's beginning is to be injected, exactly or blended, and at most how much of it."""

    mode: str = "exact"
    notes: int | None = None  # memories, from the first on
    nbytes: int | None = None  # that their segments take in memory


Who = tuple[Caller, Scope]
Injector = Callable[[Engine, Prompt, Who, Sequence[Note], Within], AbstractContextManager[Injection]]
"""Finds keys and values for a prompt whose ``notes`` are these memories, within what a plan allows.

What it gives stays valid inside the block.
"""


@contextmanager
def as_text(engine: Engine, prompt: Prompt, who: Who, notes: Sequence[Note], within: Within) -> Iterator[Injection]:
    """Injects nothing: every memory is read as text."""
    del engine, prompt, who, notes, within
    yield Injection()


def read_by(who: Who, identity: str) -> Who:
    """The caller with the model that reads for it, which rules may ask for: some memories are not for every model."""
    caller, scope = who
    return caller if caller.model else caller.narrow(model=identity), scope


def is_engine(model: ChatModel) -> TypeGuard[Engine]:
    """Whether keys and values can be injected into a model."""
    return all(hasattr(model, name) for name in ("prompt", "run", "prefill", "ref"))


def used_of(
    layout: Layout, tiers: Mapping[str, Tier], found: Mapping[str, str], places: Mapping[str, str] | None = None
) -> tuple[Used, ...]:
    """Every memory of a layout with its tier; ``found`` says why this question found some of them.

    ``places`` are those of a plan.
    """
    earlier = {note.id for exchange in layout.history for note in exchange.notes}
    return tuple(
        Used(
            id=note.id,
            version=note.version,
            content_hash=note.content_hash,
            tokens=note.tokens,
            why=_again(note.id, found) if note.id in earlier else note.why,
            tier=tiers.get(note.id, Tier.TEXT),
            place=(places or {}).get(note.id, ""),
        )
        for note in layout.notes
    )


def _again(id: str, found: Mapping[str, str]) -> str:
    since = "in its place since an earlier question"
    return f"{since}, and found again: {found[id]}" if id in found else since
