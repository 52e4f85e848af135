"""The words by which a question shows what is asked for: of nouns, of verbs, and of questions that somebody made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymemos.cube.gates import words_of
from pymemos.cube.subjects import without

TIMES: Final = "!when|year|month|day|date|century|hour"  # a question for a time is not for a place
PLACES: Final = "where|place|town|city|village|country|land"
# Words that ask for the same thing, the spellings of one word among them (ours). They stand for each other in cues.
_ALIKE: Final = (
    "colour color",
    "favourite favorite prefer best most",
    "neighbour neighbor",
    "centre center",
    "home residence",
    "job profession occupation trade career",
    "employer employ workplace",
    "password passphrase passcode",
    "wife spouse married",
    "husband spouse married",
    "sister sibling",
    "brother sibling",
    "mother parent mum mom",
    "father parent dad",
    "birthplace birth born native",
    "headquarters based",
    "founder found establish",
    "inventor invent",
    "author write wrote written",
    "composer compose",
    "painter paint",
    "owner own belong",
    "price cost",
    "age old",
)
_ALIKES: Final = {words.split()[0]: "|".join(words.split()) for words in _ALIKE}
_MEASURES: Final = frozenset("age price cost height weight length size speed depth distance temperature number".split())
_GLUE: Final = frozenset("of in for the a an and to at on".split())
_COUSINS: Final = {"capital": ("seat government",), "job": ("do living", "line work", "work as"), "home": ("live",)}
_WORTH: Final = 4  # words in a cue that is made of a question, at most: a longer one would never be met again
# What questions are made of whatever they ask for.
_PLAIN: Final = frozenset(
    "a an the this that these those it its he she they his her their i me my mine you your we our us of in on at to "
    "for from with about as by and or but so if not no yes do does did is are was were be been am has have had can "
    "could would will shall should may might must what which who whom whose where when why how please tell say know "
    "name give ask question answer let like want need think remember remind wonder help sure exactly actually just "
    "there here any some one more again today now called call someone something anything anyone".split()
)


def of_noun(noun: str) -> tuple[str, ...]:
    """What shows that something is asked for by a noun: all its words, or what means the same."""
    words = [word for word in noun.lower().split() if word not in _GLUE]
    return (" ".join(alike(word) for word in words), *_COUSINS.get(words[-1], ()))


def alike(word: str) -> str:
    """A word and those that ask for the same."""
    return _ALIKES.get(word, word)


def of_question(question: str, subject: str) -> str | None:
    """What shows that the same is asked for as in a question, by its own words; None where it has none."""
    said = words_of(without(question, subject))
    words = dict.fromkeys(word for word in said if word not in _PLAIN and len(word) > 1)
    return " ".join(words) if 0 < len(words) <= _WORTH else None


def interrogatives(clauses: Iterable[str], noun: str = "") -> tuple[str, ...]:
    """With which words clauses ask, beside "what" and "which"; one asks "how" for what can be measured."""
    words = {word for clause in clauses for word in words_of(clause)}
    if words & {"who", "whom"}:
        words |= {"who", "whom"}
    if noun.lower().split()[-1:] and noun.lower().split()[-1] in _MEASURES:
        words.add("how")
    return tuple(sorted(words & {"who", "whom", "where", "when", "how"}))
