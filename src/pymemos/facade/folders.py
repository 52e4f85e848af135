"""Folders that are written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pymemos.errors import InvalidInput, StoreError


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder of files: beside the place that it gets when it is whole, so that no half of it is left."""
    if folder.exists():
        raise InvalidInput(f"{folder} exists; name a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name[:100]}-") as aside:
            partial = Path(aside) / "whole"
            partial.mkdir()
            for name, data in files.items():
                (partial / name).write_bytes(data)
            partial.rename(folder)
    except OSError as error:
        said = error.strerror or error
        raise StoreError(f"{folder} cannot be written ({said}); name another folder, or make room there") from error
