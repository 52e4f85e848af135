"""The command ``pymemos eval``: tables for people and pipes, JSON, files, and errors that say what is missing."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.contracts.chat_server import chat_server
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


def test_a_file_that_cannot_be_written_is_told_before_the_run(folder, tmp_path):
    result = run("beam", "--data", folder, "--out", tmp_path / "none" / "report.json")

    assert (1, "") == (result.exit_code, result.stdout)
    assert "report.json cannot be written; name a file in a folder that is there" in result.stderr


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


class TestJudging:
    @pytest.fixture
    def server(self):
        with chat_server(by_content) as server:
            yield server

    def judged(self, server, folder, *arguments, **environment):
        chat = {"PYMEMOS_CHAT": f"{server.url}#m", "PYMEMOS_EMBEDDER": "none", **environment}
        return run("locomo", "--data", folder, "--judge", *arguments, **chat)

    def test_answers_are_marked_by_the_model_that_gave_them(self, server, folder):
        printed = json.loads(self.judged(server, folder, "--json").stdout)

        ours = printed["systems"]["pymemos"]
        assert ["pymemos"] == list(printed["systems"])
        assert ours["overall"]["questions"] == len(ours["answers"]) > 0
        assert {(True, True, True)} == {tuple(one["marks"]) for one in ours["answers"]}
        assert printed["models"]["answers"] == printed["models"]["judge"]
        assert 4 * len(ours["answers"]) == len(server.requests)

    def test_another_model_can_mark_them(self, server, folder):
        with chat_server(["WRONG"] * 3) as other:
            asked = self.judged(server, folder, "--judged-by", f"{other.url}#judge", "--limit", 1, "--json")

        ours = json.loads(asked.stdout)["systems"]["pymemos"]
        assert (1, 3) == (len(server.requests), len(other.requests))
        assert 0.0 == ours["overall"]["judge"]

    def test_in_a_pipe_a_system_and_its_categories_are_lines(self, server, folder):
        heading, total, *rest = self.judged(server, folder, "--baselines").stdout.splitlines()

        assert ["system", "category", "questions", "judge"] == heading.split("\t")[:4]
        assert ["pymemos", "total"] == total.split("\t")[:2]
        assert "100.0" == total.split("\t")[3]
        assert ["BM25", "total"] in [line.split("\t")[:2] for line in rest]

    def test_a_benchmark_without_answers_cannot_be_judged(self, server, folder):
        (file,) = (folder / "locomo").iterdir()
        file.write_text(file.read_text().replace('"answer"', '"reply"'))

        asked = self.judged(server, folder)

        assert 1 == asked.exit_code
        assert "no question with an answer" in asked.stderr


def by_content(messages):
    """Answers, and is content with every answer."""
    return "CORRECT" if "Reply with one word" in messages[-1]["content"] else "in May"


def test_judging_without_a_chat_model_says_what_is_missing(folder):
    result = run("locomo", "--data", folder, "--judge", "--json", PYMEMOS_CHAT="none")

    assert 1 == result.exit_code
    assert "ModelError" == json.loads(result.stderr)["error"]["type"]
    assert "no chat model" in json.loads(result.stderr)["error"]["message"]


def test_an_unknown_dataset_is_called_wrongly():
    assert 2 == run("squad").exit_code


def test_every_dataset_that_can_be_loaded_is_offered():
    assert tuple(datasets.DATASETS) == DATASETS
