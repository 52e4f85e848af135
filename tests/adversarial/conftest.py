"""A place for every attack: one that many attacks share, since none of them may change it, and one of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adversarial.world import ADAPTERS, Place, opened


@pytest.fixture(scope="module", params=ADAPTERS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A store that attacks share: whatever they do, Ana's part of it stays as it is."""
    with opened(request.param, tmp_path_factory.mktemp("place")) as furnished:
        yield furnished


@pytest.fixture(params=ADAPTERS)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store for one attack alone."""
    with opened(request.param, tmp_path) as furnished:
        yield furnished
