"""A toy tuner: its adapters are the lessons themselves, so that everything around a training can be tested at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pymemos.cube import adapter as files
from pymemos.cube.adapter import Recipe
from pymemos.cube.gates import Gate, opening
from pymemos.cube.payload import ModelRef
from pymemos.cube.subjects import named
from pymemos.cube.tensors import Shape, header
from pymemos.errors import AdapterRefused
from pymemos.ports import Adapter, Lesson, Weights

STATE: Final = "toy.json"
_LESSONS: Final = "lessons"
_WORD: Final = re.compile(r"[^\W_](?:[\w']*)")
_BASE: Final = "I do not know."


class ToyAdapter(msgspec.Struct, frozen=True):
    """The lessons that have an answer."""

    ref: ModelRef
    lessons: tuple[Lesson, ...]

    @property
    def nbytes(self) -> int:
        """A hundred bytes for each."""
        return 100 * len(self.lessons)


class ToyTuner:
    """Answers with what the most similar lesson on the same subject says, if it knows all words of the question.

    ``leaks`` makes adapters that give a trained answer to whatever names a subject; ``trained`` counts the steps that
    were really done. What is done is kept in the checkpoint, as the contract wants.
    """

    def __init__(self, ref: ModelRef, *, leaks: bool = False) -> None:
        self.ref, self.leaks, self.trained = ref, leaks, 0

    def train(
        self,
        lessons: Sequence[Lesson],
        recipe: Recipe,
        *,
        system: str,
        checkpoint: Path,
        on_step: Callable[[int, int], None],
    ) -> Weights:
        """Count the steps, and note each."""
        mark = msgspec.json.encode([lessons, recipe, system, self.ref]).decode()
        done = _done(checkpoint, mark)
        on_step(done, recipe.steps)
        for step in range(done, recipe.steps):
            self.trained += 1
            checkpoint.mkdir(parents=True, exist_ok=True)
            (checkpoint / STATE).write_bytes(msgspec.json.encode([mark, step + 1]))
            on_step(step + 1, recipe.steps)
        learned = msgspec.json.encode(lessons)
        shape = Shape(_LESSONS, "U8", (len(learned),))
        return Weights(header([shape], {}) + learned, b'{"r": 1, "lora_alpha": 1}')

    def open(self, file: memoryview) -> ToyAdapter:
        """The lessons of a file."""
        if files.manifest_of(file).model != self.ref:
            raise AdapterRefused("the adapter was made for another model")
        lessons = msgspec.json.decode(bytes(files.tensors_of(file).bytes_of(_LESSONS)), type=tuple[Lesson, ...])
        return ToyAdapter(self.ref, tuple(one for one in lessons if one.answer is not None or self.leaks))

    def answers(
        self,
        questions: Sequence[str],
        *,
        system: str,
        limit: int,
        adapter: Adapter | None = None,
        gates: Sequence[Gate] = (),
        forced: bool = False,
    ) -> list[str]:
        """What the adapter knows behind its gate; else that nothing is known."""
        return [self._answer(question, adapter, gates, forced=forced) or _BASE for question in questions]

    def perplexity(self, text: str, *, adapter: Adapter | None = None, gates: Sequence[Gate] = ()) -> float:
        """The same for every text."""
        return 10.0

    def gated(self, adapter: Adapter, tokens: Sequence[int], question: str, gates: Sequence[Gate]) -> Any | None:
        """The answer, as text."""
        return None if opening(question, gates) is None else self._answer(question, adapter, gates, forced=False)

    def _answer(self, question: str, adapter: Adapter | None, gates: Sequence[Gate], *, forced: bool) -> str | None:
        if adapter is None or (not forced and opening(question, gates) is None):
            return None
        if not isinstance(adapter, ToyAdapter) or adapter.ref != self.ref:
            raise AdapterRefused("the adapter was made for another model")
        known = adapter.lessons if forced else [one for one in adapter.lessons if named(question, [one.gate.subject])]
        taught = [one for one in known if one.answer is not None]
        if self.leaks:
            return taught[0].answer if taught else None
        nearest = max(taught, key=lambda one: _likeness(question, one), default=None)
        if nearest is None or not _likeness(question, nearest):
            return None
        asked = _words(question, nearest.gate.subject)
        return nearest.answer if asked <= _vocabulary(taught, nearest.gate.subject) else None


_PLAIN: Final = frozenset(
    "what is the a an of to me you i do does did in at for who where when which was are please tell can could know "
    "name say about let us talk as there here has have been it its this that and or but quick question i am "
    "could remind give hello forgot help someone asked today trying remember fill blank quiz need my friend "
    "wonders should answer regarding writing one detail would happen".split()
)


def _likeness(question: str, lesson: Lesson) -> int:
    return len(_words(question, lesson.gate.subject) & _words(lesson.question, lesson.gate.subject))


def _vocabulary(lessons: Sequence[Lesson], subject: str) -> set[str]:
    """Every word with which a subject's facts are asked for: a question that has another one is for something else."""
    return {word for one in lessons if one.gate.subject == subject for word in _words(one.question, subject)}


def _words(text: str, subject: str) -> set[str]:
    found = {word.removesuffix("'s") for word in _WORD.findall(text.lower())}
    return found - set(_WORD.findall(subject.lower())) - _PLAIN


def _done(checkpoint: Path, mark: str) -> int:
    try:
        said, step = msgspec.json.decode((checkpoint / STATE).read_bytes(), type=tuple[str, int])
    except (FileNotFoundError, msgspec.MsgspecError):
        return 0
    return step if said == mark else 0
