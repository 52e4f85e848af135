"""Every engine keeps the contract: the toy, and the local engine over a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.unit.tiny_models import write_tiny

from pymemos.models.local import LocalEngine, open_local
from pymemos.ports import Engine
from pymemos.testing.contracts import EngineContract
from pymemos.testing.toy_engine import ToyEngine


class TestToy(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return ToyEngine(window=400)

    @pytest.fixture
    def stranger(self) -> Engine:
        return ToyEngine(seed=1, window=400)

    @pytest.fixture
    def vectors(self) -> object:
        return {0: 1.0}

    def test_what_is_taken_from_memory_is_not_read(self):
        engine = ToyEngine()
        kv = engine.prefill(range(100))
        before = engine.read

        engine.logits(range(120), prefix=[kv])

        assert engine.read - before == 20


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    return _opened(tmp_path_factory.mktemp("tiny"), seed=0)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    return _opened(tmp_path_factory.mktemp("other"), seed=1)


class TestTiny(EngineContract):
    @pytest.fixture
    def engine(self, tiny: LocalEngine) -> Engine:
        return tiny

    @pytest.fixture
    def stranger(self, other: LocalEngine) -> Engine:
        return other

    @pytest.fixture
    def vectors(self) -> object:
        return {1: 3 * torch.randn(48, generator=torch.Generator().manual_seed(5))}


class TestTinyHalf(TestTiny):
    """The same in bfloat16, in which logits are coarse, and what is injected still is what was computed."""

    tolerance = 0.1

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return _opened(tmp_path, seed=0, dtype="bfloat16")

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> Engine:
        return _opened(tmp_path / "other", seed=1, dtype="bfloat16")


def _opened(folder: Path, *, seed: int, dtype: str = "float32") -> LocalEngine:
    torch.set_num_threads(1)
    return open_local(str(write_tiny(folder / "tiny", seed=seed)), folder, "cpu", dtype)
