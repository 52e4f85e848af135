"""The story of twelve facts, told with the doubles: every step's tier, and that nothing old or erased is served."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from examples.picture import draw
from examples.twelve_facts import CHANGED, FACTS, Step, Story, settings_in, table
from rich.console import Console
from tests.unit.scheduling_kit import CALIBRATION

from pymemos import MemOS
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Step], list[str]]:
    """The steps, and what was said meanwhile."""
    folder, clock, engine = tmp_path_factory.mktemp("facts"), FrozenClock(), ToyEngine(window=1 << 20, seed=4)
    settings = settings_in(folder)
    known = msgspec.structs.replace(CALIBRATION, model=engine.identity)
    keep(known, calibration_file(settings.cache_dir, engine.identity))
    said: list[str] = []
    tuner = ToyTuner(engine.ref)
    with MemOS(settings=settings, engine=engine, tuner=tuner, embedder="none", clock=clock) as mem:
        return Story(mem, engine, clock, settings.home, say=said.append).run(), said


def test_each_step_is_answered_from_where_it_should_be(told: tuple[list[Step], list[str]]) -> None:
    steps = {step.name: step for step in told[0]}

    assert list(steps) == [
        *("told", "hot, read", "hot, injected", "hot", "stable", "changed", "changed too", "settled", "erased")
    ]
    assert steps["told"].tiers == {"text": 12}
    assert steps["hot"].tiers == {"kv-device": 12}
    assert steps["stable"].tiers == {"adapter": 12}
    assert steps["changed"].tiers["text"] >= 1
    assert steps["changed too"].tiers == {"adapter": 6, "text": 6}
    assert steps["erased"].asked == 11


def test_what_is_in_memory_is_not_read_again(told: tuple[list[Step], list[str]]) -> None:
    steps = {step.name: step for step in told[0]}

    assert steps["hot, injected"].read < steps["hot, read"].read / 2
    assert steps["hot, injected"].right == steps["hot, read"].right
    assert steps["hot"].read < steps["told"].read / 2
    assert steps["stable"].right > 6  # the toy adapter says what it learned; the toy engine says nothing sensible


def test_every_step_has_its_reason(told: tuple[list[Step], list[str]]) -> None:
    steps, said = told

    assert "pays for itself" in next(step.why for step in steps if step.name == "hot")
    assert "stale" in next(step.why for step in steps if step.name == "changed")
    assert "0 files hold" in next(step.why for step in steps if step.name == "erased")
    assert "the same words" in next(step.why for step in steps if step.name == "hot, injected")
    assert FACTS[CHANGED].text not in "".join(said)


def test_the_report_is_a_table_and_a_picture(told: tuple[list[Step], list[str]]) -> None:
    console = Console(width=160, record=True, file=None, quiet=True)
    console.print(table(told[0]))

    picture = ElementTree.fromstring(draw(told[0]))  # noqa: S314 (our own)

    assert picture.tag.endswith("svg")
    assert all(step.name in draw(told[0]) for step in told[0])


def test_what_the_story_measures_stays_in_its_own_folder(tmp_path: Path) -> None:
    """Its clock stands still: a calibration of it, kept where the user's is, would be none."""
    settings = settings_in(tmp_path)

    assert {settings.home.parent, settings.config_dir.parent, settings.cache_dir.parent} == {tmp_path}
