"""Idempotency keys when the instance key is another one: what cannot be compared is void, and no error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.errors import KeyReused
from pymemos.interface.requests import Added
from pymemos.testing.doubles import FrozenClock

OURS, OTHER = bytes(32), bytes(31) + b"1"


class Lasting(MemoryStore):
    """A store that outlives those who opened it."""

    def close(self) -> None:
        pass


@pytest.fixture
def store() -> MemoryStore:
    return Lasting()


@pytest.fixture
def add(store: MemoryStore) -> Callable[..., Added]:
    """Adds to the store as the instance whose key is given."""

    def carry_out(key: bytes, text: str = "Milk.") -> Added:
        with MemOS(store=store, blobs=MemoryBlobs(), clock=FrozenClock(), key=key) as mem:
            return mem.add(text, idempotency_key="k")

    return carry_out


def test_a_key_from_before_another_instance_key_is_void(add: Callable[..., Added]) -> None:
    first, again = add(OURS), add(OTHER)

    assert not again.replayed
    assert first.ids != again.ids


def test_from_then_on_it_is_remembered_under_the_new_one(add: Callable[..., Added]) -> None:
    add(OURS)
    first, again = add(OTHER), add(OTHER)

    assert (True, first.ids) == (again.replayed, again.ids)
    with pytest.raises(KeyReused):
        add(OTHER, "Bread.")


def test_one_that_was_remembered_without_the_id_of_the_instance_key_holds(
    add: Callable[..., Added], store: MemoryStore
) -> None:
    first = add(OURS)
    with store.read() as unit:
        kept = unit.replayed("steward(default)", "k")
    assert kept is not None
    _, _, digest = kept.digest.partition(":")
    store.write(lambda unit: unit.remember("steward(default)", "k", replace(kept, digest=digest)))

    assert first.ids == add(OURS).ids
    with pytest.raises(KeyReused):
        add(OURS, "Bread.")
