"""The commands that make one of several."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pymemos.surfaces.cli import main


@pytest.fixture
def run(tmp_path):
    def run(*arguments, fails=False):
        result = CliRunner().invoke(main, [*arguments, "--home", str(tmp_path / "store")])
        assert (result.exit_code != 0) == fails, result.output
        return result.stderr if fails else result.stdout

    return run


@pytest.fixture
def ids(run):
    texts = ("Ana lives in Lisbon.", "Ana likes tea.", "ana lives in lisbon")
    return [run("add", text, "--user", "ana", "--tag", f"t{n}").strip() for n, text in enumerate(texts)]


def test_memories_are_merged_and_that_is_undone(run, ids):
    target, other, again = ids

    assert run("merge", *ids, "--dry-run") == "Ana lives in Lisbon.\nAna likes tea.\n"
    assert run("merge", *ids, "--expected", "1", "--user", "ana").split("\t")[:2] == [target, "2"]
    assert [line.split("\t")[0] for line in run("list", "--user", "ana").splitlines()] == [target]
    assert "merge" in run("provenance", target)
    assert run("undo", target) == f"{target}\trestored\n{other}\tbrought back\n{again}\tbrought back\n"
    assert len(run("list", "--user", "ana").splitlines()) == 3


def test_memories_are_fused_and_that_is_undone(run, ids):
    fused = json.loads(run("fuse", *ids, "--content", "Ana drinks tea in Lisbon.", "--archive-sources", "--json"))

    assert (fused["content"], fused["namespace"], fused["tags"]) == (
        "Ana drinks tea in Lisbon.",
        "users/ana",
        ["t0", "t1", "t2"],
    )
    assert [parent["id"] for parent in fused["parents"]] == ids
    undone = json.loads(run("undo", fused["id"], "--json"))
    assert undone == {"id": fused["id"], "undone": "fuse", "memory": None, "brought_back": ids}


def test_a_plan_says_who_wins(run):
    ids = [
        run("add", text, "--metadata", json.dumps({"city": city})).strip()
        for text, city in [("a", "Lisbon"), ("b", "Porto")]
    ]

    plan = json.loads(run("fuse", *ids, "--dry-run", "--conflict", "oldest", "--json"))

    assert plan["conflicts"] == [
        {"field": "metadata.city", "kept": "Lisbon", "rule": "oldest", "dropped": [[ids[1], "Porto"]]}
    ]
    assert [statement["sources"] for statement in plan["statements"]] == [[ids[0]], [ids[1]]]
    assert "differ in metadata.city" in run("merge", *ids, "--conflict", "fail", fails=True)


def test_a_view_is_composed_and_looked_through(run, ids):
    run("add", "Bo likes tea.", "--user", "bo")
    told = run("compose", "tea", "--namespace", "users/bo", "--id", ids[1])
    view = told.split("\t")[0]

    for name in ("tea", view):
        found = run("search", "who likes tea", "--view", name).splitlines()
        assert {line.split("\t")[-1] for line in found} == {"Ana likes tea.", "Bo likes tea."}
        assert len(run("list", "--view", name).splitlines()) == 2
    assert "view {" in run("list", "--episodes")
    assert json.loads(run("compose", "tea", "--filter", '{"tags": "t1"}', "--json"))["revision"] == 2
    assert run("list", "--view", "tea") == ""
    assert run("undo", view) == f"{view}\trestored\n"
    assert "nothing" in run("compose", "empty", fails=True)
