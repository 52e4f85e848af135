"""Blending: a prompt whose notes were encoded apart, with the tokens that matter most computed again (ADR 0036).

It is approximate. The exact beginning of a prompt is taken as it is, loose segments are turned to their places, the
question is read once over all of that to see where it looks, and then one pass over the tokens that it looks at most
and the question gives the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import torch
from torch import Tensor

from pymemos.errors import InvalidInput, PromptTooLong
from pymemos.models.local import past
from pymemos.models.local.attention import Part
from pymemos.models.local.engine import Layout, LocalEngine
from pymemos.models.local.identity import digest_of
from pymemos.models.local.loose import Loose, Loosener, Rotation, placed
from pymemos.models.local.past import LocalKv, Past
from pymemos.ports import ChatOptions, Kv, Piece, Tokens

SHARE: Final = 0.15  # of the tokens of loose segments: how many are computed again


class Blend(msgspec.Struct, frozen=True, eq=False):
    """A prompt in memory, with the logits of what its last tokens say, (kept, vocabulary)."""

    cache: Past
    rows: Tensor
    loose: int  # tokens that came from loose segments
    recomputed: int  # how many of them were computed again

    @property
    def share(self) -> float:
        """The part of the loose tokens that was computed again."""
        return self.recomputed / self.loose if self.loose else 0.0


class Composer:
    """Encodes notes apart, and blends them; what it gives is to be trusted as far as a probe has measured it."""

    def __init__(self, engine: LocalEngine, *, share: float = SHARE) -> None:
        """Raises ModelError for a model whose keys cannot be turned."""
        if not 0 <= share <= 1:
            raise InvalidInput(f"share is {share}; pass a part between 0 and 1")
        self.engine, self.share = engine, share
        self.rotation = Rotation(engine)
        self._model = digest_of(engine.ref)
        self._loosener: Loosener | None = None

    def encode(self, note: str, *, system: str = "") -> Loose:
        """A note as a loose segment of prompts that begin with ``system``."""
        if self._loosener is None or self._loosener.system != system:
            self._loosener = Loosener(self.engine, self.rotation, system)
        return self._loosener.encode(note)

    def blend(self, prefix: Sequence[Kv], loose: Sequence[Loose], tail: Tokens, *, keep: int = 1) -> Blend:
        """The prompt of an exact beginning, loose segments and a tail, in memory; the last ``keep`` tokens' logits.

        Raises SegmentRefused where the prefix has a gap or is another model's, PromptTooLong beyond the window.
        """
        before = past.chain(prefix, self._model)
        start = before[-1].end if before else 0
        if not tail:
            raise InvalidInput("a prompt has a tail: at least one token that is read")
        size = start + sum(len(one.tokens) for one in loose) + len(tail)
        if size >= self.engine.window:
            raise PromptTooLong(f"{size} tokens leave no room for an answer in a window of {self.engine.window}")
        if not loose:
            cache = self.engine.new_past(size, before)
            return Blend(cache, self.engine.passed(tail, cache, keep=keep), 0, 0)
        middle = self.middle(loose, start)
        again = self.chosen(before, middle, tail)
        return self._passed(before, middle, again, tail, keep)

    def run(self, prefix: Sequence[Kv], loose: Sequence[Loose], tail: Tokens, options: ChatOptions) -> Iterator[Piece]:
        """What the model says after a blended prompt; the usage counts as cached what was not read again."""
        blend = self.blend(prefix, loose, tail)
        cached = blend.cache.length - len(tail) - blend.recomputed
        return self.engine.speak(blend.rows[-1], blend.cache, options, cached=cached)

    def middle(self, loose: Sequence[Loose], start: int) -> LocalKv:
        """Loose segments one behind the other from a position on, as one."""
        return placed(loose, start, self.rotation, self._model)

    def chosen(self, before: Sequence[LocalKv], middle: LocalKv, tail: Tokens) -> list[int]:
        """The indexes of the loose tokens that are computed again, in order."""
        budget = int(self.share * len(middle.tokens))
        if not budget:
            return []
        attention = _Attention(middle.start)
        self.engine.passed(tail, self.engine.new_past(middle.end + len(tail), [*before, middle]), watch=attention)
        best = attention.of_memory[: len(middle.tokens)].topk(budget).indices
        return sorted(best.tolist())

    def _passed(self, before: list[LocalKv], middle: LocalKv, again: list[int], tail: Tokens, keep: int) -> Blend:
        """One pass over the tokens that are computed again, and the tail, each of which sees what stands before it."""
        count, start = len(middle.tokens), middle.start
        kept = [index for index in range(count) if index not in set(again)]
        picked = torch.tensor(kept, dtype=torch.long, device=middle.layers[0][0].device)
        layers = tuple((keys[:, picked], values[:, picked]) for keys, values in middle.layers)
        rest = LocalKv(middle.model, start, tuple(middle.tokens[index] for index in kept), layers)
        places = torch.tensor([*again, *range(count, count + len(tail))]) + start
        known = torch.cat([torch.arange(start), torch.tensor(kept, dtype=torch.long) + start, places])
        mask = (known[None] <= places[:, None])[None, None]
        layout = Layout(places.to(self.engine.device), mask.to(self.engine.device))
        cache = self.engine.new_past(start + count + len(tail), [*before, rest])
        tokens = [*(middle.tokens[index] for index in again), *tail]
        return Blend(cache, self.engine.passed(tokens, cache, layout=layout, keep=keep), count, len(again))


class _Attention:
    """How much a question looks at each token of memory from ``start`` on: the most of any of its tokens, summed."""

    def __init__(self, start: int) -> None:
        self._start = start
        self.of_memory = torch.zeros(0)

    def __call__(self, query: Tensor, parts: Sequence[Part], key: Tensor, scaling: float | None) -> None:
        """Add what a layer attends with: (1, heads, new, size) against the parts, and the new before each."""
        keys = torch.cat([*(keys for keys, _ in parts), key], dim=2)
        grouped = query.reshape(1, keys.shape[1], -1, *query.shape[2:])  # heads that share keys, beside each other
        scores = (grouped @ keys.unsqueeze(2).transpose(-1, -2)).float() * (scaling or query.shape[-1] ** -0.5)
        new, there = query.shape[2], keys.shape[2]
        later = torch.ones(new, there, dtype=torch.bool, device=query.device).triu(there - new + 1)
        weights = scores.masked_fill(later, float("-inf")).softmax(dim=-1)
        looked = weights[..., self._start : there - new].amax(dim=-2).sum(dim=(0, 1, 2)).cpu()
        self.of_memory = self.of_memory + looked if len(self.of_memory) else looked
