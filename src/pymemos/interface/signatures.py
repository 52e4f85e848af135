"""Signatures behind the door: made, read and judged; and the keys of the instance (5.5.1, ADR 0032)."""

from __future__ import annotations

from typing import Any

import msgspec

from pymemos.cube.call import Request
from pymemos.cube.signature import Key
from pymemos.cube.wire import hashes
from pymemos.infrastructure import keyring
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.transfer import OnStore
from pymemos.interface.versions import OnMemory, shown_versions
from pymemos.ports import ReadUnit, Record


class Sign(Request, frozen=True, kw_only=True, tag="sign"):
    """Sign every version of a memory that this instance has not signed yet."""

    id: str


class ReadSignatures(Request, frozen=True, kw_only=True, tag="signatures"):
    """Read who signed which versions of a memory, and whether that still holds."""

    id: str


class ListKeys(Request, frozen=True, kw_only=True, tag="keys"):
    """Read the keys of this instance, and those that it trusts."""


class RotateKey(Request, frozen=True, kw_only=True, tag="rotate_key"):
    """Make a new key to sign with."""


class TrustKey(Request, frozen=True, kw_only=True, tag="trust_key"):
    """Know another instance by a name."""

    public: str
    name: str


class DistrustKey(Request, frozen=True, kw_only=True, tag="distrust_key"):
    """Know it no more."""

    name: str


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A signature as it stands: of which revision, whose it is, and whether the version is what was signed."""

    revision: int
    version: str
    key: str  # its fingerprint
    by: str  # "this instance", the name of a trusted one, or "unknown"
    holds: bool

    def __str__(self) -> str:
        state = "holds" if self.holds else "does NOT hold: the version is not what was signed"
        return f"revision {self.revision}: signed by {self.by} (key {self.key}), {state}"


class SignHandler(OnMemory):
    """What was signed stays signed: a signature is of a version, which never changes."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        id = work.call.request.id  # type: ignore[attr-defined]
        records = shown_versions(work, id)
        made = work.tools.keys.sign(id, [record.cube.version for record in records], work.unit.signatures(id))
        work.unit.put_signatures(id, made)
        return Outcome(result=_judged(work, work.unit, records), memories=(id,))


class ReadSignaturesHandler(OnMemory):
    """Judged anew at every look: the document against its hash, the hash against the signature."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        id = work.call.request.id  # type: ignore[attr-defined]
        return Outcome(result=_judged(work, work.unit, shown_versions(work, id)), memories=(id,))


class ListKeysHandler(OnStore):
    """Public parts alone."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=tuple(work.tools.keys.all()))


class RotateKeyHandler(OnStore):
    """The steward's."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=work.tools.keys.rotate())


class TrustKeyHandler(OnStore):
    """The steward's."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: TrustKey = work.call.request  # type: ignore[assignment]
        return Outcome(result=work.tools.keys.trust(request.public, request.name))


class DistrustKeyHandler(OnStore):
    """The steward's."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: DistrustKey = work.call.request  # type: ignore[assignment]
        found: Key = work.tools.keys.distrust(request.name)
        return Outcome(result=found)


def _judged(work: Work, unit: ReadUnit, records: list[Record]) -> tuple[Signed, ...]:
    by_version = {record.cube.version: record.cube for record in records}
    found = []
    for one in unit.signatures(records[-1].cube.id) if records else ():
        cube = by_version.get(one.version)
        if cube is not None:
            whole = hashes(cube)[0] == one.version and keyring.holds(cube.id, one)
            by = work.tools.keys.owner(one) if whole else "nobody"
            found.append(Signed(revision=cube.revision, version=one.version, key=one.fingerprint, by=by, holds=whole))
    return tuple(sorted(found, key=lambda one: (one.revision, one.key)))


HANDLERS: dict[type[Request], Handler] = {
    Sign: SignHandler(),
    ReadSignatures: ReadSignaturesHandler(),
    ListKeys: ListKeysHandler(),
    RotateKey: RotateKeyHandler(),
    TrustKey: TrustKeyHandler(),
    DistrustKey: DistrustKeyHandler(),
}
