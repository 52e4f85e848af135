"""Builders: whole values from the one field that a test is about."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pymemos.cube.call import Caller, Selection
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.header import Behaviour, Descriptive, Governance
from pymemos.cube.payload import Payload, Plaintext
from pymemos.ports import AuditRecord, Edge, Entry, Job, TextRow, Vector
from pymemos.testing.doubles import WHEN, SequentialIds

ANA: Final = "users/ana"
SALT: Final = bytes(16)  # no secret in tests: equal content gives equal hashes
EVERYTHING: Final = Selection(namespaces=None, episodes=True)

_new_id: Final = SequentialIds()


def a_cube(
    content: str = "Ana moved to Lisbon in May.",
    namespace: str = ANA,
    *,
    id: str | None = None,
    payload: Payload | None = None,
    parents: tuple[Parent, ...] = (),
    behaviour: Behaviour | None = None,
    salt: bytes = SALT,
    **declared: Any,
) -> MemCube:
    """A first version; ``declared`` are fields of the descriptive or the governance group, whichever has the name."""
    rules = {name: declared.pop(name) for name in Governance.__struct_fields__ if name in declared and name != "extra"}
    cube = MemCube.make(
        id=id or _new_id(WHEN),
        salt=salt,
        descriptive=Descriptive(**{"created": WHEN, "updated": WHEN, **declared}),
        governance=Governance(**{"owner": namespace, "namespace": namespace, **rules}),
        payload=payload or Plaintext(content=content),
        parents=parents,
    )
    return cube if behaviour is None else cube.observed(behaviour)


def a_row(terms: str = "", *, context: str = "", facets: str = "", context_of: str | None = None) -> TextRow:
    """A full-text row from words that are separated by spaces."""
    return TextRow(
        terms=tuple(terms.split()),
        context=tuple(context.split()),
        facets=tuple(facets.split()),
        context_of=context_of,
    )


def an_entry(
    content: str = "Ana moved to Lisbon in May.",
    namespace: str = ANA,
    *,
    cube: MemCube | None = None,
    text: TextRow | None = None,
    vectors: Sequence[Vector] = (),
    edges: Sequence[Edge] = (),
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    **declared: Any,
) -> Entry:
    """An entry as the system writes it: found by the words of its content unless ``text`` says by which."""
    if cube is None:
        cube = a_cube(content, namespace, valid_from=valid_from, valid_to=valid_to, **declared)
    said = cube.header.descriptive
    return Entry(
        cube=cube,
        valid_from=valid_from or said.valid_from or said.event_time or said.created,
        valid_to=valid_to or said.valid_to,
        text=text if text is not None else a_row(cube.text.lower().replace(".", "")),
        vectors=tuple(vectors),
        edges=tuple(edges),
    )


def the_next(entry: Entry, content: str = "Ana moved to Porto.", **given: Any) -> Entry:
    """The entry of a memory's next version; ``given`` as for ``an_entry``, declared fields replace the old ones."""
    placed = {name: given.pop(name) for name in ("text", "vectors", "edges") if name in given}
    said = {field: getattr(entry.cube.header.descriptive, field) for field in Descriptive.__struct_fields__}
    unsaid = {"valid_from": None, "valid_to": None}  # an interval belongs to the version that declares it
    cube = entry.cube.derive(payload=Plaintext(content=content), descriptive=Descriptive(**{**said, **unsaid, **given}))
    return an_entry(cube=cube, **placed)


def a_vector(*values: float, part: int = 0, embedder: str = "echo") -> Vector:
    """A vector of these numbers."""
    return Vector(part=part, embedder=embedder, values=struct.pack(f"<{len(values)}f", *values))


def a_job(kind: str = "embed", *, id: str | None = None, run_at: datetime = WHEN, **fields: Any) -> Job:
    """A job that is ready at ``run_at``."""
    return Job(**{"id": id or _new_id(WHEN), "kind": kind, "namespace": ANA, "run_at": run_at, **fields})


def an_audit_record(n: int = 1, namespace: str = ANA, **fields: Any) -> AuditRecord:
    """An entry of the audit log: an addition by Ana that was allowed."""
    usual = {"at": WHEN, "caller": Caller(user="ana"), "operation": "add", "allowed": True, "rule": "owner"}
    return AuditRecord(**{"n": n, "namespace": namespace, **usual, **fields})
