"""What a segment's file says of itself: the model, the place, the tokens and the memories that its KV was made from."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pymemos.cube.payload import ModelRef
from pymemos.cube.tensors import Shape, Tensors, expect, header, read
from pymemos.errors import SegmentRefused

FORMAT: Final = "pymemos-kv-1"
TOKEN_IDS: Final = "token_ids"  # noqa: S105 (the name of a tensor)
EXACT: Final = "exact"  # the model's own dtype
INT8: Final = "int8"  # lossy: eight bits, with a scale for each token and head
_LOOSE: Final = "loose-"  # how the recipes are called by which notes are encoded apart; each is a form of its own


class SegmentSource(msgspec.Struct, frozen=True):
    """A memory, as the version that a segment was made from."""

    id: str
    version: str
    content_hash: str


class SegmentAbout(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of a segment beside its tensors and its model: whose it is, and what it continues."""

    namespace: str
    sources: tuple[SegmentSource, ...] = ()
    prefix: str | None = None  # the hash of the blob that comes before it; None where it begins a prompt
    prefix_tokens: str | None = None  # tokens_digest() of all tokens before it
    form: str = EXACT


def is_loose(form: str | None) -> bool:
    """Whether a form is that of notes which were encoded apart, and so approximate: such a segment has no place."""
    return form is not None and form.startswith(_LOOSE)


def tokens_digest(tokens: Sequence[int]) -> str:
    """The SHA-256 of token ids as little-endian int32, in hexadecimal digits."""
    return hashlib.sha256(_ids(tokens)).hexdigest()


def metadata(ref: ModelRef, about: SegmentAbout, tokens: Sequence[int], start: int, *, rope: str) -> dict[str, str]:
    """Everything that has to agree before a segment is used, as the strings of the file's header (ADR 0007).

    ``rope`` is how positions are rotated into keys. A segment is always made by the model without an adapter.
    """
    return {
        "format": FORMAT,
        "form": about.form,
        "model": ref.name,
        "weights": ref.weights,
        "tokenizer": ref.tokenizer or "",
        "template": ref.template or "",
        "adapter": "",
        "dtype": ref.dtype or "",
        "rope": rope,
        "namespace": about.namespace,
        "start": str(start),
        "length": str(len(tokens)),
        "tokens": tokens_digest(tokens),
        "prefix": about.prefix or "",
        "prefix_tokens": about.prefix_tokens or "",
        "sources": msgspec.json.encode(about.sources).decode(),
    }


def begin(said: dict[str, str], tokens: Sequence[int], tensors: Sequence[Shape]) -> Iterator[bytes]:
    """How a segment's file begins: the header, and the token ids; the bytes of ``tensors`` follow, in that order."""
    yield header([_ids_shape(tokens), *tensors], said)
    yield _ids(tokens)


def check(file: memoryview, said: dict[str, str], tokens: Sequence[int], tensors: Sequence[Shape]) -> Tensors:
    """The tensors of a file that is exactly what was expected; else SegmentRefused, which says what differs."""
    if not tokens:
        raise SegmentRefused("a segment has at least one token")
    found = read(file)
    expect(found, [_ids_shape(tokens), *tensors], said)
    if found.bytes_of(TOKEN_IDS) != _ids(tokens):
        raise SegmentRefused("the file holds other token ids than its header says")
    return found


def tokens_in(file: memoryview, tokenizer: str | None) -> tuple[int, ...]:
    """The token ids of a segment's file, whoever made it; SegmentRefused where they are not of this tokenizer."""
    found = read(file)
    said = found.metadata
    if said.get("format") != FORMAT or not tokenizer or said.get("tokenizer") != tokenizer:
        raise SegmentRefused("the file is no segment whose tokens the local model knows")
    if TOKEN_IDS not in found.entries or found.entries[TOKEN_IDS][0].dtype != "I32":
        raise SegmentRefused("the file has no token ids")
    data = found.bytes_of(TOKEN_IDS)
    tokens: tuple[int, ...] = struct.unpack(f"<{len(data) // 4}i", data)
    if not tokens or said.get("tokens") != tokens_digest(tokens):
        raise SegmentRefused("the file holds other token ids than its header says")
    return tokens


def verify_blob(file: memoryview, blob: str) -> None:
    """Raise SegmentRefused where a file is not, to the last bit, the one that was stored under its hash.

    It reads every byte, and finds damage that leaves header and shapes whole.
    """
    if hashlib.sha256(file).hexdigest() != blob:
        raise SegmentRefused(f"the bytes of blob {blob[:12]}… are not those that were stored")


def _ids(tokens: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(tokens)}i", *tokens)


def _ids_shape(tokens: Sequence[int]) -> Shape:
    return Shape(TOKEN_IDS, "I32", (len(tokens),))
