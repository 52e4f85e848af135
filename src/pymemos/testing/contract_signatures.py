"""Contract of the signatures that a store keeps with the versions of its memories."""

from __future__ import annotations

import pytest

from pymemos.cube.signature import Signature
from pymemos.errors import UnknownMemory
from pymemos.ports import Store
from pymemos.testing.acts import add
from pymemos.testing.builders import an_entry


def a_signature(version: str, key: str = "aa", signature: str = "00") -> Signature:
    """A signature that nobody made."""
    return Signature(version=version, key=key, signature=signature)


def _put(store: Store, id: str, *signatures: Signature) -> None:
    store.write(lambda unit: unit.put_signatures(id, signatures))


def _held(store: Store, id: str) -> list[Signature]:
    with store.read() as unit:
        return unit.signatures(id)


class SignaturesContract:
    """What ``put_signatures`` and ``signatures`` do."""

    def test_signatures_come_back_by_version_and_key(self, store: Store) -> None:
        entry = an_entry("Lisbon")
        add(store, entry)

        _put(store, entry.cube.id, a_signature("b"), a_signature("a", key="bb"), a_signature("a"))

        held = [(one.version, one.key) for one in _held(store, entry.cube.id)]
        assert held == [("a", "aa"), ("a", "bb"), ("b", "aa")]

    def test_one_that_is_there_stays(self, store: Store) -> None:
        entry = an_entry("Lisbon")
        add(store, entry)
        _put(store, entry.cube.id, a_signature("a", signature="01"))

        _put(store, entry.cube.id, a_signature("a", signature="02"))

        assert [a_signature("a", signature="01")] == _held(store, entry.cube.id)

    def test_each_memory_has_its_own(self, store: Store) -> None:
        signed, other = an_entry("Lisbon"), an_entry("Porto")
        add(store, signed, other)

        _put(store, signed.cube.id, a_signature("a"))

        assert _held(store, other.cube.id) == []

    def test_a_memory_that_is_unknown_has_none_and_takes_none(self, store: Store) -> None:
        assert _held(store, "nobody") == []
        with pytest.raises(UnknownMemory):
            _put(store, "nobody", a_signature("a"))
