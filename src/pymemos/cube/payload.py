"""The payload of a MemCube: plaintext, activation or parametric memory, told apart by ``kind`` (4.1)."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import msgspec

from pymemos.cube.header import Extensible, share_default

_TEXT, _LORA = "text", "lora"


class ModelRef(Extensible, frozen=True):
    """The exact model that a tensor belongs to; any mismatch is a miss, never a guess."""

    name: str
    weights: str  # fingerprint of the weights
    tokenizer: str | None = None  # fingerprint
    template: str | None = None  # fingerprint of the chat template
    dtype: str | None = None  # "float32", "bfloat16", …

    @property
    def digest(self) -> str:
        """Everything that it says, in one fingerprint: SHA-256 in hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class Plaintext(Extensible, frozen=True, tag_field="kind", tag="plaintext"):
    """Text that people can read and edit; ``format`` says how to render it."""

    kind: ClassVar[str] = "plaintext"
    content: str
    format: str = _TEXT  # "text", "markdown", "json"; "episode" and "view" for manifests

    def __post_init__(self) -> None:
        share_default(self, "format", _TEXT)


class Activation(Extensible, frozen=True, tag_field="kind", tag="activation"):
    """A KV cache or a steering vector; the tensors are a safetensors blob named by its hash."""

    kind: ClassVar[str] = "activation"
    form: str  # "kv" or "steering"
    blob: str  # SHA-256 of the blob, 64 hexadecimal digits
    size: int  # bytes
    model: ModelRef
    tokens: int | None = None  # length of a KV segment
    start: int | None = None  # position of its first token; None for one that was encoded apart, for any place
    layers: tuple[int, ...] = ()  # empty: every layer
    scale: float | None = None  # strength of a steering vector
    encoding: str | None = None  # of a KV segment that is not exact: "int8", or by which recipe it was encoded apart
    prefix: str | None = None  # the blob of the segment that a KV segment goes on behind
    before: str | None = None  # digest of all tokens before a KV segment; for one apart, of how its prompts begin
    through: str | None = None  # digest of all tokens up to its end; for one apart, of its own
    seal: str | None = None  # keyed digest by the instance that encoded it; no other is ever injected


class Parametric(Extensible, frozen=True, tag_field="kind", tag="parametric"):
    """A LoRA adapter; the folder as PEFT writes it is one blob."""

    kind: ClassVar[str] = "parametric"
    blob: str  # SHA-256 of the blob, 64 hexadecimal digits
    size: int  # bytes
    model: ModelRef
    form: str = _LORA
    rank: int | None = None
    alpha: float | None = None
    modules: tuple[str, ...] = ()
    admitted: bool | None = None  # whether it passed its admission test; only then is it ever used
    seal: str | None = None  # keyed digest by the instance that trained it; no other is ever used

    def __post_init__(self) -> None:
        share_default(self, "form", _LORA)


Payload = Plaintext | Activation | Parametric
