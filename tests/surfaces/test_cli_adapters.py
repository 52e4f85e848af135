"""The commands of adapters; what they need a model for is made here with the toy."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.unit.adapter_kit import WHO, distilled, opened, told

from pymemos.surfaces.cli import main

ANA = ("--user", "ana")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def made(home):
    with opened(home) as mem:
        ids = told(mem)
        return ids, distilled(mem, *ids)


@pytest.fixture
def run(home):
    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [*arguments, "--home", str(home)])
        assert result.exit_code == code, result.output
        return result.stdout or result.stderr

    return run


def test_adapters_are_listed_with_their_sources(run, made):
    ids, adapter = made

    (row,) = json.loads(run("adapter", "list", *ANA, "--json"))["adapters"]

    assert (row["id"], row["admitted"], row["stale"]) == (adapter, True, [])
    assert tuple(row["sources"]) == ids
    assert adapter in run("adapter", "list", *ANA)


def test_an_adapter_is_shown_with_what_it_was_taught_and_how_it_did(run, made):
    _, adapter = made

    text = run("adapter", "show", adapter, *ANA, code=1)  # without a model nothing can use it
    said = json.loads(run("adapter", "show", adapter, *ANA, "--json", code=1))

    assert "Zorvania" in text
    assert "16/16" in text
    assert said["scores"]["controls"] >= 200
    assert said["reverse"]["admitted"]
    assert said["reverse"]["left"] == []
    assert "asked the other way round it serves: unseen phrasings 100%" in text
    assert "whose capital" in text
    assert not said["serves"]
    assert "is not in use" in said["reason"]


def test_an_adapter_is_written_as_a_folder(run, made, tmp_path):
    _, adapter = made

    run("adapter", "write", adapter, str(tmp_path / "lora"), *ANA)

    assert (tmp_path / "lora" / "adapter_model.safetensors").is_file()


def test_an_adapter_whose_file_is_damaged_is_neither_shown_nor_written(run, made, home, tmp_path):
    _, adapter = made
    [file] = home.glob("blobs/??/*")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-3] + b"xxx")

    for command in (("show", adapter), ("write", adapter, str(tmp_path / "lora"))):
        assert "not those that were stored" in run("adapter", *command, *ANA, code=1)
    assert not (tmp_path / "lora").exists()


def test_a_training_is_looked_at_and_stopped(run, home):
    with opened(home) as mem:
        job = mem.distil(told(mem), **WHO)

    assert run("adapter", "training", job, *ANA).startswith("queued: 0 of 0 steps")
    assert json.loads(run("adapter", "training", job, "--cancel", *ANA, "--json"))["cancelled"]
    assert "no training" in run("adapter", "training", job, *ANA, code=1)


def test_distilling_needs_a_local_model(run, made):
    ids, _ = made

    assert "no local model" in run("distil", *ids, *ANA, code=1)
