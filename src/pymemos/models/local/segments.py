"""Segments as safetensors files: written tensor by tensor, read where they lie once all around them is checked."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor

from pymemos.cube import segment
from pymemos.cube.payload import ModelRef
from pymemos.cube.segment import EXACT, INT8, SegmentAbout, is_loose
from pymemos.cube.tensors import Shape, Tensors, file_of
from pymemos.errors import SegmentRefused
from pymemos.models.local import identity
from pymemos.models.local.attention import Part
from pymemos.models.local.past import LocalKv

DTYPES: Final = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "I8": torch.int8}
_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}
_STEPS: Final = 127  # of int8, on each side of zero

Size = tuple[int, int]  # kv heads and head size


def dump(kv: LocalKv, ref: ModelRef, about: SegmentAbout, *, rope: str) -> BinaryIO:
    """A segment as a file to read; what of it is on the disk or device is fetched as the file is read."""
    said = segment.metadata(ref, about, kv.tokens, kv.start, rope=rope)
    sizes = [((keys.shape[0], keys.shape[2]), (values.shape[0], values.shape[2])) for keys, values in kv.layers]
    shapes = shapes_of(sizes, len(kv.tokens), kv.layers[0][0].dtype, about.form)

    def pieces() -> Iterator[bytes | memoryview]:
        yield from segment.begin(said, kv.tokens, shapes)
        for part in kv.layers:
            for states in part:
                yield from _written(states, about.form)

    return file_of(pieces())


def load(
    file: memoryview,
    ref: ModelRef,
    about: SegmentAbout,
    tokens: Sequence[int],
    start: int,
    *,
    rope: str,
    sizes: Sequence[tuple[Size, Size]],
    dtype: torch.dtype,
) -> LocalKv:
    """The segment of a file that is exactly what was expected; else SegmentRefused, before a tensor is looked at."""
    said = segment.metadata(ref, about, tokens, start, rope=rope)
    found = segment.check(file, said, tokens, shapes_of(sizes, len(tokens), dtype, about.form))
    read = _restored if about.form == INT8 else _mapped
    names = [f"layers.{index}" for index in range(len(sizes))]
    layers = tuple((read(found, f"{name}.k", dtype), read(found, f"{name}.v", dtype)) for name in names)
    return LocalKv(identity.digest_of(ref), start, tuple(tokens), layers, on_device=False)


def shapes_of(sizes: Sequence[tuple[Size, Size]], tokens: int, dtype: torch.dtype, form: str) -> list[Shape]:
    """The tensors of a file in order: ``layers.{i}.k|v`` as (kv heads, tokens, head size), scales behind each."""
    if form not in (EXACT, INT8) and not is_loose(form):
        raise SegmentRefused(f"there is no form {form!r} of a segment; there are {EXACT!r} and {INT8!r}")
    shapes = []
    for index, layer in enumerate(sizes):
        for name, (heads, size) in zip("kv", layer, strict=True):
            stored = "I8" if form == INT8 else _NAMES[dtype]
            shapes.append(Shape(f"layers.{index}.{name}", stored, (heads, tokens, size)))
            if form == INT8:
                shapes.append(Shape(f"layers.{index}.{name}_scale", "F32", (heads, tokens)))
    return shapes


def _written(states: Tensor, form: str) -> Iterator[memoryview]:
    if form == INT8:
        for tensor in _rounded(states):
            yield _bytes(tensor)
        return
    for head in states:  # one at a time: each lies in one piece, also where the room behind it is part of the buffer
        yield _bytes(head)


def _bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor; copied only where it does not lie in one piece in the host's memory."""
    whole = tensor.detach().cpu().contiguous()
    return whole.view(torch.uint8).numpy().data.cast("B")


def _rounded(states: Tensor) -> Part:
    """int8, and the float32 that one step is worth, for each head and token."""
    exact = states.float()
    scale = exact.abs().amax(dim=-1) / _STEPS
    steps = exact / scale.clamp_min(torch.finfo(torch.float32).tiny).unsqueeze(-1)
    return steps.round().clamp(-_STEPS, _STEPS).to(torch.int8), scale


def _restored(found: Tensors, name: str, dtype: torch.dtype) -> Tensor:
    scale = _mapped(found, f"{name}_scale", torch.float32)
    if not bool((scale.isfinite() & (scale >= 0)).all()):
        raise SegmentRefused(f"a scale of {name} is no number that a scale can be")
    return (_mapped(found, name, torch.int8).float() * scale.unsqueeze(-1)).to(dtype)


def _mapped(found: Tensors, name: str, dtype: torch.dtype) -> Tensor:
    """A tensor over the file's own bytes."""
    shape, _, _ = found.entries[name]
    return _over(found.bytes_of(name), dtype).view(shape.shape)


def _over(data: memoryview, dtype: torch.dtype) -> Tensor:
    _warned_of_read_only()
    return torch.frombuffer(data, dtype=dtype)


@functools.cache
def _warned_of_read_only() -> None:
    """Let torch say now, once and to nobody, that what lies over a read-only file cannot be written; nobody writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.frombuffer(memoryview(b"\0"), dtype=torch.uint8)


def placed(kv: LocalKv, device: torch.device, *, on_device: bool) -> LocalKv:
    """The segment with its tensors in memory: the device's, or the host's; without their file."""
    if on_device == kv.on_device:
        return kv
    target: Any = device if on_device else "cpu"
    layers = tuple((_copied(keys, target), _copied(values, target)) for keys, values in kv.layers)
    return LocalKv(kv.model, kv.start, kv.tokens, layers, on_device=on_device)


def _copied(states: Tensor, target: Any) -> Tensor:
    return torch.empty_like(states, device=target, memory_format=torch.contiguous_format).copy_(states)
