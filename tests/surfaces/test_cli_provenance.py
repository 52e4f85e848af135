"""The commands on where memories come from: provenance, annotate, restore."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pymemos import MemOS
from pymemos.surfaces.cli import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def derived(home: Path) -> tuple[str, str]:
    """The ids of a memory of Ann and of one that is made from it, which is stale."""
    with MemOS(home) as mem:
        ann = mem.bind(user_id="ann")
        source = ann.add("Ann lives in Lisbon.").cubes[0]
        made = ann.add("She is in Lisbon.", parents=[source], provenance={"trigger": "a summary"}).ids[0]
        ann.update(source.id, "Ann lives in Porto.")
    return source.id, made


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--home", str(home)])


def answer(home: Path, *arguments: str) -> Any:
    result = run(home, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class TestProvenance:
    def test_prints_a_tree(self, home: Path, derived: tuple[str, str]) -> None:
        source, made = derived
        lines = run(home, "provenance", made, "--user", "ann").stdout.splitlines()

        assert f"memory   {made}" in lines
        assert "trigger  a summary" in lines
        assert lines[-1] == f"      {source}  fact · changed: revision 1 was read, 2 is current"

    def test_gives_json(self, home: Path, derived: tuple[str, str]) -> None:
        source, made = derived
        lineage = answer(home, "provenance", made, "--user", "ann")

        assert lineage["stale"] == [{"id": source, "standing": "changed"}]
        assert [node["id"] for node in lineage["nodes"]] == [source, made]
        assert lineage["arrows"][0]["read"] == 1
        assert lineage["steps"][0]["cause"] == "add"

    def test_draws_into_a_file_or_to_stdout(self, home: Path, derived: tuple[str, str], tmp_path: Path) -> None:
        file = tmp_path / "lineage.svg"
        result = run(home, "provenance", derived[1], "--user", "ann", "--svg", str(file))
        printed = run(home, "provenance", derived[1], "--user", "ann", "--svg", "-").stdout

        assert f"Drew 2 memories into {file}" in result.stderr
        assert file.read_text() == printed
        assert ET.fromstring(printed).get("role") == "img"  # noqa: S314 (drawn by this test)

    def test_knows_nothing_of_somebody_elses(self, home: Path, derived: tuple[str, str]) -> None:
        foreign, unknown = (run(home, "provenance", id, "--user", "bo") for id in (derived[1], "nothing"))

        assert foreign.exit_code == unknown.exit_code == 1
        assert foreign.stderr == unknown.stderr


class TestStale:
    def test_a_stale_memory_is_marked_wherever_it_is_shown(self, home: Path, derived: tuple[str, str]) -> None:
        source, made = derived
        for arguments in (["list"], ["search", "Lisbon"]):
            [line] = [one for one in run(home, *arguments, "--user", "ann").stdout.splitlines() if made in one]
            assert "[stale] She is in Lisbon." in line
        assert f"{source} changed" in run(home, "get", made).stdout
        assert answer(home, "get", made)["stale"] == [{"id": source, "standing": "changed"}]
        found = answer(home, "search", "Lisbon", "--user", "ann", "--context", "100")
        assert (found["context"]["stale"], found["context"]["text"].count("Lisbon")) == ([made], 0)


class TestAnnotate:
    def test_writes_the_next_version(self, home: Path, derived: tuple[str, str]) -> None:
        cube = answer(home, "annotate", derived[0], "--note", "checked", "--link", "a", "--link", "b", "--model", "m")

        assert (cube["revision"], cube["cause"]) == (3, "annotate")
        assert cube["provenance"] == {"model": "m", "links": ["a", "b"], "note": "checked"}

    def test_says_what_is_missing(self, home: Path, derived: tuple[str, str]) -> None:
        result = run(home, "annotate", derived[0])

        assert result.exit_code == 1
        assert "pass a trigger, context, model, links or a note" in result.stderr


class TestRestore:
    def test_goes_back_to_a_version(self, home: Path, derived: tuple[str, str]) -> None:
        cube = answer(home, "restore", derived[0], "--version", "1", "--expected", "2")

        assert (cube["content"], cube["revision"]) == ("Ann lives in Lisbon.", 3)
        assert answer(home, "get", derived[1])["stale"] == []

    def test_brings_back_what_was_deleted(self, home: Path, derived: tuple[str, str]) -> None:
        answer(home, "delete", derived[0])
        printed = run(home, "restore", derived[0]).stdout

        assert printed.split("\t")[:2] == [derived[0], "3"]
        assert answer(home, "get", derived[0])["content"] == "Ann lives in Porto."
        assert run(home, "restore", derived[0]).exit_code == 1
