"""Arguments on adapters that no call can be made with, and folders that cannot be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.adapter_kit import WHO, distilled, opened, told

from pymemos import MemOS
from pymemos.errors import InvalidInput, StoreError
from pymemos.facade.folders import write_folder

QUESTION = "What is the capital of Zorvania?"
REFUSED: list[tuple[str, Callable[[MemOS], object]]] = [
    ("tokens", lambda mem: mem.attach(QUESTION, tokens=5, **WHO)),  # type: ignore[arg-type]
    ("tokens", lambda mem: mem.attach(QUESTION, tokens="What", **WHO)),  # type: ignore[arg-type]
    ("tokens", lambda mem: mem.attach(QUESTION, tokens=[True], **WHO)),
    ("hits", lambda mem: mem.attach(QUESTION, hits=5, **WHO)),  # type: ignore[arg-type]
    ("hits", lambda mem: mem.attach(QUESTION, hits="an id", **WHO)),
    ("hits", lambda mem: mem.attach(QUESTION, hits=[[1]], **WHO)),  # type: ignore[list-item]
    ("adapters", lambda mem: mem.distil(adapters=5, **WHO)),  # type: ignore[arg-type]
    ("adapters", lambda mem: mem.distil(["a"], adapters="an id", **WHO)),
]


@pytest.fixture
def mem(tmp_path: Path) -> Iterator[MemOS]:
    with opened(tmp_path / "home") as mem:
        yield mem


@pytest.mark.parametrize(("name", "act"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_used_is_named(mem: MemOS, name: str, act: Callable[[MemOS], object]) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}.*pass"):
        act(mem)


def test_an_adapter_is_written_as_a_new_folder_alone(mem: MemOS, tmp_path: Path) -> None:
    adapter = distilled(mem, *told(mem))
    target = tmp_path / "out" / "lora"

    assert mem.write_adapter(adapter, target, **WHO) == target
    assert {"manifest.json"} < {file.name for file in target.iterdir()}
    with pytest.raises(InvalidInput, match="exists; name a new folder"):
        mem.write_adapter(adapter, target, **WHO)


def test_of_a_folder_that_cannot_be_written_nothing_is_left(tmp_path: Path) -> None:
    too_long = "x" * 300
    with pytest.raises(StoreError, match="cannot be written"):
        write_folder(tmp_path / "lora", {"first": b"1", too_long: b"2"})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="name another folder"):
        write_folder(tmp_path / "file" / "lora", {"first": b"1"})

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
