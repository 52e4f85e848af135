"""What is encoded is stored once, whatever its form and whoever else encodes, and is loaded as it is injected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.unit.kv_kit import SYSTEM, injected, opened, told

from pymemos import MemOS, errors
from pymemos.ports import Kv, Prompt, Utterance
from pymemos.settings import Settings
from pymemos.testing.toy_engine import ToyEngine, ToyKv


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


class LastMinute(ToyEngine):
    """An engine during whose first work, behind the look for what is stored, something else happens once."""

    def __init__(self) -> None:
        super().__init__(window=1 << 20)
        self.meddle: Callable[[], object] | None = None

    def prefill(self, tokens: Sequence[int], *, prefix: Sequence[Kv] = ()) -> ToyKv:
        self._happens()
        return super().prefill(tokens, prefix=prefix)

    def prompt(self, system: str, notes: Sequence[str], turns: Sequence[Utterance]) -> Prompt:
        if not turns:  # a note by itself, that is encoded apart
            self._happens()
        return super().prompt(system, notes, turns)

    def _happens(self) -> None:
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()


@pytest.mark.parametrize("options", [{}, {"form": "int8"}, {"mode": "blend"}])
def test_what_another_writer_encoded_meanwhile_is_not_kept_twice(tmp_path: Path, options: dict[str, str]) -> None:
    settings = Settings(home=tmp_path / "home", config_dir=tmp_path / "config", cache_dir=tmp_path / "cache")
    engine = LastMinute()
    with (
        opened(tmp_path / "home", engine, settings=settings) as here,
        opened(tmp_path / "home", ToyEngine(window=1 << 20), settings=settings) as there,
    ):
        here.probe_blending()
        ids = told(here)
        engine.meddle = lambda: there.encode(ids[:2], system=SYSTEM, **options)

        encoded = here.encode(ids, system=SYSTEM, **options)

        assert 1 == len(encoded.cubes)
        assert encoded.reused > 0
        blobs = [cube.payload.blob for cube in here.list(filters={"kind": "activation"})]
        assert len(set(blobs)) == len(blobs) == (3 if "mode" in options else 4)
        assert here._tools.blobs.names() == set(blobs)
