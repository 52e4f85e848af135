"""Models of the Hugging Face hub: the copy that is on this disk, else one that the hub's own client fetches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pymemos.errors import UnknownModel
from pymemos.models.embed.onnx import FILES, INSTALL

_WANTED: Final = ("*.json", "1_Pooling/*", "model.onnx*", "onnx/model.onnx*")  # torch's weights stay where they are
_SECOND_BEST: Final = ("onnx/model_quantized.onnx",)


def folder_of(name: str) -> Path:
    """The folder with a model of the hub; raises UnknownModel where there is none and none can be fetched."""
    folder = _on_disk(name)
    if folder is None or not _holds_model(folder):
        folder = _fetched(name, _WANTED)
    if not _holds_model(folder):
        folder = _fetched(name, _SECOND_BEST)
    if not _holds_model(folder):
        raise UnknownModel(f"the hub's model {name!r} has no ONNX file; export it with optimum, and name that folder")
    return folder


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in FILES)


def _on_disk(name: str) -> Path | None:
    """The copy in the cache of the hub's client."""
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:
        return None
    copies = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    main = copies / "refs" / "main"
    folder = copies / "snapshots" / main.read_text("utf-8").strip() if main.is_file() else None
    return folder if folder is not None and folder.is_dir() else None


def _fetched(name: str, wanted: tuple[str, ...]) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import EntryNotFoundError
    except ImportError as error:
        raise UnknownModel(f"{name!r} is not on this disk, and fetching it needs {error.name}: {INSTALL}") from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(wanted)))
    except (OSError, ValueError, EntryNotFoundError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnknownModel(
            f"{name!r} is no folder, no model of the catalogue, and cannot be fetched from the hub ({reason})"
        ) from error
