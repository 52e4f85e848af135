"""MemLifecycle: the states of a memory as one table, and when it moves on (5.4.3, ADR 0006, ADR 0024).

Everything here is pure: it is told the facts, the policy and the time, and gives a decision with its reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

import msgspec

from pymemos.cube.filters import All, Any_, Compare, Filter, Not
from pymemos.cube.header import COLD, LIVE, Priority, Stage, State
from pymemos.cube.life import LifeFacts, StateChange
from pymemos.ports import Record


class Cause(StrEnum):
    """Why a memory moves: what the system saw, or what somebody said."""

    USE = "use"
    MERGE = "merge"
    ABSORB = "absorb"
    DISUSE = "disuse"
    DECAY = "decay"
    QUOTA = "quota"
    TTL = "ttl"
    EXPIRY = "expiry"
    ARCHIVE = "archive"
    ACTIVATE = "activate"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"


class Tier(StrEnum):
    """Where a memory is placed: in memory, in the vault alone, or out of reach of every answer."""

    FAST = "fast"
    VAULT = "vault"
    GONE = "gone"


class Transition(msgspec.Struct, frozen=True):
    """A legal edge: where the memory stands after it."""

    state: State
    frozen: bool

    @property
    def tier(self) -> Tier:
        """Where that places it."""
        return tier(self.state, self.frozen)


class Refusal(msgspec.Struct, frozen=True):
    """An edge that the table does not have, and why."""

    reason: str


# ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────

_WARM = (State.GENERATED, State.ACTIVATED, State.MERGED)
_KEPT = (*_WARM, State.ARCHIVED)

# Every legal edge of a memory that is not frozen: its cause, the states it leaves, the state it comes to. An edge from
# a state to itself changes nothing and is no error: a command may be repeated.
EDGES: tuple[tuple[Cause, tuple[State, ...], State], ...] = (
    (Cause.USE, _WARM, State.ACTIVATED),
    (Cause.MERGE, _WARM, State.MERGED),
    (Cause.ABSORB, _KEPT, State.ARCHIVED),
    (Cause.DISUSE, _WARM, State.ARCHIVED),
    (Cause.DECAY, _WARM, State.ARCHIVED),
    (Cause.QUOTA, _WARM, State.ARCHIVED),
    (Cause.ARCHIVE, _KEPT, State.ARCHIVED),
    (Cause.ACTIVATE, _KEPT, State.ACTIVATED),
    (Cause.TTL, _KEPT, State.EXPIRED),
    (Cause.EXPIRY, _KEPT, State.EXPIRED),
)
_AFTER = {(state, cause): after for cause, states, after in EDGES for state in states}


def transition(state: State, frozen: bool, cause: Cause) -> Transition | Refusal:
    """What ``cause`` does to a memory in ``state``: the one table, frozen as a mark beside the five states."""
    if state is State.EXPIRED:
        return Refusal("an expired memory is at its end; history shows what it was")
    if cause in (Cause.FREEZE, Cause.UNFREEZE):
        return Transition(state, cause is Cause.FREEZE)
    if frozen:
        return Refusal("a frozen memory keeps its state; the steward can unfreeze it")
    after = _AFTER.get((state, cause))
    return Refusal(f"{cause} does not move a memory that is {state}") if after is None else Transition(after, False)


def tier(state: State, frozen: bool) -> Tier:
    """Where a memory in this state is placed (5.4.3: archived and frozen ones in the vault, the others at hand)."""
    if frozen or state is State.ARCHIVED:
        return Tier.VAULT
    return Tier.GONE if state is State.EXPIRED else Tier.FAST


# ── The policy ──────────────────────────────────────────────────────────────────────────────────────────────────────


class LifecyclePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the memories of a namespace move by themselves; the numbers are ours, the paper gives none (5.5.1).

    ``archive_after_days``: what nobody used or changed for so long is archived (None: never), unless its priority is
    high. ``activate_heat``: the heat that activates; 1 is reached by one use. ``decay_floor``: what its half-life has
    left of a memory's weight when it is archived. Beyond ``quota_memories`` or ``quota_bytes`` at hand, the coldest
    are archived, those of low priority first and of high priority last.
    """

    archive_after_days: float | None = 365.0
    activate_heat: float = 1.0
    decay_floor: float = 1 / 16
    quota_memories: int | None = None
    quota_bytes: int | None = None

    @property
    def has_quota(self) -> bool:
        """Whether the number or size of memories is bounded."""
        return self.quota_memories is not None or self.quota_bytes is not None


DEFAULT_POLICY = LifecyclePolicy()
PolicyOf = Callable[[str], LifecyclePolicy]  # of a namespace


class Move(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A memory that moves, or would: from where to where, for which cause, and the reason in words.

    ``revision`` and ``uses`` are what was seen of it when that was decided.
    """

    id: str
    namespace: str
    before: State
    after: State
    cause: Cause
    reason: str
    revision: int
    uses: int

    @property
    def tier(self) -> Tier:
        """Where the move places it."""
        return tier(self.after, frozen=False)

    def still_holds(self, facts: LifeFacts) -> bool:
        """Whether nothing happened to the memory since it was decided."""
        seen = (facts.state, facts.revision, facts.uses)
        return seen == (self.before, self.revision, self.uses) and not facts.frozen


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a memory's life: when it went from where to where, for which cause and by whose word."""

    at: datetime
    before: Stage
    after: Stage
    cause: str
    author: str


def passages(versions: Sequence[Record], journal: Sequence[StateChange]) -> list[Passage]:
    """The life of a memory, oldest step first: the journal tells of its states, its versions of when it was frozen."""
    steps = [
        Passage(at=c.at, before=Stage(c.before.value), after=Stage(c.after.value), cause=c.cause, author=c.author)
        for c in journal
    ]
    for older, newer in pairwise(versions):
        frozen = newer.cube.header.governance.frozen
        if frozen != older.cube.header.governance.frozen:
            stage = _stage_then(steps, newer)
            steps.append(
                Passage(
                    at=newer.known_from,
                    before=stage if frozen else Stage.FROZEN,
                    after=Stage.FROZEN if frozen else stage,
                    cause=newer.cube.header.descriptive.cause,
                    author=newer.cube.header.descriptive.author or "",
                )
            )
    return sorted(steps, key=lambda step: step.at)


def _stage_then(steps: Sequence[Passage], version: Record) -> Stage:
    """The state behind the mark when a version was written."""
    moves = [step for step in steps if Stage.FROZEN not in (step.before, step.after)]
    past = [step.after for step in moves if step.at <= version.known_from]
    now = Stage(version.cube.header.behaviour.state.value)
    return past[-1] if past else moves[0].before if moves else now


# ── Decisions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def on_use(facts: LifeFacts, policy: LifecyclePolicy) -> Move | None:
    """Whether the use that was just counted activates the memory."""
    if facts.heat < policy.activate_heat:
        return None
    return _move(facts, Cause.USE, f"its heat came to {facts.heat:.2g}")


def due(facts: LifeFacts, policy: LifecyclePolicy, now: datetime) -> Move | None:
    """How a memory moves at ``now`` by itself: expiry before decay before disuse; None where it stays."""
    if facts.frozen or facts.state is State.EXPIRED:
        return None
    return _expiry(facts, now) or (None if facts.state in COLD or facts.episode else _disuse(facts, policy, now))


def over_quota(facts: Iterable[LifeFacts], policy: LifecyclePolicy, now: datetime) -> list[Move]:
    """Which of a namespace's memories at hand are too many or too much: coldest first, priority protects."""
    held = [one for one in facts if one.state not in COLD and not one.frozen and not one.episode]
    count, size = len(held), sum(one.bytes for one in held)
    most = count if policy.quota_memories is None else policy.quota_memories
    room = size if policy.quota_bytes is None else policy.quota_bytes
    moves: list[Move] = []
    if count <= most and size <= room:
        return moves
    over = f"{count:,} memories, {most:,} allowed" if count > most else f"{size:,} bytes, {room:,} allowed"
    for one in sorted(held, key=lambda one: _worth(one, now)):
        if count <= most and size <= room:
            break
        reason = f"{over}; its priority is {one.priority}, its heat {one.heat_at(now):.2g}"
        moves += filter(None, [_move(one, Cause.QUOTA, reason)])
        count, size = count - 1, size - one.bytes
    return moves


def plan(facts: Iterable[LifeFacts], policy_of: PolicyOf, now: datetime) -> Iterator[Move]:
    """Every move of a sweep at ``now``: what is due, then what is too much in each namespace."""
    staying: defaultdict[str, list[LifeFacts]] = defaultdict(list)
    for one in facts:
        policy = policy_of(one.namespace)
        move = due(one, policy, now)
        if move is not None:
            yield move
        elif policy.has_quota:
            staying[one.namespace].append(one)
    for namespace, held in staying.items():
        yield from over_quota(held, policy_of(namespace), now)


def reach(asked: Collection[Stage] | None, where: Filter | None) -> tuple[Stage, ...]:
    """Where memories may stand to be found: as asked, else the live ones and those that the filter itself names."""
    if asked is not None:
        return tuple(asked)
    return LIVE if where is None else (*LIVE, *(one for one in Stage if one not in LIVE and one in _named(where)))


def _named(where: Filter) -> frozenset[str]:
    """The stages that a filter names, as ``{"state": "archived"}`` or ``{"frozen": true}`` does."""
    match where:
        case All(parts) | Any_(parts):
            return frozenset[str]().union(*map(_named, parts))
        case Not(part):
            return _named(part)
        case Compare("state", _, str() as value):
            return frozenset((value,))
        case Compare("state", _, [*values]):
            return frozenset(value for value in values if isinstance(value, str))
        case Compare("frozen", _, _):
            return frozenset((Stage.FROZEN,))
    return frozenset()


def _expiry(facts: LifeFacts, now: datetime) -> Move | None:
    span = facts.lifespan
    end = span.ends(facts.created)
    if end is None or end > now:
        return None
    if end == span.expires:
        return _move(facts, Cause.EXPIRY, f"it was kept until {end.isoformat()}")
    return _move(facts, Cause.TTL, f"it was kept for {_span(timedelta(seconds=span.ttl_s or 0))}")


def _disuse(facts: LifeFacts, policy: LifecyclePolicy, now: datetime) -> Move | None:
    age = now - facts.touched
    weight = facts.lifespan.weight(age)
    if weight < policy.decay_floor:
        return _move(facts, Cause.DECAY, f"decay left {weight:.2g} of its weight, less than {policy.decay_floor:.2g}")
    limit = policy.archive_after_days
    if limit is None or facts.priority is Priority.HIGH or age < timedelta(days=limit):
        return None
    return _move(facts, Cause.DISUSE, f"nobody used it for {_span(age)}")


def _move(facts: LifeFacts, cause: Cause, reason: str) -> Move | None:
    """The move, where the table has it and it changes something."""
    to = transition(facts.state, facts.frozen, cause)
    if isinstance(to, Refusal) or to.state is facts.state:
        return None
    return Move(
        id=facts.id,
        namespace=facts.namespace,
        before=facts.state,
        after=to.state,
        cause=cause,
        reason=reason,
        revision=facts.revision,
        uses=facts.uses,
    )


_RANK = {Priority.LOW: 0, Priority.MID: 1, Priority.HIGH: 2}


def _worth(facts: LifeFacts, now: datetime) -> tuple[int, float, datetime, str]:
    return _RANK[facts.priority], facts.heat_at(now), facts.touched, facts.id


def _span(age: timedelta) -> str:
    """A length of time in words: in days where there are any."""
    return f"{age.days:,} days" if age.days > 1 else f"{age.total_seconds():,.0f} seconds"
