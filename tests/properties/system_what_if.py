"""What if: worlds that are opened, changed and kept open while the store goes on, and that nobody outside sees."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from tests.properties.system_machine import STEWARD, System, users, which
from tests.properties.system_model import LIVE

from pymemos.cube.call import Caller
from pymemos.errors import NotAllowed
from pymemos.facade.what_if import World

KEPT = 2  # worlds that are open at once


class WhatIf(System):
    """The rules of worlds; that they are invisible from outside is what the other rules and invariants hold."""

    def __init__(self) -> None:
        super().__init__()
        self.worlds: list[tuple[World, dict[str, str]]] = []  # each with what is seen in it

    def _open(self) -> None:
        super()._open()
        self.worlds = []  # they end with the process

    @rule()
    def open_world(self) -> None:
        handle, oracle = self.begin(STEWARD, "what_if")
        self.worlds.append((handle.what_if(), self.model.shown(oracle, LIVE)))
        if len(self.worlds) > KEPT:
            self.worlds.pop(0)[0].close()

    @precondition(lambda self: self.worlds)
    @rule(number=st.integers(0, KEPT - 1), act=st.sampled_from(["add", "update", "delete"]), pick=which)
    def imagine(self, number: int, act: str, pick: int) -> None:
        self.begin(STEWARD, "in_what_if")
        world, seen = self.worlds[number % len(self.worlds)]
        text, held = self.text(), sorted(seen)
        if act == "add" or not held:
            seen[world.add(text).ids[0]] = text
        elif act == "update":
            id = held[pick % len(held)]
            assert world.update(id, text).text == text
            seen[id] = text
        else:
            id = held[pick % len(held)]
            world.delete(id)
            del seen[id]

    @rule(caller=users)
    def look_into_a_world(self, caller: Caller) -> None:
        """Nobody sees more in a world of their own than outside of it."""
        handle, oracle = self.begin(caller, "in_what_if")
        expected = self.model.shown(oracle, LIVE)
        try:
            world = handle.what_if()
        except NotAllowed:
            assert caller.namespace not in {self.model.memories[id].home for id in expected}
            return
        with world:
            assert {cube.id: cube.text for cube in world.list(namespaces="*", limit=1000)} == expected
            assert {hit.cube.id: hit.cube.text for hit in world.search("tea", namespaces="*", limit=100)} == expected

    @invariant()
    def worlds_stay_as_they_were_made(self) -> None:
        for world, seen in self.worlds:
            assert {cube.id: cube.text for cube in world.list(namespaces="*", limit=1000)} == seen
