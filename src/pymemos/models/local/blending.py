"""Blending: a prompt whose notes were encoded apart, with the tokens that matter most computed again (ADR 0036).

It is approximate. The exact beginning of a prompt is taken as it is, loose segments are turned to their places, the
question is read once over all of that to see where it looks, and then one pass over the tokens that it looks at most
and the question gives the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import msgspec
import torch
from torch import Tensor

from pymemos.errors import InvalidInput, PromptTooLong, SegmentRefused
from pymemos.models.local import loose as looseness
from pymemos.models.local import past, segments
from pymemos.models.local.attention import Part
from pymemos.models.local.engine import Layout, LocalEngine
from pymemos.models.local.fillers import RECIPE
from pymemos.models.local.identity import digest_of, rope_of
from pymemos.models.local.loose import Loose, Loosener, Rotation, placed
from pymemos.models.local.past import LocalKv, Past
from pymemos.ports import Blended, ChatOptions, Kv, Piece, SegmentAbout, Tokens
from pymemos.ports import Loose as AnyLoose

SHARE: Final = 0.15  # of the tokens of loose segments: how many are computed again
SHARES: Final = (SHARE, 0.2, 0.25, 0.3, 0.4)  # those that a probe tries


class Blend(msgspec.Struct, frozen=True, eq=False):
    """A prompt in memory, with the logits of what its last tokens say, (kept, vocabulary)."""

    cache: Past
    rows: Tensor
    loose: int = 0  # tokens that came from loose segments
    again: tuple[int, ...] = ()  # those that were computed again, counted from the end of the exact beginning
    layers: tuple[Part, ...] = ()  # everything behind the exact beginning, in the order of the prompt

    @property
    def recomputed(self) -> int:
        """How many tokens of loose segments were computed again."""
        return len(self.again)

    @property
    def share(self) -> float:
        """The part of the loose tokens that was computed again."""
        return self.recomputed / self.loose if self.loose else 0.0


class Middle(msgspec.Struct, frozen=True, eq=False):
    """What stands between the exact beginning of a prompt and its tail: tokens, and for some keys and values."""

    tokens: Tokens
    known: tuple[int, ...]  # the indexes of those that come from loose segments
    kv: LocalKv  # of these, in their order


class Composer:
    """Encodes notes apart, and blends them; what it gives is to be trusted as far as a probe has measured it."""

    def __init__(self, engine: LocalEngine, *, share: float = SHARE) -> None:
        """Raises ModelError for a model whose keys cannot be turned."""
        self.recipe = RECIPE
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

    def dump(self, loose: AnyLoose, about: SegmentAbout) -> BinaryIO:
        """A loose segment as a file."""
        mine = looseness.own(loose, self._model)
        _check_recipe(about)
        kv = LocalKv(mine.model, 0, mine.tokens, mine.layers)
        return segments.dump(kv, self.engine.ref, about, rope=rope_of(self.engine.model.config))

    def load(self, file: memoryview, about: SegmentAbout, tokens: Sequence[int]) -> Loose:
        """The loose segment of a file, over the file's own bytes."""
        _check_recipe(about)
        engine = self.engine
        rope, sizes, dtype = rope_of(engine.model.config), engine.sizes, engine.model.dtype
        kv = segments.load(file, engine.ref, about, tokens, 0, rope=rope, sizes=sizes, dtype=dtype)
        return Loose(kv.model, kv.tokens, kv.layers)

    def compose(self, prefix: Sequence[Kv], parts: Sequence[AnyLoose | Tokens], tail: Tokens) -> Blended:
        """The prompt behind its exact beginning as one segment, without its last token, which the engine reads."""
        blend = self.blend(prefix, parts, tail)
        start = sum(len(kv.tokens) for kv in prefix)
        tokens = (*(token for part in parts for token in _tokens(part)), *tail)
        return Blended(kv=LocalKv(self._model, start, tokens, blend.layers).cut(len(tokens) - 1), again=blend.again)

    def blend(self, prefix: Sequence[Kv], parts: Sequence[AnyLoose | Tokens], tail: Tokens, *, keep: int = 1) -> Blend:
        """The prompt of an exact beginning, loose segments and a tail, in memory; the last ``keep`` tokens' logits.

        Parts that are tokens are read. Raises SegmentRefused where the prefix has a gap or anything is another model's,
        PromptTooLong beyond the window.
        """
        before = past.chain(prefix, self._model)
        start = before[-1].end if before else 0
        if not tail:
            raise InvalidInput("a prompt has a tail: at least one token that is read")
        size = start + sum(len(_tokens(part)) for part in parts) + len(tail)
        if size >= self.engine.window:
            raise PromptTooLong(f"{size} tokens leave no room for an answer in a window of {self.engine.window}")
        if all(isinstance(part, tuple) for part in parts):
            cache = self.engine.new_past(size, before)
            rows = self.engine.passed([*(token for part in parts for token in _tokens(part)), *tail], cache, keep=keep)
            return Blend(cache, rows, layers=cache.segment(self._model, ()).layers)
        middle = self.middle(parts, start)
        return self._passed(before, middle, self.chosen(before, middle, tail), tail, keep)

    def run(
        self, prefix: Sequence[Kv], parts: Sequence[AnyLoose | Tokens], tail: Tokens, options: ChatOptions
    ) -> Iterator[Piece]:
        """What the model says after a blended prompt; the usage counts as cached what was not read again."""
        blend = self.blend(prefix, parts, tail)
        exact = sum(len(kv.tokens) for kv in prefix)
        return self.engine.speak(blend.rows[-1], blend.cache, options, cached=exact + blend.loose - blend.recomputed)

    def middle(self, parts: Sequence[AnyLoose | Tokens], start: int) -> Middle:
        """Parts one behind the other from a position on, with what is known of their tokens."""
        tokens: list[int] = []
        known: list[int] = []
        loose = []
        for part in parts:
            if not isinstance(part, tuple):
                loose.append(looseness.own(part, self._model))
                known += range(len(tokens), len(tokens) + len(part.tokens))
            tokens += _tokens(part)
        layers = placed(loose, [start + index for index in known], self.rotation, self.engine.device)
        kv = LocalKv(self._model, start, tuple(tokens[index] for index in known), layers)
        return Middle(tuple(tokens), tuple(known), kv)

    def chosen(self, before: Sequence[LocalKv], middle: Middle, tail: Tokens) -> list[int]:
        """The indexes of the loose tokens that are computed again, in order."""
        budget = int(self.share * len(middle.known))
        if not budget:
            return []
        attention, count = _Attention(middle.kv.start), len(middle.known)
        first = middle.kv.start + len(middle.tokens)
        cache = self.engine.new_past(middle.kv.end + len(tail), [*before, middle.kv])
        there = [*range(middle.kv.start), *(middle.kv.start + index for index in middle.known)]
        places = list(range(first, first + len(tail)))
        has_gaps = count < len(middle.tokens)  # without any, the usual causal pass over the parts is the quicker one
        layout = self._layout(places, [*there, *places]) if has_gaps else None
        self.engine.passed(tail, cache, layout=layout, watch=attention)
        best = attention.of_memory[:count].topk(budget).indices
        return sorted(middle.known[index] for index in best.tolist())

    def _layout(self, places: Sequence[int], known: Sequence[int]) -> Layout:
        """Tokens at some places, of which each sees what stands before it, and itself."""
        here, there = torch.tensor(places), torch.tensor(known)
        mask = (there[None] <= here[:, None])[None, None]
        return Layout(here.to(self.engine.device), mask.to(self.engine.device))

    def _passed(self, before: list[LocalKv], middle: Middle, again: list[int], tail: Tokens, keep: int) -> Blend:
        """One pass over the tokens that are computed again, those that are read, and the tail."""
        start, size = middle.kv.start, len(middle.tokens) + len(tail)
        anew = frozenset(again)
        known = [place for place, index in enumerate(middle.known) if index not in anew]
        kept = [middle.known[place] for place in known]
        picked = torch.tensor(known, dtype=torch.long, device=self.engine.device)
        layers = tuple((keys[:, picked], values[:, picked]) for keys, values in middle.kv.layers)
        rest = LocalKv(self._model, start, tuple(middle.tokens[index] for index in kept), layers)
        new = sorted(set(range(size)) - set(kept))
        places = [start + index for index in new]
        layout = self._layout(places, [*range(start), *(start + index for index in kept), *places])
        cache = self.engine.new_past(start + size, [*before, rest])
        tokens = [*middle.tokens, *tail]
        rows = self.engine.passed([tokens[index] for index in new], cache, layout=layout, keep=keep)
        merged = _merged(layers, kept, cache.segment(self._model, ()).layers, new)
        return Blend(cache, rows, len(middle.known), tuple(again), merged)


def _tokens(part: AnyLoose | Tokens) -> Tokens:
    return part if isinstance(part, tuple) else part.tokens


def _check_recipe(about: SegmentAbout) -> None:
    if about.form != RECIPE:
        raise SegmentRefused(f"the segment is of form {about.form!r}, and notes are encoded apart by {RECIPE!r} here")


def _merged(
    layers: Sequence[Part], kept: Sequence[int], others: Sequence[Part], new: Sequence[int]
) -> tuple[Part, ...]:
    """Keys and values of two sets of tokens in the order of their indexes."""
    order = torch.tensor([*kept, *new]).argsort()
    return tuple(
        (torch.cat([k, more_k], dim=1)[:, order.to(k.device)], torch.cat([v, more_v], dim=1)[:, order.to(v.device)])
        for (k, v), (more_k, more_v) in zip(layers, others, strict=True)
    )


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
