"""The local engine: a language model whose caches are memories, and whose layers can be steered and adapted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec
import torch
from torch import Tensor

from pymemos.cube.payload import ModelRef
from pymemos.cube.segment import INT8, is_loose
from pymemos.cube.steering import Effect, MadeSteering, SteeringItem
from pymemos.errors import ChatFailed, InvalidInput, ModelError, PromptTooLong, SegmentRefused
from pymemos.models.local import past, segments
from pymemos.models.local import steering as steering_vectors
from pymemos.models.local.attention import Watch
from pymemos.models.local.hooks import AdapterUse, Record, adapted, recorded, steered
from pymemos.models.local.identity import digest_of, identity_of, rope_of
from pymemos.models.local.past import LocalKv, Past
from pymemos.models.local.prompts import Template
from pymemos.models.local.sampling import Chooser, Stops, Words
from pymemos.ports import (
    Blender,
    BlendQuality,
    ChatOptions,
    Kv,
    Piece,
    Prompt,
    SegmentAbout,
    SteeringUse,
    Tokens,
    Usage,
    Utterance,
)

if TYPE_CHECKING:
    from pymemos.ports.models import Floats

_ROOM: Final = 512  # tokens of an answer for which room is set aside at once
_SAME: Final = {torch.float32: 0.005}  # how far logits that ought to be equal may be apart, of how far they spread
_ROUNDED: Final = 0.5  # the same for shorter floats: measured, rounding gives 0.2, and a prefix that is wrong 3
_STRIDE: Final = 331  # between the tokens of a trial: neighbours in a vocabulary are too much alike


class Layout(msgspec.Struct, frozen=True, eq=False):
    """Where the tokens of a pass stand, (tokens,), and what each sees: boolean, (1, 1, tokens, memory and new)."""

    positions: Tensor
    mask: Tensor


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

    def decode(self, tokens: Sequence[int]) -> str:
        """The text that tokens spell."""
        if tokens and not 0 <= min(tokens) <= max(tokens) < self.model.config.vocab_size:
            raise InvalidInput("the model has no such token; tokens are those that its own tokenizer gives")
        text: str = self.tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
        return text

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
        room = min(options.max_tokens, self.window - len(tokens), _ROOM)
        cache = self._past(before, len(tokens) + room)
        cached = cache.start
        row = self.forward(tokens[cached:], cache, steering=steering, adapters=adapters)
        yield from self.speak(row, cache, options, cached=cached, steering=steering, adapters=adapters)

    def speak(
        self,
        row: Tensor,
        cache: Past,
        options: ChatOptions,
        *,
        cached: int,
        steering: Sequence[SteeringUse] = (),
        adapters: Sequence[AdapterUse] = (),
    ) -> Iterator[Piece]:
        """The answer from the logits of a prompt's last token on; ``cache`` holds the prompt, and what is said."""
        size = cache.length
        limit = min(options.max_tokens, self.window - size)
        choose, words, stops = Chooser(options.temperature, options.seed), Words(self.tokenizer), Stops(options.stop)
        count, ended = 0, False
        while count < limit and not ended:
            token = choose(row)
            count, ended = count + 1, token in self.ends
            text = "" if ended else stops.add(words.add(token))
            ended = ended or stops.reached
            if text:
                yield Piece(text=text)
            if count < limit and not ended:
                row = self.forward((token,), cache, steering=steering, adapters=adapters)
        usage = Usage(prompt=size, cached=cached, completion=count)
        yield Piece(text=stops.rest(), finish="stop" if ended else "length", usage=usage)

    # ── Steering ────────────────────────────────────────────────────────────────────────────────────────────────────

    def make_steering(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        layers: Sequence[int] | None = None,
        scales: Sequence[float] | None = None,
    ) -> MadeSteering:
        """A vector from contrasting pairs."""
        return steering_vectors.make(self, pairs, layers=layers, scales=scales or steering_vectors.SCALES)

    def load_steering(self, file: memoryview, layers: Sequence[int]) -> dict[int, Tensor]:
        """The vectors of a file, by layer."""
        return steering_vectors.load(self, file, layers)

    def steering_effect(self, items: Sequence[SteeringItem], steering: Sequence[SteeringUse]) -> Effect:
        """What steerings do on labelled items."""
        return steering_vectors.measure(self, items, steering)

    # ── Blending (which stands on this engine, and so is imported when it is asked for) ─────────────────────────────

    def probe_blending(self, *, cases: int, on_case: Callable[[int], object] = lambda done: None) -> BlendQuality:
        """How near blended answers come to this model's own."""
        from pymemos.models.local.quality import probe

        return probe(self, cases=cases, on_case=on_case)

    def open_blender(self, quality: BlendQuality | None) -> Blender:
        """What blends, where the measurement allows it."""
        from pymemos.models.local.quality import open_blender

        return open_blender(self, quality)

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
        """The segment of a file, over the file's own bytes; an int8 one is restored into the host's memory."""
        if is_loose(about.form):
            raise SegmentRefused("a segment that was encoded apart has no place; only what blends can use it")
        sizes, dtype = self.sizes, self.model.dtype
        kv = segments.load(file, self.ref, about, tokens, start, rope=self._rope, sizes=sizes, dtype=dtype)
        restored = about.form == INT8 and self.device.type == "cpu"
        return msgspec.structs.replace(kv, on_device=restored)

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

    def new_past(self, end: int, before: Sequence[LocalKv] = ()) -> Past:
        """A cache behind segments, with room up to ``end``."""
        return self._past(before, end)

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
        return self.passed(tokens, cache, steering=steering, adapters=adapters)[-1]

    def passed(
        self,
        tokens: Sequence[int],
        cache: Past,
        *,
        layout: Layout | None = None,
        watch: Watch | None = None,
        record: Record | None = None,
        keep: int = 1,
        steering: Sequence[SteeringUse] = (),
        adapters: Sequence[AdapterUse] = (),
    ) -> Tensor:
        """The same with the logits of the last ``keep`` tokens, (keep, vocabulary), which are steered.

        ``layout`` puts tokens to other places, ``watch`` sees what is attended with, ``record`` what leaves layers.
        """
        start, count = cache.length, len(tokens)
        if min(tokens) < 0 or max(tokens) >= self.model.config.vocab_size:
            raise InvalidInput("the model has no such token; tokens are those that its own tokenizer gives")
        ids = torch.tensor([list(tokens)], device=self.device)
        places = torch.arange(start, start + count, device=self.device) if layout is None else layout.positions
        steer, adapt = steered(self.layers, steering, keep), adapted(self.model, adapters, start, count)
        with self.turn, steer, adapt, recorded(self.layers, record), torch.inference_mode():
            out = self.model(
                input_ids=ids,
                position_ids=places[None],
                attention_mask=None if layout is None else layout.mask,
                cache=cache,
                use_cache=True,
                logits_to_keep=keep,
                before=cache.before,
                watch=watch,
            )
        rows: Tensor = out.logits[0]
        return rows

    def check_injection(self) -> None:
        """Raise ModelError where logits after an injected prefix are not those of the whole prompt."""
        tokens = [index * _STRIDE % self.model.config.vocab_size for index in range(16)]
        whole = torch.from_numpy(self.logits(tokens))
        apart = torch.from_numpy(self.logits(tokens, prefix=[self.prefill(tokens[:9])]))
        difference = float((whole - apart).abs().max() / whole.std())
        if not difference <= _SAME.get(self.model.dtype, _ROUNDED):  # a comparison that NaN does not pass
            raise ModelError(
                f"what the model computed for a prefix cannot be used again; logits differ by {difference:.2g}"
            )


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    said = model.generation_config.eos_token_id if model.generation_config else None
    known = said if isinstance(said, list) else [said]
    return frozenset(token for token in [*known, tokenizer.eos_token_id] if token is not None)
