"""Versions: what a handler asks of one memory before it changes it or answers with it."""

from __future__ import annotations

from collections.abc import Iterable

from pymemos.cube.call import MemoryCall, Scope
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import EVERYTHING, Filter
from pymemos.cube.header import Stage
from pymemos.errors import NotAllowed, StaleVersion, UnknownMemory, UnknownVersion
from pymemos.infrastructure.governance import Target
from pymemos.interface.api import Handler, Work
from pymemos.ports import ReadUnit, Record


class OnMemory(Handler):
    """A handler whose request names one memory by ``id``."""

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        """The namespace that the memory lives in."""
        return memory_target(call.request.id, unit)  # type: ignore[attr-defined]


def memory_target(id: str, unit: ReadUnit) -> Target:
    """The target of a call on one memory: the namespace that it lives in, or none where the id is unknown."""
    owner = unit.owner_of(id)
    return Target(namespaces=() if owner is None else (owner,), memory=id)


def current_record(work: Work, id: str) -> Record:
    """The current version of a memory."""
    records: list[Record] = work.unit.current([id])
    if not records:
        raise UnknownMemory(f"memory {id!r} is deleted or unknown; history shows what it was")
    return records[0]


def living_record(work: Work, id: str) -> Record:
    """The current version of a memory that has not expired: expiry holds at the time of the question."""
    record = current_record(work, id)
    if record.cube.stage_at(work.now) is Stage.EXPIRED:
        raise UnknownMemory(f"memory {id!r} has expired; history shows what it was")
    return record


def version_record(work: Work, id: str, version: int | str) -> Record:
    """The version of a memory that a revision or a version hash names."""
    return pick_version(shown_versions(work, id), id, version)


def shown_versions(work: Work, id: str) -> list[Record]:
    """The versions of a memory that the call may show: an older one may say what a rule leaves out."""
    versions: list[Record] = work.unit.versions(id)
    return [record for record in versions if work.serves(record.cube)]


def answering(work: Work, where: Filter | None, records: list[Record]) -> list[Record]:
    """Those of some records that may answer to a filter: what has something hidden, labelled or not, does not."""
    if where is None:
        return records
    veil = work.veil
    return [record for record in records if not veil.hides(record.cube)]


def check_written(work: Work, cubes: Iterable[MemCube]) -> None:
    """Refuse what the caller may not write: a rule for a part of a namespace holds for what comes to lie there too."""
    whole = {name for name, where in work.decision.parts if where == EVERYTHING}
    for cube in cubes:
        if cube.namespace not in whole and not work.decision.admits(cube):
            raise NotAllowed(
                f"only a part of {cube.namespace!r} is open to writing here, and this memory would lie outside of it; "
                "ask the steward of the store"
            )


def pick_version(versions: list[Record], id: str, version: int | str) -> Record:
    """The one of these versions that a revision or a version hash names."""
    for record in versions:
        if version in (record.cube.revision, record.cube.version):
            return record
    if not versions:  # none that may be shown: as good as unknown
        raise UnknownMemory()
    first, last = versions[0].cube.revision, versions[-1].cube.revision
    raise UnknownVersion(f"memory {id!r} has no version {version!r}; it has revisions {first} to {last}")


def check_within(scope: Scope, id: str, cubes: Iterable[MemCube]) -> None:
    """Refuse to take away a memory that in none of these versions is of the session and the agent of the call."""
    narrowing = {"session": scope.session, "agent": scope.agent}
    asked = {name: value for name, value in narrowing.items() if value is not None}
    if asked and not any(asked.items() <= _said_by(cube).items() for cube in cubes):
        whose = " and ".join(f"{name} {value!r}" for name, value in asked.items())
        raise UnknownMemory(f"memory {id!r} is not of {whose}; name its own, or leave that out")


def _said_by(cube: MemCube) -> dict[str, str | None]:
    return {"session": cube.header.descriptive.session, "agent": cube.header.descriptive.agent}


def check_expected(cube: MemCube, expected: int | str | None) -> None:
    """Refuse a change by somebody who has seen another version."""
    if expected is not None and expected not in (cube.revision, cube.version):
        raise StaleVersion(
            f"memory {cube.id!r} is at revision {cube.revision}, not {expected!r}; read it again and repeat the change"
        )


def manifest(cube: MemCube) -> str:
    """What a manifest is, and what to do with its members instead."""
    if cube.is_view:
        return "a view: compose it anew under its name"
    return "the manifest of a conversation: update its messages"


def check_editable(cube: MemCube) -> None:
    """Refuse any edit of a frozen memory."""
    if cube.header.governance.frozen:  # 5.4.3: updates disabled
        raise NotAllowed(f"memory {cube.id!r} is frozen and takes no edits; the steward can unfreeze it")
