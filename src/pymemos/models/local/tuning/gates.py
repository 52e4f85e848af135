"""Where in a prompt's tokens a gate opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pymemos.ports import Tokens

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine


def opening_token(engine: LocalEngine, tokens: Sequence[int], question: str, end: int) -> int | None:
    """The token of a prompt in which the character before ``end`` of its last text, the question, lies.

    None where the prompt does not hold the question as it is.
    """
    asked = engine.text(question)
    start = _last(tuple(tokens), asked)
    return None if start is None else start + _reaching(engine, asked, end)


def _last(tokens: Tokens, asked: Tokens) -> int | None:
    """Where some tokens stand last in others."""
    for start in range(len(tokens) - len(asked), -1, -1):
        if tokens[start : start + len(asked)] == asked:
            return start
    return None


def _reaching(engine: LocalEngine, tokens: Tokens, end: int) -> int:
    """The first token with which so many characters are said."""
    low, high = 0, len(tokens) - 1
    while low < high:
        middle = (low + high) // 2
        if _said(engine, tokens[: middle + 1]) >= end:
            high = middle
        else:
            low = middle + 1
    return low


def _said(engine: LocalEngine, tokens: Tokens) -> int:
    text: str = engine.tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
    return len(text.rstrip("\ufffd"))  # bytes that are no character yet
