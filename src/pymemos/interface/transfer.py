"""Memories in and out as JSON Lines, backups and check-ups: requests on the store as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from pymemos.cube.call import MemoryCall
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import aware
from pymemos.cube.header import Behaviour
from pymemos.cube.privacy import Kind
from pymemos.cube.signature import Signature
from pymemos.cube.wire import (
    FORMAT,
    behaviour_fields,
    document,
    encode,
    hashes,
    parse_behaviour,
    parse_document,
)
from pymemos.errors import MalformedRecord, NewerFormat
from pymemos.infrastructure import analysis, vault
from pymemos.infrastructure.governance import Target
from pymemos.infrastructure.keyring import holds
from pymemos.infrastructure.privacy.scanning import available
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.auditing import seals_finding
from pymemos.interface.giving_up import let_go
from pymemos.interface.letting_in import lacks_labels, put_labels, refuses
from pymemos.interface.requests import Backup, Doctor, Export, Import
from pymemos.interface.segments import segments_finding
from pymemos.interface.veil import without
from pymemos.ports import Finding, ReadUnit, Record

FREE_SPACE = "free space"  # the store's check that says nothing of what is in it
BLOBS_SUFFIX = ".blobs"  # of the folder beside a backup
_INT64 = 1 << 63
# What reading a record may come upon that another program wrote, or that was damaged.
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, msgspec.ValidationError)


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an export: one line per memory, and where to continue."""

    lines: tuple[bytes, ...]
    after: str | None = None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did with each memory, by id."""

    written: tuple[str, ...] = ()
    known: tuple[str, ...] = ()  # here already, with these versions or newer ones
    conflicting: tuple[str, ...] = ()  # here with other versions, which were kept
    refused: tuple[str, ...] = ()  # hold what a privacy policy would not let be written as it is
    erased: tuple[str, ...] = ()  # erased here, or made from what was: it does not come back


class OnStore(Handler):
    """A handler whose request concerns the store as a whole."""

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        return Target(namespaces=None, stewardship=True)


class ExportHandler(Handler):
    """Whole memories with every version, also deleted ones, in order of their ids; a rule leaves them out whole."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Export = work.call.request  # type: ignore[assignment]
        ids = work.unit.known_ids(work.decision.namespaces, limit=request.limit, after=request.after)
        pages = [work.unit.versions(id) for id in ids]
        whole = [versions for versions in pages if all(work.serves(record.cube) for record in versions)]
        memories = tuple(versions[0].cube.id for versions in whole)
        lines = tuple(_line(work, versions, request) for versions in whole)
        return Outcome(result=Exported(lines=lines, after=ids[-1] if ids else None), memories=memories)


class ImportHandler(OnStore):
    """Whole memories as another store knew them; what is here already is never replaced by something else."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Import = work.call.request  # type: ignore[assignment]
        sorted_out: dict[str, list[str]] = {"written": [], "known": [], "conflicting": [], "refused": [], "erased": []}
        for records in request.memories:
            verdict = self._compare(work, records)
            if verdict == "written" and refuses(work, records):
                verdict = "refused"
            sorted_out[verdict].append(records[-1].cube.id)
            if verdict == "written":
                vault.adopt(work.unit, records, work.now)
                _label(work, records[-1])
            if verdict in ("written", "known") and records[-1].signatures:
                work.unit.put_signatures(records[-1].cube.id, records[-1].signatures)
        report = Imported(**{name: tuple(ids) for name, ids in sorted_out.items()})
        return Outcome(result=report, memories=report.written)

    def _compare(self, work: Work, records: tuple[Record, ...]) -> str:
        """Whether ``records`` continue what is here, are here already, contradict it, or tell of what was erased."""
        sources = [pin.id for record in records for pin in record.cube.parents]
        if work.unit.erased([records[-1].cube.id, *sources]):
            return "erased"
        stored = work.unit.versions(records[-1].cube.id)
        here, there = ([r.cube.version for r in versions] for versions in (stored, records))
        shorter = min(len(here), len(there))
        if here[:shorter] != there[:shorter]:
            return "conflicting"
        deleted_since = bool(stored) and stored[-1].retired is None and records[-1].retired is not None
        return "written" if len(there) > len(here) or (here == there and deleted_since) else "known"


def _label(work: Work, newest: Record) -> None:
    """Give a memory that came without its labels a version that has them: rules ask for them from now on."""
    cube = newest.cube
    if newest.known_to is None and not cube.header.governance.frozen and lacks_labels(work, cube):
        put_labels(work, cube, "import")


class BackupHandler(OnStore):
    """A copy of the database as one moment saw it; blobs, where there are any, go to a folder beside it."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Backup = work.call.request  # type: ignore[assignment]
        target = Path(request.target)
        work.tools.store.backup(target)
        if work.unit.blobs():
            work.tools.blobs.copy_to(target.with_name(target.name + BLOBS_SUFFIX))
        return Outcome(result=request.target)


class DoctorHandler(OnStore):
    """The store's own check, and whether every blob that a memory refers to is there."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Doctor = work.call.request  # type: ignore[assignment]
        missing = work.unit.blobs() - work.tools.blobs.names()
        missing -= let_go(work.unit, missing)
        blobs = Finding(
            check="blobs are there",
            ok=not missing,
            detail=f"missing: {', '.join(sorted(missing)[:3])}" if missing else "ok",
        )
        checks = work.tools.store.check()
        found = [blobs, *_tensor_findings(work, checks), _embedder_finding(work), _privacy_finding()]
        if request.grep_erased:
            found.append(_remnants_finding(work))
        return Outcome(result=[*checks, *found])


def _tensor_findings(work: Work, checks: Sequence[Finding]) -> list[Finding]:
    """What there is to say of tensor memories, which takes reading all of them: only where the database is whole."""
    if all(one.ok for one in checks if one.check != FREE_SPACE):
        return [segments_finding(work), seals_finding(work)]
    return [Finding(check="tensor memories", ok=False, detail="not looked at, for the database is damaged")]


def _remnants_finding(work: Work) -> Finding:
    """Whether any byte of any file is still of a document that was erased and scrubbed."""
    done = work.tools.store.remnants()
    detail = f"{done.bytes:,} bytes of {done.files:,} files searched for {done.needles:,} ends of erased documents"
    return Finding(
        check="nothing erased is in the files",
        ok=not done.remnants,
        detail=detail if not done.remnants else f"{done.remnants:,} were found; {detail}",
    )


def _embedder_finding(work: Work) -> Finding:
    """Which embedder searches use, and whether the store's vectors are all of it."""
    made_by, used = work.unit.embedders(), work.tools.embedder
    held = ", ".join(f"{count:,} vectors of {name}" for name, count in made_by.items()) or "no vectors"
    if used is None:
        return Finding(check="embedder", ok=True, detail=f"none: search is by words; {held}")
    others = sum(count for name, count in made_by.items() if name != used.identity)
    advice = "; 'pymemos reembed' makes them anew" if others else ""
    return Finding(check="embedder", ok=not others, detail=f"{used.identity}; {held}{advice}")


def _privacy_finding() -> Finding:
    """Which kinds of what is personal or secret can be found here."""
    missing = [kind.value for kind in Kind if kind not in available()]
    detail = f"without {', '.join(missing)}: pip install 'pymemos[privacy]' finds them too" if missing else "every kind"
    return Finding(check="personal data is found", ok=True, detail=detail)


def _line(work: Work, versions: list[Record], request: Export) -> bytes:
    """A memory as the caller gets it: with its signatures when it is whole, and none when something is left out."""
    kinds = frozenset(request.redact).union(*(work.veil.hidden(record.cube) for record in versions))
    shown = [without(record.cube, kinds) for record in versions] if kinds else []
    if all(cube is record.cube for cube, record in zip(shown, versions, strict=False)):
        return to_line(versions, _signatures(work, versions, sign=request.sign))
    return redacted_line(versions, shown, kinds)


def _signatures(work: Work, records: list[Record], *, sign: bool) -> list[Signature]:
    """The signatures of a memory, and those that this instance adds."""
    id = records[-1].cube.id
    held: list[Signature] = work.unit.signatures(id)
    if sign:
        held += work.tools.keys.sign(id, [record.cube.version for record in records], held)
    return sorted(held, key=lambda one: (one.version, one.key))


def to_line(records: list[Record], signatures: Sequence[Signature] = ()) -> bytes:
    """A memory with all its versions as one line of JSON: the same memory always gives the same bytes."""
    newest = records[-1]
    signed = {"signatures": signatures} if signatures else {}
    return encode(
        {
            **signed,
            "pymemos": FORMAT,
            "salt": newest.cube.salt.hex(),
            "retired": newest.retired,
            "behaviour": behaviour_fields(newest.cube.header.behaviour),
            "versions": [_version_fields(record) for record in records],
        }
    )


def redacted_line(records: list[Record], shown: list[MemCube], kinds: frozenset[Kind]) -> bytes:
    """A memory as a line without some kinds of what is personal or secret; ``shown`` are its versions without them.

    What is left out is gone from the bytes, and so are the hashes and the salt, which would confirm a guess.
    """
    versions = [
        {**_version_fields(msgspec.structs.replace(record, cube=cube)), "version": None}
        for record, cube in zip(records, map(_unpinned, shown), strict=True)
    ]
    return encode(
        {
            "pymemos": FORMAT,
            "redacted": sorted(kind.value for kind in kinds),
            "retired": records[-1].retired,
            "behaviour": behaviour_fields(records[-1].cube.header.behaviour),
            "versions": versions,
        }
    )


def _unpinned(cube: MemCube) -> MemCube:
    """A version without the hash of the one before."""
    return msgspec.structs.replace(cube, previous=None)


def from_line(line: bytes | str) -> tuple[Record, ...]:
    """The versions that a line was written from; raises MalformedRecord with what is wrong with it."""
    try:
        fields = msgspec.json.decode(line, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRecord(f"not JSON: {error}") from error
    if "pymemos" not in fields:
        raise MalformedRecord("not an exported memory: it has no field 'pymemos'")
    if fields["pymemos"] != FORMAT:
        raise NewerFormat(f"the record has format {fields['pymemos']!r}, this pymemos reads {FORMAT}; upgrade pymemos")
    if "redacted" in fields:
        raise MalformedRecord(
            f"the memory was exported without {', '.join(map(str, fields['redacted']))}: it is not whole and cannot be "
            "taken in as that memory; export it again with the right to see it, or add its text as a new one"
        )
    try:
        records = _records(fields)
    except _DAMAGE as error:
        raise MalformedRecord(f"not an exported memory: {type(error).__name__} {error}") from error
    _check_history(records)
    return (*records[:-1], msgspec.structs.replace(records[-1], signatures=_checked_signatures(fields, records)))


def _checked_signatures(fields: dict[str, Any], records: tuple[Record, ...]) -> tuple[Signature, ...]:
    """The signatures of a line, each of which must hold: one that does not was made for something else."""
    try:
        signatures = msgspec.convert(fields.get("signatures", []), type=tuple[Signature, ...])
    except msgspec.ValidationError as error:
        raise MalformedRecord(f"its signatures cannot be read: {error}") from error
    id, versions = records[-1].cube.id, {record.cube.version for record in records}
    for one in signatures:
        if one.version not in versions or not holds(id, one):
            raise MalformedRecord(
                f"memory {id!r} is not what was signed: the signature of version {one.version!r} by key "
                f"{one.key[:16]!r} does not hold; ask whoever sent it for it again"
            )
    return signatures


def _version_fields(record: Record) -> dict[str, Any]:
    return {
        "document": msgspec.Raw(document(record.cube)),
        "version": record.cube.version,
        "known_from": record.known_from,
        "known_to": record.known_to,
        "valid_from": record.valid_from,
        "valid_to": record.valid_to,
    }


def _records(fields: dict[str, Any]) -> tuple[Record, ...]:
    salt, retired = bytes.fromhex(fields["salt"]), _time(fields["retired"])
    behaviour = parse_behaviour(fields["behaviour"])
    return tuple(_record(version, salt, retired, behaviour) for version in fields["versions"])


def _record(fields: dict[str, Any], salt: bytes, retired: datetime | None, behaviour: Behaviour) -> Record:
    cube: MemCube = parse_document(encode(fields["document"]), salt=salt)
    if hashes(cube)[0] != fields["version"]:
        raise ValueError(f"version {cube.revision} of memory {cube.id!r} is not what was exported: its hash differs")
    known_from, valid_from = _time(fields["known_from"]), _time(fields["valid_from"])
    if known_from is None or valid_from is None:
        raise ValueError(f"version {cube.revision} of memory {cube.id!r} lacks known_from or valid_from")
    record = Record(
        cube=cube.observed(behaviour),
        seq_from=0,
        known_from=known_from,
        known_to=_time(fields["known_to"]),
        valid_from=valid_from,
        valid_to=_time(fields["valid_to"]),
        retired=retired,
    )
    _check_version(record)
    return record


def _check_version(record: Record) -> None:
    """Whether a store can hold this version: what the system's own records never are, another program's may be."""
    cube, said, seen = record.cube, record.cube.header.descriptive, record.cube.header.behaviour
    for moment in (said.created, said.updated, said.event_time, said.valid_from, said.valid_to, seen.last_used):
        _time(moment)
    _time(cube.header.governance.lifespan.expires)
    if not (cube.id and cube.namespace and cube.salt):
        raise ValueError(f"id {cube.id!r}, namespace {cube.namespace!r} or the salt is empty")
    for name in (cube.id, cube.namespace, said.session, said.agent, *said.tags, *said.source_ids):
        if name is not None and "\0" in name:
            raise ValueError(f"the name {name!r} holds a NUL character")
    if not (0 < cube.revision < _INT64 and 0 <= seen.uses < _INT64):
        raise ValueError(f"revision {cube.revision} or uses {seen.uses} are no count of 64 bits")
    if said.language is not None:
        analysis.check_language(said.language)


def _check_history(records: tuple[Record, ...]) -> None:
    """Whether the versions are those of one memory, each behind the one before."""
    if len({(record.cube.id, record.cube.namespace) for record in records}) != 1:
        raise MalformedRecord("an exported memory holds the versions of one memory of one namespace, at least one")
    for older, newer in pairwise(records):
        follows = older.cube.revision < newer.cube.revision and newer.cube.previous == older.cube.version
        if not follows or older.known_to is None or not older.known_from <= older.known_to <= newer.known_from:
            raise MalformedRecord(
                f"version {newer.cube.revision} of memory {newer.cube.id!r} does not follow version "
                f"{older.cube.revision}: revision, previous and the times when they were known must agree"
            )
    newest = records[-1]
    if newest.known_to != newest.retired:
        raise MalformedRecord(
            f"memory {newest.cube.id!r} was known until {newest.known_to}, but deleted at {newest.retired}"
        )


def _time(value: Any) -> datetime | None:
    return None if value is None else aware(value, "a time of the record")
