"""The veil: what a caller gets of memories whose personal data or secrets it may not see (5.5.1, ADR 0030).

The stored text stays whole. Whatever a handler returns passes here, so that none can forget it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from pymemos.cube.call import Decision
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import Compare, Filter, both, either, matches, negated
from pymemos.cube.payload import Plaintext
from pymemos.cube.policy import Policy
from pymemos.cube.privacy import Kind, redact
from pymemos.infrastructure import governance
from pymemos.infrastructure.governance import Circumstances
from pymemos.infrastructure.privacy.scanning import scan
from pymemos.operation.hits import Hits


class Veil:
    """What rules hide from one caller, in the circumstances of one call."""

    def __init__(self, of: Circumstances) -> None:
        self._of = of
        self._rules: dict[str, list[Policy]] = {}

    def hidden(self, cube: MemCube) -> frozenset[Kind]:
        """The kinds that the caller may not see in a memory."""
        return frozenset(
            kind for one in self._of_place(cube.namespace) if matches(one.what, cube) for kind in one.kinds
        )

    def hides(self, cube: MemCube) -> bool:
        """Whether a memory has something that the caller may not see."""
        return self.cube(cube) is not cube

    def cube(self, cube: MemCube) -> MemCube:
        """A memory as the caller may see it; without its salt, with which a hash would confirm a guess."""
        hidden = self.hidden(cube)
        if not hidden:
            return cube
        shown = without(cube, hidden)
        return cube if shown is cube else msgspec.structs.replace(shown, salt=b"")

    def result(self, value: Any) -> Any:
        """The result of a handler, every memory in it as the caller may see it."""
        if isinstance(value, MemCube):
            return self.cube(value)
        if isinstance(value, Hits):
            found = [msgspec.structs.replace(hit, cube=self.cube(hit.cube)) for hit in value]
            return Hits(found, terms=value.terms, decision=value.decision, reasons=value.reasons)
        if isinstance(value, msgspec.Struct):
            given = {name: getattr(value, name) for name in value.__struct_fields__}
            shown = {name: new for name, old in given.items() if (new := self.result(old)) is not old}
            return msgspec.structs.replace(value, **shown) if shown else value
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            items = [self.result(one) for one in value]
            return value if all(a is b for a, b in zip(items, value, strict=True)) else type(value)(items)
        return value

    def told(self, words: tuple[str, ...], namespaces: Collection[str]) -> tuple[str, ...]:
        """What is said of some namespaces, such as whom a question names there, without what is hidden in them."""
        kinds = {kind for name in namespaces for one in self._of_place(name) for kind in one.kinds}
        return tuple(hide(one, kinds) for one in words) if kinds else words

    def narrowed(self, decision: Decision) -> Decision:
        """A search's decision less the memories that have something hidden: no word, score or count tells of them.

        Their labels say which these are, so that the store can leave them out before anything is ranked.
        """
        if not any(self._of_place(name) for name, _ in decision.parts):
            return decision
        parts = tuple(
            (name, both(where, negated(self._labelled(name))) if self._of_place(name) else where)
            for name, where in decision.parts
        )
        return msgspec.structs.replace(decision, parts=parts)

    def _labelled(self, namespace: str) -> Filter:
        """The memories of a namespace that are labelled with something hidden."""
        return either(
            *(
                both(one.what, either(*(Compare("sensitivity", "eq", kind.label) for kind in one.kinds)))
                for one in self._of_place(namespace)
            )
        )

    def _of_place(self, namespace: str) -> list[Policy]:
        if namespace not in self._rules:
            self._rules[namespace] = governance.redactions(self._of, namespace)
        return self._rules[namespace]


def without(cube: MemCube, kinds: Collection[Kind]) -> MemCube:
    """A memory with stand-ins for some kinds, in its text and in all that is said of it; itself where it has none."""
    said = cube.header.descriptive
    payload = cube.payload
    if isinstance(payload, Plaintext) and (content := hide(payload.content, kinds)) != payload.content:
        payload = msgspec.structs.replace(payload, content=content)
    shown = {name: hide(getattr(said, name), kinds) for name in ("metadata", "tags", "entities", "speaker")}
    if said.provenance is not None:
        noted = {name: getattr(said.provenance, name) for name in ("trigger", "context", "note", "links")}
        hidden = {name: hide(value, kinds) for name, value in noted.items()}
        if (way := said.provenance.transformed) is not None and (left := hide(way.left, kinds)) != way.left:
            hidden["transformed"] = msgspec.structs.replace(way, left=left)
        shown["provenance"] = msgspec.structs.replace(said.provenance, **hidden) if hidden != noted else said.provenance
    if payload is cube.payload and all(getattr(said, name) == value for name, value in shown.items()):
        return cube
    header = msgspec.structs.replace(cube.header, descriptive=msgspec.structs.replace(said, **shown))
    return msgspec.structs.replace(cube, payload=payload, header=header)


def hide(value: Any, kinds: Collection[Kind]) -> Any:
    """A text, or every text in a value of JSON, with stand-ins for some kinds."""
    if isinstance(value, str):
        return redact(value, scan(value, kinds))
    if isinstance(value, Mapping):
        return {hide(name, kinds): hide(item, kinds) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(hide(item, kinds) for item in value)
    return value
