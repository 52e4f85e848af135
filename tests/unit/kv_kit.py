"""What tests of KV memories stand on: a memory with the toy engine, and prompts that are answered in both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.cube import Parent
from pymemos.interface.injecting import Injected
from pymemos.operation.prompting import head
from pymemos.ports import ChatOptions, Engine, Kv, Prompt, SegmentSource, Tokens, Utterance
from pymemos.testing.doubles import WHEN, FrozenClock
from pymemos.testing.toy_engine import ToyEngine, ToyKv

SYSTEM = "Be brief."
QUESTION = "Where does Ana live?"
ASKED = (Utterance("user", QUESTION),)
TEXTS = ("Ana lives in Lisbon.", "Ana likes tea.", "Ana has a boat.")


def doubles(adapter: str) -> dict[str, Any]:
    """What stands in for files where a store is in memory."""
    return {"store": MemoryStore(), "blobs": MemoryBlobs()} if adapter == "memory" else {}


@contextmanager
def opened(home: Path, engine: Engine | None = None, **options: Any) -> Iterator[MemOS]:
    """A memory with an engine, found by words alone."""
    with MemOS(home, engine=engine, embedder="none", **{"clock": FrozenClock(), **options}) as mem:
        yield mem


def told(mem: MemOS, *texts: str, **labels: Any) -> tuple[str, ...]:
    """The ids of some memories."""
    return tuple(mem.add(text, **labels).ids[0] for text in texts or TEXTS)


def injected(mem: MemOS, ids: Sequence[str], **given: Any) -> Injected:
    """A prompt of these memories, and the same question always."""
    return mem.inject(ids, QUESTION, **{"system": SYSTEM, **given})


def prompt_of(engine: Engine, *texts: str, system: str = SYSTEM) -> Prompt:
    """The prompt of memories that were written on the day of the frozen clock, as who has their texts makes it."""
    return engine.prompt(head(system), [f"- [{WHEN.date().isoformat()}] {text}" for text in texts], ASKED)


def raw(mem: MemOS, prompt: Prompt, pins: Iterable[Parent] = ()) -> Injected:
    """Whatever is stored of a prompt that somebody made before, of memories as they were then."""
    assert mem._activations is not None
    injector, _ = mem._activations.needed()
    sources = [SegmentSource(pin.id, pin.version, pin.content_hash) for pin in pins]
    return injector.inject(mem._bind(None), prompt, sources)


def tiers(found: Injected) -> list[str]:
    """Where the memories of a prompt come from."""
    return [note.tier.value for note in found.report.notes]


def answer(engine: Engine, tokens: Tokens, prefix: Sequence[Kv] = ()) -> str:
    """What the model says after a prompt."""
    return "".join(piece.text for piece in engine.run(tokens, ChatOptions(max_tokens=24), prefix=prefix))


def is_exact(engine: Engine, found: Injected) -> bool:
    """Whether the model says with what was injected just what it says after reading everything."""
    return answer(engine, found.tokens, found.prefix) == answer(engine, found.tokens)


class MeddlingEngine(ToyEngine):
    """An engine during whose work something else happens; ``meddle`` is called at each prefill."""

    def __init__(self, meddle: Callable[[], None] = lambda: None) -> None:
        super().__init__(window=1 << 20)
        self.meddle = meddle

    def prefill(self, tokens: Sequence[int], *, prefix: Sequence[Kv] = ()) -> ToyKv:
        self.meddle()
        return super().prefill(tokens, prefix=prefix)

    def load(self, *given: Any) -> ToyKv:
        self.meddle()
        return super().load(*given)
