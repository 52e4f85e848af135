"""What the last transaction of the writing connection knew, so that the next one need not ask for it again."""

from __future__ import annotations

from pymemos.ports import AuditRecord, Turn

LIMIT = 1_000  # of each kind; beyond it all of that kind are asked for anew


class Recent:
    """True as long as nobody else has changed the database, which SQLite's data version tells.

    Holds what every add asks for. Whoever rolls anything back must call ``forget``.
    """

    def __init__(self) -> None:
        self._data_version: int | None = None
        self.next_memory: int | None = None
        self.tails: dict[str, AuditRecord | None] = {}  # chain -> its last entry
        self.settings: dict[str, str | None] = {}
        self.turns: dict[tuple[str, str | None], Turn | None] = {}  # namespace, session -> its newest message

    def begin(self, data_version: int) -> None:
        """A transaction began: forget everything, unless the database is as the last one left it."""
        if data_version != self._data_version:
            self.forget()

    def committed(self, data_version: int) -> None:
        """The transaction left the database like this."""
        self._data_version = data_version
        for kind in (self.tails, self.settings, self.turns):
            if len(kind) > LIMIT:
                kind.clear()

    def forget(self) -> None:
        """Know nothing."""
        self._data_version = self.next_memory = None
        self.tails.clear()
        self.settings.clear()
        self.turns.clear()
