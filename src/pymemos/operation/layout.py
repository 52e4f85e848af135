"""The layout of a prompt: which memories stand where, so that the prompts of a conversation begin alike (ADR 0034).

An engine with a prefix cache reads only what stands behind the first token that differs from a prompt that it knows.
So what stays the same stands first: the system's text, a stable block of the hottest memories, then the conversation
turn by turn, each turn with the memories that it brought in, then the question, and behind it what was rewritten
lately, which is looked up anew in each turn. A memory is placed once and keeps its place; what no longer holds is taken
out, and from there on the prompt is read again.

Everything here is a value, and nothing is looked up: memories are rated before they come in, and the last layout of a
conversation is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

STABLE_SHARE = 0.4  # of the memory budget that the stable block may take
HOT = 3.0  # the heat from which on a memory is worth a place in every prompt (ours: about three uses a fortnight)
COOLED = HOT / 2  # below it a memory gives its place away, at the beginning of a conversation
VOLATILE = timedelta(days=3)  # what was rewritten so lately may be rewritten again, and stands last
KEPT_OF_HISTORY = 0.5  # what stays of a conversation that outgrew its budget: less often read again than cut each turn


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that may stand in a prompt, as one line of it; ``tokens`` is what the line costs."""

    id: str
    version: str
    content_hash: str
    text: str
    tokens: int
    heat: float = 0.0
    changed: datetime | None = None  # when it was rewritten last; None where it is as it was first written
    score: float = 0.0  # as an answer to the question
    why: str = ""  # why it was found


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A memory in its place, and why it stands there."""

    id: str
    version: str
    content_hash: str
    text: str
    tokens: int
    why: str


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A question and its answer, as they stand in the prompt, with the memories that the question brought in."""

    asked_id: str
    asked: str
    answer_id: str
    answer: str
    tokens: int  # of question and answer
    notes: tuple[Note, ...] = ()
    day: str = ""  # on which the notes were looked up

    @property
    def cost(self) -> int:
        """The tokens of all of it."""
        return self.tokens + sum(note.tokens for note in self.notes)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens: of memories that a turn may bring in, with the stable block; and of the conversation before it."""

    memory: int = 1_000
    history: int = 6_000


class LeftOut(msgspec.Struct, frozen=True):
    """A memory that does not stand in the prompt, and why."""

    id: str
    why: str


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a prompt, in order: the stable block, the conversation, and what this turn brings in.

    ``fresh`` stands before the question and stays there, ``volatile`` behind it, and in the next prompt no more.
    """

    stable: tuple[Note, ...] = ()
    history: tuple[Exchange, ...] = ()
    fresh: tuple[Note, ...] = ()
    volatile: tuple[Note, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def notes(self) -> tuple[Note, ...]:
        """Every memory in the prompt, in order."""
        said = tuple(note for exchange in self.history for note in exchange.notes)
        return (*self.stable, *said, *self.fresh, *self.volatile)

    @property
    def tokens(self) -> int:
        """What the memories and the conversation before this turn cost."""
        fixed = sum(note.tokens for note in (*self.stable, *self.fresh, *self.volatile))
        return fixed + sum(exchange.cost for exchange in self.history)


def lay_out(
    *,
    found: Sequence[Candidate],
    hot: Sequence[Candidate] | None = None,
    history: Sequence[Exchange] = (),
    last: Layout | None = None,
    current: Mapping[str, str] | None = None,
    budget: Budget = Budget(),  # noqa: B008 (frozen)
    now: datetime,
    is_planned: bool = False,
) -> Layout:
    """The next layout of a conversation.

    Where ``is_planned``, ``found`` is what a plan chose, in its order, and stands so.

    ``found`` answers the question, best first. ``hot`` are the most used memories, whatever is asked; None
    where nobody looked: the block stays as it is. ``history`` is
    the conversation as the store has it, oldest first, without its notes, which come from ``last``. ``current`` has the
    content hash of every memory of ``last`` that still holds and that the caller may still read.
    """
    holds = current or {}
    gone: list[LeftOut] = []
    told = _with_notes(history, last, holds, gone)
    begin = last.history[0].asked_id if last and last.history else None
    kept = _within(told, budget.history, begin)
    begins_anew = begin is None or not kept or kept[0].asked_id != begin  # now the block may change
    stable = _stable(last, hot, holds, budget, gone, may_change=begins_anew)
    placed = {note.id for note in stable} | {id for one in kept for id in (one.asked_id, one.answer_id)}
    placed |= {note.id for one in kept for note in one.notes}
    room = budget.memory - sum(note.tokens for note in stable)
    rest = [one for one in found if one.id not in placed]
    chosen, no_room = (rest, []) if is_planned else _chosen(rest, room)
    popular = chosen if is_planned else sorted(chosen, key=lambda one: (-one.heat, one.id))
    return Layout(
        stable=stable,
        history=kept,
        fresh=tuple(_note(one, _why("for this question", one)) for one in popular if not is_volatile(one, now)),
        volatile=tuple(
            _note(one, _why("last, for it was rewritten lately", one)) for one in popular if is_volatile(one, now)
        ),
        left_out=(*dict.fromkeys(gone), *(LeftOut(one.id, "no room in the budget") for one in no_room)),
    )


def _with_notes(
    history: Sequence[Exchange], last: Layout | None, holds: Mapping[str, str], gone: list[LeftOut]
) -> list[Exchange]:
    """The conversation with the memories that its turns brought in, as far as they hold."""
    known = {one.asked_id: one for one in last.history} if last else {}
    return [
        msgspec.structs.replace(one, notes=_alive(before.notes, holds, gone), day=before.day)
        if (before := known.get(one.asked_id))
        else one
        for one in history
    ]


def _within(history: Sequence[Exchange], budget: int, begin: str | None) -> tuple[Exchange, ...]:
    """The conversation, or its newer part where it outgrew its budget.

    It is cut to a part of the budget, and then begins where it was cut (``begin``) until it outgrows the budget again.
    So it is cut once in many turns, and the turns between begin alike.
    """
    if sum(one.cost for one in history) <= budget:
        return tuple(history)
    as_before = next((history[place:] for place, one in enumerate(history) if one.asked_id == begin), ())
    newer = _newest(history, KEPT_OF_HISTORY * budget)
    fits = sum(one.cost for one in as_before) <= budget
    return tuple(as_before if fits and len(as_before) > len(newer) else newer)


def _newest(history: Sequence[Exchange], room: float) -> Sequence[Exchange]:
    kept = 0
    for one in reversed(history):
        room -= one.cost
        if room < 0:
            break
        kept += 1
    return history[len(history) - kept :]


def _stable(
    last: Layout | None,
    hot: Sequence[Candidate] | None,
    holds: Mapping[str, str],
    budget: Budget,
    gone: list[LeftOut],
    *,
    may_change: bool,
) -> tuple[Note, ...]:
    """The block of the hottest memories: those that were there, in their order, and others behind them.

    Between two turns of a conversation it only loses what no longer holds. What was ever rewritten does not get there:
    each change would cost everything that stands behind it.
    """
    block = list(_alive(last.stable, holds, gone)) if last else []
    if hot is None or not may_change:
        return tuple(block)
    warm = {one.id for one in hot if one.heat >= COOLED}
    block = fitting([note for note in block if note.id in warm], STABLE_SHARE * budget.memory)
    room = STABLE_SHARE * budget.memory - sum(note.tokens for note in block)
    known = {note.id for note in block}
    for one in sorted(hot, key=lambda one: (-one.heat, one.id)):
        if one.heat >= HOT and one.changed is None and one.id not in known and one.tokens <= room:
            room -= one.tokens
            block.append(_note(one, f"stable: heat {one.heat:.1f}, and not rewritten"))
    return tuple(block)


def fitting(notes: Iterable[Note], room: float) -> list[Note]:
    """The first notes, as many as there is room for: a block may have been laid out for a larger budget."""
    kept: list[Note] = []
    for note in notes:
        room -= note.tokens
        if room < 0:
            break
        kept.append(note)
    return kept


def _alive(notes: Iterable[Note], holds: Mapping[str, str], gone: list[LeftOut]) -> tuple[Note, ...]:
    """Those of some notes that say what their memories say now."""
    kept = []
    for note in notes:
        if holds.get(note.id) == note.content_hash:
            kept.append(note)
        else:
            gone.append(LeftOut(note.id, "changed since" if note.id in holds else "no longer there"))
    return tuple(kept)


def _chosen(found: Sequence[Candidate], room: float) -> tuple[list[Candidate], list[Candidate]]:
    """The best answers that there is room for, and the others: none is left out for a worse one that is shorter."""
    for place, one in enumerate(found):
        room -= one.tokens
        if room < 0:
            return list(found[:place]), list(found[place:])
    return list(found), []


def is_volatile(one: Candidate, now: datetime) -> bool:
    """Whether a memory was rewritten so lately that it may be rewritten again."""
    return one.changed is not None and now - one.changed < VOLATILE


def _why(place: str, one: Candidate) -> str:
    return f"{place}: {one.why}" if one.why else place


def _note(one: Candidate, why: str) -> Note:
    return Note(
        id=one.id, version=one.version, content_hash=one.content_hash, text=one.text, tokens=one.tokens, why=why
    )
