"""What a search keeps in memory of a namespace: narrow columns and vectors, brought forward by what changed (5.2).

Rows are only ever added and closed, so that a search in an older snapshot still sees what was current then.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from copy import copy
from datetime import date, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymemos.cube.call import Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import EVERYTHING, Filter, from_microseconds, matches, microseconds
from pymemos.cube.header import SemanticType
from pymemos.infrastructure.vault import SAME_TALK
from pymemos.operation.retrieval.buffer import Buffer
from pymemos.operation.retrieval.coarse import Coarse
from pymemos.operation.retrieval.cues import cues_of
from pymemos.operation.retrieval.vectors import COARSE_ABOVE, Vectors, products
from pymemos.operation.timewords import SessionSpan, known_days_of, may_tell_a_day
from pymemos.ports import Change, OverlaidUnit, ReadUnit

if TYPE_CHECKING:
    from pymemos.ports import Floats

FOREVER = np.iinfo(np.int64).max
NO_SESSION, TALK = -1, 0  # codes: what stands alone, and turns without a session, told apart by their times
GOING_ON = timedelta(minutes=30)  # a conversation whose last turn is so fresh is the one that the question is part of
MASKS = 32  # rules of a namespace whose rows are kept
VIEWS = 4  # parts of a namespace whose order is kept
COMPACT_ABOVE = 1_000  # closed rows; beyond it, and beyond half of all, a space is read anew


class Kind(IntEnum):
    """What a memory is to a search: each kind has weights of its own."""

    DIALOGUE = 0  # a turn between people with names
    CHAT = 1  # a message of a user or an assistant
    NOTE = 2  # a text that nobody said to anybody
    STATEMENT = 3  # a fact or a preference, on its own


class Columns(NamedTuple):
    """One number for each row."""

    key: NDArray[np.int64]
    since: NDArray[np.int64]  # the seq that the row is seen from
    until: NDArray[np.int64]  # the seq that closed it
    said: NDArray[np.int64]  # microseconds
    ends: NDArray[np.int64]
    session: NDArray[np.int32]
    speaker: NDArray[np.int32]
    kind: NDArray[np.int8]
    user: NDArray[np.bool_]  # said by the user, in a chat
    terms: NDArray[np.float32]  # how many its own text has
    row_terms: NDArray[np.float32]  # how many its full-text row has, with what it carries of the turn before
    length: NDArray[np.float32]  # log(1 + terms)
    cues: NDArray[np.int8]
    language: NDArray[np.int32]


_TYPES: dict[str, Any] = {
    "key": np.int64, "since": np.int64, "until": np.int64, "said": np.int64, "ends": np.int64, "session": np.int32,
    "speaker": np.int32, "kind": np.int8, "user": np.bool_, "terms": np.float32,
    "row_terms": np.float32, "length": np.float32, "cues": np.int8, "language": np.int32,
}  # fmt: skip


class Turns(NamedTuple):
    """The rows of a snapshot in the order in which they were said, conversation by conversation."""

    rows: NDArray[np.int64]  # rows of the space
    talk: NDArray[np.int64]  # the number of the conversation, for each of ``rows``
    starts: NDArray[np.int64]  # where each conversation begins in ``rows``
    keys: NDArray[np.int64]  # the keys of all rows that are seen, rising
    keyed: NDArray[np.int64]  # the rows that they belong to
    mean_terms: float
    mean_row_terms: float

    def rows_of(self, keys: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rows of some keys, and which of them are here."""
        wanted = np.asarray(keys, np.int64)
        if not len(self.keys):
            return wanted, np.zeros(len(wanted), np.bool_)
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return self.keyed[places], self.keys[places] == wanted


class Parts(NamedTuple):
    """The passages of a space that have vectors, row by row."""

    vectors: Floats | Coarse  # (parts, dimensions)
    rows: NDArray[np.int64]  # the row that each begins, for each of ``starts``
    starts: NDArray[np.int64]  # the first part of each row

    def __len__(self) -> int:
        return len(self.vectors.codes if isinstance(self.vectors, Coarse) else self.vectors)

    def cosines(self, vector: Floats) -> tuple[Floats, float]:
        """The cosine of every part with a ``vector``, and how far from the exact one any of them may be."""
        if isinstance(self.vectors, Coarse):
            return self.vectors.cosines(vector)
        return products(self.vectors, vector), 0.0


class View(NamedTuple):
    """The part of a namespace that somebody may see."""

    rule: Filter = EVERYTHING  # what its memories satisfy
    hidden: tuple[int, ...] = ()  # keys of what was made from something out of reach


Heard = tuple[Turns, dict[str, int], tuple[str, ...]]  # the rows in order, their speakers, and languages of a part


WHOLE = View()


class Mask(NamedTuple):
    """Which rows satisfy a rule, of those that were seen at ``since`` or came later."""

    since: int  # a seq
    rows: Buffer


class Snapshot(NamedTuple):
    """A space as one unit sees it."""

    columns: Columns
    seen: NDArray[np.bool_]
    turns: Turns
    speakers: dict[str, int]
    known_days: Mapping[str, date]  # such as "clara's birthday", as people told of them
    parts: Parts
    whole: bool = True  # else a part that somebody may see
    languages: tuple[str, ...] = ()  # of such a part; a question is read in those of the whole anyway

    def without_vectors(self, rows: NDArray[np.bool_]) -> int:
        """How many texts among some rows cannot be found by what they mean yet."""
        lacking = rows & (self.columns.terms > 0)
        lacking[self.parts.rows] = False
        return int(np.count_nonzero(lacking))

    def talks(self, now: datetime) -> list[SessionSpan]:
        """When each conversation began and ended, in no order."""
        rows, starts = self.turns.rows, self.turns.starts
        if not len(rows):
            return []
        ends = np.append(starts[1:], len(rows)) - 1
        said = self.columns.said
        spoken = (self.columns.session[rows[starts]] != NO_SESSION) & (self.columns.kind[rows[starts]] <= Kind.CHAT)
        spans = zip(said[rows[starts]][spoken].tolist(), said[rows[ends]][spoken].tolist(), strict=True)
        return [_span(start, end, now) for start, end in spans]


class Space:
    """One namespace in memory, for one embedder."""

    def __init__(
        self, namespace: str, embedder: str | None, dimensions: int, *, coarse_above: int | None = COARSE_ABOVE
    ) -> None:
        self.namespace = namespace
        self.seq = 0
        self.size = 0  # bytes that it holds
        self._embedder = embedder
        self._lock = threading.Lock()
        self._columns = {name: Buffer(dtype) for name, dtype in _TYPES.items()}
        self._vectors = Vectors(dimensions, coarse_above=coarse_above)
        self._parts = {"rows": Buffer(np.int64), "starts": Buffer(np.int64)}
        self._rows: dict[int, int] = {}  # key -> its open row
        self._speakers: dict[str, int] = {}
        self._languages: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._closed = 0
        self._days: dict[int, dict[str, date]] = {}  # the days that the text of a row tells of
        self._views: OrderedDict[tuple[int, View], Heard] = OrderedDict()  # of a seq
        self._masks: OrderedDict[Filter, Mask] = OrderedDict()

    def snapshot(self, unit: ReadUnit, seq: int, view: View = WHOLE) -> Snapshot:
        """The namespace as it is at ``seq``, the unit's own, as far as ``view`` shows it.

        A search of a part goes by that part alone: what is left out moves no score, counts nowhere and names nobody.
        """
        with self._lock:
            if seq > self.seq:
                self._advance(unit.changes(self.namespace, since=self.seq, embedder=self._embedder), seq)
            columns = Columns(**{name: buffer.view for name, buffer in self._columns.items()})
            seen = (columns.since <= seq) & (columns.until > seq)
            if view.rule != EVERYTHING:
                seen &= self._mask(unit, seq, view.rule, columns, seen)
            if view.hidden:
                seen &= ~np.isin(columns.key, view.hidden)
            turns, speakers, languages = self._seen_at(seq, view, columns, seen)
            parts = Parts(self._vectors.view, **{name: buffer.view for name, buffer in self._parts.items()})
            days = self._known_days(columns, seen)
            return Snapshot(columns, seen, turns, speakers, days, parts, view == WHOLE, languages)

    def _mask(
        self, unit: ReadUnit, seq: int, rule: Filter, columns: Columns, seen: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which rows satisfy a rule: asked of the store once, and of every memory that comes later by itself."""
        held = self._masks.get(rule)
        if held is not None and held.since <= seq:
            self._masks.move_to_end(rule)
            return held.rows.view
        asked = Selection(namespaces=(self.namespace,), rules=((self.namespace, rule),), episodes=True)
        mask = seen & np.isin(columns.key, unit.keys(asked))
        if seq == self.seq:  # else rows are here that the unit does not see, of which it can say nothing
            self._masks[rule] = Mask(seq, Buffer(np.bool_))
            self._masks[rule].rows.extend(mask)
            if len(self._masks) > MASKS:
                self._masks.popitem(last=False)
        return mask

    def forked(self, unit: ReadUnit, seq: int, *, begins: int) -> Space:
        """A copy of the namespace as it is at ``seq``, the unit's own, that goes its own way from seq ``begins``."""
        with self._lock:
            if seq > self.seq:
                self._advance(unit.changes(self.namespace, since=self.seq, embedder=self._embedder), seq)
            fork = copy(self)
            fork._lock, fork.seq = threading.Lock(), begins
            fork._columns = {name: buffer.forked() for name, buffer in self._columns.items()}
            since, until = (self._columns[name].view for name in ("since", "until"))
            seen = (since <= seq) & (until > seq)
            fork._columns |= {"since": Buffer(np.int64), "until": Buffer(np.int64)}
            fork._columns["since"].extend(np.zeros(len(seen), np.int64))
            fork._columns["until"].extend(np.where(seen, FOREVER, 0))
            fork._vectors = self._vectors.forked()
            fork._parts = {name: buffer.forked() for name, buffer in self._parts.items()}
            rows = np.flatnonzero(seen)
            fork._rows = dict(zip(self._columns["key"].view[rows].tolist(), rows.tolist(), strict=True))
            fork._speakers, fork._languages = dict(self._speakers), dict(self._languages)
            fork._sessions, fork._days = dict(self._sessions), dict(self._days)
            fork._closed, fork._views, fork._masks = 0, OrderedDict(), OrderedDict()
            return fork

    def _advance(self, changes: Sequence[Change], seq: int) -> None:
        if self._closed > COMPACT_ABOVE and 2 * self._closed > len(self._columns["key"].view):
            raise NeedsReload
        added: list[tuple[Any, ...]] = []
        come: list[MemCube] = []
        vectors: list[bytes] = []
        parts: list[tuple[int, int]] = []
        first, first_part = len(self._columns["key"].view), len(self._vectors)
        for change in changes:
            row = self._rows.pop(change.key, None)
            if row is not None:
                self._columns["until"].view[row] = change.seq
                self._closed += 1
            if change.cube is None or change.cube.is_manifest:
                continue
            row = self._rows[change.key] = first + len(added)
            if change.vectors:
                parts.append((row, first_part + len(vectors)))
                vectors += [values for _, values in change.vectors]
            added.append(self._row(change, change.cube))
            come.append(change.cube)
            if days := _told_days(change.cube):
                self._days[row] = days
        for name, values in zip(_TYPES, zip(*added, strict=True), strict=False):
            self._columns[name].extend(values)
        for rule, mask in self._masks.items():
            mask.rows.extend([matches(rule, cube) for cube in come])
        for name, places in zip(("rows", "starts"), zip(*parts, strict=True), strict=False):
            self._parts[name].extend(places)
        self._vectors.extend(vectors)
        buffers = (*self._columns.values(), *self._parts.values(), *(mask.rows for mask in self._masks.values()))
        self.size = sum(buffer.size for buffer in buffers) + self._vectors.size
        self.seq = seq

    def _row(self, change: Change, cube: MemCube) -> tuple[Any, ...]:
        said = cube.header.descriptive
        ends = FOREVER if change.valid_to is None else microseconds(change.valid_to)
        kind = kind_of(cube)
        return (
            change.key,
            change.seq,
            FOREVER,
            microseconds(said.event_time or said.created),
            ends,
            self._session(cube),
            _code(self._speakers, said.speaker),
            kind,
            kind is Kind.CHAT and said.speaker_role == "user",
            change.terms,
            change.length,
            math.log1p(change.terms),
            int(cues_of(cube.text)),
            _code(self._languages, said.language),
        )

    def _known_days(self, columns: Columns, seen: NDArray[np.bool_]) -> Mapping[str, date]:
        """What the rows that are seen tell; of several tellings the one said last."""
        rows = sorted((row for row in self._days if seen[row]), key=lambda row: int(columns.said[row]))
        return {name: day for row in rows for name, day in self._days[row].items()}

    def _session(self, cube: MemCube) -> int:
        said = cube.header.descriptive
        if said.session is not None:
            return _code(self._sessions, said.session) + 1
        return TALK if said.semantic_type is SemanticType.MESSAGE else NO_SESSION

    def _seen_at(self, seq: int, view: View, columns: Columns, seen: NDArray[np.bool_]) -> Heard:
        """The rows in order, who speaks in them, and in a part which languages; kept for the last views."""
        place = (seq, view)
        if place not in self._views:
            self._views[place] = (
                _in_order(columns, np.flatnonzero(seen)),
                _heard(self._speakers, columns.speaker, seen),
                () if view == WHOLE else tuple(_heard(self._languages, columns.language, seen)),
            )
            if len(self._views) > VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(place)
        return self._views[place]


def _heard(names: dict[str, int], column: NDArray[np.int32], seen: NDArray[np.bool_]) -> dict[str, int]:
    """The speakers, or languages, of the rows that are seen, in the order in which these were written."""
    codes, first = np.unique(column[seen], return_index=True)
    order = dict(zip(codes.tolist(), first.tolist(), strict=True))
    heard = [(name, code) for name, code in names.items() if code in order]
    return dict(sorted(heard, key=lambda one: order[one[1]]))


class NeedsReload(Exception):
    """More than half of a space is closed rows."""


class Spaces:
    """The spaces that are in memory, the least recently used of which leave it when there is too much."""

    def __init__(self, limit: int, *, coarse_above: int | None = COARSE_ABOVE) -> None:
        self._limit, self._coarse_above = limit, coarse_above
        self._lock = threading.Lock()
        self._spaces: OrderedDict[tuple[str, str | None], Space] = OrderedDict()

    def snapshot(
        self, unit: ReadUnit, namespace: str, embedder: str | None, dimensions: int, view: View = WHOLE
    ) -> Snapshot | None:
        """A namespace as the unit sees it, as far as the view shows it; None where it is not there."""
        stamp = unit.namespace(namespace)
        if stamp is None:
            return None
        space = self._space(namespace, embedder, dimensions)
        if 0 < space.seq < stamp.wiped:  # something was erased since, perhaps by another process
            self.forget(namespace)
            space = self._space(namespace, embedder, dimensions)
        before = space.size
        try:
            return space.snapshot(unit, stamp.seq, view)
        except NeedsReload:
            self.forget(namespace)
            return self._space(namespace, embedder, dimensions).snapshot(unit, stamp.seq, view)
        finally:
            if space.size != before:
                self._evict()

    def forked(self, unit: OverlaidUnit, namespace: str, embedder: str | None, dimensions: int) -> Space:
        """A copy of a namespace of the store that an overlay lies over, for the overlay's own changes."""
        base, begins = unit.base, unit.begins(namespace)
        stamp = base.namespace(namespace)
        if stamp is None:
            return Space(namespace, embedder, dimensions, coarse_above=self._coarse_above)
        try:
            return self._space(namespace, embedder, dimensions).forked(base, stamp.seq, begins=begins)
        except NeedsReload:
            self.forget(namespace)
            return self._space(namespace, embedder, dimensions).forked(base, stamp.seq, begins=begins)

    def forget(self, namespace: str | None = None) -> None:
        """Let go of a namespace, or of all."""
        with self._lock:
            for place in [place for place in self._spaces if namespace in (None, place[0])]:
                del self._spaces[place]

    def _space(self, namespace: str, embedder: str | None, dimensions: int) -> Space:
        with self._lock:
            place = (namespace, embedder)
            if place not in self._spaces:
                self._spaces[place] = Space(namespace, embedder, dimensions, coarse_above=self._coarse_above)
            self._spaces.move_to_end(place)
            return self._spaces[place]

    def _evict(self) -> None:
        with self._lock:
            total = sum(space.size for space in self._spaces.values())
            while total > self._limit and len(self._spaces) > 1:
                total -= self._spaces.popitem(last=False)[1].size


def _told_days(cube: MemCube) -> dict[str, date]:
    """The days that somebody tells of in this text: of themselves, or of those they name."""
    said = cube.header.descriptive
    if said.speaker_role == "assistant" or not may_tell_a_day(cube.text):
        return {}
    return known_days_of(cube.text, said.speaker or "user", said.event_time or said.created)


def _span(start: int, end: int, now: datetime) -> SessionSpan:
    first, last = from_microseconds(start), from_microseconds(end)
    return SessionSpan(first, last, current=timedelta() <= now - last < GOING_ON)


def kind_of(cube: MemCube) -> Kind:
    """What a memory is to a search."""
    said = cube.header.descriptive
    if said.semantic_type is SemanticType.MESSAGE:
        return Kind.DIALOGUE if said.speaker is not None else Kind.CHAT
    return Kind.NOTE if said.semantic_type is SemanticType.KNOWLEDGE else Kind.STATEMENT


def _in_order(columns: Columns, rows: NDArray[np.int64]) -> Turns:
    """``rows`` by conversation and time; turns without a session are one conversation until they pause."""
    session, said = columns.session[rows], columns.said[rows]
    by_key = np.argsort(columns.key[rows])
    keyed = rows[by_key]
    order = np.lexsort((columns.key[rows], said, session))
    rows, session, said = rows[order], session[order], said[order]
    if not len(rows):
        return Turns(rows, rows, rows, rows, rows, 0.0, 0.0)
    pause = np.diff(said, prepend=said[0]) > SAME_TALK.total_seconds() * 1e6
    new = (np.diff(session, prepend=session[0] - 1) != 0) | (session == NO_SESSION) | ((session == TALK) & pause)
    talk, starts = np.cumsum(new) - 1, np.flatnonzero(new)
    means = float(columns.terms[rows].mean()), float(columns.row_terms[rows].mean())
    return Turns(rows, talk, starts, columns.key[keyed], keyed, *means)


def _code(codes: dict[str, int], name: str | None) -> int:
    return -1 if name is None else codes.setdefault(name, len(codes))
