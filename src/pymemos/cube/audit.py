"""What the audit log says: its entries, the rows that hold them, and questions about them (5.3.2, 5.5.1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from pymemos.cube.call import Caller


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the audit log: who did what under which rule; never content, never query text.

    ``about`` has the figures and names of some operations, such as what an answer cost. ``n`` counts the entries of one
    namespace's chain from 1; ``mac`` chains each entry to the one before under the instance key that ``key_id`` names.
    """

    n: int
    at: datetime
    namespace: str
    caller: Caller
    operation: str
    allowed: bool
    rule: str
    memories: tuple[str, ...] = ()
    count: int = 0  # of memories touched, also where there are too many to name
    used: bool = False  # the memories were served to the caller
    about: dict[str, Any] = {}
    mac: str = ""
    key_id: str = ""


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the log as it lies in the store, which somebody may have changed.

    ``record`` is None where it holds no entry; ``exact`` says that the row is, to the byte, what the store writes for
    that entry. A name that is no Unicode is given with surrogate escapes.
    """

    chain: str
    n: int
    record: AuditRecord | None
    exact: bool = True


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to read from the audit log; None means any."""

    namespaces: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    caller: str | None = None  # the name of the caller's namespace
    operation: str | None = None
    memory: str | None = None
    memory_kind: str | None = None  # of a memory that the entry names, by any of its versions: "plaintext", …
    memory_type: str | None = None  # the same of its semantic type
    limit: int = 100
