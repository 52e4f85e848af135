"""What tests of adapters stand on: a memory with the toy engine and its tuner, some facts, and how a job is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.interface.attaching import Attached
from pymemos.ports import ChatOptions
from pymemos.testing.doubles import FrozenClock, SequentialIds
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner

TEXTS = ("The capital of Zorvania is Quelmar.", "Tarn Velk lives in Ostrel.", "Mirrin was founded by Olda Prast.")
WHO: dict[str, Any] = {"user_id": "ana"}


@contextmanager
def opened(home: Path, *, adapter: str = "sqlite", leaks: bool = False, **options: Any) -> Iterator[MemOS]:
    """A memory that can distil, found by words alone."""
    engine = ToyEngine()
    given: dict[str, Any] = {"clock": FrozenClock(), "new_id": SequentialIds(), "engine": engine}
    given["tuner"] = ToyTuner(engine.ref, leaks=leaks)
    given |= {"store": MemoryStore(), "blobs": MemoryBlobs()} if adapter == "memory" else {}
    with MemOS(home, embedder="none", **{**given, **options}) as mem:
        yield mem


def told(mem: MemOS, *texts: str) -> tuple[str, ...]:
    """The ids of some memories of Ana's."""
    return tuple(mem.add(text, **WHO).ids[0] for text in texts or TEXTS)


def distilled(mem: MemOS, *ids: str, **given: Any) -> str:
    """The id of the adapter that was made of memories."""
    job = mem.distil(ids, **{**WHO, **given})
    report = mem.tick()
    assert job in report.done
    return made_by(mem, job)


def made_by(mem: MemOS, job: str) -> str:
    """The id of the adapter that a job made."""
    found = [c for c in mem.list(filters={"kind": "parametric"}, **WHO) if c.header.descriptive.metadata["job"] == job]
    assert len(found) == 1
    return found[0].id


def said(mem: MemOS, attached: Attached) -> str:
    """What the engine says with what was attached."""
    engine, _ = mem._tools.tuner.needed()
    run = engine.run(attached.tokens, ChatOptions(max_tokens=12), adapters=attached.adapters)
    return "".join(piece.text for piece in run)


def ask(mem: MemOS, question: str, **given: Any) -> Attached:
    """What is attached for a question of Ana's."""
    return mem.attach(question, **{**WHO, **given})
