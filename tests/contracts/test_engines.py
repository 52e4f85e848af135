"""Every engine keeps the contract: the toy, and the local engine over a tiny model."""

from __future__ import annotations

import pytest

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
