"""Facts turned round: by the name of an object one asks for the subject, where that can be asked well (4.1)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from pymemos.cube.subjects import names
from pymemos.operation.distilling.facts import NOT_A_NAME, Fact, Relation

_OF_NOUN: Final = re.compile(r"the (?P<r>.+) of \{s\} (?P<be>is|was)")
_WORDS: Final = re.compile(r"[\w'’.\- ]+")
_LINKS: Final = frozenset("of de von van der la el al du da".split())
# Names that many things share: whoever asks for these asks for no one thing.
_SHARED: Final = frozenset(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August "
    "September October November December Yes No None".split()
)
# What happens to people: of everything else one asks "what was painted by O".
_TO_PEOPLE: Final = frozenset(
    "born raised educated taught trained hired employed elected appointed adopted buried married".split()
)
# What people alone have: of everything else one asks "what is O the capital of".
_OF_PEOPLE: Final = frozenset(
    "wife husband spouse mother father sister brother son daughter partner boss neighbour landlord friend uncle aunt "
    "cousin doctor dog cat horse".split()
)
_WAYS: Final = (
    "who",
    "what",
    "which one",
    "which person",
    "one who",
    "one that",
    "person who",
    "someone who",
    "somebody who",
)


class Turned(Fact, frozen=True, kw_only=True):
    """A fact whose subject is what was the object; ``forward`` is the relation as it was learned."""

    forward: Relation


class TurnedRound(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that can be asked for the other way round, and of those that cannot, why."""

    facts: tuple[Turned, ...] = ()
    left: tuple[str, ...] = ()


def turned_round(facts: Sequence[Fact]) -> TurnedRound:
    """The facts turned round, without those to which there would be more than one answer."""
    found, left = [], []
    answers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for fact in facts:
        one = turned(fact)
        if one is None:
            left.append(f"{fact.subject}: {fact.relation.name}; {fact.object!r} is no name to ask by")
        else:
            found.append(one)
            answers[key_of(one)].add(one.object.casefold())
    for one in found:
        if len(answers[key_of(one)]) > 1:
            left.append(f"{one.object}: {one.forward.name}; {one.subject!r} is so of more than one")
    kept = tuple(one for one in found if len(answers[key_of(one)]) == 1)
    return TurnedRound(facts=kept, left=tuple(left))


def key_of(fact: Fact) -> tuple[str, str]:
    """What two facts share that are asked for by the same question."""
    return fact.subject.casefold(), fact.relation.name


def turned(fact: Fact) -> Turned | None:
    """A fact turned round; None where its object is no name, or gives the subject away."""
    relation = _turned(fact.relation)
    same = names(fact.object, [fact.subject]) or names(fact.subject, [fact.object])
    if relation is None or same or not _is_name(fact.object):
        return None
    return Turned(fact.object, relation, fact.subject, fact.source, forward=fact.relation)


def _is_name(text: str) -> bool:
    """Whether a text names one thing: words with capitals, and what links them."""
    words = text.split()
    if len(text) < 3 or not _WORDS.fullmatch(text) or words[0] in NOT_A_NAME or _SHARED & set(words):
        return False
    capitals = [word[0].isupper() for word in words]
    return capitals[0] and capitals[-1] and all(up or word in _LINKS for up, word in zip(capitals, words, strict=True))


def _turned(relation: Relation) -> Relation | None:
    """The relation from the object to the subject, by how the statement begins: "the capital of S is", "S lives in"."""
    stem = relation.stems[0]
    match = _OF_NOUN.fullmatch(stem)
    if match is not None:
        return _of_noun(match["r"], match["be"])
    said = stem.removeprefix("{s} ")
    return _of_verb(said) if said != stem and said not in ("is", "was") else None


def _of_noun(noun: str, be: str) -> Relation:
    """ "Whose capital is O": the object is the noun of the subject."""
    wh = "who" if noun.split()[-1] in _OF_PEOPLE else "what"
    return Relation(
        name=f"whose {noun}",
        direct=(f"whose {noun} {be} {{s}}", f"{wh} {be} {{s}} the {noun} of"),
        indirect=(f"whose {noun} {{s}} {be}", f"{wh} {{s}} {be} the {noun} of"),
        nouns=(f"the name of the one whose {noun} {be} {{s}}", f"the one whose {noun} {be} {{s}}"),
        stems=(f"{{s}} {be} the {noun} of",),
        clauses=(
            f"whose {noun} {be} {{s}}",
            f"whose {noun} {{s}} {be}",
            f"whose {noun} {be} called {{s}}",
            f"whose {noun} {be} named {{s}}",
            f"one whose {noun} {be} {{s}}",
            f"{be} {{s}} the {noun} of",
            f"{{s}} {be} the {noun} of",
            f"{{s}} {be} whose {noun}",
        ),
    )


def _of_verb(said: str) -> Relation:
    """ "Who lives in O", "what was founded by O"."""
    first, _, rest = said.partition(" ")
    is_person = first not in ("is", "was") or rest.split()[0] in _TO_PEOPLE
    wh, one = ("who", "the one who") if is_person else ("what", "the one that")
    return Relation(
        name=f"{wh} {said}",
        direct=(f"{wh} {said} {{s}}", f"which one {said} {{s}}"),
        indirect=(f"{wh} {said} {{s}}",),
        nouns=(f"the name of {one} {said} {{s}}", f"{one} {said} {{s}}"),
        stems=(f"{one} {said} {{s}} is",),
        clauses=tuple(f"{way} {said} {{s}}" for way in _WAYS),
    )
