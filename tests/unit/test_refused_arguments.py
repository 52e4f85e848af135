"""Arguments that no call can be made with: each is refused by name, before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.errors import InvalidInput, RateLimited, StoreClosed, TextTooLong, UnknownField
from pymemos.interface.arguments import QUERY_LIMIT

NO_PATHS = [None, 5, True, [], b"x", "", "a\0b", "\ud800"]
OF_FILES: list[Callable[[MemOS, Any], object]] = [
    lambda mem, path: mem.backup(path),
    lambda mem, path: mem.erase_backup(path, user_id="ann"),
    lambda mem, path: mem.import_from(path, kind="markdown"),
    lambda mem, path: mem.write_adapter("an id", path),
]


@pytest.mark.parametrize("path", NO_PATHS)
@pytest.mark.parametrize("act", OF_FILES, ids=["backup", "erase_backup", "import_from", "write_adapter"])
def test_what_is_no_path_names_no_file(mem: MemOS, act: Callable[[MemOS, Any], object], path: Any) -> None:
    with pytest.raises(InvalidInput, match="pass"):
        act(mem, path)


@pytest.mark.parametrize("path", NO_PATHS[1:])  # None is the store of the settings
def test_what_is_no_path_names_no_store(path: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^home .*pass"):
        MemOS(path)


@pytest.mark.parametrize("key", ["x" * 32, b"x", b"", 5, bytearray(32)])
def test_an_instance_key_is_as_long_as_one_that_is_made(key: Any) -> None:
    with pytest.raises(InvalidInput, match="pass 32 random bytes"):
        MemOS(store=MemoryStore(), blobs=MemoryBlobs(), key=key)


@pytest.mark.parametrize("namespaces", [5, True, b"users/ann", [None]])
@pytest.mark.parametrize(
    "look", [lambda m, n: m.search("x", namespaces=n), lambda m, n: m.list(namespaces=n)], ids=["search", "list"]
)
def test_namespaces_are_names(mem: MemOS, look: Callable[..., object], namespaces: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^namespaces is .*pass"):
        look(mem, namespaces)


def test_namespaces_are_read_once(mem: MemOS) -> None:
    def named() -> Iterator[str]:
        yield "users/ann"

    mem.add("Milk.", user_id="ann")

    assert 1 == len(mem.list(namespaces=named()))  # type: ignore[arg-type]


@pytest.mark.parametrize("budget", ["800", [], nan, True])
def test_a_context_has_a_budget_that_can_be_kept(mem: MemOS, budget: Any) -> None:
    mem.add("Milk.")

    with pytest.raises(InvalidInput, match=r"max_tokens is .*pass a number"):
        mem.search("milk").context(max_tokens=budget)


def test_a_context_without_a_limit_may_say_so_by_a_number(mem: MemOS) -> None:
    mem.add("Milk.")
    hits = mem.search("milk")

    assert hits.context() == hits.context(max_tokens=inf)  # type: ignore[arg-type]


def test_a_turn_at_the_end_of_the_calendar_is_refused(mem: MemOS) -> None:
    with pytest.raises(InvalidInput, match="before the year 9999"):
        mem.tick(datetime.max.replace(tzinfo=UTC))
    assert not mem.tick(datetime(9998, 12, 31, tzinfo=UTC), limit=1).failed


def test_a_blob_is_not_written_after_the_end(mem: MemOS) -> None:
    mem.close()

    with pytest.raises(StoreClosed):
        mem.put_blob(b"late")


@pytest.mark.parametrize("name", ["user_id", "agent_id", "run_id", "session_id"])
def test_whose_memories_is_an_argument_and_no_filter(mem: MemOS, name: str) -> None:
    with pytest.raises(UnknownField, match=f"pass {name}=… beside the filter"):
        mem.search("x", filters={"AND": [{name: "ann"}, {"tags": "work"}]})


def test_a_query_is_shorter_than_a_text(mem: MemOS) -> None:
    page = "milk " * (QUERY_LIMIT // 5)
    mem.add("Milk.")

    assert 1 == len(mem.search(page[:QUERY_LIMIT]))
    with pytest.raises(TextTooLong, match="the limit is 32,000; ask with"):
        mem.search(page + "x")


def test_a_store_is_opened_by_a_path_as_well(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home") as mem:
        assert mem.backup(tmp_path / "copy.db") == mem.backup(str(tmp_path / "other.db")).with_name("copy.db")


@pytest.mark.parametrize("to", [5, [5], [], (), {}, "", None])
def test_a_sharing_says_with_whom(mem: MemOS, to: Any) -> None:
    mem.add("Milk.", user_id="ann")

    with pytest.raises(InvalidInput, match=r"pass|write"):
        mem.share(to=to, user_id="ann")
    assert 0 == len(mem.bind(user_id="bo").list(namespaces="*"))


DENY = {"effect": "deny", "actions": ["read"]}
OF_RULES: dict[str, tuple[Callable[[MemOS], object], str]] = {
    "nobody": (lambda mem: mem.withdraw_role("nurse", 5), "5 is no name; write users/NAME"),  # type: ignore[arg-type]
    "receipt": (lambda mem: mem.verify_receipt("x"), "receipt is 'x'; pass what erase"),  # type: ignore[arg-type]
    "note": (lambda mem: mem.set_access_policy("no", {**DENY, "note": 5}), "note is 5; pass text"),
    "note of a role": (lambda mem: mem.assign_role("nurse", "users/ann", note=5), "note is 5"),  # type: ignore[arg-type]
    "note of kinds": (lambda mem: mem.set_privacy_policy({"email": "tag"}, note=5), "note is 5"),  # type: ignore[arg-type]
    "kinds": (lambda mem: mem.set_access_policy("no", {"handling": {"email": "tag"}}), "with set_privacy_policy"),
    "role": (lambda mem: mem.set_access_policy("no", {"role": "nurse", "to": "users/ann"}), "with assign_role"),
}


@pytest.mark.parametrize(("act", "told"), OF_RULES.values(), ids=OF_RULES)
def test_a_rule_or_a_receipt_that_is_none_says_what_to_pass(
    mem: MemOS, act: Callable[[MemOS], object], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        act(mem)
    assert () == tuple(mem.access_policies())


def test_an_embedder_embeds() -> None:
    with pytest.raises(InvalidInput, match="embedder is 5; pass an embedder"):
        MemOS(store=MemoryStore(), blobs=MemoryBlobs(), embedder=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("look", ["search", "list"])
def test_a_world_shows_no_view(mem: MemOS, look: str) -> None:
    given = ["milk"] if look == "search" else []
    with (
        mem.what_if(user_id="ann") as world,
        pytest.raises(InvalidInput, match=f"a what-if knows no {look} through a view; ask the store itself"),
    ):
        getattr(world, look)(*given, view="shopping")


@pytest.mark.parametrize(("per_s", "wait"), [(60, "60 s"), (0.2, "1 s"), (600, "10 min"), (86_400, "24 h")])
def test_a_caller_is_told_how_long_to_wait(mem: MemOS, per_s: float, wait: str) -> None:
    mem.set_access_policy("slowly", {"effect": "limit", "rate": {"calls": 1, "per_s": per_s}}, namespace="*")
    ann = mem.bind(user_id="ann")
    ann.list()

    with pytest.raises(RateLimited, match=f"try again in {wait}$"):
        ann.list()
