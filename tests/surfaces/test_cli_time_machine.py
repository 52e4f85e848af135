"""The commands that go back in time."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pymemos.surfaces.cli import main


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        result = CliRunner().invoke(main, [*arguments, "--home", str(tmp_path / "store")])
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_a_named_moment_is_returned_to(run):
    id = run("add", "I live in Lisbon.", "--user", "ana").strip()
    run("snapshot", "before", "--user", "ana")
    run("update", id, "I live in Porto.", "--user", "ana")
    run("add", "I have a dog.", "--user", "ana")

    plan = run("restore-to", "before", "--user", "ana", "--dry-run")
    assert [line.split("\t")[0] for line in plan.splitlines()] == ["restore", "delete"]

    told = json.loads(run("restore-to", "before", "--user", "ana", "--json"))
    assert [step["act"] for step in told["steps"]] == ["restore", "delete"]
    assert not told["dry_run"]
    assert "Lisbon" in run("list", "--user", "ana")
    assert "dog" not in run("list", "--user", "ana")


def test_the_whole_store_has_to_be_said(run, tmp_path):
    run("add", "I live in Lisbon.", "--user", "ana")
    run("snapshot", "before")
    run("add", "I have a dog.", "--user", "bo")
    refused = CliRunner().invoke(main, ["restore-to", "before", "--home", str(tmp_path / "store")])

    assert refused.exit_code == 2
    assert "or the whole store with --all" in refused.stderr
    assert "1 deleted" in run("restore-to", "before", "--all")
    assert run("snapshots").startswith("before\t")
    assert json.loads(run("snapshots", "--json"))[0]["namespace"] is None
