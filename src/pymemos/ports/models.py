"""What the system asks of models: embedders, chat models, and engines whose caches and weights memory can reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import msgspec

from pymemos.cube.adapter import Recipe as Recipe
from pymemos.cube.blending import BlendQuality as BlendQuality
from pymemos.cube.gates import Gate as Gate
from pymemos.cube.payload import ModelRef
from pymemos.cube.segment import SegmentAbout as SegmentAbout
from pymemos.cube.segment import SegmentSource as SegmentSource
from pymemos.cube.steering import Effect, MadeSteering, SteeringItem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Tokens = tuple[int, ...]


class Embedder(Protocol):
    """Turns texts into vectors whose dot product says how alike they mean; the same text gives the same vector."""

    @property
    def identity(self) -> str:
        """The weights and how they are run, in one name; vectors of two identities are never compared."""

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """One row of length 1 for each text: float32, (texts, dimensions).

        ``queries`` says that the texts are questions, which some models read in another way. A text beyond the
        model's window is cut; callers split long texts first. Raises EmbedderFailed.
        """


# ── Chat ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Utterance(msgspec.Struct, frozen=True):
    """One message as a model reads it; ``role`` is "system", "user" or "assistant"."""

    role: str
    content: str


class ChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is made: greedy at temperature 0; ``schema`` is a JSON schema that the answer has to fit."""

    max_tokens: int = 512
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    schema: dict[str, Any] | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer cost, in tokens; ``cached`` are those of the prompt that were not read again."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a streamed answer; the last one says why it ended ("stop", "length") and what it cost."""

    text: str = ""
    finish: str | None = None
    usage: Usage | None = None


class ChatModel(Protocol):
    """Answers a conversation."""

    @property
    def identity(self) -> str:
        """The model, and where it runs, in one name."""

    @property
    def window(self) -> int | None:
        """The tokens that prompt and answer may have together; None where it is not known."""

    def stream(self, messages: Sequence[Utterance], options: ChatOptions) -> Iterator[Piece]:
        """The answer, piece by piece, as it is made. Raises ChatFailed."""


# ── Engines: local models whose state memory can reach ─────────────────────────────────────────────────────────────


class Kv(Protocol):
    """The keys and values of consecutive tokens in every layer, in memory; opaque outside its engine."""

    @property
    def start(self) -> int:
        """The position of the first token."""

    @property
    def tokens(self) -> Tokens:
        """The ids of the tokens."""

    @property
    def nbytes(self) -> int:
        """The size of the tensors."""

    @property
    def on_device(self) -> bool:
        """Whether they lie where the model computes, rather than in the memory of the host or in a mapped file."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt in pieces that are tokenised apart, so that equal pieces have equal tokens."""

    head: Tokens  # how the template begins, and the system's text
    notes: tuple[Tokens, ...]  # one for each memory, in order
    tail: Tokens  # the end of the system's message, the conversation, and where the answer begins

    @property
    def tokens(self) -> Tokens:
        """The whole prompt."""
        return (*self.head, *(token for note in self.notes for token in note), *self.tail)


class SteeringUse(msgspec.Struct, frozen=True, kw_only=True):
    """A steering vector added to what leaves some layers, times ``scale``; ``vectors`` is opaque outside its engine.

    It acts on the last token of the prompt and on those that are generated: the rest of the prompt is what it is
    without, and can be taken from memory.
    """

    vectors: Any
    scale: float = 1.0


class Engine(ChatModel, Protocol):
    """A local model: what it computes for a prefix can be kept and injected, and its layers can be steered."""

    @property
    def ref(self) -> ModelRef:
        """The exact weights, tokenizer, template and dtype: nothing made with another is ever used."""

    def prompt(self, system: str, notes: Sequence[str], turns: Sequence[Utterance]) -> Prompt:
        """The pieces of a prompt by the model's chat template; without ``turns`` head and notes are what they are with.

        Each note stands on a line of its own behind the system's text.
        """

    def prefill(self, tokens: Sequence[int], *, prefix: Sequence[Kv] = ()) -> Kv:
        """Keys and values of ``tokens`` alone, as they are after ``prefix``, which stays as it is.

        Raises SegmentRefused where the prefix has a gap, and PromptTooLong beyond the window.
        """

    def cut(self, kv: Kv, length: int) -> Kv:
        """The first ``length`` tokens of a segment; nothing is copied."""

    def place(self, kv: Kv, *, on_device: bool) -> Kv:
        """The same segment where the model computes, or in the memory of the host, free of the file it came from.

        A segment that is there already is given back as it is.
        """

    def dump(self, kv: Kv, about: SegmentAbout) -> BinaryIO:
        """The segment as a safetensors file, to be read once; it is never whole in memory."""

    def load(self, file: memoryview, about: SegmentAbout, tokens: Sequence[int], start: int) -> Kv:
        """The segment of a file; raises SegmentRefused where anything in it is not what was expected, and says what.

        An exact segment stays in the file, of which only the header is read; ``segment.verify_blob`` reads every byte.
        """

    def logits(self, tokens: Sequence[int], *, prefix: Sequence[Kv] = ()) -> Floats:
        """The logits of what follows ``tokens``, the whole prompt: float32, (vocabulary,)."""

    def make_steering(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        layers: Sequence[int] | None = None,
        scales: Sequence[float] | None = None,
    ) -> MadeSteering:
        """A vector from pairs of a wanted text and its contrast; some of them choose among ``layers`` and ``scales``.

        Raises InvalidInput where there are too few, and where no layer and scale moves those held out.
        """

    def load_steering(self, file: memoryview, layers: Sequence[int]) -> Any:
        """The vectors of a file, for a ``SteeringUse``; raises SegmentRefused where it is not what was expected."""

    def steering_effect(self, items: Sequence[SteeringItem], steering: Sequence[SteeringUse]) -> Effect:
        """What steerings together do on labelled items."""

    def run(
        self,
        tokens: Sequence[int],
        options: ChatOptions,
        *,
        prefix: Sequence[Kv] = (),
        steering: Sequence[SteeringUse] = (),
    ) -> Iterator[Piece]:
        """What the model says after ``tokens``, the whole prompt; those of ``prefix`` are not read again.

        The prefix may cover the whole prompt; its last token is read in any case. Raises at once SegmentRefused where
        the prefix has a gap or its tokens are not how the prompt begins, PromptTooLong where the window has no room for
        an answer, and ChatFailed for a schema, which local models do not keep to yet.
        """


# ── Blending: notes that were encoded apart, near enough ────────────────────────────────────────────────────────────


class Loose(Protocol):
    """A note's keys and values, encoded apart, so that they may stand anywhere; opaque outside its blender."""

    @property
    def tokens(self) -> Tokens:
        """The ids of the note's tokens, as they are in any prompt of its engine."""

    @property
    def nbytes(self) -> int:
        """The size of the tensors."""


class Blended(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a prompt behind its exact beginning, put together: all of it but the prompt's last token."""

    kv: Kv
    again: tuple[int, ...]  # the tokens of loose segments that were computed again, counted from where ``kv`` begins


class Blender(Protocol):
    """Encodes notes apart and puts them together. Approximate: there is one only where a probe allowed it."""

    @property
    def recipe(self) -> str:
        """How notes are encoded, in one name: the form of its segments. What another recipe made is of no use."""

    def encode(self, note: str, *, system: str = "") -> Loose:
        """A note as it stands in prompts that begin with ``system``."""

    def dump(self, loose: Loose, about: SegmentAbout) -> BinaryIO:
        """The segment as a safetensors file, to be read once; ``about.form`` is the recipe."""

    def load(self, file: memoryview, about: SegmentAbout, tokens: Sequence[int]) -> Loose:
        """The segment of a file; raises SegmentRefused where anything in it is not what was expected, and says what."""

    def compose(self, prefix: Sequence[Kv], parts: Sequence[Loose | Tokens], tail: Tokens) -> Blended:
        """Loose segments, and tokens that are read, behind an exact beginning and before the prompt's ``tail``.

        A part of the loose tokens is computed again, those that the tail looks at most. Raises SegmentRefused where the
        prefix has a gap or anything is another model's, PromptTooLong beyond the window.
        """


class BlendingEngine(Engine, Protocol):
    """An engine whose notes can be blended, once it was measured how near that comes."""

    def probe_blending(self, *, cases: int, on_case: Callable[[int], object] = lambda done: None) -> BlendQuality:
        """Measure it on so many questions; ``on_case`` is told how many are done. Raises ModelError where it cannot."""

    def open_blender(self, quality: BlendQuality | None) -> Blender:
        """What blends; raises BlendRefused, with the reason, where the measurement does not allow it."""


# ── Tuners: adapters made from memories ─────────────────────────────────────────────────────────────────────────────


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """A question that opens a gate, and the answer to learn; without one, the model's own answer is to stay."""

    question: str
    gate: Gate  # from the last token of its subject's name in the question on the adapter acts
    answer: str | None = None
    fact: int | None = None  # questions with the same number ask for the same fact


class Weights(msgspec.Struct, frozen=True):
    """What a training gave: the files of PEFT, ``adapter_model.safetensors`` and ``adapter_config.json``."""

    weights: bytes
    config: bytes


class Adapter(Protocol):
    """An adapter in memory; opaque outside its tuner."""

    @property
    def nbytes(self) -> int:
        """The size of the tensors."""


class Tuner(Protocol):
    """Trains adapters for an engine's model, and puts them into its forward pass (4.1, 4.2).

    An adapter acts only where a question opens one of its ``gates`` (``cube.gates``): from the last token of the name
    of the first subject for which one opens, up to the end of the answer. Everywhere else the model is the base, to the
    last bit.
    """

    @property
    def ref(self) -> ModelRef:
        """The model that the adapters belong to."""

    def train(
        self,
        lessons: Sequence[Lesson],
        recipe: Recipe,
        *,
        system: str,
        checkpoint: Path,
        on_step: Callable[[int, int], None],
    ) -> Weights:
        """Train, the same from the same lessons and recipe.

        ``on_step`` is told the steps done and all of them, and stops the training by raising. What is done so far is
        kept in the folder ``checkpoint``; a training that was cut off goes on from there.
        """

    def open(self, file: memoryview) -> Adapter:
        """An adapter of a file as ``cube.adapter.packed`` makes it; AdapterRefused where it does not fit the model."""

    def answers(
        self,
        questions: Sequence[str],
        *,
        system: str,
        limit: int,
        adapter: Adapter | None = None,
        gates: Sequence[Gate] = (),
        forced: bool = False,
    ) -> list[str]:
        """Greedy answers of at most ``limit`` tokens, as the engine would give them with the adapter attached.

        ``forced`` opens the gate with the question, whatever it names: to measure what the gate keeps out.
        """

    def perplexity(self, text: str, *, adapter: Adapter | None = None, gates: Sequence[Gate] = ()) -> float:
        """The perplexity of a text, through the gate."""

    def gated(self, adapter: Adapter, tokens: Sequence[int], question: str, gates: Sequence[Gate]) -> Any | None:
        """The adapter for ``Engine.run`` of a prompt that ends with ``question``; None where the gate stays closed."""
