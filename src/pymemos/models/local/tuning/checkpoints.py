"""Where a training stands, in a file: written whole or not at all, and of use only to the very same training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from pymemos.cube.adapter import Recipe
from pymemos.cube.payload import ModelRef
from pymemos.cube.wire import digest
from pymemos.ports import Lesson

FILE: Final = "training.safetensors"
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")  # of Adam


def mark_of(ref: ModelRef, lessons: Sequence[Lesson], recipe: Recipe, system: str) -> str:
    """What a training is of, in one digest."""
    return digest(msgspec.json.encode([ref, list(lessons), recipe, system]))


def write(folder: Path, mark: str, step: int, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Adam) -> None:
    """Keep what was learned in ``step`` steps, and how it was being learned."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"{index}": one.detach() for index, one in enumerate(parameters)}
    for index, one in enumerate(parameters):
        tensors |= {f"{index}.{name}": optimizer.state[one][name] for name in _MOMENTS}
    partial = folder / f".{FILE}"
    save_file(tensors, partial, {"mark": mark, "step": str(step)})
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(folder / FILE)


def read(folder: Path, mark: str, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Adam) -> int:
    """Go back to where a training stood; gives the steps done: none where there is no file, or one of another."""
    try:
        with safe_open(folder / FILE, framework="pt") as file:
            said = file.metadata() or {}
            if said.get("mark") != mark:
                return 0
            step = int(said["step"])
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError):
        return 0  # cut off while it was written for the first time, or never written
    for index, one in enumerate(parameters):
        one.data.copy_(found[f"{index}"])
        optimizer.state[one] = {"step": torch.tensor(float(step)), **{n: found[f"{index}.{n}"] for n in _MOMENTS}}
    return step
