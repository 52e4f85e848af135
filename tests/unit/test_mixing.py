"""What of a prompt is exact, what comes from apart and what is read: decided by how much is stored of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pymemos.operation.mixing import ends_of, mix
from pymemos.ports import Prompt

PROMPT = Prompt(head=(1, 2), notes=((3,) * 4, (4,) * 4, (5,) * 4), tail=(6,))


def test_the_first_note_is_exact_always() -> None:
    plan = mix(PROMPT, 0, {0, 1, 2})

    assert plan is not None
    assert (plan.exact, plan.stored, plan.rest) == (6, 0, ((1, True), (2, True)))


def test_what_is_stored_exactly_goes_before_what_is_stored_apart() -> None:
    plan = mix(PROMPT, 10, {1, 2})

    assert plan is not None
    assert (plan.exact, plan.stored, plan.rest) == (10, 10, ((2, True),))


def test_a_note_of_which_a_part_is_stored_comes_from_apart_as_a_whole() -> None:
    plan = mix(PROMPT, 8, {1})

    assert plan is not None
    assert (plan.exact, plan.stored, plan.rest) == (6, 6, ((1, True), (2, False)))


def test_what_is_read_before_the_first_from_apart_is_exact() -> None:
    plan = mix(PROMPT, 2, {2})

    assert plan is not None
    assert (plan.exact, plan.stored, plan.rest) == (10, 2, ((2, True),))


def test_where_nothing_from_apart_would_be_used_nothing_is_mixed() -> None:
    assert mix(PROMPT, 14, {1, 2}) is None
    assert mix(PROMPT, 10, {1}) is None
    assert mix(PROMPT, 0, {0}) is None


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(0, 40), st.sets(st.integers(0, 6)))
def test_every_token_of_a_note_is_exact_or_in_the_rest_and_none_is_twice(
    sizes: list[int], stored: int, apart: set[int]
) -> None:
    prompt = Prompt(head=(1,), notes=tuple((7,) * size for size in sizes), tail=(9,))
    ends = ends_of(prompt)
    plan = mix(prompt, min(stored, ends[-1]), apart)

    if plan is not None:
        rest = [number for number, _ in plan.rest]
        assert plan.exact + sum(sizes[number] for number in rest) == ends[-1]
        assert plan.stored <= plan.exact
        assert plan.rest[0][1]
        assert all(is_apart == (number in apart) for number, is_apart in plan.rest)
