"""Invented notes and questions, to measure blending with: the same for the same seed, and nobody's."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import msgspec

_PEOPLE: Final = "Aron Brita Cosmo Delia Edda Florin Gwen Hamid Ines Jarek Katya Leopold Mina Nils Odette Pavel".split()
_TOWNS: Final = "Bergamo Chester Dijon Evora Fulda Ghent Ioannina Jaca Kuopio Lviv Mainz Namur Olbia Pecs".split()
_DAYS: Final = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_GOODS: Final = ("walnuts", "leek pie", "apricots", "blue cheese", "pea soup", "ginger biscuits", "grilled squid")
_TRADES: Final = ("a locksmith", "a beekeeper", "a tax adviser", "a ferry captain", "a school cook", "a dentist")
_TOYS: Final = ("a canoe", "a loom", "a tandem", "an old jukebox", "a pottery wheel", "a globe", "a record player")
_SPARE: Final = ("juggles", "carves spoons", "draws maps", "sails", "plays the bassoon", "breeds finches", "fences")

Draw = Callable[[tuple[str, ...] | list[str]], str]


class Case(msgspec.Struct, frozen=True):
    """Notes as they stand in a prompt, and a question about one of them."""

    notes: tuple[str, ...]
    question: str


def cases_from(seed: int, count: int) -> list[Case]:
    """So many cases."""
    return [case(random.Random(f"{seed} {number}")) for number in range(count)]  # noqa: S311 (no secret)


def case(source: random.Random) -> Case:
    """Six to eight notes about some three people, and a question about one of the notes."""
    people = source.sample(_PEOPLE, 4)
    pairs = [_pair(kind, source, people) for kind in source.sample(_KINDS, source.randint(6, 8))]
    return Case(tuple(note for note, _ in pairs), source.choice(pairs)[1])


Pair = tuple[str, str]


def _pair(kind: Callable[[random.Random, str, str], Pair], source: random.Random, people: list[str]) -> Pair:
    who, other = source.sample(people, 2)
    return kind(source, who, other)


def _home(of: random.Random, who: str, other: str) -> Pair:
    town = of.choice(_TOWNS)
    return (
        f"{who} left {other}'s house in {of.randint(2009, 2024)} and rents two rooms in {town}.",
        f"In which town does {who} live?",
    )


def _trade(of: random.Random, who: str, other: str) -> Pair:
    trade = of.choice(_TRADES)
    return (
        f"{who} is {trade}, like {other}'s father, but works only until noon on {of.choice(_DAYS)}s.",
        f"What is {who}'s trade?",
    )


def _taste(of: random.Random, who: str, other: str) -> Pair:
    good, bad = of.sample(_GOODS, 2)
    return (
        f"{who} gets a rash from {bad}, so {other} always brings {good} along instead.",
        f"What should {who} not eat?",
    )


def _visit(of: random.Random, who: str, other: str) -> Pair:
    where, day = of.choice(_TOWNS), of.randint(1, 28)
    return (
        f"On {day} May {who} visits {other} in {where} and stays for {of.randint(2, 9)} days.",
        f"When does {who} visit {other}?",
    )


def _lesson(of: random.Random, who: str, other: str) -> Pair:
    hour = f"{of.randint(8, 20)}:{of.choice(('05', '20', '40'))}"
    return (
        f"{who} has a singing lesson with {other} every {of.choice(_DAYS)} at {hour}.",
        f"When is {who}'s singing lesson?",
    )


def _spare(of: random.Random, who: str, other: str) -> Pair:
    return (
        f"In the spare time {who} {of.choice(_SPARE)}; {other} thinks that it is a waste of money.",
        f"What does {who} do in the spare time?",
    )


def _bought(of: random.Random, who: str, other: str) -> Pair:
    thing, price = of.choice(_TOYS), of.randint(40, 900)
    return (
        f"{who} sold {thing} to {other} for {price} francs and regrets it a little.",
        f"What did {who} sell, and for how much?",
    )


def _animal(of: random.Random, who: str, other: str) -> Pair:
    name = of.choice(("Pixel", "Domino", "Truffle", "Captain", "Marzipan"))
    return (
        f"{who}'s {of.choice(('goat', 'parrot', 'poodle', 'ferret'))} is called {name} and once bit {other}.",
        f"What is the name of {who}'s animal?",
    )


def _debt(of: random.Random, who: str, other: str) -> Pair:
    return (
        f"{who} owes {other} {of.randint(20, 400)} euros for the tickets and wants to pay by {of.choice(_DAYS)}.",
        f"How much does {who} owe {other}?",
    )


def _illness(of: random.Random, who: str, other: str) -> Pair:
    part = of.choice(("knee", "shoulder", "left ear", "back"))
    return (
        f"{who} will have an operation on the {part} in {of.choice(_TOWNS)}; {other} is going to feed the fish.",
        f"What will be operated on {who}?",
    )


_KINDS: Final = (_home, _trade, _taste, _visit, _lesson, _spare, _bought, _animal, _debt, _illness)
