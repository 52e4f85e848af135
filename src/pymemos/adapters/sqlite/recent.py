"""What the last transaction of the writing connection knew, so that the next one need not ask for it again."""

from __future__ import annotations

import msgspec

from pymemos.cube.policy import RuleChange
from pymemos.ports import AuditRecord, Namespace, Turn

LIMIT = 1_000  # of each kind; beyond it all of that kind are asked for anew
LARGE = 16_384  # bytes of a message, as a document; with its terms it takes about ten times as much
HELD_LIMIT = 1 << 20  # bytes of messages since they were last dropped; beyond it they are asked for anew
MANY = 100  # ids in an audit entry
WAITING = 16  # memories, at which the full-text index gets their rows


class Recent:
    """True as long as nobody else has changed the database, which SQLite's data version tells.

    Holds what every add asks for, but nothing large: a process may write to many sessions. It is believed only if the
    last transaction came to ``committed``; whoever undoes a part of one, or leaves a change half done, must ``forget``.
    """

    def __init__(self, waiting: int = WAITING) -> None:
        self.waiting = waiting  # no memory of anything, but the measure of ``indexed_to``
        self._data_version: int | None = None
        self.next_memory: int | None = None
        self.indexed_to: int | None = None  # the newest memory whose text the index has
        self.rule: tuple[RuleChange | None] | None = None  # the last change of the rules
        self._numbers: dict[str, int] = {}  # namespace -> its number
        self._spaces: dict[int, Namespace] = {}  # by number
        self.tails: dict[str, AuditRecord | None] = {}  # chain -> its last entry
        self.settings: dict[str, str | None] = {}
        self.turns: dict[tuple[str, str | None], Turn | None] = {}  # namespace, session -> its newest message
        self._held = 0

    def begin(self, data_version: int) -> bool:
        """A transaction began: forget everything, unless the last one ended well and the database is as it left it.

        Says whether it did.
        """
        changed = data_version != self._data_version
        if changed:
            self.forget()
        self._data_version = None  # however this one ends, unless it ends well
        return changed

    def committed(self, data_version: int) -> None:
        """The transaction left the database like this."""
        self._data_version = data_version
        if self._held > HELD_LIMIT:
            self.drop_turns()
        if len(self._numbers) > LIMIT:
            self._drop_spaces()
        for kind in (self.tails, self.settings, self.turns):
            if len(kind) > LIMIT:
                kind.clear()

    def keep_space(self, ns: int, space: Namespace) -> None:
        """This is a namespace."""
        self._numbers[space.name], self._spaces[ns] = ns, space

    def space(self, name: str) -> tuple[int, Namespace] | None:
        """A namespace with its number, where it is known."""
        ns = self._numbers.get(name)
        return None if ns is None else (ns, self._spaces[ns])

    def add_totals(self, ns: int, memories: int, words: int) -> None:
        """A namespace has so many more."""
        if (space := self._spaces.get(ns)) is not None:
            more = {"memories": space.memories + memories, "words": space.words + words}
            self._spaces[ns] = msgspec.structs.replace(space, **more)

    def keep_turn(self, place: tuple[str, str | None], turn: Turn | None, size: int) -> None:
        """This is the newest message of a session; a large one is not kept."""
        self.turns.pop(place, None)
        if size <= LARGE:
            self.turns[place] = turn
            self._held += size

    def keep_tail(self, chain: str, tail: AuditRecord | None) -> None:
        """This is the last entry of a chain; one that names many memories is not kept."""
        self.tails.pop(chain, None)
        if tail is None or len(tail.memories) <= MANY:
            self.tails[chain] = tail

    def drop_turns(self) -> None:
        """Something changed that may be the newest message of a session."""
        self.turns.clear()
        self._held = 0

    def forget(self) -> None:
        """Know nothing."""
        self._data_version = self.next_memory = self.indexed_to = self.rule = None
        self._drop_spaces()
        self.tails.clear()
        self.settings.clear()
        self.drop_turns()

    def _drop_spaces(self) -> None:
        self._numbers.clear()
        self._spaces.clear()
