"""The tuner of a local engine: it trains adapters, loads them, and asks the model with and without them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from pymemos.cube.adapter import Recipe
from pymemos.cube.gates import Gate, opening
from pymemos.errors import AdapterRefused, InvalidInput
from pymemos.models.local.hooks import AdapterUse, Lora
from pymemos.models.local.identity import digest_of
from pymemos.models.local.tuning import checkpoints, files, passing, schedule
from pymemos.models.local.tuning.files import LoadedAdapter
from pymemos.models.local.tuning.gates import opening_token
from pymemos.models.local.tuning.learning import Learner, Studied, studied
from pymemos.ports import Adapter, Lesson, Tokens, Utterance, Weights

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
    ) -> Weights:
        """Train in this thread; those who use the engine meanwhile take turns with it and see nothing of it."""
        first = round(recipe.frozen * len(self.engine.layers))
        learner = Learner(self.engine, first, rank=recipe.rank, alpha=recipe.alpha, seed=recipe.seed)
        adam = torch.optim.Adam(learner.parameters, lr=recipe.rate)
        mark = checkpoints.mark_of(self.ref, lessons, recipe, system)
        done = checkpoints.read(checkpoint, mark, learner.parameters, adam)
        on_step(done, recipe.steps)
        if done < recipe.steps:
            learned = self._studied(lessons, system, first)
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
        return [self.engine.tokenizer.decode(tokens, skip_special_tokens=True).strip() for tokens in found]

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

    def _studied(self, lessons: Sequence[Lesson], system: str, first: int) -> list[Studied]:
        """All lessons as the layers that learn see them, the answers that are to stay among them."""
        prompts = [self._prompt(lesson.question, system) for lesson in lessons]
        own = [number for number, lesson in enumerate(lessons) if lesson.answer is None]
        said = dict(zip(own, passing.answers(self.engine, [prompts[n] for n in own], _OWN), strict=True))
        end = self.engine.tokenizer.eos_token_id
        whole = [
            (*prompt, *(said[n] if lesson.answer is None else (*self.engine.text(lesson.answer), end)))
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
        return found

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
