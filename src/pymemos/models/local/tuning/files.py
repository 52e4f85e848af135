"""Adapters as PEFT's files: written through its own configuration, read with every name and shape looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import torch
from safetensors.torch import save
from torch import Tensor, nn

from pymemos.cube import adapter as files
from pymemos.cube.tensors import Tensors
from pymemos.errors import AdapterRefused
from pymemos.models.local.hooks import Lora
from pymemos.models.local.identity import digest_of
from pymemos.ports.models import Weights

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine

_BEFORE: Final = "base_model.model."  # how PEFT begins the names of what it adapts
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_DTYPES: Final = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


class LoadedAdapter(msgspec.Struct, frozen=True, eq=False):
    """An adapter in memory: low-rank additions by the names of linear layers, for one model."""

    model: str  # a digest of the model's ref
    modules: Mapping[str, Lora]

    @property
    def nbytes(self) -> int:
        """The size of the tensors."""
        return sum(down.nbytes + up.nbytes for down, up, _ in self.modules.values())


def saved(engine: LocalEngine, modules: Mapping[str, Lora], rank: int, alpha: float) -> Weights:
    """The files of a trained adapter."""
    tensors: dict[str, Tensor] = {}
    for name, (down, up, _) in sorted(modules.items()):
        tensors[_BEFORE + name + _DOWN] = down.float().cpu().contiguous()
        tensors[_BEFORE + name + _UP] = up.float().cpu().contiguous()
    return Weights(save(tensors, {"format": "pt"}), _config(engine, list(modules), rank, alpha))


def _config(engine: LocalEngine, names: list[str], rank: int, alpha: float) -> bytes:
    from peft import LoraConfig, TaskType

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type] # a number will do
        target_modules=sorted(names),
        lora_dropout=0.0,
        bias="none",
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=engine.ref.name,
        inference_mode=True,
    )
    said: dict[str, Any] = config.to_dict()  # type: ignore[no-untyped-call]
    return json.dumps(said, default=_plain, sort_keys=True).encode()


def _plain(value: Any) -> Any:
    """Sets in order, and enumerations by their value."""
    return sorted(value) if isinstance(value, set | frozenset) else getattr(value, "value", str(value))


def opened(engine: LocalEngine, file: memoryview) -> LoadedAdapter:
    """The adapter of a file, if it was made for this very model and each of its tensors fits a linear layer of it."""
    manifest = files.manifest_of(file)
    if manifest.model != engine.ref:
        raise AdapterRefused(f"the adapter was made for {manifest.model.name!r} as it was then, not for this model")
    scale = _scale(files.config_of(file))
    found = files.tensors_of(file)
    modules: dict[str, Lora] = {}
    names = {name.removeprefix(_BEFORE).removesuffix(_DOWN) for name in found.entries if name.endswith(_DOWN)}
    if 2 * len(names) != len(found.entries) or not names:
        raise AdapterRefused("the adapter's file holds other tensors than pairs of LoRA")
    for name in sorted(names):
        down, up = (_tensor(found, _BEFORE + name + end).to(engine.device) for end in (_DOWN, _UP))
        _check_fit(engine.model, name, down, up)
        modules[name] = (down, up, scale)
    return LoadedAdapter(digest_of(engine.ref), modules)


def _scale(config: bytes) -> float:
    try:
        said = json.loads(config)
        return float(said["lora_alpha"]) / int(said["r"])
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise AdapterRefused(f"the adapter's settings cannot be read ({error})") from error


def _tensor(found: Tensors, name: str) -> Tensor:
    if name not in found.entries:
        raise AdapterRefused(f"the adapter's file lacks {name}")
    shape, _, _ = found.entries[name]
    if shape.dtype not in _DTYPES:
        raise AdapterRefused(f"{name} has the dtype {shape.dtype}, which no adapter has")
    flat = torch.frombuffer(bytearray(found.bytes_of(name)), dtype=_DTYPES[shape.dtype])
    tensor = flat.view(shape.shape)
    if not bool(tensor.isfinite().all()):
        raise AdapterRefused(f"{name} holds what is no number")
    return tensor


def _check_fit(model: nn.Module, name: str, down: Tensor, up: Tensor) -> None:
    try:
        module = model.get_submodule(name)
    except AttributeError as error:
        raise AdapterRefused(f"the model has no layer {name!r} for the adapter") from error
    fits = isinstance(module, nn.Linear) and down.dim() == up.dim() == 2
    if not fits or down.shape[1] != module.in_features or up.shape != (module.out_features, down.shape[0]):
        raise AdapterRefused(f"the adapter's {name!r} has shapes {tuple(down.shape)} and {tuple(up.shape)}: no fit")
