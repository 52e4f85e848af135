"""The commands of steering vectors; what they need a model for is made here with the toy."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.unit.kv_kit import opened

from pymemos.surfaces.cli import main
from pymemos.testing.toy_engine import ToyEngine

PAIRS = [(f"Splendid, dear friend {number}.", f"meh {number}") for number in range(6)]


@pytest.fixture
def home(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def vector(home):
    with opened(home, ToyEngine()) as mem:
        return mem.steer_from(PAIRS, name="warm", user_id="ana").id


@pytest.fixture
def run(home):
    def run(*arguments, fails=False, given=None):
        result = CliRunner().invoke(main, ["steering", *arguments, "--home", str(home)], input=given)
        assert (result.exit_code != 0) == fails, result.output
        return result.stderr if fails and not result.stdout else result.stdout

    return run


def test_vectors_are_listed_with_their_layer_and_effect(run, vector):
    row = run("list", "--user", "ana").strip("\n").split("\t")
    told = json.loads(run("list", "--user", "ana", "--json"))["vectors"]

    assert [*row[:4], *row[5:]] == [vector, "warm", "0", "0.1", "toy", "yes"]
    assert float(row[4]) > 0
    assert [one["id"] for one in told] == [vector]
    assert told[0]["effect"]["items"] == 6


def test_segments_and_vectors_do_not_stand_in_each_others_list(home, run, vector):
    with opened(home, ToyEngine()) as mem:
        segments = mem.encode(mem.add("Ana likes tea.", user_id="ana").ids, user_id="ana").ids

    assert [one["id"] for one in json.loads(run("list", "--user", "ana", "--json"))["vectors"]] == [vector]
    result = CliRunner().invoke(main, ["kv", "list", "--user", "ana", "--json", "--home", str(home)])
    assert [one["id"] for one in json.loads(result.stdout)["segments"]] == list(segments)


def test_a_list_of_one_form_is_as_long_as_was_asked_for_and_goes_on(home, run):
    """What stands between them is of another form, and takes no place in the list."""
    with opened(home, ToyEngine()) as mem:
        vectors = []
        for number in range(3):
            mem.encode(mem.add(f"Ana likes tea number {number}.", user_id="ana").ids, user_id="ana")
            vectors.append(mem.steer_from(PAIRS, name=f"warm {number}", user_id="ana").id)

    said = json.loads(run("list", "--user", "ana", "--limit", "2", "--json"))
    rest = json.loads(run("list", "--user", "ana", "--limit", "1", "--after", said["after"], "--json"))

    assert [one["id"] for one in (*said["vectors"], *rest["vectors"])] == vectors
    assert rest["after"] is None


@pytest.mark.usefixtures("vector")
def test_without_a_model_it_says_what_is_missing(run):
    lines = "\n".join(json.dumps(pair) for pair in PAIRS)

    assert "local model" in run("make", "-", given=lines, fails=True)


@pytest.mark.usefixtures("vector")
def test_a_line_that_is_no_pair_is_shown(run):
    assert "no list of 2 texts" in run("make", "-", given='["one"]\n', fails=True)
    assert "no JSON" in run("make", "-", given="one, two\n", fails=True)


def test_a_file_that_is_no_text_is_told_by_its_line(run, tmp_path):
    (tmp_path / "image").write_bytes(b"\xff\xfe")

    assert "a line is no JSON" in run("make", str(tmp_path / "image"), fails=True)
