"""Contract of the queue, and of the ledgers beside it: audit, replays and settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from pymemos.cube.call import Caller, Lease
from pymemos.errors import LeaseLost, StoreError, UnknownJob
from pymemos.ports import AuditQuery, AuditRecord, Job, JobState, Replay, Snapshot, Store, WriteUnit
from pymemos.testing.acts import add
from pymemos.testing.builders import ANA, a_job, an_audit_record, an_entry
from pymemos.testing.doubles import WHEN

BO = "users/bo"
MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)


def _enqueue(store: Store, *jobs: Job) -> list[bool]:
    return store.write(lambda unit: [unit.enqueue(job) for job in jobs])


def _claim(
    store: Store, now: datetime = WHEN, *, worker: str = "w1", kinds: tuple[str, ...] = ("embed",)
) -> Job | None:
    return store.write(lambda unit: unit.claim(worker=worker, now=now, lease_until=now + 5 * MINUTE, kinds=kinds))


def _order(store: Store, now: datetime = WHEN) -> list[str]:
    claimed = []
    while (job := _claim(store, now)) is not None:
        claimed.append(job.id)
    return claimed


class QueueContract:
    """How jobs wait, are leased, fenced off and parked."""

    def test_a_job_is_kept_as_it_was_enqueued(self, store: Store) -> None:
        job = a_job(arguments={"id": "m", "n": [1, None]}, priority=2, dedup_key="m", created=WHEN, error="Timeout")

        assert _enqueue(store, job) == [True]

        with store.read() as unit:
            assert unit.job(job.id) == job
            assert unit.jobs() == [job]

    def test_a_job_is_enqueued_with_the_write_that_causes_it_or_not_at_all(self, store: Store) -> None:
        entry, job = an_entry(), a_job()
        add(store, entry)

        with pytest.raises(StoreError):
            store.write(lambda unit: (unit.enqueue(job), unit.insert(entry)))
        with store.read() as unit:
            assert unit.job(job.id) is None

    def test_an_unfinished_job_of_the_same_kind_and_key_keeps_another_out(self, store: Store) -> None:
        first, again = a_job(dedup_key="m"), a_job(dedup_key="m")

        assert _enqueue(store, first, again, a_job("extract", dedup_key="m"), a_job(dedup_key="n")) == [
            True,
            False,
            True,
            True,
        ]
        assert _claim(store) is not None
        assert _enqueue(store, again) == [False]  # it runs
        store.write(lambda unit: unit.remove_job(first.id))
        assert _enqueue(store, again) == [True]

    def test_a_parked_job_makes_room_for_one_that_is_asked_for_anew(self, store: Store) -> None:
        parked = a_job(dedup_key="m", state=JobState.DEAD, error="Timeout")
        others = [a_job(dedup_key="n", state=JobState.DEAD), a_job("extract", dedup_key="m", state=JobState.DEAD)]
        _enqueue(store, parked, *others, a_job(id="without", state=JobState.DEAD))

        anew, again = a_job(dedup_key="m"), a_job(dedup_key="m")

        assert _enqueue(store, anew, again) == [True, False]
        with store.read() as unit:
            assert unit.job(parked.id) is None
            assert unit.jobs(state=JobState.DEAD, limit=10) == [
                unit.job(one) for one in (*(o.id for o in others), "without")
            ]
            assert unit.jobs(state=JobState.READY) == [anew]
        with pytest.raises(UnknownJob):
            store.write(lambda unit: unit.replace_job(replace(parked, state=JobState.READY)))

    def test_jobs_without_a_key_never_keep_each_other_out(self, store: Store) -> None:
        assert _enqueue(store, a_job(), a_job()) == [True, True]

    def test_a_claim_leases_the_job(self, store: Store) -> None:
        job = a_job()
        _enqueue(store, job)

        claimed = _claim(store)

        expected = replace(job, state=JobState.RUNNING, attempt=1, worker="w1", lease_until=WHEN + 5 * MINUTE)
        assert claimed == expected
        with store.read() as unit:
            assert unit.job(job.id) == expected
        assert _claim(store) is None

    def test_nothing_is_claimed_from_an_empty_queue(self, store: Store) -> None:
        assert _claim(store) is None

    def test_a_job_is_due_at_its_run_time_and_not_before(self, store: Store) -> None:
        _enqueue(store, a_job(run_at=WHEN))

        assert _claim(store, WHEN - MICROSECOND) is None
        assert _claim(store, WHEN) is not None

    def test_only_jobs_of_the_kinds_asked_for_are_claimed(self, store: Store) -> None:
        _enqueue(store, a_job("embed"), a_job("extract", id="x"))

        assert _claim(store, kinds=()) is None
        assert _claim(store, kinds=("scrub",)) is None
        job = _claim(store, kinds=("scrub", "extract"))
        assert job is not None
        assert job.id == "x"

    def test_jobs_go_by_priority_then_time_then_age(self, store: Store) -> None:
        _enqueue(
            store,
            a_job(id="late"),
            a_job(id="later"),
            a_job(id="early", run_at=WHEN - MINUTE),
            a_job(id="urgent", priority=1),
            a_job(id="idle", run_at=WHEN - 9 * MINUTE, priority=-1),
            a_job(id="not yet", run_at=WHEN + MINUTE, priority=9),
        )
        with store.read() as unit:
            listed = [job.id for job in unit.jobs()]
            assert [job.id for job in unit.jobs(limit=2)] == listed[:2]

        assert _order(store) == ["urgent", "early", "late", "later", "idle"]
        assert listed == ["not yet", "urgent", "early", "late", "later", "idle"]

    def test_a_lease_that_ran_out_is_claimed_by_another_worker(self, store: Store) -> None:
        _enqueue(store, a_job(id="j"))
        _claim(store, WHEN)

        assert _claim(store, WHEN + 5 * MINUTE - MICROSECOND, worker="w2") is None
        job = _claim(store, WHEN + 5 * MINUTE, worker="w2")

        assert job is not None
        assert (job.id, job.worker, job.attempt, job.lease_until) == ("j", "w2", 2, WHEN + 10 * MINUTE)

    def test_a_lease_is_held_by_its_worker_and_attempt_alone(self, store: Store) -> None:
        _enqueue(store, a_job(id="j"))
        _claim(store, WHEN)

        held = store.write(lambda unit: unit.leased(Lease(job="j", worker="w1", attempt=1)))
        _claim(store, WHEN + 5 * MINUTE, worker="w1")

        assert held.id == "j"
        with pytest.raises(LeaseLost):
            store.write(lambda unit: unit.leased(Lease(job="j", worker="w1", attempt=1)))
        with pytest.raises(LeaseLost):
            store.write(lambda unit: unit.leased(Lease(job="j", worker="w2", attempt=2)))
        with pytest.raises(LeaseLost):
            store.write(lambda unit: unit.leased(Lease(job="gone", worker="w1", attempt=1)))

    def test_a_job_that_does_not_run_is_leased_to_nobody(self, store: Store) -> None:
        _enqueue(store, a_job(id="j"))
        job = _claim(store)
        assert job is not None
        store.write(lambda unit: unit.replace_job(replace(job, state=JobState.READY)))

        with pytest.raises(LeaseLost):
            store.write(lambda unit: unit.leased(Lease(job="j", worker="w1", attempt=1)))

    def test_a_job_can_be_put_off_and_runs_again(self, store: Store) -> None:
        _enqueue(store, a_job(id="j"))
        job = _claim(store)
        assert job is not None
        later = replace(job, state=JobState.READY, run_at=WHEN + MINUTE, worker=None, lease_until=None, error="Timeout")

        store.write(lambda unit: unit.replace_job(later))

        with store.read() as unit:
            assert unit.job("j") == later
        assert _claim(store) is None
        again = _claim(store, WHEN + MINUTE)
        assert again is not None
        assert (again.attempt, again.error) == (2, "Timeout")

    def test_a_parked_job_is_seen_and_not_claimed(self, store: Store) -> None:
        parked, ready = a_job(id="parked", state=JobState.DEAD), a_job(id="ready", run_at=WHEN + MINUTE)
        _enqueue(store, parked, ready)

        assert _claim(store) is None
        with store.read() as unit:
            assert unit.jobs(state=JobState.DEAD) == [parked]
            assert unit.jobs(state=JobState.READY) == [ready]
            assert unit.jobs(state=JobState.RUNNING) == []
            assert unit.next_due() == WHEN + MINUTE

    def test_a_removed_job_is_gone(self, store: Store) -> None:
        job = a_job()
        _enqueue(store, job)

        store.write(lambda unit: unit.remove_job(job.id))

        with store.read() as unit:
            assert (unit.job(job.id), unit.jobs()) == (None, [])
        with pytest.raises(UnknownJob):
            store.write(lambda unit: unit.replace_job(job))
        store.write(lambda unit: unit.remove_job(job.id))  # no error: both wanted it gone

    def test_the_next_job_is_due_at_its_run_time_or_the_end_of_its_lease(self, store: Store) -> None:
        def next_due() -> datetime | None:
            with store.read() as unit:
                return unit.next_due()

        _enqueue(store, a_job(run_at=WHEN), a_job(run_at=WHEN + 9 * MINUTE))

        assert next_due() == WHEN
        job = _claim(store)
        assert job is not None
        assert next_due() == WHEN + 5 * MINUTE
        store.write(lambda unit: unit.remove_job(job.id))
        assert next_due() == WHEN + 9 * MINUTE
        with store.read() as unit:
            assert unit.next_due(["no such kind"]) is None

    def test_the_next_due_time_can_be_that_of_some_kinds(self, store: Store) -> None:
        _enqueue(store, a_job("embed", run_at=WHEN + MINUTE), a_job("extract", run_at=WHEN))

        with store.read() as unit:
            assert unit.next_due() == unit.next_due(["embed", "extract"]) == WHEN
            assert unit.next_due(["embed"]) == WHEN + MINUTE
            assert unit.next_due(["scrub"]) is unit.next_due([]) is None

    def test_a_running_job_waits_in_the_order_from_the_end_of_its_lease(self, store: Store) -> None:
        _enqueue(store, a_job(id="running", run_at=WHEN - MINUTE), a_job(id="waiting"))

        _claim(store)

        assert _order(store, WHEN + 5 * MINUTE) == ["waiting", "running"]

    def test_no_job_is_claimed_twice_by_workers_in_threads(self, store: Store) -> None:
        _enqueue(store, *(a_job(id=f"j{n}") for n in range(20)))

        def drain(worker: int) -> list[str]:
            claimed = []
            while (job := _claim(store, worker=f"w{worker}")) is not None:
                claimed.append(job.id)
            return claimed

        with ThreadPoolExecutor(4) as pool:
            claimed = [id for mine in pool.map(drain, range(4)) for id in mine]

        assert sorted(claimed) == sorted(f"j{n}" for n in range(20))


class LedgersContract:
    """What the store keeps beside memories: audit chains, results of calls, settings."""

    def test_the_audit_log_is_kept_as_it_was_written(self, store: Store) -> None:
        record = an_audit_record(
            caller=Caller(user="ana", agent="a", steward=True), memories=("m",), count=3, mac="ab", key_id="k"
        )

        _append(store, record)

        with store.read() as unit:
            assert unit.audit(AuditQuery()) == [record]
            assert unit.audit_tail(ANA) == record

    def test_a_chain_takes_the_next_number_and_no_other(self, store: Store) -> None:
        for wrong in (0, 2):
            with pytest.raises(StoreError):
                _append(store, an_audit_record(wrong))
        _append(store, an_audit_record(1), an_audit_record(2))
        for wrong in (1, 2, 4):
            with pytest.raises(StoreError):
                _append(store, an_audit_record(wrong))

        with store.read() as unit:
            tail = unit.audit_tail(ANA)
        assert tail is not None
        assert tail.n == 2

    def test_every_namespace_has_a_chain_of_its_own(self, store: Store) -> None:
        _append(store, an_audit_record(1), an_audit_record(1, BO), an_audit_record(2))

        with store.read() as unit:
            tails = [unit.audit_tail(name) for name in (ANA, BO, "users/eve")]
        assert [tail.n if tail is not None else None for tail in tails] == [2, 1, None]

    def test_the_newest_entries_come_first_as_many_as_asked_for(self, store: Store) -> None:
        times = [WHEN, WHEN + MINUTE, WHEN + MINUTE, WHEN - MINUTE]
        _append(store, *(an_audit_record(n, at=at) for n, at in enumerate(times, 1)))

        assert _audit(store) == [3, 2, 1, 4]
        assert _audit(store, limit=2) == [3, 2]

    def test_the_audit_log_can_be_asked_for_every_part(self, store: Store) -> None:
        _append(
            store,
            an_audit_record(1, at=WHEN, memories=("a", "b")),
            an_audit_record(2, at=WHEN + MINUTE, operation="search", caller=Caller(user="bo")),
            an_audit_record(3, at=WHEN + 2 * MINUTE, caller=Caller(user="ana", steward=True)),
            an_audit_record(1, BO, at=WHEN + 3 * MINUTE),
        )

        assert _audit(store) == [1, 3, 2, 1]
        assert _audit(store, namespaces=(ANA,)) == [3, 2, 1]
        assert _audit(store, namespaces=()) == []
        assert _audit(store, since=WHEN + MINUTE, namespaces=(ANA,)) == [3, 2]
        assert _audit(store, until=WHEN + MINUTE) == [1]
        assert _audit(store, caller="users/bo") == [2]
        assert _audit(store, caller="users/ana", namespaces=(ANA,)) == [3, 1]
        assert _audit(store, operation="search") == [2]
        assert _audit(store, memory="b") == [1]
        assert _audit(store, memory="b", operation="search") == []

    def test_the_result_of_a_call_is_remembered_by_caller_and_key(self, store: Store) -> None:
        replay = Replay(digest="d", ids=("a", "b"), at=WHEN)

        store.write(lambda unit: unit.remember(ANA, "key", replay))

        with store.read() as unit:
            assert unit.replayed(ANA, "key") == replay
            assert unit.replayed(BO, "key") is None
            assert unit.replayed(ANA, "other") is None

    def test_a_result_replaces_the_one_before(self, store: Store) -> None:
        store.write(lambda unit: unit.remember(ANA, "key", Replay(digest="d1", ids=(), at=WHEN)))
        store.write(lambda unit: unit.remember(ANA, "key", Replay(digest="d2", ids=(), at=WHEN)))

        with store.read() as unit:
            assert unit.replayed(ANA, "key") == Replay(digest="d2", ids=(), at=WHEN)

    def test_results_older_than_a_time_are_forgotten(self, store: Store) -> None:
        def work(unit: WriteUnit) -> None:
            for n in range(3):
                unit.remember(ANA, f"key{n}", Replay(digest="d", ids=(), at=WHEN + n * MINUTE))

        store.write(work)

        assert store.write(lambda unit: unit.forget_replays(WHEN + MINUTE)) == 1
        with store.read() as unit:
            assert [unit.replayed(ANA, f"key{n}") is not None for n in range(3)] == [False, True, True]

    def test_settings_are_kept_and_replaced(self, store: Store) -> None:
        store.write(lambda unit: unit.set_setting("analysis", "1"))
        store.write(lambda unit: unit.set_setting("analysis", "2"))

        with store.read() as unit:
            assert unit.setting("analysis") == "2"

    def test_a_moment_has_a_name_in_its_namespace(self, store: Store) -> None:
        mine = Snapshot(name="before", at=WHEN + MINUTE, author=ANA, namespace=ANA)
        first = Snapshot(name="first", at=WHEN, author=ANA, namespace=ANA)
        everybodys = Snapshot(name="before", at=WHEN, author="steward(default)")
        _name(store, mine, first, everybodys)

        with store.read() as unit:
            assert unit.snapshots(ANA) == [first, mine]
            assert unit.snapshots(None) == [everybodys]
            assert unit.snapshots(BO) == []

    def test_a_moment_keeps_its_name(self, store: Store) -> None:
        first = Snapshot(name="before", at=WHEN, author=ANA, namespace=ANA)
        _name(store, first)

        with pytest.raises(StoreError):
            _name(store, Snapshot(name="before", at=WHEN + MINUTE, author=BO, namespace=ANA))

        with store.read() as unit:
            assert unit.snapshots(ANA) == [first]


def _name(store: Store, *moments: Snapshot) -> None:
    def work(unit: WriteUnit) -> None:
        for moment in moments:
            unit.put_snapshot(moment)

    store.write(work)


def _append(store: Store, *records: AuditRecord) -> None:
    def work(unit: WriteUnit) -> None:
        for record in records:
            unit.append_audit(record)

    store.write(work)


def _audit(store: Store, **query: object) -> list[int]:
    with store.read() as unit:
        return [record.n for record in unit.audit(AuditQuery(**query))]  # type: ignore[arg-type]
