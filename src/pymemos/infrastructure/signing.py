"""Signing: Ed25519 through the cryptography library, which the extra ``crypto`` brings (ADR 0032)."""

from __future__ import annotations

import importlib
from types import ModuleType

from pymemos.errors import MissingExtra

KEY_BYTES, SIGNATURE_BYTES = 32, 64


def new_key() -> bytes:
    """A private key."""
    made: bytes = _ed25519().Ed25519PrivateKey.generate().private_bytes_raw()
    return made


def public_of(private: bytes) -> bytes:
    """The public key of a private one."""
    public: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return public


def sign(private: bytes, message: bytes) -> bytes:
    """The signature of a message."""
    signed: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(private).sign(message)
    return signed


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of a key signed exactly this message."""
    library = _ed25519()
    invalid: type[Exception] = importlib.import_module("cryptography.exceptions").InvalidSignature
    try:
        library.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (invalid, ValueError):
        return False
    return True


def _ed25519() -> ModuleType:
    """The library, loaded when it is first needed."""
    try:
        return importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    except ImportError as error:
        raise MissingExtra("signatures need the cryptography library: pip install 'pymemos[crypto]'") from error
