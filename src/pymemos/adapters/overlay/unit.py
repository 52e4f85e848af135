"""OverlayUnit: a unit of a store seen at one moment, through changes that are kept in memory.

The rule that all its answers follow: the overlay's own state answers for every memory that differs from the store, be
it that the overlay changed it, or that the store did since the moment; the store answers for all others. The unit
below only reads, so nothing that happens here can reach the store. What is gone from the store is gone here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from pymemos.adapters.memory.lexical import Statistics
from pymemos.adapters.memory.writing import MemoryWriteUnit
from pymemos.adapters.overlay.carrying import as_known, memory_at
from pymemos.adapters.overlay.held import FRESH, Absent, Held
from pymemos.cube.call import Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Derived, Receipt
from pymemos.cube.filters import EVERYTHING, All, Compare, matches
from pymemos.cube.life import LifeFacts, StateChange
from pymemos.cube.policy import RuleChange
from pymemos.cube.signature import Signature
from pymemos.errors import StoreError
from pymemos.ports import (
    Change,
    Edge,
    Entry,
    Match,
    Namespace,
    OverlaidUnit,
    ReadUnit,
    Record,
    Snapshot,
    StoredVector,
    TermWeights,
    TextRow,
    Turn,
    Vector,
)

T = TypeVar("T")
FEW = 64  # hidden memories; so many are cut out of a list of postings one by one


class OverlayUnit(MemoryWriteUnit, OverlaidUnit):
    """The memory twin over the memories that differ, and the unit of the store for the rest."""

    def __init__(self, base: ReadUnit, held: Held) -> None:
        super().__init__(held.state)
        self._base = self._since = base
        self.held = held
        self._turns_moved()
        self._forget_what_is_gone()

    # ── What differs ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def base(self) -> ReadUnit:
        return self._base

    def begins(self, namespace: str) -> int:
        return self.held.begins.get(namespace, 0)

    def follow(self, namespace: str) -> list[str]:
        """What the store did since the moment is undone here: a memory that it changed is carried as it was."""
        stamp = self._base.namespace(namespace)
        if stamp is None:
            return []
        if namespace not in self.held.begins:
            begins = self._base.seq_at(namespace, self.held.at)
            self.held.begins[namespace] = self.held.followed[namespace] = begins
            self._state.namespaces.setdefault(namespace, (begins, min(stamp.at, self.held.at)))
        since = self.held.followed[namespace]
        if stamp.seq <= since:  # lower in a unit that was opened before one that has looked already
            return []
        self.held.followed[namespace] = stamp.seq
        fresh = [one for one in self._base.touched(namespace, since=since) if not self._hidden(one[1])]
        return self._carry(namespace, fresh) if fresh else []

    def altered(self) -> list[tuple[MemCube | None, MemCube | None]]:
        found = [(self._before(id), record.cube if record else None) for id, record in self._own_records()]
        return [(old, new) for old, new in found if (old and old.version) != (new and new.version)]

    def _own_records(self) -> list[tuple[str, Record | None]]:
        held = sorted(self._state.memories.items())
        return [(id, None if one.current is None else one.record(one.current)) for id, one in held]

    def _before(self, id: str) -> MemCube | None:
        records = as_known(self._base.versions(id), self.held.at) if id in self.held.lifted else []
        return records[-1].cube if records and records[-1].known_to is None else None

    def unembedded(self, embedder: str) -> list[MemCube]:
        lacking = [(id, one) for id, one in self._own_records() if one is not None and one.cube.text]
        return [
            record.cube
            for id, record in lacking
            if not record.cube.is_episode
            and all(one.embedder != embedder for one in super(OverlayUnit, self).vectors_of(id))
        ]

    def _carry(self, namespace: str, changed: Sequence[tuple[int, str]]) -> list[str]:
        self._turns_moved()
        seq = self.advance(namespace, self.held.at).seq
        begins, vectors = self.begins(namespace), dict[str, list[StoredVector]]()
        for stored in self._base.vectors(namespace, since=begins):
            if stored.seq_to is not None and stored.seq_from <= begins < stored.seq_to:
                vectors.setdefault(stored.id, []).append(replace(stored, seq_to=None))
        carried = []
        for key, id in changed:
            memory = memory_at(self._base, id, key, self.held.at, vectors=vectors.get(id, ()), text=None)
            if memory is None:  # it was not known yet
                self.held.absent[id] = Absent(namespace, key, seq)
                continue
            self.held.lifted[id] = key
            self._state.memories[id] = replace(memory, changed=seq)
            if memory.current is not None:
                carried.append(id)
        return carried

    def _lift(self, id: str) -> None:
        """Copy a memory of the store here whole, so that it can be changed."""
        if id in self._state.memories or id in self.held.absent:
            return
        key = self._base.keys_of([id]).get(id)
        if key is None:
            return
        memory = memory_at(self._base, id, key, self.held.at, text=self._base.text(id))
        if memory is not None:
            self.held.lifted[id] = key
            self._state.memories[id] = memory
            self._turns_moved()

    def _forget_what_is_gone(self) -> None:
        """A memory that was erased from the store is erased here too, whatever was done to it."""
        here = self._base.keys_of(list(self.held.lifted)) if self.held.lifted else {}
        for id in self.held.lifted.keys() - here.keys():
            memory = self._state.memories.pop(id)
            seq = self.advance(memory.namespace, self.held.at).seq
            self.held.absent[id] = Absent(memory.namespace, self.held.lifted.pop(id), seq)

    def _turns_moved(self) -> None:
        """What is known of the order of turns holds no more."""
        self._known_turns: dict[tuple[str, str | None], list[tuple[int, str]]] = {}
        self._known_next: dict[tuple[str, int], Turn | None] = {}  # behind a hidden turn of the store

    def _hidden(self, id: str) -> bool:
        """Whether the store's own memory is not to be seen: this one's stands for it, or nothing does."""
        return id in self.held.lifted or id in self.held.absent

    def _hidden_keys(self, namespace: str) -> set[int]:
        lifted = {key for id, key in self.held.lifted.items() if self._state.memories[id].namespace == namespace}
        return lifted | {one.key for one in self.held.absent.values() if one.namespace == namespace}

    def _routed(self, id: str, own: Callable[[], T], theirs: Callable[[], T], nothing: T) -> T:
        """From the one that answers for a memory."""
        if id in self._state.memories:
            return own()
        return nothing if id in self.held.absent else theirs()

    # ── Namespaces and memories ─────────────────────────────────────────────────────────────────────────────────────

    def namespace(self, name: str) -> Namespace | None:
        """The totals count each hidden memory of the store as one of mean length."""
        below, own = self._base.namespace(name), super().namespace(name)
        if below is None or own is None:
            return own or below
        kept = max(0, below.memories - len(self._hidden_keys(name)))
        words = round(below.words * kept / below.memories) if below.memories else 0
        return replace(own, memories=own.memories + kept, words=own.words + words)

    def namespaces(self) -> list[Namespace]:
        names = {space.name for space in self._base.namespaces()} | self._state.namespaces.keys()
        found = [self.namespace(name) for name in sorted(names)]
        return [space for space in found if space is not None]

    def owner_of(self, id: str) -> str | None:
        return self._routed(id, lambda: super(OverlayUnit, self).owner_of(id), lambda: self._base.owner_of(id), None)

    def current(self, ids: Sequence[str]) -> list[Record]:
        below = {record.cube.id: record for record in self._base.current([id for id in ids if not self._hidden(id)])}
        own = {record.cube.id: record for record in super().current(ids)}
        return [found for id in ids if (found := own.get(id) or below.get(id)) is not None]

    def versions(self, id: str) -> list[Record]:
        return self._routed(id, lambda: super(OverlayUnit, self).versions(id), lambda: self._base.versions(id), [])

    # ── Selections ──────────────────────────────────────────────────────────────────────────────────────────────────

    def page(self, selection: Selection, *, limit: int, after: str | None = None) -> list[Record]:
        found: list[Record] = []
        behind = after
        while len(found) < limit:
            page = self._base.page(selection, limit=limit, after=behind)
            found += [record for record in page if not self._hidden(record.cube.id)]
            if len(page) < limit:
                break
            behind = page[-1].cube.id
        found += super().page(selection, limit=limit, after=after)
        return sorted(found, key=lambda record: record.cube.id)[:limit]

    def count(self, selection: Selection) -> int:
        hidden = [*self.held.lifted, *self.held.absent]
        among = Compare("id", "in", tuple(hidden))
        where = among if selection.where is None else All((selection.where, among))
        masked = self._base.count(replace(selection, where=where)) if hidden else 0
        return self._base.count(selection) - masked + super().count(selection)

    def known_ids(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[str]:
        absent = self.held.absent
        below = self._base.known_ids(namespaces, limit=limit + len(absent), after=after)
        own = super().known_ids(namespaces, limit=limit, after=after)
        return sorted({*own, *(id for id in below if id not in absent)})[:limit]

    def keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        return super().keys_of(ids) | self._base.keys_of([id for id in ids if not self._hidden(id)])

    def touched(self, namespace: str, *, since: int) -> list[tuple[int, str]]:
        below = self._base.touched(namespace, since=since) if since < self.begins(namespace) else []
        taken = [(one.key, id) for id, one in self.held.absent.items() if one.namespace == namespace]
        kept = [one for one in below if not self._hidden(one[1])]
        gone = [one for one in taken if self.held.absent[one[1]].seq > since]
        return sorted([*kept, *gone, *super().touched(namespace, since=since)])

    def seq_at(self, namespace: str, moment: datetime) -> int:
        below = moment < self.held.at
        return self._base.seq_at(namespace, moment) if below else super().seq_at(namespace, moment)

    def match(self, terms: Sequence[str], selection: Selection, *, limit: int, weights: TermWeights) -> list[Match]:
        more = len(self.held.lifted) + len(self.held.absent)
        below = self._base.match(terms, selection, limit=limit + more, weights=weights)
        found = [match for match in below if not self._hidden(match.record.cube.id)]
        found += super().match(terms, selection, limit=limit, weights=weights)
        keys = self.keys_of([match.record.cube.id for match in found])
        return sorted(found, key=lambda match: (-match.score, keys[match.record.cube.id]))[:limit]

    def _statistics(self, namespace: str, terms: Sequence[str]) -> Statistics:
        """Of the whole namespace, so that scores of both sides compare."""
        space = self.namespace(namespace)
        held = [len({place >> 2 for place in places}) for places in self.postings(terms, namespace)]
        memories, words = (0, 0) if space is None else (space.memories, space.words)
        return Statistics(memories=memories, words=words, holding=dict(zip(terms, held, strict=True)))

    # ── What a search keeps in memory ───────────────────────────────────────────────────────────────────────────────

    def postings(self, terms: Sequence[str], namespace: str) -> list[list[int]]:
        hidden = sorted(self._hidden_keys(namespace))
        below = [_without(places, hidden) for places in self._base.postings(terms, namespace)]
        if namespace not in self._state.namespaces:
            return below
        own = super().postings(terms, namespace)
        return [sorted([*a, *b]) if b else a for a, b in zip(below, own, strict=True)]

    def changes(self, namespace: str, *, since: int = 0, embedder: str | None = None) -> list[Change]:
        hidden, below = self._hidden_keys(namespace), list[Change]()
        if since < self.begins(namespace) or namespace not in self.held.begins:
            below = self._base.changes(namespace, since=since, embedder=embedder)
        absent = [one for one in self.held.absent.values() if one.namespace == namespace and one.seq > since]
        own = super().changes(namespace, since=since, embedder=embedder)
        gone = [Change(key=one.key, seq=one.seq, cube=None) for one in absent]
        kept = [change for change in below if change.key not in hidden]
        return sorted([*kept, *own, *gone], key=lambda change: change.key)

    def keys(self, selection: Selection) -> list[int]:
        hidden = {*self.held.lifted.values(), *(one.key for one in self.held.absent.values())}
        return sorted([*(key for key in self._base.keys(selection) if key not in hidden), *super().keys(selection)])

    def cubes(self, keys: Sequence[int]) -> list[MemCube]:
        own = self._own_keys()
        below = [key for key in keys if key not in own]
        cubes = self._base.cubes(below)
        if len(cubes) < len(below):  # some are gone
            below = [key for key in below if self._base.cubes([key])]
        found = dict(zip(below, cubes, strict=True))
        mine = super().current([own[key] for key in keys if key in own])
        found |= {self._state.memories[record.cube.id].number: record.cube for record in mine}
        return [found[key] for key in keys if key in found]

    def vectors_by_key(self, namespace: str, keys: Sequence[int], embedder: str) -> list[tuple[int, bytes]]:
        own = self._own_keys()
        below = self._base.vectors_by_key(namespace, [key for key in keys if key not in own], embedder)
        return sorted([*below, *super().vectors_by_key(namespace, keys, embedder)], key=lambda held: held[0])

    def vectors_of(self, id: str) -> tuple[Vector, ...]:
        return self._routed(id, lambda: super(OverlayUnit, self).vectors_of(id), lambda: self._base.vectors_of(id), ())

    def vectors(self, namespace: str, *, since: int = 0) -> list[StoredVector]:
        below = [one for one in self._base.vectors(namespace, since=since) if not self._hidden(one.id)]
        found = [*below, *super().vectors(namespace, since=since)]
        return sorted(found, key=lambda stored: (stored.id, stored.vector.part, stored.seq_from))

    def _own_keys(self) -> dict[int, str]:
        return {memory.number: id for id, memory in self._state.memories.items()}

    # ── Lives ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def lives(self, namespaces: Sequence[str] | None, *, limit: int, after: str | None = None) -> list[LifeFacts]:
        hidden = len(self.held.lifted) + len(self.held.absent)
        below = self._base.lives(namespaces, limit=limit + hidden, after=after)
        found = [one for one in below if not self._hidden(one.id)]
        return sorted([*found, *super().lives(namespaces, limit=limit, after=after)], key=lambda one: one.id)[:limit]

    def lives_of(self, ids: Sequence[str]) -> list[LifeFacts]:
        below = {one.id: one for one in self._base.lives_of([id for id in ids if not self._hidden(id)])}
        own = {one.id: one for one in super().lives_of(ids)}
        return [found for id in ids if (found := own.get(id) or below.get(id)) is not None]

    def state_changes(self, id: str) -> list[StateChange]:
        own, below = super().state_changes, self._base.state_changes
        return self._routed(id, lambda: own(id), lambda: below(id), [])

    # ── What hangs on a memory ──────────────────────────────────────────────────────────────────────────────────────

    def text(self, id: str) -> TextRow | None:
        return self._routed(id, lambda: super(OverlayUnit, self).text(id), lambda: self._base.text(id), None)

    def followers(self, id: str) -> list[str]:
        below = [other for other in self._base.followers(id) if not self._hidden(other)]
        return sorted([*below, *super().followers(id)])

    def last_turn(self, namespace: str, session: str | None) -> Turn | None:
        below = self._seen_from(self._base.last_turn(namespace, session), 0)
        return self._nearest([below, super().last_turn(namespace, session)], last=True)

    def turns_around(self, id: str) -> tuple[Turn | None, Turn | None]:
        """Both sides know the order: a memory that was lifted keeps its key."""
        last = self.versions(id)[-1:]
        if not last:
            return None, None
        key, cube = self.keys_of([id])[id], last[0].cube
        session = cube.header.descriptive.session
        if key < FRESH:
            before, behind = (self._seen_from(turn, side) for side, turn in enumerate(self._base.turns_around(id)))
        else:
            before, behind = self._seen_from(self._base.last_turn(cube.namespace, session), 0), None
        own = self._own_turns(cube.namespace, session)
        place = bisect_left(own, (key, id))
        return (
            self._nearest([before, *self._turns_of(own[max(0, place - 1) : place])], last=True),
            self._nearest(
                [behind, *self._turns_of([one for one in own[place : place + 2] if one[1] != id][:1])], last=False
            ),
        )

    def _own_turns(self, namespace: str, session: str | None) -> list[tuple[int, str]]:
        """The keys and ids of the overlay's own messages of a session, rising; found once until one comes or goes."""
        place = namespace, session
        if place not in self._known_turns:
            turns = self._turns(namespace, session)
            self._known_turns[place] = [(memory.number, turn.cube.id) for memory, turn in turns]
        return self._known_turns[place]

    def _turns_of(self, own: Iterable[tuple[int, str]]) -> list[Turn]:
        return [
            Turn(cube=record.cube, text=self.text(id))
            for _, id in own
            for record in super(OverlayUnit, self).current([id])
        ]

    def _seen_from(self, turn: Turn | None, side: int) -> Turn | None:
        """A turn of the store, or the next one on that side (0: before, 1: behind) that is not hidden."""
        passed = []
        while turn is not None and self._hidden(turn.cube.id):
            passed.append((turn.cube.id, side))
            if passed[-1] in self._known_next:
                turn = self._known_next[passed[-1]]
                break
            turn = self._base.turns_around(turn.cube.id)[side]
        self._known_next |= dict.fromkeys(passed, turn)
        return turn

    def _nearest(self, turns: Iterable[Turn | None], *, last: bool) -> Turn | None:
        there = {turn.cube.id: turn for turn in turns if turn is not None}
        keys = self.keys_of(list(there))
        ordered = sorted(there.values(), key=lambda turn: keys[turn.cube.id], reverse=last)
        return ordered[0] if ordered else None

    def by_source(self, namespace: str, session: str | None, source_ids: Sequence[str]) -> dict[str, list[str]]:
        below = self._base.by_source(namespace, session, source_ids)
        own = super().by_source(namespace, session, source_ids)
        found = {
            source: [*(id for id in below.get(source, ()) if not self._hidden(id)), *own.get(source, ())]
            for source in dict.fromkeys([*below, *own])
        }
        keys = self.keys_of([id for ids in found.values() for id in ids])
        return {source: sorted(ids, key=keys.__getitem__) for source, ids in found.items() if ids}

    def edges(self, id: str, *, kind: str | None = None, reverse: bool = False) -> list[Edge]:
        below = self._base.edges(id, kind=kind, reverse=reverse)
        return sorted({*below, *super().edges(id, kind=kind, reverse=reverse)})

    def embedders(self) -> dict[str, int]:
        """Those of the store: what is made here is not counted."""
        return self._base.embedders()

    def blobs(self) -> set[str]:
        return self._base.blobs() | super().blobs()

    # ── Erasure is of the store alone: what goes there goes here ─────────────────────────────────────────────────────

    def ever(self, selection: Selection) -> list[str]:
        return self._base.ever(selection)

    def derivatives(self, ids: Sequence[str]) -> list[Derived]:
        return self._base.derivatives(ids)

    def erased(self, ids: Sequence[str]) -> list[str]:
        return self._base.erased(ids)

    def erased_by(self, erasure: str, *, limit: int, after: str | None = None) -> list[str]:
        return self._base.erased_by(erasure, limit=limit, after=after)

    def receipt(self, id: str) -> Receipt | None:
        return self._base.receipt(id)

    def receipts(self, namespaces: Sequence[str] | None, *, limit: int, before: str | None = None) -> list[Receipt]:
        return self._base.receipts(namespaces, limit=limit, before=before)

    def signatures(self, id: str) -> list[Signature]:
        return [] if id in self.held.absent else self._base.signatures(id)

    # ── Access: the rules of now, over sources on both sides ────────────────────────────────────────────────────────

    def hidden(self, selection: Selection) -> list[int]:
        taken = {*self.held.lifted.values(), *(one.key for one in self.held.absent.values())}
        return sorted([*(key for key in self._base.hidden(selection) if key not in taken), *super().hidden(selection)])

    def _out_of_reach(self, selection: Selection) -> set[str]:
        return super()._out_of_reach(selection) | self._closed_since(selection)

    def _closed_since(self, selection: Selection) -> set[str]:
        """The memories copied here that the selection would not find as the store has them now."""
        if not self.held.lifted or (selection.reach is None and not selection.rules):
            return set()
        closed = set(self._base.hidden(selection))
        found = {id for id, key in self.held.lifted.items() if key in closed}
        homes = {id: self._state.memories[id].namespace for id in self.held.lifted}
        ruled = [id for id, home in homes.items() if selection.rule_of(home) != EVERYTHING]
        now = {record.cube.id: record.cube for record in self._base.current(ruled)}
        last = {id: now.get(id) or self._base.versions(id)[-1].cube for id in ruled}
        return found.union(id for id, cube in last.items() if not matches(selection.rule_of(homes[id]), cube))

    def last_rule_change(self) -> RuleChange | None:
        return self._base.last_rule_change()

    def rule_changes(self, *, since: int = 0) -> list[RuleChange]:
        return self._base.rule_changes(since=since)

    def snapshots(self, namespace: str | None) -> list[Snapshot]:
        return self._base.snapshots(namespace)

    def setting(self, name: str) -> str | None:
        own = super().setting(name)
        return self._base.setting(name) if own is None else own

    # ── Changing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def advance(self, namespace: str, now: datetime) -> Namespace:
        """The totals are not counted again: of a thousand memories that are carried each would count a thousand."""
        if namespace in self._advanced:
            seq, at = self._advanced[namespace]
            return Namespace(name=namespace, seq=seq, at=at)
        return super().advance(namespace, now)

    def insert(self, entry: Entry) -> None:
        if not self._hidden(entry.cube.id) and self._base.owner_of(entry.cube.id) is not None:
            raise StoreError(f"memory {entry.cube.id!r} exists already; supersede it")
        self._turns_moved()
        super().insert(entry)

    def _next_number(self) -> int:
        return FRESH + len(self._state.memories) - len(self.held.lifted)

    def supersede(self, entry: Entry) -> None:
        self._lift(entry.cube.id)
        self._turns_moved()
        super().supersede(entry)

    def retire(self, id: str) -> None:
        self._lift(id)
        self._turns_moved()
        super().retire(id)

    def revive(self, entry: Entry) -> None:
        self._lift(entry.cube.id)
        self._turns_moved()
        super().revive(entry)

    def adopt(self, records: Sequence[Record], text: TextRow | None) -> None:
        self._lift(records[-1].cube.id)
        self._turns_moved()
        super().adopt(records, text)

    def retext(self, id: str, text: TextRow | None) -> None:
        self._lift(id)
        super().retext(id, text)

    def put_vectors(self, id: str, vectors: Sequence[Vector]) -> None:
        self._lift(id)
        super().put_vectors(id, vectors)

    def use(self, ids: Iterable[str], at: datetime) -> None:
        """Nothing counts here."""

    def move(self, changes: Sequence[StateChange]) -> None:
        for change in changes:
            self._lift(change.id)
        super().move(changes)


def _without(places: list[int], hidden: Sequence[int]) -> list[int]:
    """``places`` (key × 4 + column, rising) without those of some keys."""
    if len(hidden) > FEW:
        keys = set(hidden)
        return [place for place in places if place >> 2 not in keys]
    for key in hidden:
        start = bisect_left(places, key << 2)
        end = bisect_left(places, (key + 1) << 2)
        if start < end:
            places = places[:start] + places[end:]
    return places
