"""Prefixes: stored KV segments as a tree over tokens, and the longest chain of them that begins a prompt (4.1, 5.4.2).

A segment is worth something only behind exactly the tokens that it was computed behind, so it is known by two digests:
of all tokens before it, and of all tokens up to its end. What two prompts have in common is stored once; a longer one
goes on behind it. Everything here is pure: it is told which segments there are, and who may use them.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from pymemos.cube.segment import EXACT
from pymemos.ports import Tokens


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Stored keys and values of consecutive tokens of a prompt: which memory keeps them, in which blob, and where.

    ``before`` digests all tokens in front of it, ``through`` all tokens up to its end. ``tokens`` are its own, where
    they are at hand: without them only a segment that fits whole is found.
    """

    id: str
    blob: str
    start: int
    length: int
    before: str
    through: str
    form: str = EXACT
    size: int = 0  # bytes of the file
    namespace: str = ""
    version: str = ""  # of the memory
    source: str | None = None  # the memory whose text it holds
    tokens: Tokens | None = None

    @property
    def end(self) -> int:
        """The place behind its last token."""
        return self.start + self.length


class Match(msgspec.Struct, frozen=True):
    """A segment that fits a prompt at its place, from its first token on and for so many."""

    segment: Segment
    length: int

    @property
    def end(self) -> int:
        """The place behind the last token that fits."""
        return self.segment.start + self.length


class Link(msgspec.Struct, frozen=True):
    """A segment in a chain, of which the first ``take`` tokens are used."""

    segment: Segment
    take: int

    @property
    def is_cut(self) -> bool:
        """Whether some of its tokens are left out, because another goes on earlier, or the prompt says other words."""
        return self.take < self.segment.length


class Refused(msgspec.Struct, frozen=True):
    """A segment that fits, and may not be used: by its memory's id, and why."""

    id: str
    reason: str


class Chain(msgspec.Struct, frozen=True):
    """Segments that together are the beginning of a prompt, without a gap; and those that may not be used."""

    links: tuple[Link, ...] = ()
    refused: tuple[Refused, ...] = ()

    @property
    def length(self) -> int:
        """How many tokens of the prompt it holds."""
        return sum(link.take for link in self.links)


class PrefixTree:
    """Some segments, found by the tokens that stand before them; never changed, only replaced."""

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self._segments: dict[str, Segment] = {one.id: one for one in segments}
        self._starts: dict[int, dict[str, list[Segment]]] = {}
        for one in self._segments.values():
            self._starts.setdefault(one.start, {}).setdefault(one.before, []).append(one)

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def segments(self) -> Mapping[str, Segment]:
        """All segments, by the ids of their memories."""
        return self._segments

    def changed(self, added: Iterable[Segment] = (), dropped: Iterable[str] = ()) -> PrefixTree:
        """The tree with some segments more, in place of those with the same id, and some fewer."""
        gone = set(dropped)
        kept = {id: one for id, one in self._segments.items() if id not in gone}
        kept |= {one.id: one for one in added}
        return PrefixTree(kept.values())

    def matches(self, tokens: Sequence[int]) -> list[Match]:
        """Every segment that fits the prompt at its place, as far as it fits."""
        begun = digests(tokens, (start for start in self._starts if start < len(tokens)))
        here = [one for start, before in begun.items() for one in self._starts[start].get(before, ())]
        ended = digests(tokens, (one.end for one in here if one.end <= len(tokens)))
        found = []
        for one in here:
            length = one.length if ended.get(one.end) == one.through else _common(one, tokens)
            if length:
                found.append(Match(one, length))
        return found

    def longest(self, tokens: Sequence[int], admit: Callable[[Segment], str] = lambda _: "") -> Chain:
        """The longest chain of segments at the beginning of a prompt, of as few segments as can be.

        ``admit`` is asked of each that would be used, and gives the reason why it may not be, or nothing.
        """
        return chain(self.matches(tokens), admit)


def chain(matches: Iterable[Match], admit: Callable[[Segment], str] = lambda _: "") -> Chain:
    """Put segments together, the one that reaches furthest first: an interval cover from the first token on.

    Of several that reach as far, one in the exact form comes first, then one that begins where the last one ends.
    """
    waiting, links, refused, reached = list(matches), [], [], 0
    while True:
        waiting = [one for one in waiting if one.end > reached]
        here = [one for one in waiting if one.segment.start <= reached]
        if not here:
            break
        best = min(here, key=lambda one: _preference(one, reached))
        waiting.remove(best)
        if reason := admit(best.segment):
            refused.append(Refused(best.segment.id, reason))
            continue
        links.append(best)
        reached = best.end
    return Chain(_cut(links), tuple(refused))


def shortened(links: Sequence[Link], length: int) -> tuple[Link, ...]:
    """The first ``length`` tokens of a chain."""
    kept, left = [], length
    for link in links:
        if left <= 0:
            break
        kept.append(link if link.take <= left else Link(link.segment, left))
        left -= link.take
    return tuple(kept)


def path_behind(heads: Container[str], segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The exact segments that stand behind one of the heads, each where the one before ends, one for each memory.

    Of several ways, the longest. ``heads`` are ids of segments that begin a prompt.
    """
    exact = [one for one in segments if one.form == EXACT]
    follows: dict[tuple[int, str], tuple[int, Segment]] = {}  # by where a way goes on: its length, and what is next
    for one in sorted(exact, key=lambda one: (-one.start, one.id)):
        if one.source is not None:
            length = one.length + follows.get((one.end, one.through), (0, one))[0]
            if length > follows.get((one.start, one.before), (0, one))[0]:
                follows[one.start, one.before] = length, one
    ends = {(one.end, one.through) for one in exact if one.id in heads and not one.start}
    place = max(sorted(ends & follows.keys()), key=lambda end: follows[end][0], default=None)
    path: list[Segment] = []
    while place in follows:
        _, one = follows[place]
        if one.source in {each.source for each in path}:
            break
        path.append(one)
        place = (one.end, one.through)
    return tuple(path)


def digests(tokens: Sequence[int], lengths: Iterable[int]) -> dict[int, str]:
    """The digests of the first so many tokens, for each of some lengths, in one pass; as ``tokens_digest`` has them."""
    running, done, found = sha256(), 0, {}
    for length in sorted(set(lengths)):
        running.update(_bytes(tokens[done:length]))
        done = length
        found[length] = running.hexdigest()
    return found


def _preference(one: Match, reached: int) -> tuple[Any, ...]:
    return (-one.end, one.segment.form != EXACT, reached - one.segment.start, one.segment.id)


def _cut(links: Sequence[Match]) -> tuple[Link, ...]:
    """Each as far as the next one's beginning."""
    ends = [*(one.segment.start for one in links[1:]), links[-1].end] if links else []
    return tuple(Link(one.segment, end - one.segment.start) for one, end in zip(links, ends, strict=True))


def _common(segment: Segment, tokens: Sequence[int]) -> int:
    """How many tokens a segment has in common with a prompt at its place; none where its own are not at hand."""
    own = segment.tokens or ()
    there = tokens[segment.start : segment.start + len(own)]
    return next((place for place, (a, b) in enumerate(zip(own, there, strict=False)) if a != b), len(there))


def _bytes(tokens: Sequence[int]) -> bytes:
    """Tokens as little-endian integers of 32 bits, as a file of a segment holds them."""
    packed = array("i", tokens)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
