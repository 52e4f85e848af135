"""Turns of the scheduler, whatever happens to memories between them: what is kept holds, and a turn comes to rest."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scheduling_kit import CALIBRATION

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.errors import ChatFailed, UnknownMemory
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.settings import Settings
from pymemos.testing.doubles import FrozenClock, SequentialIds
from pymemos.testing.toy_engine import ToyEngine

WORDS = ("Lisbon", "Porto", "Faro", "Evora", "Braga")
ANA: dict[str, Any] = {"user_id": "ana"}
PLACES = st.integers(0, len(WORDS) - 1)
STEPS = st.one_of(
    st.tuples(st.just("use"), PLACES, st.integers(1, 40)),
    st.tuples(st.sampled_from(["update", "archive", "activate", "freeze", "delete", "erase", "chat"]), PLACES),
    st.tuples(st.just("rest"), st.sampled_from([1, 30, 400])),
    st.tuples(st.just("move")),
    st.tuples(st.just("lose"), st.integers(0, 9)),
)


@settings(max_examples=40)
@given(st.lists(STEPS, max_size=14))
def test_whatever_happens_what_a_turn_leaves_holds_and_the_next_one_has_nothing_to_do(
    taken: Sequence[tuple[Any, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = _Place(Path(folder))
        with place.mem:
            for step in (("use", 0, 30), ("use", 1, 20), ("move",), *taken):
                place.take(*step)
            place.mem.tick()  # such as a sweep that archives what nobody used for a year
            place.mem.move(**ANA)
            place.mem.tick()

            _holds(place.mem, whole=not any(step[0] == "lose" for step in taken))
            again = place.mem.move(**ANA)
            assert (again.made, again.given_up, again.queued) == ((), (), ())


def _holds(mem: MemOS, *, whole: bool) -> None:
    """Every cache can be used; the store is sound, unless files were lost that no turn had made."""
    held = list(mem.list(filters={"kind": "activation"}, **ANA))
    assert not any(cube.stale for cube in held)
    assert all(mem.verify(cube.id, **ANA).ok for cube in held)
    assert {cube.payload.blob for cube in held} <= mem._tools.blobs.names()
    assert not whole or all(one.ok for one in mem.doctor() if one.check != "free space")
    for cube in held:
        assert all(one == one.again() for one in mem.decisions(cube.id, **ANA))


class _Place:
    """Ana's memories of some towns, and what may happen to them."""

    def __init__(self, folder: Path) -> None:
        engine = ToyEngine(window=1 << 20, seed=1)
        options = Settings(home=folder / "home", config_dir=folder / "config", cache_dir=folder / "cache")
        known = msgspec.structs.replace(CALIBRATION, model=engine.identity, kv_token_bytes=1e6)
        keep(known, calibration_file(options.cache_dir, engine.identity))
        self.clock = FrozenClock()
        self.mem = MemOS(
            settings=options,
            engine=engine,
            embedder="none",
            clock=self.clock,
            new_id=SequentialIds(),
            store=MemoryStore(),
            blobs=MemoryBlobs(),
        )
        self.ids = [self.mem.add(f"Ana has been to {word}. " * 12, **ANA).ids[0] for word in WORDS]

    def take(self, name: str, *given: int) -> None:
        """One step; what is no more is left alone."""
        self.clock.advance(timedelta(minutes=1))
        try:
            getattr(self, f"_{name}")(*given)
        except (UnknownMemory, PermissionError, ChatFailed):  # a toy may have nothing to say
            return

    def _use(self, place: int, times: int) -> None:
        for _ in range(times):
            self.clock.advance(timedelta(hours=3))
            self.mem.search(WORDS[place], limit=1, **ANA)

    def _update(self, place: int) -> None:
        self.mem.update(self.ids[place], f"Ana likes {WORDS[place]} most, as of {self.clock()}. " * 8, **ANA)

    def _archive(self, place: int) -> None:
        self.mem.archive(self.ids[place], **ANA)

    def _activate(self, place: int) -> None:
        self.mem.activate(self.ids[place], **ANA)

    def _freeze(self, place: int) -> None:
        self.mem.freeze(self.ids[place], **ANA)

    def _delete(self, place: int) -> None:
        self.mem.delete(self.ids[place], **ANA)

    def _erase(self, place: int) -> None:
        self.mem.erase(self.ids[place], wait=True, **ANA)

    def _chat(self, place: int) -> None:
        self.mem.chat(f"{WORDS[place]}?", max_tokens=8, schedule="similarity", **ANA)

    def _rest(self, days: int) -> None:
        self.clock.advance(timedelta(days=days))

    def _move(self) -> None:
        self.mem.move(**ANA)

    def _lose(self, number: int) -> None:
        """A file is gone, whoever took it."""
        held = list(self.mem.list(filters={"kind": "activation"}, **ANA))
        if held:
            self.mem._tools.blobs.remove(held[number % len(held)].payload.blob)
