"""The audit log, asked and checked: what it says, whether it is as it was written, and what auditors take away."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec

from pymemos.cube.audit import AuditQuery, AuditRecord, AuditRow
from pymemos.cube.call import Caller, MemoryCall, Request, Scope
from pymemos.cube.header import SemanticType
from pymemos.cube.policy import Action, RuleChange, rule_values, with_before
from pymemos.cube.wire import encode
from pymemos.errors import InvalidInput, StoreError, TamperedLog
from pymemos.infrastructure.audit import key_id
from pymemos.infrastructure.chains import AuditReport as AuditReport
from pymemos.infrastructure.chains import examined
from pymemos.infrastructure.governance import Target
from pymemos.infrastructure.heads import Found, Head, Signature, Tip, judged, lost, signed, tip_of
from pymemos.interface.api import Handler, MemoryAPI, Outcome, Tools, Work
from pymemos.interface.arguments import When, check_member, optional_id, optional_time
from pymemos.ports import Finding, ReadUnit, Record

KINDS = ("plaintext", "activation", "parametric")  # of memories (4.1)
PAGE = 2_000  # entries that one look at the log takes in: some ten milliseconds of work
MEMORIES_PAGE = 500
PERMISSIONS = ("owner", "namespace", "access", "sensitivity", "frozen")  # what decides who may do what with a memory

Place = tuple[str, int]  # a chain and a number in it
Who = tuple[Caller, Scope]


class VerifyPage(Request, frozen=True, kw_only=True, tag="audit_verify"):
    """Read the next rows of the log as they lie there; the first page also what is signed of them."""

    after: Place | None = None


class SignHead(Request, frozen=True, kw_only=True, tag="audit_head"):
    """Sign where the chains stand; ``accept`` signs them as they are, although the signed head says otherwise."""

    accept: bool = False


class ExportLog(Request, frozen=True, kw_only=True, tag="audit_export"):
    """Read the next entries of the log that a question asks for, chain by chain."""

    query: AuditQuery
    after: Place | None = None


class ExportPermissions(Request, frozen=True, kw_only=True, tag="permissions_export"):
    """Read the changes of permissions of the next memories, from the history of their versions."""

    query: AuditQuery
    after: str | None = None


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """A field that decides who may do what with a memory, as one version changed it; or a rule of a namespace.

    Of a rule ``memory`` is None, ``field`` its name, and ``revision`` numbers the changes of rules in the store.
    """

    namespace: str
    memory: str | None
    revision: int
    version: str
    at: datetime
    author: str | None
    cause: str
    field: str
    before: Any
    after: Any


class Lying(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what lies in the log, and on the first one what is signed of it."""

    rows: tuple[AuditRow, ...]
    strays: int = 0
    found: Found | None = None


class Revisions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of changes of permissions, and where the next one begins."""

    changes: tuple[Revision, ...]
    after: str | None = None


# How the requests are carried out.


class VerifyPageHandler(Handler):
    """The head is read before the unit is opened: what it names was durable then, so the unit must hold it."""

    action = Action.MANAGE

    def prepare(self, call: MemoryCall, tools: Tools) -> Found | None:
        request: VerifyPage = call.request  # type: ignore[assignment]
        return _head(tools) if request.after is None else None

    def run(self, work: Work, prepared: Found | None) -> Outcome:
        request: VerifyPage = work.call.request  # type: ignore[assignment]
        reach = work.decision.namespaces
        rows = tuple(work.unit.audit_rows(reach, after=request.after, limit=PAGE))
        strays = work.unit.audit_strays() if prepared is not None and reach is None else 0
        return Outcome(result=Lying(rows=rows, strays=strays, found=_within(prepared, reach)))


class SignHeadHandler(Handler):
    """The head of the whole log is written to its file; that of one's own chain is only given."""

    action = Action.MANAGE

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        request: SignHead = call.request  # type: ignore[assignment]
        return Target(namespaces=None, stewardship=True) if request.accept else super().target(call, unit)

    def prepare(self, call: MemoryCall, tools: Tools) -> Found:
        return _head(tools)

    def run(self, work: Work, prepared: Found) -> Outcome:
        request: SignHead = work.call.request  # type: ignore[assignment]
        reach, keeper = work.decision.namespaces, work.tools.heads
        if keeper is None:
            raise InvalidInput("this store keeps no signed head")
        tips = {tail.namespace: tip_of(tail) for tail in work.unit.audit_tails(reach)}
        if request.accept:
            return Outcome(result=keeper.replace(tips))
        head = _checked(work, _within(prepared, reach))
        if reach is None:
            return Outcome(result=keeper.advance(head, tips))
        return Outcome(result=signed(Head(store=keeper.store_id, at=work.now, chains=tips), keeper.key))


class ExportLogHandler(Handler):
    """A page of entries within what the caller may see."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ExportLog = work.call.request  # type: ignore[assignment]
        query = msgspec.structs.replace(request.query, namespaces=work.decision.namespaces)
        return Outcome(result=work.unit.audit_page(query, after=request.after))


class ExportPermissionsHandler(Handler):
    """A page of memories, deleted or not, in order of their ids, and what changed from version to version."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ExportPermissions = work.call.request  # type: ignore[assignment]
        reach, named = work.decision.namespaces, request.query.memory
        if named is None:
            ids = work.unit.known_ids(reach, limit=MEMORIES_PAGE, after=request.after)
        else:
            owner = work.unit.owner_of(named)
            ids = [named] if owner is not None and (reach is None or owner in reach) else []
        asked = [change for id in ids for change in revisions(work.unit.versions(id), request.query)]
        if request.after is None and named is None:
            asked[:0] = rule_revisions(work.unit.rule_changes(), reach, request.query)
        after = ids[-1] if len(ids) == MEMORIES_PAGE else None
        return Outcome(result=Revisions(changes=tuple(asked), after=after), memories=tuple(ids))


def seals_finding(work: Work) -> Finding:
    """Whether every chain holds under the instance key; what was cut off is for ``verify`` to say."""
    check, keys = "audit log is as it was written", {key_id(work.tools.key): work.tools.key}
    try:
        with work.tools.store.read() as unit:  # one of its own, so that damage ends this check and no other
            chains = list(examined(_lying(unit), keys, {}))
    except StoreError as error:
        return Finding(check=check, ok=False, detail=f"{type(error).__name__}: {error}")
    broken = [chain for chain in chains if chain.fault is not None]
    others = sum(chain.unverified for chain in chains)
    detail = f"{sum(chain.entries for chain in chains):,} entries in {len(chains):,} chains"
    if others:
        detail += f"; {others:,} of them were sealed with a key that is not here"
    if broken:
        detail += f"; {broken[0].chain!r}: {broken[0].reason}; 'pymemos audit verify' says more"
    return Finding(check=check, ok=not broken, detail=detail)


# What is done with their results.


def verify(api: MemoryAPI, tools: Tools, who: Who, keys: Sequence[bytes], anchor: Head | None) -> AuditReport:
    """Hold the log within reach against its seals, the signed head, and a head that was kept elsewhere."""
    first: Lying = api.dispatch(_call(who, VerifyPage()))
    found = first.found or Found(signature=Signature.MISSING)
    known = {key_id(key): key for key in (tools.key, *keys)}
    reach = None if who[1].namespace is None else (who[1].namespace,)
    if found.signature is Signature.OTHER_KEY and tools.heads is not None:
        found = _within(tools.heads.read(known), reach) or found
    heads = [head for head in (found.head, anchor and _restricted(anchor, reach)) if head is not None]
    names = {name for head in heads for name in head.chains}
    tips = {name: [head.chains[name] for head in heads if name in head.chains] for name in names}
    return AuditReport(
        store=tools.heads.store_id if tools.heads is not None else "",
        at=tools.clock(),
        head=found.signature,
        head_at=found.head.at if found.head is not None else None,
        strays=first.strays,
        chains=tuple(examined(_rows(api, who, first), known, tips)),
    )


def anchor_of(given: Head | bytes | str, tools: Tools, keys: Sequence[bytes]) -> Head:
    """A head that was kept elsewhere, as ``audit_head`` gave it or as it was written."""
    known = {key_id(key): key for key in (tools.key, *keys)}
    store = tools.heads.store_id if tools.heads is not None else ""
    found = judged(_as_signed(given), store, known)
    if found.head is None:
        raise InvalidInput(f"that is no head of this store ({found.signature}); pass what 'pymemos audit head' printed")
    return found.head


def _as_signed(head: Head | bytes | str) -> bytes:
    """The bytes that a head is signed as."""
    if isinstance(head, Head):
        return encode(head)
    if isinstance(head, str):
        return head.strip().encode(errors="replace")
    if isinstance(head, bytes):
        return head.strip()
    raise InvalidInput("head is no signed head; pass what audit_head gave, or what 'pymemos audit head' printed")


def log_lines(api: MemoryAPI, who: Who, query: AuditQuery, form: str) -> Iterator[str]:
    """The access log, chain by chain: as JSON Lines each entry is written as it was sealed."""
    if form == "csv":
        yield _csv_line(_LOG_COLUMNS)
    after: Place | None = None
    while True:
        page: list[AuditRecord] = api.dispatch(_call(who, ExportLog(query=query, after=after)))
        for record in page:
            yield _log_row(record) if form == "csv" else encode(record).decode()
        if len(page) < query.limit:
            return
        after = page[-1].namespace, page[-1].n


def permission_lines(api: MemoryAPI, who: Who, query: AuditQuery, form: str) -> Iterator[str]:
    """The changes of permissions, memory by memory."""
    if form == "csv":
        yield _csv_line(Revision.__struct_fields__)
    after: str | None = None
    while True:
        page: Revisions = api.dispatch(_call(who, ExportPermissions(query=query, after=after)))
        for change in page.changes:
            yield _revision_row(change) if form == "csv" else encode(change).decode()
        after = page.after
        if after is None:
            return


def revisions(records: Sequence[Record], query: AuditQuery) -> Iterator[Revision]:
    """What changed of who may do what, from version to version of a memory, as far as it was asked for."""
    cubes = [record.cube for record in records]
    if query.memory_kind is not None and query.memory_kind not in {cube.payload.kind for cube in cubes}:
        return
    if query.memory_type is not None and query.memory_type not in {c.header.descriptive.semantic_type for c in cubes}:
        return
    for older, newer in pairwise(records):
        said, old, new = newer.cube.header.descriptive, older.cube.header.governance, newer.cube.header.governance
        if not _is_asked_for(newer.known_from, said.author, said.cause, query):
            continue
        for name in PERMISSIONS:
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                yield Revision(
                    namespace=newer.cube.namespace,
                    memory=newer.cube.id,
                    revision=newer.cube.revision,
                    version=newer.cube.version,
                    at=newer.known_from,
                    author=said.author,
                    cause=said.cause,
                    field=name,
                    before=before,
                    after=after,
                )


def rule_revisions(
    changes: Sequence[RuleChange], reach: tuple[str, ...] | None, query: AuditQuery
) -> Iterator[Revision]:
    """The changes of rules within reach, as far as they were asked for; no kind or type of memory names them."""
    if (query.memory_kind, query.memory_type) != (None, None):
        return
    for change, before in with_before(changes):
        cause = "remove_access_policy" if change.rule is None else "set_access_policy"
        if (reach is None or change.namespace in reach) and _is_asked_for(change.at, change.author, cause, query):
            yield Revision(
                namespace=change.namespace,
                memory=None,
                revision=change.entry,
                version=change.id,
                at=change.at,
                author=change.author,
                cause=cause,
                field=change.name,
                before=None if before is None else rule_values(before),
                after=None if change.rule is None else rule_values(change.rule),
            )


def parse_audit_query(
    *,
    since: When | None,
    until: When | None,
    caller: str | None,
    operation: str | None,
    memory: str | None,
    memory_kind: str | None,
    memory_type: SemanticType | str | None,
    limit: int,
) -> AuditQuery:
    """A question about the audit log, each value checked."""
    if memory_kind is not None and memory_kind not in KINDS:
        raise InvalidInput(f"memory_kind is {memory_kind!r}; use one of {', '.join(KINDS)}")
    wanted = None if memory_type is None else check_member(SemanticType, memory_type, "memory_type")
    return AuditQuery(
        since=optional_time(since, "since"),
        until=optional_time(until, "until"),
        caller=optional_id(caller, "caller"),
        operation=optional_id(operation, "operation"),
        memory=optional_id(memory, "memory"),
        memory_kind=memory_kind,
        memory_type=None if wanted is None else wanted.value,
        limit=limit,
    )


_LOG_COLUMNS = tuple(
    "namespace n at caller operation allowed rule memories count used about identities key_id mac".split()
)


def _log_row(record: AuditRecord) -> str:
    fields = msgspec.structs.asdict(record)
    fields |= {"caller": record.caller.name, "identities": encode(record.caller).decode()}
    return _csv_line([_cell(fields[name]) for name in _LOG_COLUMNS])


def _revision_row(change: Revision) -> str:
    fields = msgspec.structs.asdict(change)
    fields |= {name: encode(fields[name]).decode() for name in ("before", "after")}
    return _csv_line([_cell(value) for value in fields.values()])


def _cell(value: Any) -> Any:
    """A text or time as it is, nothing as an empty cell, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return encode(value).decode().strip('"')


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)  # quotes what ends a line only where it ends lines itself
    return line.getvalue().removesuffix("\r\n")


def _is_asked_for(at: datetime, author: str | None, cause: str, query: AuditQuery) -> bool:
    return (
        (query.since is None or query.since <= at)
        and (query.until is None or at < query.until)
        and query.operation in (None, cause)
        and (query.caller is None or author in (query.caller, f"steward({query.caller})", f"system({query.caller})"))
    )


def _rows(api: MemoryAPI, who: Who, page: Lying) -> Iterator[AuditRow]:
    """Every row within reach, a page at a time: each is a unit of its own, so that none is open for long."""
    yield from page.rows
    while len(page.rows) == PAGE:
        page = api.dispatch(_call(who, VerifyPage(after=(page.rows[-1].chain, page.rows[-1].n))))
        yield from page.rows


def _lying(unit: ReadUnit) -> Iterator[AuditRow]:
    """Every row of the log in one unit."""
    after: Place | None = None
    while rows := unit.audit_rows(None, after=after, limit=PAGE):
        yield from rows
        after = rows[-1].chain, rows[-1].n


def _call(who: Who, request: Request) -> MemoryCall:
    caller, scope = who
    return MemoryCall(caller=caller, scope=scope, request=request)


def _head(tools: Tools) -> Found:
    return Found(signature=Signature.MISSING) if tools.heads is None else tools.heads.read()


def _within(found: Found | None, reach: tuple[str, ...] | None) -> Found | None:
    """What a head says of the chains within reach."""
    if found is None or found.head is None:
        return found
    return msgspec.structs.replace(found, head=_restricted(found.head, reach))


def _restricted(head: Head, reach: tuple[str, ...] | None) -> Head:
    if reach is None:
        return head
    chains: Mapping[str, Tip] = {name: tip for name, tip in head.chains.items() if name in reach}
    return msgspec.structs.replace(head, chains=chains)


def _checked(work: Work, found: Found | None) -> Head:
    """The head that is kept, if the log holds what it names."""
    if found is None or found.head is None:
        why = "missing" if found is None else found.signature
        raise TamperedLog(
            f"the signed head of the audit log is {why}; 'pymemos audit verify' says what holds without it, and "
            "'pymemos audit head --accept' signs the log as it is"
        )
    cut = lost(work.unit, found.head.chains)
    if cut:
        raise TamperedLog(
            f"the audit log of {cut[0]!r} is not what was signed; 'pymemos audit verify' says where, and "
            "'pymemos audit head --accept' signs it as it is, as after restoring a backup"
        )
    return found.head
