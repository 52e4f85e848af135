"""Invented notes and questions of their own, and how far blended answers to them are from the model's own answers.

The notes are in other words, of other people and other places than those that blending's fillers and probe are made of,
so that nothing was fitted to them: recipes were chosen on other seeds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.report import Row

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine
    from pymemos.models.local.invented import Case
    from pymemos.models.local.quality import Finding

METRICS = ("blend_kl", "blend_kl_worst_tenth", "blend_recomputed", "blend_changed")
FRESH = 90_000  # the seed of the first case that is measured; below it cases were used to choose the recipe
CASES = 102
Pair = tuple[str, str]  # a note, and a question that it answers

NAMES = (
    "Ilse Tomasz Mireille Bashir Oona Ravindra Calla Ezekiel Noor Haldis Piero Wanjiru Sunniva Dagny Lucan Amara "
    "Teodor Yuki Fenella Osric"
).split()
PLACES = (
    "Varna Kotor Matera Bruges Leith Tartu Salta Cuenca Aveiro Galway Sibiu Ohrid Nantes Lucca Hobart Turku Oaxaca "
    "Visby Gijon Malmo"
).split()
FOODS = (
    "smoked trout|lentil dumplings|fig jam|rye pancakes|okra stew|plum cake|salted almonds|beetroot soup|cardamom buns|"
    "goat cheese"
).split("|")
HOBBIES = (
    "restores old radios|keeps three beehives|paints tiny ships|plays the viola|collects tram tickets|"
    "runs a chess club|grows orchids|climbs sea cliffs|binds books|sings in a choir"
).split("|")
JOBS = (
    "a harbour pilot|a paediatric nurse|a bridge engineer|a court interpreter|a wine chemist|a map editor|"
    "a stage carpenter|a night baker|a glaciologist|a piano tuner"
).split("|")
PETS = "a grey whippet|a one-eyed cat|two canaries|an old tortoise|a corn snake|a deaf terrier".split("|")
PET_NAMES = "Biscuit Orlo Pepper Quill Juniper Moth Saffron Tuba Velvet Nimbus".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
THINGS = (
    "a folding kayak|a copper kettle|a second-hand telescope|an electric cargo bike|a sewing machine|a cedar wardrobe|"
    "a weather station|a typewriter"
).split("|")
COLOURS = "teal crimson ochre violet ivory charcoal emerald amber".split()
REASONS = (
    "because the old one broke|as a present to herself|after months of saving|with the bonus from work|"
    "since the neighbours had one|on the advice of a doctor"
).split("|")
TOPICS = "ceramics|Icelandic|first aid|data analysis|mushroom hunting|welding|calligraphy|astronomy".split("|")
NEAR = "station|river|old market|university|harbour".split("|")
KIN = "younger sister|brother-in-law|grandmother|cousin|stepfather|godson".split("|")
LENT = "drill tent cello camera ladder suitcase".split()


class Draw:
    """What is drawn for one case."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)

    def __call__(self, options: Sequence[Any]) -> Any:
        return self.source.choice(options)

    def two(self, options: Sequence[str]) -> list[str]:
        """Two of them."""
        return self.source.sample(options, 2)

    def number(self, low: int, high: int) -> int:
        """A number, both ends included."""
        return self.source.randint(low, high)


def case(seed: int) -> Case:
    """Six to eight notes about three to five people, and a question that one of the notes answers."""
    from pymemos.models.local.invented import Case

    draw = Draw(seed)
    people = draw.source.sample(NAMES, draw.number(3, 5))
    pairs = [kind(draw, *draw.two(people)) for kind in draw.source.sample(KINDS, draw.number(6, 8))]
    return Case(tuple(note for note, _ in pairs), draw(pairs)[1])


def home(d: Draw, a: str, _: str) -> Pair:
    p, q = d.two(PLACES)
    text = f"{a} moved from {p} to {q} in {d(MONTHS)} {d.number(2012, 2024)} and now lives near the {d(NEAR)}."
    return text, f"Where does {a} live now?"


def job(d: Draw, a: str, b: str) -> Pair:
    text = f"{a} works as {d(JOBS)} in {d(PLACES)}, mostly on {d(DAYS)}s and {d(DAYS)}s, and shares an office with {b}."
    return text, f"What does {a} do for a living?"


def pet(d: Draw, a: str, b: str) -> Pair:
    text = f"{a} has {d(PETS)} called {d(PET_NAMES)}, which {b} looks after when {a} travels."
    return text, f"What is the name of {a}'s pet, and who looks after it?"


def food(d: Draw, a: str, b: str) -> Pair:
    x, y = d.two(FOODS)
    text = f"{a} loves {x} but cannot eat {y}; the last time, at a dinner with {b}, it ended in the emergency room."
    return text, f"Which food should I avoid when I cook for {a}?"


def hobby(d: Draw, a: str, b: str) -> Pair:
    text = f"On {d(DAYS)} evenings {a} {d(HOBBIES)}, a habit that began in {d.number(1995, 2019)} when {b} was alone."
    return text, f"What does {a} do in the evening as a hobby?"


def plan(d: Draw, a: str, b: str) -> Pair:
    when = f"{d.number(1, 28)} {d(MONTHS)}"
    text = f"{a} plans to travel to {d(PLACES)} with {b} on {when} and stay for {d.number(2, 12)} nights."
    return text, f"When and where is {a} going to travel?"


def bought(d: Draw, a: str, _: str) -> Pair:
    text = f"In {d(MONTHS)} {a} bought {d(THINGS)} for {d.number(80, 950)} euros {d(REASONS)}."
    return text, f"What did {a} buy, and how much did it cost?"


def meeting(d: Draw, a: str, b: str) -> Pair:
    hour = f"{d.number(7, 19)}:{d(('00', '15', '30', '45'))}"
    text = f"{a} meets {b} every {d(DAYS)} at {hour} in the {d(COLOURS)} room on floor {d.number(1, 9)}."
    return text, f"At what time does {a} meet {b}?"


def course(d: Draw, a: str, b: str) -> Pair:
    weeks = d.number(3, 20)
    text = f"{a} signed up for a course in {d(TOPICS)} that lasts {weeks} weeks; {b} teaches it in {d(PLACES)}."
    return text, f"Which course does {a} take, and who teaches it?"


def family(d: Draw, a: str, b: str) -> Pair:
    text = f"{b} is {a}'s {d(KIN)}, was born in {d(PLACES)} and turned {d.number(19, 83)} in {d(MONTHS)}."
    return text, f"How are {a} and {b} related?"


def taste(d: Draw, a: str, b: str) -> Pair:
    x, y = d.two(COLOURS)
    text = f"For the new flat {a} wants {x} curtains and {y} walls, while {b} would rather keep everything white."
    return f"{text} They agreed to decide by {d(MONTHS)}.", f"Which colours does {a} want for the flat?"


def promise(d: Draw, a: str, b: str) -> Pair:
    text = f"{a} promised to return {b}'s {d(LENT)} before {d(DAYS)}."
    return f"{text} It has been in the cellar in {d(PLACES)} for {d.number(2, 11)} months.", f"What does {a} owe {b}?"


KINDS: tuple[Callable[[Draw, str, str], Pair], ...] = (
    home, job, pet, food, hobby, plan, bought, meeting, course, family, taste, promise,
)  # fmt: skip


def findings(engine: LocalEngine, seeds: Sequence[int]) -> Iterator[Finding]:
    """What comes of each case; ten seconds of a core or more for each, with SmolLM2."""
    from pymemos.models.local.blending import Composer
    from pymemos.models.local.quality import examine

    composer = Composer(engine)
    for seed in seeds:
        yield examine([composer], case(seed))[0]


def blend(engine: LocalEngine, *, cases: int = CASES) -> Iterator[Row]:
    """The rows of composition: fresh cases, the first eight answer tokens against those of the whole prompt."""
    yield from rows(list(findings(engine, range(FRESH, FRESH + cases))))


def rows(found: Sequence[Finding]) -> Iterator[Row]:
    """The figures of findings."""
    divergences = sorted(one.kl for one in found)
    tenth = divergences[-max(1, len(found) // 10) :]
    yield Row.at_most("blend_kl", fmean(divergences), f"nats a token, {len(found)} cases", 0.03)
    yield Row.plain("blend_kl_worst_tenth", fmean(tenth), "nats a token")
    yield Row.at_most("blend_recomputed", fmean(one.recomputed for one in found), "of loose tokens", 0.15)
    yield Row.plain("blend_changed", fmean(one.changed for one in found), "of greedy answers of eight tokens")
