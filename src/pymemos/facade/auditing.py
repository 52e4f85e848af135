"""Auditing: who did what, whether the log is as it was written, and what auditors take away (5.3.2, 5.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from pymemos.cube.header import SemanticType
from pymemos.facade.handle import Handle
from pymemos.interface import requests
from pymemos.interface.arguments import When, check_limit
from pymemos.interface.auditing import parse_audit_query
from pymemos.ports import AuditRecord


class Auditing(Handle):
    """The methods on the audit log."""

    def log(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        since: When | None = None,
        until: When | None = None,
        caller: str | None = None,
        operation: str | None = None,
        memory: str | None = None,
        memory_kind: str | None = None,
        memory_type: SemanticType | str | None = None,
        limit: int = 100,
    ) -> Sequence[AuditRecord]:
        """The newest entries of the audit log: one's own, or, for a steward who names nobody, everybody's.

        ``memory_kind`` ("plaintext", "activation", "parametric") and ``memory_type`` ask for entries that name such a
        memory, by any of its versions.
        """
        self._api.buffer.flush()
        query = parse_audit_query(
            since=since,
            until=until,
            caller=caller,
            operation=operation,
            memory=memory,
            memory_kind=memory_kind,
            memory_type=memory_type,
            limit=check_limit(limit),
        )
        records: Sequence[AuditRecord] = self._dispatch(self._everywhere(user_id, agent_id), requests.Log(query=query))
        return records
