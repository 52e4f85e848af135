"""Filters: what the grammar accepts, what it refuses and why, and the laws of the predicate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos.cube.cube import MemCube
from pymemos.cube.filters import FIELDS, All, Any_, Compare, Not, aware, either, matches, microseconds, parse
from pymemos.errors import InvalidInput, NaiveDatetime, UnknownField, UnknownOperator
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN
from pymemos.testing.strategies import cubes, filters, moments


def holds(raw: dict[str, Any], cube: MemCube) -> bool:
    return matches(parse(raw), cube)


# ── Grammar ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bare_value_means_eq() -> None:
    assert parse({"speaker": "Ann"}) == parse({"speaker": {"eq": "Ann"}}) == Compare("speaker", "eq", "Ann")


def test_several_clauses_and_several_operators_all_hold() -> None:
    expected = All((Compare("speaker", "eq", "Ann"), All((Compare("uses", "gt", 1), Compare("uses", "lt", 9)))))

    assert expected == parse({"speaker": "Ann", "uses": {"gt": 1, "lt": 9}})


def test_the_connectives_nest() -> None:
    ann = Compare("speaker", "eq", "Ann")

    assert Any_((ann, Not(ann))) == parse({"OR": [{"speaker": "Ann"}, {"NOT": {"speaker": "Ann"}}]})
    assert Not(All((ann, ann))) == parse({"NOT": [{"speaker": "Ann"}, {"speaker": "Ann"}]})


def test_times_are_read_from_datetimes_and_from_text_in_any_zone() -> None:
    noon = datetime(2025, 5, 8, 12, tzinfo=timezone(timedelta(hours=2)))
    expected = Compare("created", "gt", 1_746_698_400_000_000)

    assert expected == parse({"created": {"gt": noon}})
    assert expected == parse({"created": {"gt": "2025-05-08T10:00:00Z"}})
    assert expected == parse({"created": {"gt": "2025-05-08T12:00:00+02:00"}})


@pytest.mark.parametrize("name", ["nonsense", "Speaker", "metadata", "metadata.", "salt", "and"])
def test_an_unknown_field_is_an_error_that_names_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownField, match=r"speaker.*metadata\."):
        parse({name: 1})


@pytest.mark.parametrize("op", ["like", "EQ", "$gt", ""])
def test_an_unknown_operator_is_an_error_that_names_the_known_ones(op: str) -> None:
    with pytest.raises(UnknownOperator, match=r"contains or exists|contains, exists"):
        parse({"speaker": {op: "Ann"}})


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        "speaker",
        {"AND": {"speaker": "Ann"}},
        {"OR": "speaker"},
        {"NOT": "speaker"},
        {"NOT": ["speaker"]},
        {"speaker": None},
        {"speaker": 1},
        {"speaker": ["Ann"]},
        {"speaker": {"in": "Ann"}},
        {"speaker": {"nin": ["Ann", 1]}},
        {"speaker": {"exists": 1}},
        {"tags": {"gt": "a"}},
        {"frozen": {"lt": True}},
        {"frozen": 1},
        {"uses": True},
        {"uses": "4"},
        {"uses": {"contains": 1}},
        {"created": {"contains": "2025-05-08T10:00:00Z"}},
        {"created": 5},
        {"created": "yesterday"},
        {"metadata.k": None},
        {"metadata.k": {"eq": [1]}},
    ],
    ids=repr,
)
def test_a_malformed_filter_is_refused(raw: Any) -> None:
    with pytest.raises(InvalidInput):
        parse(raw)


@pytest.mark.parametrize("name", ["AND", "OR", "NOT"])
def test_a_filter_is_at_most_500_wide(name: str) -> None:
    parse({name: [{"speaker": "Ann"}] * 500})

    with pytest.raises(InvalidInput, match="501 clauses side by side, more than 500; use in"):
        parse({name: [{"speaker": "Ann"}] * 501})


def test_an_object_is_as_wide_as_a_list() -> None:
    parse({f"metadata.{n}": n for n in range(500)})

    with pytest.raises(InvalidInput, match="501 clauses side by side"):
        parse({f"metadata.{n}": n for n in range(501)})


def test_a_filter_has_at_most_2000_clauses_however_they_are_nested() -> None:
    wide = {"OR": [{"speaker": "Ann"}] * 499}
    parse({"AND": [wide] * 3})

    with pytest.raises(InvalidInput, match="more than 2000 clauses; use in"):
        parse({"AND": [wide] * 4})
    with pytest.raises(InvalidInput, match="more than 2000 clauses"):  # and at once, though it would be huge
        parse({"AND": [{"AND": [{"AND": [wide] * 499}] * 499}] * 499})


def test_a_list_of_values_is_as_long_as_one_likes() -> None:
    where = parse({"speaker": {"in": [f"Ann {n}" for n in range(100_000)]}})

    assert matches(where, a_cube(speaker="Ann 7"))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(NaiveDatetime):
        parse({"created": {"gt": "2025-05-08T10:00:00"}})
    with pytest.raises(NaiveDatetime):
        aware(datetime(2025, 5, 8), "valid_at")


# ── Meaning ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [*FIELDS, "metadata.k"])
def test_every_field_can_be_asked_whether_it_is_there(name: str) -> None:
    assert holds({name: {"exists": True}}, a_cube()) != holds({name: {"exists": False}}, a_cube())


@pytest.mark.parametrize("name", ["speaker", "event_time", "tags", "metadata.k"])
def test_a_field_that_is_missing_satisfies_only_the_negatives(name: str) -> None:
    value = WHEN if name == "event_time" else "x"
    positive = [{"eq": value}, {"in": [value]}, {"exists": True}]
    ordered = [] if name == "tags" else [{op: value} for op in ("gt", "gte", "lt", "lte")]
    negative = [{"ne": value}, {"nin": [value]}, {"exists": False}]

    assert not any(holds({name: clause}, a_cube()) for clause in positive + ordered)
    assert all(holds({name: clause}, a_cube()) for clause in negative)


@pytest.mark.parametrize(
    ("stored", "asked"), [(1, "1"), ("1", 1), (True, 1), (1, True), (0, False), ("true", True)], ids=repr
)
def test_values_of_different_types_are_never_equal_and_never_ordered(stored: Any, asked: Any) -> None:
    cube = a_cube(metadata={"k": stored})

    assert not any(holds({"metadata.k": {op: asked}}, cube) for op in ("eq", "gt", "gte", "lt", "lte"))
    assert holds({"metadata.k": {"ne": asked}}, cube)


def test_whole_and_fractional_numbers_are_one_type() -> None:
    assert holds({"metadata.k": 3.0}, a_cube(metadata={"k": 3}))
    assert holds({"metadata.k": {"lt": 3.5}}, a_cube(metadata={"k": 3}))


def test_a_set_equals_a_value_that_it_holds() -> None:
    cube = a_cube(tags=("home", "work"))

    assert holds({"tags": "work"}, cube)
    assert holds({"tags": {"contains": "work"}}, cube)
    assert not holds({"tags": {"ne": "work"}}, cube)
    assert not holds({"tags": {"contains": "wor"}}, cube)


def test_an_empty_set_is_missing_and_an_empty_list_of_the_metadata_is_there() -> None:
    assert holds({"tags": {"exists": False}}, a_cube())
    assert holds({"metadata.k": {"exists": True}}, a_cube(metadata={"k": []}))


def test_validity_begins_with_the_event_or_else_the_creation() -> None:
    later = WHEN + timedelta(hours=1)

    assert holds({"valid_from": WHEN}, a_cube())
    assert holds({"valid_from": later}, a_cube(event_time=later))
    assert holds({"valid_from": WHEN}, a_cube(event_time=later, valid_from=WHEN))


def test_times_are_compared_to_the_microsecond_far_from_1970_too() -> None:
    far = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

    assert holds({"created": {"gt": far - timedelta(microseconds=1)}}, a_cube(created=far))
    assert not holds({"created": {"gt": far}}, a_cube(created=far))


# ── Laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(filters(), cubes())
def test_not_is_the_complement(raw: dict[str, Any], cube: MemCube) -> None:
    assert holds({"NOT": raw}, cube) is not holds(raw, cube)


@given(st.lists(filters(), max_size=3), cubes())
def test_the_laws_of_de_morgan_hold(raws: list[dict[str, Any]], cube: MemCube) -> None:
    assert holds({"NOT": {"OR": raws}}, cube) is holds({"AND": [{"NOT": raw} for raw in raws]}, cube)


@given(st.lists(filters(), max_size=3), cubes())
def test_and_is_all_and_or_is_any(raws: list[dict[str, Any]], cube: MemCube) -> None:
    each = [holds(raw, cube) for raw in raws]

    assert holds({"AND": raws}, cube) is all(each)
    assert holds({"OR": raws}, cube) is any(each)


@given(moments, moments)
def test_microseconds_order_as_times_do(one: datetime | str, other: datetime | str) -> None:
    a, b = aware(one, "one"), aware(other, "other")

    assert (a < b) is (microseconds(a) < microseconds(b))
    assert (a == b) is (microseconds(a) == microseconds(b))


def test_filters_that_mean_something_else_are_never_taken_for_the_same() -> None:
    """Python holds True equal to 1; rules are simplified, and their masks are kept, by what they say."""
    number, flag = (parse({"metadata.size": value}) for value in (1, True))

    assert number != flag
    assert parse({"metadata.size": 1.0}) == number
    assert either(number, flag) == Any_((number, flag))
    assert 2 == len({number, flag, parse({"metadata.size": 1.0})})
