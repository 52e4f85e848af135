"""What is encoded is stored once, whatever its form, and is loaded as it is injected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.kv_kit import SYSTEM, injected, opened, told

from pymemos import MemOS, errors
from pymemos.testing.toy_engine import ToyEngine


@pytest.fixture
def mem(tmp_path: Path) -> Iterator[MemOS]:
    with opened(tmp_path / "home", ToyEngine(window=1 << 20)) as found:
        yield found


class TestLossyForms:
    def test_what_is_stored_in_the_lossy_form_is_not_computed_again_for_it(self, mem: MemOS) -> None:
        ids = told(mem)
        first = mem.encode(ids[:2], system=SYSTEM, form="int8")

        longer, again = (mem.encode(ids, system=SYSTEM, form="int8") for _ in range(2))

        assert (len(longer.cubes), longer.reused) == (1, first.tokens)
        assert (again.cubes, again.tokens) == ((), 0)

    def test_a_lossy_segment_has_its_place_behind_lossy_ones_and_exact_ones(self, mem: MemOS) -> None:
        ids = told(mem)
        mem.encode(ids[:1], system=SYSTEM)
        mem.encode(ids[:2], system=SYSTEM, form="int8")
        [last] = mem.encode(ids, system=SYSTEM, form="int8").ids

        assert mem.verify(last).ok
        with injected(mem, ids) as found:
            assert ["exact", "exact", "int8", "int8"] == [one.form for one in found.report.segments]
            assert [one.id for one in mem.load(last)] == [one.id for one in found.report.segments]

    def test_an_exact_segment_has_no_place_behind_a_lossy_one(self, mem: MemOS) -> None:
        ids = told(mem)
        exact = mem.encode(ids, system=SYSTEM)
        mem.delete(exact.ids[0])
        mem.encode(ids[:1], system=SYSTEM, form="int8")

        with pytest.raises(errors.SegmentRefused, match="what stood before it is gone"):
            mem.load(exact.ids[-1])
