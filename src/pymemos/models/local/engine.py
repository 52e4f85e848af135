"""The local engine: a language model whose caches are memories, and whose layers can be steered and adapted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import torch
from torch import Tensor

from pymemos.cube.payload import ModelRef
from pymemos.errors import ChatFailed, InvalidInput, ModelError, PromptTooLong
from pymemos.models.local import past, segments
from pymemos.models.local.hooks import AdapterUse, adapted, steered
from pymemos.models.local.identity import digest_of, identity_of, rope_of
from pymemos.models.local.past import LocalKv, Past
from pymemos.models.local.prompts import Template
from pymemos.models.local.sampling import Chooser, Stops, Words
from pymemos.ports import ChatOptions, Kv, Piece, Prompt, SegmentAbout, SteeringUse, Tokens, Usage, Utterance

if TYPE_CHECKING:
    from pymemos.ports.models import Floats

_ROOM: Final = 512  # tokens of an answer for which room is set aside at once
_SAME: Final = {torch.float32: 1e-3, torch.bfloat16: 0.5}  # how far logits may be apart that ought to be equal


class LocalEngine:
    """An ``Engine`` over a causal language model of transformers, its tokenizer, and who they are.

    Several threads may use it: forward passes take turns. The model has to use the attention of this package.
    """

    def __init__(self, model: Any, tokenizer: Any, ref: ModelRef) -> None:
        self.model, self.tokenizer, self.ref = model, tokenizer, ref
        self.device: torch.device = model.device
        self._model = digest_of(ref)
        self.identity = identity_of(ref, self.device.type)
        self.window: int = model.config.max_position_embeddings
        self.layers: Sequence[torch.nn.Module] = model.get_decoder().layers
        self._rope = rope_of(model.config)
        self._template = Template(tokenizer)
        self.ends = _ends(model, tokenizer)
        self.turn = threading.Lock()  # held by who runs the model: forward passes take turns
        self._sizes: list[tuple[segments.Size, segments.Size]] = []

    # ── Prompts and answers ─────────────────────────────────────────────────────────────────────────────────────────

    def prompt(self, system: str, notes: Sequence[str], turns: Sequence[Utterance]) -> Prompt:
        """The pieces of a prompt, by the model's chat template."""
        return self._template.prompt(system, notes, turns)

    def text(self, text: str) -> Tokens:
        """The tokens of a text as it stands in a prompt."""
        return self._template.text(text)

    def stream(self, messages: Sequence[Utterance], options: ChatOptions) -> Iterator[Piece]:
        """The answer to messages of which the first may be the system's."""
        own = [one for one in messages if one.role == "system"]
        prompt = self.prompt("\n\n".join(one.content for one in own), (), [one for one in messages if one not in own])
        return self.run(prompt.tokens, options)

    def run(
        self,
        tokens: Sequence[int],
        options: ChatOptions,
        *,
        prefix: Sequence[Kv] = (),
        steering: Sequence[SteeringUse] = (),
        adapters: Sequence[AdapterUse] = (),
    ) -> Iterator[Piece]:
        """What the model says; ``adapters`` may be open only behind the prefix, which the model made without them."""
        if options.schema is not None:
            raise ChatFailed("a local model does not keep to a schema; use an endpoint that does")
        before = self._covering(tokens, prefix)
        start = before[-1].end if before else 0
        if any(bool(use.over(0, start).any()) for use in adapters):
            raise InvalidInput("an adapter's gate is open within the prefix, which was made without it")
        return self._answer(tuple(tokens), before, options, steering, adapters)

    def logits(self, tokens: Sequence[int], *, prefix: Sequence[Kv] = ()) -> Floats:
        """The logits of what follows the prompt."""
        before = self._covering(tokens, prefix)
        cache = self._past(before, len(tokens))
        row: Floats = self.forward(tokens[cache.start :], cache).float().cpu().numpy()
        return row

    def _covering(self, tokens: Sequence[int], prefix: Sequence[Kv]) -> list[LocalKv]:
        if not tokens:
            raise InvalidInput("a prompt has at least one token")
        if len(tokens) >= self.window:
            raise PromptTooLong(f"{len(tokens)} tokens leave no room for an answer in a window of {self.window}")
        return past.covering(tokens, prefix, self._model)

    def _answer(
        self,
        tokens: tuple[int, ...],
        before: Sequence[LocalKv],
        options: ChatOptions,
        steering: Sequence[SteeringUse],
        adapters: Sequence[AdapterUse],
    ) -> Iterator[Piece]:
        limit = min(options.max_tokens, self.window - len(tokens))
        cache = self._past(before, len(tokens) + min(limit, _ROOM))
        choose, words, stops = Chooser(options.temperature, options.seed), Words(self.tokenizer), Stops(options.stop)
        cached, given, count, ended = cache.start, tokens[cache.start :], 0, False
        while count < limit and not ended:
            token = choose(self.forward(given, cache, steering=steering, adapters=adapters))
            count, given, ended = count + 1, (token,), token in self.ends
            text = "" if ended else stops.add(words.add(token))
            ended = ended or stops.reached
            if text:
                yield Piece(text=text)
        usage = Usage(prompt=len(tokens), cached=cached, completion=count)
        yield Piece(text=stops.rest(), finish="stop" if ended else "length", usage=usage)

    # ── Segments ────────────────────────────────────────────────────────────────────────────────────────────────────

    def prefill(self, tokens: Sequence[int], *, prefix: Sequence[Kv] = ()) -> LocalKv:
        """Keys and values of ``tokens`` after the prefix."""
        if not tokens:
            raise InvalidInput("a segment has at least one token")
        before = past.chain(prefix, self._model)
        end = (before[-1].end if before else 0) + len(tokens)
        if end > self.window:
            raise PromptTooLong(f"{end} tokens do not fit into a window of {self.window}")
        cache = self._past(before, end)
        self.forward(tokens, cache)
        return cache.segment(self._model, tokens)

    def cut(self, kv: Kv, length: int) -> LocalKv:
        """The first tokens of a segment."""
        return self._own(kv).cut(length)

    def place(self, kv: Kv, *, on_device: bool) -> LocalKv:
        """The segment in the device's memory or the host's; where the model computes on the host, both are one."""
        return segments.placed(self._own(kv), self.device, on_device=on_device or self.device.type == "cpu")

    def dump(self, kv: Kv, about: SegmentAbout) -> BinaryIO:
        """The segment as a file."""
        return segments.dump(self._own(kv), self.ref, about, rope=self._rope)

    def load(self, file: memoryview, about: SegmentAbout, tokens: Sequence[int], start: int) -> LocalKv:
        """The segment of a file, over the file's own bytes; an int8 one is restored into memory."""
        sizes, dtype = self.sizes, self.model.dtype
        return segments.load(file, self.ref, about, tokens, start, rope=self._rope, sizes=sizes, dtype=dtype)

    @property
    def sizes(self) -> list[tuple[segments.Size, segments.Size]]:
        """For each layer the heads and the head size of keys, and of values."""
        if not self._sizes:
            layers = self.prefill([0]).layers
            self._sizes = [((k.shape[0], k.shape[2]), (v.shape[0], v.shape[2])) for k, v in layers]
        return self._sizes

    def _own(self, kv: Kv) -> LocalKv:
        return past.own(kv, self._model)

    # ── The forward pass ────────────────────────────────────────────────────────────────────────────────────────────

    def _past(self, before: Sequence[LocalKv], end: int) -> Past:
        start = before[-1].end if before else 0
        return Past(before, layers=len(self.layers), room=end - start, device=self.device)

    def forward(
        self,
        tokens: Sequence[int],
        cache: Past,
        *,
        steering: Sequence[SteeringUse] = (),
        adapters: Sequence[AdapterUse] = (),
    ) -> Tensor:
        """One pass over tokens behind those of the cache, which keeps them: the last one's logits, (vocabulary,)."""
        start, count = cache.length, len(tokens)
        if min(tokens) < 0 or max(tokens) >= self.model.config.vocab_size:
            raise InvalidInput("the model has no such token; tokens are those that its own tokenizer gives")
        ids = torch.tensor([list(tokens)], device=self.device)
        positions = torch.arange(start, start + count, device=self.device)[None]
        steer, adapt = steered(self.layers, steering), adapted(self.model, adapters, start, count)
        with self.turn, steer, adapt, torch.inference_mode():
            out = self.model(
                input_ids=ids,
                position_ids=positions,
                cache=cache,
                use_cache=True,
                logits_to_keep=1,
                before=cache.before,
            )
        row: Tensor = out.logits[0, -1]
        return row

    def check_injection(self) -> None:
        """Raise ModelError where logits after an injected prefix are not those of the whole prompt."""
        tokens = [index % self.model.config.vocab_size for index in range(16)]
        whole = torch.from_numpy(self.logits(tokens))
        apart = torch.from_numpy(self.logits(tokens, prefix=[self.prefill(tokens[:9])]))
        difference = float((whole - apart).abs().max())
        if not difference <= _SAME.get(self.model.dtype, 0.5):  # a comparison that NaN does not pass
            raise ModelError(
                f"what the model computed for a prefix cannot be used again (logits differ by {difference:.2g})"
            )


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    said = model.generation_config.eos_token_id if model.generation_config else None
    known = said if isinstance(said, list) else [said]
    return frozenset(token for token in [*known, tokenizer.eos_token_id] if token is not None)
