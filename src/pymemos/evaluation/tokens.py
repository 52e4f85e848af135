"""Tokens: how long a text is for the budgets of an evaluation, with a tokenizer or without."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, runtime_checkable

import msgspec

# WordPiece tokens of a text, without marks of its beginning and end; what is counted must add up over the words.
Counter = Callable[[str], int]
LETTERS_PER_TOKEN, DIGITS_PER_TOKEN = 8, 3  # measured: within 5 % of MiniLM's tokenizer on dialogue and on prose
REMEMBERED = 1 << 17  # texts of which the length is kept: the same are found again and again
_PIECES = re.compile(r"[^\W\d_]+|\d+|[^\s\w]|_")


@runtime_checkable
class CountsTokens(Protocol):
    """An embedder that can count by its own tokenizer."""

    @property
    def identity(self) -> str:
        """The name of the embedder."""

    def count_tokens(self, text: str) -> int:
        """The tokens of ``text``, however long it is."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A counter with a name of its own."""

    name: str
    count: Counter

    def __call__(self, text: str) -> int:
        """The tokens of ``text``."""
        return self.count(text)


def counter_of(embedder: object) -> Counter:
    """The tokenizer of an embedder that has one, else the estimate."""
    if isinstance(embedder, CountsTokens):
        return Named(name=f"tokenizer of {embedder.identity}", count=embedder.count_tokens)
    return approximate_wordpieces


def remembering(count: Counter) -> Counter:
    """``count``, which counts no text twice."""
    return Named(name=name_of(count), count=lru_cache(REMEMBERED)(count))


def name_of(count: Counter) -> str:
    """What a report calls a counter."""
    return count.name if isinstance(count, Named) else getattr(count, "__name__", type(count).__name__)


def approximate_wordpieces(text: str) -> int:
    """WordPiece tokens of ``text`` without a vocabulary.

    One for every eight letters of a word, three digits, or other sign; letters beyond ASCII count one each.
    """
    return sum(map(_tokens_of, _PIECES.findall(text)))


def _tokens_of(piece: str) -> int:
    if not piece.isascii():
        return len(piece)
    return -(-len(piece) // (DIGITS_PER_TOKEN if piece.isdigit() else LETTERS_PER_TOKEN))
