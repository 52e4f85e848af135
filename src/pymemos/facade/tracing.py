"""Tracing: where memories come from, what is said of that, and the way back to what they were."""

from __future__ import annotations

from collections.abc import Sequence

from pymemos.cube.cube import MemCube
from pymemos.errors import InvalidInput
from pymemos.facade.handle import Handle
from pymemos.interface import provenance
from pymemos.interface.arguments import check_id, check_name, check_number, check_provenance, optional_version
from pymemos.operation.tracing import Lineage

DEEPEST, WIDEST = 100, 1_000  # generations and memories that a lineage may show each way


class Tracing(Handle):
    """The methods on the provenance of memories (5.3.2), and restoring (5.4.3)."""

    def provenance(
        self,
        id: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        depth: int = 10,
        limit: int = 100,
    ) -> Lineage:
        """Where a memory comes from: its origin, every change, its sources and what was made from it, as a graph.

        The graph shows at most ``depth`` generations and ``limit`` memories each way, and says what it leaves out. What
        the caller may not know of is as good as unknown.
        """
        request = provenance.Trace(
            id=check_id(id),
            depth=check_number(depth, "depth", least=1, most=DEEPEST),
            limit=check_number(limit, "limit", least=1, most=WIDEST),
        )
        lineage: Lineage = self._dispatch(self._bind(user_id, agent_id), request)
        return lineage

    def annotate(
        self,
        id: str,
        *,
        trigger: str | None = None,
        context: str | None = None,
        model: str | None = None,
        links: Sequence[str] | None = None,
        note: str | None = None,
        expected: int | str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Say more of why a memory exists, as its next version; ``links`` are added to those that are there.

        Its content stays, so nothing that was made from it becomes stale. A frozen memory takes no annotation.
        """
        said = {"trigger": trigger, "context": context, "model": model, "links": links, "note": note}
        given = check_provenance({name: value for name, value in said.items() if value is not None})
        if not given:
            raise InvalidInput("the annotation says nothing; pass a trigger, context, model, links or a note")
        request = provenance.Annotate(
            id=check_id(id),
            given=given,
            expected=optional_version(expected, "expected"),
            idempotency_key=None if idempotency_key is None else check_name(idempotency_key, "idempotency_key"),
        )
        cube: MemCube = self._dispatch(self._bind(user_id, agent_id), request)
        return cube

    def restore(
        self,
        id: str,
        version: int | str | None = None,
        *,
        expected: int | str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Go back to a version of a memory, or bring back a deleted one (its last version, unless another is named).

        That is a new version, which says what that one said, of the same time; nothing in between is lost. Who may see
        the memory, and how long it is kept, stay as they are now. A frozen memory is not restored.
        """
        request = provenance.Restore(
            id=check_id(id),
            version=optional_version(version, "version"),
            expected=optional_version(expected, "expected"),
            idempotency_key=None if idempotency_key is None else check_name(idempotency_key, "idempotency_key"),
        )
        cube: MemCube = self._dispatch(self._bind(user_id, agent_id), request)
        return cube
