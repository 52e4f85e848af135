"""Time Machine: moments with names, and the way back to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos import MemOS
from pymemos.adapters.memory import MemoryStore
from pymemos.errors import EmptyScope, InvalidInput, NotAllowed
from pymemos.operation.time_machine import Act
from pymemos.testing.doubles import FrozenClock, HashingEmbedder

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock():
    return FrozenClock(NOW)


@pytest.fixture
def mem(tmp_path, clock):
    with MemOS(tmp_path / "home", clock=clock, embedder="none") as mem:
        yield mem


def held(mem, **scope):
    return {cube.text for cube in mem.list(**scope)}


def test_a_moment_with_a_name_is_asked_with_known_at(mem):
    id = mem.add("tea", user_id="ana").ids[0]
    taken = mem.snapshot("before", user_id="ana")
    mem.update(id, "coffee", user_id="ana")  # the clock stands still, and still it is later
    assert len(mem.restore_to(taken, user_id="ana", dry_run=True).steps) == 1

    assert held(mem, user_id="ana", known_at=taken.at) == {"tea"}
    assert held(mem, user_id="ana") == {"coffee"}
    assert mem.snapshots(user_id="ana") == (taken,)


def test_a_namespace_says_again_what_it_said(mem, clock):
    _, changed, gone = mem.add([{"role": "user", "content": text} for text in ("a", "b", "c")], user_id="ana").ids
    mem.snapshot("before", user_id="ana")
    clock.advance(HOUR)
    mem.update(changed, "B", user_id="ana")
    mem.delete(gone, user_id="ana")
    added = mem.add("new", user_id="ana").ids[0]
    mem.add("elsewhere", user_id="bo")

    returned = mem.restore_to("before", user_id="ana")

    assert {step.id: step.act for step in returned.steps} == {
        changed: Act.RESTORE,
        gone: Act.REVIVE,
        added: Act.DELETE,
    }
    assert held(mem, user_id="ana") == {"a", "b", "c"}
    assert held(mem, user_id="bo") == {"elsewhere"}
    assert [hit.cube.text for hit in mem.search("b", user_id="ana")] == ["b"]
    assert len(mem.history(changed)) == 3
    assert str(returned).endswith("1 restored, 1 brought back, 1 deleted")


def test_what_has_expired_is_left_and_the_rest_goes_back(mem, clock):
    changed, gone = (mem.add(text, user_id="ana", lifespan={"ttl_s": 7200}).ids[0] for text in ("a", "b"))
    plan = mem.add("plan", user_id="ana").ids[0]
    mem.snapshot("before", user_id="ana")
    clock.advance(HOUR)
    mem.update(changed, "A", user_id="ana")
    mem.delete(gone, user_id="ana")
    mem.update(plan, "another plan", user_id="ana")
    clock.advance(HOUR)

    steps = {step.id: (step.act, step.reason) for step in mem.restore_to("before", user_id="ana").steps}

    assert (Act.LEAVE, "it has expired") == steps[changed] == steps[gone]
    assert held(mem, user_id="ana") == {"plan"}


def test_the_way_back_can_be_gone_back(mem, clock):
    id = mem.add("tea", user_id="ana").ids[0]
    mem.snapshot("first", user_id="ana")
    clock.advance(HOUR)
    mem.update(id, "coffee", user_id="ana")
    mem.add("cake", user_id="ana")
    mem.snapshot("second", user_id="ana")
    clock.advance(HOUR)

    mem.restore_to("first", user_id="ana")
    assert held(mem, user_id="ana") == {"tea"}
    clock.advance(HOUR)
    mem.restore_to("second", user_id="ana")

    assert held(mem, user_id="ana") == {"coffee", "cake"}


def test_a_second_return_has_nothing_to_do(mem, clock):
    id = mem.add("tea", user_id="ana").ids[0]
    mem.snapshot("before", user_id="ana")
    clock.advance(HOUR)
    mem.update(id, "coffee", user_id="ana")
    mem.restore_to("before", user_id="ana")

    again = mem.restore_to("before", user_id="ana")

    assert again.steps == ()
    assert str(again).endswith("everything is as it was")
    assert len(mem.history(id)) == 3


def test_a_dry_run_says_what_would_happen_and_why_and_changes_nothing(mem, clock):
    id = mem.add("tea", user_id="ana").ids[0]
    clock.advance(HOUR)
    mem.update(id, "coffee", user_id="ana")

    plan = mem.restore_to(NOW + HOUR / 2, user_id="ana", dry_run=True)

    [step] = plan.steps
    assert plan.dry_run
    assert (step.id, step.act, step.revision, step.reason) == (id, Act.RESTORE, 1, "revision 2 says something else")
    assert held(mem, user_id="ana") == {"coffee"}
    assert len(mem.history(id)) == 2


def test_the_whole_store_goes_back_only_when_that_is_said(mem, clock):
    mem.add("tea", user_id="ana")
    taken = mem.snapshot("before")
    clock.advance(HOUR)
    mem.add("more tea", user_id="ana")
    mem.add("coffee", user_id="bo")

    with pytest.raises(EmptyScope, match="everything=True"):
        mem.restore_to(taken)
    mem.restore_to(taken, everything=True)

    assert held(mem, user_id="ana") == {"tea"}
    assert held(mem, user_id="bo") == set()


def test_a_user_goes_back_alone_and_knows_their_own_moments(mem):
    mem.add("tea", user_id="ana")
    mem.snapshot("everybody's")
    mem.snapshot("bo's", user_id="bo")
    ana = mem.bind(user_id="ana")

    assert ana.snapshots() == ()
    for name in ("everybody's", "bo's"):
        with pytest.raises(InvalidInput, match="there is none"):
            ana.restore_to(name)
    with pytest.raises(NotAllowed):
        ana.restore_to(NOW, everything=True)


@pytest.mark.parametrize("moment", ["yesterday", "2026-05-01T10:00", "2027-01-01T00:00Z"])
def test_what_is_no_moment_that_was_is_refused(mem, moment):
    with pytest.raises(InvalidInput):
        mem.restore_to(moment, user_id="ana")


def test_a_name_is_given_once(mem):
    mem.snapshot("before", user_id="ana")

    with pytest.raises(InvalidInput, match="take another"):
        mem.snapshot("before", user_id="ana")

    mem.snapshot("before", user_id="bo")
    mem.snapshot("before")


def test_what_comes_back_is_found_by_its_meaning(tmp_path, clock):
    with MemOS(tmp_path / "home", clock=clock, embedder=HashingEmbedder(64)) as mem:
        id = mem.add("the an of tea").ids[0]
        taken = mem.snapshot("before")
        clock.advance(HOUR)
        mem.delete(id)
        mem.restore_to(taken, everything=True)
        mem.tick()

        with mem._tools.store.read() as unit:
            assert len(unit.vectors_of(id)) == 1


@given(
    st.lists(st.tuples(st.sampled_from(["add", "update", "delete", "restore", "mark"]), st.integers(0, 5)), max_size=20)
)
def test_every_marked_moment_can_be_returned_to(changes):
    clock = FrozenClock(NOW)
    with MemOS(store=MemoryStore(), clock=clock, embedder="none", key=b"k" * 32) as mem:
        moments = []
        for act, place in changes:
            clock.advance(timedelta(minutes=1))
            cubes = list(mem.list(user_id="ana"))
            cube = cubes[place % len(cubes)] if cubes else None
            if act == "add":
                mem.add(f"text {place}", user_id="ana")
            elif act == "update" and cube is not None:
                mem.update(cube.id, f"{cube.text} again", user_id="ana")
            elif act == "delete" and cube is not None:
                mem.delete(cube.id, user_id="ana")
            elif act == "restore" and moments:
                moment, texts = moments[place % len(moments)]
                mem.restore_to(moment, user_id="ana")
                assert sorted(one.text for one in mem.list(user_id="ana")) == texts
            elif act == "mark":
                moment = mem.snapshot(f"m{len(moments)}", user_id="ana")
                moments.append((moment, sorted(one.text for one in mem.list(user_id="ana"))))
        for moment, texts in moments:
            mem.restore_to(moment, user_id="ana")
            assert sorted(one.text for one in mem.list(user_id="ana")) == texts
