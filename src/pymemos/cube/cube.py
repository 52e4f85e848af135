"""MemCube: one immutable version of one memory, of any kind (4.2)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from pymemos.cube.header import (
    MANIFESTS,
    Behaviour,
    Descriptive,
    Extensible,
    Governance,
    Header,
    SemanticType,
    Stage,
    State,
)
from pymemos.cube.payload import Payload, Plaintext


class Parent(Extensible, frozen=True):
    """A source of a derived memory, pinned to the content that was read: another hash makes the derivative stale."""

    id: str
    version: str
    content_hash: str


class Standing(StrEnum):
    """How a source stands to what was made from it; all but ``same`` make the derivative stale."""

    SAME = "same"
    CHANGED = "changed"  # it says something else now
    ENDED = "ended"  # it no longer holds: over, or expired
    DELETED = "deleted"
    STALE = "stale"  # it is itself made from something that is no longer the same
    UNKNOWN = "unknown"  # not here, erased, or not for the caller to know: which of these is not told


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a memory, and how it stands now."""

    id: str
    standing: Standing

    def __str__(self) -> str:
        return f"{self.id} {'is ' if self.standing is Standing.UNKNOWN else ''}{self.standing}"


class MemCube(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One version of one memory.

    ``id`` is the memory's provenance id for life (a UUIDv7); ``revision`` counts its versions from 1. ``version`` is
    the salted hash of everything declared, ``content_hash`` of the payload and what is rendered with it, so that a tag
    or an access rule does not make derived memories stale. ``previous`` chains the versions. ``stale`` names the
    sources that no longer stand for it, as whoever read it found them: it is no part of a version, nothing is stored of
    it, and what was read as history was not looked at.
    """

    id: str
    header: Header
    payload: Payload
    version: str
    content_hash: str
    salt: bytes
    revision: int = 1
    previous: str | None = None
    parents: tuple[Parent, ...] = ()
    stale: tuple[Source, ...] = ()
    extra: dict[str, Any] = {}

    @staticmethod
    def make(
        *,
        id: str,
        salt: bytes,
        descriptive: Descriptive,
        governance: Governance,
        payload: Payload,
        parents: tuple[Parent, ...] = (),
        revision: int = 1,
        previous: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> MemCube:
        """Seal the declared parts into a cube: computes ``version`` and ``content_hash``."""
        from pymemos.cube.wire import Document, seal

        declared = Document(
            id=id,
            descriptive=descriptive,
            governance=governance,
            payload=payload,
            parents=parents,
            revision=revision,
            previous=previous,
        )
        return seal(declared, salt, extra)[0]

    def derive(
        self,
        *,
        descriptive: Descriptive | None = None,
        governance: Governance | None = None,
        payload: Payload | None = None,
        parents: tuple[Parent, ...] | None = None,
    ) -> MemCube:
        """The next version of this memory, with the parts that are given replaced."""
        cube = self.make(
            id=self.id,
            salt=self.salt,
            descriptive=descriptive or self.header.descriptive,
            governance=governance or self.header.governance,
            payload=payload or self.payload,
            parents=self.parents if parents is None else parents,
            revision=self.revision + 1,
            previous=self.version,
            extra=self.extra,
        )
        return cube.observed(self.header.behaviour)

    def observed(self, behaviour: Behaviour) -> MemCube:
        """The same version with what the system observed; its hashes do not change."""
        header = Header(descriptive=self.header.descriptive, governance=self.header.governance, behaviour=behaviour)
        return msgspec.structs.replace(self, header=header)

    @property
    def text(self) -> str:
        """The content of a plaintext memory; the empty string for tensors."""
        return self.payload.content if isinstance(self.payload, Plaintext) else ""

    @property
    def namespace(self) -> str:
        """The namespace that the memory lives in."""
        return self.header.governance.namespace

    @property
    def is_episode(self) -> bool:
        """Whether this is the manifest of an episode and not a memory of its own."""
        return self.header.descriptive.semantic_type is SemanticType.EPISODE

    @property
    def is_view(self) -> bool:
        """Whether this names memories that are searched and listed as one."""
        return self.header.descriptive.semantic_type is SemanticType.VIEW

    @property
    def is_manifest(self) -> bool:
        """Whether this names other memories and says nothing itself, as episodes and views do."""
        return self.header.descriptive.semantic_type in MANIFESTS

    @property
    def expires(self) -> datetime | None:
        """When this version expires; None when it never does, as while it is frozen (ADR 0006)."""
        rules = self.header.governance
        return None if rules.frozen else rules.lifespan.ends(self.header.descriptive.created)

    def stage_at(self, moment: datetime) -> Stage:
        """Where the memory stands at ``moment``: expiry holds from its instant on, whether or not a sweep has come."""
        if self.header.governance.frozen:
            return Stage.FROZEN
        state, end = self.header.behaviour.state, self.expires
        over = state is State.EXPIRED or (end is not None and end <= moment)
        return Stage.EXPIRED if over else Stage(state.value)

    def pin(self) -> Parent:
        """This version as the parent of a memory that is derived from it."""
        return Parent(id=self.id, version=self.version, content_hash=self.content_hash)

    def __repr__(self) -> str:  # the salt stays out of logs
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "…"
        return f"MemCube({self.id!r}, revision={self.revision}, {type(self.payload).__name__.lower()} {shown!r})"
