"""What was measured of models, kept beside them: it is about a model, whatever store is used with it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from pymemos.cube.blending import BlendQuality
from pymemos.cube.payload import ModelRef


def keep(quality: BlendQuality, cache: Path) -> Path:
    """Write what a probe of blending found into the folder where models are kept; gives the file."""
    cache.mkdir(parents=True, exist_ok=True)
    path = _file(cache, quality.model)
    with tempfile.NamedTemporaryFile(dir=cache, prefix=f".{path.name}-", delete=False) as file:
        file.write(msgspec.json.format(msgspec.json.encode(quality)))
    os.replace(file.name, path)
    return path


def kept(ref: ModelRef, cache: Path) -> BlendQuality | None:
    """What a probe of a model found; None where there was none, or its file cannot be read: then probe again."""
    try:
        return msgspec.json.decode(_file(cache, ref.digest).read_bytes(), type=BlendQuality)
    except (OSError, msgspec.MsgspecError):
        return None


def _file(cache: Path, model: str) -> Path:
    return cache / f"blend-{model[:16]}.json"
