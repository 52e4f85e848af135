"""The operations that the store and its twin are driven with: each reads the unit it is in, then changes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from pymemos.cube.call import Lease
from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Phase, Receipt
from pymemos.cube.filters import parse
from pymemos.cube.header import State
from pymemos.cube.ids import format_id
from pymemos.cube.life import StateChange
from pymemos.cube.policy import STORE, Action, Effect, Policy, Rate, RoleGrant, Rule, RuleChange, parse_when
from pymemos.errors import StaleVersion
from pymemos.ports import Edge, Entry, Job, JobState, Record, Replay, TextRow, Vector, WriteUnit
from pymemos.testing import strategies as kit
from pymemos.testing.builders import a_job, a_vector, an_audit_record
from pymemos.testing.doubles import WHEN

IDS = [format_id(1, n) for n in range(1, 9)]
JOB_IDS = [f"j{n}" for n in range(4)]
NAMES = ("users/ana", "users/bo", "default")
WORKERS = ("w1", "w2")
KINDS = ("embed", "extract")
HOUR = timedelta(hours=1)
RULES: list[Rule | None] = [
    Policy(name="r", actions=(Action.READ,), what=parse({"tags": "ana"}), when=parse_when({"hour": {"gte": 9}})),
    Policy(name="r", effect=Effect.DENY, who=("users/bo",), starts=WHEN, expires=WHEN + HOUR, note="for an hour"),
    Policy(name="r", effect=Effect.LIMIT, rate=Rate(calls=3, per_s=0.5)),
    RoleGrant(name="r", role="cook", to="users/bo", expires=WHEN),
    None,
]


class DeliberateError(Exception):
    """What an operation raises on purpose, to undo the others of its unit."""


@dataclass(frozen=True)
class Operation:
    """One step of a unit: a function of this module and what it is called with beside the unit."""

    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)

    def __call__(self, unit: WriteUnit) -> Any:
        return self.function(unit, **self.arguments)

    def __repr__(self) -> str:
        return f"{self.function.__name__}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"


def unit_of(operations: Sequence[Operation]) -> Callable[[WriteUnit], list[Any]]:
    """The closure that does all of them, and gives what each gave."""
    return lambda unit: [operation(unit) for operation in operations]


# Memories.


def insert(unit: WriteUnit, cube: MemCube, text: TextRow | None, vectors: tuple[Vector, ...], at: datetime) -> Any:
    stamp = unit.advance(cube.namespace, at)
    unit.insert(_entry(unit, cube, text, vectors))
    return stamp


def supersede(
    unit: WriteUnit, id: str, like: MemCube, text: TextRow | None, vectors: tuple[Vector, ...], at: datetime
) -> Any:
    current = unit.current([id])
    cube = _next(current[0].cube if current else replace(like, id=id), like)
    stamp = unit.advance(cube.namespace, at)
    unit.supersede(_entry(unit, cube, text, vectors))
    return stamp


def expected(unit: WriteUnit, id: str, revision: int, like: MemCube, at: datetime) -> Any:
    """A change by somebody who read the memory some time ago."""
    current = unit.current([id])
    if not current or current[0].cube.revision != revision:
        raise StaleVersion()
    return supersede(unit, id, like, None, (), at)


def retire(unit: WriteUnit, id: str, at: datetime) -> Any:
    owner = unit.owner_of(id)
    if owner is not None:
        unit.advance(owner, at)
    return unit.retire(id)


def revive(
    unit: WriteUnit, id: str, like: MemCube, text: TextRow | None, vectors: tuple[Vector, ...], at: datetime
) -> Any:
    """A deleted memory comes back; of one that was not, the store says so."""
    held = unit.versions(id)
    cube = _next(held[-1].cube if held else replace(like, id=id), like)
    unit.advance(cube.namespace, at)
    return unit.revive(_entry(unit, cube, text, vectors))


def adopt(
    unit: WriteUnit, cube: MemCube, more: int, text: TextRow | None, gone: bool, honest: bool, at: datetime
) -> Any:
    """A memory as another store knew it, which may continue the one that is here, or contradict it."""
    records = [replace(record, retired=None) for record in unit.versions(cube.id)] if honest else []
    if not records:
        records = [Record(cube=cube, seq_from=5, known_from=at, valid_from=_valid_from(cube), valid_to=_ends(cube))]
    for _ in range(more):
        records = _continued(records, cube)
    if gone and records[-1].known_to is None:
        end = records[-1].known_from + HOUR
        records[-1] = replace(records[-1], known_to=end)
    if records[-1].known_to is not None:
        records = [replace(record, retired=records[-1].known_to) for record in records]
    for record in records:
        _check_sources(unit, record.cube)
    unit.advance(records[-1].cube.namespace, at)
    unit.adopt(records, None if records[-1].known_to is not None else _fitting(unit, records[-1].cube, text))
    unit.link(edge for record in records for edge in _derivations(record.cube))
    return len(records)


def retext(unit: WriteUnit, id: str, text: TextRow | None, at: datetime) -> Any:
    current = unit.current([id])
    if current:
        unit.advance(current[0].cube.namespace, at)
    return unit.retext(id, _fitting(unit, current[0].cube, text) if current else text)


def put_vectors(unit: WriteUnit, id: str, vectors: tuple[Vector, ...], at: datetime) -> Any:
    owner = unit.owner_of(id)
    if owner is not None:
        unit.advance(owner, at)
    return unit.put_vectors(id, vectors)


def link(unit: WriteUnit, edges: list[Edge]) -> Any:
    """From memories that are there, to none that was erased (ports.WriteUnit.link)."""
    return unit.link([edge for edge in edges if unit.owner_of(edge.source) and not unit.erased([edge.target])])


def use(unit: WriteUnit, ids: list[str], at: datetime) -> Any:
    return unit.use(ids, at)


def move(unit: WriteUnit, id: str, after: State, stale: bool, advanced: bool, at: datetime) -> Any:
    """To another state, perhaps from one that the memory no longer has, or without a seq."""
    facts = unit.lives_of([id])
    before = facts[0].state if facts and not stale else State.GENERATED
    if advanced and facts:
        unit.advance(facts[0].namespace, at)
    return unit.move([StateChange(id=id, at=at, before=before, after=after, cause="archive", author="ana")])


def erase(unit: WriteUnit, ids: list[str], everywhere: bool, at: datetime) -> Any:
    """Memories that may not be there, whose words rows of other namespaces may carry."""
    for name in NAMES if everywhere else dict.fromkeys(owner for id in ids if (owner := unit.owner_of(id))):
        unit.advance(name, at)
    here = [id for id in ids if unit.owner_of(id)] or ids
    receipt = Receipt(id=f"e{here[0]}", at=at, namespace=NAMES[0], by="ana", asked={}, phase=Phase.PENDING)
    unit.put_receipt(receipt)
    counts, followers = unit.erase(here, receipt.id)
    return counts.memories, counts.versions, followers


def unprepared(unit: WriteUnit, cube: MemCube) -> Any:
    """A change in a namespace that the unit may not have advanced."""
    return unit.insert(_entry(unit, cube, None, ()))


# Jobs.


def enqueue(unit: WriteUnit, job: Job) -> Any:
    return unit.enqueue(job)


def claim(unit: WriteUnit, worker: str, kinds: tuple[str, ...], now: datetime) -> Any:
    return unit.claim(worker=worker, now=now, lease_until=now + HOUR, kinds=kinds)


def complete(unit: WriteUnit, lease: Lease) -> Any:
    return unit.remove_job(unit.leased(lease).id)


def fail(unit: WriteUnit, lease: Lease, state: JobState, at: datetime) -> Any:
    job = unit.leased(lease)
    return unit.replace_job(replace(job, state=state, run_at=at, worker=None, lease_until=None, error="Timeout"))


def replace_job(unit: WriteUnit, job: Job) -> Any:
    held = unit.job(job.id) or job  # a job is of one kind for life
    return unit.replace_job(replace(job, kind=held.kind, dedup_key=held.dedup_key))


def remove_job(unit: WriteUnit, id: str) -> Any:
    return unit.remove_job(id)


# Ledgers.


def remember(unit: WriteUnit, caller: str, key: str, replay: Replay) -> Any:
    unit.remember(caller, key, replay)
    return unit.replayed(caller, key)


def forget_replays(unit: WriteUnit, before: datetime) -> Any:
    return unit.forget_replays(before)


def append_audit(unit: WriteUnit, namespace: str, skip: int, memories: tuple[str, ...], at: datetime) -> Any:
    tail = unit.audit_tail(namespace)
    n = (tail.n if tail else 0) + skip
    return unit.append_audit(an_audit_record(n, namespace, memories=memories, at=at))


def set_setting(unit: WriteUnit, name: str, value: str) -> Any:
    unit.set_setting(name, value)
    return unit.setting(name)


def put_rule(unit: WriteUnit, place: str, name: str, rule: Rule | None, at: datetime) -> Any:
    """The next line of the log of rules."""
    last = unit.last_rule_change()
    id = f"r{1 if last is None else last.entry + 1}"
    named = None if rule is None else replace(rule, name=name)
    return unit.put_rule(RuleChange(id=id, namespace=place, name=name, at=at, author=place, rule=named))


def give_up(_: WriteUnit) -> Any:
    raise DeliberateError


# What they are called with.

moments = st.builds(lambda hours: WHEN + hours * HOUR, st.integers(-3, 6))
known = st.sampled_from(IDS)
texts = st.none() | kit.text_rows(st.none() | known)
vectors = st.lists(
    st.builds(
        a_vector, st.floats(-1, 1, width=32), part=st.integers(0, 2), embedder=st.sampled_from(["echo", "other"])
    ),
    max_size=2,
    unique_by=lambda vector: vector.part,
).map(tuple)
edges = st.builds(Edge, source=known, kind=st.sampled_from(["derived_from", "next"]), target=known)
jobs = st.builds(
    lambda id, **given: a_job(id=id, **given),
    st.sampled_from(JOB_IDS),
    kind=st.sampled_from(KINDS),
    run_at=moments,
    priority=st.integers(0, 1),
    dedup_key=st.none() | st.sampled_from(["a", "b"]),
    arguments=st.sampled_from([{}, {"id": "x"}]),
)
leases = st.builds(Lease, job=st.sampled_from(JOB_IDS), worker=st.sampled_from(WORKERS), attempt=st.integers(1, 2))
cubes = kit.cubes(id=known, namespace=st.sampled_from(NAMES))


def _operation(function: Callable[..., Any], **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Operation]:
    return st.builds(Operation, st.just(function), st.fixed_dictionaries(arguments))


_INSERT = _operation(insert, cube=cubes, text=texts, vectors=vectors, at=moments)
_SUPERSEDE = _operation(supersede, id=known, like=cubes, text=texts, vectors=vectors, at=moments)
_CLAIM = _operation(claim, worker=st.sampled_from(WORKERS), kinds=st.sampled_from([KINDS, KINDS[:1], ()]), now=moments)
operations = st.one_of(
    _INSERT,
    _INSERT,
    _SUPERSEDE,
    _SUPERSEDE,
    _operation(expected, id=known, revision=st.integers(1, 3), like=cubes, at=moments),
    _operation(retire, id=known, at=moments),
    _operation(revive, id=known, like=cubes, text=texts, vectors=vectors, at=moments),
    _operation(
        adopt,
        cube=cubes,
        more=st.integers(0, 2),
        text=texts,
        gone=st.booleans(),
        honest=st.sampled_from([True, True, True, False]),
        at=moments,
    ),
    _operation(retext, id=known, text=texts, at=moments),
    _operation(put_vectors, id=known, vectors=vectors, at=moments),
    _operation(link, edges=st.lists(edges, max_size=3)),
    _operation(use, ids=st.lists(known, max_size=3), at=kit.times),
    _operation(
        move,
        id=known,
        after=st.sampled_from(list(State)),
        stale=st.sampled_from([False, False, False, True]),
        advanced=st.sampled_from([True, True, False]),
        at=moments,
    ),
    _operation(
        erase,
        ids=st.lists(known, min_size=1, max_size=2, unique=True),
        everywhere=st.sampled_from([True, True, False]),
        at=moments,
    ),
    _operation(unprepared, cube=cubes),
    _operation(enqueue, job=jobs),
    _operation(enqueue, job=jobs),
    _CLAIM,
    _CLAIM,
    _operation(complete, lease=leases),
    _operation(fail, lease=leases, state=st.sampled_from([JobState.READY, JobState.DEAD]), at=moments),
    _operation(replace_job, job=jobs),
    _operation(remove_job, id=st.sampled_from(JOB_IDS)),
    _operation(
        remember,
        caller=st.sampled_from(NAMES),
        key=st.sampled_from(["k", "l"]),
        replay=st.builds(Replay, digest=kit.names, ids=st.lists(known, max_size=2).map(tuple), at=moments),
    ),
    _operation(forget_replays, before=moments),
    _operation(
        append_audit,
        namespace=st.sampled_from(NAMES),
        skip=st.sampled_from([1, 1, 1, 0, 2]),
        memories=st.lists(known, max_size=2).map(tuple),
        at=moments,
    ),
    _operation(set_setting, name=st.sampled_from(["a", "b"]), value=kit.names),
    _operation(
        put_rule,
        place=st.sampled_from([*NAMES, STORE]),
        name=st.sampled_from(["r", "s"]),
        rule=st.sampled_from(RULES),
        at=moments,
    ),
    _operation(give_up),
)
units = st.lists(operations, min_size=1, max_size=4)


# Entries and records.


def _entry(unit: WriteUnit, cube: MemCube, text: TextRow | None, vectors: tuple[Vector, ...]) -> Entry:
    _check_sources(unit, cube)
    return Entry(
        cube=cube,
        valid_from=_valid_from(cube),
        valid_to=_ends(cube),
        text=_fitting(unit, cube, text),
        vectors=vectors,
        edges=_derivations(cube),
    )


def _fitting(unit: WriteUnit, cube: MemCube, text: TextRow | None) -> TextRow | None:
    """Manifests have no full text (ports.Entry), and nothing names what was erased."""
    if text is None or cube.is_manifest:
        return None
    gone = text.context_of is not None and unit.erased([text.context_of])
    return replace(text, context=(), context_of=None) if gone else text


def _check_sources(unit: WriteUnit, cube: MemCube) -> None:
    """Nothing is made from what was erased (ports.WriteUnit.link)."""
    if unit.erased([parent.id for parent in cube.parents]):
        raise DeliberateError


def _next(cube: MemCube, like: MemCube) -> MemCube:
    """The next version of ``cube``, with everything that it may take over from ``like``."""
    rules = replace(like.header.governance, owner=cube.namespace, namespace=cube.namespace)
    said = like.header.descriptive
    return cube.derive(descriptive=said, governance=rules, payload=like.payload, parents=like.parents)


def _continued(records: list[Record], like: MemCube) -> list[Record]:
    last = records[-1]
    then = (last.known_to or last.known_from) + HOUR
    begins = _valid_from(like)
    ends = begins if last.valid_to is None or last.valid_to > begins else last.valid_to
    closed = replace(last, known_to=last.known_to or then, valid_to=max(ends, last.valid_from))
    cube = _next(last.cube, like)
    return [
        *records[:-1],
        closed,
        Record(cube=cube, seq_from=9, known_from=then, valid_from=begins, valid_to=_ends(cube)),
    ]


def _valid_from(cube: MemCube) -> datetime:
    said = cube.header.descriptive
    return said.valid_from or said.event_time or said.created


def _ends(cube: MemCube) -> datetime | None:
    return cube.header.descriptive.valid_to


def _derivations(cube: MemCube) -> tuple[Edge, ...]:
    return tuple(Edge(source=cube.id, kind="derived_from", target=parent.id) for parent in cube.parents)
