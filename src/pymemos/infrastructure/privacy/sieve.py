"""Sieving: which of many texts may hold anything personal or secret, in a few passes over all of them together.

Most texts hold nothing, and to ask each by itself costs more than to write it down. What is left over here, a scan
would find nothing in; what is kept, it may.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from pymemos.infrastructure.privacy.secrets import NAMES, SHORTEST

_KEY = b"x" * SHORTEST
_WORDS = bytes(0x20 if chr(code).isspace() else 0x78 for code in range(128)) * 2  # what stands in a word becomes an x
_SIGNS = bytes(0x78 if chr(code) in "0123456789@" else 0x20 for code in range(128)) * 2
_NAMES = tuple(name.encode() for name in NAMES if name.isascii())


def suspects(texts: Sequence[str]) -> list[int]:
    """The places of texts with a digit, an @, a word as long as a key or the name of a secret, in order.

    A text that is not ASCII always counts: digits and spaces have other forms there.
    """
    plain = [place for place, text in enumerate(texts) if text.isascii()]
    joined = "\n".join([texts[place] for place in plain]).encode("ascii")
    ends = [*accumulate(len(texts[place]) + 1 for place in plain)]
    words, small = joined.translate(_WORDS), joined.lower()
    found = {*_holders(joined.translate(_SIGNS), b"x", ends), *_holders(words, _KEY, ends)}
    for name in _NAMES:
        found.update(_holders(small, name, ends))
    return sorted({plain[which] for which in found}.union(set(range(len(texts))).difference(plain)))


def _holders(joined: bytes, part: bytes, ends: Sequence[int]) -> Iterator[int]:
    """Which of the joined texts hold the part; the next one is looked for behind the text that does."""
    at = joined.find(part)
    while at >= 0:
        which = bisect_right(ends, at)
        yield which
        at = joined.find(part, ends[which])
