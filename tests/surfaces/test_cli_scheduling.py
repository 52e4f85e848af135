"""The commands of the scheduler."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner
from tests.unit.kv_kit import told
from tests.unit.scheduling_kit import CALIBRATION

from pymemos import MemOS
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.surfaces.cli import main
from pymemos.testing.toy_engine import ToyEngine

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


@pytest.mark.usefixtures("hot")
def test_applying_without_a_local_model_changes_nothing_and_says_so(run, monkeypatch):
    monkeypatch.setenv("PYMEMOS_CHAT", "none")

    result = run("schedule", "--apply", "--user", "ana")

    assert "" == result.stdout
    assert "no chat model" in result.stderr or "no local model" in result.stderr


@pytest.fixture
def toy(tmp_path, cache, hot):  # noqa: ARG001 (the store has to be there)
    """The segment that a turn made of the hot memory with the toy, and gave up long after."""
    engine = ToyEngine()
    known = msgspec.structs.replace(CALIBRATION, model=engine.identity, kv_token_bytes=1e6)
    keep(known, calibration_file(cache, engine.identity))
    with MemOS(tmp_path / "store", embedder="none", engine=engine, clock=lambda: NOW + timedelta(days=14)) as mem:
        made = mem.move(user_id="ana").made
    with MemOS(tmp_path / "store", embedder="none", engine=engine, clock=lambda: NOW + timedelta(days=3_000)) as mem:
        assert mem.move(user_id="ana").given_up
    return made[-1]


def test_a_line_for_each_decision_that_is_kept_of_a_memory(run, toy, hot):
    lines = [line.split("\t") for line in run("schedule", "--why", toy).stdout.strip().splitlines()]

    assert [[hot, "text", "kv", "yes"], [hot, "kv", "text", "yes"]] == [[*one[:3], one[4]] for one in lines]
    told = json.loads(run("schedule", "--why", toy, "--json").stdout)
    assert [True, True] == [one["same_again"] for one in told]
    assert {"usage", "prior", "calibration", "prices"} <= set(told[0]["grounds"])


def test_a_line_for_each_swap_of_an_owners_memory_set(run, tmp_path, cache):  # noqa: ARG001 (the folder has to be set)
    engine = ToyEngine()
    with MemOS(tmp_path / "store", embedder="none", engine=engine) as mem:
        for task in ("mail", "cooking"):
            mem.switch_task(task, user_id="ana")

    lines = [line.split("\t") for line in run("schedule", "--swaps", "--user", "ana").stdout.splitlines()]

    assert [["", "mail", "yes"], ["mail", "cooking", "yes"]] == [[*one[:2], one[3]] for one in lines]
    assert "the task changed from 'mail' to 'cooking': nothing of either lies ready" == lines[1][2]
    told = json.loads(run("schedule", "--swaps", "--user", "ana", "--json").stdout)
    assert [True, True] == [one["same_again"] for one in told]
    assert "" == run("schedule", "--swaps", "--user", "bo").stdout
