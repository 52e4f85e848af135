"""The audit log in its table: how an entry is written, read back, and compared with what was written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from pymemos.cube.audit import AuditQuery, AuditRecord, AuditRow
from pymemos.cube.filters import microseconds
from pymemos.cube.wire import encode
from pymemos.errors import BrokenStore

_DECODER = msgspec.json.Decoder(AuditRecord)
_BEGINNING = ("", 0)  # numbers begin with 1


def columns(record: AuditRecord) -> tuple[str, int, int, str, str, str]:
    """The row of an entry, in the order of the columns."""
    caller = record.caller.namespace
    return record.namespace, record.n, microseconds(record.at), caller, record.operation, encode(record).decode()


def entry(raw: bytes) -> AuditRecord:
    """The entry that was written as ``raw``."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenStore(
            f"an entry of the audit log cannot be read ({error}); 'pymemos audit verify' says which"
        ) from error


def row(stored: Sequence[Any]) -> AuditRow:
    """What lies in the table, whether or not it is an entry; ``stored`` holds texts as bytes, None for other types."""
    chain, n = stored[0].decode("utf-8", "surrogateescape"), stored[1]
    try:
        record = None if stored[5] is None else _DECODER.decode(stored[5])
        exact = record is not None and _as_bytes(columns(record)) == tuple(stored)
    except (
        msgspec.DecodeError,
        UnicodeError,
        ValueError,
        TypeError,
        OverflowError,
    ):  # not JSON, or a value that no entry has
        record, exact = None, False
    return AuditRow(chain=chain, n=n, record=record, exact=exact)


def parameters(query: AuditQuery, after: tuple[str, int] | None = None) -> dict[str, int | str | bytes | None]:
    """What the statements ``audit`` and ``audit_page`` are asked with."""
    return {
        **place(query.namespaces, after),
        "since": None if query.since is None else microseconds(query.since),
        "until": None if query.until is None else microseconds(query.until),
        "caller": query.caller,
        "operation": query.operation,
        "memory": query.memory,
        "memory_kind": query.memory_kind,
        "memory_type": query.memory_type,
        "limit": query.limit,
    }


def place(namespaces: Sequence[str] | None, after: tuple[str, int] | None) -> dict[str, int | str | bytes | None]:
    """Which chains, and from where on."""
    chain, n = after or _BEGINNING
    return {
        "chains": None if namespaces is None else json.dumps(list(namespaces)),
        "after_chain": chain.encode("utf-8", "surrogateescape"),
        "after_n": n,
    }


def _as_bytes(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.encode() if isinstance(value, str) else value for value in row)
