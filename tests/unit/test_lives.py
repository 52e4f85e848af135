"""The life of a memory as an application sees it: commands, lifespans, use, sweeps, and who is found when (5.4.3)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pymemos import LifecyclePolicy, MemOS, State, errors
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.header import Stage
from pymemos.interface.lifecycle_handlers import Settle
from pymemos.interface.sweeping import EVERY
from pymemos.testing.doubles import FrozenClock, HashingEmbedder

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


def keep(mem: MemOS, text: str = "Ana likes tea.", **given: Any) -> str:
    return mem.add(text, user_id="ana", **given).ids[0]


def listed(mem: MemOS, **given: Any) -> list[str]:
    return [cube.text for cube in mem.list(user_id="ana", **given)]


def found(mem: MemOS, query: str = "tea", **given: Any) -> list[str]:
    return [hit.cube.text for hit in mem.search(query, user_id="ana", **given)]


def state_of(mem: MemOS, id: str) -> State:
    return mem.history(id)[-1].cube.header.behaviour.state


def told(mem: MemOS, id: str) -> list[tuple[Stage, Stage, str, str]]:
    return [(step.before, step.after, step.cause, step.author) for step in mem.passages(id)]


class TestArchive:
    def test_an_archived_memory_is_out_of_the_default_search_and_listing(self, mem: MemOS) -> None:
        tea = keep(mem)
        keep(mem, "Bo likes tea.")
        assert len(found(mem)) == 2

        cube = mem.archive(tea, user_id="ana")

        assert cube.header.behaviour.state is State.ARCHIVED
        assert found(mem) == listed(mem) == ["Bo likes tea."]

    def test_it_is_there_for_whoever_asks(self, mem: MemOS) -> None:
        mem.archive(keep(mem))

        assert found(mem, states=["archived"]) == listed(mem, states=["archived", "expired"]) == ["Ana likes tea."]
        assert found(mem, filters={"state": "archived"}) == listed(mem, filters={"state": "archived"})
        assert found(mem, states=["frozen"]) == listed(mem, states=[]) == []
        assert mem.search("tea", user_id="ana", states=["archived"]).reasons == (
            "it looks into the vault: by words alone",
        )

    def test_it_is_named_by_its_id_as_ever(self, mem: MemOS) -> None:
        tea = keep(mem)
        mem.archive(tea)

        assert mem.get(tea).text == "Ana likes tea."
        assert mem.update(tea, "Ana likes mint tea.").text == "Ana likes mint tea."
        assert found(mem) == []

    def test_activating_brings_it_back_at_once(self, mem: MemOS) -> None:
        tea = keep(mem)
        mem.archive(tea)
        assert found(mem) == []

        cube = mem.activate(tea)

        assert cube.header.behaviour.state is State.ACTIVATED
        assert found(mem) == listed(mem) == ["Ana likes tea."]

    def test_a_command_may_be_repeated_and_is_journalled_once(self, mem: MemOS) -> None:
        tea = keep(mem)
        mem.archive(tea, user_id="ana")
        mem.archive(tea)
        mem.activate(tea)

        assert told(mem, tea) == [
            (Stage.GENERATED, Stage.ARCHIVED, "archive", "users/ana"),
            (Stage.ARCHIVED, Stage.ACTIVATED, "activate", "steward(default)"),
        ]

    def test_a_search_with_vectors_leaves_it_out_too(self, tmp_path: Path) -> None:
        with MemOS(tmp_path, embedder=HashingEmbedder()) as mem:
            tea = keep(mem)
            keep(mem, "Bo likes tea.")
            assert len(found(mem)) == 2
            mem.archive(tea)
            assert found(mem) == ["Bo likes tea."]
            mem.activate(tea)
            assert len(found(mem)) == 2

    def test_somebody_elses_memory_is_as_good_as_unknown(self, mem: MemOS) -> None:
        tea = keep(mem)
        bo = mem.bind(user_id="bo")

        for command in (bo.archive, bo.activate, bo.freeze, bo.unfreeze, bo.passages):
            with pytest.raises(errors.UnknownMemory):
                command(tea)

    def test_another_process_sees_it_at_its_next_search(self, tmp_path: Path) -> None:
        with MemOS(tmp_path) as mem, MemOS(tmp_path) as other:
            tea = keep(mem)
            assert found(other) == ["Ana likes tea."]
            mem.archive(tea)
            assert found(other) == listed(other) == []
            mem.activate(tea)
            assert found(other) == ["Ana likes tea."]

    def test_a_look_back_sees_it_where_it_stood_then(self, mem: MemOS, clock: FrozenClock) -> None:
        tea = keep(mem)
        clock.advance(HOUR)
        mem.archive(tea)
        clock.advance(HOUR)

        assert found(mem, known_at=clock.now - HOUR - HOUR / 2) == ["Ana likes tea."]
        assert found(mem, known_at=clock.now) == listed(mem, known_at=clock.now) == []
        assert listed(mem, known_at=clock.now, states=["archived"]) == ["Ana likes tea."]


class TestFrozen:
    def test_a_frozen_memory_takes_no_edits(self, mem: MemOS) -> None:
        tea = keep(mem)
        frozen = mem.freeze(tea, user_id="ana")

        assert (frozen.revision, frozen.header.governance.frozen) == (2, True)
        for edit in (
            lambda: mem.update(tea, "Ana likes wine."),
            lambda: mem.append(tea, "And wine."),
            lambda: mem.delete(tea),
            lambda: mem.delete(user_id="ana"),
            lambda: mem.archive(tea),
            lambda: mem.activate(tea),
        ):
            with pytest.raises(errors.NotAllowed, match="frozen"):
                edit()
        assert [record.cube.revision for record in mem.history(tea)] == [1, 2]

    def test_it_leaves_the_default_search_and_is_read_on_request(self, mem: MemOS) -> None:
        tea = keep(mem)
        mem.freeze(tea)

        assert found(mem) == listed(mem) == []
        assert found(mem, states=["frozen"]) == listed(mem, filters={"frozen": True}) == ["Ana likes tea."]
        assert mem.get(tea).text == "Ana likes tea."

    def test_only_the_steward_unfreezes_and_the_attempt_is_recorded(self, mem: MemOS) -> None:
        tea = keep(mem)
        mem.freeze(tea, user_id="ana")

        with pytest.raises(errors.NotAllowed, match="steward"):
            mem.unfreeze(tea, user_id="ana")

        refused = [entry for entry in mem.log(user_id="ana") if not entry.allowed]
        assert [(entry.operation, entry.rule) for entry in refused] == [("unfreeze", "steward-only")]
        assert not mem.unfreeze(tea).header.governance.frozen
        assert found(mem) == ["Ana likes tea."]

    def test_its_state_waits_behind_the_mark(self, mem: MemOS) -> None:
        tea = keep(mem)
        mem.archive(tea)
        mem.freeze(tea)
        assert listed(mem, states=["archived"]) == []

        mem.unfreeze(tea)

        assert listed(mem, states=["archived"]) == ["Ana likes tea."]
        assert [step[:3] for step in told(mem, tea)] == [
            (Stage.GENERATED, Stage.ARCHIVED, "archive"),
            (Stage.ARCHIVED, Stage.FROZEN, "freeze"),
            (Stage.FROZEN, Stage.ARCHIVED, "unfreeze"),
        ]

    def test_nothing_expires_or_archives_it(self, mem: MemOS, clock: FrozenClock) -> None:
        tea = keep(mem, lifespan={"ttl_s": 60})
        mem.freeze(tea)
        clock.advance(4_000 * DAY)

        assert mem.sweep().moves == ()
        assert listed(mem, states=["frozen"]) == ["Ana likes tea."]
        mem.unfreeze(tea)
        assert listed(mem, states=["expired"]) == ["Ana likes tea."]

    def test_freezing_again_makes_no_version(self, mem: MemOS) -> None:
        tea = keep(mem)

        assert mem.freeze(tea).revision == mem.freeze(tea).revision == 2
        assert mem.unfreeze(tea).revision == mem.unfreeze(tea).revision == 3

    def test_it_keeps_its_vectors(self, tmp_path: Path) -> None:
        with MemOS(tmp_path, embedder=HashingEmbedder()) as mem:
            tea = keep(mem)
            mem.freeze(tea)
            mem.unfreeze(tea)
            with mem._tools.store.read() as unit:
                assert len(unit.vectors_of(tea)) == 1


class TestExpiry:
    @pytest.mark.parametrize("lifespan", [{"ttl_s": 3600}, {"expires": "2025-05-08T14:56:00Z"}, {"ttl_s": HOUR}])
    def test_no_question_is_answered_from_it_from_its_instant_on(
        self, mem: MemOS, clock: FrozenClock, lifespan: dict[str, Any]
    ) -> None:
        tea = keep(mem, lifespan=lifespan)
        clock.advance(HOUR - MICROSECOND)
        assert found(mem) == listed(mem) == ["Ana likes tea."]
        assert mem.get(tea).text == "Ana likes tea."

        clock.advance(MICROSECOND)

        assert found(mem) == listed(mem) == []
        assert found(mem, filters={"type": "fact"}) == found(mem, valid_at=clock.now) == []
        for read in (mem.get, lambda id: mem.update(id, "x"), mem.archive, mem.activate, mem.freeze):
            with pytest.raises(errors.UnknownMemory, match="expired"):
                read(tea)
        assert [record.cube.text for record in mem.history(tea)] == ["Ana likes tea."]
        assert listed(mem, states=["expired"]) == ["Ana likes tea."]

    def test_a_sweep_writes_it_down_and_changes_no_answer(self, mem: MemOS, clock: FrozenClock) -> None:
        tea = keep(mem, lifespan={"ttl_s": 60})
        clock.advance(HOUR)

        [move] = mem.sweep().moves

        assert (move.id, move.before, move.after, move.cause) == (tea, State.GENERATED, State.EXPIRED, "ttl")
        assert state_of(mem, tea) is State.EXPIRED
        assert listed(mem) == []
        assert listed(mem, states=["expired"]) == ["Ana likes tea."]
        assert mem.sweep().moves == ()

    def test_a_look_back_to_before_its_end_still_sees_it(self, mem: MemOS, clock: FrozenClock) -> None:
        keep(mem, lifespan={"ttl_s": 3600})
        clock.advance(2 * HOUR)
        mem.sweep()

        assert found(mem, known_at=clock.now - HOUR - MICROSECOND) == ["Ana likes tea."]
        assert found(mem, known_at=clock.now - HOUR) == found(mem, known_at=clock.now) == []

    def test_a_new_lifespan_prolongs_its_life(self, mem: MemOS, clock: FrozenClock) -> None:
        tea = keep(mem, lifespan={"ttl_s": 3600})
        mem.update(tea, lifespan={"ttl_s": 7200})
        clock.advance(HOUR)
        assert found(mem) == ["Ana likes tea."]

        mem.update(tea, lifespan={})
        clock.advance(100 * DAY)

        assert found(mem) == ["Ana likes tea."]

    def test_a_message_that_comes_again_after_its_end_is_kept_anew(self, mem: MemOS, clock: FrozenClock) -> None:
        message = [{"role": "user", "content": "The code is 4711.", "id": "m1"}]
        mem.add(message, user_id="ana", lifespan={"ttl_s": 60})
        assert mem.add(message, user_id="ana").deduplicated
        clock.advance(HOUR)

        assert mem.add(message, user_id="ana").deduplicated == ()
        assert listed(mem) == ["The code is 4711."]

    @pytest.mark.parametrize(
        "lifespan",
        [
            {"ttl_s": 0},
            {"ttl_s": -1},
            {"ttl_s": float("nan")},
            {"ttl_s": True},
            {"half_life_s": "1"},
            {"ttl": 3},
            60,
            "x",
        ],
    )
    def test_a_lifespan_that_makes_no_sense_is_refused(self, mem: MemOS, lifespan: Any) -> None:
        with pytest.raises(errors.InvalidInput, match="lifespan"):
            keep(mem, lifespan=lifespan)


class TestUse:
    def test_the_first_use_activates(self, mem: MemOS) -> None:
        tea, other = keep(mem), keep(mem, "Bo likes wine.")
        found(mem, limit=1)
        mem.log()  # writes what waits

        assert (state_of(mem, tea), state_of(mem, other)) == (State.ACTIVATED, State.GENERATED)
        assert told(mem, tea) == [(Stage.GENERATED, Stage.ACTIVATED, "use", "users/ana")]

    def test_a_policy_may_ask_for_more(self, mem: MemOS) -> None:
        mem.set_lifecycle_policy(LifecyclePolicy(activate_heat=3))
        tea = keep(mem)
        for _ in range(2):
            mem.get(tea)
        mem.log()
        assert state_of(mem, tea) is State.GENERATED

        mem.get(tea)
        mem.log()

        assert state_of(mem, tea) is State.ACTIVATED

    def test_whoever_looks_into_the_archive_unpacks_nothing(self, mem: MemOS) -> None:
        tea = keep(mem)
        mem.archive(tea)
        found(mem, states=["archived"])
        mem.get(tea)
        mem.log()

        assert state_of(mem, tea) is State.ARCHIVED
        assert mem.history(tea)[-1].cube.header.behaviour.uses == 2

    def test_appending_merges(self, mem: MemOS) -> None:
        tea = keep(mem)

        merged = mem.append(tea, "And coffee.", user_id="ana")

        assert merged.header.behaviour.state is State.MERGED
        assert told(mem, tea) == [(Stage.GENERATED, Stage.MERGED, "merge", "users/ana")]


class TestSweep:
    def test_disuse_archives_and_use_keeps(self, mem: MemOS, clock: FrozenClock) -> None:
        old, used = keep(mem, "Old tea."), keep(mem, "Used tea.")
        clock.advance(200 * DAY)
        mem.get(used)
        clock.advance(200 * DAY)

        report = mem.sweep()

        assert [(move.id, move.cause) for move in report.moves] == [(old, "disuse")]
        assert (report.examined, report.causes) == (2, {"disuse": 1})
        assert found(mem) == ["Used tea."]

    def test_a_dry_run_says_what_would_happen_and_changes_nothing(self, mem: MemOS, clock: FrozenClock) -> None:
        ids = [keep(mem, f"Tea {n}.", lifespan={"ttl_s": 60} if n % 2 else None) for n in range(10)]
        mem.log()
        before = everything(mem, ids)

        report = mem.sweep(clock.now + 400 * DAY, dry_run=True)

        assert (report.dry_run, report.causes) == (True, {"disuse": 5, "ttl": 5})
        assert everything(mem, ids) == before
        clock.advance(400 * DAY)
        assert mem.sweep().moves == report.moves

    def test_a_quota_keeps_the_hottest(self, mem: MemOS) -> None:
        ids = [keep(mem, f"Tea {n}.") for n in range(5)]
        for id in ids[1:3]:
            mem.get(id)
        mem.set_lifecycle_policy(LifecyclePolicy(quota_memories=2), user_id="ana")

        report = mem.sweep()

        assert {move.id for move in report.moves} == {ids[0], ids[3], ids[4]}
        assert report.moves[0].reason == "5 memories, 2 allowed; its priority is mid, its heat 0"
        assert listed(mem) == ["Tea 1.", "Tea 2."]
        assert mem.sweep().moves == ()

    def test_an_owner_sweeps_what_is_his_own(self, mem: MemOS, clock: FrozenClock) -> None:
        keep(mem)
        mem.add("Bo likes tea.", user_id="bo")
        clock.advance(400 * DAY)

        report = mem.sweep(user_id="bo")

        assert [move.namespace for move in report.moves] == ["users/bo"]
        assert listed(mem) == ["Ana likes tea."]

    def test_what_is_used_while_a_sweep_runs_stays(self, mem: MemOS, clock: FrozenClock) -> None:
        tea = keep(mem)
        clock.advance(400 * DAY)
        planned = mem.sweep(dry_run=True).moves
        mem.get(tea)
        mem.log()

        assert mem._dispatch(mem._everywhere(), Settle(moves=planned)) == ()
        assert listed(mem) == ["Ana likes tea."]

    def test_a_sweep_that_was_cut_off_goes_on_and_does_nothing_twice(self, mem: MemOS, clock: FrozenClock) -> None:
        ids = [keep(mem, f"Tea {n}.") for n in range(10)]
        clock.advance(400 * DAY)
        planned = mem.sweep(dry_run=True).moves
        mem._dispatch(mem._everywhere(), Settle(moves=planned[:4]))

        rest = mem.sweep().moves

        assert [move.id for move in rest] == ids[4:]
        assert mem._dispatch(mem._everywhere(), Settle(moves=planned)) == ()
        assert [len(mem.passages(id)) for id in ids] == [1] * 10

    def test_time_passes_and_the_system_sweeps_by_itself(self, mem: MemOS, clock: FrozenClock) -> None:
        tea = keep(mem, lifespan={"ttl_s": 60})
        assert mem.next_due() == clock.now + EVERY
        clock.advance(EVERY)

        assert len(mem.tick().done) == 1

        assert state_of(mem, tea) is State.EXPIRED
        assert [(step.cause, step.author) for step in mem.passages(tea)] == [("ttl", "system(default)")]
        assert mem.next_due() == clock.now + EVERY
        assert not mem.tick()

    def test_a_turn_far_ahead_sweeps_once(self, mem: MemOS, clock: FrozenClock) -> None:
        tea = keep(mem)
        far = clock.now + 1_000 * DAY

        assert len(mem.tick(far).done) == 1
        assert state_of(mem, tea) is State.ARCHIVED
        assert mem.next_due() == far + EVERY

    def test_the_policies_are_the_stewards_and_fall_back_on_the_stores(self, mem: MemOS) -> None:
        keep(mem)
        store, own = LifecyclePolicy(archive_after_days=9), LifecyclePolicy(archive_after_days=None)
        assert mem.lifecycle_policy() == LifecyclePolicy()

        mem.set_lifecycle_policy(store)
        assert mem.lifecycle_policy(user_id="ana") == store
        assert mem.set_lifecycle_policy(own, user_id="ana") == own
        assert (mem.lifecycle_policy(user_id="ana"), mem.lifecycle_policy()) == (own, store)
        assert mem.set_lifecycle_policy(None, user_id="ana") == store
        with pytest.raises(errors.NotAllowed):
            mem.bind(user_id="ana").set_lifecycle_policy(own)

    @pytest.mark.parametrize("given", [{"archive_after_days": -1}, {"quota_memories": 1.5}, {"activate_heat": None}])
    def test_a_policy_that_makes_no_sense_is_refused(self, mem: MemOS, given: dict[str, Any]) -> None:
        with pytest.raises(errors.InvalidInput, match=next(iter(given))):
            mem.set_lifecycle_policy(LifecyclePolicy(**given))

    @pytest.mark.parametrize("states", ["archived", ["stale"], 3])
    def test_states_that_are_none_are_refused(self, mem: MemOS, states: Any) -> None:
        with pytest.raises(errors.InvalidInput, match="states"):
            mem.list(states=states)


def everything(mem: MemOS, ids: list[str]) -> list[Any]:
    """All that a store says of some memories, the audit log apart."""
    with mem._tools.store.read() as unit:
        return [
            unit.namespaces(),
            unit.jobs(),
            unit.lives(None, limit=99),
            [(unit.versions(id), unit.state_changes(id), unit.text(id)) for id in ids],
            unit.changes("users/ana"),
        ]


SELECT = "SELECT * FROM "


def test_a_dry_run_writes_nothing_but_the_audit_entry_of_its_look(tmp_path: Path) -> None:
    def rows(home: Path) -> dict[str, list[Any]]:
        store = SqliteStore(home)
        with store.read() as unit:
            connection = unit._connection  # type: ignore[attr-defined]
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            found = {name: list(connection.execute(SELECT + name)) for name in names if name != "audit"}
        store.close()
        return found

    clock = FrozenClock()
    with MemOS(tmp_path, clock=clock) as mem:
        for n in range(20):
            keep(mem, f"Tea {n}.")
    before = rows(tmp_path)

    with MemOS(tmp_path, clock=clock) as mem:
        assert len(mem.sweep(clock.now + 400 * DAY, dry_run=True).moves) == 20

    assert rows(tmp_path) == before
