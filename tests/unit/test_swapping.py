"""What a change of task leads to, decided: what comes, stays and goes, when it waits, and what is kept of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos.operation.costs import Form
from pymemos.operation.swapping import (
    INSISTENT,
    PARTS,
    PRESENT,
    SESSIONS,
    SETTLED,
    TASKS,
    Part,
    SwapDecision,
    Tasks,
    decided,
    grounds,
    noted,
    without,
)

MINUTE = 1 / (24 * 60)


def part(id: str, form: Form = Form.KV, nbytes: int = 1_000_000) -> Part:
    return Part(id, f"blob of {id}", nbytes, form)


MAIL = (part("head"), part("letters"), part("names", Form.ADAPTER, 500_000))
COOKING = (part("head"), part("recipes"))


def chatted(of: Tasks, task: str, at: float, *parts: Part, session: str = "s") -> tuple[Tasks, SwapDecision | None]:
    """A chat under a task, read from some parts."""
    found = grounds(of, session, task, at)
    decision = None if found is None else decided(found)
    return noted(of, session, task, at, parts=parts, decision=decision), decision


@pytest.fixture
def both() -> Tasks:
    """A session that was at cooking, and is at mail since day 1."""
    tasks, _ = chatted(Tasks(), "cooking", 0.0, *COOKING)
    tasks, _ = chatted(tasks, "mail", 1.0, *MAIL)
    return tasks


class TestDeciding:
    def test_a_first_task_swaps_nothing(self):
        tasks, decision = chatted(Tasks(), "mail", 1.0, *MAIL)

        assert decision is None
        assert MAIL == tasks.sets["mail"]

    def test_the_same_task_again_swaps_nothing_and_changes_nothing(self, both):
        after, decision = chatted(both, "mail", 1.0 + MINUTE, *MAIL)

        assert decision is None
        assert both == after

    def test_a_change_brings_what_is_new_keeps_what_both_need_and_lets_the_rest_go(self, both):
        tasks, decision = chatted(both, "cooking", 2.0, *COOKING)

        assert (("recipes",), ("head",), ("letters", "names")) == (decision.load, decision.keep, decision.drop)
        assert (
            "the task changed from 'mail' to 'cooking': 1 segment and 1 adapter (1.5 MB) let go, "
            "1 segment (1 MB) kept, 1 segment (1 MB) to come" == decision.reason
        )
        assert ("cooking", 2.0) == (tasks.sessions["s"].task, tasks.sessions["s"].swapped)

    def test_a_new_file_of_a_memory_is_another_part(self, both):
        changed = Part("head", "another blob", 1, Form.KV)
        tasks, _ = chatted(both, "cooking", 2.0, changed, part("recipes"))

        found = grounds(tasks, "s", "mail", 3.0)

        assert "head" in decided(found).drop

    def test_what_other_sessions_work_with_stays(self, both):
        tasks, _ = chatted(both, "mail", 2.0, *MAIL, session="other")

        _, decision = chatted(tasks, "cooking", 2.0 + MINUTE)

        assert () == decision.drop
        _, later = chatted(tasks, "cooking", 2.0 + PRESENT + MINUTE)
        assert ("letters", "names") == later.drop

    def test_a_new_session_at_a_known_task_lets_nothing_go(self, both):
        _, decision = chatted(both, "mail", 2.0, session="new")

        assert (("head", "letters", "names"), (), ()) == (decision.load, decision.keep, decision.drop)
        assert decision.reason.startswith("the session begins with 'mail': ")

    def test_who_is_told_swaps_at_once_also_to_where_it_is(self, both):
        again = decided(grounds(both, "s", "mail", 1.0 + MINUTE, is_told=True))
        other = decided(grounds(both, "s", "cooking", 1.0 + MINUTE, is_told=True))

        assert ((), ("head", "letters", "names"), ()) == (again.load, again.keep, again.drop)
        assert (False, ("recipes",)) == (other.waits, other.load)


class TestHysteresis:
    def test_so_soon_after_a_swap_the_next_waits(self, both):
        tasks, decision = chatted(both, "cooking", 1.0 + 2 * MINUTE)

        assert decision.waits
        assert ((), (), ()) == (decision.load, decision.keep, decision.drop)
        assert () == decision.wanted
        assert (
            "the set of 'mail' stays: it was swapped 2 minutes ago, and 'cooking' was named 1 of 3 times running"
            == decision.reason
        )
        assert "mail" == tasks.sessions["s"].task

    def test_who_insists_gets_it(self, both):
        tasks, at = both, 1.0
        for time in range(1, INSISTENT + 1):
            tasks, decision = chatted(tasks, "cooking", at + time * MINUTE)
            assert decision.waits == (time < INSISTENT)

        assert "cooking" == tasks.sessions["s"].task

    def test_going_back_begins_the_count_anew(self, both):
        tasks = both
        for time, task in enumerate(["cooking", "cooking", "mail", "cooking", "cooking"], 1):
            tasks, decision = chatted(tasks, task, 1.0 + time * MINUTE / 10)

        assert decision.waits
        assert "mail" == tasks.sessions["s"].task

    def test_when_it_has_settled_the_next_chat_swaps(self, both):
        _, decision = chatted(both, "cooking", 1.0 + SETTLED + MINUTE)

        assert not decision.waits

    @given(st.lists(st.tuples(st.sampled_from(["mail", "cooking", "law"]), st.floats(0, 30)), max_size=40))
    def test_between_two_swaps_lies_a_while_or_somebody_insisted(self, chats):
        tasks, at, last, since = Tasks(), 1.0, None, []
        for task, minutes in chats:
            at += minutes * MINUTE
            tasks, decision = chatted(tasks, task, at, part(task))
            since = [*since, task]
            if decision is not None and not decision.waits:
                insisted = since[-INSISTENT:] == [task] * INSISTENT
                assert last is None or at - last >= SETTLED or insisted
                last, since = at, []

    def test_who_flips_every_minute_swaps_once_in_ten(self, both):
        tasks, swaps = both, 0
        for minute in range(1, 61):
            tasks, decision = chatted(tasks, ("cooking", "mail")[minute % 2], 1.0 + minute * MINUTE)
            swaps += decision is not None and not decision.waits

        assert 5 <= swaps <= 6


class TestReplaying:
    @given(
        st.lists(st.sampled_from("abcd"), unique=True).map(lambda ids: tuple(map(part, ids))),
        st.lists(st.sampled_from("abcd"), unique=True).map(lambda ids: tuple(map(part, ids))),
        st.none() | st.floats(0, 1),
        st.booleans(),
    )
    def test_a_decision_survives_json_and_is_made_again(self, old, new, swapped, told):
        tasks = Tasks(sets={"old": old, "new": new})
        tasks = noted(tasks, "s", "old", 0.0)
        here = msgspec.structs.replace(tasks.sessions["s"], swapped=swapped)
        tasks = msgspec.structs.replace(tasks, sessions={"s": here})
        decision = decided(grounds(tasks, "s", "new", 1.0, is_told=told))

        kept = msgspec.json.decode(msgspec.json.encode(decision), type=SwapDecision)

        assert decision == kept == kept.again()
        if not decision.waits:
            named = (*decision.load, *decision.keep)
            assert sorted(one.id for one in new) == sorted(named)
            assert {one.id for one in old} == {*decision.keep, *decision.drop}


class TestKeeping:
    def test_a_set_grows_by_what_was_used_last_and_keeps_to_a_size(self):
        tasks = Tasks()
        for number in range(PARTS + 5):
            tasks, _ = chatted(tasks, "mail", 1.0 + number, part(str(number)))

        assert PARTS == len(tasks.sets["mail"])
        assert str(PARTS + 4) == tasks.sets["mail"][0].id

    def test_only_so_many_tasks_and_sessions_are_kept(self):
        tasks = Tasks()
        for number in range(max(TASKS, SESSIONS) + 5):
            tasks, _ = chatted(tasks, f"task {number}", float(number), session=f"session {number}")

        assert (TASKS, SESSIONS) == (len(tasks.sets), len(tasks.sessions))
        assert f"task {max(TASKS, SESSIONS) + 4}" in tasks.sets

    def test_what_is_gone_is_in_no_set(self, both):
        left = without(both, {"head"})

        assert all(one.id != "head" for parts in left.sets.values() for one in parts)
        after = noted(both, "s", "mail", 1.0, gone=["letters"])
        assert "letters" not in {one.id for one in after.sets["mail"]}
