"""Which segment lies where, and which makes room for another: decided by rules, with the reason."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pymemos.cube.header import Priority
from pymemos.errors import SegmentRefused
from pymemos.interface.kv_pool import Keeping, KvPool
from pymemos.operation.tiers import RESIDENT, Budget, Held, Tier, room, wanted
from pymemos.ports import Kv
from pymemos.testing.doubles import WHEN
from pymemos.testing.toy_engine import WIDTH, ToyEngine

BOTH = Budget(device=100, host=100)


def held(blob: str, nbytes: int = 40, tier: Tier = Tier.DEVICE, **fields: Any) -> Held:
    return Held(**{"blob": blob, "nbytes": nbytes, "tier": tier, "last_used": WHEN, **fields})


class TestWanted:
    @pytest.mark.parametrize(
        ("uses", "priority", "frozen", "tier"),
        [
            (1, Priority.MID, False, Tier.DISK),
            (2, Priority.MID, False, Tier.DEVICE),
            (1, Priority.HIGH, False, Tier.DEVICE),
            (9, Priority.LOW, False, Tier.DISK),
            (1, Priority.LOW, True, Tier.DEVICE),
        ],
    )
    def test_memory_is_for_what_is_used_again_or_matters(
        self, uses: int, priority: Priority, frozen: bool, tier: Tier
    ) -> None:
        assert wanted(uses, priority, BOTH, frozen=frozen).tier is tier

    def test_without_a_device_the_memory_of_the_host_is_the_best_place(self) -> None:
        assert wanted(2, Priority.MID, Budget(host=100)).tier is Tier.HOST

    def test_without_any_budget_everything_is_read_from_its_file(self) -> None:
        assert wanted(9, Priority.HIGH, Budget()).tier is Tier.DISK


class TestRoom:
    def test_where_there_is_room_nothing_moves(self) -> None:
        found = room([held("a")], BOTH, Tier.DEVICE, 60, WHEN)

        assert (found.tier, found.steps, found.why) == (Tier.DEVICE, (), "")

    def test_what_matters_least_moves_down_first(self) -> None:
        here = [held("a"), held("b", priority=Priority.LOW)]

        [step] = room(here, BOTH, Tier.DEVICE, 60, WHEN).steps

        assert (step.blob, step.before, step.after) == ("b", Tier.DEVICE, Tier.HOST)
        assert "priority low" in step.why

    def test_what_was_kept_for_a_task_that_is_over_makes_room_before_all_else(self) -> None:
        here = [held("a", priority=Priority.LOW, heat=0.1), held("b", priority=Priority.HIGH, heat=9.0, spare=True)]

        [step] = room(here, Budget(device=100), Tier.DEVICE, 60, WHEN).steps

        assert "b" == step.blob
        assert "its task is over" in step.why
        assert not room([held("a", 60, locks=1, spare=True)], Budget(device=100), Tier.DEVICE, 60, WHEN).is_there

    def test_of_equals_the_one_that_saves_least_moves(self) -> None:
        here = [held("hot", heat=9.0), held("cold", heat=0.5), held("dear", heat=0.5, rebuild_s=5.0)]

        [step] = room(here, Budget(device=120), Tier.DEVICE, 40, WHEN).steps

        assert (step.blob, step.after) == ("cold", Tier.DISK)

    def test_heat_that_is_old_counts_less(self) -> None:
        old = held("old", heat=3.0, last_used=WHEN - timedelta(days=60))
        here = [old, held("new", heat=1.0)]

        [step] = room(here, BOTH, Tier.DEVICE, 60, WHEN).steps

        assert step.blob == "old"

    def test_a_segment_pushes_only_lesser_ones_out_of_the_memory_of_the_host(self) -> None:
        host = held("host", 90, Tier.HOST, heat=5.0)
        lesser = replace(host, heat=0.1)

        kept = room([held("a", 90), host], BOTH, Tier.DEVICE, 90, WHEN).steps
        pushed = room([held("a", 90), lesser], BOTH, Tier.DEVICE, 90, WHEN).steps

        assert [(one.blob, one.after) for one in kept] == [("a", Tier.DISK)]
        assert [(one.blob, one.after) for one in pushed] == [("host", Tier.DISK), ("a", Tier.HOST)]

    @pytest.mark.parametrize("stuck", [{"locks": 1}, {"frozen": True}])
    def test_what_is_in_use_or_frozen_never_moves_and_the_reason_says_so(self, stuck: dict[str, Any]) -> None:
        found = room([held("a", 90, **stuck)], BOTH, Tier.DEVICE, 50, WHEN)

        assert (found.tier, found.steps) == (Tier.HOST, ())
        assert "90 of 100 bytes of the device are in use or frozen" in found.why

    def test_with_everything_locked_it_stays_in_its_file(self) -> None:
        here = [held("a", 90, locks=1), held("b", 90, Tier.HOST, locks=1)]

        found = room(here, BOTH, Tier.DEVICE, 50, WHEN)

        assert (found.tier, found.is_there) == (Tier.DISK, False)
        assert "device" in found.why
        assert "host" in found.why

    def test_what_is_larger_than_the_budget_drives_nothing_out(self) -> None:
        found = room([held("a")], BOTH, Tier.DEVICE, 101, WHEN)

        assert (found.tier, found.steps) == (Tier.DISK, ())
        assert "more than the budget" in found.why

    @given(
        st.lists(
            st.builds(
                Held,
                blob=st.uuids().map(str),
                nbytes=st.integers(1, 60),
                tier=st.sampled_from(RESIDENT),
                priority=st.sampled_from(list(Priority)),
                heat=st.floats(0, 9),
                last_used=st.just(WHEN),
                locks=st.integers(0, 1),
                frozen=st.booleans(),
            ),
            max_size=8,
        ),
        st.integers(1, 120),
        st.sampled_from(RESIDENT),
    )
    def test_the_steps_leave_just_enough_room_and_touch_nothing_that_is_stuck(
        self, given: list[Held], nbytes: int, tier: Tier
    ) -> None:
        taken = {one: sum(held.nbytes for held in given if held.tier is one) for one in RESIDENT}
        budget = Budget(device=max(taken[Tier.DEVICE], 80), host=max(taken[Tier.HOST], 80))

        found = room(given, budget, tier, nbytes, WHEN)

        left = {one.blob: one for one in given}
        for step in found.steps:
            assert not left[step.blob].is_stuck
            assert left[step.blob].tier is step.before
            left[step.blob] = replace(left[step.blob], tier=step.after)
        for one in RESIDENT:
            total = sum(held.nbytes for held in left.values() if held.tier is one)
            assert total + (nbytes if found.tier is one else 0) <= budget.of(one)


class TestPool:
    def test_threads_that_read_the_same_segment_share_it(self) -> None:
        engine = ToyEngine()
        pool = KvPool(engine, Budget(host=10 * WIDTH))
        keeping = Keeping(blob="b", id="m", namespace="n", priority=Priority.HIGH)
        barrier, seen = threading.Barrier(8), []

        def read() -> Kv:
            return engine.prefill([1, 2, 3])

        def use() -> None:
            barrier.wait()
            for _ in range(50):
                lease = pool.lease(keeping, read, WHEN)
                seen.append(lease.tier)
                assert pool.used(Tier.HOST) <= 10 * WIDTH
                lease.release()
                if lease.wanted is not lease.tier:
                    pool.place(keeping, lease.kv, lease.wanted, WHEN)

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        [placed] = pool.placements()
        assert (placed.locks, placed.nbytes, len(seen)) == (0, 3 * WIDTH, 400)

    def test_a_file_that_is_refused_leaves_nothing_behind(self) -> None:
        pool = KvPool(ToyEngine(), Budget(host=10 * WIDTH))

        def read() -> Kv:
            raise SegmentRefused("the header says something else")

        with pytest.raises(SegmentRefused):
            pool.lease(Keeping(blob="b", id="m", namespace="n", priority=Priority.HIGH), read, WHEN)

        assert pool.placements() == ()

    def test_a_segment_of_another_model_cannot_be_placed_and_takes_no_room(self) -> None:
        pool = KvPool(ToyEngine(), Budget(host=10 * WIDTH))
        foreign = ToyEngine(seed=1).prefill([1])

        with pytest.raises(SegmentRefused):
            pool.place(Keeping(blob="b", id="m", namespace="n"), foreign, Tier.HOST, WHEN)

        assert pool.placements() == ()

    def test_what_is_dropped_while_it_is_read_is_found_by_nobody_and_freed_by_the_last_reader(self) -> None:
        engine = ToyEngine()
        pool = KvPool(engine, Budget(host=10 * WIDTH))
        keeping = Keeping(blob="b", id="m", namespace="n", priority=Priority.HIGH)
        kv = engine.prefill([1])
        pool.place(keeping, kv, Tier.HOST, WHEN)
        lease = pool.lease(keeping, lambda: kv, WHEN)

        pool.drop(["b"])

        assert pool.tier_of("b") is Tier.DISK
        assert pool.used(Tier.HOST) == WIDTH
        lease.release()
        assert pool.used(Tier.HOST) == 0

    def test_what_found_no_room_says_so_when_it_is_read_from_its_file_again(self) -> None:
        engine = ToyEngine()
        pool = KvPool(engine, Budget(host=WIDTH))
        keeping = Keeping(blob="b", id="m", namespace="n", priority=Priority.HIGH)
        kv = engine.prefill([1, 2])

        room = pool.place(keeping, kv, Tier.HOST, WHEN)
        lease = pool.lease(keeping, lambda: kv, WHEN)

        assert (room.tier, lease.tier) == (Tier.DISK, Tier.DISK)
        assert "its priority is high, but 32 bytes are more than the budget of the host, 16" in lease.why
