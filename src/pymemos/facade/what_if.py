"""What-if: a world in which memories can be changed, and nothing outside of it is (5.4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, BinaryIO

from pymemos.cube.call import Caller, Request, Scope, TimeWindow
from pymemos.errors import InvalidInput
from pymemos.facade.handle import Handle
from pymemos.facade.memories import Memories
from pymemos.facade.time_machine import time_or_name
from pymemos.interface.arguments import When
from pymemos.interface.what_if import Changes, InWorld, OpenWorld
from pymemos.operation.what_if import Imagined
from pymemos.operation.what_if import World as Inside
from pymemos.ports import Snapshot


class World(Memories):
    """A namespace as it was at one moment, with changes that nobody else sees; closing it forgets them.

    The methods are those of MemOS. Whatever is asked is decided on with the rights that the caller has by then.
    Time stands still: what is added is added at that moment. Frozen memories may be changed.
    """

    _world: Inside

    @property
    def at(self) -> datetime:
        """The moment that the store is seen at."""
        return self._world.at

    def changes(self) -> Sequence[Imagined]:
        """What this world changed against the store as it was, by id: each memory before and after."""
        found: Sequence[Imagined] = self._dispatch(self._bind(None), Changes())
        return found

    def put_blob(self, source: bytes | BinaryIO) -> tuple[str, int]:
        """Refused: a world writes nothing, and the bytes of a tensor would stay."""
        del source
        raise InvalidInput("a what-if writes no blobs; put the bytes into the store, then add the tensor here")

    def close(self) -> None:
        """Forget this world and its changes; what is asked of it afterwards raises WorldClosed."""
        self._world.close()

    def _dispatch(self, who: tuple[Caller, Scope], request: Request, window: TimeWindow = TimeWindow()) -> Any:  # noqa: B008 (frozen)
        return super()._dispatch(who, InWorld(request=request, world=self._world), window)


class WhatIf(Handle):
    """The method that opens a world."""

    def what_if(
        self,
        *,
        known_at: When | Snapshot | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        role: str | None = None,
        task: str | None = None,
    ) -> World:
        """A world as of now, or of ``known_at``: a time, a snapshot or the name of one. Use it in a ``with``.

        It has the methods of MemOS, on memories as they were known at that moment. What is added, updated or deleted
        in it is seen there alone, is never written, and is gone when it is closed. What the store learns later is not
        seen in it; what is erased from the store is gone from it as well.
        """
        caller, scope = self._bind(user_id, agent_id, run_id, session_id, role, task)
        moment = known_at.at if isinstance(known_at, Snapshot) else known_at
        request = OpenWorld(moment=None if moment is None else time_or_name(moment))
        opened: Inside = self._dispatch((caller, scope), request)
        world = object.__new__(World)
        world.__dict__.update(self.__dict__)
        world._caller, world._world, world._root = caller, opened, False
        return world
