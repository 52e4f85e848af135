"""Terms as the full-text index writes them: qualified by their namespace, safe for its tokenizer (ADR 0012)."""

from __future__ import annotations

import re
from collections.abc import Sequence

# In a term: what FTS5's tokenizer does not keep as it is. (By exclusion it would take 10 ms to compile.)
_ODD = re.compile(r"[\0-,./:-`{-\x7f]")
_ESCAPE = re.compile(r"_([0-9a-f]{2})")


def qualify(ns: int, term: str) -> str:
    """A term as the index of namespace ``ns`` writes it: what its tokenizer would split or fold is escaped."""
    return f"{ns:x}_{_escaped(term) if _ODD.search(term) else term}"


def _escaped(term: str) -> str:
    return _ODD.sub(lambda found: f"_{ord(found[0]):02x}", term)


def _unescaped(term: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), term) if "_" in term else term


def column(ns: int, terms: Sequence[str]) -> str:
    """A column of a full-text row as it is stored."""
    if not terms:
        return ""
    joined = "".join(terms)
    plain = joined.islower() and joined.isalnum()  # nearly always, and told sooner than by a search
    if not plain and _ODD.search(joined):
        terms = [_escaped(term) for term in terms]
    prefix = f"{ns:x}_"
    return prefix + f" {prefix}".join(terms)


def unqualified(ns: int, column: str) -> tuple[str, ...]:
    """The terms of a stored column."""
    if not column:
        return ()
    prefix = f"{ns:x}_"
    terms = column[len(prefix) :].split(f" {prefix}")
    if column.count("_") == len(terms):  # the prefixes' own: nothing is escaped
        return tuple(terms)
    return tuple(map(_unescaped, terms))
