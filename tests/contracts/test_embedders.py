"""Every embedder keeps the contract: the double, an endpoint on this machine, and MiniLM where it can be prepared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.unit.model_samples import write_model

from pymemos.errors import EmbedderFailed, InvalidInput, ModelError
from pymemos.models import catalog
from pymemos.models.embed.endpoint import EndpointEmbedder
from pymemos.models.embed.onnx import OnnxEmbedder
from pymemos.models.recipes import manifest_of
from pymemos.ports import Embedder
from pymemos.testing.contracts import EmbedderContract
from pymemos.testing.doubles import HashingEmbedder

VECTORS = [  # of which none says a direction, or the wrong number of them is there
    json.dumps({"data": [{"index": place, "embedding": row} for place, row in enumerate(rows)]}).encode()
    for rows in ([[0, 0]], [[1, float("nan")]], [[]], [[1], [1]], [["a"]])
]
PREPARED = Path(__file__).parents[2] / ".cache"  # kept from run to run, beside the checkout's other caches


class TestHashingEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return HashingEmbedder()


class Endpoint(ThreadingHTTPServer):
    """An ``/embeddings`` endpoint over a double; ``answers`` holds statuses that it gives before it works."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.raw: bytes | None = None
        self.requests: list[Any] = []
        self.inside = HashingEmbedder()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, body, self.headers.get("authorization")))
        if self.server.answers:
            status, headers = self.server.answers.pop(0)
            self._answer(status, b"not now", headers)
            return
        rows = self.server.inside.embed(body["input"])
        data = [{"index": place, "embedding": (3 * row).tolist()} for place, row in enumerate(rows)]
        self._answer(200, self.server.raw or json.dumps({"data": data[::-1]}).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestEndpoint(EmbedderContract):
    @pytest.fixture
    def waits(self) -> list[float]:
        return []

    @pytest.fixture
    def embedder(self, endpoint: Endpoint, waits: list[float]) -> Embedder:
        return EndpointEmbedder(endpoint.url, "a-model", key="secret", sleep=waits.append)

    def test_the_key_and_the_model_are_sent(self, embedder, endpoint):
        embedder.embed(["tea"])

        path, body, key = endpoint.requests[-1]
        assert (path, body["model"], key) == ("/v1/embeddings", "a-model", "Bearer secret")

    def test_many_texts_are_asked_for_in_several_requests(self, embedder, endpoint):
        assert len(embedder.embed([f"text {n}" for n in range(300)])) == 300
        assert len(endpoint.requests) == 3

    def test_what_passes_is_tried_again_as_late_as_the_server_asks(self, embedder, endpoint, waits):
        endpoint.answers = [(429, {"retry-after": "7"}), (503, {})]

        assert len(embedder.embed(["tea"])) == 1
        assert waits == [7.0, 1.0]

    def test_a_server_that_asks_for_more_patience_than_there_is_has_failed(self, embedder, endpoint, waits):
        endpoint.answers = [(429, {"retry-after": "3600"})]

        with pytest.raises(EmbedderFailed, match="status 429"):
            embedder.embed(["tea"])
        assert waits == []

    def test_a_question_is_given_up_sooner_for_somebody_waits(self, embedder, endpoint, waits):
        endpoint.answers = [(500, {})] * 9

        with pytest.raises(EmbedderFailed):
            embedder.embed(["tea?"], queries=True)
        assert waits == [0.5]

    def test_a_long_text_is_cut(self, embedder, endpoint):
        embedder.embed(["tea " * 5_000])

        assert len(endpoint.requests[-1][1]["input"][0]) == 8_000

    def test_half_a_character_is_no_obstacle(self, embedder):
        assert len(embedder.embed(["tea \ud83d"])) == 1

    def test_what_does_not_pass_is_told_at_once(self, embedder, endpoint, waits):
        endpoint.answers = [(401, {})]

        with pytest.raises(EmbedderFailed, match="status 401: not now"):
            embedder.embed(["tea"])
        assert waits == []

    def test_it_gives_up_in_the_end(self, embedder, endpoint):
        endpoint.answers = [(500, {})] * 9

        with pytest.raises(EmbedderFailed, match="status 500"):
            embedder.embed(["tea"])
        assert len(endpoint.requests) == 4

    @pytest.mark.parametrize("raw", [b"<html>", b'{"data": 5}', b'{"data": []}', b"[]", *VECTORS])
    def test_a_strange_answer_is_an_error(self, embedder, endpoint, raw):
        endpoint.raw = raw

        with pytest.raises(EmbedderFailed):
            embedder.embed(["tea"])

    def test_nobody_there_is_an_error(self, waits):
        with pytest.raises(EmbedderFailed, match="check its address"):
            EndpointEmbedder("http://127.0.0.1:9", "m", sleep=waits.append).embed(["tea"])
        assert waits == [0.5, 1.0, 2.0]

    def test_the_key_is_no_part_of_what_is_stored_or_told(self, embedder, endpoint):
        endpoint.answers = [(401, {})]

        with pytest.raises(EmbedderFailed) as raised:
            embedder.embed(["tea"])
        assert "secret" not in embedder.identity + str(raised.value)

    def test_a_setting_without_a_model_is_refused(self):
        with pytest.raises(InvalidInput, match="#model"):
            EndpointEmbedder.from_setting("https://host/v1")


class TestFolder(EmbedderContract):
    @pytest.fixture
    def embedder(self, tmp_path: Path) -> Embedder:
        return OnnxEmbedder(write_model(tmp_path))


@pytest.fixture(scope="session")
def prepared() -> Path:
    """The cache folder with MiniLM in it, made by the real command's own code."""
    cache = Path(os.environ.get("PYMEMOS_TEST_MODELS") or PREPARED)
    try:
        catalog.prepare("minilm", cache)
    except ModelError as error:
        if "cannot be fetched" not in str(error):
            raise
        pytest.skip(f"MiniLM cannot be prepared: {error}")
    return cache


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestMiniLM(EmbedderContract):
    @pytest.fixture
    def embedder(self, prepared: Path) -> Embedder:
        return OnnxEmbedder(catalog.folder_of(prepared, "minilm"), name="minilm")

    def test_it_knows_what_is_meant(self, embedder):
        question, *texts = embedder.embed(
            ["Which pets does my sister keep?", "My sister has two dogs.", "Revenue rose by 4 % last quarter."]
        )

        assert question @ texts[0] > question @ texts[1] + 0.2

    def test_a_catalogue_says_that_it_is_ready(self, prepared):
        entry = catalog.entries(prepared)[0]

        assert entry.ready
        assert entry.identity is not None
        assert entry.identity.startswith("minilm@")
        assert entry.megabytes == pytest.approx(23.9, abs=1)

    def test_preparing_again_changes_nothing(self, prepared):
        folder = catalog.folder_of(prepared, "minilm")
        before = folder.stat().st_mtime_ns

        catalog.prepare("minilm", prepared)

        assert folder.stat().st_mtime_ns == before

    def test_two_runs_at_once_make_one_model(self, tmp_path):
        prepare = "from pymemos.models.catalog import prepare; prepare('minilm', Path(sys.argv[1]))"
        program = f"import sys; from pathlib import Path; {prepare}"
        runs = [subprocess.Popen([sys.executable, "-c", program, tmp_path]) for _ in range(2)]

        assert [run.wait() for run in runs] == [0, 0]
        assert [path.name for path in (tmp_path / "models").iterdir()] == ["minilm"]

    def test_every_machine_makes_the_same_model(self, embedder):
        assert embedder.identity == "minilm@dd1e614df584eeb7"

    def test_the_manifest_says_how_near_int8_comes(self, prepared):
        manifest = manifest_of(catalog.folder_of(prepared, "minilm"))

        assert manifest.cosine_to_float32 > 0.99
        assert manifest.least_cosine_to_float32 >= 0.98
        assert manifest.licence == "Apache-2.0"

    def test_tokens_are_word_pieces(self, embedder):
        assert embedder.count_tokens("Caroline went kayaking.") == 5
