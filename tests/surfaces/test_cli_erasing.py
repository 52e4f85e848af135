"""The commands that forget for good: erase, receipts, and the doctor's look at every byte."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pymemos.surfaces.cli import main

RARE = "zanzibarian"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def cli(home):
    def run(*arguments):
        return CliRunner().invoke(main, [*map(str, arguments), "--home", str(home)])

    return run


@pytest.fixture
def answer(cli):
    def run(*arguments):
        result = cli(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


@pytest.fixture
def added(answer):
    return answer("add", f"The {RARE} key.", "--user", "ana")["memories"][0]["id"]


def test_erasing_signs_a_receipt_and_leaves_no_byte(answer, added, home):
    receipt = answer("erase", added)

    assert (receipt["phase"], receipt["memories"], receipt["verification"]["remnants"]) == ("signed", [added], 0)
    assert [path.name for path in home.rglob("*") if path.is_file() and RARE.encode() in path.read_bytes()] == []
    assert answer("list", "--user", "ana")["memories"] == []


def test_a_dry_run_changes_nothing(answer, added):
    plan = answer("erase", "--user", "ana", "--dry-run")

    assert (plan["phase"], plan["removed"]["memories"]) == ("planned", 1)
    assert answer("list", "--user", "ana")["memories"][0]["id"] == added


@pytest.mark.usefixtures("added")
def test_a_worker_may_sign_it_later(cli, answer):
    assert answer("erase", "--user", "ana", "--no-wait")["phase"] == "pending"

    assert cli("worker", "--once").exit_code == 0

    [receipt] = answer("receipts")["receipts"]
    assert (receipt["phase"], receipt["genuine"]) == ("signed", True)
    assert answer("receipts", receipt["id"]) == receipt


def test_a_backup_is_erased_in(answer, added, tmp_path):
    answer("backup", tmp_path / "monday.db")

    receipt = answer("erase", "--user", "ana", "--backup", tmp_path / "monday.db")

    assert receipt["removed"]["memories"] == 1
    assert RARE.encode() not in (tmp_path / "monday.db").read_bytes()
    assert answer("get", added)["content"] == f"The {RARE} key."


def test_in_a_pipe_there_are_lines(cli, added):
    first = cli("erase", added).stdout.rstrip("\n").split("\t")

    assert first[1:] == ["signed", "1"]
    assert cli("receipts").stdout.split("\t")[:1] == first[:1]
    assert "1" in cli("receipts", first[0]).stdout


@pytest.mark.usefixtures("added")
def test_what_names_nothing_is_an_error(cli):
    assert cli("erase").exit_code == 1
    for command in ("erase", "delete"):
        nothing = cli(command, "--filter", "{}")
        assert (nothing.exit_code, "name an id, a user, an agent" in nothing.stderr) == (1, True)
    assert cli("erase", "unknown").exit_code == 1
    assert cli("erase", "--user", "ana", "--backup", "x.db", "--dry-run").exit_code == 2
    assert cli("receipts", "unknown").exit_code == 1


def test_the_doctor_looks_through_every_byte(answer, added):
    answer("erase", added)

    found = answer("doctor", "--grep-erased")

    assert found["ok"]
    assert [one["ok"] for one in found["findings"] if one["check"] == "nothing erased is in the files"] == [True]


def test_what_was_erased_is_not_imported_again(cli, answer, added, tmp_path):
    cli("export", tmp_path / "all.jsonl")
    answer("erase", added)

    report = answer("import", tmp_path / "all.jsonl")

    assert (report["written"], report["erased"]) == (0, [added])
