"""Signatures: which instance vouches for a version of a memory, by Ed25519 over its id and hash (5.5.1, ADR 0032)."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pymemos.cube.wire import digest, encode

SUBJECT = "pymemos memory version"  # what is signed begins with it, so that a signature means nothing else


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature of one version; key and signature in hexadecimal.

    The version is the salted hash of everything that the memory declares, so that it stands for all of it.
    """

    version: str
    key: str  # the public key
    signature: str

    @property
    def fingerprint(self) -> str:
        """The short name of the key."""
        return fingerprint(bytes.fromhex(self.key))


class Role(StrEnum):
    """What a key is to this instance."""

    CURRENT = "current"  # signs now
    RETIRED = "retired"  # signed before; its private part is gone
    TRUSTED = "trusted"  # another instance's


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A public key with its name here."""

    public: str  # in hexadecimal
    role: Role
    name: str = ""

    @property
    def fingerprint(self) -> str:
        """Its short name, the same everywhere."""
        return fingerprint(bytes.fromhex(self.public))


def statement(id: str, version: str) -> bytes:
    """The bytes that are signed for a version of a memory."""
    return encode([SUBJECT, 1, id, version])


def fingerprint(public: bytes) -> str:
    """The short name of a public key."""
    return digest(b"pymemos public key", public, key=b"")[:16]
