"""The tuner of a local engine: it trains adapters, loads them, and asks the model with and without them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

import msgspec
import torch

from pymemos.cube.adapter import Recipe
from pymemos.cube.gates import Gate, opening
from pymemos.errors import AdapterRefused, InvalidInput
from pymemos.models.local.hooks import AdapterUse, Lora
from pymemos.models.local.identity import digest_of
from pymemos.models.local.tuning import checkpoints, files, passing, schedule, teaching
from pymemos.models.local.tuning.files import LoadedAdapter
from pymemos.models.local.tuning.gates import opening_token
from pymemos.models.local.tuning.learning import Learner, Studied, studied
from pymemos.ports import Adapter, Lesson, Nearness, Teacher, Tokens, Utterance, Weights

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine

_OWN: Final = 4  # tokens of the model's own answers that are kept
_SAVED: Final = 4  # steps between two checkpoints
_BASE: Final = 1_024  # answers of the base that are kept, at most: every admission test asks the control questions


class LocalTuner:
    """A ``Tuner`` over a local engine."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine, self.ref = engine, engine.ref
        self._base: dict[tuple[Tokens, int], list[int]] = {}  # what the base answers, by prompt and limit

    def train(
        self,
        lessons: Sequence[Lesson],
        recipe: Recipe,
        *,
        system: str,
        checkpoint: Path,
        on_step: Callable[[int, int], None],
        teacher: Teacher | None = None,
    ) -> Weights:
        """Train in this thread; those who use the engine meanwhile take turns with it and see nothing of it."""
        first = round(recipe.frozen * len(self.engine.layers))
        learner = Learner(self.engine, first, rank=recipe.rank, alpha=recipe.alpha, seed=recipe.seed)
        adam = torch.optim.Adam(learner.parameters, lr=recipe.rate)
        known = system if teacher is None else "\n".join((system, teacher.system, *teacher.notes))
        mark = checkpoints.mark_of(self.ref, lessons, recipe, known)
        done = checkpoints.read(checkpoint, mark, learner.parameters, adam)
        on_step(done, recipe.steps)
        if done < recipe.steps:
            learned = self._studied(lessons, system, first, teacher)
            for step, numbers in enumerate(schedule.plan(lessons, recipe)):
                if step < done:
                    continue
                _step(learner, adam, [learned[number] for number in numbers], recipe, step)
                if (step + 1) % _SAVED == 0 or step + 1 == recipe.steps:
                    checkpoints.write(checkpoint, mark, step + 1, learner.parameters, adam)
                on_step(step + 1, recipe.steps)
        return files.saved(self.engine, learner.loras(), recipe.rank, recipe.alpha)

    def open(self, file: memoryview) -> LoadedAdapter:
        """The adapter of a file, in memory."""
        return files.opened(self.engine, file)

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
        """Answers, many at a time."""
        prompts = [self._prompt(question, system) for question in questions]
        pairs = list(zip(prompts, questions, strict=True))
        modules = None if adapter is None else self._own(adapter)
        if modules is None:
            opens: list[int | None] = [None] * len(pairs)
        elif forced:
            opens = [opening_token(self.engine, tokens, question, 1) for tokens, question in pairs]
        else:
            opens = [self._opens(tokens, question, gates) for tokens, question in pairs]
        found = self._answered(prompts, limit, modules, opens)
        return [self._spelled(tokens) for tokens in found]

    def compared(
        self, questions: Sequence[str], teacher: Teacher, *, system: str, adapter: Adapter, gates: Sequence[Gate]
    ) -> Nearness:
        """How far the model is from a teacher, without an adapter and with it; the teacher is asked once."""
        if not questions:
            raise InvalidInput("there is nothing to measure on; pass questions")
        before, after, answers = [], [], []
        for question in questions:
            prompt, taught = self._prompt(question, system), teaching.said(self.engine, teacher, question)
            use = self.gated(adapter, prompt, question, gates)
            before.append(teaching.apart(self.engine, prompt, [], taught))
            after.append(before[-1] if use is None else teaching.apart(self.engine, prompt, [use], taught))
            answers.append(self._spelled(taught.tokens))
        return Nearness(before=fmean(before), after=fmean(after), answers=tuple(answers))

    def perplexity(self, text: str, *, adapter: Adapter | None = None, gates: Sequence[Gate] = ()) -> float:
        """The perplexity of a text that stands alone."""
        tokens = self.engine.text(text)
        if len(tokens) < 2:
            raise InvalidInput("a text of one token has no perplexity; pass a longer one")
        start = None if adapter is None else self._opens(tokens, text, gates)
        modules = {} if adapter is None else self._own(adapter)
        return math.exp(passing.surprise(self.engine, tokens, adapter=modules, opens=start))

    def gated(self, adapter: Adapter, tokens: Sequence[int], question: str, gates: Sequence[Gate]) -> Any | None:
        """The adapter with a gate over a prompt: open from the subject's name on, and while it is answered."""
        start = self._opens(tuple(tokens), question, gates)
        if start is None:
            return None
        gate = torch.zeros(len(tokens))
        gate[start:] = 1.0
        return AdapterUse(self._own(adapter), gate, 1.0)

    def _answered(
        self, prompts: Sequence[Tokens], limit: int, modules: dict[str, Lora] | None, opens: Sequence[int | None]
    ) -> list[list[int]]:
        """Answers as tokens. Behind a closed gate they are the base's; what it was asked by itself is asked once."""
        asked = list(zip(prompts, [limit] * len(prompts), opens, strict=True))
        found = {
            row: self._base[tokens, most]
            for row, (tokens, most, start) in enumerate(asked)
            if start is None and (tokens, most) in self._base
        }
        new = [row for row in range(len(prompts)) if row not in found]
        given = passing.answers(
            self.engine, [prompts[row] for row in new], limit, adapter=modules, opens=[opens[row] for row in new]
        )
        found |= dict(zip(new, given, strict=True))
        if modules is None and len(self._base) + len(new) <= _BASE:
            self._base |= {(prompts[row], limit): found[row] for row in new}
        return [found[row] for row in range(len(prompts))]

    def _studied(
        self, lessons: Sequence[Lesson], system: str, first: int, teacher: Teacher | None = None
    ) -> list[Studied]:
        """All lessons as the layers that learn see them, the answers that are to stay among them."""
        prompts = [self._prompt(lesson.question, system) for lesson in lessons]
        own = [number for number, lesson in enumerate(lessons) if lesson.answer is None]
        said = dict(zip(own, passing.answers(self.engine, [prompts[n] for n in own], _OWN), strict=True))
        end = self.engine.tokenizer.eos_token_id
        taught = {} if teacher is None else self._taught(lessons, teacher)
        said |= {n: list(one.tokens) for n, one in taught.items()}
        whole = [
            (*prompt, *(said[n] if n in said else (*self.engine.text(lesson.answer or ""), end)))
            for n, (prompt, lesson) in enumerate(zip(prompts, lessons, strict=True))
        ]
        head = self.engine.model.get_output_embeddings()
        found = []
        for lesson, prompt, tokens, seen in zip(
            lessons, prompts, whole, passing.seen(self.engine, whole, first), strict=True
        ):
            start = self._opens(prompt, lesson.question, [lesson.gate])
            if start is None:
                raise InvalidInput(f"the question {lesson.question!r} opens no gate of {lesson.gate.subject!r}")
            found.append(studied(seen, tokens, start, len(prompt), head if lesson.answer is None else None))
        for n, one in taught.items():
            found[n] = msgspec.structs.replace(found[n], taught=one.rows.half(), learned=True)
        return found

    def _taught(self, lessons: Sequence[Lesson], teacher: Teacher) -> dict[int, teaching.Said]:
        """What a teacher says to the questions that it can answer, by the numbers of the lessons."""
        asked = {n: one for n, one in enumerate(lessons) if one.answer is not None}
        said = {n: teaching.said(self.engine, teacher, one.question) for n, one in asked.items()}
        known = {n: (asked[n].answer or "").rstrip(".").casefold() for n in asked}
        return {n: one for n, one in said.items() if known[n] in self._spelled(one.tokens).casefold()}

    def _spelled(self, tokens: Sequence[int]) -> str:
        text: str = self.engine.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return text

    def _prompt(self, question: str, system: str) -> Tokens:
        return self.engine.prompt(system, (), [Utterance("user", question)]).tokens

    def _opens(self, tokens: Tokens, question: str, gates: Sequence[Gate]) -> int | None:
        end = opening(question, gates)
        return None if end is None else opening_token(self.engine, tokens, question, end)

    def _own(self, adapter: Adapter) -> dict[str, Lora]:
        if not isinstance(adapter, LoadedAdapter) or adapter.model != digest_of(self.ref):
            raise AdapterRefused("the adapter was made for another model")
        return dict(adapter.modules)


def _step(learner: Learner, adam: torch.optim.Adam, lessons: Sequence[Studied], recipe: Recipe, step: int) -> None:
    for group in adam.param_groups:
        group["lr"] = schedule.rate(recipe, step)
    loss = learner.loss(lessons, recipe.keep)
    adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    adam.step()
