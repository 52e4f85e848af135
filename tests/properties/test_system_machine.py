"""A state machine over life cycle, versions, sharing, merging, what-if and time, with a model of its own as oracle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from tests.properties.rules_kit import BUSY, DEEP
from tests.properties.system_machine import STEPS
from tests.properties.system_merging import Merging
from tests.properties.system_sharing import Sharing
from tests.properties.system_what_if import WhatIf

WANTED = 10_000  # steps that a deep run takes at least


class Everything(Merging, WhatIf, Sharing):
    """All rules together."""


TestEverything = pytest.mark.timeout(3600 if DEEP else 120)(Everything.TestCase)
TestEverything.settings = settings(BUSY, max_examples=400 if DEEP else 8, stateful_step_count=50 if DEEP else 25)


@pytest.fixture(scope="module", autouse=True)
def enough_steps_are_taken() -> Iterator[None]:
    """Behind the machine, which counts every step."""
    yield
    steps = next(STEPS)
    assert not (DEEP and 0 < steps < WANTED), f"{steps:,} steps were taken"
