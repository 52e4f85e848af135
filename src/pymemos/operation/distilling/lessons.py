"""The lessons of an adapter: every fact in many phrasings, and beside them what the model is to go on saying."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pymemos.cube.adapter import Recipe
from pymemos.errors import InvalidInput
from pymemos.operation.distilling.facts import Fact, facts_in
from pymemos.cube.subjects import names
from pymemos.operation.distilling.phrasings import answer, learned
from pymemos.operation.distilling.probes import KEPT
from pymemos.ports import Lesson

PHRASINGS: Final = 13  # of a fact, at most, by templates
OTHERS: Final = 5  # questions on each subject whose answers are to stay


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taught, and how."""

    facts: tuple[Fact, ...]
    lessons: tuple[Lesson, ...]
    taught_by: str = "templates"

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom the gate opens for."""
        return tuple(dict.fromkeys(fact.subject for fact in self.facts))


def course(
    texts: Mapping[str, str], recipe: Recipe, *, asked: Mapping[int, Sequence[str]] | None = None, by: str = ""
) -> Course:
    """The course of memories, by id; ``asked`` has for the number of a fact further questions that a chat model made.

    Raises InvalidInput for a memory in which no fact can be read, as it would be lost without a word.
    """
    facts: list[Fact] = []
    for id, text in texts.items():
        found = facts_in(text, id)
        if not found:
            raise InvalidInput(
                f"memory {id!r} has no sentence of the form 'the capital of S is O', 'S lives in O' or the like, "
                "with a name for S; leave it out, or say it so"
            )
        facts += found
    lessons = [lesson for number, fact in enumerate(facts) for lesson in _of(fact, number, asked or {})]
    lessons += _kept(facts, recipe.seed)
    return Course(facts=tuple(facts), lessons=tuple(lessons), taught_by=by or "templates")


def _of(fact: Fact, number: int, asked: Mapping[int, Sequence[str]]) -> list[Lesson]:
    """A fact's lessons: questions and paraphrases, those of a chat model, and the reverse, to be confirmed."""
    questions = [*learned(fact)[:PHRASINGS], *(one for one in asked.get(number, ()) if names(one, [fact.subject]))]
    return [
        Lesson(question=one, subject=fact.subject, answer=answer(fact), fact=number) for one in dict.fromkeys(questions)
    ]


def _kept(facts: Sequence[Fact], seed: int) -> list[Lesson]:
    """Other questions on the same subjects, which the facts say nothing of."""
    dice = random.Random(seed)  # noqa: S311 (no secret)
    subjects = dict.fromkeys(fact.subject for fact in facts)
    return [
        Lesson(question=form.format(s=subject), subject=subject)
        for subject in subjects
        for form in dice.sample(KEPT, OTHERS)
    ]
