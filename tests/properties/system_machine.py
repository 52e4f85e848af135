"""The system driven through its facade beside the model: each call gives the same, or is refused for one reason."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.properties.system_model import EDGES, LIVE, WARM, Errors, Memory, Model, Version

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.call import Caller
from pymemos.cube.header import Stage
from pymemos.cube.ids import format_id
from pymemos.errors import InvalidInput, NotAllowed, UnknownMemory, UnknownVersion
from pymemos.testing.doubles import FrozenClock, SequentialIds

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
TAGS = ("food", "work")
STEWARD = Caller(steward=True)
CALLERS = (
    STEWARD,
    Caller(user="ana"),
    Caller(user="ana", role="parent"),
    Caller(user="bo"),
    Caller(user="bo", role="cook"),
    Caller(user="eve", task="review"),
)
USERS = CALLERS[1:]
NOWHERE = format_id(1, 1)  # the id of a memory that never was
TEAM = "shared/team"
STEPS = itertools.count()  # over all runs of the machine

ANA, BO = USERS[0], USERS[2]
callers, users = st.sampled_from([*CALLERS, STEWARD, ANA, ANA, BO]), st.sampled_from([*USERS, ANA, ANA, BO])
which = st.integers(0, 30)
some = st.just([]) | st.lists(which, min_size=1, max_size=2, unique=True)
tags = st.sampled_from([(), ("food",), ("work",), TAGS])


class System(RuleBasedStateMachine):
    """Memories, life cycle, versions and time; what others may see of them comes with the rules of ``Sharing``."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.model, self.ids = FrozenClock(), Model(), SequentialIds()
        self.folder = Path(tempfile.mkdtemp(prefix="pymemos-system-"))
        self.store: MemoryStore | None = None
        self.texts = itertools.count()

    @initialize(
        in_memory=st.sampled_from([True, True, False]),
        world=st.lists(st.tuples(st.sampled_from([ANA, ANA, BO]), tags), min_size=3, max_size=6),
    )
    def open(self, in_memory: bool, world: list[tuple[Caller, tuple[str, ...]]]) -> None:
        self.store = MemoryStore() if in_memory else None
        self._open()
        for caller, labels in world:
            self._add(caller, labels, [])

    def _open(self) -> None:
        given = {} if self.store is None else {"store": self.store, "blobs": MemoryBlobs()}
        self.mem = MemOS(self.folder / "home", clock=self.clock, new_id=self.ids, embedder="none", **given)

    def teardown(self) -> None:
        try:
            self.check_lives()
        finally:
            self.mem.close()
            shutil.rmtree(self.folder)

    # How a step is taken.

    @property
    def now(self) -> Any:
        return self.clock.now

    def handle(self, caller: Caller) -> MemOS:
        if caller.steward:
            return self.mem
        return self.mem.bind(user_id=caller.user, role=caller.role, task=caller.task)

    def begin(self, caller: Caller, operation: str) -> tuple[MemOS, Any]:
        """A moment later, a handle for the caller and what the oracle knows of the call."""
        next(STEPS)
        self.clock.advance(SECOND)
        return self.handle(caller), self.model.oracle(caller, operation, self.now)

    def id_of(self, pick: int) -> str:
        held = sorted(self.model.memories)
        return held[pick % len(held)] if held and pick < 30 else NOWHERE

    def attempt(self, call: Callable[[], Any], refusals: Errors) -> Any:
        """Make a call; where the model knows reasons against it, it must be refused for one of them."""
        if not refusals:
            return call()
        with pytest.raises(tuple(refusals)) as refused:
            call()
        assert type(refused.value) in refusals
        return None

    def text(self) -> str:
        return f"tea {next(self.texts)}"

    # Writing.

    @rule(
        caller=callers,
        tags=tags,
        sources=some,
        days=st.sampled_from([None, None, 1, 400]),
        shared=st.sampled_from([False, False, True]),
    )
    def add(self, caller: Caller, tags: tuple[str, ...], sources: list[int], days: int | None, shared: bool) -> None:
        self._add(caller, tags, sources, days=days, shared=shared)

    def _add(
        self,
        caller: Caller,
        tags: tuple[str, ...],
        sources: list[int],
        *,
        days: int | None = None,
        shared: bool = False,
    ) -> None:
        handle, oracle = self.begin(caller, "add")
        parents = tuple(dict.fromkeys(self.id_of(pick) for pick in sources))
        ends = None if days is None else self.now + days * DAY
        version = Version(self.text(), tags, parents, False, "add", self.now, ends)
        one = Memory(NOWHERE, TEAM if shared else caller.namespace, [version])
        refusals = self.model.unwritable(oracle, one, version) | self.model.unreadable(oracle, parents)
        given: dict[str, Any] = {} if days is None else {"lifespan": {"ttl_s": days * DAY.total_seconds()}}
        if shared:
            given["namespace"] = TEAM
        added = self.attempt(lambda: handle.add(version.text, tags=tags, parents=parents, **given), refusals)
        if added is not None:
            self.keep(added.ids[0], one)

    def keep(self, id: str, one: Memory) -> None:
        """Note a memory that was written."""
        one.id, one.known = id, [(self.now, 1)]
        self.model.memories[id] = one

    @rule(caller=callers, pick=which, tags=st.none() | tags, sources=st.none() | some)
    def update(self, caller: Caller, pick: int, tags: tuple[str, ...] | None, sources: list[int] | None) -> None:
        handle, oracle = self.begin(caller, "update")
        id, text = self.id_of(pick), self.text()
        parents = None if sources is None else tuple(dict.fromkeys(map(self.id_of, sources)))
        refusals, one = self.model.refusals(oracle, "write", id), self.model.memories.get(id)
        newer = None
        if one is not None:
            changed = {"tags": tags, "parents": parents}
            said = {name: value for name, value in changed.items() if value is not None}
            newer = one.last.next("update", self.now, text=text, frozen=False, **said)
            refusals |= self.model.unfit(oracle, one, edits=True) | self.model.unwritable(oracle, one, newer)
            refusals |= frozenset() if parents is None else self.model.unreadable(oracle, parents)
            if id in (parents or ()):
                refusals |= {InvalidInput}
        self._changed(id, newer, lambda: handle.update(id, text, tags=tags, parents=parents), refusals)

    @rule(caller=callers, pick=which)
    def append(self, caller: Caller, pick: int) -> None:
        handle, oracle = self.begin(caller, "update")
        id, text = self.id_of(pick), self.text()
        refusals, one = self.model.refusals(oracle, "write", id), self.model.memories.get(id)
        newer = None
        if one is not None:
            newer = one.last.next("append", self.now, text=f"{one.last.text}\n{text}")
            refusals |= self.model.unfit(oracle, one, edits=True)
        if self._changed(id, newer, lambda: handle.append(id, text), refusals):
            self.model.memories[id].move("merge", self.now)

    def _changed(self, id: str, newer: Version | None, call: Callable[[], Any], refusals: Errors) -> bool:
        cube = self.attempt(call, refusals)
        if cube is None or newer is None:
            return False
        self.model.memories[id].write(newer)
        assert (cube.text, set(cube.header.descriptive.tags)) == (newer.text, set(newer.tags))
        return True

    @rule(caller=callers, pick=which)
    def delete(self, caller: Caller, pick: int) -> None:
        handle, oracle = self.begin(caller, "delete")
        id = self.id_of(pick)
        refusals, one = self.model.refusals(oracle, "write", id), self.model.memories.get(id)
        if one is not None and one.deleted:
            refusals |= {UnknownMemory}
        elif one is not None and one.last.frozen:
            refusals |= {NotAllowed}
        if self.attempt(lambda: handle.delete(id), refusals) is not None and one is not None:
            self.retired(one)

    def retired(self, one: Memory) -> None:
        one.deleted = True
        one.known.append((self.now, None))

    @rule(caller=callers, pick=which, revision=st.none() | st.integers(1, 4))
    def restore(self, caller: Caller, pick: int, revision: int | None) -> None:
        handle, oracle = self.begin(caller, "restore")
        id = self.id_of(pick)
        refusals, one = self.model.refusals(oracle, "write", id), self.model.memories.get(id)
        if one is not None:
            refusals |= self.model.unrestorable(oracle, one, revision)
        cube = self.attempt(lambda: handle.restore(id, revision), refusals)
        if cube is not None and one is not None:
            self.model.go_back(one, one.versions[(revision or len(one.versions)) - 1], self.now)
            assert cube.text == one.last.text

    # The life cycle.

    @rule(caller=callers, pick=which, command=st.sampled_from(["archive", "activate", "freeze", "unfreeze"]))
    def command(self, caller: Caller, pick: int, command: str) -> None:
        handle, oracle = self.begin(caller, command)
        id = self.id_of(pick)
        freezing = command in ("freeze", "unfreeze")
        refusals, one = self.model.refusals(oracle, "read" if freezing else "write", id), self.model.memories.get(id)
        if freezing and not caller.steward and one is not None and not refusals:  # the owner freezes for good
            refusals |= {NotAllowed} if command == "unfreeze" or not oracle.may_manage(one.home) else frozenset()
        if one is not None:
            refusals |= self.model.unfit(oracle, one, edits=command in ("archive", "activate"))
        cube = self.attempt(lambda: getattr(handle, command)(id), refusals)
        if cube is None or one is None:
            return
        frozen = command == "freeze"
        if command in ("archive", "activate"):
            assert one.move(command, self.now)
        elif one.last.frozen != frozen:
            one.write(one.last.next(command, self.now, frozen=frozen))

    @rule(caller=callers, dry=st.booleans())
    def sweep(self, caller: Caller, dry: bool) -> None:
        handle, oracle = self.begin(caller, "look_at_lives")
        manages = caller.steward or oracle.may_manage(caller.namespace)
        due = self.model.due(lambda home: caller.steward or home == caller.namespace, self.now)
        swept = self.attempt(lambda: handle.sweep(dry_run=dry), frozenset() if manages else frozenset({NotAllowed}))
        if swept is not None:
            assert {move.id: move.after.value for move in swept.moves} == {id: EDGES[due[id]][1] for id in due}
            for id in () if dry else due:
                assert self.model.memories[id].move(due[id], self.now)

    @rule(step=st.sampled_from([HOUR, DAY, 100 * DAY, 366 * DAY]))
    def pass_time(self, step: timedelta) -> None:
        next(STEPS)
        self.clock.advance(step)

    # Time Machine.

    @rule(caller=users, name=st.sampled_from(["a", "b"]))
    def snapshot(self, caller: Caller, name: str) -> None:
        handle, oracle = self.begin(caller, "snapshot")
        place = (caller.namespace, name)
        refusals = frozenset() if oracle.may_manage(caller.namespace) else frozenset({NotAllowed})
        if place in self.model.snapshots:
            refusals |= {InvalidInput}
        taken = self.attempt(lambda: handle.snapshot(name), refusals)
        if taken is not None:
            assert taken.at == self.now
            self.model.snapshots[place] = self.now

    @rule(caller=users, name=st.sampled_from(["a", "b"]), dry=st.booleans())
    def restore_to(self, caller: Caller, name: str, dry: bool) -> None:
        handle, oracle = self.begin(caller, "plan_restore_to" if dry else "restore_to")
        moment = self.model.snapshots.get((caller.namespace, name))
        refusals = frozenset() if oracle.may_manage(caller.namespace) else frozenset({NotAllowed})
        if moment is None:
            refusals |= {InvalidInput}
        returned = self.attempt(lambda: handle.restore_to(name, dry_run=dry), refusals)
        if returned is None or moment is None:
            return
        steps = self.model.way_back(oracle, caller.namespace, moment)
        assert {step.id: step.act.value for step in returned.steps} == steps
        for id, act in {} if dry else steps.items():
            one = self.model.memories[id]
            if act == "delete":
                self.retired(one)
            elif act == "activate":
                one.move("activate", self.now)
            elif act != "leave":
                self.model.go_back(one, one.versions[one.current_at(moment) - 1], self.now)

    # Reading.

    @rule(caller=callers, pick=which, revision=st.none() | st.integers(1, 4))
    def get(self, caller: Caller, pick: int, revision: int | None) -> None:
        handle, oracle = self.begin(caller, "get")
        id = self.id_of(pick)
        refusals, one = self.model.refusals(oracle, "read", id), self.model.memories.get(id)
        version = None
        if one is not None and not refusals:
            if revision is None:
                refusals |= self.model.unfit(oracle, one, edits=False)
            version = one.last if revision is None else None
            if revision is not None and revision <= len(one.versions):
                version = one.versions[revision - 1]
            if revision is not None and (version is None or not self.model.serves(oracle, one, version, "read")):
                refusals |= {UnknownVersion}
        cube = self.attempt(lambda: handle.get(id, version=revision), refusals)
        if cube is not None and version is not None:
            assert cube.text == version.text
            self._used([id])

    @rule(caller=callers)
    def search(self, caller: Caller) -> None:
        handle, oracle = self.begin(caller, "search")
        hits = handle.search("tea", namespaces="*", limit=100)
        assert {hit.cube.id: hit.cube.text for hit in hits} == self.model.shown(oracle, LIVE)
        self._used([hit.cube.id for hit in hits])

    @rule(caller=callers, pick=which)
    def history(self, caller: Caller, pick: int) -> None:
        handle, oracle = self.begin(caller, "history")
        id = self.id_of(pick)
        found = self.attempt(lambda: handle.history(id), self.model.refusals(oracle, "read", id))
        if found is not None:
            one = self.model.memories[id]
            shown = [version for version in one.versions if self.model.serves(oracle, one, version, "read")]
            assert [record.cube.text for record in found] == [version.text for version in shown]

    def _used(self, ids: list[str]) -> None:
        """The reads are counted, which warms what was read."""
        self.mem.log(limit=1)  # writes what waits
        self.model.use(ids, self.now)

    @precondition(lambda self: self.store is None)
    @rule()
    def reopen(self) -> None:
        next(STEPS)
        self.mem.close()
        self._open()

    # What always holds.

    @invariant()
    def everything_is_where_the_model_has_it(self) -> None:
        """No memory is lost and none is in two places: the stages of the store share out what the model holds."""
        found = {
            cube.id: (stage.value, cube.text)
            for stage in Stage
            for cube in self.mem.list(namespaces="*", states=[stage], limit=1000)
        }
        held = [one for one in self.model.memories.values() if not one.deleted]
        assert found == {one.id: (one.stage(self.now), one.last.text) for one in held}
        assert len(found) + sum(one.deleted for one in self.model.memories.values()) == len(self.model.memories)

    @invariant()
    def nobody_sees_more_or_less_than_the_model_says(self) -> None:
        for caller in USERS:
            oracle = self.model.oracle(caller, "list", self.now)
            for stages in (LIVE, {stage.value for stage in Stage}):
                page = self.handle(caller).list(namespaces="*", states=sorted(stages), limit=1000)
                assert {cube.id: cube.text for cube in page} == self.model.shown(oracle, stages)

    def check_lives(self) -> None:
        """At the end: no version was lost, none was written over, and every life went along legal edges."""
        for one in self.model.memories.values():
            records = self.mem.history(one.id)
            assert [
                (record.cube.text, set(record.cube.header.descriptive.tags), record.cube.header.governance.frozen)
                for record in records
            ] == [(version.text, set(version.tags), version.frozen) for version in one.versions]
            assert [record.cube.header.descriptive.cause for record in records] == [v.cause for v in one.versions]
            moves = [step for step in self.mem.passages(one.id) if Stage.FROZEN not in (step.before, step.after)]
            assert [(step.before.value, step.after.value, step.cause, step.at) for step in moves] == one.journal
            for before, after, cause, _ in one.journal:
                assert before in EDGES[cause][0]
                assert after == EDGES[cause][1]
            assert one.state in (*WARM, "archived", "expired")
