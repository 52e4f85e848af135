"""Models of the Hugging Face hub: the copy that is on this disk, else one that the hub's own client fetches."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pymemos.errors import UnknownModel

_HUB_ID: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def is_id(name: str) -> bool:
    """Whether a name is that of a model of the hub, as "owner/model"."""
    return _HUB_ID.fullmatch(name) is not None


def folder_of(
    name: str, wanted: Sequence[tuple[str, ...]], holds_model: Callable[[Path], bool], *, otherwise: str, install: str
) -> Path:
    """The folder with a model of the hub; raises UnknownModel where there is none and none can be fetched.

    ``wanted`` are the patterns of the files to fetch, the second best behind the best; ``otherwise`` says what to do
    with a model that has none of them, and ``install`` how to get the hub's client.
    """
    folder = _on_disk(name)
    for patterns in wanted:
        if folder is None or not holds_model(folder):
            folder = _fetched(name, patterns, install)
    if folder is None or not holds_model(folder):
        raise UnknownModel(f"the hub's model {name!r} {otherwise}")
    return folder


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


def _fetched(name: str, wanted: tuple[str, ...], install: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import EntryNotFoundError
    except ImportError as error:
        raise UnknownModel(f"{name!r} is not on this disk, and fetching it needs {error.name}: {install}") from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(wanted)))
    except (OSError, ValueError, EntryNotFoundError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnknownModel(
            f"{name!r} is no folder, no model of the catalogue, and cannot be fetched from the hub ({reason})"
        ) from error
