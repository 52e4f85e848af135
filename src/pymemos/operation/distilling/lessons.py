"""The lessons of an adapter: every fact in many phrasings, and beside them what the model is to go on saying."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pymemos.cube.adapter import Recipe
from pymemos.cube.gates import Gate, opening
from pymemos.cube.subjects import names
from pymemos.errors import InvalidInput
from pymemos.operation.distilling.cues import of_question
from pymemos.operation.distilling.facts import Fact, facts_in
from pymemos.operation.distilling.phrasings import answer, learned, phrased
from pymemos.operation.distilling.probes import KEPT, KEPT_ASIDE, KEPT_BACK, KEPT_NOUNS
from pymemos.operation.distilling.reversing import Turned, TurnedRound, turned_round
from pymemos.ports import Lesson

PHRASINGS: Final = 24  # of a fact, at most, by templates
PHRASINGS_BACK: Final = 16  # of one that is turned round
KEPT_EACH: Final = 10  # questions beside each fact whose answers are to stay, and those that open its gate


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taught, and how."""

    facts: tuple[Fact, ...]
    lessons: tuple[Lesson, ...]
    gates: tuple[Gate, ...]  # what the adapter opens for, in the order of the facts
    back: TurnedRound | None = None  # the facts that are taught the other way round too; None where none was to be
    taught_by: str = "templates"

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom the gates are about."""
        return tuple(dict.fromkeys(gate.subject for gate in self.gates))


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
    made = {
        number: [one for one in some if names(one, [facts[number].subject])] for number, some in (asked or {}).items()
    }
    gates = [gate_of(fact, made.get(number, ())) for number, fact in enumerate(facts)]
    lessons = [
        lesson for number, fact in enumerate(facts) for lesson in _of(fact, number, gates[number], made.get(number, ()))
    ]
    lessons += _kept(facts, recipe.seed)
    back = turned_round(facts) if recipe.reverse else None
    if back is not None:
        lessons += [
            lesson
            for number, fact in enumerate(back.facts, len(facts))
            for lesson in _of(fact, number, gate_of(fact), ())
        ]
        lessons += [lesson for fact in back.facts for lesson in _kept_back(fact)]
    return Course(
        facts=tuple(facts),
        lessons=tuple(lessons),
        gates=tuple(dict.fromkeys(gates)),
        back=back,
        taught_by=by or "templates",
    )


def gate_of(fact: Fact, asked: Sequence[str] = ()) -> Gate:
    """What opens for a fact: the words of its relation, and those of the questions that were made for it."""
    made = [cue for one in asked if (cue := of_question(one, fact.subject)) is not None]
    relation = fact.relation
    cues = tuple(dict.fromkeys((*relation.cues, *made)))
    if relation.clauses:
        return Gate(subject=fact.subject, relation=relation.name, clauses=relation.clauses)
    nouns = tuple(noun.removeprefix("the ") for noun in relation.nouns)
    return Gate(subject=fact.subject, relation=relation.name, cues=cues, asks=relation.asks, nouns=nouns)


def _of(fact: Fact, number: int, gate: Gate, asked: Sequence[str]) -> list[Lesson]:
    """A fact's lessons: questions and paraphrases, and those that a chat model made; none behind a closed gate."""
    most = PHRASINGS_BACK if gate.clauses else PHRASINGS
    questions = dict.fromkeys((*learned(fact)[:most], *asked))
    return [
        Lesson(question=one, gate=gate, answer=answer(fact), fact=number)
        for one in questions
        if opening(one, [gate]) is not None
    ]


def _kept(facts: Sequence[Fact], seed: int) -> list[Lesson]:
    """What is asked in the words of a fact, and is something else: as if the gate had been opened by it."""
    dice = random.Random(seed)  # noqa: S311 (no secret)
    lessons: list[Lesson] = []
    for fact in facts:
        for turn, form in enumerate((*KEPT_ASIDE, *dice.sample(KEPT, KEPT_EACH))):
            for _ in range(form.count("{k}")):
                form = form.replace("{k}", dice.choice(KEPT_NOUNS), 1)
            lessons.append(Lesson(question=phrased(fact, form, turn), gate=Gate(subject=fact.subject)))
    return lessons


def _kept_back(fact: Turned) -> list[Lesson]:
    """What opens the gate of a fact turned round, and asks for something of its being known."""
    gate = gate_of(fact)
    asked = [phrased(fact, form, turn) for turn, form in enumerate(KEPT_BACK)]
    return [Lesson(question=one, gate=gate) for one in asked if opening(one, [gate]) is not None]
