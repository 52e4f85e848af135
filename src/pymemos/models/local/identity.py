"""The exact identity of a local model: fingerprints of everything that its keys and values depend on (ADR 0007)."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pymemos.cube.payload import ModelRef
from pymemos.errors import ModelError

KNOWN: Final = "fingerprints.json"  # in the cache folder: the digests of files that have not changed since
_WEIGHTS: Final = "*.safetensors"
_NOT_COMPUTED: Final = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")


def ref_of(name: str, folder: Path, config: Mapping[str, Any], tokenizer: Any, *, dtype: str, cache: Path) -> ModelRef:
    """Who a model is: the SHA-256 of its weights and settings, of its tokenizer and of its chat template."""
    return ModelRef(
        name=name,
        weights=_weights(folder, config, cache),
        tokenizer=_sha256(tokenizer.backend_tokenizer.to_str()),
        template=_sha256(tokenizer.chat_template or ""),
        dtype=dtype,
    )


def identity_of(ref: ModelRef, device: str) -> str:
    """A model and where it runs, in one name."""
    return f"{ref.name}@{digest_of(ref)[:16]} {ref.dtype} {device}"


def digest_of(ref: ModelRef) -> str:
    """Everything that a ref says, in one fingerprint."""
    return ref.digest


def rope_of(config: Any) -> str:
    """How positions are rotated into keys, in one canonical string."""
    return json.dumps(getattr(config, "rope_parameters", None) or {}, sort_keys=True, default=str)


def _weights(folder: Path, config: Mapping[str, Any], cache: Path) -> str:
    files = sorted(folder.glob(_WEIGHTS))
    if not files:
        raise ModelError(
            f"{folder} holds no weights as {_WEIGHTS}; other formats are not loaded, since they can run code"
        )
    known = _read_known(cache / KNOWN)
    digests = {file: known.get(_stamp(file)) or _digest(file) for file in files}
    _write_known(cache / KNOWN, {**known, **{_stamp(file): digest for file, digest in digests.items()}}, known)
    computed = {name: value for name, value in config.items() if name not in _NOT_COMPUTED}
    settings = json.dumps(computed, sort_keys=True, default=str)
    return _sha256("\n".join([*(f"{file.name} {digest}" for file, digest in digests.items()), settings]))


def _stamp(file: Path) -> str:
    """What stays as it is while a file does."""
    real = file.resolve()
    stat = real.stat()
    return f"{real} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _read_known(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}  # it only saves time: what cannot be read is computed again


def _write_known(path: Path, now: dict[str, str], before: dict[str, str]) -> None:
    if now == before:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        file.write(msgspec.json.encode(now))
    os.replace(file.name, path)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
