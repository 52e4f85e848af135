"""An adapter's file: the LoRA weights as PEFT writes them, with its settings and its manifest in the file's header."""

from __future__ import annotations

from typing import Final

import msgspec

from pymemos.cube.gates import Gate
from pymemos.cube.payload import ModelRef
from pymemos.cube.segment import SegmentSource
from pymemos.cube.tensors import Shape, Tensors, header, read
from pymemos.errors import AdapterRefused, SegmentRefused

FORMAT: Final = "pymemos-lora-1"
WEIGHTS, CONFIG, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "manifest.json"


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How an adapter is trained (ADR 0039 says what was measured for it)."""

    rank: int = 16
    alpha: float = 32.0
    frozen: float = 0.6  # the share of the model's layers, from below, that stay as they are
    rate: float = 1e-3
    warmup: int = 4  # steps
    steps: int = 40
    phrasings: int = 4  # of each fact in a step
    reverse: int = 3  # the same of each fact turned round; with 0 none is
    kept: int = 14  # questions in a step whose answers are to stay the model's own
    keep: float = 0.8  # what these weigh beside the facts
    seed: int = 0

    def asked_of(self, gate: Gate) -> int:
        """In how many phrasings a step asks for the fact behind a gate."""
        return self.reverse if gate.clauses else self.phrasings


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that an adapter was taught: of whom, what is asked, what is answered, and by which memory."""

    subject: str
    relation: str
    object: str
    source: str
    right: int = 0  # unseen phrasings that it answered rightly
    asked: int = 0


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What the admission test measured, as the adapter would be served: routed and gated."""

    recall: float  # share of unseen phrasings that were answered rightly
    phrasings: int
    leak: float  # share of near misses that were answered with a trained object
    near_misses: int
    leak_same_subject: float  # the same where another thing is asked of a trained subject
    others: int
    controls: int
    changed: int  # control questions whose answer changed
    perplexity: float  # of neutral text, with the adapter attached
    perplexity_base: float
    leak_adapter: float | None = None  # of near misses with the gate forced open; reported, and no condition


class Reverse(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter was taught the other way round: named the object, it answers with the subject (ADR 0042).

    In ``facts`` and ``gates`` the subject is what a question names, and the object what is answered. It has an
    admission test of its own, in which other questions are those on what is named; its gates open only if it passed. A
    fact that was not learned has no gate; ``scores`` are of those that have one.
    """

    facts: tuple[Learned, ...] = ()
    gates: tuple[Gate, ...] = ()
    left: tuple[str, ...] = ()  # facts that were not turned round, and why
    scores: Scores | None = None  # none where there is no such fact
    admitted: bool = False
    reasons: tuple[str, ...] = ()  # why not
    probes: tuple[str, ...] = ()  # near misses that were asked


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an adapter: what it was made from, whom its gate opens for, and how it did."""

    format: str = FORMAT
    model: ModelRef
    namespace: str
    sources: tuple[SegmentSource, ...]
    subjects: tuple[str, ...]
    facts: tuple[Learned, ...]
    recipe: Recipe
    scores: Scores
    admitted: bool
    reasons: tuple[str, ...] = ()  # why not
    probes: tuple[str, ...] = ()  # near misses that were asked
    taught_by: str = "templates"  # or the chat model that put the memories into questions
    system: str = ""  # what the system said in the prompts
    gates: tuple[Gate, ...] = ()  # what opens it; without any, whatever is asked of its subjects
    reverse: Reverse | None = None

    @property
    def opens(self) -> tuple[Gate, ...]:
        """The gates, also of an adapter that was made before there were relations in them."""
        forward = self.gates or tuple(Gate(subject=subject) for subject in self.subjects)
        return (*forward, *self.backward.gates) if self.backward.admitted else forward

    @property
    def backward(self) -> Reverse:
        """What was taught the other way round: nothing in an adapter that was made before there was such a thing."""
        return self.reverse or Reverse()


def packed(weights: bytes, config: bytes, manifest: Manifest) -> bytes:
    """The weights' file with settings and manifest in its header: one blob, which is also what PEFT reads."""
    found = _read(memoryview(weights))
    shapes: list[Shape] = [shape for shape, _, _ in found.entries.values()]
    said = {"format": "pt", CONFIG: config.decode(), MANIFEST: msgspec.json.encode(manifest).decode()}
    return header(shapes, said) + bytes(found.data)


def manifest_of(file: memoryview) -> Manifest:
    """What an adapter's file says of itself; raises AdapterRefused where it is not one."""
    try:
        return msgspec.json.decode(_said(file, MANIFEST), type=Manifest)
    except msgspec.MsgspecError as error:
        raise AdapterRefused(f"the adapter's manifest cannot be read ({error})") from error


def folder_of(file: memoryview) -> dict[str, bytes]:
    """The files of the folder that PEFT reads, by name, and the manifest beside them."""
    return {
        WEIGHTS: bytes(file),
        CONFIG: _said(file, CONFIG).encode(),
        MANIFEST: msgspec.json.format(_said(file, MANIFEST).encode(), indent=2),
    }


def config_of(file: memoryview) -> bytes:
    """The settings of PEFT in an adapter's file."""
    return _said(file, CONFIG).encode()


def tensors_of(file: memoryview) -> Tensors:
    """The weights of an adapter's file, where they lie."""
    return _read(file)


def _said(file: memoryview, name: str) -> str:
    said = _read(file).metadata.get(name)
    if said is None:
        raise AdapterRefused(f"the file holds no {name}; it is no adapter that pymemos stored")
    return said


def _read(file: memoryview) -> Tensors:
    try:
        return read(file)
    except SegmentRefused as error:
        raise AdapterRefused(f"the adapter's file is damaged: {error}") from error
