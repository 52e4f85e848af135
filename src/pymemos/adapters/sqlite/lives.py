"""What a sweep reads of a memory: the few fields of a stored document that it needs, and nothing else of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from pymemos.cube.filters import from_microseconds
from pymemos.cube.header import MANIFESTS, Lifespan, Priority, SemanticType, State
from pymemos.cube.life import LifeFacts


class _Lifespan(msgspec.Struct, gc=False):
    expires: datetime | None = None
    ttl_s: float | None = None
    half_life_s: float | None = None


class _Descriptive(msgspec.Struct, gc=False):
    created: datetime
    updated: datetime
    semantic_type: str = SemanticType.MESSAGE.value


class _Governance(msgspec.Struct, gc=False):
    lifespan: _Lifespan | None = None
    priority: Priority = Priority.MID
    frozen: bool = False


class _Payload(msgspec.Struct, gc=False):
    size: int = 0


class _Document(msgspec.Struct, gc=False):
    descriptive: _Descriptive
    governance: _Governance
    payload: _Payload


_DOCUMENT = msgspec.json.Decoder(_Document)
_FOR_GOOD = Lifespan()


def facts_of(row: tuple[Any, ...]) -> LifeFacts:
    """The facts of one row of the query ``lives``."""
    id, namespace, revision, state, uses, last_used, heat, document, size = row
    told = _DOCUMENT.decode(document)
    said, rules, span = told.descriptive, told.governance, told.governance.lifespan
    return LifeFacts(
        id=id,
        namespace=namespace,
        revision=revision,
        state=State.GENERATED if state is None else State(state),
        uses=uses or 0,
        last_used=None if last_used is None else from_microseconds(last_used),
        heat=heat or 0.0,
        created=said.created,
        updated=said.updated,
        lifespan=_FOR_GOOD if span is None else _lifespan(span),
        priority=rules.priority,
        frozen=rules.frozen,
        episode=said.semantic_type in MANIFESTS,
        bytes=size + told.payload.size,
    )


def _lifespan(span: _Lifespan) -> Lifespan:
    return Lifespan(expires=span.expires, ttl_s=span.ttl_s, half_life_s=span.half_life_s)
