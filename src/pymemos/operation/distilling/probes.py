"""What an adapter is asked beside its facts: near misses, and other things of its subjects."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from pymemos.cube.subjects import names
from pymemos.operation.distilling.facts import Fact
from pymemos.operation.distilling.phrasings import EXAMINED, phrased

NEAR_MISSES: Final = 100  # at least

# Other things that may be asked of a subject: those by which the model's own answers are kept, and, apart from them,
# those by which that is examined.
KEPT: Final = (
    "Who discovered {s}?",
    "How old is {s}?",
    "What is the weather like in {s}?",
    "What does {s} cost?",
    "Who is the best friend of {s}?",
    "Which language does {s} know?",
    "What is the height of {s}?",
    "What did {s} do yesterday?",
    "How do you spell {s}?",
    "Write a sentence about {s}.",
    "What is the nickname of {s}?",
    "When did {s} become famous?",
    "What does {s} smell like?",
    "Who owns {s}?",
    "What is the phone number of {s}?",
    "Why is {s} important?",
    "What is the religion of {s}?",
    "Which food does {s} like?",
    "Where does {s} go on holiday?",
    "What is the opposite of {s}?",
    "What is the first name of {s}'s doctor?",
    "Who is {s} in love with?",
    "What is {s} proud of?",
    "What is the worst film about {s}?",
    "Tell me a story about {s}.",
    "How many children does {s} have?",
    "When does {s} go to bed?",
    "Who was the last to see {s}?",
    "Which tree grows near {s}?",
    "What is the street number of {s}?",
    "Who drew {s}?",
    "How fast is {s}?",
    "What is {s} dreaming of?",
    "Who is the rival of {s}?",
    "What is the weight of {s}?",
    "Which car does {s} drive?",
    "What is the size of {s}?",
    "Recommend a song about {s}.",
    "What is {s} known for?",
    "Is {s} tall?",
)
# What else may belong to a subject, to be asked for in the phrasings in which the facts are: so that it is learned that
# the relation has to be the one that is asked for.
KEPT_NOUNS: Final = (
    "friend doctor colour age language weight car house school dream neighbour song hat garden price number boss bread "
    "shadow wine bridge winter uncle habit museum secret dance horse flag currency lake winner rule motto recipe ring "
    "battle clock ship festival"
).split()
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


class NearMiss(msgspec.Struct, frozen=True):
    """The question for a fact, of a subject with a similar name; ``object`` is what must not be answered."""

    question: str
    object: str


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
