"""Every reading of a filter, held to the predicate: a filter means the same wherever it is evaluated."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.call import Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import Filter, matches, parse
from pymemos.ports import WriteUnit
from pymemos.testing import strategies as kit
from pymemos.testing.builders import an_entry
from pymemos.testing.doubles import WHEN

LATER = WHEN + timedelta(days=1)
MANY = 1000
Reading = Callable[[WriteUnit, Filter], set[str]]


class UndoError(Exception):
    """Carries what was read out of a unit that is then undone, so that every example finds the store empty."""


def the_page(unit: WriteUnit, where: Filter) -> set[str]:
    """SQL over the current versions."""
    return _page(unit, Selection(namespaces=None, where=where, episodes=True))


def the_past(unit: WriteUnit, where: Filter) -> set[str]:
    """SQL over current and old versions."""
    return _page(unit, Selection(namespaces=None, where=where, episodes=True, known_at=LATER))


# Here goes the numpy mask over the columns beside the vectors, with the next issue.
READINGS: list[Reading] = [the_page, the_past]


@pytest.fixture(scope="module")
def store() -> Iterator[SqliteStore]:
    with tempfile.TemporaryDirectory(prefix="pymemos-filters-") as folder:
        store = SqliteStore(Path(folder) / "home")
        yield store
        store.close()


@given(
    cubes=st.lists(kit.cubes(id=kit.ids | kit.far_ids), max_size=4, unique_by=lambda cube: cube.id), raw=kit.filters()
)
def test_every_reading_of_a_filter_is_that_of_the_predicate(
    store: SqliteStore, cubes: list[MemCube], raw: dict[str, Any]
) -> None:
    where = parse(raw)

    def work(unit: WriteUnit) -> None:
        for cube in cubes:
            unit.advance(cube.namespace, WHEN)
            unit.insert(an_entry(cube=cube))
        count = unit.count(Selection(namespaces=None, where=where, episodes=True))
        raise UndoError([reading(unit, where) for reading in READINGS], count)

    with pytest.raises(UndoError) as undone:
        store.write(work)

    found, count = undone.value.args
    expected = {cube.id for cube in cubes if matches(where, cube)}
    assert found == [expected] * len(READINGS)
    assert count == len(expected)


def _page(unit: WriteUnit, selection: Selection) -> set[str]:
    return {record.cube.id for record in unit.page(selection, limit=MANY)}
