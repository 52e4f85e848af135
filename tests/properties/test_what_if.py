"""What-if between two models: a store in which the same really happens, and the store itself, which nothing reaches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.testing.doubles import FrozenClock, HashingEmbedder, SequentialIds

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = bytes(32)
WORDS = ("Ana moved to Porto", "tea with mint", "the boat to Lisbon", "who likes tea?", "I swim in May")

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(". ".join)
acts = st.tuples(
    st.sampled_from(["add", "say", "talk", "update", "append", "delete", "freeze"]),
    st.integers(0, 9),
    texts,
    st.sampled_from(["s1", "s2"]),
)
lists = st.lists(acts, max_size=6)


def opened(embedder):
    return MemOS(
        store=MemoryStore(), blobs=MemoryBlobs(), clock=FrozenClock(NOW), new_id=SequentialIds(), key=KEY,
        embedder=HashingEmbedder(32) if embedder else "none",
    )  # fmt: skip


def do(mem, act, *, frozen=False):
    """One act on a store, or on a world; the memory is picked by its place in the order of writing."""
    what, place, text, session = act
    if what == "add":
        mem.add(text)
    elif what == "say":
        mem.add([{"role": "user", "content": text, "name": "Ana"}], session_id=session)
    elif what == "talk":
        turns = [{"role": "user", "content": text}, {"role": "assistant", "content": f"Really? {text}"}]
        mem.add(turns, session_id=session)
    else:
        held = list(mem.list(limit=1000))
        if held:
            cube = held[place % len(held)]
            if what == "freeze":
                if frozen:
                    mem.freeze(cube.id)
            elif what == "delete":
                mem.delete(cube.id)
            else:
                getattr(mem, what)(cube.id, text)


def contents(mem):
    """What memories say, and their histories."""
    return [
        (cube.text, cube.header.descriptive.speaker_role, [record.cube.text for record in mem.history(cube.id)])
        for cube in mem.list(limit=1000, states=["generated", "activated", "archived", "frozen"])
    ]


def answers(mem, question):
    """What a search finds, in the order of scores; memories are told apart by their places."""
    places = {cube.id: place for place, cube in enumerate(mem.list(limit=1000))}
    return {places[hit.cube.id]: hit.score for hit in mem.search(question, limit=1000)}


def outside(mem):
    """All that the store holds, but for the log of access."""
    mem._api.buffer.flush()
    state = mem._tools.store._state.copied()
    state.audit = {}
    return state


@given(before=lists, inside=lists, since=lists, question=texts, embedder=st.booleans(), early=st.booleans())
def test_a_world_answers_as_the_store_would_if_it_were_so(before, inside, since, question, embedder, early):
    with opened(embedder) as mem, opened(embedder) as real:
        for act in before:
            do(mem, act)
            do(real, act)
        mem.tick()  # embeds what was appended
        real.tick()
        with mem.what_if() as world:
            if early:  # so that what is in memory is there before the store moves on
                world.search(question)
            for place in range(max(len(inside), len(since))):
                for act in since[place : place + 1]:
                    mem._tools.clock.advance(timedelta(seconds=1))
                    do(mem, act, frozen=True)
                    mem.tick()
                for act in inside[place : place + 1]:
                    do(world, act)
                    do(real, act)
                    real.tick()

            found, expected = answers(world, question), answers(real, question)
            assert contents(world) == contents(real)
            assert found.keys() == expected.keys()
            assert np.allclose([found[place] for place in expected], list(expected.values()), atol=1e-5)


@given(before=lists, inside=lists, question=texts, embedder=st.booleans(), frozen=st.integers(0, 3))
def test_nothing_of_a_world_reaches_the_store(before, inside, question, embedder, frozen):
    with opened(embedder) as mem:
        for act in before:
            do(mem, act)
        for cube in list(mem.list())[:frozen]:
            mem.freeze(cube.id)
        held = outside(mem)

        with mem.what_if() as world, mem.what_if() as other:
            for act in inside:
                do(world, act)
                world.search(question)
                assert outside(mem) == held
            assert other.changes() == ()
            assert contents(other) == contents(mem)
            model = {cube.id: cube.text for cube in other.list(limit=1000)}
            for one in world.changes():
                model.pop(one.id, None)
                model |= {} if one.after is None else {one.id: one.after.text}
            assert {cube.id: cube.text for cube in world.list(limit=1000)} == model
        assert outside(mem) == held


@given(before=lists, since=lists, inside=lists, question=texts, hours=st.integers(0, 3))
def test_a_world_of_an_earlier_moment_is_the_store_as_it_was(before, since, inside, question, hours):
    with opened(True) as mem, opened(True) as real:
        for act in before:
            do(mem, act)
            do(real, act)
        mem.tick()  # embeds what was appended
        real.tick()
        taken = mem.snapshot("then")
        for act in since:
            mem._tools.clock.advance(timedelta(hours=1 + hours))
            do(mem, act, frozen=True)
        with mem.what_if(known_at=taken) as world:
            real._tools.clock.now = world.at
            for act in inside:
                do(world, act)
                do(real, act)
                real.tick()

            found, expected = answers(world, question), answers(real, question)
            assert contents(world) == contents(real)
            assert found.keys() == expected.keys()
            assert np.allclose([found[place] for place in expected], list(expected.values()), atol=1e-5)
