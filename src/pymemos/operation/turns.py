"""A turn of the scheduler: how moves between forms are carried out, decided without doing anything (4.2, 5.4.2).

Chats inject the longest stored beginning of their prompt, so the memories of an owner that should be KV caches make one
block in an order that stays: what is stored already keeps its place, and new ones come behind it, the hottest first.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.operation.context import estimate_tokens
from pymemos.operation.costs import DEFAULT_PRICES, FORMS, Calibration, Form, Prices, costs
from pymemos.operation.decisions import FormDecision
from pymemos.operation.layout import STABLE_SHARE, Budget
from pymemos.operation.moves import prefetch
from pymemos.operation.prefixes import Segment, path_behind
from pymemos.operation.proposing import best_first, judge

BLOCK_TOKENS: Final = int(STABLE_SHARE * Budget().memory)  # what chats take for their stable block unless they say so
LINE_TOKENS: Final = 10  # of a memory's line beside its text: the day, and a dash (an estimate)
FACTS: Final = 10  # that one adapter learns: for so many the recipe was measured (ADR 0039)
UNREADABLE: Final = "its sentences have none of the forms that an adapter can learn"
IN_TRAINING: Final = "an adapter is being trained already; what it does not learn comes after it"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A KV segment of the model that is scheduled for."""

    segment: Segment
    prefix: str | None  # the blob of the segment that it goes on behind
    system: str | None = None  # the text that it begins a prompt with
    reason: str = ""  # why it can never be used again: its source changed, or its file is gone
    fixed: bool = False  # frozen, or of high priority: nothing takes it back
    by_moves: bool = False  # no person asked for it, and no chat

    @property
    def id(self) -> str:
        """Of the memory that keeps it."""
        return self.segment.id


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter of the model that is scheduled for; ``by_moves`` says that no person asked for it."""

    id: str
    version: str
    sources: tuple[tuple[str, str], ...]  # ids and content hashes of what it learned from
    reason: str = ""  # why it may not be used, or nothing
    is_stale: bool = False
    admitted: bool = False
    fixed: bool = False  # frozen, or of high priority: nothing takes it back
    by_moves: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn looks at: the texts of an owner that the model may read whole, and the other forms there are."""

    texts: tuple[MemCube, ...] = ()
    segments: tuple[Stored, ...] = ()
    adapters: tuple[Trained, ...] = ()
    training: frozenset[str] = frozenset()  # ids of memories that an adapter is being trained on
    parked: frozenset[str] = frozenset()  # dedup keys of trainings that failed too often


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """A derived memory that is given up: the version that was seen, why, and the decisions that ask for it."""

    id: str
    version: str
    why: str
    decisions: tuple[FormDecision, ...] = ()


class Left(msgspec.Struct, frozen=True):
    """A memory whose move is not made in this turn, and why."""

    id: str
    why: str


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn does, in this order; ``block`` is what is encoded, whole, and ``load`` are memories of segments."""

    decisions: tuple[FormDecision, ...] = ()  # those that ask for a move, best first
    leaving: tuple[Leaving, ...] = ()
    block: tuple[str, ...] = ()  # empty where nothing is to be encoded
    encoded: tuple[FormDecision, ...] = ()  # of those in the block that are new in it
    learn: tuple[FormDecision, ...] = ()
    load: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def does_nothing(self) -> bool:
        """Whether there is nothing to be changed in the store."""
        return not (self.leaving or self.block or self.learn)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn may take: tokens of a block, facts of an adapter (0: none is trained), bytes to bring at hand."""

    block: int = BLOCK_TOKENS
    facts: int = FACTS
    room: float = 0.0


def steps(
    seen: Seen,
    now: datetime,
    calibration: Calibration,
    *,
    system: str,
    facts: Callable[[str], int],
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    prices: Prices = DEFAULT_PRICES,
) -> Steps:
    """Decide on every text of an owner, and how what follows is done.

    ``system`` is the text that the block stands behind, ``facts`` counts what an adapter could learn from a text.
    """
    broken = _broken(seen.segments, {cube.id for cube in seen.texts})
    forms = forms_of(seen, broken)
    tried = {pin for one in seen.adapters if not one.admitted for pin in one.sources}

    def allowed(cube: MemCube) -> tuple[Form, ...]:
        if cube.stale:
            return (Form.TEXT,)
        if forms.get(cube.id) is Form.ADAPTER:  # what it learned, it learned with others: it is given up with them
            return (Form.TEXT, Form.ADAPTER)
        learns = limits.facts and (cube.id, cube.content_hash) not in tried and 0 < facts(cube.text) <= limits.facts
        return FORMS if learns else (Form.TEXT, Form.KV)

    figures = msgspec.structs.replace(calibration, timings=())  # what they were fitted to decides nothing
    decisions = judge(seen.texts, forms, now, figures, prices, allowed=allowed)
    by_id, cubes = {one.id: one for one in decisions}, {cube.id: cube for cube in seen.texts}
    moves = best_first(decisions)
    gone = _gone(seen.segments, broken, by_id)
    left: list[Left] = []
    path = _path([one for one in seen.segments if one.id not in gone and one.id not in broken], system, by_id)
    new = _new_in_block(path, moves, cubes, now, limits.block, left)
    gone |= _idle_heads(seen.segments, gone, system if path or new else None)
    leaving = (*_segments_leaving(seen.segments, gone, by_id), *_adapters_leaving(seen.adapters, by_id))
    learn = _to_learn(moves, cubes, facts, limits.facts, left, busy=bool(seen.training))
    held = [*path, *(one.id for one in new)]
    return Steps(
        decisions=tuple(moves),
        leaving=leaving,
        block=tuple(held) if new else (),
        encoded=tuple(new),
        learn=tuple(learn),
        load=_at_hand(held, by_id, limits.room),
        left=tuple(left),
    )


def forms_of(seen: Seen, broken: Mapping[str, str]) -> dict[str, Form]:
    """The form beyond text of the memories that have one which may be used; an adapter comes before a KV cache."""
    held = [one for one in seen.segments if one.id not in broken]
    kept = {id: Form.KV for one in held if (id := one.segment.source) is not None}
    return kept | {id: Form.ADAPTER for one in seen.adapters if not one.reason for id, _ in one.sources}


# ── What is given up ────────────────────────────────────────────────────────────────────────────────────────────────


def _broken(stored: Sequence[Stored], at_hand: Container[str]) -> dict[str, str]:
    """Segments that are of no use, and those that stand behind them, each with the reason.

    They can never be used again, or moves made them of memories that no chat is given any more.
    """
    broken = {one.id: one.reason for one in stored if one.reason}
    for one in stored:
        if one.by_moves and one.segment.source is not None and one.segment.source not in at_hand:
            broken.setdefault(one.id, "its memory is not at hand: it is archived or frozen")
    while True:
        held = [one for one in stored if one.id not in broken]
        ends = {(one.segment.end, one.segment.through) for one in held}
        blobs = {one.segment.blob for one in held}
        more = {
            one.id: "what stood before it is gone"
            for one in held
            if one.segment.start and one.prefix not in blobs and (one.segment.start, one.segment.before) not in ends
        }
        if not more:
            return broken
        broken |= more


def _gone(stored: Sequence[Stored], broken: Mapping[str, str], decisions: Mapping[str, FormDecision]) -> dict[str, str]:
    """Segments that are given up, each with the reason.

    Those that are broken and, from the end of a chain on, those whose memories should be text. One that another goes on
    from stays: that one would have to be made again.
    """
    gone = {one.id: broken[one.id] for one in stored if one.id in broken and not one.fixed}
    while True:
        held = [one for one in stored if one.id not in gone]
        continued, begun = {one.prefix for one in held}, {(one.segment.start, one.segment.before) for one in held}
        more = {
            one.id: "its memory is text again"
            for one in held
            if not (one.fixed or one.segment.blob in continued or (one.segment.end, one.segment.through) in begun)
            and _is_over(one, decisions)
        }
        if not more:
            return gone
        gone |= more


def _is_over(one: Stored, decisions: Mapping[str, FormDecision]) -> bool:
    """Whether a segment that nothing goes on from is not worth its room: its memory should be text, or was learned.

    One whose memory is not known here stays.
    """
    decision = decisions.get(one.segment.source or "")
    return decision is not None and (decision.after is Form.TEXT or decision.before is Form.ADAPTER)


def _idle_heads(stored: Sequence[Stored], gone: Mapping[str, str], needed: str | None) -> dict[str, str]:
    """Segments of a system's text alone that nothing goes on from, but that of the block which is ``needed``."""
    held = [one for one in stored if one.id not in gone]
    continued, begun = {one.prefix for one in held}, {(one.segment.start, one.segment.before) for one in held}
    return {
        one.id: "no memory stands behind it any more"
        for one in held
        if one.system not in (None, needed)
        and not (one.fixed or one.segment.blob in continued or (one.segment.end, one.segment.through) in begun)
    }


def _segments_leaving(
    stored: Sequence[Stored], gone: Mapping[str, str], decisions: Mapping[str, FormDecision]
) -> Iterator[Leaving]:
    for one in stored:
        if one.id in gone:
            asked = decisions.get(one.segment.source or "")
            reasons = (asked,) if asked is not None and asked.is_move and asked.before is Form.KV else ()
            yield Leaving(id=one.id, version=one.segment.version, why=gone[one.id], decisions=reasons)


def _adapters_leaving(trained: Sequence[Trained], decisions: Mapping[str, FormDecision]) -> Iterator[Leaving]:
    """Adapters that moves brought about and that are stale, or of which every memory should be text again."""
    for one in trained:
        if not one.by_moves or not one.admitted or one.fixed:
            continue
        about = [decisions[id] for id, _ in one.sources if id in decisions]
        if one.is_stale:
            yield Leaving(id=one.id, version=one.version, why=one.reason)
        elif about and len(about) == len(one.sources) and all(each.after is Form.TEXT for each in about):
            yield Leaving(id=one.id, version=one.version, why="its memories are text again", decisions=tuple(about))


# ── What is encoded, learned and brought at hand ────────────────────────────────────────────────────────────────────


def _path(held: Sequence[Stored], system: str, decisions: Mapping[str, FormDecision]) -> list[str]:
    """The memories of the stored block behind a system's text, in their order: of several, the longest."""
    heads = {one.id for one in held if one.system == system}
    known = [one.segment for one in held if one.id in heads or one.segment.source in decisions]
    return [one.source for one in path_behind(heads, known) if one.source is not None]


def _new_in_block(
    path: Sequence[str],
    moves: Iterable[FormDecision],
    cubes: Mapping[str, MemCube],
    now: datetime,
    room: int,
    left: list[Left],
) -> list[FormDecision]:
    """Those that come into the block, the hottest first; what does not fit any more stays text."""
    taken = sum(LINE_TOKENS + estimate_tokens(cubes[id].text) for id in path)
    wanted = [one for one in moves if one.after is Form.KV and one.id not in path]
    chosen: list[FormDecision] = []
    for one in sorted(wanted, key=lambda one: (-cubes[one.id].header.behaviour.heat_at(now), one.id)):
        tokens = LINE_TOKENS + one.grounds.tokens
        if taken + tokens <= room:
            taken += tokens
            chosen.append(one)
        else:
            left.append(Left(one.id, f"the block of KV caches holds {room:,} tokens, and has no room for {tokens:,}"))
    return chosen


def _to_learn(
    moves: Iterable[FormDecision],
    cubes: Mapping[str, MemCube],
    facts: Callable[[str], int],
    most: int,
    left: list[Left],
    *,
    busy: bool,
) -> list[FormDecision]:
    """What the next adapter learns: the best moves, as many facts as it takes. One is trained at a time."""
    chosen, count = [], 0
    for one in moves:
        if one.after is not Form.ADAPTER:
            continue
        count += facts(cubes[one.id].text)
        if busy or count > most:
            left.append(Left(one.id, IN_TRAINING))
        else:
            chosen.append(one)
    return chosen


def _at_hand(block: Sequence[str], decisions: Mapping[str, FormDecision], room: float) -> tuple[str, ...]:
    """The memories whose segments should lie in memory before they are asked for, in the order of the block."""
    if room <= 0 or not block:
        return ()
    kept = {}
    for id in block:
        of = decisions[id].grounds
        kept[id] = (costs(of.tokens, of.calibration, of.prices), of.usage)
    first = decisions[block[0]].grounds
    chosen = set(prefetch(kept, first.prior, first.at, room))
    return tuple(id for id in block if id in chosen)
