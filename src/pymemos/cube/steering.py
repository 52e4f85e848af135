"""Steering vectors as files: a vector for each layer that is steered, and the model that they were taken from (4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from pymemos.cube.payload import ModelRef
from pymemos.cube.tensors import Shape, expect, header, read

FORMAT: Final = "pymemos-steering-1"
_NUMBER: Final = "F32"
_BYTES: Final = 4


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a steering does, on items that it was not made from.

    The margin of an item is how much likelier the wanted text is than the other one, in nats a token.
    """

    items: int
    before: float  # the mean margin without
    after: float  # and with the steering
    low: float  # the change lies between these, by the bootstrap's 95 % interval
    high: float

    @property
    def change(self) -> float:
        """What the steering adds to the margin."""
        return self.after - self.before

    @property
    def proven(self) -> bool:
        """Whether the interval leaves out that nothing changes, or that it changes the wrong way."""
        return self.low > 0


class SteeringItem(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled item: the answer to ``ask`` that is wanted, and one that is not."""

    ask: str
    wanted: str
    other: str


class MadeSteering(msgspec.Struct, frozen=True, kw_only=True):
    """A vector from contrasting pairs, as a file; layer and scale are those that did best on pairs held out."""

    file: bytes
    layers: tuple[int, ...]
    scale: float
    effect: Effect


def metadata(ref: ModelRef) -> dict[str, str]:
    """Everything that has to agree before a vector is used."""
    return {
        "format": FORMAT,
        "model": ref.name,
        "weights": ref.weights,
        "tokenizer": ref.tokenizer or "",
        "template": ref.template or "",
        "dtype": ref.dtype or "",
    }


def dump(ref: ModelRef, vectors: Mapping[int, bytes]) -> bytes:
    """The file of vectors by layer, each little-endian float32."""
    shapes = _shapes({layer: len(vector) // _BYTES for layer, vector in vectors.items()})
    return header(shapes, metadata(ref)) + b"".join(vectors[layer] for layer in sorted(vectors))


def load(file: memoryview, ref: ModelRef, layers: tuple[int, ...], width: int) -> dict[int, memoryview]:
    """The vectors of a file that is what was expected, to its last byte; else SegmentRefused, with the difference."""
    found = read(file)
    expect(found, _shapes(dict.fromkeys(layers, width)), metadata(ref))
    return {layer: found.bytes_of(_name(layer)) for layer in layers}


def _shapes(widths: Mapping[int, int]) -> list[Shape]:
    return [Shape(_name(layer), _NUMBER, (width,)) for layer, width in sorted(widths.items())]


def _name(layer: int) -> str:
    return f"layers.{layer}"
