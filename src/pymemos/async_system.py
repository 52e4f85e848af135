"""AsyncMemOS: the same system for asyncio, a thin face over threads (ADR 0002)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pymemos.facade.chatting import ReplyStream
from pymemos.facade.what_if import World
from pymemos.operation.replies import Reply
from pymemos.system import MemOS

P = ParamSpec("P")
R = TypeVar("R")


class AsyncMemOS:
    """MemOS for asyncio: the same methods, each awaited, each in a thread of the default executor."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._mem = MemOS(*args, **options)

    def bind(self, **identities: str | None) -> AsyncMemOS:
        """A handle on the same store that carries these identities; it can only narrow further.

        ``role``, ``task``, ``purpose`` and ``model`` are the context that access policies may ask for.
        """
        bound = object.__new__(type(self))
        bound._mem = self._mem.bind(**identities)
        return bound

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @staticmethod
    def _threaded(
        method: Callable[Concatenate[MemOS, P], R],
    ) -> Callable[Concatenate[AsyncMemOS, P], Coroutine[Any, Any, R]]:
        async def call(self: AsyncMemOS, /, *args: P.args, **options: P.kwargs) -> R:
            return await asyncio.to_thread(method, self._mem, *args, **options)

        call.__name__, call.__doc__ = method.__name__, method.__doc__
        return call

    add = _threaded(MemOS.add)
    update = _threaded(MemOS.update)
    append = _threaded(MemOS.append)
    delete = _threaded(MemOS.delete)
    search = _threaded(MemOS.search)
    merge = _threaded(MemOS.merge)
    fuse = _threaded(MemOS.fuse)
    plan_merge = _threaded(MemOS.plan_merge)
    compose = _threaded(MemOS.compose)
    undo = _threaded(MemOS.undo)
    get = _threaded(MemOS.get)
    list = _threaded(MemOS.list)
    history = _threaded(MemOS.history)
    diff = _threaded(MemOS.diff)
    log = _threaded(MemOS.log)
    provenance = _threaded(MemOS.provenance)
    annotate = _threaded(MemOS.annotate)
    restore = _threaded(MemOS.restore)
    audit_verify = _threaded(MemOS.audit_verify)
    audit_head = _threaded(MemOS.audit_head)
    snapshot = _threaded(MemOS.snapshot)
    snapshots = _threaded(MemOS.snapshots)
    restore_to = _threaded(MemOS.restore_to)
    encode = _threaded(MemOS.encode)
    inject = _threaded(MemOS.inject)
    load = _threaded(MemOS.load)
    verify = _threaded(MemOS.verify)
    evict = _threaded(MemOS.evict)
    placements = _threaded(MemOS.placements)
    probe_blending = _threaded(MemOS.probe_blending)
    distil = _threaded(MemOS.distil)
    training = _threaded(MemOS.training)
    cancel_training = _threaded(MemOS.cancel_training)
    attach = _threaded(MemOS.attach)
    adapter = _threaded(MemOS.adapter)
    write_adapter = _threaded(MemOS.write_adapter)
    transform = _threaded(MemOS.transform)
    transformation = _threaded(MemOS.transformation)
    cancel_transformation = _threaded(MemOS.cancel_transformation)
    steer_from = _threaded(MemOS.steer_from)
    steering = _threaded(MemOS.steering)
    steering_effect = _threaded(MemOS.steering_effect)
    freeze = _threaded(MemOS.freeze)
    unfreeze = _threaded(MemOS.unfreeze)
    archive = _threaded(MemOS.archive)
    activate = _threaded(MemOS.activate)
    passages = _threaded(MemOS.passages)
    sweep = _threaded(MemOS.sweep)
    calibrate = _threaded(MemOS.calibrate)
    schedule = _threaded(MemOS.schedule)
    schedule_policy = _threaded(MemOS.schedule_policy)
    set_schedule_policy = _threaded(MemOS.set_schedule_policy)
    move = _threaded(MemOS.move)
    decisions = _threaded(MemOS.decisions)
    switch_task = _threaded(MemOS.switch_task)
    swaps = _threaded(MemOS.swaps)
    lifecycle_policy = _threaded(MemOS.lifecycle_policy)
    set_lifecycle_policy = _threaded(MemOS.set_lifecycle_policy)
    share = _threaded(MemOS.share)
    unshare = _threaded(MemOS.unshare)
    set_access_policy = _threaded(MemOS.set_access_policy)
    remove_access_policy = _threaded(MemOS.remove_access_policy)
    access_policies = _threaded(MemOS.access_policies)
    assign_role = _threaded(MemOS.assign_role)
    withdraw_role = _threaded(MemOS.withdraw_role)
    access_report = _threaded(MemOS.access_report)
    why = _threaded(MemOS.why)
    erase = _threaded(MemOS.erase)
    erase_backup = _threaded(MemOS.erase_backup)
    receipt = _threaded(MemOS.receipt)
    receipts = _threaded(MemOS.receipts)
    verify_receipt = _threaded(MemOS.verify_receipt)
    detect = _threaded(MemOS.detect)
    set_privacy_policy = _threaded(MemOS.set_privacy_policy)
    privacy_policy = _threaded(MemOS.privacy_policy)
    scan_privacy = _threaded(MemOS.scan_privacy)
    sign = _threaded(MemOS.sign)
    signatures = _threaded(MemOS.signatures)
    keys = _threaded(MemOS.keys)
    rotate_key = _threaded(MemOS.rotate_key)
    trust_key = _threaded(MemOS.trust_key)
    distrust_key = _threaded(MemOS.distrust_key)

    async def chat(self, *args: Any, **options: Any) -> Reply | AsyncReplyStream:  # noqa: D102 (it is that of MemOS)
        reply = await asyncio.to_thread(self._mem.chat, *args, **options)
        return AsyncReplyStream(reply) if isinstance(reply, ReplyStream) else reply

    chat.__doc__ = MemOS.chat.__doc__

    async def what_if(self, *args: Any, **options: Any) -> AsyncWorld:  # noqa: D102 (it is that of MemOS)
        return AsyncWorld(await asyncio.to_thread(self._mem.what_if, *args, **options))

    what_if.__doc__ = MemOS.what_if.__doc__
    put_blob = _threaded(MemOS.put_blob)
    open_blob = _threaded(MemOS.open_blob)
    import_records = _threaded(MemOS.import_records)
    import_from = _threaded(MemOS.import_from)
    backup = _threaded(MemOS.backup)
    doctor = _threaded(MemOS.doctor)
    enqueue = _threaded(MemOS.enqueue)
    jobs = _threaded(MemOS.jobs)
    control_job = _threaded(MemOS.control_job)
    reembed = _threaded(MemOS.reembed)
    next_due = _threaded(MemOS.next_due)
    tick = _threaded(MemOS.tick)
    close = _threaded(MemOS.close)


class AsyncReplyStream:
    """An answer as it is made: ``async for piece in await mem.chat(…, stream=True)``; ``reply`` is there at the end.

    ``async with`` ends it where its reader leaves or is cancelled, and lets go of what it holds.
    """

    def __init__(self, stream: ReplyStream) -> None:
        self._stream = stream

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        piece = await asyncio.to_thread(next, self._stream, None)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def close(self) -> None:
        """End the answer where it is, once the piece that is being made has come."""
        await asyncio.to_thread(self._stream.close)

    @property
    def reply(self) -> Reply:
        """The whole answer with its plan; raises InvalidInput before the stream is at its end."""
        return self._stream.reply


class AsyncWorld:
    """A world of ``what_if`` for asyncio: ``async with await mem.what_if(user_id="ana") as world``."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def at(self) -> datetime:
        """The moment that the store is seen at."""
        return self._world.at

    def bind(self, **identities: str | None) -> AsyncWorld:
        """A handle on the same store that carries these identities; it can only narrow further.

        ``role``, ``task``, ``purpose`` and ``model`` are the context that access policies may ask for.
        """
        return AsyncWorld(self._world.bind(**identities))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @staticmethod
    def _threaded(
        method: Callable[Concatenate[World, P], R],
    ) -> Callable[Concatenate[AsyncWorld, P], Coroutine[Any, Any, R]]:
        async def call(self: AsyncWorld, /, *args: P.args, **options: P.kwargs) -> R:
            return await asyncio.to_thread(method, self._world, *args, **options)

        call.__name__, call.__doc__ = method.__name__, method.__doc__
        return call

    add = _threaded(World.add)
    update = _threaded(World.update)
    append = _threaded(World.append)
    delete = _threaded(World.delete)
    search = _threaded(World.search)
    get = _threaded(World.get)
    list = _threaded(World.list)
    history = _threaded(World.history)
    diff = _threaded(World.diff)
    changes = _threaded(World.changes)
    put_blob = _threaded(World.put_blob)
    open_blob = _threaded(World.open_blob)
    close = _threaded(World.close)
