"""A handle: who calls, and how a method's arguments become a call through the one door."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import msgspec

from pymemos.cube.call import Caller, MemoryCall, Request, Scope, TimeWindow
from pymemos.cube.policy import check_namespace
from pymemos.errors import InvalidInput
from pymemos.interface import requests
from pymemos.interface.api import MemoryAPI, Tools
from pymemos.interface.arguments import check_id, check_name
from pymemos.interface.attaching import Attacher
from pymemos.interface.mover import Mover
from pymemos.interface.swapper import Swapper
from pymemos.interface.worker import Worker
from pymemos.settings import Settings
from pymemos.wiring import Activations

READABLE = "*"  # in place of namespaces: whatever the caller may read


class Handle:
    """What every part of the facade stands on: the tools, the door, and the caller that it acts for."""

    _settings: Settings
    _tools: Tools
    _api: MemoryAPI
    _worker: Worker
    _caller: Caller
    _root: bool
    _activations: Activations | None = None  # what injects and encodes KV memories
    _attacher: Attacher | None = None  # finds and gates adapters
    _mover: Mover  # moves memories between forms
    _swapper: Swapper  # swaps the sets of tasks

    def bind(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        role: str | None = None,
        task: str | None = None,
        model: str | None = None,
        purpose: str | None = None,
    ) -> Self:
        """A handle on the same store that carries these identities; it can only narrow further.

        ``role``, ``task``, ``purpose`` and ``model`` are the context that access policies may ask for.
        """
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__)
        bound._root = False
        bound._caller, _ = self._bind(user_id, agent_id, run_id, session_id, role, task, model, purpose)
        return bound

    def close(self) -> None:
        """Write what waits and release the store; a bound handle leaves it open for the others."""
        if not self._root:
            return
        with ExitStack() as closing:  # in the opposite order, each even if the one before failed
            closing.callback(self._tools.store.close)
            if self._tools.heads is not None:
                closing.callback(self._tools.heads.close)
            closing.callback(self._api.buffer.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _let_go(self) -> None:
        """Free what is kept in memory of segments and adapters that are no more, whoever erased or deleted them."""
        if self._activations is not None and self._activations.made is not None:
            self._activations.made[0].let_go()
        if self._attacher is not None:
            self._attacher.forget()

    # From arguments to calls.

    def _bind(self, *identities: str | None) -> tuple[Caller, Scope]:
        try:
            return _bound(self._caller, *identities)
        except TypeError:  # what is no name need not be hashable; it is refused in words
            return _bound.__wrapped__(self._caller, *identities)

    def _in(self, who: tuple[Caller, Scope], namespace: str | None) -> tuple[Caller, Scope]:
        """The same caller in a namespace that was named."""
        if namespace is None:
            return who
        return who[0], msgspec.structs.replace(who[1], namespace=check_namespace(check_id(namespace, "namespace")))

    def _across(
        self, who: tuple[Caller, Scope], namespaces: Sequence[str] | str | None, view: str | None = None
    ) -> tuple[Caller, Scope]:
        """The same caller in several namespaces; ``"*"`` is all that it may read, and for a steward the whole store."""
        caller, scope = who
        if namespaces is None:
            return who
        if view is not None:
            raise InvalidInput("a view says itself which namespaces it shows; pass a view or namespaces, not both")
        if not isinstance(namespaces, Iterable):
            raise InvalidInput(f"namespaces is {namespaces!r}; pass a list of names, or '*' for all that may be read")
        named = [namespaces] if isinstance(namespaces, str) else list(namespaces)
        if named == [READABLE]:
            everything = Scope(namespace=None) if caller.steward else msgspec.structs.replace(scope, readable=True)
            return caller, everything
        if not named:
            raise InvalidInput("namespaces is empty; name at least one, or leave it out for one's own")
        first, *others = dict.fromkeys(check_namespace(check_id(name, "namespaces")) for name in named)
        return caller, msgspec.structs.replace(scope, namespace=first, others=tuple(others))

    def _everywhere(self, user_id: str | None = None, agent_id: str | None = None) -> tuple[Caller, Scope]:
        """The whole store for a steward who names nobody, else the caller's own."""
        caller, scope = self._bind(user_id, agent_id)
        return caller, Scope(namespace=None) if caller.steward else scope

    def _dispatch(self, who: tuple[Caller, Scope], request: Request, window: TimeWindow = TimeWindow()) -> Any:  # noqa: B008 (frozen)
        caller, scope = who
        return self._api.dispatch(MemoryCall(caller=caller, request=request, scope=scope, window=window))

    def _check_steward(self) -> None:
        """Refuse whoever is not the steward, and record it, as any such call."""
        if not self._caller.steward:
            self._dispatch(self._everywhere(), requests.Jobs())


@lru_cache(maxsize=1_000)  # callers come again
def _bound(
    caller: Caller,
    user_id: str | None,
    agent_id: str | None = None,
    run_id: str | None = None,
    session_id: str | None = None,
    role: str | None = None,
    task: str | None = None,
    model: str | None = None,
    purpose: str | None = None,
) -> tuple[Caller, Scope]:
    """The caller with identities added, and its own namespace."""
    if run_id is not None and session_id is not None and run_id != session_id:
        raise InvalidInput(f"run_id {run_id!r} and session_id {session_id!r} are two names of one thing; pass one")
    given = {
        "user": user_id,
        "agent": agent_id,
        "session": session_id if session_id is not None else run_id,
        "role": role,
        "task": task,
        "model": model,
        "purpose": purpose,
    }
    checked = {name: check_name(value, name) for name, value in given.items() if value is not None}
    narrowed = caller.narrow(**checked)
    return narrowed, Scope(namespace=narrowed.namespace, agent=narrowed.agent, session=narrowed.session)
