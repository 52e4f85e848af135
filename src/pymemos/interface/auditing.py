"""The audit log, asked and checked: what it says, whether it is as it was written, and what auditors take away."""

from __future__ import annotations

from pymemos.cube.audit import AuditQuery
from pymemos.cube.header import SemanticType
from pymemos.errors import InvalidInput
from pymemos.interface.arguments import When, check_member, optional_id, optional_time

KINDS = ("plaintext", "activation", "parametric")  # of memories (4.1)


def parse_audit_query(
    *,
    since: When | None,
    until: When | None,
    caller: str | None,
    operation: str | None,
    memory: str | None,
    memory_kind: str | None,
    memory_type: SemanticType | str | None,
    limit: int,
) -> AuditQuery:
    """A question about the audit log, each value checked."""
    if memory_kind is not None and memory_kind not in KINDS:
        raise InvalidInput(f"memory_kind is {memory_kind!r}; use one of {', '.join(KINDS)}")
    wanted = None if memory_type is None else check_member(SemanticType, memory_type, "memory_type")
    return AuditQuery(
        since=optional_time(since, "since"),
        until=optional_time(until, "until"),
        caller=optional_id(caller, "caller"),
        operation=optional_id(operation, "operation"),
        memory=optional_id(memory, "memory"),
        memory_kind=memory_kind,
        memory_type=None if wanted is None else wanted.value,
        limit=limit,
    )
