"""The benchmark of pathways: invented facts through SmolLM2, from form to form, and what their headers say was lost.

``PYMEMOS_BENCH_MODEL`` names another model, or its folder. ``--facts`` says how many facts there are.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import report
from benchmarks.parametric import MODEL, SEED, invented
from benchmarks.report import Row, Skip
from pymemos import MemOS
from pymemos.errors import ModelError
from pymemos.settings import from_environment

FACTS = 6
ROLES = ("user", "assistant")
ANA: dict[str, Any] = {"user_id": "bench"}
BRIEF = (  # a behaviour: the assistant answers in a word or two
    ("What colour is the sky?", "Blue."),
    ("How many days has a week?", "Seven."),
    ("Is ice cold?", "Yes."),
    ("Who wrote Hamlet?", "Shakespeare."),
    ("What is the capital of France?", "Paris."),
    ("What do bees make?", "Honey."),
    ("What is two plus two?", "Four."),
    ("What do cows drink?", "Water."),
    ("Which animal barks?", "A dog."),
    ("What is frozen water?", "Ice."),
    ("What is the opposite of hot?", "Cold."),
    ("How many legs has a spider?", "Eight."),
)
ITEMS = (  # others, to measure the vector on: a question, a brief answer and a long one
    ("Why is the sea salty?", "Minerals.", "The sea is salty because rivers carry minerals into it over a long time."),
    ("What is a volcano?", "A mountain.", "A volcano is an opening in the crust through which lava and gas escape."),
    (
        "Where do penguins live?",
        "Antarctica.",
        "Penguins live mostly in the southern half of the world, on the coasts.",
    ),
    ("What is bread made of?", "Flour.", "Bread is made of flour, water, salt and yeast, which are mixed and baked."),
    ("Who was Mozart?", "A composer.", "Mozart was a composer of the eighteenth century who wrote many operas."),
    ("When do leaves fall?", "In autumn.", "Leaves fall in autumn, when the days become shorter and the trees rest."),
)


class Workshop:
    """A memory with a local model and some facts, and what pathways made of them, each once."""

    def __init__(self, facts: int) -> None:
        self.facts = facts
        self._folder = tempfile.TemporaryDirectory(prefix="bench-pathways-")

    @cached_property
    def mem(self) -> MemOS:
        """The memory."""
        try:
            from pymemos.models.local import open_local
        except ImportError as error:
            raise Skip(f"needs pymemos[local] ({error})") from error
        settings = from_environment(os.environ, Path.home())
        try:
            engine = open_local(os.environ.get(MODEL, "smollm2"), settings.cache_dir)
        except ModelError as error:
            raise Skip(str(error)) from error
        home = Path(self._folder.name)
        settings = msgspec.structs.replace(settings, home=home / "home", config_dir=home / "config")
        return MemOS(settings=settings, engine=engine, embedder="none")

    @cached_property
    def texts(self) -> list[str]:
        """The ids of the facts."""
        return [self.mem.add(text, **ANA).ids[0] for text in invented(SEED, self.facts)]

    @cached_property
    def segments(self) -> list[str]:
        """The ids of their segments."""
        return self.made(self.texts, "activation")

    @cached_property
    def taught(self) -> str:
        """The id of the adapter that the segments taught."""
        return self.made(self.segments[-1:], "parametric")[0]

    def made(self, ids: Sequence[str], to: str, **given: Any) -> list[str]:
        """The ids of what a transformation made."""
        job = self.mem.transform(ids, to, **ANA, **given).job or ""
        self.mem.tick()
        found = self.mem.transformation(job, **ANA)
        if not found.done:
            raise RuntimeError(f"the transformation failed: {[one.error for one in self.mem.jobs()]}")
        print(f"{to}: {self.measured(found.made[-1])}", file=sys.stderr, flush=True)
        return list(found.made)

    def measured(self, id: str) -> dict[str, float]:
        """The figures in the header of what was made."""
        why = self.mem.get(id, **ANA).header.descriptive.provenance
        return {} if why is None or why.transformed is None else why.transformed.measured

    def close(self) -> None:
        """Remove the memory."""
        if "mem" in self.__dict__:
            self.mem.close()
        self._folder.cleanup()


def stored(shop: Workshop) -> list[Row]:
    """How far the next token is from that after reading, with what was stored: exactly, and in eight bits."""
    exact = shop.measured(shop.segments[-1])
    other = shop.mem.add("A text of its own, kept in eight bits.", **ANA).ids
    lossy = shop.measured(shop.made(other, "activation", form="int8")[-1])
    return [Row.at_most("stored_kl", exact["kl"], "nats", 1e-6), Row.plain("stored_int8_kl", lossy["kl"], "nats")]


def taught(shop: Workshop) -> list[Row]:
    """How near an adapter comes to its teacher, on phrasings that it did not learn from, and what it recalls."""
    found = shop.measured(shop.taught)
    return [
        Row.plain("teacher_kl_before", found["kl_before"], "nats a token"),
        Row.plain("teacher_kl_after", found["kl_after"], "nats a token"),
        Row.plain("taught_recall", found["recall"], ""),
        Row.plain("taught_leak_same_subject", found["leak_same_subject"], ""),
    ]


def learned(shop: Workshop) -> list[Row]:
    """What an adapter recalls that learned the same facts from their texts alone."""
    found = shop.measured(shop.made(shop.texts, "parametric")[0])
    return [
        Row.plain("learned_recall", found["recall"], ""),
        Row.plain("learned_leak_same_subject", found["leak_same_subject"], ""),
    ]


def written(shop: Workshop) -> list[Row]:
    """The share of facts that come back from the weights, and of their probes with the adapter and without."""
    found = shop.measured(shop.made([shop.taught], "plaintext")[0])
    return [
        Row.plain("written_out", found["facts"] / (found["facts"] + found["left_out"]), ""),
        Row.plain("right_with", found["right_with"], ""),
        Row.plain("right_without", found["right_without"], ""),
    ]


def brief(shop: Workshop) -> list[Row]:
    """What a vector of brief answers does on other questions; its contrasts are what the model says by itself."""
    turns = [{"role": role, "content": text} for pair in BRIEF for role, text in zip(ROLES, pair, strict=True)]
    ids = shop.mem.add(turns, **ANA).ids
    effect = shop.mem.steering_effect(ITEMS, shop.made(ids[1::2], "steering"), **ANA)
    return [
        Row.plain("brief_effect", effect.change, "nats a token"),
        Row.at_least("brief_effect_low", effect.low, "nats a token", 0.0),
    ]


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--facts", type=int, default=FACTS, metavar="COUNT")
    own, rest = parser.parse_known_args(arguments)
    shop = Workshop(own.facts)
    measures: dict[tuple[str, ...], Callable[[], list[Row]]] = {
        ("stored_kl", "stored_int8_kl"): lambda: stored(shop),
        ("brief_effect", "brief_effect_low"): lambda: brief(shop),
        ("teacher_kl_before", "teacher_kl_after", "taught_recall", "taught_leak_same_subject"): lambda: taught(shop),
        ("learned_recall", "learned_leak_same_subject"): lambda: learned(shop),
        ("written_out", "right_with", "right_without"): lambda: written(shop),
    }
    try:
        report.main("pathways", measures, rest)
    finally:
        shop.close()


if __name__ == "__main__":
    main()
