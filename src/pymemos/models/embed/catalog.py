"""How a setting becomes an embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pymemos.errors import UnknownModel
from pymemos.models import hub
from pymemos.models.catalog import MINILM, MODELS, folder_of, ready_folder
from pymemos.models.embed.endpoint import EndpointEmbedder
from pymemos.models.embed.onnx import FILES, INSTALL, OnnxEmbedder
from pymemos.models.recipes import EMBEDDER, manifest_of
from pymemos.ports import Embedder

NONE: Final = "none"
_WANTED: Final = ("*.json", "1_Pooling/*", "model.onnx*", "onnx/model.onnx*")  # torch's weights stay where they are
_SECOND_BEST: Final = ("onnx/model_quantized.onnx",)


def used(setting: str | None, cache: Path) -> str:
    """The setting that holds: without one, MiniLM where it is ready, and else none."""
    return setting or (MINILM if manifest_of(folder_of(cache, MINILM)) else NONE)


def open_embedder(setting: str | None, *, cache: Path, key: str | None = None) -> Embedder | None:
    """The embedder that a setting names, None for ``none``; its weights are loaded when it first embeds.

    A setting is ``none``, a name of the catalogue, a folder, ``https://host/v1#model``, or the id of a model of the
    hub. ``key`` is that of an endpoint.
    """
    name = used(setting, cache)
    if name == NONE:
        return None
    if name.startswith(("http://", "https://")):
        return EndpointEmbedder.from_setting(name, key=key)
    if name in MODELS:
        return _prepared(name, cache)
    folder = Path(name).expanduser()
    return OnnxEmbedder(folder) if folder.is_dir() else _of_hub(name)


def _prepared(name: str, cache: Path) -> OnnxEmbedder:
    if MODELS[name].kind != EMBEDDER:
        raise UnknownModel(f"{name!r} answers, and makes no vectors; set PYMEMOS_CHAT={name} to chat with it")
    return OnnxEmbedder(ready_folder(cache, name), name=name)


def _of_hub(name: str) -> OnnxEmbedder:
    if not hub.is_id(name):
        raise UnknownModel(f"{name!r} is no folder and no model of the catalogue: {', '.join((*MODELS, NONE))}")
    otherwise = "has no ONNX file; export it with optimum, and name that folder"
    folder = hub.folder_of(name, (_WANTED, _SECOND_BEST), _holds_model, otherwise=otherwise, install=INSTALL)
    return OnnxEmbedder(folder, name=name)


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in FILES)
