"""The command ``pymemos eval``: tables for people and pipes, JSON, files, and errors that say what is missing."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.evaluation import small

from pymemos.evaluation import datasets
from pymemos.surfaces.cli import evaluation, main

DATASETS = evaluation.BENCHMARKS


@pytest.fixture
def folder(tmp_path):
    for name in DATASETS:
        getattr(small, name)(tmp_path)
    return tmp_path


def run(*arguments, **environment):
    env = {"PYMEMOS_DATA": None, **environment}
    return CliRunner().invoke(main, ["eval", *map(str, arguments)], env=env)


@pytest.mark.parametrize("name", DATASETS)
def test_in_a_pipe_a_row_is_a_line_with_tabs(folder, name):
    heading, total, *rest = run(name, "--data", folder).stdout.splitlines()

    assert ["system", "category", "questions"] == heading.split("\t")[:3]
    assert ["pymemos", "total"] == total.split("\t")[:2]
    assert {len(heading.split("\t"))} == {len(line.split("\t")) for line in (total, *rest)}


def test_the_data_can_be_named_by_the_environment(folder):
    assert 0 == run("locomo", PYMEMOS_DATA=str(folder)).exit_code


def test_a_category_apart_says_so_and_is_not_in_the_totals(folder):
    lines = [line.split("\t") for line in run("locomo", "--data", folder).stdout.splitlines()]

    assert ["pymemos", "adversarial (apart)", "1"] in [line[:3] for line in lines]
    assert ["pymemos", "total", "3"] in [line[:3] for line in lines]


def test_json_and_the_file_hold_the_same_report(folder, tmp_path):
    out = tmp_path / "report.json"

    printed = json.loads(run("beam", "--data", folder, "--json", "--out", out).stdout)

    assert printed == json.loads(out.read_text())
    assert "beam" == printed["dataset"]
    assert {"assistant", "user"} == set(printed["systems"]["pymemos"]["evidence"])


def test_baselines_can_be_left_out_and_questions_limited(folder):
    printed = json.loads(run("locomo", "--data", folder, "--no-baselines", "--limit", 1, "--lexical", "--json").stdout)

    assert ["pymemos"] == list(printed["systems"])
    assert 1 == printed["counts"]["questions"]


def test_without_data_it_says_where_to_get_them():
    result = run("prefeval")

    assert 1 == result.exit_code
    assert "https://github.com/amazon-science/PrefEval" in result.stderr
    assert "--data" in result.stderr


def test_data_that_are_not_there_are_an_error(tmp_path):
    assert "get it from" in run("beam", "--data", tmp_path / "nowhere").stderr


def test_judging_without_a_chat_model_says_what_is_missing(folder):
    result = run("locomo", "--data", folder, "--judge", "--json")

    assert 1 == result.exit_code
    assert "ModelError" == json.loads(result.stderr)["error"]["type"]
    assert "no chat model" in json.loads(result.stderr)["error"]["message"]


def test_an_unknown_dataset_is_called_wrongly():
    assert 2 == run("squad").exit_code


def test_every_dataset_that_can_be_loaded_is_offered():
    assert tuple(datasets.DATASETS) == DATASETS
