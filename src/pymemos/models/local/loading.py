"""How a local model is loaded from its folder; one whose state cannot be injected exactly is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from pymemos.errors import InvalidInput, ModelError, UnknownModel
from pymemos.models import hub
from pymemos.models.catalog import MODELS, ready_folder
from pymemos.models.local import attention, identity
from pymemos.models.local.engine import LocalEngine
from pymemos.models.local.linear import use_onednn
from pymemos.models.local.quiet import quiet
from pymemos.models.recipes import CHAT

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
AUTO: Final = "auto"
INSTALL: Final = "pip install 'pymemos[local]'"
_WANTED: Final = ("*.json", "*.safetensors", "*.jinja")
_FULL: Final = "full_attention"


def open_local(name: str, cache: Path, device: str = AUTO, dtype: str = AUTO) -> LocalEngine:
    """The engine of a prepared model, of a folder, or of a model of the hub, by its name.

    ``device`` is "cpu" or "cuda", by default a GPU where there is one; ``dtype`` is "float32", by default on a CPU, or
    "bfloat16". ``cache`` is where prepared models lie and fingerprints are kept. Raises ModelError where there is no
    model that can be used, or one in which what was computed for a prefix cannot be used again exactly.
    """
    folder = _found(name, cache)
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == AUTO else device
    numbers = ("float32" if place == "cpu" else "bfloat16") if dtype == AUTO else dtype
    if numbers not in DTYPES:
        raise InvalidInput(f"there is no dtype {dtype!r} for a model; there are {', '.join((*DTYPES, AUTO))}")
    called = folder.resolve().name if folder == Path(name).expanduser() else name
    model, tokenizer = _loaded(folder, place, DTYPES[numbers])
    _check_layers(model.config)
    ref = identity.ref_of(called, folder, model.config.to_dict(), tokenizer, dtype=numbers, cache=cache)
    use_onednn(model)
    engine = LocalEngine(model, tokenizer, ref)
    engine.check_injection()
    return engine


def _found(name: str, cache: Path) -> Path:
    if name in MODELS:
        if MODELS[name].kind != CHAT:
            raise UnknownModel(f"{name!r} makes vectors, and does not answer; set PYMEMOS_EMBEDDER={name} for it")
        return ready_folder(cache, name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not hub.is_id(name):
        raise UnknownModel(f"{name!r} is no folder and no model of the catalogue: {', '.join(MODELS)}")
    otherwise = "has no weights as safetensors; use one that has"
    return hub.folder_of(name, (_WANTED,), _holds_model, otherwise=otherwise, install=INSTALL)


def _holds_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _loaded(folder: Path, device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    ALL_ATTENTION_FUNCTIONS.register(attention.NAME, attention.attend)
    try:
        with quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                attn_implementation=attention.NAME,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if not tokenizer.is_fast:
            raise ModelError(f"the model in {folder} has no tokenizer.json; use one that has")
        if not info["missing_keys"]:
            return model.to(device).eval().requires_grad_(False), tokenizer
    except (OSError, ValueError, KeyError, RuntimeError, AssertionError) as error:  # as torch says "no such device"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"the model in {folder} cannot be loaded on {device} ({reason})") from error
    missing = ", ".join(sorted(info["missing_keys"])[:3])
    raise ModelError(f"the weights in {folder} lack {missing}; fetch or prepare the model again")


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
