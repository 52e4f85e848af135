"""How a local model is loaded from its folder; one whose state cannot be injected exactly is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import logging

from pymemos.errors import InvalidInput, ModelError
from pymemos.models.local import attention, identity
from pymemos.models.local.engine import LocalEngine

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_FULL: Final = "full_attention"


def open_local(
    name: str, folder: Path, *, cache: Path, device: str | None = None, dtype: str | None = None
) -> LocalEngine:
    """The model in a folder as an engine; ``name`` is what people call it.

    ``device`` is "cpu" or "cuda", by default a GPU where there is one; ``dtype`` is "float32", by default on a CPU, or
    "bfloat16". ``cache`` is where fingerprints are kept. Raises ModelError where the folder holds no model that can be
    used, or one in which what was computed for a prefix cannot be used again exactly.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    if dtype not in DTYPES:
        raise InvalidInput(f"there is no dtype {dtype!r} for a model; there are {' and '.join(DTYPES)}")
    model, tokenizer = _loaded(folder, device, DTYPES[dtype])
    _check_layers(model.config)
    ref = identity.ref_of(name, folder, model.config.to_dict(), tokenizer, dtype=dtype, cache=cache)
    engine = LocalEngine(model, tokenizer, ref)
    engine.check_injection()
    return engine


def _loaded(folder: Path, device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    ALL_ATTENTION_FUNCTIONS.register(attention.NAME, attention.attend)
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"there is no {device} device here; use cpu")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=attention.NAME,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"the model in {folder} cannot be loaded ({reason}); is it a language model?") from error
    finally:
        if shown:
            logging.enable_progress_bar()
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelError(f"the weights in {folder} lack {missing}; fetch or prepare the model again")
    return model.to(device).eval().requires_grad_(False), tokenizer


def _check_layers(config: Any) -> None:
    """Refuse models in which a layer forgets or compresses what came before."""
    kinds = set(getattr(config, "layer_types", None) or [_FULL]) - {_FULL}
    window = getattr(config, "sliding_window", None)
    if window and not getattr(config, "layer_types", None) and window < config.max_position_embeddings:
        kinds.add("sliding_attention")
    if kinds:
        raise ModelError(
            f"the model has layers of {', '.join(sorted(kinds))}, whose state cannot be cut into segments; "
            "use one with full attention in every layer"
        )
