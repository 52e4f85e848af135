"""The context block: hits as dated lines for a prompt, never over its token budget."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Self

from pymemos.cube.call import Hit
from pymemos.errors import InvalidInput
from pymemos.infrastructure.vault import valid_from
from pymemos.operation.fences import NOTE, line

_PIECES = re.compile(r"[A-Za-z]+|\d{1,3}|[^\sA-Za-z\d]")
LETTERS_PER_TOKEN = 4  # usual for English under byte-pair encodings


class Context(str):
    """A prompt-ready block of text; also says what it costs, by which counter, and which memories it holds."""

    tokens: int
    counter: str
    memories: tuple[str, ...]
    left_out: int  # for want of room
    fenced: tuple[str, ...]  # of the memories, those whose words came from elsewhere, and are quoted as data
    stale: tuple[str, ...]  # left out because their sources no longer stand for them

    @classmethod
    def of(
        cls,
        text: str,
        *,
        tokens: int,
        counter: str,
        memories: tuple[str, ...],
        left_out: int,
        stale: tuple[str, ...] = (),
        fenced: tuple[str, ...] = (),
    ) -> Self:
        """The block ``text`` with its measures."""
        block = cls(text)
        block.tokens, block.counter, block.memories, block.left_out = tokens, counter, memories, left_out
        block.stale, block.fenced = stale, fenced
        return block


def estimate_tokens(text: str) -> int:
    """Tokens of ``text`` without a model: one for every four letters of a word, three digits, or other sign."""
    return sum(_tokens_of(piece) for piece in _PIECES.findall(text))


def _tokens_of(piece: str) -> int:
    return -(-len(piece) // LETTERS_PER_TOKEN) if piece.isascii() and piece.isalpha() else 1


def check_tokens(given: Any) -> None:
    """Refuse a budget that no count could exceed or be compared with."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given)):
        raise InvalidInput(f"max_tokens is {given!r}; pass a number of tokens, or None for no limit")


def render(hits: Iterable[Hit], *, max_tokens: int | None, count: Callable[[str], int] = estimate_tokens) -> Context:
    """Hits as a block: a heading per day, in the order of each day's best hit, lines in order of rank.

    The layout depends on the hits alone and is cut off at the budget, so a smaller block is a prefix of a larger one.
    What is stale is left out and named: a model reads a line as true, whatever mark stands beside it.
    """
    given = list(hits)
    stale = tuple(hit.cube.id for hit in given if hit.stale)
    wary = {hit.cube.id for hit in given if not hit.cube.trust.is_trusted}
    pieces = _layout([hit for hit in given if not hit.stale])
    text, tokens, left_out = "", 0, 0
    kept: list[str] = []
    for number, (piece, ids) in enumerate(pieces):
        longer = f"{text}\n{piece}" if text else piece
        cost = count(longer)
        if max_tokens is not None and cost > max_tokens:
            left_out = sum(len(more) for _, more in pieces[number:])
            break
        text, tokens = longer, cost
        kept += ids
    return Context.of(
        text,
        tokens=tokens,
        counter=_name(count),
        memories=tuple(kept),
        left_out=left_out,
        stale=stale,
        fenced=tuple(id for id in kept if id in wary),
    )


def _layout(hits: list[Hit]) -> list[tuple[str, list[str]]]:
    """The pieces of the block; a day's heading and its first line are one piece, so that no heading stands alone.

    What the fences mean is said once, before the first of them.
    """
    days: dict[str, list[Hit]] = {}
    for hit in hits:
        if hit.cube.text:
            days.setdefault(valid_from(hit.cube).date().isoformat(), []).append(hit)
    pieces: list[tuple[str, list[str]]] = []
    noted = False
    for day, said in days.items():
        for place, hit in enumerate(said):
            heading = [f"[{day}]"] if place == 0 else []
            is_first_fence = not (noted or hit.cube.trust.is_trusted)
            note = [NOTE] if is_first_fence else []
            noted = noted or is_first_fence
            pieces.append(("\n".join([*note, *heading, line(hit.cube)]), [hit.cube.id]))
    return pieces


def _name(count: Callable[[str], int]) -> str:
    return getattr(count, "__name__", type(count).__name__)
