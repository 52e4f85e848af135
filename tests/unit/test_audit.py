"""The audit chain: whoever changes the log without the key is found out."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos.cube.call import Caller
from pymemos.errors import StoreError
from pymemos.infrastructure.audit import first_broken, instance_key, key_id, sealed
from pymemos.ports import AuditRecord
from pymemos.testing.doubles import WHEN

KEY = b"k" * 32


def a_chain(length: int, key: bytes = KEY) -> list[AuditRecord]:
    chain: list[AuditRecord] = []
    for _ in range(length):
        bare = AuditRecord(
            n=0, at=WHEN, namespace="users/ann", caller=Caller(user="ann"), operation="add", allowed=True, rule="owner"
        )
        chain.append(sealed(bare, chain[-1] if chain else None, key))
    return chain


def test_a_chain_as_written_holds() -> None:
    assert first_broken(a_chain(5), KEY) is None


@given(place=st.integers(0, 4), change=st.sampled_from(["operation", "rule", "count", "memories", "mac", "namespace"]))
def test_any_change_of_any_entry_is_found_at_its_place(place: int, change: str) -> None:
    chain = a_chain(5)
    values = {"operation": "get", "rule": "none", "count": 9, "memories": ("m",), "mac": "0" * 32, "namespace": "x"}
    chain[place] = msgspec.structs.replace(chain[place], **{change: values[change]})

    assert first_broken(chain, KEY) == place + 1


@given(place=st.integers(0, 3))
def test_an_entry_that_was_taken_out_is_missed(place: int) -> None:
    chain = a_chain(5)
    del chain[place]

    assert first_broken(chain, KEY) == place + 1


def test_a_chain_under_another_key_does_not_hold() -> None:
    assert first_broken(a_chain(3, b"other"), KEY) == 1


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    key = instance_key(tmp_path / "keys", "store")

    assert instance_key(tmp_path / "keys", "store") == key
    assert (tmp_path / "keys" / "store.key").stat().st_mode & 0o777 == 0o600
    assert key.hex() not in key_id(key)


def test_a_damaged_key_is_no_reason_to_make_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "store.key").write_text("rubbish", "ascii")

    with pytest.raises(StoreError, match="restore it"):
        instance_key(tmp_path, "store")


@pytest.mark.parametrize("content", ["", "ab" * 31, "ab" * 33])
def test_a_key_that_is_not_whole_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "store.key").write_text(content, "ascii")

    with pytest.raises(StoreError, match="32"):
        instance_key(tmp_path, "store")
