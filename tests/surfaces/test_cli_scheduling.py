"""The commands of the scheduler."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from tests.unit.kv_kit import told
from tests.unit.scheduling_kit import CALIBRATION

from pymemos import MemOS
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.surfaces.cli import main

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = (NOW + timedelta(days=14)).isoformat()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PYMEMOS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hot(tmp_path, cache):  # noqa: ARG001 (the folder has to be set before)
    """The id of a memory that is used three times a day for nine days."""
    days = iter([NOW + timedelta(days=number / 3) for number in range(200)])
    with MemOS(tmp_path / "store", embedder="none", chat="none", clock=lambda: next(days)) as mem:
        (id,) = told(mem, "Ana lives in Lisbon. " * 20, user_id="ana")
        for _ in range(30):
            mem.search("Lisbon", user_id="ana")
    return id


@pytest.fixture
def run(tmp_path):
    def run(*arguments, fails=False):
        result = CliRunner().invoke(main, [*arguments, "--home", str(tmp_path / "store")])
        assert (result.exit_code != 0) == fails, result.output
        return result

    return run


@pytest.mark.usefixtures("hot")
def test_without_figures_nothing_is_proposed_and_the_command_to_get_them_is_named(run):
    result = run("schedule", "--user", "ana")

    assert "" == result.stdout
    assert "pymemos calibrate" in result.stderr


def test_a_line_for_each_memory_that_should_move(run, cache, hot):
    keep(CALIBRATION, calibration_file(cache, "toy"))

    fields = run("schedule", "--user", "ana", "--now", LATER).stdout.strip().split("\t")

    assert [hot, "text", "kv"] == fields[:3]
    assert "a KV cache pays for itself after" in fields[3]


@pytest.mark.usefixtures("hot")
def test_as_json_it_has_what_it_follows_from(run, cache):
    keep(CALIBRATION, calibration_file(cache, "toy"))

    told = json.loads(run("schedule", "--user", "ana", "--json", "--now", LATER).stdout)

    assert ("toy", 1) == (told["model"], told["examined"])
    assert {"uses_day", "unchanged_days", "uses_left", "pays_after", "saves_s", "reason"} <= set(told["moves"][0])


@pytest.mark.usefixtures("hot")
def test_calibrating_needs_a_model(run, monkeypatch):
    monkeypatch.setenv("PYMEMOS_CHAT", "none")

    assert "no chat model is set" in run("calibrate", fails=True).stderr
