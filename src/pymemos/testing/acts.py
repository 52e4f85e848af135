"""Acts: the short writes and reads that tests of a store are made of, one unit each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymemos.cube.call import Selection
from pymemos.cube.filters import parse
from pymemos.ports import Entry, Match, Namespace, Record, Store, TermWeights, TextRow, WriteUnit
from pymemos.testing.builders import ANA
from pymemos.testing.doubles import WHEN

PLAIN = TermWeights(k1=1.2, b=0.75, terms=1.0, context=0.5, facets=1.0)


def add(store: Store, *entries: Entry, at: datetime = WHEN) -> Namespace:
    """Write first versions in one unit; gives the stamp of the last entry's namespace."""

    def work(unit: WriteUnit) -> Namespace:
        for entry in entries:
            stamp = unit.advance(entry.cube.namespace, at)
            unit.insert(entry)
        return stamp

    return store.write(work)


def change(store: Store, entry: Entry, *, at: datetime = WHEN) -> Namespace:
    """Write the next version of a memory."""

    def work(unit: WriteUnit) -> Namespace:
        stamp = unit.advance(entry.cube.namespace, at)
        unit.supersede(entry)
        return stamp

    return store.write(work)


def remove(store: Store, *ids: str, namespace: str = ANA, at: datetime = WHEN) -> Namespace:
    """Delete memories of one namespace."""

    def work(unit: WriteUnit) -> Namespace:
        stamp = unit.advance(namespace, at)
        for id in ids:
            unit.retire(id)
        return stamp

    return store.write(work)


def retext(store: Store, id: str, text: TextRow | None, *, namespace: str = ANA) -> None:
    """Replace the full-text row of a memory."""

    def work(unit: WriteUnit) -> None:
        unit.advance(namespace, WHEN)
        unit.retext(id, text)

    store.write(work)


def use(store: Store, *ids: str, at: datetime = WHEN) -> None:
    """Count a use of each memory."""
    store.write(lambda unit: unit.use(ids, at))


def current(store: Store, id: str) -> Record | None:
    """The current version of a memory."""
    with store.read() as unit:
        found = unit.current([id])
    return found[0] if found else None


def versions(store: Store, id: str) -> list[Record]:
    """Every version of a memory."""
    with store.read() as unit:
        return unit.versions(id)


def select(store: Store, **selection: Any) -> list[Record]:
    """The selected records, over all namespaces unless some are given; a filter is given as JSON."""
    with store.read() as unit:
        return unit.page(_selection(**selection), limit=1000)


def found(store: Store, **selection: Any) -> list[str]:
    """The contents of the selected records, sorted."""
    return sorted(record.cube.text for record in select(store, **selection))


def search(store: Store, terms: str, *, limit: int = 10, weights: TermWeights = PLAIN, **selection: Any) -> list[Match]:
    """The matches of words that are separated by spaces."""
    with store.read() as unit:
        return unit.match(terms.split(), _selection(**selection), limit=limit, weights=weights)


def ids_of(records: Sequence[Record]) -> list[str]:
    """The ids of records, in their order."""
    return [record.cube.id for record in records]


def _selection(*, where: dict[str, Any] | None = None, **given: Any) -> Selection:
    return Selection(**{"namespaces": None, **given}, where=None if where is None else parse(where))
