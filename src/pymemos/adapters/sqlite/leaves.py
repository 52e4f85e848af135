"""The leaves of a full-text index: FTS5 names each by a term in a table of its own, and forgets to when that term goes.

Secure delete takes a term out of its leaf, but where it was the first one there the leaf is still called by it, in the
table ``…_idx``. Any name will do that is behind the last term of the leaf before, and not behind the first of its own;
so each such leaf is given the name of the term that it begins with now.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import apsw

_NAMES = "SELECT segid, term, pgno FROM {index}_idx"
_LEAF = "SELECT block FROM {index}_data WHERE id = ?"
_RENAME = "UPDATE {index}_idx SET term = ? WHERE segid = ? AND term = ?"
_SEGMENT_BITS = 37  # of a block's number, below that of its segment
_MARK = b"0"  # before every term of the main index; others would be of prefixes


def rename(connection: apsw.Connection, index: str, gone: Iterable[str]) -> bool:
    """Name the leaves anew that are called by a beginning of a term that went; says whether all could be.

    A term may also be there still, in another row: then its leaf gets the name that it had.
    """
    terms = sorted({_MARK + term.encode() for term in gone})
    leaves: list[Any] = connection.execute(_NAMES.format(index=index)).fetchall()
    for segment, name, page in leaves:
        place = bisect_left(terms, bytes(name))
        if not name or place == len(terms) or not terms[place].startswith(name):
            continue
        block: Any = connection.execute(_LEAF.format(index=index), (segment << _SEGMENT_BITS | page >> 1,)).get
        first = first_term(block)
        if first is None:
            return False
        if first != name:
            connection.execute(_RENAME.format(index=index), (first, segment, name))
    return True


def first_term(block: bytes | None) -> bytes | None:
    """The first term that begins on a leaf; None where none does."""
    if block is None or len(block) < 4:
        return None
    end = int.from_bytes(block[2:4])  # of what the leaf holds; behind it lie the places of its terms
    if len(block) <= end:
        return None
    place, _ = _number(block, end)
    length, begin = _number(block, place)
    return block[begin : begin + length]


def _number(block: bytes, place: int) -> tuple[int, int]:
    """A number of SQLite's of variable length, at most four bytes here, and where it ends."""
    value = 0
    for end, byte in enumerate(block[place : place + 4], start=place + 1):
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, end
    return value, place + 4
