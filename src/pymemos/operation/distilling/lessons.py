"""The lessons of an adapter: every fact in many phrasings, and beside them what the model is to go on saying."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pymemos.cube.adapter import Recipe
from pymemos.cube.subjects import names
from pymemos.errors import InvalidInput
from pymemos.operation.distilling.facts import Fact, facts_in, noun_relation
from pymemos.operation.distilling.phrasings import LEARNED, answer, learned, phrased
from pymemos.operation.distilling.probes import KEPT, KEPT_NOUNS
from pymemos.ports import Lesson

PHRASINGS: Final = 13  # of a fact, at most, by templates
FORMS: Final = 6  # questions on each subject whose answers are to stay, of any form
NOUNS: Final = 6  # and of those in which facts are asked for
FOREIGN: Final = 2  # and for what other subjects are known for


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
    """A fact's lessons: questions and paraphrases, and those that a chat model made."""
    questions = [*learned(fact)[:PHRASINGS], *(one for one in asked.get(number, ()) if names(one, [fact.subject]))]
    return [
        Lesson(question=one, subject=fact.subject, answer=answer(fact), fact=number) for one in dict.fromkeys(questions)
    ]


def _kept(facts: Sequence[Fact], seed: int) -> list[Lesson]:
    """Other questions on the same subjects, which the facts say nothing of: some in the very phrasings of the facts."""
    dice = random.Random(seed)  # noqa: S311 (no secret)
    known: dict[str, set[str]] = {}
    for fact in facts:
        known.setdefault(fact.subject, set()).add(fact.relation.name)
    relations = list({fact.relation.name: fact.relation for fact in facts}.values())
    lessons = []
    for subject, own in known.items():
        foreign = [one for one in relations if one.name not in own]
        near = dice.sample(foreign, min(FOREIGN, len(foreign)))
        nouns = dice.sample([noun for noun in KEPT_NOUNS if noun not in own], NOUNS)
        asked = [form.format(s=subject) for form in dice.sample(KEPT, FORMS)]
        for relation in (*near, *map(noun_relation, nouns)):
            carrier = dice.choice(LEARNED)
            asked.append(phrased(Fact(subject, relation, ""), carrier, dice.randrange(2)))
        lessons += [Lesson(question=one, subject=subject) for one in asked]
    return lessons
