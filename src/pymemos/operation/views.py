"""Views: memories of several namespaces that are searched and listed as one (1.1, 5.3.2, ADR 0027).

A view names what it shows and holds nothing of it, so it is never stale and never widens what somebody may read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pymemos.cube import filters
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import All, Any_, Compare, Filter
from pymemos.cube.payload import Plaintext
from pymemos.errors import InvalidInput
from pymemos.operation.retrieval.question import Found

FORMAT = "view"  # of the payload
Parts = tuple[tuple[str, Filter | None], ...]  # namespaces, each with what its memories must satisfy


class View(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"where": "filter"}):
    """What a view shows: the memories of some namespaces that match a filter, as JSON, and single ones by their ids."""

    name: str
    namespaces: tuple[str, ...] = ()
    where: dict[str, Any] | None = None
    ids: tuple[str, ...] = ()

    def payload(self) -> Plaintext:
        """The view as the payload of its memory: canonical, so that the same view has the same bytes."""
        return Plaintext(content=msgspec.json.encode(self, order="sorted").decode(), format=FORMAT)

    @staticmethod
    def of(cube: MemCube) -> View:
        """The view that a memory is."""
        if not cube.is_view:
            raise InvalidInput(f"memory {cube.id!r} is no view; compose makes one")
        try:
            return msgspec.json.decode(cube.text, type=View)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"view {cube.id!r} cannot be read ({error}); compose it anew under its name") from error


def parts(view: View, owners: Mapping[str, str]) -> Parts:
    """Where a view looks: each namespace once, with the condition on its memories; None lets all of them in.

    ``owners`` says where single memories live; one that lives nowhere is left out. The parts share no memory, so looks
    at them can be put together, and each can be joined with other conditions on its namespace.
    """
    chosen: dict[str, list[Filter]] = {}
    for id in view.ids:
        if id in owners:
            chosen.setdefault(owners[id], [])
    where = None if view.where is None else filters.parse(view.where)
    found: list[tuple[str, Filter | None]] = []
    for name in dict.fromkeys([*view.namespaces, *chosen]):
        single = tuple(id for id in view.ids if owners.get(id) == name)
        named: tuple[Filter, ...] = (Compare("id", "in", single),) if single else ()
        if name not in view.namespaces:
            found.append((name, named[0]))
        else:
            found.append((name, None if where is None else Any_((where, *named)) if named else where))
    return tuple(found)


def both(one: Filter | None, other: Filter | None) -> Filter | None:
    """What satisfies both."""
    given = tuple(part for part in (one, other) if part is not None)
    return given[0] if len(given) == 1 else All(given) if given else None


def as_one(looks: Sequence[Found], limit: int) -> Found:
    """What was found in parts, ranked as one: scores of one question are comparable in every namespace."""
    hits = sorted((hit for look in looks for hit in look.hits), key=lambda hit: (-hit.score, hit.cube.id))
    terms = tuple(dict.fromkeys(term for look in looks for term in look.terms))
    reasons = tuple(dict.fromkeys(reason for look in looks for reason in look.reasons))
    return Found(hits[:limit], terms, reasons)
