"""Further questions for a fact, made by a chat model: what it is asked, and which of its questions can serve (4.1)."""

from __future__ import annotations

import re
from typing import Final

from pymemos.cube.subjects import names
from pymemos.operation.distilling.facts import Fact
from pymemos.operation.distilling.phrasings import learned, statement
from pymemos.ports import ChatOptions, Utterance

MOST: Final = 12  # questions that are asked for
LONGEST: Final = 200  # characters of a question
_SYSTEM: Final = (
    "You write questions. You are given one fact. Ask for it in other words, as different people would, each time in "
    "one sentence. Always write the name {subject!r} out. Never give the answer away, and ask for nothing else."
)
OPTIONS: Final = ChatOptions(max_tokens=400)
_NUMBERED: Final = re.compile(r"^\W*(?:\d+\W+)?")  # what a list has before its items


def request(fact: Fact) -> tuple[Utterance, ...]:
    """What a chat model is told, and asked for."""
    plain = learned(fact)[0]
    asked = (
        f"Fact: {statement(fact)}\nThe plain question: {plain}\nWrite {MOST} other questions for it, one on each line."
    )
    return Utterance("system", _SYSTEM.format(subject=fact.subject)), Utterance("user", asked)


def served(text: str, fact: Fact) -> tuple[str, ...]:
    """The questions of an answer that can serve: each names the subject, asks, and does not hold what is to be said."""
    lines = [" ".join(_NUMBERED.sub("", line).split()).rstrip('",') for line in text.splitlines()]
    return tuple(dict.fromkeys(line for line in lines if _fits(line, fact)))[:MOST]


def _fits(question: str, fact: Fact) -> bool:
    return (
        len(question) <= LONGEST
        and question.endswith("?")
        and names(question, [fact.subject])
        and fact.object.casefold() not in question.casefold()
    )
