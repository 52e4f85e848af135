"""Merging: several memories as one, a view over many, and the way back (1.1, 5.3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymemos.cube.cube import MemCube
from pymemos.errors import EmptyScope, InvalidInput
from pymemos.facade.handle import Handle
from pymemos.interface import merging, viewing
from pymemos.interface.arguments import (
    check_filters,
    check_id,
    check_ids,
    check_member,
    check_name,
    check_spaces,
    check_text,
    check_view_name,
    optional_version,
)
from pymemos.interface.merging import Undone
from pymemos.operation.merging import Merged, Policy


class Merging(Handle):
    """The methods that make one of several."""

    def merge(
        self,
        id: str,
        others: Sequence[str],
        *,
        content: str | None = None,
        conflict: Policy | str = Policy.NEWEST,
        expected: int | str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Consolidate ``others`` into memory ``id``: its next version says what all of them say.

        Lines that say the same are kept once, the others in the order of their times, unless ``content`` is the text.
        Where fields collide, ``conflict`` says who wins: "newest", "oldest", "keep_all", or "fail" for an error; what
        was not kept is told in the provenance. Governance is that of the strictest. The others of the same namespace
        are archived, not lost, and nothing that was made from them becomes stale. ``undo`` takes it all back.
        """
        request = merging.Merge(
            id=check_id(id),
            others=check_ids(others, "others", least=1),
            **self._together(content, conflict),
            expected=optional_version(expected, "expected"),
            idempotency_key=None if idempotency_key is None else check_name(idempotency_key, "idempotency_key"),
        )
        if request.id in request.others:
            raise InvalidInput(f"memory {id!r} cannot be merged into itself; name the others")
        cube: MemCube = self._dispatch(self._bind(user_id, agent_id), request)
        return cube

    def fuse(
        self,
        ids: Sequence[str],
        *,
        content: str | None = None,
        conflict: Policy | str = Policy.NEWEST,
        archive_sources: bool = False,
        user_id: str | None = None,
        agent_id: str | None = None,
        namespace: str | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Make a new memory that says what several say, by the rules of ``merge``; all of them are its parents.

        The sources stay as they are, unless ``archive_sources`` puts those of its namespace into the archive. When one
        of them changes, the new memory is stale, as everything is that was made from others. It is one's own, unless
        ``namespace`` names another place that is open to the caller.
        """
        request = merging.Fuse(
            ids=check_ids(ids, "ids", least=2),
            **self._together(content, conflict),
            archive_sources=archive_sources,
            beside_sources=namespace is None,
            idempotency_key=None if idempotency_key is None else check_name(idempotency_key, "idempotency_key"),
        )
        cube: MemCube = self._dispatch(self._in(self._bind(user_id, agent_id), namespace), request)
        return cube

    def plan_merge(
        self,
        ids: Sequence[str],
        *,
        content: str | None = None,
        conflict: Policy | str = Policy.NEWEST,
        user_id: str | None = None,
        agent_id: str | None = None,
    ) -> Merged:
        """What ``merge`` or ``fuse`` would make of these memories: the text, who said what, and who wins; not done."""
        request = merging.PlanMerge(ids=check_ids(ids, "ids", least=2), **self._together(content, conflict))
        merged: Merged = self._dispatch(self._bind(user_id, agent_id), request)
        return merged

    def compose(
        self,
        name: str,
        *,
        ids: Sequence[str] = (),
        namespaces: Sequence[str] | None = None,
        filters: Mapping[str, Any] | None = None,
        expected: int | str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        namespace: str | None = None,
        idempotency_key: str | None = None,
    ) -> MemCube:
        """Keep a view: the memories of ``namespaces`` that match ``filters``, and those of ``ids``, to be read as one.

        ``search`` and ``list`` look through it with ``view=``, its name or id, and show of it what the reader may see
        then. A filter alone is about one's own memories. Composed again, a name gets its next version. A view is a
        memory: ``list(episodes=True)``, ``history``, ``delete``, ``restore`` and ``undo`` know it. It is kept among
        one's own, unless ``namespace`` names another place; there it is looked through by its id.
        """
        if not ids and not namespaces and filters is None:
            raise EmptyScope("the view would show nothing; name ids, namespaces or a filter")
        request = viewing.Compose(
            name=check_view_name(name),
            ids=check_ids(ids, "ids", least=0),
            namespaces=None if namespaces is None else check_spaces(namespaces),
            where=None if filters is None else check_filters(filters),
            expected=optional_version(expected, "expected"),
            idempotency_key=None if idempotency_key is None else check_name(idempotency_key, "idempotency_key"),
        )
        cube: MemCube = self._dispatch(self._in(self._bind(user_id, agent_id), namespace), request)
        return cube

    def undo(
        self,
        id: str,
        *,
        expected: int | str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Undone:
        """Take back the merge, fuse or compose that wrote the current version of memory ``id``.

        A merged memory says again what it said, under the rules that it had; what was fused or composed anew is
        deleted, recoverably. Sources that were archived by it are at hand again. Every version stays in the history.
        """
        request = merging.Undo(
            id=check_id(id),
            expected=optional_version(expected, "expected"),
            idempotency_key=None if idempotency_key is None else check_name(idempotency_key, "idempotency_key"),
        )
        undone: Undone = self._dispatch(self._bind(user_id, agent_id), request)
        return undone

    def _together(self, content: str | None, conflict: Policy | str) -> merging.Rules:
        """How texts and fields become one."""
        if content is not None:
            check_text(content, "the text", limit=self._settings.text_limit)
        policy = check_member(Policy, conflict, "conflict")
        return {"content": content, "policy": policy, "text_limit": self._settings.text_limit}
