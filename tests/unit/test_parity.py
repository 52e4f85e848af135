"""AsyncMemOS is MemOS with await: the same methods, the same arguments, the same results."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pymemos import AsyncMemOS, MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.async_system import AsyncWorld
from pymemos.facade.what_if import World
from pymemos.testing.doubles import FrozenClock, SequentialIds

KEY = bytes(32)
SYNC_ONLY = {"export_lines", "audit_export"}  # iterators: asyncio.to_thread over their pages is the caller's own loop
WITHOUT_AWAIT = {"bind"}  # touches nothing


def public(cls: type) -> set[str]:
    return {name for name, value in inspect.getmembers(cls, callable) if not name.startswith("_")}


def test_both_have_the_same_public_methods() -> None:
    assert public(MemOS) - SYNC_ONLY == public(AsyncMemOS) - SYNC_ONLY


@pytest.mark.parametrize("name", sorted(public(MemOS) - SYNC_ONLY))
def test_a_method_is_awaited_and_says_the_same_of_itself(name: str) -> None:
    sync, other = getattr(MemOS, name), getattr(AsyncMemOS, name)

    assert inspect.iscoroutinefunction(other) == (name not in WITHOUT_AWAIT)
    assert inspect.getdoc(other) == inspect.getdoc(sync)
    assert parameters(other) == parameters(sync) or passes_everything_on(other)


def test_a_world_has_the_same_methods_for_both() -> None:
    assert public(World) == public(AsyncWorld)


@pytest.mark.parametrize("name", sorted(public(World)))
def test_a_method_of_a_world_is_awaited_too(name: str) -> None:
    sync, other = getattr(World, name), getattr(AsyncWorld, name)

    assert inspect.iscoroutinefunction(other) == (name not in WITHOUT_AWAIT)
    assert inspect.getdoc(other) == inspect.getdoc(sync)


def test_a_world_is_opened_and_left_with_await() -> None:
    async def imagine() -> tuple[list[str], int]:
        async with AsyncMemOS(store=MemoryStore(), key=KEY, embedder="none") as mem:
            await mem.add("Ana lives in Lisbon.", user_id="ana")
            async with await mem.what_if(user_id="ana") as world:
                await world.add("Ana moved to Porto.")
                return [cube.text for cube in await world.list()], len((await mem.list(user_id="ana")).cubes)

    assert asyncio.run(imagine()) == (["Ana lives in Lisbon.", "Ana moved to Porto."], 1)


def parameters(method: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    given = list(inspect.signature(method).parameters.values())[1:]
    return [(one.name, one.kind, one.default) for one in given]


def passes_everything_on(method: Callable[..., Any]) -> bool:
    """Whether it takes any arguments and hands them to the method of MemOS, whose types it has for a checker."""
    kinds = {one.kind for one in list(inspect.signature(method).parameters.values())[1:]}
    return kinds <= {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} and bool(kinds)


Step = Callable[[Any, list[Any]], Any]
STEPS: list[Step] = [  # each is given the results so far
    lambda mem, _: mem.add("Ana lives in Lisbon.", user_id="ana", tags=["home"]),
    lambda mem, _: mem.add([{"role": "user", "content": "I like tea."}, {"role": "user", "content": "And coffee."}]),
    lambda mem, so_far: mem.update(so_far[0].ids[0], "Ana lives in Porto.", expected=1),
    lambda mem, so_far: mem.append(so_far[0].ids[0], "She likes it."),
    lambda mem, so_far: mem.get(so_far[0].ids[0]),
    lambda mem, _: mem.search("Porto", user_id="ana"),
    lambda mem, _: mem.list(limit=2),
    lambda mem, so_far: mem.history(so_far[0].ids[0]),
    lambda mem, so_far: mem.diff(so_far[0].ids[0], 1, 3),
    lambda mem, so_far: mem.delete(so_far[1].ids[0]),
    lambda mem, _: mem.enqueue("note", {"n": 1}),
    lambda mem, _: mem.jobs(),
    lambda mem, so_far: mem.control_job(so_far[10], "cancel"),
    lambda mem, _: mem.next_due(),
    lambda mem, _: mem.tick(),
    lambda mem, _: mem.put_blob(b"tensor"),
    lambda mem, _: mem.log(operation="update"),
    lambda mem, _: mem.doctor(),
    lambda mem, so_far: mem.bind(user_id="ana").get(so_far[0].ids[0]),
    lambda mem, so_far: mem.fuse([so_far[0].ids[0], so_far[1].ids[1]]),
    lambda mem, so_far: mem.merge(so_far[0].ids[0], [so_far[1].ids[1]], conflict="keep_all"),
    lambda mem, so_far: mem.undo(so_far[0].ids[0]),
    lambda mem, so_far: mem.compose("v", namespaces=["users/ana", "default"]),
    lambda mem, so_far: mem.search("coffee", view="v"),
]


def test_one_story_has_the_same_results(tmp_path: Path) -> None:
    with MemOS(tmp_path, **doubles()) as mem:
        told: list[Any] = []
        for step in STEPS:
            told.append(step(mem, told))

    async def tell() -> list[Any]:
        async with AsyncMemOS(tmp_path, **doubles()) as other:
            heard: list[Any] = []
            for step in STEPS:
                heard.append(await typing.cast(Any, step(other, heard)))
            return heard

    heard = asyncio.run(tell())

    assert [plain(one) for one in heard] == [plain(one) for one in told]


def doubles() -> dict[str, Any]:
    return {
        "store": MemoryStore(),
        "blobs": MemoryBlobs(),
        "clock": FrozenClock(),
        "new_id": SequentialIds(),
        "key": KEY,
    }


def plain(result: Any) -> Any:
    """A result without what is drawn at random in each store: salts, and the hashes that they go into."""
    dropped = {"salt", "version", "content_hash", "previous", "mac"}
    if isinstance(result, dict):
        return {name: plain(value) for name, value in result.items() if name not in dropped}
    if isinstance(result, msgspec.Struct):
        return plain(msgspec.to_builtins(result))
    if isinstance(result, Iterable) and not isinstance(result, str | bytes):
        return [plain(value) for value in result]
    return result
