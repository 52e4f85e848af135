"""Streams of answers that threads and tasks share: cancelled, closed by others, and left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from pymemos import AsyncMemOS, MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.ports import Piece
from pymemos.testing.scripted import ScriptedChat


class HeldChat(ScriptedChat):
    """A model that waits in the middle of its second word until a test lets it go on, and notes that it was closed."""

    def __init__(self) -> None:
        super().__init__(lambda _: "one two three")
        self.waits, self.go_on, self.closed = threading.Event(), threading.Event(), threading.Event()

    def stream(self, *given) -> Iterator[Piece]:
        try:
            for place, piece in enumerate(super().stream(*given)):
                if place == 1:
                    self.waits.set()
                    assert self.go_on.wait(10)
                yield piece
        finally:
            self.closed.set()


@pytest.fixture
def model() -> Iterator[HeldChat]:
    made = HeldChat()
    yield made
    made.go_on.set()


@pytest.fixture
def options(model):
    return {"store": MemoryStore(), "blobs": MemoryBlobs(), "key": bytes(32), "embedder": "none", "chat": model}


def test_a_task_that_is_cancelled_while_it_reads_may_close_the_stream(model, options):
    async def cancelled() -> None:
        async with AsyncMemOS(**options) as mem:
            stream = await mem.chat("Well?", stream=True)

            async def read() -> None:
                try:
                    async for _ in stream:
                        pass
                finally:
                    await stream.close()

            task = asyncio.create_task(read())
            await asyncio.to_thread(model.waits.wait, 10)
            task.cancel()
            await asyncio.sleep(0.05)
            model.go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert model.closed.is_set()
            assert len(await mem.list()) == 0

    asyncio.run(cancelled())


def test_whoever_leaves_an_async_with_keeps_nothing(model, options):
    async def left() -> None:
        async with AsyncMemOS(**options) as mem:
            async with await mem.chat("Well?", stream=True) as stream:
                assert await anext(stream) == "one"
            assert model.closed.is_set()
            assert len(await mem.list()) == 0

    asyncio.run(left())


def test_closing_waits_for_the_piece_that_another_thread_reads(model, options):
    with MemOS(**options) as mem:
        stream, pieces = mem.chat("Well?", stream=True), []
        reader = threading.Thread(target=lambda: pieces.extend(stream))
        reader.start()
        assert model.waits.wait(10)
        closer = threading.Thread(target=stream.close)
        closer.start()
        model.go_on.set()
        for thread in (reader, closer):
            thread.join(10)

        assert model.closed.is_set()
        assert pieces[:1] == ["one"]
