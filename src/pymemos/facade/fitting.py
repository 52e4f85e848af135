"""Fitting: how much memories and the talk may take of a model's window, by estimates, and by what a model counted."""

from __future__ import annotations

from pymemos.errors import PromptTooLong
from pymemos.operation.context import estimate_tokens
from pymemos.operation.layout import Budget

HEAD_TOKENS = 200  # of the system's own words (an estimate)
NOTHING = Budget(memory=0, history=0)


def fitted(budget: Budget, window: int | None, answer: int, *fixed: str) -> tuple[Budget, tuple[str, ...]]:
    """The budget beside the ``fixed`` texts, less where the window is too small for it; and what to say of that."""
    if window is None:
        return budget, ()
    room = window - answer - sum(map(estimate_tokens, fixed)) - HEAD_TOKENS
    if room < 0:
        raise PromptTooLong(
            f"the question and an answer of {answer} tokens do not fit into the model's window of {window}; ask for "
            "less, or lower max_tokens"
        )
    less = _shared(budget, room)
    if less == budget:
        return budget, ()
    return less, (f"the window of {window} tokens left {less.memory} for memories, {less.history} for the talk",)


def narrowed(budget: Budget, *, estimated: int, counted: int, room: int) -> Budget:
    """The budget, in estimated tokens, with which what was ``counted`` shrinks to ``room``.

    ``estimated`` is what was thought of the same memories and talk: in some scripts a letter is a token or more.
    """
    return _shared(budget, max(room, 0) * estimated // max(counted, 1))


def _shared(budget: Budget, room: int) -> Budget:
    memory = min(budget.memory, room // 2)
    return Budget(memory=memory, history=min(budget.history, room - memory))
