"""The layout of a prompt: what stands where, and that prompts of a conversation begin alike."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos.operation.layout import Budget, Candidate, Exchange, Layout, lay_out
from pymemos.operation.prompting import script
from pymemos.testing.doubles import WHEN

ROOMY = Budget(memory=1_000, history=1_000)


def memory(id: str, *, heat=0.0, changed=None, tokens=10, text="likes tea", hash="h") -> Candidate:
    return Candidate(
        id=id, version=f"v-{hash}", content_hash=hash, text=f"- {id} {text}", tokens=tokens, heat=heat, changed=changed
    )


def told(number: int, *, tokens: int = 20) -> Exchange:
    return Exchange(
        asked_id=f"q{number}", asked=f"question {number}", answer_id=f"a{number}", answer="Yes.", tokens=tokens
    )


def next_turn(layout: Layout, number: int) -> Layout:
    """The layout as the chat keeps it behind an answer: the turn is history now, with what it brought in."""
    said = told(number)
    history = (*layout.history, Exchange(**{**_fields(said), "notes": layout.fresh, "day": "2025-05-08"}))
    return Layout(stable=layout.stable, history=history)


def _fields(exchange: Exchange) -> dict:
    return {name: getattr(exchange, name) for name in exchange.__struct_fields__}


def holds(layout: Layout) -> dict[str, str]:
    return {note.id: note.content_hash for note in layout.notes}


def ids(notes) -> list[str]:
    return [note.id for note in notes]


def words(layout: Layout, question: str) -> str:
    prompt = script(layout, question, system=None, day="2025-05-08")
    return "\n".join(f"<{one.role}> {one.content}" for one in prompt.messages)


class TestStableBlock:
    def test_the_hottest_stand_first_in_order_of_heat(self):
        layout = lay_out(found=[], hot=[memory("warm", heat=4), memory("hot", heat=9)], now=WHEN)

        assert ids(layout.stable) == ["hot", "warm"]

    def test_what_is_seldom_used_or_was_rewritten_stays_out(self):
        hot = [memory("cold", heat=2.9), memory("edited", heat=9, changed=WHEN - timedelta(days=90))]

        assert lay_out(found=[], hot=hot, now=WHEN).stable == ()

    def test_it_takes_no_more_than_its_share(self):
        hot = [memory(f"m{n}", heat=9, tokens=10) for n in range(20)]

        assert len(lay_out(found=[], hot=hot, budget=Budget(memory=100), now=WHEN).stable) == 4

    def test_a_block_that_was_laid_out_for_more_room_is_shortened_from_its_end(self):
        hot = [memory(f"m{n}", heat=9, tokens=10) for n in range(6)]
        roomy = lay_out(found=[], hot=hot, budget=Budget(memory=1_000), now=WHEN)
        holds = {one.id: one.content_hash for one in roomy.stable}

        short = lay_out(found=[], hot=hot, last=roomy, current=holds, budget=Budget(memory=50), now=WHEN)

        assert short.stable == roomy.stable[:2]

    def test_between_two_turns_nothing_comes_into_it(self):
        first = next_turn(lay_out(found=[], hot=[memory("a", heat=9)], now=WHEN), 1)

        second = lay_out(
            found=[],
            hot=[memory("b", heat=99), memory("a", heat=9)],
            history=[told(1)],
            last=first,
            current=holds(first),
            now=WHEN,
        )

        assert ids(second.stable) == ["a"]

    def test_the_next_conversation_begins_like_the_last_with_what_is_new_behind(self):
        before = lay_out(found=[], hot=[memory("a", heat=9), memory("b", heat=5)], now=WHEN)
        hot = [memory("c", heat=50), memory("a", heat=4), memory("b", heat=8)]

        after = lay_out(found=[], hot=hot, last=Layout(stable=before.stable), current=holds(before), now=WHEN)

        assert ids(after.stable) == ["a", "b", "c"]

    def test_what_cooled_leaves_it_when_a_conversation_begins(self):
        before = lay_out(found=[], hot=[memory("a", heat=9), memory("b", heat=5)], now=WHEN)

        after = lay_out(
            found=[],
            hot=[memory("b", heat=5), memory("a", heat=1)],
            last=Layout(stable=before.stable),
            current=holds(before),
            now=WHEN,
        )

        assert ids(after.stable) == ["b"]


class TestFresh:
    def test_the_best_are_taken_and_a_worse_one_is_no_substitute(self):
        found = [memory("a", tokens=6), memory("b", tokens=6), memory("c", tokens=2)]

        layout = lay_out(found=found, budget=Budget(memory=10), now=WHEN)

        assert ids(layout.fresh) == ["a"]
        assert [(one.id, one.why) for one in layout.left_out] == [
            ("b", "no room in the budget"),
            ("c", "no room in the budget"),
        ]

    def test_popular_ones_stand_first_and_what_was_rewritten_lately_last(self):
        found = [memory("edited", heat=9, changed=WHEN), memory("plain"), memory("popular", heat=2)]
        long_ago = memory("once edited", changed=WHEN - timedelta(days=4))

        layout = lay_out(found=[*found, long_ago], now=WHEN)

        assert ids(layout.fresh) == ["popular", "once edited", "plain"]
        assert ids(layout.volatile) == ["edited"]
        assert words(layout, "Tea?").endswith(
            "Tea?\n\n(Memories that were changed lately, as of 2025-05-08:)\n- edited likes tea"
        )

    def test_what_stands_in_the_prompt_already_is_not_said_again(self):
        first = lay_out(found=[memory("a")], hot=[memory("b", heat=9)], now=WHEN)
        last = next_turn(first, 1)

        found = [memory("a"), memory("b", heat=9), memory("q1"), memory("a1"), memory("c")]
        second = lay_out(found=found, history=[told(1)], last=last, current=holds(last), now=WHEN)

        assert ids(second.fresh) == ["c"]
        assert ids(second.notes) == ["b", "a", "c"]


class TestStale:
    @pytest.mark.parametrize(("current", "why"), [({}, "no longer there"), ({"a": "other"}, "changed since")])
    def test_what_no_longer_holds_is_taken_out_wherever_it_stands(self, current, why):
        first = lay_out(found=[memory("a"), memory("b")], now=WHEN)
        last = next_turn(first, 1)

        second = lay_out(found=[], history=[told(1)], last=last, current={"b": "h", **current}, now=WHEN)

        assert ids(second.notes) == ["b"]
        assert [(one.id, one.why) for one in second.left_out] == [("a", why)]

    def test_a_hot_one_that_changed_is_no_longer_in_the_block(self):
        first = next_turn(lay_out(found=[], hot=[memory("a", heat=9)], now=WHEN), 1)

        second = lay_out(found=[], history=[told(1)], last=first, current={"a": "other"}, now=WHEN)

        assert second.stable == ()

    def test_a_changed_one_comes_back_with_the_question(self):
        last = next_turn(lay_out(found=[memory("a")], now=WHEN), 1)
        newer = memory("a", hash="other", text="likes coffee", changed=WHEN)

        second = lay_out(found=[newer], history=[told(1)], last=last, current={"a": "other"}, now=WHEN)

        assert [note.text for note in second.notes] == ["- a likes coffee"]
        assert second.volatile == second.notes
        third = lay_out(found=[], history=[told(1), told(2)], last=next_turn(second, 2), now=WHEN)
        assert third.notes == ()


class TestHistory:
    def test_it_is_cut_seldom_and_then_by_half(self):
        history, lengths, last = [], [], None
        for number in range(20):
            layout = lay_out(found=[], history=history, last=last, budget=Budget(history=100), now=WHEN)
            lengths.append(len(layout.history))
            history = [*history, told(number)]
            last = next_turn(layout, number)

        assert max(lengths) == 5
        assert lengths[5:13] == [5, 2, 3, 4, 5, 2, 3, 4]

    def test_a_turn_with_little_room_shortens_it_for_no_longer_than_that(self):
        history = [told(number) for number in range(7)]
        short = lay_out(found=[], history=history[:6], budget=Budget(history=40), now=WHEN)

        layout = lay_out(found=[], history=history, last=next_turn(short, 6), budget=Budget(history=120), now=WHEN)

        assert (1, 3) == (len(short.history), len(layout.history))

    def test_a_conversation_that_is_not_known_has_no_notes(self):
        layout = lay_out(found=[], history=[told(1)], now=WHEN)

        assert [one.notes for one in layout.history] == [()]


@given(
    turns=st.lists(st.lists(st.integers(0, 30), max_size=6, unique=True), min_size=2, max_size=8),
    heats=st.lists(st.floats(0, 20), min_size=31, max_size=31),
)
def test_while_nothing_changes_a_prompt_begins_with_all_of_the_one_before(turns, heats):
    everything = [memory(f"m{n}", heat=heat) for n, heat in enumerate(heats)]
    last, history, before = None, [], ""
    for number, found in enumerate(turns):
        layout = lay_out(
            found=[everything[n] for n in found],
            hot=everything,
            history=history,
            last=last,
            current={one.id: one.content_hash for one in everything},
            budget=ROOMY,
            now=WHEN,
        )
        prompt = words(layout, f"question {number}")
        assert prompt.startswith(before)
        assert len(set(ids(layout.notes))) == len(layout.notes)
        last, history, before = next_turn(layout, number), [*history, told(number)], prompt


@given(changed=st.sets(st.integers(0, 9)), found=st.lists(st.integers(0, 9), unique=True))
def test_nothing_stands_in_a_prompt_that_no_longer_holds(changed, found):
    everything = [memory(f"m{n}", heat=float(n)) for n in range(10)]
    first = lay_out(found=everything, hot=everything, now=WHEN)
    last = next_turn(first, 1)
    now = [memory(f"m{n}", hash="other" if n in changed else "h", heat=float(n)) for n in range(10)]

    layout = lay_out(
        found=[now[n] for n in found],
        hot=now,
        history=[told(1)],
        last=last,
        current={one.id: one.content_hash for one in now},
        now=WHEN,
    )

    assert {(note.id, note.content_hash) for note in layout.notes} <= {(one.id, one.content_hash) for one in now}
    assert sum(note.tokens for note in (*layout.stable, *layout.fresh)) <= Budget().memory
