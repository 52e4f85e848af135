"""Safetensors files as bytes: written in pieces without a copy, read with every length checked before it is used."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import BinaryIO, Final

import msgspec

from pymemos.errors import SegmentRefused

SIZES: Final = {"U8": 1, "I8": 1, "I32": 4, "BF16": 2, "F16": 2, "F32": 4}  # bytes of a number, by the format's names
ALIGNED: Final = 64  # the data begins at a multiple of it, so that a mapped file can be read as numbers
LONGEST_HEADER: Final = 16 << 20  # bytes; a segment of a hundred layers needs some twenty thousand
_LENGTH: Final = struct.Struct("<Q")
_METADATA: Final = "__metadata__"


class Shape(msgspec.Struct, frozen=True):
    """A tensor's name, the name of its dtype, and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """What the tensor takes."""
        return SIZES[self.dtype] * math.prod(self.shape)


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class Tensors(msgspec.Struct, frozen=True):
    """What the header of a file says, and the data behind it: ``data[begin:end]`` for each tensor."""

    metadata: dict[str, str]
    entries: dict[str, tuple[Shape, int, int]]
    data: memoryview

    def bytes_of(self, name: str) -> memoryview:
        """The bytes of a tensor, not copied."""
        _, begin, end = self.entries[name]
        return self.data[begin:end]


def header(tensors: Iterable[Shape], metadata: dict[str, str]) -> bytes:
    """How a file begins: the length of the JSON, and the JSON, padded with spaces so that the data is aligned."""
    fields: dict[str, object] = {_METADATA: metadata}
    end = 0
    for one in tensors:
        begin, end = end, end + one.nbytes
        fields[one.name] = _Entry(one.dtype, one.shape, (begin, end))
    text = msgspec.json.encode(fields)
    text += b" " * (-(len(text) + _LENGTH.size) % ALIGNED)
    return _LENGTH.pack(len(text)) + text


def read(file: memoryview) -> Tensors:
    """What a file says of itself; raises SegmentRefused where that cannot be, and touches no tensor.

    Tensors have to lie one behind the other, without gaps, and fill the file: nothing can hide in it.
    """
    file = file.cast("B")
    fields = _fields(file)
    data = file[_LENGTH.size + _LENGTH.unpack_from(file)[0] :]
    try:
        metadata = msgspec.json.decode(fields.pop(_METADATA, b"{}"), type=dict[str, str])
        entries = {name: msgspec.json.decode(raw, type=_Entry) for name, raw in fields.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SegmentRefused(f"the file's header is not that of safetensors ({error})") from error
    return Tensors(metadata, _placed(entries, len(data)), data)


def _fields(file: memoryview) -> dict[str, msgspec.Raw]:
    if len(file) < _LENGTH.size:
        raise SegmentRefused(f"the file has {len(file)} bytes, too few for the length of a header")
    length = _LENGTH.unpack_from(file)[0]
    if length > min(LONGEST_HEADER, len(file) - _LENGTH.size):
        raise SegmentRefused(f"the file has {len(file)} bytes and says that its header has {length}")
    text = file[_LENGTH.size : _LENGTH.size + length]
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SegmentRefused(f"the file's header is no JSON object ({error})") from error


def _placed(entries: dict[str, _Entry], size: int) -> dict[str, tuple[Shape, int, int]]:
    placed, reached = {}, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        begin, end = entry.data_offsets
        if entry.dtype not in SIZES or min(entry.shape, default=0) < 0:
            raise SegmentRefused(f"tensor {name!r} has dtype {entry.dtype!r} and shape {entry.shape}")
        shape = Shape(name, entry.dtype, entry.shape)
        if begin != reached or end - begin != shape.nbytes:
            raise SegmentRefused(f"tensor {name!r} is said to lie at {begin}–{end}, behind {reached}")
        placed[name], reached = (shape, begin, end), end
    if reached != size:
        raise SegmentRefused(f"the file has {size} bytes of data, and its header speaks of {reached}")
    return placed


def file_of(pieces: Iterator[bytes | memoryview]) -> BinaryIO:
    """A file to read once, whose bytes come from an iterator: a large one is stored without being whole in memory."""
    return io.BufferedReader(_Pieces(pieces))


class _Pieces(io.RawIOBase):
    """What ``file_of`` reads from."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        """Fill ``target`` with what comes next; 0 at the end."""
        target = memoryview(target).cast("B")
        filled = 0
        while filled < len(target):
            if not self._left:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._left = memoryview(piece).cast("B")
                continue
            taken = self._left[: len(target) - filled]
            target[filled : filled + len(taken)] = taken
            self._left = self._left[len(taken) :]
            filled += len(taken)
        return filled


def expect(found: Tensors, tensors: Sequence[Shape], metadata: dict[str, str]) -> None:
    """Raise SegmentRefused, naming the first difference, where a file is not exactly what was expected."""
    for name in metadata.keys() | found.metadata.keys():
        if found.metadata.get(name) != metadata.get(name):
            said, wanted = found.metadata.get(name), metadata.get(name)
            raise SegmentRefused(f"the file's {name} is {_short(said)}, and {_short(wanted)} is needed")
    shapes = [shape for shape, _, _ in found.entries.values()]
    if shapes != list(tensors):
        is_, needed = next(pair for pair in zip_longest(shapes, tensors) if pair[0] != pair[1])
        raise SegmentRefused(f"the file holds {_short(is_)} where {_short(needed)} is needed")


def _short(value: object) -> str:
    text = repr(value) if value is not None else "nothing"
    return text if len(text) <= 120 else f"{text[:117]}…"
