"""An embedder over ONNX Runtime: a folder with a model and its tokenizer, no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymemos.errors import EmbedderFailed, ModelError
from pymemos.models.recipes import MANIFEST

if TYPE_CHECKING:
    from pymemos.ports import Floats

FILES: Final = ("model.onnx", "onnx/model.onnx", "onnx/model_quantized.onnx")  # the first that is there is the model
WINDOW: Final = 256  # tokens that are read of a text where the model's folder does not say
BATCH_TOKENS: Final = 512  # padded tokens of one run: measured, more leave the caches of the cores
INSTALL: Final = "pip install 'pymemos[embed]'"
_OUTPUTS: Final = ("sentence_embedding", "embeddings", "last_hidden_state", "token_embeddings")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder says of its model: which file, which tokens are pooled, how many are read, what stands before."""

    model: Path
    tokenizer: Path
    first_token: bool = False  # the state of the first token is the vector, not the mean of all
    window: int = WINDOW
    query_prompt: str = ""
    text_prompt: str = ""


class OnnxEmbedder:
    """A sentence embedding model in a folder: mean or first-token pooling, rows of length 1.

    The folder is laid out as usual: an ONNX file, ``tokenizer.json``, and where the defaults do not fit
    ``1_Pooling/config.json``, ``sentence_bert_config.json`` and ``config_sentence_transformers.json``. Nothing is
    loaded before the first text.
    """

    def __init__(self, folder: Path, *, name: str | None = None, threads: int | None = None) -> None:
        check_installed("onnxruntime", "tokenizers")
        self._layout = layout_of(folder)
        self._folder = folder
        self._name = name or folder.resolve().name
        self._threads = threads or _cores()

    @cached_property
    def identity(self) -> str:
        """The name, and a digest of the weights, the tokenizer and how they are used."""
        manifest, layout = read_json(self._folder / MANIFEST), self._layout
        digest = hashlib.sha256(str(manifest.get("sha256") or sha256(layout.model)).encode())
        digest.update(sha256(layout.tokenizer).encode())
        digest.update(f"{layout.first_token} {layout.window} {layout.query_prompt} {layout.text_prompt}".encode())
        return f"{self._name}@{digest.hexdigest()[:16]}"

    @cached_property
    def dimensions(self) -> int:
        """How many numbers a vector has; loads the model where its manifest does not say."""
        known = read_json(self._folder / MANIFEST).get("dimensions")
        return int(known) if known else int(self._vectors([self._tokens(["a"])[0]]).shape[1])

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """One row of length 1 for each text; texts of like length are run together."""
        import numpy as np

        prompt = self._layout.query_prompt if queries else self._layout.text_prompt
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        tokens = self._tokens([prompt + text for text in texts])
        for places in _batches([len(ids) for ids in tokens]):
            rows[places] = self._vectors([tokens[place] for place in places])
        return rows

    def count_tokens(self, text: str) -> int:
        """The tokens of a text by the model's own tokenizer, however long, without marks of beginning and end."""
        return len(self._counter.encode(_readable(text), add_special_tokens=False).ids)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self._tokenizer.encode_batch([_readable(text) for text in texts])]

    def _vectors(self, batch: Sequence[Sequence[int]]) -> Floats:
        import numpy as np

        ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        states = self._run({"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
        pooled = states if states.ndim == 2 else _pooled(states, mask, first_token=self._layout.first_token)
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        rows = np.asarray(pooled / np.maximum(norms, 1e-12), np.float32)
        if not np.isfinite(rows).all():
            raise EmbedderFailed(f"the model in {self._folder} gave numbers that are none; use another")
        return rows

    def _run(self, given: dict[str, Any]) -> Any:
        session = self._session
        wanted = [one.name for one in session.get_inputs()]
        unknown = [name for name in wanted if name not in given]
        if unknown:
            raise ModelError(f"the model in {self._folder} asks for {', '.join(unknown)}; use one for sentences")
        made = [one.name for one in session.get_outputs()]
        output = next((name for name in _OUTPUTS if name in made), made[0])
        try:
            return session.run([output], {name: given[name] for name in wanted})[0]
        except _runtime_errors() as error:
            raise EmbedderFailed(f"the model in {self._folder} failed ({error}); is it one for sentences?") from error

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the cores
        options.log_severity_level = 4  # what is wrong is told by the error
        try:
            return onnxruntime.InferenceSession(str(self._layout.model), options, providers=["CPUExecutionProvider"])
        except _runtime_errors() as error:
            raise ModelError(f"{self._layout.model} cannot be loaded ({error}); fetch or prepare it again") from error

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = self._load_tokenizer()
        tokenizer.enable_truncation(self._layout.window)
        return tokenizer

    @cached_property
    def _counter(self) -> Any:
        tokenizer = self._load_tokenizer()
        tokenizer.no_truncation()
        return tokenizer

    def _load_tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(self._layout.tokenizer))
        except Exception as error:  # the library raises nothing narrower
            raise ModelError(
                f"{self._layout.tokenizer} cannot be read ({error}); fetch it again, or update tokenizers"
            ) from error
        tokenizer.no_padding()
        return tokenizer


def layout_of(folder: Path) -> Layout:
    """What ``folder`` says of its model; raises ModelError where there is none, or one that is pooled otherwise."""
    model = next((folder / name for name in FILES if (folder / name).is_file()), None)
    tokenizer = folder / "tokenizer.json"
    if model is None or not tokenizer.is_file():
        missing = "tokenizer.json" if model else f"model: none of {', '.join(FILES)}"
        raise ModelError(f"{folder} holds no {missing}; 'pymemos models list' shows what is ready")
    settings = read_json(folder / "config_sentence_transformers.json")
    prompts = settings.get("prompts") or {}
    default = prompts.get(settings.get("default_prompt_name"), "")
    return Layout(
        model=model,
        tokenizer=tokenizer,
        first_token=_pools_first_token(folder),
        window=_window(folder),
        query_prompt=prompts.get("query", default),
        text_prompt=prompts.get("document", prompts.get("passage", default)),
    )


def check_installed(*names: str, install: str = INSTALL) -> None:
    """Raise ModelError, saying what to install, where one of these libraries is missing; loads none."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ModelError(f"models need {' and '.join(missing)}: {install}")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        fields = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); fetch or prepare the model again") from error
    return fields if isinstance(fields, dict) else {}


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pools_first_token(folder: Path) -> bool:
    pooling = read_json(folder / "1_Pooling" / "config.json")
    modes = [name.removeprefix("pooling_mode_") for name, on in pooling.items() if on is True and "_mode_" in name]
    other = [mode for mode in modes if mode not in ("cls_token", "mean_tokens")]
    if other or len(modes) > 1:
        raise ModelError(
            f"the model in {folder} pools by {', '.join(modes)}; only the mean or the first token is known"
        )
    return modes == ["cls_token"]


def _window(folder: Path) -> int:
    asked = read_json(folder / "sentence_bert_config.json").get("max_seq_length") or WINDOW
    return min(int(asked), int(read_json(folder / "config.json").get("max_position_embeddings") or asked))


def _cores() -> int:
    """The processors that this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its errors share no base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return (RuntimeError, ValueError, state.RuntimeException, *(getattr(state, name) for name in own))


def _readable(text: str) -> str:
    """The text without halves of characters, which tokenizers refuse."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _pooled(states: Any, mask: Any, *, first_token: bool) -> Any:
    """A row for each text from the states of its tokens."""
    if first_token:
        return states[:, 0]
    weights = mask[..., None].astype(states.dtype)
    return (states * weights).sum(axis=1) / weights.sum(axis=1).clip(1)


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
