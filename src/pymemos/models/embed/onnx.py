"""An embedder over ONNX Runtime: a folder with a model and its tokenizer, no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymemos.errors import ModelError

if TYPE_CHECKING:
    from pymemos.ports import Floats

MODELS = ("model.onnx", "onnx/model_quantized.onnx", "onnx/model_qint8_avx512_vnni.onnx", "onnx/model.onnx")
WINDOW = 256  # tokens that are read of a text where the model's folder does not say
BATCH_TOKENS = 2_048  # padded tokens of one run: enough to fill the cores, little enough to stay in their caches
INSTALL = "pip install 'pymemos[embed]'"


class OnnxEmbedder:
    """A sentence embedding model in a folder: mean or first-token pooling, rows of length 1.

    The folder is laid out as usual: an ONNX file, ``tokenizer.json``, and where the defaults do not fit
    ``1_Pooling/config.json``, ``sentence_bert_config.json`` and ``config_sentence_transformers.json``. Nothing is
    loaded before the first text.
    """

    def __init__(self, folder: Path, *, name: str | None = None, threads: int | None = None) -> None:
        self._folder = folder
        self._name = name or folder.name
        self._threads = threads or os.cpu_count() or 1
        self._model = _model_file(folder)
        pooling = _read(folder / "1_Pooling" / "config.json")
        self._first_token = bool(pooling.get("pooling_mode_cls_token"))
        self._window = int(_read(folder / "sentence_bert_config.json").get("max_seq_length") or WINDOW)
        prompts = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
        self._query_prompt, self._text_prompt = prompts.get("query", ""), prompts.get("document", "")

    @cached_property
    def identity(self) -> str:
        """The name, and a digest of the weights, the tokenizer and how they are used."""
        manifest = _read(self._folder / "manifest.json")
        digest = hashlib.sha256(str(manifest.get("sha256") or _sha256(self._model)).encode())
        digest.update(_sha256(self._folder / "tokenizer.json").encode())
        digest.update(f"{self._first_token} {self._window} {self._query_prompt} {self._text_prompt}".encode())
        return f"{self._name}@{digest.hexdigest()[:16]}"

    @cached_property
    def dimensions(self) -> int:
        """How many numbers a vector has; loads the model where its manifest does not say."""
        known = _read(self._folder / "manifest.json").get("dimensions")
        return int(known) if known else int(self.embed(["a"]).shape[1])

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """One row of length 1 for each text; texts of like length are run together."""
        import numpy as np

        rows = np.zeros((len(texts), self.dimensions if not texts else 0), np.float32)
        prompt = self._query_prompt if queries else self._text_prompt
        encoded = [one.ids for one in self._tokenizer.encode_batch([prompt + text for text in texts])]
        for places in _batches([len(ids) for ids in encoded]):
            vectors = self._run([encoded[place] for place in places])
            if rows.shape[1] != vectors.shape[1]:
                rows = np.zeros((len(texts), vectors.shape[1]), np.float32)
            rows[places] = vectors
        return rows

    def _run(self, batch: Sequence[Sequence[int]]) -> Floats:
        import numpy as np

        ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        pooled = states if states.ndim == 2 else _pooled(states, mask, first_token=self._first_token)
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.asarray(pooled / np.maximum(norms, 1e-12), np.float32)

    @cached_property
    def _inputs(self) -> list[str]:
        return [one.name for one in self._session.get_inputs()]

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ModelError(f"embedding needs tokenizers: {INSTALL}") from error
        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self._window)
        return tokenizer

    @cached_property
    def _session(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(f"embedding needs onnxruntime: {INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the cores
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(self._model), options, providers=["CPUExecutionProvider"])

    def count_tokens(self, text: str) -> int:
        """The tokens of a text by the model's own tokenizer, however long, without marks of beginning and end."""
        tokenizer = self._counter
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _counter(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


def _pooled(states: Any, mask: Any, *, first_token: bool) -> Any:
    """A row for each text from the states of its tokens."""
    if first_token:
        return states[:, 0]
    weights = mask[..., None].astype(states.dtype)
    return (states * weights).sum(axis=1) / weights.sum(axis=1)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places in batches of like lengths, none padded beyond ``BATCH_TOKENS``."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _model_file(folder: Path) -> Path:
    for name in MODELS:
        if (folder / name).is_file() and (folder / "tokenizer.json").is_file():
            return folder / name
    raise ModelError(f"{folder} holds no ONNX model with its tokenizer.json; 'pymemos models list' shows what is ready")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        fields = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); prepare the model again") from error
    return fields if isinstance(fields, dict) else {}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
