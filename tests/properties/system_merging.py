"""Several memories as one: merged into one of them, fused into a new one, and taken back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.properties.system_machine import SECOND, STEWARD, System, callers, which
from tests.properties.system_model import WARM, Errors, Memory, Version

from pymemos.cube.call import Caller
from pymemos.errors import InvalidInput, NotAllowed, StaleMemory, UnknownMemory

UNDOABLE = ("merge", "fuse")


class Merging(System):
    """The rules of merging; what the merged text would be is told by the caller, for the model writes none."""

    @rule(caller=callers, pick=which, picks=st.lists(which, min_size=1, max_size=2, unique=True))
    def merge(self, caller: Caller, pick: int, picks: list[int]) -> None:
        handle, oracle = self.begin(caller, "merge")
        id, text = self.id_of(pick), self.text()
        others = [one for one in dict.fromkeys(map(self.id_of, picks)) if one != id]
        one = self.model.memories.get(id)
        if not others:
            return
        refusals = self.model.refusals(oracle, "write", id) | self._unmergeable(oracle, [id, *others])
        sources = [self.model.memories[other] for other in others if other in self.model.memories]
        newer = None
        if one is not None:
            newer = together(one.last, "merge", text, [one, *sources], self.now)
            parents = tuple(dict.fromkeys([id, *one.last.parents, *others]))
            newer = newer.next("merge", self.now, parents=parents)
            refusals |= self.model.unwritable(oracle, one, newer)
            refusals |= self._unmovable(oracle, one.home, sources)
            if one.last.frozen or one.state not in WARM:
                refusals |= {NotAllowed}
        if self._merged(lambda: handle.merge(id, others, content=text), refusals, [id, *others]) and newer is not None:
            one.write(newer)
            assert one.move("merge", self.now)
            self._absorb(oracle, one.home, sources)

    @rule(caller=callers, picks=st.lists(which, min_size=2, max_size=3, unique=True), away=st.booleans())
    def fuse(self, caller: Caller, picks: list[int], away: bool) -> None:
        handle, oracle = self.begin(caller, "fuse")
        ids, text = list(dict.fromkeys(map(self.id_of, picks))), self.text()
        if len(ids) < 2:
            return
        sources = [self.model.memories[id] for id in ids if id in self.model.memories]
        homes = {one.home for one in sources}
        home = homes.pop() if caller.steward and len(homes) == 1 else caller.namespace
        first = Version(text, (), tuple(ids), False, "fuse", self.now)
        made = Memory("", home, [together(first, "fuse", text, sources, self.now)])
        refusals = self._unmergeable(oracle, ids) | self.model.unwritable(oracle, made, made.last)
        if away:
            refusals |= self._unmovable(oracle, home, sources)
        cube = self._merged(lambda: handle.fuse(ids, content=text, archive_sources=away), refusals, ids)
        if cube:
            self.keep(cube.id, made)
            if away:
                self._absorb(oracle, home, sources)

    @rule(caller=callers, pick=which)
    def undo(self, caller: Caller, pick: int) -> None:
        handle, oracle = self.begin(caller, "undo")
        id = self.id_of(pick)
        refusals, one = self.model.refusals(oracle, "write", id), self.model.memories.get(id)
        if one is not None:
            refusals |= self._not_undoable(oracle, one)
        undone = self.attempt(lambda: handle.undo(id), refusals)
        if undone is None or one is None:
            return
        before = one.last.at - SECOND / 2
        away = [source for source in self.model.put_away(one, before) if oracle_may_write(oracle, source)]
        assert set(undone.brought_back) == {source.id for source in away}
        if len(one.versions) == 1:
            self.retired(one)
        else:
            one.write(one.versions[-2].next("restore", self.now))
            one.move("restore", self.now)
            one.move("activate", self.now)
        for source in away:
            assert source.move("activate", self.now)

    # What stands against it.

    def _unmergeable(self, oracle: Any, ids: list[str]) -> Errors:
        """Each must be there for the caller to read, and not be at its end."""
        held = [self.model.memories.get(id) for id in ids]
        fine = all(
            one is not None
            and not one.deleted
            and self.model.may(oracle, "read", one)
            and one.stage(self.now) != "expired"
            for one in held
        )
        return frozenset() if fine else frozenset({UnknownMemory})

    def _unmovable(self, oracle: Any, home: str, sources: list[Memory]) -> Errors:
        """What would be put away must not be frozen."""
        beside = [one for one in sources if one.home == home and oracle_may_write(oracle, one)]
        return frozenset({NotAllowed}) if any(one.last.frozen for one in beside) else frozenset()

    def _absorb(self, oracle: Any, home: str, sources: list[Memory]) -> None:
        for one in sources:
            if one.home == home and oracle_may_write(oracle, one):
                assert one.move("absorb", self.now)

    def _not_undoable(self, oracle: Any, one: Memory) -> Errors:
        if one.deleted:
            return frozenset({UnknownMemory})
        found: set[type[Exception]] = set()
        if one.last.frozen:
            found.add(NotAllowed)
        if one.last.cause not in UNDOABLE:
            return frozenset({*found, InvalidInput})
        if len(one.versions) > 1:
            if one.stage(self.now) == "expired":
                found.add(NotAllowed)
            found |= self.model.unwritable(oracle, one, one.versions[-2])
        return frozenset(found)

    def _merged(self, call: Any, refusals: Errors, ids: list[str]) -> Any:
        """Make the call; whether what was made from others is stale, or made from its target, the model cannot tell."""
        derived = any(one.last.parents for id in ids if (one := self.model.memories.get(id)) is not None)
        try:
            return self.attempt(call, refusals | ({StaleMemory, InvalidInput} if refusals and derived else frozenset()))
        except (StaleMemory, InvalidInput):
            assert derived
            return None


def together(base: Version, cause: str, text: str, sources: list[Memory], now: Any) -> Version:
    """What a memory declares that was made of several: all their tags, and the earliest of their ends."""
    tags = tuple(sorted({tag for one in sources for tag in one.last.tags}))
    ends = min((one.last.ends for one in sources if one.last.ends is not None), default=None)
    return base.next(cause, now, text=text, tags=tags, ends=ends, by_ttl=False)


def oracle_may_write(oracle: Any, one: Memory) -> bool:
    return oracle.caller == STEWARD or oracle.may("write", one.cube(one.last))
