"""In which step which lesson is learned, and how fast: the same for the same recipe, so that a training can go on."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from pymemos.cube.adapter import Recipe
from pymemos.ports import Lesson

_FULL: Final = 0.6  # share of the steps at the full rate, before it falls
_LEAST: Final = 0.1  # of the rate, at the end


def rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step: it rises, stays, and falls."""
    rising = min(1.0, (step + 1) / max(1, recipe.warmup))
    left = (recipe.steps - step) / (recipe.steps * (1 - _FULL))
    return recipe.rate * rising * max(_LEAST, min(1.0, left))


def plan(lessons: Sequence[Lesson], recipe: Recipe) -> list[list[int]]:
    """The numbers of the lessons of each step: of each fact some phrasings, and some whose answers are to stay."""
    dice = random.Random(recipe.seed)  # noqa: S311 (no secret)
    facts: dict[int | None, list[int]] = defaultdict(list)
    for number, lesson in enumerate(lessons):
        facts[lesson.fact if lesson.answer is not None else None].append(number)
    kept = facts.pop(None, [])
    decks = [(_dealt(numbers, dice), recipe.asked_of(lessons[numbers[0]].gate)) for numbers in facts.values()]
    decks += [(_dealt(kept, dice), recipe.kept)] if kept else []
    return [[next(deck) for deck, count in decks for _ in range(count)] for _ in range(recipe.steps)]


def _dealt(numbers: Sequence[int], dice: random.Random) -> Iterator[int]:
    """All of them in chance order, over and over."""
    while True:
        yield from dice.sample(numbers, len(numbers))
