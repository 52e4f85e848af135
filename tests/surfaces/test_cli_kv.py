"""The commands of KV memories; what they need a model for is made here with the toy."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.unit.kv_kit import SYSTEM, opened, told

from pymemos.surfaces.cli import main
from pymemos.testing.toy_engine import ToyEngine


@pytest.fixture
def home(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def stored(home):
    with opened(home, ToyEngine()) as mem:
        ids = told(mem, user_id="ana")
        return ids, mem.encode(ids, system=SYSTEM, user_id="ana").ids


@pytest.fixture
def run(home):
    def run(*arguments, fails=False, given=None):
        result = CliRunner().invoke(main, ["kv", *arguments, "--home", str(home)], input=given)
        assert (result.exit_code != 0) == fails, result.output
        return result.stderr if fails and not result.stdout else result.stdout

    return run


def test_segments_are_listed_with_their_place_and_size(run, stored):
    ids, segments = stored

    rows = [line.split("\t") for line in run("list", "--user", "ana").splitlines()]
    told = json.loads(run("list", "--user", "ana", "--json"))["segments"]

    assert [row[0] for row in rows] == list(segments)
    assert [row[3:] for row in rows] == [["exact", "toy", str(number), "yes"] for number in range(4)]
    assert told[-1]["sources"] == list(ids)
    assert told[0]["start"] == 0
    assert [one["start"] for one in told[1:]] == [one["end"] for one in told[:-1]]


def test_what_no_longer_holds_is_marked(home, run, stored):
    ids, segments = stored
    with opened(home) as mem:
        mem.update(ids[1], "Ana likes coffee.", user_id="ana")

    told = json.loads(run("list", "--user", "ana", "--json"))["segments"]

    assert [bool(one["stale"]) for one in told] == [False, False, True, True]
    assert json.loads(run("verify", segments[-1], "--user", "ana", "--json", fails=True))["ok"] is False


def test_a_segment_is_verified_without_a_model(run, stored):
    _, segments = stored

    lines = run("verify", segments[-1], "--user", "ana").splitlines()

    assert {line.split("\t")[0] for line in lines} == {"yes"}
    assert "file" in lines[0]


def test_encoding_without_a_model_says_what_is_missing(home, run, stored):
    ids, _ = stored

    assert "no local model" in run("encode", *ids, "--user", "ana", fails=True)
    assert "no local model" in run("encode", "--document", "-", fails=True, given="Lisbon is a city.")
    with opened(home) as mem:
        assert len(mem.list()) == 0  # nothing is half done


@pytest.mark.usefixtures("stored")
def test_a_file_that_is_no_text_is_an_error_like_others(run, tmp_path):
    (tmp_path / "image").write_bytes(b"\xff\xfe\x00")

    assert "no local model" in run("encode", "--document", str(tmp_path / "image"), fails=True)


def test_an_empty_list_says_how_to_begin(home, run):
    with opened(home) as mem:
        told(mem)

    assert run("list") == ""


def test_what_was_encoded_apart_is_listed_and_verified_as_such(home, run):
    with opened(home, ToyEngine()) as mem:
        mem.probe_blending()
        [id] = mem.encode(told(mem, user_id="ana")[:1], mode="blend", user_id="ana").ids

    [row] = [line.split("\t") for line in run("list", "--user", "ana").splitlines()]
    [one] = json.loads(run("list", "--user", "ana", "--json"))["segments"]

    assert (row[1], row[3]) == ("apart", "loose-toy")
    assert (one["id"], one["apart"]) == (id, True)
    assert json.loads(run("verify", id, "--user", "ana", "--json"))["ok"] is True


def test_a_probe_needs_a_local_model(run):
    assert "no local model" in run("probe", "--cases", "3", fails=True)
