"""The pool of segments as a machine: whatever happens, every segment is in one place, and the bytes add up."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pymemos.cube.header import Priority
from pymemos.interface.kv_pool import Keeping, KvPool, Lease
from pymemos.operation.tiers import RESIDENT, Budget, Tier
from pymemos.ports import Kv
from pymemos.testing.doubles import WHEN
from pymemos.testing.toy_engine import WIDTH, ToyEngine

BLOBS = [f"blob{n}" for n in range(8)]
LENGTHS = {blob: 1 + n % 4 for n, blob in enumerate(BLOBS)}  # tokens
TICK = timedelta(minutes=1)


class PoolMachine(RuleBasedStateMachine):
    """Leases, releases, evictions and drops over a pool that has room for a few segments."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = ToyEngine()
        self.budget = Budget(device=5 * WIDTH, host=7 * WIDTH)
        self.pool = KvPool(self.engine, self.budget, timer=lambda: 0.0)
        self.now = WHEN
        self.leases: list[tuple[str, Lease]] = []
        self.wanted: dict[str, tuple[Keeping, Lease]] = {}
        self.orphans: set[int] = set()  # leases of what was dropped meanwhile
        self.frozen: set[str] = set()

    def read(self, blob: str) -> Kv:
        tokens = [BLOBS.index(blob)] * LENGTHS[blob]
        return self.engine.place(self.engine.prefill(tokens), on_device=False)

    @rule(
        blob=st.sampled_from(BLOBS),
        priority=st.sampled_from(list(Priority)),
        heat=st.floats(0, 5),
        frozen=st.booleans(),
    )
    def lease(self, blob: str, priority: Priority, heat: float, frozen: bool) -> None:
        self.now += TICK
        keeping = Keeping(blob=blob, id=blob, namespace="n", priority=priority, heat=heat, frozen=frozen)
        before = self.pool.tier_of(blob)

        lease = self.pool.lease(keeping, lambda: self.read(blob), self.now)

        assert lease.why
        assert lease.kv.tokens == (BLOBS.index(blob),) * LENGTHS[blob]
        assert before not in RESIDENT or lease.tier is before  # what lies in memory is not moved by a use
        assert lease.kv.on_device == (lease.tier is Tier.DEVICE)
        assert not [one for one in self.pool.placements() if one.blob == blob and one.spare and not one.leaving]
        self.leases.append((blob, lease))
        self.wanted[blob] = (keeping, lease)
        if before in RESIDENT:
            (self.frozen.add if frozen else self.frozen.discard)(blob)

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), only_if_free=st.booleans())
    def keep(self, data: st.DataObject, only_if_free: bool) -> None:
        """Bring what was read where it is wanted, or where it is not."""
        blob = data.draw(st.sampled_from(sorted(self.wanted)))
        keeping, lease = self.wanted.pop(blob)
        before = self.pool.tier_of(blob)
        stays = {one.blob for one in self.pool.placements() if not one.spare}
        tier = data.draw(st.sampled_from([*RESIDENT, lease.wanted]))
        if tier is Tier.DISK:
            return

        room = self.pool.place(keeping, lease.kv, tier, self.now, only_if_free=only_if_free)

        after = self.pool.tier_of(blob)
        assert after is before if before in RESIDENT else after is room.tier
        assert room.tier in (tier, tier.below) or room.why
        assert not only_if_free or stays <= {one.blob for one in self.pool.placements()}
        if before not in RESIDENT and after in RESIDENT and keeping.frozen:
            self.frozen.add(blob)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        _, lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.orphans.discard(id(lease))
        lease.release()
        lease.release()  # once more does nothing

    @rule(blob=st.sampled_from(BLOBS))
    def evict(self, blob: str) -> None:
        lies = self.pool.tier_of(blob) in RESIDENT
        in_use = any(
            one == blob and lease.tier in RESIDENT and id(lease) not in self.orphans for one, lease in self.leases
        )

        why = self.pool.evict(blob)

        assert (why == "") == (lies and blob not in self.frozen and not in_use)
        if why == "":
            assert self.pool.tier_of(blob) is Tier.DISK

    @rule(blobs=st.sets(st.sampled_from(BLOBS), max_size=3))
    def drop(self, blobs: set[str]) -> None:
        self.pool.drop(blobs)

        assert all(self.pool.tier_of(blob) is Tier.DISK for blob in blobs)
        self.orphans |= {id(lease) for blob, lease in self.leases if blob in blobs}
        self.frozen -= blobs

    @rule(blobs=st.sets(st.sampled_from(BLOBS), max_size=3), spare=st.booleans(), own=st.booleans())
    def spare(self, blobs: set[str], spare: bool, own: bool) -> None:
        """The task of some segments is over, or not; nobody says so of those of others, or of what is in use."""
        before = {one.blob: one for one in self.pool.placements() if not one.leaving}

        self.pool.spare(blobs, "n" if own else "others", spare=spare)

        for one in self.pool.placements():
            if one.leaving:
                continue
            told = own and one.blob in blobs and not (spare and one.locks)
            assert one.spare == (spare if told else before[one.blob].spare)

    @rule(blob=st.sampled_from(BLOBS), frozen=st.booleans())
    def freeze(self, blob: str, frozen: bool) -> None:
        self.pool.freeze(blob, frozen)
        if self.pool.tier_of(blob) in RESIDENT:
            (self.frozen.add if frozen else self.frozen.discard)(blob)

    @invariant()
    def no_budget_is_exceeded_and_the_bytes_add_up(self) -> None:
        placed = self.pool.placements()
        for tier in RESIDENT:
            taken = sum(one.nbytes for one in placed if one.tier is tier)
            assert taken == self.pool.used(tier) <= self.budget.of(tier)
        assert all(one.nbytes == LENGTHS[one.blob] * WIDTH for one in placed)

    @invariant()
    def every_segment_is_found_in_at_most_one_place(self) -> None:
        here = [one for one in self.pool.placements() if not one.leaving]
        assert len({one.blob for one in here}) == len(here)
        assert all(self.pool.tier_of(one.blob) is one.tier for one in here)
        assert {blob for blob in BLOBS if self.pool.tier_of(blob) in RESIDENT} == {one.blob for one in here}
        assert all(one.locks for one in self.pool.placements() if one.leaving)

    @invariant()
    def what_is_in_use_stays_where_it_is(self) -> None:
        """Every lease of what lies in memory is a lock of it, and there are no others."""
        held = [blob for blob, lease in self.leases if lease.tier in RESIDENT]
        locks = dict.fromkeys(held, 0)
        for one in self.pool.placements():
            locks[one.blob] = locks.get(one.blob, 0) + one.locks
        assert {blob: count for blob, count in locks.items() if count} == {blob: held.count(blob) for blob in held}

    @invariant()
    def what_is_frozen_stays(self) -> None:
        assert all(self.pool.tier_of(blob) in RESIDENT for blob in self.frozen)

    def teardown(self) -> None:
        for _, lease in self.leases:
            lease.release()
        assert all(one.locks == 0 for one in self.pool.placements())
        self.pool.drop(BLOBS)
        assert self.pool.placements() == ()


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase
