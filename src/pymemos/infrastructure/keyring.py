"""The key ring: the keys of this instance and those that it trusts, in the configuration folder (ADR 0032)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from pymemos.cube.signature import Key, Role, Signature, statement
from pymemos.errors import InvalidInput, StoreError, StoreReadOnly
from pymemos.infrastructure import signing
from pymemos.infrastructure.audit import sync_folder

RING = "ring.json"
PRIVATE = ".key"  # behind the fingerprint: the one key that signs


class KeyRing:
    """Signs for this instance, and says whose signature one is.

    The private key lies in a file of its own, mode 0600, beside the instance keys and outside every store. The ring is
    replaced whole, so that a crash leaves the one before.
    """

    def __init__(self, folder: Path, *, new_key: Callable[[], bytes] = signing.new_key) -> None:
        self._folder = folder
        self._new_key = new_key

    def all(self) -> list[Key]:
        """Every key, the current one first."""
        return sorted(self._read(), key=lambda key: (list(Role).index(key.role), key.name, key.public))

    def current(self) -> Key | None:
        """The key that signs now, if there is one yet."""
        return next((key for key in self._read() if key.role is Role.CURRENT), None)

    def rotate(self) -> Key:
        """Make a new key; what the one before signed is known to be this instance's for good."""
        private = self._new_key()
        made = Key(public=signing.public_of(private).hex(), role=Role.CURRENT)
        old = self.current()
        self._write_private(made, private)
        retired = [msgspec.structs.replace(k, role=Role.RETIRED) if k.role is Role.CURRENT else k for k in self._read()]
        self._write([*retired, made])
        if old is not None:
            self._path(old).unlink(missing_ok=True)
        return made

    def trust(self, public: str, name: str) -> Key:
        """Know another instance by a name."""
        key = Key(public=check_public(public), role=Role.TRUSTED, name=name)
        held = self._read()
        if any(one.public == key.public and one.role is not Role.TRUSTED for one in held):
            raise InvalidInput(f"the key {key.fingerprint} is this instance's own")
        self._write([*(one for one in held if one.public != key.public), key])
        return key

    def distrust(self, name: str) -> Key:
        """Know an instance no more, by its name or fingerprint."""
        held = self._read()
        found = [key for key in held if key.role is Role.TRUSTED and name in (key.name, key.fingerprint)]
        if not found:
            raise InvalidInput(f"no trusted key has the name {name!r}; 'pymemos keys list' shows which there are")
        self._write([key for key in held if key not in found])
        return found[0]

    def sign(self, id: str, versions: Iterable[str], held: Iterable[Signature]) -> list[Signature]:
        """Signatures of those versions of a memory that this instance has not signed; may make the first key."""
        own = {key.public for key in self._read() if key.role is not Role.TRUSTED}
        done = {one.version for one in held if one.key in own}
        versions = [version for version in versions if version not in done]
        if not versions:
            return []
        key = self.current() or self.rotate()
        private = self._read_private(key)
        made = [(version, signing.sign(private, statement(id, version))) for version in versions]
        return [Signature(version=version, key=key.public, signature=signed.hex()) for version, signed in made]

    def owner(self, signature: Signature) -> str:
        """Whose a signature is: "this instance", a trusted name, or "unknown"."""
        key = next((key for key in self._read() if key.public == signature.key), None)
        if key is None:
            return "unknown"
        return key.name if key.role is Role.TRUSTED else "this instance"

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key.fingerprint}{PRIVATE}"

    def _read(self) -> list[Key]:
        path = self._folder / RING
        if not path.exists():
            return []
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[Key])
        except (msgspec.DecodeError, OSError) as error:
            raise StoreError(f"the key ring {path} cannot be read ({error}); restore it from a backup") from error

    def _read_private(self, key: Key) -> bytes:
        path = self._path(key)
        try:
            private = bytes.fromhex(path.read_text("ascii"))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the private key {path} cannot be read ({error}); restore it, or make a new one: 'pymemos keys rotate'"
            ) from error
        if len(private) != signing.KEY_BYTES or signing.public_of(private).hex() != key.public:
            raise StoreError(f"{path} is not the private key of {key.fingerprint}; restore it, or rotate")
        return private

    def _write_private(self, key: Key, private: bytes) -> None:
        self._replace(self._path(key), private.hex().encode())

    def _write(self, keys: list[Key]) -> None:
        self._replace(self._folder / RING, msgspec.json.format(msgspec.json.encode(keys)))

    def _replace(self, path: Path, content: bytes) -> None:
        """Write a file that is whole from the moment it has its name, for its owner's eyes alone."""
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            sync_folder(self._folder)
        except OSError as error:
            raise StoreReadOnly(
                f"keys cannot be kept in {self._folder} ({error.strerror}); set PYMEMOS_CONFIG_DIR to a folder that "
                "can be written"
            ) from error


def check_public(text: str) -> str:
    """A public key in hexadecimal."""
    try:
        raw = bytes.fromhex(text)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{text!r} is no public key; pass the 64 digits that 'pymemos keys list' prints") from error
    if len(raw) != signing.KEY_BYTES:
        raise InvalidInput(f"a public key has 64 hexadecimal digits, not {len(text)}")
    return raw.hex()


def holds(id: str, signature: Signature) -> bool:
    """Whether a signature is of this version of this memory."""
    try:
        key, signed = bytes.fromhex(signature.key), bytes.fromhex(signature.signature)
    except ValueError:
        return False
    return signing.verify(key, statement(id, signature.version), signed)
