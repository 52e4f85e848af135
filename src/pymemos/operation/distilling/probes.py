"""What an adapter is asked beside its facts: near misses, and other things of its subjects."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from pymemos.cube.subjects import names
from pymemos.operation.distilling.facts import Fact, noun_relation
from pymemos.operation.distilling.phrasings import EXAMINED, phrased

NEAR_MISSES: Final = 100  # at least

# What may be asked of that for which a fact stands, {n}, rather than for itself. The words of the fact are in it, so
# the gate opens, and the model has to tell them apart: by these its own answers are kept.
KEPT: Final = (
    "Do you like {n}?",
    "Please describe {n}.",
    "Who knows {n}?",
    "Which {k} suits {n}?",
    "What could replace {n}?",
    "Who visited {n}?",
    "Can you spell {n}?",
    "What harms {n}?",
    "Which {k} became {n}?",
    "Who has stolen {n}?",
    "Sing me {n}.",
    "Does the {k} need {n}?",
    "Which {k} hides {n}?",
    "Did you miss {n}?",
    "Which {k} is older, or {n}?",
    "Explain {n}.",
    "Is the {k} {n}?",
    "What is the {k}, if not {n}?",
    "Compare the {k} and {n}.",
    "Who hates {n}?",
)
KEPT_NOUNS: Final = (
    "friend doctor age language weight car house school dream neighbour song hat garden number boss bread shadow wine "
    "bridge winter uncle habit museum secret dance horse flag currency lake winner rule motto recipe ring battle clock "
    "ship festival"
).split()
# And by these it is examined: other things of a subject, in sentences of their own, in the phrasings in which the facts
# are asked for, and of that for which the fact stands.
OTHERS: Final = (
    "Who painted {s}?",
    "What is the population of {s}?",
    "What is the name of {s}'s teacher?",
    "How heavy is {s}?",
    "What is {s} afraid of?",
    "Who is the enemy of {s}?",
    "What is the best book about {s}?",
    "At what time does {s} wake up?",
    "What is the postal code of {s}?",
    "Tell me a joke about {s}.",
    "Who was the first to visit {s}?",
    "Which animal belongs to {s}?",
)
OTHER_NOUNS: Final = ("teacher", "harbour", "statue", "weather")
BEYOND: Final = (
    "What is the population of {n}?",
    "Who painted {n}?",
    "What is the name of the teacher of {n}?",
    "What is {n} afraid of?",
    "What is the best book about {n}?",
    "Which animal belongs to {n}?",
    "Please draw {n}.",
    "Has anybody ever seen {n}?",
    "Which painter loved {n}?",
)


class NearMiss(msgspec.Struct, frozen=True):
    """The question for a fact, of a subject with a similar name; ``object`` is what must not be answered."""

    question: str
    object: str


def others(facts: Sequence[Fact]) -> tuple[NearMiss, ...]:
    """Other things of the subjects of facts; none of them is a fact itself."""
    known = {(fact.subject, fact.relation.name) for fact in facts}
    found = []
    for fact in facts:
        asked = [form.format(s=fact.subject) for form in OTHERS]
        for turn, noun in enumerate(OTHER_NOUNS):
            if (fact.subject, noun) not in known:
                other = Fact(fact.subject, noun_relation(noun), "")
                asked.append(phrased(other, EXAMINED[turn], turn))
        asked += [form.format(n=beyond(fact, turn)) for turn, form in enumerate(BEYOND)]
        found += [NearMiss(one, fact.object) for one in asked]
    return tuple(found)


def beyond(fact: Fact, turn: int) -> str:
    """What a fact stands for, by one of its nouns: "the capital of S"."""
    nouns = fact.relation.nouns
    return nouns[turn % len(nouns)].format(s=fact.subject)


def near_misses(facts: Sequence[Fact], seed: int, *, least: int = NEAR_MISSES) -> tuple[NearMiss, ...]:
    """Questions for each relation with names like the subject's that are none of the subjects'."""
    dice = random.Random(seed)  # noqa: S311 (no secret)
    subjects = [fact.subject for fact in facts]
    each = -(-least // max(1, len(facts)))
    found = []
    for fact in facts:
        for turn in range(each):
            name = _like(fact.subject, subjects, dice, turn)
            asked = phrased(msgspec.structs.replace(fact, subject=name), EXAMINED[turn % len(EXAMINED)], turn)
            found.append(NearMiss(asked, fact.object))
    return tuple(found)


def _like(name: str, taken: Sequence[str], dice: random.Random, turn: int) -> str:
    """A name like another: a letter changed, one more, one less, or another word in the place of one."""
    for _ in range(100):
        made = _CHANGES[turn % len(_CHANGES)](name, dice)
        if not names(made, taken) and made.strip() and made != name:
            return made
        turn += 1
    return f"Not{name.replace(' ', '').lower()}"


def _swapped(name: str, dice: random.Random) -> str:
    at = dice.randrange(len(name))
    return name[:at] + dice.choice("aeiorstlnm") + name[at + 1 :] if name[at].isalpha() else name


def _longer(name: str, dice: random.Random) -> str:
    return name + dice.choice(("a", "en", "is", "o", "ton", "ville"))


def _shorter(name: str, _dice: random.Random) -> str:
    return name[:-1] if len(name) > 3 else name + "x"


def _renamed(name: str, dice: random.Random) -> str:
    """The same first word with another second, or a word before a single one's beginning."""
    first, _, rest = name.partition(" ")
    if rest:
        return f"{first} {dice.choice(('Halloran', 'Bexley', 'Corvin', 'Ashdown', 'Merrow'))}"
    return f"{dice.choice(('Neu', 'Al', 'Mor', 'Tir'))}{first.lower()}"


_CHANGES: Final = (_swapped, _longer, _renamed, _shorter)
