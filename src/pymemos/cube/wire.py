"""The wire form of a MemCube: canonical bytes, hashes, and records that go out and come back unchanged.

Canonical bytes are JSON in UTF-8 without white space, names sorted, a field at its default left out. Fields that a
newer writer added are kept in place, so that reading and writing back changes no byte.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.header import (
    Access,
    Behaviour,
    Descriptive,
    Extensible,
    Governance,
    Header,
    Lifespan,
    Provenance,
    Transformed,
)
from pymemos.cube.payload import Activation, ModelRef, Parametric, Payload, Plaintext
from pymemos.errors import InvalidInput, MalformedRecord, NewerFormat

FORMAT = 1  # raised when an older reader could misread what is written
HASH_BYTES = 16  # 128 bits, salted: enough against collisions that nobody can search for offline

_ENCODER = msgspec.json.Encoder(order="sorted")
_PAYLOADS: dict[str, type[Plaintext] | type[Activation] | type[Parametric]] = {
    "plaintext": Plaintext,
    "activation": Activation,
    "parametric": Parametric,
}
_NESTED: dict[type, dict[str, type[Extensible]]] = {
    Descriptive: {"provenance": Provenance},
    Provenance: {"transformed": Transformed},
    Governance: {"access": Access, "lifespan": Lifespan},
    Activation: {"model": ModelRef},
    Parametric: {"model": ModelRef},
}
_OWN_NAMES = frozenset({"metadata", "measured"})
_NOTHING = Plaintext(content="")
_Group = TypeVar("_Group", bound=Extensible)


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything declared of one version: what ``version`` is the hash of."""

    id: str
    descriptive: Descriptive
    governance: Governance
    payload: Payload
    parents: tuple[Parent, ...] = ()
    revision: int = 1
    previous: str | None = None


class _Scalars(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a document that are no groups."""

    id: str
    revision: int = 1
    previous: str | None = None


_DECODER = msgspec.json.Decoder(Document)


def seal(declared: Document, salt: bytes, extra: dict[str, Any] | None = None) -> tuple[MemCube, bytes]:
    """The cube that declares this, with its hashes, and the canonical bytes that ``version`` is the hash of.

    The hashes are salted, so that they confirm no guess of the content. Raises InvalidInput where a tensor's payload
    could not be read back: one memory that nobody can read closes its whole namespace. Texts are checked as they come.
    """
    if not isinstance(declared.payload, Plaintext):
        _check_readable(declared.payload)
    raw = _canonical(declared, extra or {})
    version, content_hash = _digest(salt, raw), _digest(salt, _rendered(declared))
    return _cube(declared, salt, version, content_hash, extra or {}), raw


class Frame:
    """The groups that the documents of several new memories share, encoded once.

    What is sealed in a frame has the same bytes as by ``seal``: the canonical form is spliced from its own parts.
    """

    def __init__(self, descriptive: Descriptive, governance: Governance) -> None:
        self._header = Header(descriptive=descriptive, governance=governance)
        said, when = _ENCODER.encode(descriptive.speaker), _ENCODER.encode(descriptive.event_time)
        groups = _ENCODER.encode(descriptive), _ENCODER.encode(governance)
        self._head = b'{"descriptive":%b,"governance":%b,"id":' % groups
        self._tail = b",%b,%b]" % (said, when)
        self._extended = _is_extended(Document(id="", descriptive=descriptive, governance=governance, payload=_NOTHING))

    def seal(self, id: str, payload: Plaintext, salt: bytes) -> tuple[MemCube, bytes]:
        """The first version of a memory, and its canonical bytes."""
        if self._extended or payload.extra:
            said, rules = self._header.descriptive, self._header.governance
            return seal(Document(id=id, descriptive=said, governance=rules, payload=payload), salt)
        body = _ENCODER.encode(payload)
        raw = b'%b%b,"payload":%b}' % (self._head, _ENCODER.encode(id), body)
        version, content_hash = _digest(salt, raw), _digest(salt, b"[%b%b" % (body, self._tail))
        cube = MemCube(
            id=id, header=self._header, payload=payload, version=version, content_hash=content_hash, salt=salt
        )
        return cube, raw


def document(cube: MemCube) -> bytes:
    """The canonical bytes of everything declared of ``cube``."""
    return _canonical(_declared(cube), cube.extra)


def hashes(cube: MemCube) -> tuple[str, str]:
    """``version`` and ``content_hash`` as they must be for what ``cube`` declares."""
    declared = _declared(cube)
    return _digest(cube.salt, _canonical(declared, cube.extra)), _digest(cube.salt, _rendered(declared))


def parse_document(raw: bytes | str, *, salt: bytes, version: str = "", content_hash: str = "") -> MemCube:
    """The cube that ``raw`` was written from; hashes that are not given are computed."""
    parsed, extra = _decode(raw)
    if version and content_hash:
        return _cube(parsed, salt, version, content_hash, extra)
    return seal(parsed, salt, extra)[0]


def parse_behaviour(fields: dict[str, Any]) -> Behaviour:
    """What a store had observed of a memory, with fields that a newer one added."""
    return _group(Behaviour, fields)


def behaviour_fields(seen: Behaviour) -> Any:
    """What was observed, as plain JSON, with the fields of a newer writer in their place."""
    return _flatten(msgspec.to_builtins(seen))


def encode(value: Any) -> bytes:
    """Canonical bytes of any value of this package or of plain JSON."""
    return _ENCODER.encode(value)


def digest(*parts: bytes, key: bytes = b"") -> str:
    """A 128-bit BLAKE2b digest of ``parts``, keyed where a key is given, as hexadecimal."""
    return _digest(key, b"".join(parts))


def _cube(declared: Document, salt: bytes, version: str, content_hash: str, extra: dict[str, Any]) -> MemCube:
    return MemCube(
        id=declared.id,
        header=Header(descriptive=declared.descriptive, governance=declared.governance),
        payload=declared.payload,
        version=version,
        content_hash=content_hash,
        salt=salt,
        revision=declared.revision,
        previous=declared.previous,
        parents=declared.parents,
        extra=extra,
    )


def _declared(cube: MemCube) -> Document:
    return Document(
        id=cube.id,
        descriptive=cube.header.descriptive,
        governance=cube.header.governance,
        payload=cube.payload,
        parents=cube.parents,
        revision=cube.revision,
        previous=cube.previous,
    )


def _canonical(declared: Document, extra: dict[str, Any]) -> bytes:
    if not extra and not _is_extended(declared):
        return _ENCODER.encode(declared)
    return _ENCODER.encode({**_flatten(msgspec.to_builtins(declared)), **extra})


def _rendered(declared: Document) -> bytes:
    """The payload and what is rendered with it: what ``content_hash`` is the hash of."""
    said = declared.descriptive
    return _ENCODER.encode([_plain(declared.payload), said.speaker, said.event_time])


def _plain(payload: Payload) -> Any:
    """A payload as it is encoded, with the fields of a newer writer in their place."""
    return _flatten(msgspec.to_builtins(payload)) if _payload_is_extended(payload) else payload


def _check_readable(payload: Activation | Parametric) -> None:
    """Refuse fields that are not of their kinds, and numbers that JSON has not: they come back otherwise, or not."""
    try:
        raw = _ENCODER.encode(_plain(payload))
        fields = msgspec.json.decode(raw)
        del fields["kind"]
        again = _ENCODER.encode(_plain(_group(type(payload), fields)))
    except (msgspec.MsgspecError, TypeError, AttributeError, ValueError) as error:
        raise InvalidInput(f"the payload cannot be kept: {error}; give every field the kind that it names") from error
    if again != raw:
        raise InvalidInput("the payload holds a number that is none; pass finite numbers")


def _digest(key: bytes, data: bytes) -> str:
    return blake2b(data, key=key, digest_size=HASH_BYTES).hexdigest()


def _is_extended(plain: Document) -> bool:
    """Whether any group holds fields of a newer writer; almost never, so the usual case is one expression."""
    said, rules = plain.descriptive, plain.governance
    if said.extra or rules.extra or rules.access.extra or rules.lifespan.extra or _payload_is_extended(plain.payload):
        return True
    why = said.provenance
    if why is not None and (why.extra or (why.transformed is not None and why.transformed.extra)):
        return True
    return any(group.extra for group in plain.parents)


def _payload_is_extended(payload: Payload) -> bool:
    return bool(payload.extra or (not isinstance(payload, Plaintext) and payload.model.extra))


def _flatten(value: Any) -> Any:
    """Lift every ``extra`` back to the place where a newer writer had put its fields."""
    if isinstance(value, list | tuple):
        return [_flatten(item) for item in value]
    if not isinstance(value, dict):
        return value
    # Metadata is the caller's own, and figures have names of their own: a key named "extra" in them is not ours.
    flat = {k: v if k in _OWN_NAMES else _flatten(v) for k, v in value.items() if k != "extra"}
    return {**flat, **value.get("extra", {})}


def _decode(raw: bytes | str) -> tuple[Document, dict[str, Any]]:
    try:
        parsed = _DECODER.decode(raw)
        if not _is_extended(parsed):
            return parsed, {}
        # A field that is named "extra" in the record is a stranger too: taken for ours, what it holds would be written
        # back over the group's own fields.
    except msgspec.ValidationError:
        pass  # perhaps fields of a newer writer: take the slower way that keeps them
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"not a memory record: {error}") from error
    try:
        return _decode_extended(msgspec.json.decode(raw))
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise MalformedRecord(f"not a memory record: {error}") from error


def _decode_extended(fields: dict[str, Any]) -> tuple[Document, dict[str, Any]]:
    kind = fields["payload"].get("kind")
    if kind not in _PAYLOADS:
        raise NewerFormat(
            f"the record holds a memory of kind {kind!r}, which this pymemos does not know; upgrade pymemos"
        )
    payload = dict(fields["payload"])
    del payload["kind"]
    scalars = msgspec.convert(fields, _Scalars)
    parsed = Document(
        id=scalars.id,
        descriptive=_group(Descriptive, fields["descriptive"]),
        governance=_group(Governance, fields["governance"]),
        payload=_group(_PAYLOADS[kind], payload),
        parents=tuple(_group(Parent, parent) for parent in fields.get("parents", ())),
        revision=scalars.revision,
        previous=scalars.previous,
    )
    return parsed, {name: value for name, value in fields.items() if name not in Document.__struct_fields__}


def _group(cls: type[_Group], fields: dict[str, Any]) -> _Group:
    known = {name: value for name, value in fields.items() if name in cls.__struct_fields__ and name != "extra"}
    extra = {name: value for name, value in fields.items() if name not in known}
    nested = _NESTED.get(cls, {})
    parts = {name: _group(nested[name], known.pop(name)) for name in nested if known.get(name) is not None}
    if cls in _PAYLOADS.values():
        known["kind"] = cls.kind  # type: ignore[attr-defined]
    for name in parts:  # a required nested group must be there while the rest is checked
        known[name] = msgspec.to_builtins(msgspec.structs.replace(parts[name], extra={}))
    group = msgspec.convert(known, cls)
    return msgspec.structs.replace(group, extra=extra, **parts)
