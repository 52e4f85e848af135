"""The model of the system: memories as plain values in a dict, a small table of edges, and rules read naively."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.properties.rules_oracle import Oracle

from pymemos.cube.call import Caller
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.policy import RuleChange
from pymemos.errors import InvalidInput, NotAllowed, UnknownMemory, UnknownVersion
from pymemos.testing.builders import a_cube

WARM = ("generated", "activated", "merged")
KEPT = (*WARM, "archived")
EDGES = {  # cause → the states that it leaves, and the state that it comes to; "restore" brings back out of the archive
    "use": (WARM, "activated"),
    "merge": (WARM, "merged"),
    "disuse": (WARM, "archived"),
    "archive": (KEPT, "archived"),
    "activate": (KEPT, "activated"),
    "restore": (("archived",), "activated"),
    "ttl": (KEPT, "expired"),
    "expiry": (KEPT, "expired"),
    "absorb": (KEPT, "archived"),
}
DISUSE = timedelta(days=365)
LIVE = frozenset(WARM)
Errors = frozenset[type[Exception]]


@dataclass(frozen=True)
class Version:
    """What one version declares, and since when it was known."""

    text: str
    tags: tuple[str, ...]
    parents: tuple[str, ...]
    frozen: bool
    cause: str
    at: datetime
    ends: datetime | None = None
    by_ttl: bool = True  # else the end is an instant that was named

    def next(self, cause: str, at: datetime, **changed: Any) -> Version:
        """The version behind it; what is not changed stays."""
        return replace(self, cause=cause, at=at, **changed)


@dataclass
class Memory:
    """One memory: every version, where it stands, and when it was there."""

    id: str
    home: str
    versions: list[Version]
    state: str = "generated"
    deleted: bool = False
    used: datetime | None = None
    journal: list[tuple[str, str, str, datetime]] = field(default_factory=list)  # before, after, cause, at
    known: list[tuple[datetime, int | None]] = field(default_factory=list)  # since when which revision was current

    @property
    def last(self) -> Version:
        return self.versions[-1]

    def stage(self, now: datetime) -> str:
        """Where it stands for whoever asks now."""
        if self.last.frozen:
            return "frozen"
        is_over = self.last.ends is not None and self.last.ends <= now
        return "expired" if is_over else self.state

    def write(self, version: Version) -> None:
        self.versions.append(version)
        self.deleted = False
        self.known.append((version.at, len(self.versions)))

    def move(self, cause: str, at: datetime) -> bool:
        """Along the table; says whether it has the edge."""
        leaves, after = EDGES[cause]
        if self.last.frozen or self.state not in leaves:
            return False
        if self.state != after:
            self.journal.append((self.state, after, cause, at))
            self.state = after
        return True

    def current_at(self, moment: datetime) -> int | None:
        """The revision that was current then."""
        past = [revision for at, revision in self.known if at <= moment]
        return past[-1] if past else None

    def cube(self, version: Version) -> MemCube:
        """A version as rules see it."""
        pins = tuple(Parent(id=id, version="v", content_hash="h") for id in version.parents)
        return a_cube(version.text, self.home, id=self.id, parents=pins, tags=version.tags, frozen=version.frozen)


class Model:
    """All memories and rules, and what each caller may do with them."""

    def __init__(self) -> None:
        self.memories: dict[str, Memory] = {}
        self.log: list[RuleChange] = []
        self.snapshots: dict[tuple[str, str], datetime] = {}  # by owner and name

    # Who may.

    def oracle(self, caller: Caller, operation: str, now: datetime) -> Oracle:
        return Oracle(self.log, caller, operation, now)

    @property
    def current(self) -> dict[str, MemCube]:
        return {one.id: one.cube(one.last) for one in self.memories.values() if not one.deleted}

    @property
    def homes(self) -> dict[str, str]:
        return {one.id: one.home for one in self.memories.values()}

    def may(self, oracle: Oracle, action: str, one: Memory, version: Version | None = None) -> bool:
        """Whether somebody may do it with a version of a memory, sources included."""
        if oracle.caller.steward:
            return True
        cube = one.cube(version or one.last)
        return oracle.may(action, cube) and oracle.open(cube, self.current, self.homes)

    def shown(self, oracle: Oracle, stages: Iterable[str]) -> dict[str, str]:
        """What a listing shows of the stages: every text by its id."""
        wanted = set(stages)
        return {
            one.id: one.last.text
            for one in self.memories.values()
            if not one.deleted and one.stage(oracle.now) in wanted and self.may(oracle, "read", one)
        }

    # Why not.

    def refusals(self, oracle: Oracle, action: str, id: str) -> Errors:
        """What the door says to a call on one memory; nothing where it opens."""
        one = self.memories.get(id)
        if one is None or not self.may(oracle, "read", one):
            return frozenset({UnknownMemory})
        return frozenset() if self.may(oracle, action, one) else frozenset({NotAllowed})

    def unfit(self, oracle: Oracle, one: Memory, *, edits: bool) -> Errors:
        """What stands against changing a memory that is current: nothing, or the reasons."""
        if one.deleted or one.stage(oracle.now) == "expired":
            return frozenset({UnknownMemory})
        return frozenset({NotAllowed}) if edits and one.last.frozen else frozenset()

    def unwritable(self, oracle: Oracle, one: Memory, version: Version) -> Errors:
        """Whether the rules for writing hold for what would be written; its sources are another matter."""
        allowed = oracle.caller.steward or oracle.may("write", one.cube(version))
        return frozenset() if allowed else frozenset({NotAllowed})

    def unreadable(self, oracle: Oracle, sources: Iterable[str]) -> Errors:
        """Whether a memory may be made from these: they are there, and the caller may read them."""
        held = [self.memories.get(id) for id in sources]
        fine = all(one is not None and not one.deleted and self.may(oracle, "read", one) for one in held)
        return frozenset() if fine else frozenset({UnknownMemory})

    def unrestorable(self, oracle: Oracle, one: Memory, revision: int | None) -> Errors:
        """What stands against going back to a version."""
        found: set[type[Exception]] = set()
        if one.last.frozen or one.stage(oracle.now) == "expired":
            found.add(NotAllowed)
        wanted = len(one.versions) if revision is None else revision
        if (revision is None or wanted == len(one.versions)) and not one.deleted:
            return frozenset({*found, InvalidInput})
        if not 1 <= wanted <= len(one.versions):
            return frozenset({*found, UnknownVersion})
        version = one.versions[wanted - 1]
        if not (oracle.caller.steward or self.serves(oracle, one, version)):
            found.add(UnknownVersion)
        return frozenset(found) | self.unwritable(oracle, one, version)

    def serves(self, oracle: Oracle, one: Memory, version: Version, action: str = "write") -> bool:
        """Whether a call that may do that may show a version: it is within the decision, and its sources are open."""
        cube = one.cube(version)
        return oracle.caller.steward or (oracle.may(action, cube) and oracle.open(cube, self.current, self.homes))

    # What happens.

    def use(self, ids: Iterable[str], now: datetime) -> None:
        """Whoever reads a memory warms it, and one use is enough to activate it."""
        for id in ids:
            one = self.memories[id]
            one.used = now if one.used is None else max(one.used, now)
            if not one.deleted:
                one.move("use", now)

    def go_back(self, one: Memory, version: Version, now: datetime) -> None:
        """What a version said is said again; how long the memory is kept, and whether it is frozen, stays as it is."""
        kept = {"frozen": one.last.frozen, "ends": one.last.ends, "by_ttl": one.last.by_ttl}
        one.write(version.next("restore", now, **kept))
        one.move("restore", now)

    def due(self, homes: Callable[[str], bool], now: datetime) -> dict[str, str]:
        """By id the state that a sweep of some namespaces moves memories to."""
        moves = {}
        for one in self.memories.values():
            if one.deleted or one.last.frozen or one.state == "expired" or not homes(one.home):
                continue
            touched = max(filter(None, [one.last.at, one.used]))
            if one.last.ends is not None and one.last.ends <= now:
                moves[one.id] = "ttl" if one.last.by_ttl else "expiry"
            elif one.state in WARM and now - touched >= DISUSE:
                moves[one.id] = "disuse"
        return moves

    def way_back(self, oracle: Oracle, home: str, moment: datetime) -> dict[str, str]:
        """By id what a return of a namespace does with each memory that changed, and that the caller may change."""
        steps, now = {}, oracle.now
        for one in self.memories.values():
            then = one.current_at(moment)
            if one.home != home or (then is None and one.deleted):
                continue
            if then is None:
                steps[one.id] = "leave" if one.last.frozen else "delete"
                continue
            version = one.versions[then - 1]
            is_same = (version.text, version.tags, version.parents) == (one.last.text, one.last.tags, one.last.parents)
            if one.deleted:
                steps[one.id] = "leave" if one.stage(now) == "expired" else "revive"
            elif not is_same:
                stuck = one.last.frozen or one.stage(now) == "expired"
                steps[one.id] = "leave" if stuck else "restore"
        back = [id for id, act in steps.items() if act in ("restore", "delete")]
        away = [source for id in back for source in self.put_away(self.memories[id], moment)]
        found = {source.id: "activate" for source in away} | steps
        return {id: act for id, act in found.items() if self._may_take(oracle, self.memories[id], act, moment)}

    def _may_take(self, oracle: Oracle, one: Memory, act: str, moment: datetime) -> bool:
        """Whether the caller may change the memory as it is, and read what it would say."""
        then = None if act in ("delete", "activate") else one.current_at(moment)
        concerned = [one.last] if then is None else [one.last, one.versions[then - 1]]
        return all(self.serves(oracle, one, version) for version in concerned)

    def put_away(self, one: Memory, since: datetime) -> list[Memory]:
        """What went into a memory since a moment, and was put away with that: it is there still, for that reason."""
        return [
            source
            for version in one.versions
            if version.at > since
            for source in (self.memories[id] for id in version.parents if id != one.id)
            if not source.deleted
            and source.home == one.home
            and not source.last.frozen
            and [entry[2:] for entry in source.journal[-1:]] == [("absorb", version.at)]
        ]
