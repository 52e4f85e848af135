"""How a chat model is built from a GGUF file: its numbers restored to bfloat16, and saved as safetensors (ADR 0033)."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pymemos.errors import ModelError
from pymemos.models.embed.onnx import sha256
from pymemos.models.local.quiet import quiet
from pymemos.models.recipes import Manifest, Recipe

STEP: Final = "restoring the weights to bfloat16"
_MADE_WITH: Final = ("pymemos", "torch", "transformers", "safetensors", "gguf", "tokenizers")
_QUANTIZED: Final = ("hf_quantizer", "is_quantized", "quantization_method")  # what marks weights that no longer are


def build(recipe: Recipe, wheel: Path, work: Path, new: Path) -> Manifest:
    """Build the model from the file in ``work`` into the folder ``new``."""
    [file] = recipe.files
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library would like changed in another one helps nobody here
            model = AutoModelForCausalLM.from_pretrained(work, gguf_file=file, dtype=torch.bfloat16)
            _unmark(model).save_pretrained(new)
            AutoTokenizer.from_pretrained(work, gguf_file=file).save_pretrained(new)
    except (ImportError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{file} cannot be read ({error}); install pymemos[local], or update it") from error
    return Manifest(
        name=recipe.name,
        source=recipe.source,
        package=wheel.name,
        package_sha256=sha256(wheel),
        weights_sha256=recipe.digests[file],
        licence=recipe.licence,
        sha256=sha256(new / "model.safetensors"),
        form="bfloat16, restored from 4 bits a weight",
        made_with={name: version(name) for name in _MADE_WITH},
    )


def _unmark(model: Any) -> Any:
    """The model without what says that its weights are quantized: reading the file has restored them."""
    for name in _QUANTIZED:
        if hasattr(model, name):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model.to(torch.bfloat16)
