"""The spaces of a what-if: copies of those of the store, which share what neither of them changes (5.4.3)."""

from __future__ import annotations

from pymemos.operation.retrieval.space import WHOLE, NeedsReload, Snapshot, Space, Spaces, View
from pymemos.ports import OverlaidUnit, ReadUnit


class Forks(Spaces):
    """For the units of one overlay; a space is copied when a search first looks at it."""

    def __init__(self, origin: Spaces) -> None:
        super().__init__(0)
        self._origin = origin
        self._forks: dict[tuple[str, str | None], Space] = {}

    def snapshot(
        self, unit: ReadUnit, namespace: str, embedder: str | None, dimensions: int, view: View = WHOLE
    ) -> Snapshot | None:
        """A namespace as the overlay shows it; None where it is not there."""
        stamp = unit.namespace(namespace)
        if stamp is None:
            return None
        if not isinstance(unit, OverlaidUnit):
            raise TypeError("forked spaces are for the units of an overlay")
        place = (namespace, embedder)
        if place not in self._forks:
            self._forks[place] = self._origin.forked(unit, namespace, embedder, dimensions)
        try:
            return self._forks[place].snapshot(unit, stamp.seq, view)
        except NeedsReload:
            self._forks[place] = self._origin.forked(unit, namespace, embedder, dimensions)
            return self._forks[place].snapshot(unit, stamp.seq, view)
