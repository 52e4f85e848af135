"""Lists of memories of one form, which no filter tells apart: segments, and steering vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymemos import MemCube, MemOS

STATES = ("generated", "activated", "merged", "archived", "frozen")


def of_form(mem: MemOS, form: str, *, limit: int, **options: Any) -> tuple[list[MemCube], str | None]:
    """The first activation memories of a form, and the id behind which there are more."""
    found: list[MemCube] = []
    while True:
        page = mem.list(filters={"kind": "activation"}, states=STATES, limit=limit, **options)
        for cube in page:
            if getattr(cube.payload, "form", None) == form:
                if len(found) == limit:
                    return found, found[-1].id
                found.append(cube)
        if page.after is None:
            return found, None
        options["after"] = page.after
