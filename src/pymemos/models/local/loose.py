"""Loose segments: a note's keys and values as they may stand anywhere in a prompt, near enough (ADR 0036).

They are approximate by nature. A note is encoded behind the system's text and several sets of fillers, each time cut
out, its keys turned back to position 0, and the whole averaged; at use the keys are turned to where the note stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import torch
from torch import Tensor

from pymemos.errors import ModelError, SegmentRefused
from pymemos.models.local.attention import Part
from pymemos.models.local.engine import LocalEngine
from pymemos.models.local.fillers import sets_for
from pymemos.models.local.identity import digest_of
from pymemos.models.local.past import LocalKv
from pymemos.ports import Tokens, Utterance

_ASKED: Final = (Utterance("user", "?"),)  # a prompt needs a conversation; its tokens are not used
_CHANGING: Final = ("dynamic", "longrope")  # rotations that depend on the length of the whole prompt
_TOLERANCE: Final = {torch.float32: 1e-3, torch.bfloat16: 3e-2}  # of keys that ought to be equal, by their largest


class Loose(msgspec.Struct, frozen=True, eq=False):
    """A note's keys, each as at position 0, and its values: (kv heads, tokens, head size) for each layer."""

    model: str  # a digest of the model's ref
    tokens: Tokens
    layers: tuple[Part, ...]

    @property
    def nbytes(self) -> int:
        """The size of the tensors."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)


class Rotation:
    """How a model turns keys by their positions, so that they can be turned on or back."""

    def __init__(self, engine: LocalEngine) -> None:
        """Raises ModelError for a model whose keys are turned in another way than by rotary embeddings of halves."""
        rotary: Any = getattr(engine.model.get_decoder(), "rotary_emb", None)
        kind = getattr(rotary, "rope_type", None)
        if not isinstance(getattr(rotary, "inv_freq", None), Tensor) or kind in _CHANGING:
            raise ModelError("the model's keys cannot be turned to other positions; its segments are used exactly only")
        self._frequencies = rotary.inv_freq.double().cpu()
        self._check(engine)

    def turned(self, keys: Tensor, by: Tensor) -> Tensor:
        """Keys (…, tokens, head size), each turned by so many positions (tokens,); angles are float64."""
        angles = torch.outer(by.double().cpu(), self._frequencies)
        cos, sin = (wave.to(keys.device, torch.float32) for wave in (angles.cos(), angles.sin()))
        half = cos.shape[1]
        first, second, rest = keys[..., :half].float(), keys[..., half : 2 * half].float(), keys[..., 2 * half :]
        turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(keys.dtype)
        return torch.cat([turned, rest], dim=-1) if rest.shape[-1] else turned

    def _check(self, engine: LocalEngine) -> None:
        """In the first layer a key depends on its token and position alone: so turning one has to give the other."""
        keys = engine.prefill([1] * 6).layers[0][0]
        back = self.turned(keys, -torch.arange(6))
        apart = (back - back[:, :1]).abs().max() / keys.abs().max().clamp_min(1e-9)
        if not float(apart) <= _TOLERANCE.get(keys.dtype, 3e-2):
            raise ModelError("the model turns keys in a way that is not known here; its segments are used exactly only")


class Loosener:
    """Encodes notes as loose segments, for prompts that begin with one system text."""

    def __init__(self, engine: LocalEngine, rotation: Rotation, system: str) -> None:
        self.system = system
        self._engine, self._rotation = engine, rotation
        self._model = digest_of(engine.ref)
        self._head: LocalKv | None = None

    def encode(self, note: str) -> Loose:
        """The average over the sets of fillers: float32 inside, kept in the model's dtype."""
        sums: list[list[Tensor]] = []
        sets = sets_for(note)
        tokens: Tokens = ()
        for fillers in sets:
            prompt = self._engine.prompt(self.system, (*fillers, note), _ASKED)
            tokens = prompt.notes[-1]
            before = [token for filler in prompt.notes[:-1] for token in filler]
            run = self._turned_back(self._behind(prompt.head, [*before, *tokens]), len(before))
            sums = (
                run
                if not sums
                else [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(sums, run, strict=True)]
            )
        dtype = self._engine.model.dtype
        layers = tuple((k.div(len(sets)).to(dtype), v.div(len(sets)).to(dtype)) for k, v in sums)
        return Loose(self._model, tokens, layers)

    def _behind(self, head: Tokens, tokens: Sequence[int]) -> LocalKv:
        """What the model computes for tokens behind the head of a prompt, which is computed once."""
        if head and (self._head is None or self._head.tokens != head):
            self._head = self._engine.prefill(head)
        return self._engine.prefill(tokens, prefix=[self._head] if self._head is not None and head else [])

    def _turned_back(self, kv: LocalKv, skip: int) -> list[list[Tensor]]:
        """What was computed behind the first ``skip`` tokens, in float32, with keys as at position 0."""
        back = -torch.arange(kv.start + skip, kv.end)
        return [[self._rotation.turned(k[:, skip:].float(), back), v[:, skip:].float()] for k, v in kv.layers]


def placed(loose: Sequence[Loose], start: int, rotation: Rotation, model: str) -> LocalKv:
    """Loose segments one behind the other from position ``start`` on; raises SegmentRefused for another model's."""
    if any(one.model != model for one in loose):
        raise SegmentRefused("a loose segment was made by another model")
    tokens = tuple(token for one in loose for token in one.tokens)
    places = torch.arange(start, start + len(tokens))
    layers = []
    for parts in zip(*(one.layers for one in loose), strict=True):
        keys, values = (torch.cat(states, dim=1) for states in zip(*parts, strict=True))
        layers.append((rotation.turned(keys, places), values))
    return LocalKv(model, start, tokens, tuple(layers))
