"""KV memories of a real language model, with random weights: what is injected is exact, whatever the way it came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.kv_kit import SYSTEM, TEXTS, answer, injected, is_exact, opened, tiers, told
from tests.unit.tiny_models import write_tiny

from pymemos.models.local import LocalEngine, open_local


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    folder = write_tiny(tmp_path_factory.mktemp("local") / "tiny", max_position_embeddings=2_048)
    return open_local(str(folder), folder.parent, "cpu")


def test_from_every_tier_the_model_says_the_same(tmp_path: Path, engine: LocalEngine) -> None:
    with opened(tmp_path, engine) as first:
        ids = told(first)
        encoded = first.encode(ids, system=SYSTEM)
        with injected(first, ids) as found:
            assert tiers(found) == ["device"] * 3
            assert is_exact(engine, found)

    with opened(tmp_path, engine) as mem:
        seen = []
        for _ in range(3):
            with injected(mem, ids) as found:
                seen.append(tiers(found)[-1])
                assert found.report.injected == encoded.tokens
                apart = engine.logits(found.tokens, prefix=found.prefix) - engine.logits(found.tokens)
                assert float(np.abs(apart).max()) <= 1e-4
                assert is_exact(engine, found)
        assert seen == ["disk", "disk", "device"]


def test_the_same_beginning_is_extended_and_cut(tmp_path: Path, engine: LocalEngine) -> None:
    with opened(tmp_path, engine) as mem:
        a, b, c = told(mem, *TEXTS[:2], "Ana likes to swim.")
        mem.encode([a, b], system=SYSTEM)

        longer = mem.encode([a, b, c], system=SYSTEM)
        with injected(mem, [a, b, c]) as whole, injected(mem, [a, c]) as other:
            assert len(longer.cubes) == 1
            assert tiers(whole) == ["device"] * 3
            assert 0 < other.report.notes[1].injected < other.report.notes[1].tokens  # "Ana likes t"
            assert is_exact(engine, whole)
            assert is_exact(engine, other)


def test_the_lossy_form_is_near_and_smaller(tmp_path: Path, engine: LocalEngine) -> None:
    with opened(tmp_path, engine) as mem:
        ids = told(mem)
        lossy = mem.encode(ids, system=SYSTEM, form="int8")
        with injected(mem, ids) as found:
            near = engine.logits(found.tokens, prefix=found.prefix)
            far = np.abs(near - engine.logits(found.tokens)).max()
            assert found.report.lossy == ("int8",)
            assert answer(engine, found.tokens, found.prefix)
        exact = mem.encode(ids, system=SYSTEM)

    assert 0 < far < 1.0
    assert lossy.nbytes < 0.7 * exact.nbytes


def test_a_changed_weight_is_another_model(tmp_path: Path, engine: LocalEngine) -> None:
    other = open_local(str(write_tiny(tmp_path / "other", seed=1)), tmp_path, "cpu")
    with opened(tmp_path / "home", engine) as mem:
        ids = told(mem)
        mem.encode(ids, system=SYSTEM)
    with opened(tmp_path / "home", other) as mem, injected(mem, ids) as found:
        assert (found.report.injected, found.report.others) == (0, 4)
        assert is_exact(other, found)
