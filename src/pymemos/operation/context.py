"""The context block: hits as dated lines for a prompt, never over its token budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Self

from pymemos.cube.call import Hit
from pymemos.cube.cube import MemCube
from pymemos.infrastructure.vault import valid_from

_PIECES = re.compile(r"[A-Za-z]+|\d{1,3}|[^\sA-Za-z\d]")
LETTERS_PER_TOKEN = 4  # usual for English under byte-pair encodings


class Context(str):
    """A prompt-ready block of text; also says what it costs, by which counter, and which memories it holds."""

    tokens: int
    counter: str
    memories: tuple[str, ...]
    left_out: int  # for want of room
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
    ) -> Self:
        """The block ``text`` with its measures."""
        block = cls(text)
        block.tokens, block.counter, block.memories, block.left_out = tokens, counter, memories, left_out
        block.stale = stale
        return block


def estimate_tokens(text: str) -> int:
    """Tokens of ``text`` without a model: one for every four letters of a word, three digits, or other sign."""
    return sum(_tokens_of(piece) for piece in _PIECES.findall(text))


def _tokens_of(piece: str) -> int:
    return -(-len(piece) // LETTERS_PER_TOKEN) if piece.isascii() and piece.isalpha() else 1


def render(hits: Iterable[Hit], *, max_tokens: int | None, count: Callable[[str], int] = estimate_tokens) -> Context:
    """Hits as a block: a heading per day, in the order of each day's best hit, lines in order of rank.

    The layout depends on the hits alone and is cut off at the budget, so a smaller block is a prefix of a larger one.
    What is stale is left out and named: a model reads a line as true, whatever mark stands beside it.
    """
    given = list(hits)
    stale = tuple(hit.cube.id for hit in given if hit.stale)
    pieces = _layout([hit for hit in given if not hit.stale])
    text, tokens = "", 0
    kept: list[str] = []
    left_out = 0
    for number, (piece, ids) in enumerate(pieces):
        longer = f"{text}\n{piece}" if text else piece
        cost = count(longer)
        if max_tokens is not None and cost > max_tokens:
            rest = sum(len(more) for _, more in pieces[number:])
            return Context.of(
                text, tokens=tokens, counter=_name(count), memories=tuple(kept), left_out=rest, stale=stale
            )
        text, tokens = longer, cost
        kept += ids
    return Context.of(text, tokens=tokens, counter=_name(count), memories=tuple(kept), left_out=left_out, stale=stale)


def line(cube: MemCube) -> str:
    """One memory as a line: its speaker, where it has one, and its text."""
    speaker = cube.header.descriptive.speaker or cube.header.descriptive.speaker_role
    text = " ".join(cube.text.split())
    return f"- {speaker}: {text}" if speaker else f"- {text}"


def _layout(hits: list[Hit]) -> list[tuple[str, list[str]]]:
    """The pieces of the block; a day's heading and its first line are one piece, so that no heading stands alone."""
    days: dict[str, list[Hit]] = {}
    for hit in hits:
        if hit.cube.text:
            days.setdefault(valid_from(hit.cube).date().isoformat(), []).append(hit)
    pieces: list[tuple[str, list[str]]] = []
    for day, said in days.items():
        first, *rest = said
        pieces.append((f"[{day}]\n{line(first.cube)}", [first.cube.id]))
        pieces += [(line(hit.cube), [hit.cube.id]) for hit in rest]
    return pieces


def _name(count: Callable[[str], int]) -> str:
    return getattr(count, "__name__", type(count).__name__)
