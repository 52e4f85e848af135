"""Small models for tests: a folder as an ONNX export leaves it, with a table of word vectors for an encoder."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ("[UNK]", "[CLS]", "[SEP]", *"i moved to lisbon in may my sister has two dogs query text : .".split())
DIMENSIONS = 16


def write_model(
    folder: Path,
    *,
    file: str = "model.onnx",
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
    pooled: bool = False,
    **configs: Any,
) -> Path:
    """Write a model to ``folder``; ``configs`` are its JSON files by name, with __ for / and without the ending."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(inputs, pooled=pooled), folder / file)
    _tokenizer().save(str(folder / "tokenizer.json"))
    for name, config in configs.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config))
    return folder


def _graph(inputs: tuple[str, ...], *, pooled: bool) -> Any:
    """The vector of each token; with ``pooled`` also the last one as the sentence's, which nobody would guess."""
    table = np.random.default_rng(7).normal(size=(len(WORDS), DIMENSIONS)).astype(np.float32)
    constants = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array(-1), "last")]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "t", DIMENSIONS])]
    if pooled:
        nodes.append(helper.make_node("Gather", ["last_hidden_state", "last"], ["sentence_embedding"], axis=1))
        outputs.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["n", DIMENSIONS]))
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in inputs]
    graph = helper.make_graph(nodes, "words", given, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


class Hub(ThreadingHTTPServer):
    """A hub with one model, as far as its client asks; ``sent`` are the files that were fetched."""

    revision = "a" * 40

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        self.sent: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _HubHandler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path, hub = urlsplit(self.path).path, self.server
        if "/resolve/" in path:
            self._send_file(path.partition("/resolve/")[2].partition("/")[2])
        elif "/tree/" in path:
            tree = [{"type": "file", "path": name, "size": file.stat().st_size} for name, file in hub.files.items()]
            self._send(json.dumps([{**entry, "oid": "0" * 40} for entry in tree]).encode())
        elif path.startswith("/api/models/org/name"):
            siblings = [{"rfilename": name} for name in hub.files]
            self._send(json.dumps({"id": "org/name", "sha": hub.revision, "siblings": siblings}).encode())
        else:
            self._send(b"", 404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send_file(self, name: str) -> None:
        body = self.server.files[name].read_bytes()
        if self.command == "GET":
            self.server.sent.append(name)
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        self._send(body, **{"ETag": tag, "X-Repo-Commit": self.server.revision})

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return
