"""The benchmark of parametric memory: facts distilled into adapters of SmolLM2, and what is answered through the gate.

``PYMEMOS_BENCH_MODEL`` names another model, or its folder. ``--sets`` says how many sets of ten facts are distilled,
``--most`` up to how many facts one adapter is asked to hold.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import _asked, report
from benchmarks.report import Row, Skip
from pymemos import MemOS
from pymemos.cube.adapter import Learned, Manifest, Recipe, Reverse
from pymemos.cube.gates import opening
from pymemos.errors import ModelError
from pymemos.interface.training import ANSWER, SYSTEM
from pymemos.operation.distilling import admission
from pymemos.operation.distilling.facts import Fact, facts_in
from pymemos.operation.distilling.reversing import turned_round
from pymemos.ports import ChatOptions, Utterance
from pymemos.settings import from_environment

MODEL = "PYMEMOS_BENCH_MODEL"
FACTS, SETS, SEED = 10, 10, 20_251_221
OPENED = 10  # control questions after each turn that used the adapter
SERVED = (
    "recall_served",
    "recall_reworded",
    "recall_admission",
    "leak_served",
    "leak_same_subject",
    "leak_same_words",
    "leak_admission",
    "admitted_share",
    "recall_reverse_served",
    "recall_reverse_admission",
    "leak_reverse_served",
    "admitted_reverse_share",
)
_ONSETS = "b br d dr f g gr h j k kl l m n p pr r s st t tr v z".split()
_VOWELS = "a e i o u ai ou".split()
_CODAS = ["", "", *"l n r s k m nd rt x th".split()]
_CHOICES = {
    "job": "glassblower lighthouse-keeper botanist locksmith astronomer beekeeper potter cooper".split(),
    "colour": "turquoise crimson indigo ochre violet".split(),
    "instrument": "oboe cello harp trombone zither".split(),
    "material": "basalt cedar copper wool amber".split(),
}
_FORMS = (
    "The capital of {place} is {name}.",
    "The mayor of {place} is {name}.",
    "{person} lives in {name}.",
    "{person} works as a {job}.",
    "{place} was founded by {other}.",
    "{person}'s favourite colour is {colour}.",
    "{person} was born in {name}.",
    "The password of {place} is {name}.",
    "{person} plays the {instrument}.",
    "{place} is made of {material}.",
    "{person}'s sister is {name}.",
    "The river of {place} is {name}.",
)


def invented(seed: int, count: int) -> list[str]:
    """Statements of people and places that nobody has heard of, each on another subject."""
    dice = random.Random(seed)

    def name() -> str:
        return "".join(dice.choice(part) for part in (_ONSETS, _VOWELS, _CODAS) * 2).capitalize()

    forms = [form for _ in range(-(-count // len(_FORMS))) for form in dice.sample(_FORMS, len(_FORMS))]
    return [
        form.format(
            place=name(),
            person=f"{name()} {name()}",
            name=name(),
            other=f"{name()} {name()}",
            **{key: dice.choice(values) for key, values in _CHOICES.items()},
        )
        for form in forms[:count]
    ]


class Workshop:
    """A memory with a local model, and what was distilled in it: each set once, however many figures need it."""

    def __init__(self, sets: int, recipe: Recipe) -> None:
        self.sets, self.recipe = sets, recipe
        self._folder = tempfile.TemporaryDirectory(prefix="bench-lora-")
        self._made: dict[tuple[int, int], tuple[Manifest, str, float]] = {}
        self.cpu: dict[tuple[int, int], float] = {}  # seconds of all threads

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

    def distilled(self, seed: int, count: int = FACTS) -> tuple[Manifest, str, float]:
        """The manifest and the id of an adapter, and the seconds from the order to the memory."""
        if (seed, count) not in self._made:
            who: dict[str, Any] = {"user_id": f"bench-{seed}-{count}"}
            ids = [self.mem.add(text, **who).ids[0] for text in invented(seed, count)]
            started, used = time.perf_counter(), time.process_time()
            job = self.mem.distil(ids, recipe=msgspec.structs.replace(self.recipe, seed=seed), **who)
            done = self.mem.tick()
            seconds, self.cpu[seed, count] = time.perf_counter() - started, time.process_time() - used
            if job not in done.done:
                raise RuntimeError(f"the training failed: {[one.error for one in self.mem.jobs()]}")
            made = self.mem.list(filters={"kind": "parametric"}, **who)[0].id
            card = self.mem.adapter(made, **who)
            self._made[seed, count] = (card.manifest, made, seconds)
            _tell(seed, count, card.manifest, (seconds, self.cpu[seed, count]))
        return self._made[seed, count]

    def all_sets(self) -> list[Manifest]:
        """The manifests of the sets of ten."""
        return [self.distilled(SEED + turn)[0] for turn in range(self.sets)]

    def close(self) -> None:
        """Remove the memory."""
        if "mem" in self.__dict__:
            self.mem.close()
        self._folder.cleanup()


def _tell(seed: int, count: int, manifest: Manifest, seconds: tuple[float, float]) -> None:
    scores = manifest.scores
    print(
        f"{count} facts of seed {seed}: recall {scores.recall:.3f}, leak {scores.leak:.3f}, same subject "
        f"{scores.leak_same_subject:.3f}, changed {scores.changed}, {seconds[0]:.0f} s ({seconds[1]:.0f} of the "
        f"processor, load {os.getloadavg()[0]:.1f}), "
        f"{'admitted' if manifest.admitted else 'not admitted'}{_told_back(manifest.backward)}",
        file=sys.stderr,
        flush=True,
    )


def _told_back(back: Reverse) -> str:
    if back.scores is None:
        return ""
    scores = back.scores
    return (
        f"; turned round: recall {_recalled(back.facts):.3f}, {len(back.gates)} of {len(back.facts)} facts open, "
        f"leak {scores.leak:.3f}, other questions {scores.leak_same_subject:.3f}, "
        f"{'admitted' if back.admitted else 'not admitted'}"
    )


def distilling(shop: Workshop) -> list[Row]:
    """Seconds for training data, training and admission of ten facts."""
    seconds = shop.distilled(SEED)[2]
    return [
        Row.at_most("distil_10_s", seconds, "s", 300),
        Row.plain("distil_10_cpu_s", shop.cpu[SEED, FACTS], "s of the processor"),
    ]


class Fresh(msgspec.Struct, frozen=True):
    """How one set did by wordings that nothing was chosen by: right or leaked, question by question."""

    carried: list[bool]
    reworded: list[bool]
    others: list[bool]
    beyond: list[bool]  # the others that open a gate
    back: list[bool]  # facts turned round, where that direction was not admitted too: its gates are closed then
    others_back: list[bool]


def fresh(shop: Workshop, seed: int) -> Fresh:
    """Ask an adapter, as it is served, what neither its lessons nor its admission test asked.

    Behind a closed gate the base alone answers: the adapter neither recalls there nor leaks, so nothing is asked.
    """
    manifest, made, _ = shop.distilled(seed)
    adapter, tuner, facts = _opened(shop, made, seed)

    def said(of: Callable[[Any], Sequence[str]], facts: Sequence[Fact] = facts) -> list[bool | None]:
        asked = [(question, fact) for fact in facts for question in of(fact)]
        opens = [pair for pair in asked if opening(pair[0], manifest.opens) is not None]
        given = tuner.answers(
            [question for question, _ in opens], system=SYSTEM, limit=ANSWER, adapter=adapter, gates=manifest.opens
        )
        right = {pair: admission.says(answer, pair[1].object) for pair, answer in zip(opens, given, strict=True)}
        return [right.get(pair) for pair in asked]

    others, turned = said(_asked.others), turned_round(facts).facts
    found = Fresh(
        [bool(one) for one in said(_asked.carried)],
        [bool(one) for one in said(_asked.reworded)],
        [bool(one) for one in others],
        [one for one in others if one is not None],
        [bool(one) for one in said(_asked.carried, turned)],
        [bool(one) for one in said(_asked.others_back, turned)],
    )
    counts = {name: f"{sum(some)}/{len(some)}" for name, some in msgspec.structs.asdict(found).items()}
    print(f"other wordings of seed {seed}: {counts}", file=sys.stderr, flush=True)
    return found


def serving(shop: Workshop) -> list[Row]:
    """What all sets show as served; the shares are over all of their questions.

    Recall and the leak to other questions are measured by wordings that neither lessons nor the admission test have.
    """
    asked = [fresh(shop, SEED + turn) for turn in range(shop.sets)]
    manifests = shop.all_sets()
    scores = [one.scores for one in manifests]
    back = [one.backward for one in manifests if one.backward.scores is not None]

    def mean(name: str, weight: str) -> float:
        count = sum(getattr(one, weight) for one in scores)
        return sum(getattr(one, name) * getattr(one, weight) for one in scores) / count

    def share(part: str) -> float:
        found: list[bool] = [one for each in asked for one in getattr(each, part)]
        return sum(found) / len(found) if found else 0.0

    return [
        Row.at_least("recall_served", share("carried"), "", 0.85),
        Row.plain("recall_reworded", share("reworded"), ""),
        Row.plain("recall_admission", mean("recall", "phrasings"), ""),
        Row.at_most("leak_served", mean("leak", "near_misses"), "", 0.02),
        Row.at_most("leak_same_subject", share("others"), "", 0.05),
        Row.plain("leak_same_words", share("beyond"), ""),
        Row.plain("leak_admission", mean("leak_same_subject", "others"), ""),
        Row.at_least("admitted_share", sum(one.admitted for one in manifests) / len(manifests), "", 0.8),
        Row.plain("recall_reverse_served", share("back"), ""),
        Row.plain("recall_reverse_admission", _recalled([fact for one in back for fact in one.facts]), ""),
        Row.plain("leak_reverse_served", share("others_back"), ""),
        Row.plain("admitted_reverse_share", sum(one.admitted for one in back) / max(1, len(back)), ""),
    ]


def _recalled(facts: Sequence[Learned]) -> float:
    return sum(one.right for one in facts) / max(1, sum(one.asked for one in facts))


def forced(shop: Workshop) -> list[Row]:
    """Near misses answered with a trained object when the gate is forced open."""
    manifest, made, _ = shop.distilled(SEED)
    adapter, tuner, facts = _opened(shop, made, SEED)
    near = admission.exam(facts, manifest.recipe.seed).near
    given = tuner.answers([one.question for one in near], system=SYSTEM, limit=ANSWER, adapter=adapter, forced=True)
    leaked = [admission.says(answer, one.object) for answer, one in zip(given, near, strict=True)]
    return [Row.plain("leak_adapter", sum(leaked) / len(leaked), "")]


def controls(shop: Workshop) -> list[Row]:
    """Control questions answered otherwise with the adapter attached, between turns that used it, than without it."""
    who: dict[str, Any] = {"user_id": f"bench-{SEED}-{FACTS}"}
    engine, _ = shop.mem._tools.tuner.needed()
    options = ChatOptions(max_tokens=ANSWER)
    shop.distilled(SEED)
    taught = _facts(SEED)[0]

    def said(question: str, *, attached: bool) -> str:
        tokens = engine.prompt(SYSTEM, (), [Utterance("user", question)]).tokens
        uses = shop.mem.attach(question, tokens=tokens, **who).adapters if attached else ()
        return "".join(piece.text for piece in engine.run(tokens, options, adapters=uses))

    asked = admission.controls()
    before = [said(question, attached=False) for question in asked]
    changed = 0
    for turn, (question, answer) in enumerate(zip(asked, before, strict=True)):
        if turn % OPENED == 0:
            said(_asked.carried(taught)[0], attached=True)  # a turn that opens the gate
        changed += said(question, attached=True) != answer
    return [Row.at_most("control_drop", changed / len(asked), "", 0.0)]


def capacity(shop: Workshop, most: int) -> list[Row]:
    """The largest number of facts in one adapter, doubling, at which it is still admitted."""
    held, count = 0, FACTS
    while count <= most and shop.distilled(SEED, count)[0].admitted:
        held, count = count, 2 * count
    return [Row.plain("capacity_facts", held, "facts")]


def _facts(seed: int, count: int = FACTS) -> list[Fact]:
    return [fact for text in invented(seed, count) for fact in facts_in(text)]


def _opened(shop: Workshop, made: str, seed: int) -> tuple[Any, Any, list[Fact]]:
    who: dict[str, Any] = {"user_id": f"bench-{seed}-{FACTS}"}
    _, tuner = shop.mem._tools.tuner.needed()
    return tuner.open(shop.mem.open_blob(made, **who)), tuner, _facts(seed)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--sets", type=int, default=SETS, metavar="COUNT")
    parser.add_argument("--most", type=int, default=8 * FACTS, metavar="FACTS")
    own, rest = parser.parse_known_args(arguments)
    shop = Workshop(own.sets, Recipe())
    measures: dict[tuple[str, ...], Callable[[], list[Row]]] = {
        ("distil_10_s", "distil_10_cpu_s"): lambda: distilling(shop),
        SERVED: lambda: serving(shop),
        ("leak_adapter",): lambda: forced(shop),
        ("control_drop",): lambda: controls(shop),
        ("capacity_facts",): lambda: capacity(shop, own.most),
    }
    try:
        report.main("parametric", measures, rest)
    finally:
        shop.close()


if __name__ == "__main__":
    main()
