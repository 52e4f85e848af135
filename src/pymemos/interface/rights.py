"""Rights inside a unit: what a decision means for the memory that a call names, its sources, and the caller's rate."""

from __future__ import annotations

from math import ceil

import msgspec

from pymemos.cube.call import Decision, Reach
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import EVERYTHING, matches
from pymemos.cube.policy import Action
from pymemos.errors import NotAllowed, PymemosError, RateLimited, UnknownMemory
from pymemos.infrastructure import governance
from pymemos.infrastructure.governance import Circumstances, Target
from pymemos.infrastructure.rates import Meter
from pymemos.ports import OverlaidUnit, ReadUnit

SOURCES = 10_000  # that one look at the sources of a memory follows; what lies beyond counts as out of reach


class DeniedError(Exception):
    """Leaves the unit before anything happens in it; ``error`` says as much as the caller may know."""

    def __init__(self, decision: Decision, error: PymemosError) -> None:
        super().__init__(decision.reason)
        self.decision = decision
        self.error = error


def check(unit: ReadUnit, of: Circumstances, decision: Decision, target: Target, meter: Meter) -> None:
    """Raise DeniedError where the call may not proceed; count it where a limit counts it."""
    if not decision.allowed:
        raise _denied(unit, of, decision, target)
    if of.powerful:
        return
    if target.memory is not None:
        cube = last_version(unit, target.memory)
        if not (decision.admits(cube) and _sees(unit, of, target, cube)):
            narrowed = msgspec.structs.replace(decision, allowed=False, reason="a rule leaves this memory out")
            raise _denied(unit, of, narrowed, target)
    for namespace, limit in governance.limits(of, decision.namespaces or ()):
        assert limit.rate is not None  # noqa: S101 (a limit has one)
        seconds = meter.wait((namespace, limit.name, of.caller.namespace), limit.rate, of.now)
        if seconds:
            many = f"more than {limit.rate.calls} calls in {limit.rate.per_s:g} seconds"
            reason = f"{many}; try again in {_span(seconds)}"
            raise DeniedError(Decision(allowed=False, rule="rate-limit", reason=reason), RateLimited(reason))


def _span(seconds: float) -> str:
    """A time as people say it; rounded up, so that nobody tries too early."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds > 2 * size:
            return f"{ceil(seconds / size)} {unit}"
    return f"{ceil(seconds)} s"


def calls_left(of: Circumstances, decision: Decision, meter: Meter) -> int | None:
    """How many more calls of this kind the limits let the caller make now; None: none counts them."""
    who = of.caller.namespace
    return min(
        (
            meter.left((namespace, limit.name, who), limit.rate, of.now)
            for namespace, limit in governance.limits(of, decision.namespaces or ())
            if limit.rate is not None
        ),
        default=None,
    )


def _sees(unit: ReadUnit, of: Circumstances, target: Target, cube: MemCube) -> bool:
    """Whether the caller may read the memory that it names: to write takes that already, to manage does not."""
    if of.action is Action.MANAGE:
        reading = governance.decide(of.doing(Action.READ), Target(namespaces=target.namespaces, memory=target.memory))
        if not (reading.allowed and reading.admits(cube)):
            return False
    return is_open(unit, of, cube)


def last_version(unit: ReadUnit, id: str) -> MemCube:
    """The current version of a memory, or the last one before it was deleted."""
    current = unit.current([id])
    return (current or unit.versions(id)[-1:])[0].cube


def is_open(unit: ReadUnit, of: Circumstances, cube: MemCube) -> bool:
    """Whether the caller may read everything that a memory was made from.

    In a what-if also the memory as the store has it now: what was taken out of reach since is out of it there too.
    """
    if of.powerful or not (cube.parents or isinstance(unit, OverlaidUnit)):
        return True
    reach = governance.reach(of)
    if reach is None:
        return True
    if isinstance(unit, OverlaidUnit) and unit.base.owner_of(cube.id) is not None:
        last = last_version(unit.base, cube.id)
        if not (matches(reach.of(last.namespace), last) and sources_are_open(unit.base, reach, last)):
            return False
    return sources_are_open(unit, reach, cube)


def sources_are_open(unit: ReadUnit, reach: Reach, cube: MemCube) -> bool:
    """Whether a reach admits the sources of a memory, theirs, and so on: a derived memory opens nothing (12.9).

    What is unknown or deleted satisfies no condition: it takes the whole namespace to read what was made from it.
    """
    seen: set[tuple[str, str]] = set()
    wanted = [(cube.namespace, pin.id) for pin in cube.parents]
    while wanted:
        seen.update(wanted)
        ids = list(dict.fromkeys(id for _, id in wanted))
        found = {record.cube.id: record.cube for record in unit.current(ids)}
        if len(seen) > SOURCES or not all(_admits(unit, reach, home, id, found.get(id)) for home, id in wanted):
            return False
        if isinstance(unit, OverlaidUnit):
            now = {record.cube.id: record.cube for record in unit.base.current(ids)}
            known = [(home, id) for home, id in wanted if unit.base.owner_of(id) is not None]
            if not all(_admits(unit.base, reach, home, id, now.get(id)) for home, id in known):
                return False
        above = [(one.namespace, pin.id) for one in found.values() for pin in one.parents]
        wanted = [place for place in dict.fromkeys(above) if place not in seen]
    return True


def _admits(unit: ReadUnit, reach: Reach, home: str, id: str, cube: MemCube | None) -> bool:
    """Whether a reach admits a source of what lives in ``home``; ``cube`` is None where it is unknown or deleted."""
    if cube is None:
        return reach.of(unit.owner_of(id) or home) == EVERYTHING
    return matches(reach.of(cube.namespace), cube)


def _denied(unit: ReadUnit, of: Circumstances, decision: Decision, target: Target) -> DeniedError:
    """The refusal, as the caller may hear it: the log of its own calls tells it no more than the error does."""
    rule = governance.heard(of, decision).rule
    told = msgspec.structs.replace(decision, rule=rule if rule != "permitted" else "not-permitted")
    error = _told(unit, of, told, target)
    if isinstance(error, UnknownMemory):
        told = msgspec.structs.replace(told, rule="unknown")
    return DeniedError(told, error)


def _told(unit: ReadUnit, of: Circumstances, decision: Decision, target: Target) -> PymemosError:
    """A memory that the caller may not read is as good as unknown; of one that it may read, it learns why not."""
    refusal = NotAllowed(f"{decision.reason} (rule {decision.rule!r}); ask the steward of the store")
    if target.memory is None:
        return refusal
    if target.namespaces and of.action is not Action.READ:
        reading = governance.decide(of.doing(Action.READ), Target(namespaces=target.namespaces, memory=target.memory))
        if reading.allowed:
            cube = last_version(unit, target.memory)
            if reading.admits(cube) and is_open(unit, of, cube):
                whom = "the steward of the store" if target.stewardship else f"{cube.namespace!r}, whose it is"
                return NotAllowed(
                    f"memory {target.memory!r} can be read here, not changed: {decision.reason} (rule "
                    f"{decision.rule!r}); ask {whom}"
                )
    return UnknownMemory()
