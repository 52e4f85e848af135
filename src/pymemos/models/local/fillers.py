"""Fillers: invented notes that stand before a note while it is encoded, so that it is read as one among others.

They are nobody's memories: what a segment is averaged over leaves traces in it, and a trace of a memory would have to
go when that memory does. But they speak of the people that the note itself speaks of, as its real neighbours will: of
all that was tried, this brought a segment nearest to what the model computes in the real prompt (ADR 0036).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

RECIPE: Final = "loose-1"  # change it with anything here that changes what a segment is: old ones are refused then
SETS: Final = 4  # a segment is the average over so many encodings
_EACH: Final = 3  # fillers before the note in each

_NOTES: Final = (
    "{0} is allergic to nuts and bees and carries a small red bag with the medicine, as {1} well knows.",
    "On Sunday mornings {0} sews costumes for the theatre, which {1} taught her in the winter of 2009.",
    "{0} and {1} will fly to Bergen on 11 May, stay for six nights and come home by way of Hamburg.",
    "{0} wants to learn to swim before the summer, and {1} promised to go to the pool with him on Wednesdays.",
    "In September {0} bought a used piano for 640 euros, because {1} wants to learn it before she turns ten.",
    "{0} cannot stand mushrooms but would eat mango every day; for her birthday {1} baked her a cheese tart.",
    "{0} sees a doctor every second Thursday at 8:20; {1} drives there too, as the bus is always late.",
    "{0} moved into a flat above the bakery in Delft in 2016, and still shares the kitchen there with {1}.",
    "{0} has a black spaniel called Rufus, which {1} walks on Tuesdays and Fridays during the work at the library.",
    "{0} is a niece of {1}, grew up on a farm near Graz and will be twenty-six at the end of June.",
    "{0} borrowed a sleeping bag from {1} for a trip to the lakes and has to bring it back before 1 August.",
    "{0} repairs bicycles for a living, mostly at weekends, in a garage that he rents from {1} near the canal.",
)
_PEOPLE: Final = ("Greta", "Henrik", "Priya", "Victor", "Nadia", "Marcus", "Sofia", "Emil")
_NAME: Final = re.compile(r"\b[^\W\d_a-zß-ÿ][^\W\d_]+\b")  # a word that begins with a letter that is not small
_ORDINARY: Final = frozenset(
    "A After All An And As At Before Both But By Every For From He Her His How I If In It Its My No Not Of On Or Our "
    "She Since So That The Their There These They This To Until We What When Where Which While Who With You Your "
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August "
    "September October November December".split()
)


def sets_for(note: str) -> tuple[tuple[str, ...], ...]:
    """The fillers of each encoding of a note; the same for the same note, and so are its segments.

    In each set one filler is about the first that the note names, one about the second, one about somebody else.
    """
    names = names_in(note)[: _EACH - 1]
    return tuple(tuple(_filler(number, place, names) for place in range(_EACH)) for number in range(SETS))


def names_in(note: str) -> tuple[str, ...]:
    """What the note seems to name: its capitalised words, each once, without those that begin ordinary sentences."""
    words: Sequence[str] = _NAME.findall(note)
    return tuple(dict.fromkeys(word for word in words if word not in _ORDINARY and word[0] != word[0].lower()))


def _filler(number: int, place: int, names: Sequence[str]) -> str:
    which, index = (place - number) % _EACH, number * _EACH + place
    own = names[which] if which < len(names) else None
    others = [name for name in _PEOPLE if name not in names]
    first = own or others[index % len(others)]
    second = others[(index + 3) % len(others)]
    return _NOTES[index].format(first, second if second != first else others[(index + 4) % len(others)])
