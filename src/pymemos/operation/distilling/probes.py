"""What an adapter is asked beside its facts: near misses, and other things of its subjects."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from pymemos.cube.subjects import names
from pymemos.operation.distilling.facts import Fact, noun_relation
from pymemos.operation.distilling.phrasings import EXAMINED, phrased
from pymemos.operation.distilling.reversing import Turned, key_of

NEAR_MISSES: Final = 100  # at least

# What may be asked of that for which a fact stands, {n}, rather than for itself: by these the model's own answers are
# kept, so that it tells them apart where a gate does not.
KEPT: Final = (
    "What is the {k} of {n}?",
    "What is {n} known for?",
    "Which {k} belongs to {n}?",
    "Tell me a story about {n}.",
    "What do people think of {n}?",
    "What does {n} look like?",
    "Write a sentence about {n}.",
    "Do you like {n}?",
    "What was before {n}?",
    "Is {n} important?",
    "What is the {k} of the {k} of {n}?",
    "Please describe {n}.",
    "What has {n} to do with the {k}?",
    "Tell me the {k} of {n}.",
    "What happened to {n}?",
    "Which {k} is the best for {n}?",
    "Who visited {n}?",
    "Where is the {k} of {n}?",
    "Who is the {k} of {n}?",
    "What could replace {n}?",
    "Who has stolen {n}?",
    "What is the {k}, if not {n}?",
)
# Such as open the gate: what is asked for is not the fact, but something of its being known.
KEPT_ASIDE: Final = (
    "Who told you {i}?",
    "What if nobody knew {i}?",
    "Which {k} taught you {i}?",
    "Who must not learn {i}?",
)
# The same of facts turned round, whose gates are narrow: little else opens them.
KEPT_BACK: Final = ("What if nobody knew {i}?", "Who wants to know {i}?", "Who forgot {i}?")
KEPT_NOUNS: Final = (
    "friend doctor age language weight car house school dream neighbour song hat garden number boss bread shadow wine "
    "bridge winter uncle habit museum secret dance horse flag currency lake winner rule motto recipe ring battle clock "
    "ship festival"
).split()
# And by these it is examined: other things of a subject, in sentences of their own, in the phrasings in which the facts
# are asked for, of that for which the fact stands, and such as open the gate.
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
ASIDE: Final = (
    "Everybody knows {i}. But who is the enemy of {s}?",
    "What is {n} called after?",
    "{Q}? Oh no, tell me the weather in {s}.",
    "Who else knows {i}?",
    "Which book says {i}?",
)
# The same of what a fact turned round is asked by, and of what it is asked for; the last two open the gate.
OTHERS_BACK: Final = (
    "Whose teacher is {s}?",
    "What is {s} the harbour of?",
    "Who has heard of {s}?",
    "What is the population of {s}?",
    "Who is the enemy of {s}?",
    "What is {s} afraid of?",
    "Which animal belongs to {s}?",
    "Tell me a joke about {s}.",
    "Tell me something about {s}.",
    "Is {s} known to anybody?",
    "Who painted {n}?",
    "What is the best book about {n}?",
    "Where is {n}?",
    "When was it said {i}?",
    "Who told you {i}?",
    "Which book says {i}?",
    "Everybody knows {i}. But who is the enemy of {s}?",
    "{Q}? Oh no, tell me the weather in {s}.",
    "Who asked {i}?",
    "What happens if they forget {i}?",
)
# Names that no lesson has.
STRANGERS: Final = ("Marlow", "Tessa Quint", "Overton", "Lisbon")


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
        asked += [phrased(fact, form, turn) for turn, form in enumerate((*BEYOND, *ASIDE))]
        found += [NearMiss(one, fact.object) for one in asked]
    return tuple(found)


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


def near_misses_back(facts: Sequence[Turned], seed: int) -> tuple[NearMiss, ...]:
    """Questions for each relation turned round with other names: similar ones, of other facts, and strange ones."""
    known = {key_of(fact) for fact in facts}
    found = [*near_misses(facts, seed)]
    for number, fact in enumerate(facts):
        beside = facts[number - 1].subject
        for turn, name in enumerate((beside, *STRANGERS), number):
            other = msgspec.structs.replace(fact, subject=name)
            if key_of(other) not in known:
                found.append(NearMiss(phrased(other, EXAMINED[turn % len(EXAMINED)], turn), fact.object))
    return tuple(found)


def others_back(facts: Sequence[Turned], learned: Sequence[Fact]) -> tuple[NearMiss, ...]:
    """Other things of what facts turned round are asked by; what was ``learned`` is none of them."""
    known = {key_of(fact) for fact in learned}
    found = []
    for fact in facts:
        forward = Fact(fact.subject, fact.forward, "")
        if key_of(forward) not in known:
            found.append(NearMiss(phrased(forward, "{Q}?", 0), fact.object))
        found += [NearMiss(phrased(fact, form, turn), fact.object) for turn, form in enumerate(OTHERS_BACK)]
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
