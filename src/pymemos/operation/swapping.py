"""A hot swap: which segments and adapters leave memory, and which come, when the task changes (7.1.2, ADR 0043).

A task's set is what its last chats were read from. One that is named once more after another does not bring its set
back at once: between two swaps of a session lies a while, or it is named several times running, so that nothing flaps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from pymemos.operation.budgets import size
from pymemos.operation.costs import Form
from pymemos.operation.turns import Left

# All of them ours: the paper has memory sets that are swapped, and says nothing of when.
SETTLED: Final = timedelta(minutes=10) / timedelta(days=1)  # between two swaps of a session
INSISTENT: Final = 3  # chats running that name another task, after which its set comes sooner
PRESENT: Final = timedelta(hours=1) / timedelta(days=1)  # that a session counts as being at its task after its chats
TASKS: Final = 20  # whose sets are kept of an owner: those named last
SESSIONS: Final = 50
PARTS: Final = 40  # of a set: those used last


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A segment or an adapter, as it lies in memory: the memory that keeps it, its file, and the bytes of that."""

    id: str
    blob: str
    nbytes: int
    form: Form


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """At which task a session is; times in days. ``named`` is another task that its last chats named."""

    task: str  # whose set was brought in
    seen: float  # about when it last chatted
    swapped: float | None = None
    named: str = ""
    running: int = 0  # how many of its chats in a row named that


class Tasks(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an owner's tasks: their sets, the one named last at the end, and where each session is."""

    sets: Mapping[str, tuple[Part, ...]] = {}
    sessions: Mapping[str, Session] = {}


class SwapGrounds(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision is made from; times in days."""

    before: str | None  # None: the session begins
    after: str
    old: tuple[Part, ...] = ()
    new: tuple[Part, ...] = ()
    elsewhere: tuple[str, ...] = ()  # files of parts that other sessions are working with
    at: float
    swapped: float | None = None  # when the session's set was last swapped
    running: int = 1
    is_told: bool = False  # somebody said that the task changes, rather than chatting under another name


class SwapDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What comes to memory, stays and is let go, as ids of memories; or that it ``waits``. And why, in words."""

    grounds: SwapGrounds
    load: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    waits: bool = False
    reason: str

    def again(self) -> SwapDecision:
        """The same decision made again from its grounds; it differs where the rules of deciding changed since."""
        return decided(self.grounds)

    @property
    def dropped(self) -> tuple[Part, ...]:
        """What is let go."""
        return tuple(one for one in self.grounds.old if one.id in self.drop)

    @property
    def wanted(self) -> tuple[Part, ...]:
        """What should lie in memory from now on."""
        return () if self.waits else self.grounds.new

    def names(self, ids: Collection[str]) -> bool:
        """Whether it is about any of some memories."""
        return any(one.id in ids for one in (*self.grounds.old, *self.grounds.new))


class Swapped(msgspec.Struct, frozen=True, kw_only=True):
    """A swap that was carried out: the decision, what was brought to memory, and what could not be and why."""

    decision: SwapDecision
    loaded: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    remark: str = ""  # why nothing of it is kept

    def told(self) -> list[str]:
        """The same in sentences."""
        left = [f"{one.id} was not brought to memory: {one.why}" for one in self.left]
        return [self.decision.reason, *left, *([self.remark] if self.remark else [])]


# ── Deciding ────────────────────────────────────────────────────────────────────────────────────────────────────────


def grounds(of: Tasks, session: str, task: str, at: float, *, is_told: bool = False) -> SwapGrounds | None:
    """What a change of task is decided by; None where a chat names the task that its session is at."""
    here = of.sessions.get(session)
    if not is_told and (here.task == task if here is not None else task not in of.sets):
        return None
    present = {one.task for name, one in of.sessions.items() if name != session and at - one.seen < PRESENT}
    return SwapGrounds(
        before=None if here is None else here.task,
        after=task,
        old=() if here is None else of.sets.get(here.task, ()),
        new=of.sets.get(task, ()),
        elsewhere=tuple(sorted({part.blob for name in present - {task} for part in of.sets.get(name, ())})),
        at=at,
        swapped=None if here is None else here.swapped,
        running=here.running + 1 if here is not None and here.named == task else 1,
        is_told=is_told,
    )


def decided(of: SwapGrounds) -> SwapDecision:
    """Decide on a change of task."""
    if not (of.is_told or of.swapped is None or of.at - of.swapped >= SETTLED or of.running >= INSISTENT):
        reason = (
            f"the set of {of.before!r} stays: it was swapped {_minutes(of.at - of.swapped)} ago, and {of.after!r} was "
            f"named {of.running} of {INSISTENT} times running"
        )
        return SwapDecision(grounds=of, waits=True, reason=reason)
    had, wanted = {one.blob for one in of.old}, {one.blob for one in of.new}
    stays = wanted.union(of.elsewhere)
    load = [one for one in of.new if one.blob not in had]
    keep = [one for one in of.new if one.blob in had]
    drop = [one for one in of.old if one.blob not in stays]
    changed = (
        f"the session begins with {of.after!r}"
        if of.before is None
        else f"the task is {of.after!r} as before"
        if of.before == of.after
        else f"the task changed from {of.before!r} to {of.after!r}"
    )
    told = [f"{_listed(parts)} {how}" for parts, how in ((drop, "let go"), (keep, "kept"), (load, "to come")) if parts]
    return SwapDecision(
        grounds=of,
        load=_ids(load),
        keep=_ids(keep),
        drop=_ids(drop),
        reason=f"{changed}: {', '.join(told) or 'nothing of either lies ready'}",
    )


# ── Keeping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def noted(
    of: Tasks,
    session: str,
    task: str,
    at: float,
    *,
    parts: Sequence[Part] = (),
    decision: SwapDecision | None = None,
    gone: Collection[str] = (),
) -> Tasks:
    """What is kept after a chat that was read from ``parts``; those of ``gone`` are no more."""
    here = of.sessions.get(session)
    seen = at if here is None or at - here.seen >= SETTLED else here.seen  # so that not every chat is a change
    if decision is None:
        now = Session(task=task, seen=seen, swapped=None if here is None else here.swapped)
    elif decision.waits and here is not None:
        now = msgspec.structs.replace(here, seen=seen, named=task, running=decision.grounds.running)
    else:
        now = Session(task=task, seen=at, swapped=at)
    sessions = {**of.sessions, session: now}
    kept = sorted(sessions, key=lambda name: (sessions[name].seen, name == session))[-SESSIONS:]
    known = of.sets.get(task, ())
    used = {one.blob for one in parts}
    merged = known if used <= {one.blob for one in known} else (*parts, *(o for o in known if o.blob not in used))
    sets = {name: held for name, held in of.sets.items() if name != task} if decision is not None else dict(of.sets)
    sets[task] = tuple(one for one in merged if one.id not in gone)[:PARTS]
    return Tasks(sets=_last(sets, TASKS), sessions={name: sessions[name] for name in sessions if name in kept})


def without(of: Tasks, ids: Collection[str], session: str | None = None) -> Tasks:
    """The same when some memories are gone, or all of a session."""
    sets = {name: tuple(one for one in parts if one.id not in ids) for name, parts in of.sets.items()}
    return Tasks(sets=sets, sessions={name: one for name, one in of.sessions.items() if name != session})


def _last(sets: dict[str, tuple[Part, ...]], most: int) -> dict[str, tuple[Part, ...]]:
    return dict(list(sets.items())[-most:])


def _ids(parts: Iterable[Part]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.id for one in parts))


def _listed(parts: Sequence[Part]) -> str:
    counts = {"segment": 0, "adapter": 0}
    for one in parts:
        counts["adapter" if one.form is Form.ADAPTER else "segment"] += 1
    named = [f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count]
    return f"{' and '.join(named)} ({size(sum(one.nbytes for one in parts))})"


def _minutes(days: float) -> str:
    minutes = round(days * 24 * 60)
    return "less than a minute" if minutes < 1 else "a minute" if minutes == 1 else f"{minutes} minutes"
