"""What blends keeps its contract: the double, and the local one over a tiny model with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.unit.tiny_models import write_tiny

from pymemos.models.local import LocalEngine, open_local
from pymemos.models.local.blending import Composer
from pymemos.testing.contract_blender import BlenderContract
from pymemos.testing.toy_blender import ToyBlender
from pymemos.testing.toy_engine import ToyEngine


class TestToy(BlenderContract):
    @pytest.fixture
    def engine(self) -> ToyEngine:
        return ToyEngine()

    @pytest.fixture
    def blender(self, engine: ToyEngine) -> ToyBlender:
        return ToyBlender(engine)

    @pytest.fixture
    def foreign(self) -> ToyBlender:
        return ToyBlender(ToyEngine(seed=1))


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    return _opened(tmp_path_factory.mktemp("local"), 0)


@pytest.fixture(scope="session")
def another(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    return _opened(tmp_path_factory.mktemp("another"), 1)


class TestLocal(BlenderContract):
    @pytest.fixture
    def engine(self, local: LocalEngine) -> LocalEngine:
        return local

    @pytest.fixture
    def blender(self, local: LocalEngine) -> Composer:
        return Composer(local)

    @pytest.fixture
    def foreign(self, another: LocalEngine) -> Composer:
        return Composer(another)


def _opened(folder: Path, seed: int) -> LocalEngine:
    torch.set_num_threads(1)
    return open_local(str(write_tiny(folder / "tiny", seed=seed, max_position_embeddings=2_048)), folder, "cpu")
