"""The command that tries changes out."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pymemos.surfaces.cli import main


@pytest.fixture
def run(tmp_path):
    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [*arguments, "--home", str(tmp_path / "store")])
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture
def lisbon(run):
    return run("add", "Ana lives in Lisbon.", "--user", "ana").strip()


def test_answers_with_and_without_stand_side_by_side(run, lisbon):
    told = run("what-if", "--user", "ana", "--delete", lisbon, "--add", "Ana lives in Porto.", "--search", "Ana lives")

    [line] = told.splitlines()
    question, rank, _, before, was, _, after, imagined = line.split("\t")
    assert (question, rank, was, imagined) == ("Ana lives", "1", "Ana lives in Lisbon.", "Ana lives in Porto.")
    assert before == lisbon != after
    assert "Lisbon" in run("list", "--user", "ana")
    assert "Porto" not in run("list", "--user", "ana")


def test_without_a_question_the_changes_are_told(run, lisbon):
    told = run("what-if", "--user", "ana", "--update", f"{lisbon}=Ana lives in Porto, x=y.")

    assert told == f"changed\t{lisbon}\tAna lives in Lisbon.\tAna lives in Porto, x=y.\n"
    appended = run("what-if", "--user", "ana", "--append", f"{lisbon}=By the river.")
    assert appended.startswith(f"changed\t{lisbon}\tAna lives in Lisbon.\tAna lives in Lisbon.")


def test_programs_get_json(run):
    run("add", "Ana lives in Lisbon.", "--user", "ana")
    told = json.loads(
        run("what-if", "--user", "ana", "--add", "Ana rows.", "--search", "Ana", "--search", "rows", "--json")
    )

    assert told.keys() == {"at", "changes", "answers"}
    [change] = told["changes"]
    assert (change["what"], change["before"], change["after"]["content"]) == ("added", None, "Ana rows.")
    assert [len(answer["without"]) for answer in told["answers"]] == [1, 0]
    assert [len(answer["with"]) for answer in told["answers"]] == [2, 1]


def test_a_world_can_begin_at_a_snapshot(run, lisbon):
    run("snapshot", "before", "--user", "ana")
    run("update", lisbon, "Ana lives in Oslo.", "--user", "ana")

    told = run("what-if", "--user", "ana", "--known-at", "before", "--append", f"{lisbon}=Still.")

    assert "Lisbon" in told
    assert "Oslo" not in told


def test_wrong_calls_say_what_is_missing(run, lisbon):
    assert "nothing is imagined" in run("what-if", "--user", "ana", "--search", "Ana", code=2)
    assert "ID=TEXT" in run("what-if", "--user", "ana", "--update", lisbon, code=2)
