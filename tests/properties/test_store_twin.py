"""The SQLite store driven side by side with its in-memory twin, through crashes, full disks and I/O errors."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace
from tests.properties.operations import IDS, JOB_IDS, NAMES, DeliberateError, Operation, moments, unit_of, units
from tests.properties.rules_kit import usual_whats

from pymemos.adapters.memory import MemoryStore
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.call import Reach, Selection
from pymemos.cube.filters import parse
from pymemos.cube.header import Stage
from pymemos.errors import PymemosError, StoreError, StoreFull, StoreReadOnly
from pymemos.ports import AuditQuery, JobState, Match, ReadUnit, TermWeights, WriteUnit
from pymemos.testing import strategies as kit
from pymemos.testing.builders import EVERYTHING, a_vector
from pymemos.testing.faults import Faults

DEEP = settings().max_examples > 100
SESSIONS = (None, *kit.NAMES[:4])
SOURCES = list(kit.NAMES)
WEIGHTS = [TermWeights(), TermWeights(k1=2.0, b=0.3, terms=1.0, context=0.0, facets=3.0)]
Outcome = tuple[str, Any]  # ("gave", result) or ("raised", the error's type)

parts = st.lists(
    st.tuples(st.sampled_from([*NAMES, "users/eve"]), usual_whats), max_size=3, unique_by=lambda part: part[0]
).map(tuple)
selections = st.builds(
    Selection,
    namespaces=st.none() | st.lists(st.sampled_from([*NAMES, "users/eve"]), max_size=3).map(tuple),
    agent=st.none() | kit.names,
    session=st.none() | kit.names,
    where=st.none() | kit.filters().map(parse),
    valid_at=st.none() | kit.times | moments,
    known_at=st.none() | moments,
    ended_before=st.none() | kit.times,
    episodes=st.booleans(),
    stages=st.none() | st.lists(st.sampled_from(list(Stage)), max_size=4).map(tuple),
    as_of=kit.times | moments,
    rules=st.just(()) | parts,
    reach=st.none() | st.builds(Reach, parts),
)


class Twins(RuleBasedStateMachine):
    """One folder, opened twice as by two processes, beside one memory store that is told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pymemos-twins-"))
        self.faults = Faults()
        self.twin = MemoryStore()
        self.maybe: list[Any] = []  # states that a failed commit may yet come to after a crash
        self.open()

    def open(self) -> None:
        self.handles: list[SqliteStore] = []
        for _ in range(2):
            self.handles.append(SqliteStore(self.folder / "home", vfs=self.faults.name, waiting=3))

    def close(self) -> None:
        for handle in self.handles:
            handle.close()

    def teardown(self) -> None:
        self.faults.heal()
        self.close()
        self.faults.unregister()
        shutil.rmtree(self.folder)

    # Writing.

    @rule(group=units, handle=st.integers(0, 1))
    def write(self, group: list[Operation], handle: int) -> None:
        real, expected, _ = self.both(handle, [group])

        assert real == expected

    @rule(groups=st.lists(units, min_size=2, max_size=4), handle=st.integers(0, 1))
    def write_together(self, groups: list[list[Operation]], handle: int) -> None:
        real, expected, _ = self.both(handle, groups)

        assert real == expected

    # Faults.

    @rule(
        groups=st.lists(units, min_size=1, max_size=3),
        after=st.integers(0, 60),
        seed=st.none() | st.integers(0, 99),
        vanish=st.booleans(),
        power=st.booleans(),
    )
    def crash(self, groups: list[list[Operation]], after: int, seed: int | None, vanish: bool, power: bool) -> None:
        """The n-th operation on the disk is the last one; then the machine, or only the process, starts again."""
        self.faults.crash_after(after)
        before = self.both(0, groups, faulty=True)
        self.faults.crash()
        self.close()
        if power:
            self.faults.power_loss(seed=seed, vanish=vanish)
        else:
            self.faults.reboot()
        self.open()
        self.recover(before)

    @rule(groups=st.lists(units, min_size=1, max_size=2), room=st.integers(0, 20_000), handle=st.integers(0, 1))
    def fill_the_disk(self, groups: list[list[Operation]], room: int, handle: int) -> None:
        self.faults.disk_full(room)
        self.suffer(handle, groups, StoreFull)

    @rule(
        groups=st.lists(units, min_size=1, max_size=2),
        call=st.sampled_from(["xWrite", "xSync", "xRead"]),
        nth=st.integers(1, 12),
        times=st.sampled_from([1, 2, None]),
        handle=st.integers(0, 1),
    )
    def break_the_disk(
        self, groups: list[list[Operation]], call: Any, nth: int, times: int | None, handle: int
    ) -> None:
        self.faults.fail(call, nth=nth, times=times, file="-wal")
        self.suffer(handle, groups, StoreError)

    @rule(groups=st.lists(units, min_size=1, max_size=2), handle=st.integers(0, 1))
    def forbid_writing(self, groups: list[list[Operation]], handle: int) -> None:
        self.faults.read_only()
        self.suffer(handle, groups, StoreReadOnly)

    @rule()
    def reopen(self) -> None:
        before, maybe = self.twin._state, self.maybe
        self.close()
        self.open()
        self.recover([])
        if self.twin._state is before:
            self.maybe = maybe  # the log was unlinked, and may be back after a power failure

    @rule(after=st.integers(0, 30), seed=st.none() | st.integers(0, 99), vanish=st.booleans())
    def crash_while_reopening(self, after: int, seed: int | None, vanish: bool) -> None:
        self.faults.crash_after(after)
        for step in (self.close, self.open):
            kind, error = outcome(step)
            assert kind == "gave" or issubclass(error, StoreError)
        self.faults.crash()
        outcome(self.close)
        self.faults.power_loss(seed=seed, vanish=vanish)
        self.open()
        self.recover([])

    # Reading.

    @rule(
        selection=selections,
        terms=st.lists(st.sampled_from([*kit.WORDS, "absent"]), max_size=4),
        weights=st.sampled_from(WEIGHTS),
        limit=st.integers(0, 4),
        after=st.none() | st.sampled_from(IDS),
        handle=st.integers(0, 1),
    )
    def look(
        self, selection: Selection, terms: list[str], weights: TermWeights, limit: int, after: str | None, handle: int
    ) -> None:
        with self.handles[handle].read() as real, self.twin.read() as twin:
            assert real.page(selection, limit=limit, after=after) == twin.page(selection, limit=limit, after=after)
            assert real.page(selection, limit=99) == twin.page(selection, limit=99)
            assert real.count(selection) == twin.count(selection)
            assert len(real.hidden(selection)) == len(twin.hidden(selection))
            ever = replace(selection, valid_at=None, known_at=None, ended_before=None, stages=None)
            assert real.ever(ever) == twin.ever(ever)
            assert_same_matches(
                real.match(terms, selection, limit=limit, weights=weights),
                twin.match(terms, selection, limit=99, weights=weights),
                limit,
            )

    @invariant()
    def agree(self) -> None:
        expected = self.twin_view()
        for handle in self.handles:
            with handle.read() as unit:
                assert differences(view(unit), expected) == {}

    # How it is done.

    def both(self, handle: int, groups: Sequence[Sequence[Operation]], *, faulty: bool = False) -> Any:
        """Write to the twin and to the store; gives both outcomes and the twin's states before and after.

        Where the store may fail, gives the states that it may be in then.
        """
        before = self.twin._state
        expected = [outcome(lambda g=group: self.twin.write(unit_of(g))) for group in groups]
        real = together(self.handles[handle], groups)
        if not faulty:
            if any(kind == "gave" for kind, _ in real):
                self.maybe = []
            return real, expected, before
        if real == expected:
            return [] if any(kind == "gave" for kind, _ in expected) else self.maybe
        assert_all_failed(real, expected)
        after, self.twin._state = self.twin._state, before
        return [*self.maybe, after]

    def suffer(self, handle: int, groups: Sequence[Sequence[Operation]], error: type[StoreError]) -> None:
        """Write while something is wrong: it works, or fails with the right error and changes nothing."""
        before = self.twin._state
        expected = [outcome(lambda g=group: self.twin.write(unit_of(g))) for group in groups]
        real = together(self.handles[handle], groups)
        self.faults.heal()
        if real == expected:
            self.maybe = [] if any(kind == "gave" for kind, _ in real) else self.maybe
            return
        assert_all_failed(real, expected, error)
        self.maybe.append(self.twin._state)
        self.twin._state = before

    def recover(self, possible: list[Any]) -> None:
        """After a crash: the store is sound, and holds what was acknowledged, or that and what was in flight."""
        assert [finding for finding in self.handles[0].check() if not finding.ok] == []
        with self.handles[0].read() as unit:
            found = view(unit)
        for state in [*possible, *self.maybe]:
            if found != self.twin_view():
                self.twin._state = state
        self.maybe = []

    def twin_view(self) -> dict[str, Any]:
        with self.twin.read() as unit:
            return view(unit)


def outcome(write: Callable[[], Any]) -> Outcome:
    try:
        return "gave", write()
    except (PymemosError, DeliberateError) as error:
        return "raised", type(error)


def together(store: SqliteStore, groups: Sequence[Sequence[Operation]]) -> list[Outcome]:
    """Write each group from a thread of its own, queued in this order while somebody else has the turn."""
    if len(groups) == 1:
        return [outcome(lambda: store.write(unit_of(groups[0])))]
    found: list[Outcome] = [("raised", None)] * len(groups)

    def write(place: int) -> None:
        found[place] = outcome(lambda: store.write(unit_of(groups[place])))

    threads = [threading.Thread(target=write, args=(place,)) for place in range(len(groups))]
    writer = store._writer
    with writer._turn:
        for queued, thread in enumerate(threads, start=1):
            thread.start()
            while len(writer._queue) < queued:
                time.sleep(0)
    for thread in threads:
        thread.join()
    return found


def assert_all_failed(real: list[Outcome], expected: list[Outcome], error: type[StoreError] = StoreError) -> None:
    """One commit carried them all: whoever had not failed already failed with it, each with a typed error."""
    for (kind, result), wanted in zip(real, expected, strict=True):
        assert kind == "raised"
        assert (kind, result) == wanted or issubclass(result, error)


def assert_same_matches(real: list[Match], twin: list[Match], limit: int) -> None:
    """The same memories with the same words and, but for rounding, the same scores, best first."""
    everything = {match.record.cube.id: match for match in twin}
    for match in real:
        other = everything[match.record.cube.id]
        assert (match.record, match.words) == (other.record, other.words)
        assert match.score == pytest.approx(other.score, rel=1e-9, abs=1e-12)
    assert [match.score for match in real] == pytest.approx(
        [match.score for match in twin[:limit]], rel=1e-9, abs=1e-12
    )


def view(unit: ReadUnit | WriteUnit) -> dict[str, Any]:
    """Everything that can be read of a store, but for selections."""
    return {
        "namespaces": (unit.namespaces(), [unit.namespace(name) for name in NAMES]),
        "memories": [(unit.owner_of(id), unit.versions(id), unit.text(id), unit.followers(id)) for id in IDS],
        "current": unit.current(IDS[::-1]),
        "known": (unit.known_ids(None, limit=99), unit.known_ids(NAMES[:2], limit=3, after=IDS[1])),
        "page": (unit.page(EVERYTHING, limit=99), unit.count(EVERYTHING)),
        "lives": (unit.lives(None, limit=99), unit.lives(NAMES[:2], limit=3, after=IDS[1]), unit.lives_of(IDS)),
        "states": [unit.state_changes(id) for id in IDS],
        "edges": [(unit.edges(id), unit.edges(id, kind="next", reverse=True)) for id in IDS],
        "vectors": [sorted_vectors(unit, name, since) for name in NAMES for since in (0, 2)],
        "changes": [changes(unit, name, since) for name in NAMES for since in (0, 2)],
        "turns": [unit.last_turn(name, session) for name in NAMES for session in SESSIONS],
        "around": [unit.turns_around(id) for id in IDS],
        "sources": [unit.by_source(name, session, SOURCES) for name in NAMES for session in SESSIONS],
        "blobs": unit.blobs(),
        "queue": (unit.jobs(), unit.jobs(state=JobState.DEAD), unit.next_due(), [unit.job(id) for id in JOB_IDS]),
        "audit": (unit.audit(AuditQuery()), unit.audit(AuditQuery(memory=IDS[0], limit=2))),
        "chains": [unit.audit_tail(name) for name in NAMES],
        "replays": [unit.replayed(name, key) for name in NAMES for key in ("k", "l")],
        "rules": (unit.rule_changes(), unit.rule_changes(since=2), unit.last_rule_change()),
        "erased": (unit.erased(IDS), [unit.erased_by(f"e{id}", limit=9) for id in IDS], unit.receipts(None, limit=9)),
        "derived": [unit.derivatives([id]) for id in IDS],
        "settings": [unit.setting(name) for name in ("a", "b")],
    }


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The parts of two views that differ, each with both readings."""
    return {part: (found[part], expected[part]) for part in expected if found[part] != expected[part]}


def changes(unit: ReadUnit, namespace: str, since: int) -> list[Any]:
    """What a search would be told, without the keys, which are each store's own."""
    told = unit.changes(namespace, since=since, embedder=a_vector(1.0).embedder)
    return [(one.seq, one.cube, one.valid_to, one.terms, one.length, one.vectors) for one in told]


def sorted_vectors(unit: ReadUnit, namespace: str, since: int) -> list[Any]:
    found = unit.vectors(namespace, since=since)
    assert found == sorted(found, key=lambda stored: (stored.id, stored.vector.part))
    return sorted((one.id, one.vector.part, one.seq_from, one.seq_to or 0, one.vector.values) for one in found)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # apsw reports what SQLite forgives
@pytest.mark.parametrize(("seed", "vanish"), [(None, False), (None, True), (1, True)])
def test_a_crash_at_any_point_of_making_a_store_leaves_a_folder_that_opens(
    tmp_path: Path, seed: int | None, vanish: bool
) -> None:
    crashed, after = True, 0
    while crashed:
        faults, home = Faults(), tmp_path / str(after)
        faults.crash_after(after)
        crashed = outcome(lambda f=faults, h=home: SqliteStore(h, vfs=f.name).close())[0] == "raised"
        faults.power_loss(seed=seed, vanish=vanish)
        store = SqliteStore(home, vfs=faults.name, waiting=3)
        assert [finding for finding in store.check() if not finding.ok] == []
        store.close()
        after += 1

    assert after > 10


TestTwins = pytest.mark.timeout(3600 if DEEP else 120)(Twins.TestCase)
TestTwins.settings = settings(max_examples=400 if DEEP else 20, stateful_step_count=50 if DEEP else 25)
