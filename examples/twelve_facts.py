"""Twelve facts, and what becomes of them: text, then KV caches, then adapters; one changes, and one is erased.

    pip install 'pymemos[local]' && pymemos models prepare smollm2
    python -m examples.twelve_facts --out twelve-facts

A user tells twelve facts over some days (the clock is ours). They are answered from text; they are used often, and the
scheduler makes KV caches of them; they stay as they are, and are distilled into adapters; one of them changes, and at
once neither cache nor adapter serves what it said before; one is erased, and no file holds a trace of it. Each step
says from which tier the answers came, what was read for them, how long it took, and why.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from examples.picture import draw
from pymemos import MemCube, MemOS, Reply, Settings
from pymemos.models.local import open_local
from pymemos.operation.costs import Form
from pymemos.ports import ChatOptions, Engine, Kv
from pymemos.testing.doubles import FrozenClock

WHO = {"user_id": "ana"}
DAY = timedelta(days=1)


class Told(NamedTuple):
    """A fact as it was told, how it is asked for, and what has to be in the answer."""

    text: str
    question: str
    answer: str


FACTS = (
    Told("The capital of Zorvania is Quelmar.", "What is the capital of Zorvania?", "Quelmar"),
    Told("Tarn Velk lives in Ostrel.", "Where does Tarn Velk live?", "Ostrel"),
    Told("Mirrin was founded by Olda Prast.", "Who founded Mirrin?", "Prast"),
    Told("The director of Halvern Works is Ines Corvo.", "Who is the director of Halvern Works?", "Corvo"),
    Told("Bela Torvin plays the oboe.", "What does Bela Torvin play?", "oboe"),
    Told("The currency of Drosk is the lumen.", "What is the currency of Drosk?", "lumen"),
    Told("Kael Imber works for Santhe Mills.", "Who does Kael Imber work for?", "Santhe"),
    Told("The editor of The Varn Gazette is Luz Ophel.", "Who is the editor of The Varn Gazette?", "Ophel"),
    Told("Fyra Dunn was born in Ketterby.", "Where was Fyra Dunn born?", "Ketterby"),
    Told("The colour of the Pelm flag is saffron.", "What is the colour of the Pelm flag?", "saffron"),
    Told("Nolwe was built in 1734.", "When was Nolwe built?", "1734"),
    Told("The river of Ashgrove is the Tynel.", "What is the river of Ashgrove?", "Tynel"),
)
CHANGED, NOW = 1, Told("Tarn Velk lives in Brindle.", "Where does Tarn Velk live?", "Brindle")
ERASED = 2
AN_ADAPTER = 6  # facts that are learned together: two adapters for the twelve
SCARCE = 40  # tokens of memory where the window has little room: a fact or two


class Step(NamedTuple):
    """What came of asking for some facts: ``tiers`` counts the sources of the answers by where they came from."""

    name: str
    day: int
    right: int
    asked: int
    tiers: dict[str, int]
    read: float  # tokens that the model read for an answer, in the mean
    first_ms: float  # until the first word, in the mean
    why: str


class Story:
    """The twelve facts in one memory, and the steps that they went through."""

    def __init__(
        self, mem: MemOS, engine: Engine, clock: FrozenClock, home: Path, *, say: Callable[[str], None] = print
    ) -> None:
        self.mem, self.engine, self.clock, self.home, self._say = mem, engine, clock, home, say
        self.began = clock()
        self.facts = list(FACTS)
        self.ids: list[str] = []
        self.steps: list[Step] = []

    def run(self) -> list[Step]:
        """All steps, in their order."""
        for step in (self.tell, self.become_hot, self.become_stable, self.change, self.settle, self.erase):
            step()
        return self.steps

    # ── The steps ───────────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self) -> None:
        """Twelve facts over four days; each is asked for once, and read as text."""
        for place, fact in enumerate(self.facts):
            if place % 3 == 0:
                self.clock.advance(DAY)
            self.ids += self.mem.add(fact.text, **WHO).ids
        self.ask("told", "nothing else is there yet")

    def become_hot(self) -> None:
        """Nine days in which each is looked for six times a day; then the scheduler has its turn."""
        self.use(days=9, a_day=6)
        self._turn()
        self.compare()
        self.ask("hot", self.why(Form.KV))

    def become_stable(self) -> None:
        """A month later nothing has changed: the facts are distilled, and what is asked by name needs no text."""
        self.use(days=30, a_day=1)
        self.learn(range(0, AN_ADAPTER))
        self.learn(range(AN_ADAPTER, len(self.facts)))
        self.ask("stable", self.admission(), by_adapters=True)

    def change(self) -> None:
        """One fact is told otherwise, and asked for at once."""
        self.mem.update(self.ids[CHANGED], NOW.text, **WHO)
        self.facts[CHANGED] = NOW
        stale = [cube.payload.kind for cube in self.derived() if cube.stale]
        self.ask("changed", f"{stale.count('activation')} caches are stale from that moment on")
        self.ask("changed too", f"and {stale.count('parametric')} adapter", by_adapters=True)

    def settle(self) -> None:
        """The scheduler gives up what is stale, and makes caches of what is hot again."""
        self.use(days=2, a_day=6)
        self._turn()
        self.ask("settled", self.why(Form.KV))

    def erase(self) -> None:
        """One fact is erased: the others are asked for, and every byte of every file is searched for it."""
        gone = self.facts[ERASED]
        receipt = self.mem.erase(self.ids[ERASED], wait=True, **WHO)
        del self.ids[ERASED], self.facts[ERASED]
        left = list(holding(self.home, gone.answer))
        self.ask(
            "erased", f"receipt {receipt.id[:8]}… is {receipt.phase.value}; {len(left)} files hold {gone.answer!r}"
        )
        for tokens in (1_000, SCARCE):
            reply = self.mem.chat(
                gone.question, max_tokens=12, remember=False, use_adapters=True, memory_tokens=tokens, **WHO
            )
            ensure(gone.answer not in reply.text, f"what was erased was said again: {reply.text!r}")
        ensure(not left, f"what was erased is still in {left}")

    # ── What the steps are made of ──────────────────────────────────────────────────────────────────────────────────

    def ask(self, name: str, why: str, *, by_adapters: bool = False) -> None:
        """Ask for every fact that there is, and note how it was answered; caches are of use where adapters are not."""
        how = {"use_adapters": True, "memory_tokens": SCARCE} if by_adapters else {}
        tiers: dict[str, int] = {}
        right, read, first = 0, 0, 0.0
        for id, fact in zip(self.ids, self.facts, strict=True):
            reply = self.mem.chat(fact.question, max_tokens=12, remember=False, schedule="cost", **how, **WHO)
            self._check_current(reply)
            came = next((one.tier.value for one in reply.plan.used if one.id == id), "not found")
            tiers[came] = tiers.get(came, 0) + 1
            right += fact.answer in reply.text
            read += reply.usage.prompt - reply.usage.cached
            first += reply.plan.cost.first_ms
        asked = len(self.facts)
        self._note(name, right, tiers, read / asked, first / asked, why)

    def _note(self, name: str, right: int, tiers: dict[str, int], read: float, first_ms: float, why: str) -> None:
        day, asked = (self.clock() - self.began) // DAY, sum(tiers.values())
        self.steps.append(Step(name, day, right, asked, tiers, read, first_ms, why))
        self._say(f"day {day}, {name}: {right} of {asked} right, {tiers}, {first_ms:.0f} ms; {why}")

    def compare(self) -> None:
        """The very same prompts, read as a whole and with what is stored injected: the same words, in less time."""
        stored = [cube.parents[-1].id for cube in self.derived() if cube.parents]
        whole, short = [], []
        for fact in self.facts:
            with self.mem.inject(stored, fact.question, **WHO) as found:
                short.append(answered(self.engine, found.tokens, found.prefix))
                whole.append(answered(self.engine, found.tokens))
            ensure(short[-1].text == whole[-1].text, f"{short[-1].text!r} from KV caches, {whole[-1].text!r} from text")
        for name, tier, answers in (("hot, read", "text", whole), ("hot, injected", "kv-device", short)):
            right = sum(fact.answer in one.text for fact, one in zip(self.facts, answers, strict=True))
            read, first = fmean(one.read for one in answers), fmean(one.first_ms for one in answers)
            self._note(name, right, {tier: len(answers)}, read, first, "the same prompts: the same words to the letter")

    def use(self, *, days: int, a_day: int) -> None:
        """Each fact is looked for so often, spread over the days."""
        for _ in range(days * a_day):
            self.clock.advance(DAY / a_day)
            for fact in self.facts:
                self.mem.search(fact.question, limit=1, **WHO)

    def learn(self, places: range) -> None:
        """Distil some of the facts into an adapter; it serves only if it passes its admission test."""
        began = time.perf_counter()
        self.mem.distil([self.ids[place] for place in places], **WHO)
        report = self.mem.tick()
        ensure(not report.failed, f"it could not be learned: {report}")
        self._say(f"{len(places)} facts were distilled in {time.perf_counter() - began:.0f} s")

    def why(self, form: Form) -> str:
        """The reason of the newest decision for a form, in the scheduler's own words."""
        told = [one for id in self.ids for one in self.mem.decisions(id, **WHO) if one.after is form]
        return max(told, key=lambda one: one.grounds.at).reason if told else "no decision was made"

    def admission(self) -> str:
        """How the adapters did in their admission tests."""
        cards = [self.mem.adapter(cube.id, **WHO) for cube in self.derived() if cube.payload.kind == "parametric"]
        return "; ".join(
            f"an adapter of {len(card.manifest.subjects)} subjects {'serves' if card.serves else card.reason}"
            for card in cards
        )

    def derived(self) -> list[MemCube]:
        """The caches and adapters that there are."""
        kinds = {"kind": {"in": ["activation", "parametric"]}}
        return list(self.mem.list(filters=kinds, limit=1_000, **WHO))

    def _turn(self) -> None:
        turn = self.mem.move(**WHO)
        ensure(not turn.remark, turn.remark)
        self._say(f"a turn: {len(turn.made)} caches made, {len(turn.given_up)} given up, {len(turn.left)} left")

    def _check_current(self, reply: Reply) -> None:
        """Nothing that was read says what a memory said before."""
        for used in reply.plan.used:
            now = self.mem.get(used.id, **WHO).version
            ensure(used.version == now, f"{used.id} was served as it was before")


def ensure(holds: bool, otherwise: str) -> None:
    """End the story where something is not as it was promised."""
    if not holds:
        raise RuntimeError(otherwise)


class Answer(NamedTuple):
    """What the engine said, the tokens that it read for that, and the milliseconds to its first piece."""

    text: str
    read: int
    first_ms: float


def answered(engine: Engine, tokens: Sequence[int], prefix: Sequence[Kv] = ()) -> Answer:
    """The engine's own answer to a prompt of which the beginning may be there."""
    began, first, text = time.perf_counter(), 0.0, ""
    for piece in engine.run(tokens, ChatOptions(max_tokens=12), prefix=prefix):
        first = first or time.perf_counter() - began
        text += piece.text
    return Answer(text, len(tokens) - sum(len(kv.tokens) for kv in prefix), 1_000 * first)


def holding(home: Path, word: str) -> Iterator[Path]:
    """The files that hold a word, whatever its case."""
    needle = word.lower().encode()
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        if needle in path.read_bytes().lower():
            yield path


def table(steps: Sequence[Step]) -> Table:
    """The steps as a table for a terminal."""
    shown = Table(title="Twelve facts", title_justify="left")
    for heading in ("step", "day", "right", "from", "tokens read", "first word", "why"):
        shown.add_column(heading, justify="right" if heading in ("day", "tokens read", "first word") else "left")
    for step in steps:
        tiers = ", ".join(f"{count} × {tier}" for tier, count in sorted(step.tiers.items()))
        right = f"{step.right} of {step.asked}"
        shown.add_row(step.name, str(step.day), right, tiers, f"{step.read:.0f}", f"{step.first_ms:.0f} ms", step.why)
    return shown


def settings_in(folder: Path) -> Settings:
    """A store with a calibration of its own: what is measured while the clock stands still is for nobody else."""
    return Settings(home=folder / "home", config_dir=folder / "config", cache_dir=folder / "cache")


def main(arguments: Sequence[str] | None = None) -> None:
    """Tell the story with a local model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a local model (default: smollm2)")
    parser.add_argument("--out", type=Path, help="a folder for the table and the picture")
    given = parser.parse_args(arguments)
    clock = FrozenClock()
    with tempfile.TemporaryDirectory(prefix="pymemos-facts-") as folder:
        settings = settings_in(Path(folder))
        engine = open_local(given.model, Settings(home=settings.home, config_dir=settings.config_dir).cache_dir)
        with MemOS(settings=settings, engine=engine, embedder="none", clock=clock) as mem:
            mem.calibrate()
            steps = Story(mem, engine, clock, settings.home, say=lambda line: print(line, file=sys.stderr)).run()
    console = Console(width=150, record=True)
    console.print(table(steps))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "table.txt").write_text(console.export_text(), "utf-8")
        (given.out / "picture.svg").write_text(draw(steps), "utf-8")


if __name__ == "__main__":
    main()
