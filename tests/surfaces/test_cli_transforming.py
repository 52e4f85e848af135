"""The commands of pathways; what they need a model for is made here with the toy."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.unit.adapter_kit import WHO, opened, told

from pymemos.surfaces.cli import main

ANA = ("--user", "ana")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def run(home):
    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [*arguments, "--home", str(home)])
        assert result.exit_code == code, result.output
        return result.stdout or result.stderr

    return run


def test_what_needs_a_model_says_so(run, home):
    with opened(home) as mem:
        ids = told(mem)

    assert "no local model that memory can reach" in run("transform", *ids, "--to", "activation", *ANA, code=1)
    error = json.loads(run("transform", ids[0], "--to", "activation", "--dry-run", "--json", *ANA, code=1))["error"]
    assert error["type"] == "ModelError"


def test_it_has_to_be_said_to_which_form(run, home):
    with opened(home) as mem:
        ids = told(mem)

    assert "--to" in run("transform", *ids, *ANA, code=2)
    assert "weights" in run("transform", *ids, "--to", "weights", *ANA, code=2)


def test_a_transformation_tells_how_far_it_is_and_can_be_cancelled(run, home):
    with opened(home) as mem:
        job = mem.transform(told(mem), "activation", **WHO).job

    assert run("transformation", job, *ANA) == "queued: 0 of 0\n"
    said = json.loads(run("transformation", job, "--cancel", "--json", *ANA))
    assert (said["job"], said["phase"], said["cancelled"]) == (job, "queued", True)
    assert "no transformation" in run("transformation", job, *ANA, code=1)


def test_behind_the_end_it_tells_what_was_made(run, home):
    with opened(home) as mem:
        job = mem.transform(told(mem), "activation", **WHO).job
        mem.tick()
        made = mem.transformation(job, **WHO).made

    assert run("transformation", job, *ANA).split() == list(made)
    assert json.loads(run("transformation", job, "--json", *ANA))["made"] == list(made)
    assert "no transformation" in run("transformation", job, "--user", "eve", code=1)


@pytest.fixture
def local(run, tmp_path, monkeypatch):
    from tests.unit.tiny_models import write_tiny

    monkeypatch.setenv("PYMEMOS_CHAT", str(write_tiny(tmp_path / "model", max_position_embeddings=2048)))
    monkeypatch.setenv("PYMEMOS_CACHE_DIR", str(tmp_path / "cache"))
    return run("add", "The capital of Zorvania is Quelmar.", *ANA).split()[0]


def test_the_whole_way_with_a_local_model(run, local):
    plan = run("transform", local, "--to", "activation", "--dry-run", *ANA)
    assert plan.startswith("encode\t")
    assert "delete the segments" in plan

    job = run("transform", local, "--to", "activation", *ANA).strip()
    run("worker", "--once")
    (made,) = run("transformation", job, *ANA).split()
    way = json.loads(run("get", made, "--json", *ANA))["provenance"]["transformed"]
    assert way["pathway"] == "plaintext-activation"
    assert way["measured"]["kl"] < 1e-6

    again = json.loads(run("transform", local, "--to", "activation", "--json", *ANA))
    assert (again["job"], again["made"]) == (None, [made])
    assert [step["name"] for step in again["plan"]["steps"]] == ["encode", "measure"]
