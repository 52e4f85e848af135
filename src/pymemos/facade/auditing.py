"""Auditing: who did what, whether the log is as it was written, and what auditors take away (5.3.2, 5.5.1)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pymemos.cube.header import SemanticType
from pymemos.errors import InvalidInput
from pymemos.facade.handle import Handle
from pymemos.infrastructure.audit import read_key
from pymemos.interface import auditing, requests
from pymemos.interface.arguments import When, check_limit
from pymemos.interface.auditing import parse_audit_query
from pymemos.ports import AuditRecord

if TYPE_CHECKING:
    from pymemos.infrastructure.chains import AuditReport
    from pymemos.infrastructure.heads import Head

EXPORTS = {"access": auditing.log_lines, "permissions": auditing.permission_lines}
FORMS = ("jsonl", "csv")


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

    def audit_verify(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        keys: Sequence[str | os.PathLike[str]] = (),
        head: Head | bytes | str | None = None,
    ) -> AuditReport:
        """Hold the log against its seals and its signed head: one's own, or, for a steward who names nobody, all of it.

        ``keys`` are files of other instance keys, for entries that were written where those were. ``head`` is one that
        was kept elsewhere: what ``audit_head`` gave, or the line that ``pymemos audit head`` printed.
        """
        self._api.buffer.flush()
        who = self._everywhere(user_id, agent_id)
        others = [read_key(Path(key)) for key in keys]
        anchor = None if head is None else auditing.anchor_of(head, self._tools, others)
        return auditing.verify(self._api, self._tools, who, others, anchor)

    def audit_head(self, *, user_id: str | None = None, agent_id: str | None = None, accept: bool = False) -> Head:
        """Sign where the chains stand, to be kept elsewhere: one's own, or, for a steward who names nobody, all.

        Raises TamperedLog where the log is not what was signed before; ``accept``, which only a steward may, signs it
        as it is, as after restoring a backup.
        """
        self._api.buffer.flush()
        head: Head = self._dispatch(self._everywhere(user_id, agent_id), auditing.SignHead(accept=accept))
        return head

    def audit_export(
        self,
        what: str = "access",
        *,
        format: str = "jsonl",
        user_id: str | None = None,
        agent_id: str | None = None,
        since: When | None = None,
        until: When | None = None,
        caller: str | None = None,
        operation: str | None = None,
        memory: str | None = None,
        memory_kind: str | None = None,
        memory_type: SemanticType | str | None = None,
    ) -> Iterator[str]:
        """The lines of a report for auditors, as JSON Lines ("jsonl") or "csv": one's own, or, for a steward, all.

        "access" is the log, chain by chain. "permissions" tells who changed owner, access, sensitivity or frozenness of
        which memory; there ``caller`` is the author of the change, and ``operation`` its cause.
        """
        if what not in EXPORTS or format not in FORMS:
            raise InvalidInput(
                f"there is no export {what!r} as {format!r}; ask for access or permissions, jsonl or csv"
            )
        query = parse_audit_query(
            since=since,
            until=until,
            caller=caller,
            operation=operation,
            memory=memory,
            memory_kind=memory_kind,
            memory_type=memory_type,
            limit=auditing.PAGE,
        )
        self._api.buffer.flush()
        return EXPORTS[what](self._api, self._everywhere(user_id, agent_id), query, format)
