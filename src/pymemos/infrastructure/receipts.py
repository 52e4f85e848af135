"""Receipts of erasures, signed with the instance key: whoever has the key can tell that one is as it was given."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pymemos.cube.erasure import Receipt
from pymemos.cube.wire import digest, encode
from pymemos.infrastructure.audit import key_id


def sealed(receipt: Receipt, key: bytes) -> Receipt:
    """``receipt`` with its signature."""
    bare = msgspec.structs.replace(receipt, key_id=key_id(key), mac="")
    return msgspec.structs.replace(bare, mac=digest(b"pymemos erasure receipt", encode(bare), key=key))


def holds(receipt: Receipt, keys: Mapping[str, bytes]) -> bool:
    """Whether a receipt is, to the byte, what was signed with one of ``keys`` (by their names)."""
    return receipt.key_id in keys and sealed(receipt, keys[receipt.key_id]) == receipt
