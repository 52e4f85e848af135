"""Passages: a long text as parts that an embedder reads whole, each ending where a sentence or a line does."""

from __future__ import annotations

import re

LENGTH = 1_000  # characters: about the 256 word pieces that small models read
PARTS = 255  # a key has eight bits for the part; of a longer text the rest is found by its words

_ENDS = re.compile(r"[.!?\u2026\u3002\uff01\uff1f]['\")\]]*\s+|\n+")


def passages(text: str, *, length: int = LENGTH) -> list[str]:
    """``text`` in parts of at most ``length`` characters; one that fits stays whole."""
    text = text.strip()
    if len(text) <= length:
        return [text]
    parts: list[str] = []
    start = 0
    while len(text) - start > length and len(parts) < PARTS - 1:
        end = _end(text, start, start + length)
        parts.append(text[start:end].strip())
        start = end
    parts.append(text[start : start + length].strip())
    return [part for part in parts if part]


def _end(text: str, start: int, limit: int) -> int:
    """The last end of a sentence, else of a word, in the second half of what fits; else where it is full."""
    half = (start + limit) // 2
    ends = [found.end() for found in _ENDS.finditer(text, half, limit)]
    if ends:
        return ends[-1]
    space = text.rfind(" ", half, limit)
    return space + 1 if space > 0 else limit
