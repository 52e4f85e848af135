"""What a forward pass finds of the tokens before it: segments of memory, and room for what the run itself computes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from pymemos.errors import SegmentRefused
from pymemos.models.local.attention import Part
from pymemos.ports import Kv, Tokens

SHORT: Final = 256  # tokens; below it, a part costs more as one more call in every layer than as a copy
SPARE: Final = 256  # tokens of room that is added when there is none left


class LocalKv(msgspec.Struct, frozen=True, eq=False):
    """A segment: for each layer keys and values, (kv heads, tokens, head size), which nobody changes."""

    model: str  # a digest of the model's ref: who made it
    start: int
    tokens: Tokens
    layers: tuple[Part, ...]
    on_device: bool = True

    @property
    def nbytes(self) -> int:
        """The size of the tensors."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)

    @property
    def end(self) -> int:
        """The position behind the last token."""
        return self.start + len(self.tokens)

    def cut(self, length: int) -> LocalKv:
        """The first tokens, of which no number is copied."""
        layers = tuple((keys[:, :length], values[:, :length]) for keys, values in self.layers)
        return msgspec.structs.replace(self, tokens=self.tokens[:length], layers=layers)


def own(kv: Kv, model: str) -> LocalKv:
    """A segment that this model made; else SegmentRefused."""
    if not isinstance(kv, LocalKv) or kv.model != model:
        raise SegmentRefused("the segment was made by another model")
    return kv


def chain(prefix: Iterable[Kv], model: str) -> list[LocalKv]:
    """Segments of this model that begin a prompt and follow on each other; else SegmentRefused."""
    end, before = 0, []
    for kv in (own(one, model) for one in prefix):
        if kv.start != end:
            raise SegmentRefused(f"a segment begins at {kv.start}, and those before it end at {end}")
        end = kv.end
        before.append(kv)
    return before


def covering(tokens: Sequence[int], prefix: Iterable[Kv], model: str) -> list[LocalKv]:
    """A chain that is how ``tokens`` begin, without the last of them: that one is read in any case."""
    before = chain(prefix, model)
    end = before[-1].end if before else 0
    if end > len(tokens) or any(kv.tokens != tuple(tokens[kv.start : kv.end]) for kv in before):
        raise SegmentRefused("the prompt does not begin with the tokens of the prefix")
    if end == len(tokens):
        before[-1] = before[-1].cut(len(before[-1].tokens) - 1)
    return [kv for kv in before if kv.tokens]


class Past(Cache):  # type: ignore[misc] # transformers is typed too loosely to be checked
    """A cache of transformers: ``before`` has for each layer the parts from memory; what is new lies behind them."""

    def __init__(self, segments: Sequence[LocalKv], *, layers: int, room: int, device: torch.device) -> None:
        self.start = segments[-1].end if segments else 0
        self.before: list[list[Part]] = [
            _parts([kv.layers[index] for kv in segments], device) for index in range(layers)
        ]
        self.recent = [_Recent(self.start, room) for _ in range(layers)]
        super().__init__(layers=list(self.recent))

    @property
    def length(self) -> int:
        """How many tokens there are, before and new."""
        return self.start + self.recent[0].length

    def segment(self, model: str, tokens: Sequence[int]) -> LocalKv:
        """What this run computed, as a segment of its own."""
        layers = tuple((layer.keys[0, :, : layer.length], layer.values[0, :, : layer.length]) for layer in self.recent)
        return LocalKv(model, self.start, tuple(tokens), layers)


class _Recent(CacheLayerMixin):  # type: ignore[misc]
    """The keys and values of one run in one layer: written once into room that was set aside."""

    is_sliding = False

    def __init__(self, start: int, room: int) -> None:
        super().__init__()
        self.start, self.room, self.length = start, room, 0
        self.keys: Tensor
        self.values: Tensor

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Set the room aside."""
        self.keys, self.values = (_empty(states, self.room) for states in (key_states, value_states))
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> Part:
        """Write what is new behind what there is; gives all of this run."""
        new = key_states.shape[2]
        self.room = max(self.room, new)
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + new
        if end > self.keys.shape[2]:
            self.keys, self.values = (_grown(states, self.length, end + SPARE) for states in (self.keys, self.values))
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The tokens that a mask would go over, and where they begin."""
        return self.start + self.length + query_length, 0

    def get_seq_length(self) -> int:
        """All tokens, those from memory with them."""
        return self.start + self.length

    def get_max_length(self) -> int:
        """No limit of its own."""
        return -1


def _empty(like: Tensor, room: int) -> Tensor:
    one, heads, _, size = like.shape
    return torch.empty((one, heads, room, size), dtype=like.dtype, device=like.device)


def _grown(states: Tensor, length: int, room: int) -> Tensor:
    larger = _empty(states, room)
    larger[:, :, :length] = states[:, :, :length]
    return larger


def _parts(segments: Sequence[Part], device: torch.device) -> list[Part]:
    """Segments of one layer as parts of attention: long ones as they lie, short neighbours joined."""
    parts: list[Part] = []
    short: list[Part] = []
    for keys, values in segments:
        if keys.shape[1] < SHORT:
            short.append((keys, values))
            continue
        parts += [*_joined(short), (keys[None], values[None])]
        short = []
    return [(keys.to(device), values.to(device)) for keys, values in [*parts, *_joined(short)]]


def _joined(short: Sequence[Part]) -> list[Part]:
    if not short:
        return []
    keys, values = (torch.cat(one, dim=1)[None] for one in zip(*short, strict=True))
    return [(keys, values)]
