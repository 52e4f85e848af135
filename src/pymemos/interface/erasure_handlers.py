"""The requests of an erasure: what is chosen, sealed, verified and told of it (5.5.1, 5.5.3; ADR 0029)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from pymemos.cube.audit import AuditQuery, AuditRecord
from pymemos.cube.call import MemoryCall, Request, Selection
from pymemos.cube.erasure import NAMED, Counts, Departure, Derived, Phase, Receipt, Verification, made_at
from pymemos.cube.filters import Filter
from pymemos.cube.policy import Action
from pymemos.cube.wire import encode
from pymemos.errors import NotAllowed
from pymemos.infrastructure import vault
from pymemos.infrastructure.governance import Target
from pymemos.infrastructure.receipts import sealed
from pymemos.interface import schedule_policies, tasks
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.transfer import OnStore
from pymemos.interface.versions import check_within, memory_target
from pymemos.ports import Job, ReadUnit

SCRUB = "scrub"  # the kind of the job that does the second phase
ATTEMPTS = 20  # of a scrub, for somebody may read for long
PAGE = 2_000  # entries of the audit log that are looked at together
DEPARTURES = 1_000  # the newest, that a receipt tells of
LEAVING = ("export", "backup")  # the operations after which a copy is elsewhere
_OWN_JOBS = frozenset({"reindex", "embed", "sweep", SCRUB})  # where ids are places to go on from, and nothing is said
_WORDS = re.compile(rb"[\w:.-]+")


class Erase(Request, frozen=True, kw_only=True, tag="erase"):
    """Take one memory, or all that a scope and a filter select, out of reach for good."""

    id: str | None = None
    where: Filter | None = None


class PlanErasure(Request, frozen=True, kw_only=True, tag="plan_erasure"):
    """Ask what an erasure would take, and what left before."""

    id: str | None = None
    where: Filter | None = None


class Receipts(Request, frozen=True, kw_only=True, tag="receipts"):
    """Read the receipts of erasures, or one."""

    id: str | None = None
    limit: int = 100
    before: str | None = None


class Departures(Request, frozen=True, kw_only=True, tag="departures"):
    """Look through the audit log for copies that left before an erasure."""

    erasure: str


class Scrubbed(Request, frozen=True, kw_only=True, tag=SCRUB):
    """Say how the second phase of an erasure went; signs its receipt where nothing is left."""

    erasure: str | None
    verification: Verification | None = None
    left: tuple[Departure, ...] = ()
    reason: str = ""


class EraseBackup(Request, frozen=True, kw_only=True, tag="erase_backup"):
    """Open a backup to erase in it."""

    target: str


class _Choosing(Handler):
    """A handler that acts on what an id or a scope names."""

    action = Action.WRITE

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        id = call.request.id  # type: ignore[attr-defined]
        return super().target(call, unit) if id is None else memory_target(id, unit)


class EraseHandler(_Choosing):
    """The first phase: everything leaves everybody's reach, with whatever was made from it, whoever owns that.

    A frozen memory goes too: a duty to forget outranks a wish to keep (ADR 0006).
    """

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Erase = work.call.request  # type: ignore[assignment]
        chosen, derived = _chosen(work, request.id, request.where)
        receipt = _receipt(work, request.id, request.where, chosen, derived, Phase.PENDING)
        work.unit.put_receipt(msgspec.structs.replace(receipt, memories=(), derived=()))  # its rows name it
        homes = chosen | {one.id: one.namespace for one in derived}
        whole = _is_whole(work, request.id, request.where)
        jobs = _drop_jobs(work, homes, whole=whole)
        for name in (work.decision.namespaces or ()) if whole else ():
            schedule_policies.forget(work.unit, name)
            tasks.forget(work.unit, name)
        session = work.call.scope.session if request.id is None and request.where is None else None
        tasks.forget_memories(work.unit, homes, work.decision.namespaces or (), session)
        counts = msgspec.structs.replace(vault.erase(work.unit, homes, receipt.id, work.now), jobs=jobs)
        receipt = msgspec.structs.replace(receipt, removed=counts)
        work.unit.put_receipt(receipt)
        work.unit.enqueue(_scrub_job(work, receipt))
        return Outcome(result=receipt, memories=tuple(chosen), elsewhere=_by_namespace(derived))


class PlanErasureHandler(_Choosing):
    """What an erasure would take; nothing is changed."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: PlanErasure = work.call.request  # type: ignore[assignment]
        chosen, derived = _chosen(work, request.id, request.where)
        receipt = _receipt(work, request.id, request.where, chosen, derived, Phase.PLANNED)
        ids = {*chosen, *(one.id for one in derived)}
        counts = Counts(memories=len(ids))
        receipt = msgspec.structs.replace(receipt, removed=counts, left=departures(work.unit, ids))
        return Outcome(result=receipt, memories=tuple(chosen))


class ReceiptsHandler(Handler):
    """Receipts of the namespaces that the caller manages."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Receipts = work.call.request  # type: ignore[assignment]
        reach = work.decision.namespaces
        if request.id is None:
            found = work.unit.receipts(reach, limit=request.limit, before=request.before)
        else:
            one = work.unit.receipt(request.id)
            found = [] if one is None or (reach is not None and one.namespace not in reach) else [one]
        return Outcome(result=tuple(found))


class DeparturesHandler(OnStore):
    """A look through the whole log, apart from the transactions of an erasure."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Departures = work.call.request  # type: ignore[assignment]
        ids: set[str] = set()
        after: str | None = None
        while page := work.unit.erased_by(request.erasure, limit=PAGE, after=after):
            ids.update(page)
            after = page[-1]
        return Outcome(result=departures(work.unit, ids))


class ScrubbedHandler(Handler):
    """The receipt as it stands after an attempt of the second phase; only the system says so."""

    changes = True

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        namespace = call.scope.namespace
        return Target(namespaces=None if namespace is None else (namespace,), stewardship=True)

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Scrubbed = work.call.request  # type: ignore[assignment]
        if not work.call.caller.system:
            raise NotAllowed("a receipt is signed by the system alone, when it has verified it")
        receipt = None if request.erasure is None else work.unit.receipt(request.erasure)
        if receipt is None or receipt.signed:
            return Outcome(result=receipt)
        receipt = msgspec.structs.replace(
            receipt, verification=request.verification, left=request.left, reason=request.reason
        )
        if request.verification is not None and not request.verification.remnants:
            done = msgspec.structs.replace(receipt, phase=Phase.SIGNED, completed=work.now)
            receipt = sealed(done, work.tools.key)
        work.unit.put_receipt(receipt)
        return Outcome(result=receipt)


class EraseBackupHandler(OnStore):
    """Who opens a backup to erase in it is in the log; what is done there is in the backup's own."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: EraseBackup = work.call.request  # type: ignore[assignment]
        return Outcome(result=request.target)


HANDLERS: dict[type[Request], Handler] = {
    Erase: EraseHandler(),
    PlanErasure: PlanErasureHandler(),
    Receipts: ReceiptsHandler(),
    Departures: DeparturesHandler(),
    Scrubbed: ScrubbedHandler(),
    EraseBackup: EraseBackupHandler(),
}


# What goes.


def _chosen(work: Work, id: str | None, where: Filter | None) -> tuple[dict[str, str], tuple[Derived, ...]]:
    """What is named, by id with its namespace, and what was ever made from that.

    A memory is named by any of its versions, deleted ones too: what it said once is to be gone.
    """
    names = work.decision.namespaces or ()
    if id is not None:
        chosen = {id: names[0]}
        check_within(work.call.scope, id, (one.cube for one in work.unit.versions(id)))
        if not _is_open(work, id):
            raise NotAllowed(f"a rule closes an earlier version of memory {id!r}; ask the steward of the store")
    else:
        scope = work.call.scope
        chosen = {}
        for name in names:
            asked = Selection(
                namespaces=(name,),
                agent=scope.agent,
                session=scope.session,
                where=where,
                episodes=True,
                rules=work.decision.narrowed,
            )
            chosen |= {one: name for one in work.unit.ever(asked) if not asked.rules or _is_open(work, one)}
    return chosen, tuple(work.unit.derivatives(list(chosen)))


def _is_open(work: Work, id: str) -> bool:
    """Whether the caller may write every version of a memory, for they go together."""
    return not work.decision.parts or all(work.decision.admits(one.cube) for one in work.unit.versions(id))


def _is_whole(work: Work, id: str | None, where: Filter | None) -> bool:
    """Whether everything of the owner goes."""
    scope = work.call.scope
    return id is None and where is None and (scope.agent, scope.session) == (None, None) and not work.decision.narrowed


def _receipt(
    work: Work, id: str | None, where: Filter | None, chosen: Mapping[str, str], derived: tuple[Derived, ...], to: Phase
) -> Receipt:
    scope = work.call.scope
    named = {"id": id, "agent": scope.agent, "session": scope.session, "filter": None if where is None else "given"}
    namespace = (work.decision.namespaces or (work.call.caller.namespace,))[0]
    asked = {"namespace": namespace} if id is None else {}
    return Receipt(
        id=work.tools.new_id(work.now),
        at=work.now,
        namespace=namespace,
        by=work.call.caller.name,
        asked=asked | {name: value for name, value in named.items() if value is not None},
        phase=to,
        memories=tuple(chosen) if len(chosen) <= NAMED else (),
        derived=derived if len(derived) <= NAMED else (),
    )


def _scrub_job(work: Work, receipt: Receipt) -> Job:
    return Job(
        id=work.tools.new_id(work.now),
        kind=SCRUB,
        namespace=receipt.namespace,
        run_at=work.now,
        arguments={"erasure": receipt.id},
        priority=1,
        max_attempts=ATTEMPTS,
        dedup_key=receipt.id,
    )


def _drop_jobs(work: Work, homes: Mapping[str, str], *, whole: bool) -> int:
    """Take jobs out of the queue that name what goes; with everything of an owner, all that were queued for it."""
    dropped = 0
    for job in work.unit.jobs(limit=1 << 31):
        owned = whole and job.namespace in (work.decision.namespaces or ())
        if job.kind not in _OWN_JOBS and (owned or _names(job, homes)):
            work.unit.remove_job(job.id)
            dropped += 1
    return dropped


def _names(job: Job, ids: Collection[str]) -> bool:
    words = _WORDS.findall(encode([job.arguments, job.dedup_key]))
    return any(word.decode() in ids for word in words)


def _by_namespace(derived: tuple[Derived, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = {}
    for one in derived:
        found.setdefault(one.namespace, []).append(one.id)
    return tuple((name, tuple(ids)) for name, ids in found.items())


# What left before.


def departures(unit: ReadUnit, ids: Collection[str]) -> tuple[Departure, ...]:
    """Exports that held one of some memories, and backups made since the first of them, in order of time."""
    times = [made_at(id) for id in ids]
    earliest = None if None in times else min((time for time in times if time is not None), default=None)
    found: dict[tuple[str, str, str], Departure] = {}
    for record in _leaving(unit) if ids else ():
        named = len(set(record.memories).intersection(ids))
        unnamed = not record.memories and (record.count or record.operation == "backup")
        if not named and not (unnamed and (earliest is None or record.at >= earliest)):
            continue
        place = (record.operation, record.caller.name, f"{record.at:%Y-%m-%d %H:%M}")  # an export is many pages
        before = found.get(place)
        start, count = (record.at, 0) if before is None else (before.at, before.memories)
        found[place] = Departure(at=start, operation=record.operation, by=record.caller.name, memories=count + named)
    return tuple(sorted(found.values(), key=lambda one: one.at)[-DEPARTURES:])


def _leaving(unit: ReadUnit) -> Iterator[AuditRecord]:
    for name in LEAVING:
        after: tuple[str, int] | None = None
        while page := unit.audit_page(AuditQuery(operation=name, limit=PAGE), after=after):
            yield from (record for record in page if record.allowed)
            after = (page[-1].namespace, page[-1].n)
