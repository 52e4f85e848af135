"""What tests of the facade stand on: one memory per adapter, a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.testing.doubles import FrozenClock


@pytest.fixture
def clock() -> FrozenClock:
    """A clock that moves only when the test says so."""
    return FrozenClock()


@pytest.fixture(params=["sqlite", "memory"])
def mem(request: pytest.FixtureRequest, tmp_path: Path, clock: FrozenClock) -> Iterator[MemOS]:
    """An empty memory, once over each adapter."""
    doubles = {"store": MemoryStore(), "blobs": MemoryBlobs()} if request.param == "memory" else {}
    with MemOS(tmp_path / "home", clock=clock, **doubles) as opened:
        yield opened
