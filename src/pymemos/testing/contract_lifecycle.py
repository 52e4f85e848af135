"""Contract of the life cycle in a store: facts for sweeps, states that move with a journal, and who is found then."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pymemos.cube.header import LIVE, Lifespan, Priority, Stage, State
from pymemos.cube.life import StateChange
from pymemos.errors import StoreError, UnknownMemory
from pymemos.ports import Change, Entry, Store, WriteUnit
from pymemos.testing.acts import add, change, found, remove, search, use
from pymemos.testing.builders import ANA, an_entry, the_next
from pymemos.testing.doubles import WHEN

HOUR = timedelta(hours=1)
BO = "users/bo"


def move(
    store: Store,
    entry: Entry,
    after: State,
    *,
    before: State = State.GENERATED,
    at: datetime = WHEN,
    advance: bool = True,
    cause: str = "archive",
) -> None:
    """Put a memory into another state."""

    def work(unit: WriteUnit) -> None:
        if advance:
            unit.advance(entry.cube.namespace, at)
        unit.move(
            [StateChange(id=entry.cube.id, at=at, before=before, after=after, cause=cause, author=entry.cube.namespace)]
        )

    store.write(work)


class LifecycleContract:
    """What every ``Store`` knows of the lives of its memories."""

    # Moving.

    def test_a_move_changes_the_state_and_no_version_and_is_in_the_journal(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        move(store, tea, State.ARCHIVED, at=WHEN + HOUR)

        with store.read() as unit:
            [record] = unit.versions(tea.cube.id)
            journal = unit.state_changes(tea.cube.id)
        assert (record.cube.header.behaviour.state, record.cube.version) == (State.ARCHIVED, tea.cube.version)
        assert journal == [
            StateChange(
                id=tea.cube.id,
                at=WHEN + HOUR,
                before=State.GENERATED,
                after=State.ARCHIVED,
                cause="archive",
                author=ANA,
            )
        ]

    def test_a_move_from_another_state_than_the_memory_has_is_refused(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        with pytest.raises(StoreError):
            move(store, tea, State.ARCHIVED, before=State.MERGED)

        assert self._changes_of(store, tea) == []

    def test_what_is_deleted_or_unknown_moves_nowhere(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea, an_entry("other"))
        remove(store, tea.cube.id)

        for one in (tea, an_entry("never written")):
            with pytest.raises(UnknownMemory):
                move(store, one, State.ARCHIVED)

    def test_several_moves_of_one_memory_follow_each_other(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        move(store, tea, State.ARCHIVED)
        move(store, tea, State.ACTIVATED, before=State.ARCHIVED)

        assert [one.after for one in self._changes_of(store, tea)] == [State.ARCHIVED, State.ACTIVATED]

    def test_a_state_outlives_the_next_version(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)
        move(store, tea, State.MERGED)

        change(store, the_next(tea, "mint tea"))

        with store.read() as unit:
            assert [one.state for one in unit.lives_of([tea.cube.id])] == [State.MERGED]

    # What searches keep in memory.

    def test_an_archived_memory_is_told_as_gone_and_comes_back(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)
        [before] = self._changes(store)

        move(store, tea, State.ARCHIVED)
        [gone] = self._changes(store, since=1)
        move(store, tea, State.ACTIVATED, before=State.ARCHIVED)
        [back] = self._changes(store, since=2)

        assert gone == Change(key=before.key, seq=2, cube=None)
        assert (back.key, back.seq, back.cube) == (before.key, 3, before.cube)

    def test_a_move_among_the_memories_at_hand_is_no_change_and_needs_no_seq(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        move(store, tea, State.ACTIVATED, advance=False)

        assert self._changes(store, since=1) == []

    def test_a_move_into_the_vault_needs_a_namespace_that_was_advanced(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        with pytest.raises(StoreError):
            move(store, tea, State.ARCHIVED, advance=False)

    def test_a_frozen_memory_is_told_as_gone(self, store: Store) -> None:
        add(store, an_entry("tea", frozen=True))

        assert [told.cube for told in self._changes(store)] == [None]

    def test_a_memory_is_told_with_the_sooner_of_its_ends(self, store: Store) -> None:
        soon, late = WHEN + HOUR, WHEN + 2 * HOUR
        add(
            store,
            an_entry("a", lifespan=Lifespan(expires=soon), valid_to=late),
            an_entry("b", lifespan=Lifespan(ttl_s=7200)),
            an_entry("c", lifespan=Lifespan(expires=late), valid_to=soon),
            an_entry("d"),
        )

        assert [told.valid_to for told in self._changes(store)] == [soon, late, soon, None]

    # Who is found.

    def test_a_selection_finds_those_that_stand_where_it_looks(self, store: Store) -> None:
        archived, expired = an_entry("archived"), an_entry("expired")
        frozen = an_entry("frozen", frozen=True, lifespan=Lifespan(ttl_s=1))
        over = an_entry("over", lifespan=Lifespan(expires=WHEN))
        add(store, an_entry("live"), archived, expired, frozen, over)
        move(store, archived, State.ARCHIVED)
        move(store, expired, State.EXPIRED)

        def stands(*names: Stage) -> list[str]:
            return found(store, stages=names, as_of=WHEN + HOUR)

        assert stands(*LIVE) == ["live"]
        assert stands(Stage.ARCHIVED) == ["archived"]
        assert stands(Stage.EXPIRED) == ["expired", "over"]
        assert stands(Stage.FROZEN) == ["frozen"]
        assert stands() == []
        assert len(found(store)) == 5

    def test_expiry_holds_from_its_instant_on(self, store: Store) -> None:
        add(store, an_entry("tea", lifespan=Lifespan(ttl_s=3600)))

        assert found(store, stages=LIVE, as_of=WHEN + HOUR - timedelta(microseconds=1)) == ["tea"]
        assert found(store, stages=LIVE, as_of=WHEN + HOUR) == []

    def test_a_look_back_sees_where_a_memory_stood_then(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)
        move(store, tea, State.ARCHIVED, at=WHEN + HOUR)
        move(store, tea, State.ACTIVATED, before=State.ARCHIVED, at=WHEN + 3 * HOUR)

        def then(hours: int) -> list[str]:
            moment = WHEN + hours * HOUR
            return found(store, stages=LIVE, known_at=moment, as_of=moment)

        assert [then(hours) for hours in (0, 1, 2, 3)] == [["tea"], [], [], ["tea"]]

    def test_words_are_looked_up_where_the_selection_looks(self, store: Store) -> None:
        tea, mint = an_entry("tea"), an_entry("mint tea")
        add(store, tea, mint)
        move(store, tea, State.ARCHIVED)

        def words(*names: Stage) -> list[str]:
            return [match.record.cube.text for match in search(store, "tea", stages=names, as_of=WHEN)]

        assert words(*LIVE) == ["mint tea"]
        assert words(Stage.ARCHIVED) == ["tea"]

    # Facts.

    def test_the_facts_of_a_life(self, store: Store) -> None:
        span = Lifespan(ttl_s=60.0, half_life_s=5.0)
        tea = an_entry("tea", lifespan=span, priority=Priority.HIGH, updated=WHEN + HOUR)
        add(store, tea)
        use(store, tea.cube.id, at=WHEN + 2 * HOUR)

        with store.read() as unit:
            [facts] = unit.lives(None, limit=10)
            assert unit.lives_of([tea.cube.id, "unknown"]) == [facts]

        assert (facts.id, facts.namespace, facts.revision) == (tea.cube.id, ANA, 1)
        assert (facts.state, facts.uses, facts.last_used, facts.heat) == (State.GENERATED, 1, WHEN + 2 * HOUR, 1.0)
        assert (facts.created, facts.updated, facts.touched) == (WHEN, WHEN + HOUR, WHEN + 2 * HOUR)
        assert (facts.lifespan, facts.priority, facts.frozen, facts.episode) == (span, Priority.HIGH, False, False)
        assert facts.bytes > len("tea")

    def test_facts_come_in_pages_by_id_and_of_some_namespaces(self, store: Store) -> None:
        entries = [an_entry("a"), an_entry("b", BO), an_entry("c")]
        add(store, *entries)
        ids = sorted(entry.cube.id for entry in entries)

        with store.read() as unit:
            assert [one.id for one in unit.lives(None, limit=2)] == ids[:2]
            assert [one.id for one in unit.lives(None, limit=2, after=ids[1])] == ids[2:]
            assert [one.id for one in unit.lives([BO], limit=9)] == [entries[1].cube.id]
            assert unit.lives([], limit=9) == []

    def test_what_has_expired_or_was_deleted_has_no_life_to_sweep(self, store: Store) -> None:
        expired, gone = an_entry("expired"), an_entry("gone")
        add(store, expired, gone)
        move(store, expired, State.EXPIRED)
        remove(store, gone.cube.id)

        with store.read() as unit:
            assert unit.lives(None, limit=9) == []
            assert [one.state for one in unit.lives_of([expired.cube.id, gone.cube.id])] == [State.EXPIRED]

    # Heat.

    def test_uses_heat_a_memory_which_cools_by_halves(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        use(store, tea.cube.id, tea.cube.id, at=WHEN)
        use(store, tea.cube.id, at=WHEN + timedelta(days=14))

        with store.read() as unit:
            [facts] = unit.lives_of([tea.cube.id])
        assert (facts.uses, facts.heat) == (3, 2.0)
        assert facts.heat_at(WHEN + timedelta(days=28)) == 1.0

    def test_a_use_that_is_reported_late_counts_for_when_it_was(self, store: Store) -> None:
        tea = an_entry("tea")
        add(store, tea)

        use(store, tea.cube.id, at=WHEN + timedelta(days=14))
        use(store, tea.cube.id, at=WHEN)

        with store.read() as unit:
            [facts] = unit.lives_of([tea.cube.id])
        assert (facts.last_used, facts.heat) == (WHEN + timedelta(days=14), 1.5)

    def _changes(self, store: Store, since: int = 0) -> list[Change]:
        with store.read() as unit:
            return unit.changes(ANA, since=since)

    def _changes_of(self, store: Store, entry: Entry) -> list[StateChange]:
        with store.read() as unit:
            return unit.state_changes(entry.cube.id)
