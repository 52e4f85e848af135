"""A toy engine, without a model: what it keeps of a token depends on all tokens before it, as real keys do."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from pymemos.cube import segment, steering
from pymemos.cube.payload import ModelRef
from pymemos.cube.segment import SegmentAbout
from pymemos.cube.steering import Effect, MadeSteering, SteeringItem
from pymemos.cube.tensors import Shape, file_of
from pymemos.errors import ChatFailed, InvalidInput, PromptTooLong, SegmentRefused
from pymemos.ports import (
    Blender,
    BlendQuality,
    ChatOptions,
    Kv,
    Piece,
    Prompt,
    SteeringUse,
    Tokens,
    Usage,
    Utterance,
)
from pymemos.testing import toy_blender

if TYPE_CHECKING:
    from pymemos.ports.models import Floats

BYTES: Final = 256  # a token is a byte of UTF-8, or one of the marks behind them
MARKS: Final = {"system": 256, "user": 257, "assistant": 258}
END: Final = 259
VOCABULARY: Final = 260
LEAST_PAIRS: Final = 6  # that a steering vector is made from
WIDTH: Final = 16  # bytes that are kept of a token
_SAYS: Final = (*b" etaoinshrdlu", END)  # the tokens that answers are made of


class ToyKv(msgspec.Struct, frozen=True):
    """The states of consecutive tokens, ``WIDTH`` bytes each: a token's is a digest of it and the state before."""

    model: str
    start: int
    tokens: Tokens
    states: bytes | memoryview
    on_device: bool = True

    @property
    def nbytes(self) -> int:
        """The size of the states."""
        return len(self.states)


class ToyEngine:
    """An engine for tests, exact where the prefix is exact: an answer is a function of the last token's state.

    It keeps the whole contract of engines, files and their checks too. ``seed`` stands for the weights: engines of two
    seeds refuse each other's segments. ``read`` counts the tokens that were read, and not taken from a prefix. The
    vectors of a steering are a mapping from layers to numbers. What blends is exact; a probe finds ``divergence``.
    """

    def __init__(self, *, seed: int = 0, window: int = 8_192, divergence: float = 0.0) -> None:
        self.divergence = divergence
        self.window = window
        self.read = 0
        self._weights = blake2b(f"toy {seed}".encode(), digest_size=32).hexdigest()
        self.ref = ModelRef(name="toy", weights=self._weights, tokenizer="bytes", template="marks", dtype="uint8")
        self.identity = f"toy@{self._weights[:16]}"

    def prompt(self, system: str, notes: Sequence[str], turns: Sequence[Utterance]) -> Prompt:
        """A mark for the role, the text, a mark for its end; notes stand in the system's message, each on a line."""
        tail = [END]
        for turn in turns:
            tail += [MARKS[turn.role], *_bytes(turn.content), END]
        return Prompt(
            head=(MARKS["system"], *_bytes(system)),
            notes=tuple(tuple(_bytes(f"\n{note}")) for note in notes),
            tail=(*tail, MARKS["assistant"]),
        )

    def decode(self, tokens: Sequence[int]) -> str:
        """The bytes; marks are left out."""
        if tokens and not 0 <= min(tokens) <= max(tokens) < VOCABULARY:
            raise InvalidInput("the toy has no such token")
        return bytes(token for token in tokens if token < BYTES).decode("utf-8", "replace")

    def prefill(self, tokens: Sequence[int], *, prefix: Sequence[Kv] = ()) -> ToyKv:
        """States chained on from those of the prefix, whatever they are: wrong ones give wrong answers."""
        before = self._chain(prefix)
        start = _end(before)
        if not tokens:
            raise InvalidInput("a segment has at least one token")
        if start + len(tokens) > self.window:
            raise PromptTooLong(f"{start + len(tokens)} tokens do not fit into a window of {self.window}")
        return ToyKv(self._weights, start, tuple(tokens), self._states(tokens, _last(before)))

    def cut(self, kv: Kv, length: int) -> ToyKv:
        """The states of the first tokens."""
        own = self._own(kv)
        return msgspec.structs.replace(own, tokens=own.tokens[:length], states=own.states[: length * WIDTH])

    def place(self, kv: Kv, *, on_device: bool) -> ToyKv:
        """A copy, which says that it lies elsewhere."""
        own = self._own(kv)
        if own.on_device == on_device and isinstance(own.states, bytes):
            return own
        return msgspec.structs.replace(own, states=bytes(own.states), on_device=on_device)

    def dump(self, kv: Kv, about: SegmentAbout) -> BinaryIO:
        """A file with one tensor beside the token ids."""
        own = self._own(kv)
        said = segment.metadata(self.ref, about, own.tokens, own.start, rope="")
        return file_of(iter([*segment.begin(said, own.tokens, _shapes(own.tokens)), own.states]))

    def load(self, file: memoryview, about: SegmentAbout, tokens: Sequence[int], start: int) -> ToyKv:
        """The states of a file that is what was expected."""
        if segment.is_loose(about.form):
            raise SegmentRefused("a segment that was encoded apart has no place; only what blends can use it")
        said = segment.metadata(self.ref, about, tokens, start, rope="")
        found = segment.check(file, said, tokens, _shapes(tokens))
        return ToyKv(self._weights, start, tuple(tokens), found.bytes_of("states"), on_device=False)

    def logits(self, tokens: Sequence[int], *, prefix: Sequence[Kv] = ()) -> Floats:
        """Numbers from the last state; those of tokens that are never said are far below."""
        import numpy as np

        row = np.full(VOCABULARY, -1e9, np.float32)
        for token, value in _scores(self._read(tokens, self._covering(tokens, prefix))).items():
            row[token] = value
        return row

    def run(
        self,
        tokens: Sequence[int],
        options: ChatOptions,
        *,
        prefix: Sequence[Kv] = (),
        steering: Sequence[SteeringUse] = (),
        adapters: Sequence[Any] = (),
    ) -> Iterator[Piece]:
        """Letters and spaces, until the end is said, or enough of them; what an adapter knows is said instead."""
        if options.schema is not None:
            raise ChatFailed("the toy keeps to no schema; ask without one")
        if len(tokens) >= self.window:
            raise PromptTooLong(f"{len(tokens)} tokens leave no room in a window of {self.window}")
        before = self._covering(tokens, prefix)
        if adapters:
            return iter(_recited(str(adapters[-1]), len(tokens), _end(before)))
        return self._answer(tuple(tokens), before, options, _steered(steering))

    def make_steering(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        layers: Sequence[int] | None = None,
        scales: Sequence[float] | None = None,
    ) -> MadeSteering:
        """A number that follows from the pairs; it keeps the rules of layers and counts, and measures itself."""
        if len(pairs) < LEAST_PAIRS:
            raise InvalidInput(f"{len(pairs)} pairs are too few; pass {LEAST_PAIRS}")
        layer, scale = (layers or (0,))[0], (scales or (0.1,))[0]
        if layer != 0:
            raise InvalidInput(f"layers is {list(layers or ())}; the toy has layer 0 alone")
        number = random.Random(repr(list(pairs))).uniform(0.5, 1)  # noqa: S311 (the same pairs give the same vector)
        file = steering.dump(self.ref, {0: struct.pack("<f", number)})
        items = [SteeringItem(ask="", wanted=a, other=b) for a, b in pairs]
        effect = self.steering_effect(items, [SteeringUse(vectors={0: number}, scale=scale)])
        return MadeSteering(file=file, layers=(0,), scale=scale, effect=effect)

    def load_steering(self, file: memoryview, layers: Sequence[int]) -> dict[int, float]:
        """The number of a file, checked as a real engine does."""
        if list(layers) != [0]:
            raise SegmentRefused(f"the vectors are of layers {list(layers)}, and the toy has layer 0 alone")
        (number,) = struct.unpack("<f", steering.load(file, self.ref, (0,), 1)[0])
        if not math.isfinite(number):
            raise SegmentRefused("a steering vector holds what is no number")
        return {0: number}

    def steering_effect(self, items: Sequence[SteeringItem], steering: Sequence[SteeringUse]) -> Effect:
        """Every vector adds its number times its scale to the margin of every item."""
        if not items:
            raise InvalidInput("there is nothing to measure on; pass items")
        change = sum(number * use.scale for use in steering for number in use.vectors.values())
        return Effect(items=len(items), before=0.0, after=change, low=change, high=change)

    def probe_blending(self, *, cases: int, on_case: Callable[[int], object] = lambda done: None) -> BlendQuality:
        """Nothing is measured: it is what the toy was told."""
        for done in range(1, cases + 1):
            on_case(done)
        return toy_blender.measured(self, cases, self.divergence)

    def open_blender(self, quality: BlendQuality | None) -> Blender:
        """What blends, where the measurement allows it."""
        return toy_blender.opened(self, quality)

    def stream(self, messages: Sequence[Utterance], options: ChatOptions) -> Iterator[Piece]:
        """The answer to messages of which the first may be the system's."""
        system = messages[0].content if messages and messages[0].role == "system" else ""
        prompt = self.prompt(system, (), [one for one in messages if one.role != "system"])
        return self.run(prompt.tokens, options)

    def _answer(self, tokens: Tokens, before: list[ToyKv], options: ChatOptions, steered: bytes) -> Iterator[Piece]:
        cached, state = _end(before), self._read(tokens, before, steered)
        dice = random.Random(options.seed)  # noqa: S311 (a seeded answer has to be repeatable, not secret)
        said, sent, finish = "", 0, "length"
        room = min(options.max_tokens, self.window - len(tokens))
        count = 0
        while count < room and finish != "stop":
            count += 1
            token = _choose(_scores(state), options.temperature, dice)
            if token == END:
                finish = "stop"
                break
            said += chr(token)
            state = self._states([token], state, steered)[-WIDTH:]
            places = [said.find(stop) for stop in options.stop if stop in said]
            if places:
                said, finish = said[: min(places)], "stop"
            ready = len(said) if finish == "stop" else max(sent, len(said) - max(map(len, options.stop), default=0))
            if ready > sent:
                yield Piece(text=said[sent:ready])
                sent = ready
        usage = Usage(prompt=len(tokens), cached=cached, completion=count)
        yield Piece(text=said[sent:], finish=finish, usage=usage)

    def _read(self, tokens: Sequence[int], before: list[ToyKv], steered: bytes = b"") -> bytes:
        """The state of the prompt's last token, from which on a steering acts."""
        states = _last(before) + self._states(tokens[_end(before) : -1], _last(before))
        return self._states(tokens[-1:], states[-WIDTH:], steered)

    def _states(self, tokens: Sequence[int], state: bytes, steered: bytes = b"") -> bytes:
        states = bytearray()
        for token in tokens:
            state = blake2b(state + steered + token.to_bytes(4), key=self._weights.encode(), digest_size=WIDTH).digest()
            states += state
        self.read += len(tokens)
        return bytes(states)

    def _covering(self, tokens: Sequence[int], prefix: Sequence[Kv]) -> list[ToyKv]:
        """The prefix, which has to be how the tokens begin, without the last token of the prompt."""
        if not tokens:
            raise InvalidInput("a prompt has at least one token")
        before = self._chain(prefix)
        if [token for kv in before for token in kv.tokens] != list(tokens[: _end(before)]):
            raise SegmentRefused("the prompt does not begin with the tokens of the prefix")
        return [self.cut(kv, len(tokens) - 1 - kv.start) if _end([kv]) == len(tokens) else kv for kv in before]

    def _chain(self, prefix: Sequence[Kv]) -> list[ToyKv]:
        """The prefix, if it begins at 0 and has no gap."""
        end, before = 0, []
        for kv in map(self._own, prefix):
            if kv.start != end:
                raise SegmentRefused(f"a segment begins at {kv.start}, and those before it end at {end}")
            end += len(kv.tokens)
            before.append(kv)
        return before

    def _own(self, kv: Kv) -> ToyKv:
        if not isinstance(kv, ToyKv) or kv.model != self._weights:
            raise SegmentRefused("the segment was made by another model")
        return kv


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _end(before: Sequence[ToyKv]) -> int:
    return before[-1].start + len(before[-1].tokens) if before else 0


def _last(before: Sequence[ToyKv]) -> bytes:
    """The state that comes before what is read: empty at the beginning of a prompt."""
    return next((bytes(kv.states[-WIDTH:]) for kv in reversed(before) if kv.tokens), b"")


def _shapes(tokens: Sequence[int]) -> list[Shape]:
    return [Shape("states", "U8", (len(tokens), WIDTH))]


def _scores(state: bytes) -> dict[int, float]:
    """A number for each token that may be said; the end comes about every thirtieth time."""
    dice = random.Random(state)  # noqa: S311 (a state has to give the same numbers always)
    return {token: dice.uniform(0, 4 if token != END else 3.7) for token in _SAYS}


def _choose(scores: Mapping[int, float], temperature: float, dice: random.Random) -> int:
    if temperature <= 0:
        return max(scores, key=scores.__getitem__)
    top = max(scores.values())
    weights = [2.718281828 ** ((score - top) / temperature) for score in scores.values()]
    return dice.choices(list(scores), weights)[0]


def _recited(text: str, prompt: int, cached: int) -> list[Piece]:
    usage = Usage(prompt=prompt, cached=cached, completion=len(text))
    return [Piece(text=text), Piece(finish="stop", usage=usage)]


def _steered(steering: Sequence[SteeringUse]) -> bytes:
    """What steerings mix into every state: nothing where all of them are of scale 0."""
    used = [(sorted(use.vectors.items()), use.scale) for use in steering if use.scale]
    return repr(used).encode() if used else b""
