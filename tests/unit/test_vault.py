"""Which words of the turn before a turn carries, over every way in which either of them changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from pymemos.adapters.memory import MemoryStore
from pymemos.cube.cube import MemCube
from pymemos.cube.header import Access, SemanticType
from pymemos.cube.payload import Plaintext
from pymemos.infrastructure import vault
from pymemos.ports import Store
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN

SECRET = {"sensitivity": ("health",)}


@pytest.fixture
def store() -> Store:
    """An empty store."""
    return MemoryStore()


class TestMayCarry:
    def test_turns_of_one_session_whatever_their_times(self) -> None:
        assert vault.may_carry(_turn(at=1000, session="s"), _turn(session="s"))

    @pytest.mark.parametrize(("hours", "carried"), [(6, True), (7, False), (-7, False)])
    def test_without_a_session_turns_of_the_same_hours(self, hours: int, carried: bool) -> None:
        assert carried == vault.may_carry(_turn(at=hours), _turn())

    def test_without_a_session_turns_of_one_call_whatever_their_times(self) -> None:
        assert vault.may_carry(_turn(at=7, episode="e"), _turn(episode="e"))

    def test_when_it_was_said_counts_and_not_since_when_it_holds(self) -> None:
        assert vault.may_carry(_turn(valid_from=WHEN + timedelta(days=1)), _turn())

    def test_the_order_of_labels_does_not_matter(self) -> None:
        assert vault.may_carry(_turn(sensitivity=("a", "b")), _turn(sensitivity=("b", "a")))

    @pytest.mark.parametrize(
        "other",
        [
            {"semantic_type": SemanticType.FACT},
            {"session": "s"},
            {"namespace": "users/bo", "owner": "users/ana"},
            {"owner": "users/bo"},
            {"access": Access(read=("users/bo",))},
            SECRET,
        ],
        ids=lambda other: "-".join(other),
    )
    def test_nothing_else(self, other: dict[str, Any]) -> None:
        assert not vault.may_carry(_turn(), _turn(**other))
        assert not vault.may_carry(_turn(**other), _turn())


class TestWriting:
    def test_what_may_not_be_carried_leaves_the_link(self, store: Store) -> None:
        cubes = [_turn("Rex loves the beach", **SECRET), _turn("How old is he")]
        _write(store, cubes)

        assert [([], None), ([], 0)] == _carried(store, cubes)

    def test_a_turn_behind_a_note_of_its_call_carries_the_turn_before(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("A note", semantic_type=SemanticType.FACT), _turn("How old is he")]
        _write(store, cubes)

        assert [([], None), ([], None), (["rex"], 0)] == _carried(store, cubes)

    def test_the_turn_before_is_that_of_the_session_however_late(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("How old is he", at=7)]
        for cube in cubes:
            _write(store, [cube])

        assert [([], None), ([], 0)] == _carried(store, cubes)


class TestSuperseding:
    @pytest.mark.parametrize(
        "change", [SECRET, {"semantic_type": SemanticType.FACT}, {"event_time": WHEN - timedelta(days=1)}]
    )
    @pytest.mark.parametrize("which", [0, 1])
    def test_a_change_of_either_takes_the_words_and_a_change_back_brings_them(
        self, store: Store, change: dict[str, Any], which: int
    ) -> None:
        cubes = [_turn("Rex"), _turn("How old is he")]
        _write(store, cubes[:1])
        _write(store, cubes[1:])

        changed = _supersede(store, cubes[which], **change)
        assert [([], None), ([], 0)] == _carried(store, cubes)

        before = {name: getattr(cubes[which].header, _group(name)) for name in change}
        _supersede(store, changed, **{name: getattr(group, name) for name, group in before.items()})
        assert [([], None), (["rex"], 0)] == _carried(store, cubes)

    def test_new_words_are_carried(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("How old is he")]
        _write(store, cubes)
        _supersede(store, cubes[0], text="Bello")

        assert [([], None), (["bello"], 0)] == _carried(store, cubes)

    def test_a_late_correction_stays_the_turn_before(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("How old is he")]
        _write(store, cubes)
        _supersede(store, cubes[0], text="Bello", valid_from=WHEN + timedelta(days=9))

        assert (["bello"], 0) == _carried(store, cubes)[1]

    def test_what_changes_no_word_rewrites_no_other_memory(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("How old is he")]
        _write(store, cubes)
        _supersede(store, cubes[0], tags=("dog",))

        with store.read() as unit:
            assert 1 == len(unit.changes(cubes[0].namespace, since=1))


class TestRetiring:
    def test_the_turn_behind_carries_the_turn_before(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("How old is he"), _turn("Four")]
        _write(store, cubes)
        store.write(lambda unit: vault.retire(unit, cubes[1], WHEN))

        assert (["rex"], 0) == _carried(store, cubes)[2]

    @pytest.mark.parametrize("first", [{"event_time": WHEN - timedelta(hours=10)}, SECRET])
    def test_but_only_words_that_it_may_carry(self, store: Store, first: dict[str, Any]) -> None:
        middle = _turn("How old is he", event_time=WHEN - timedelta(hours=5))
        cubes = [_turn("Rex", **first), middle, _turn("Four")]
        for cube in cubes:
            _write(store, [cube])
        store.write(lambda unit: vault.retire(unit, middle, WHEN))

        assert ([], 0) == _carried(store, cubes)[2]

    def test_of_the_first_turn_nothing_stays(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("How old is he")]
        _write(store, cubes)
        store.write(lambda unit: vault.retire(unit, cubes[0], WHEN))

        assert ([], None) == _carried(store, cubes)[1]

    def test_a_deletion_that_another_store_knew_is_one_too(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("How old is he"), _turn("Four")]
        _write(store, cubes)
        other = MemoryStore()
        _write(other, [cubes[1]])
        other.write(lambda unit: vault.retire(unit, cubes[1], WHEN))
        with other.read() as there:
            records = there.versions(cubes[1].id)
        store.write(lambda unit: vault.adopt(unit, records, WHEN))

        assert (["rex"], 0) == _carried(store, cubes)[2]


class TestAnalysingAnew:
    def test_the_turn_behind_carries_the_words_as_they_are_now(self, store: Store) -> None:
        cubes = [_turn("Rex"), _turn("How old is he")]
        old = msgspec.structs.replace(vault.draft(cubes[0]), terms=("rexes",))
        store.write(lambda unit: vault.write_turns(unit, [old, vault.draft(cubes[1])], WHEN))
        assert (["rexes"], 0) == _carried(store, cubes)[1]

        store.write(lambda unit: vault.retext(unit, cubes[0], WHEN))
        assert (["rex"], 0) == _carried(store, cubes)[1]


def _turn(text: str = "Rex", *, at: float = 0, **declared: Any) -> MemCube:
    return a_cube(text, **{"event_time": WHEN + timedelta(hours=at), **declared})


def _write(store: Store, cubes: list[MemCube]) -> None:
    store.write(lambda unit: vault.write_turns(unit, [vault.draft(cube) for cube in cubes], WHEN))


def _supersede(store: Store, cube: MemCube, text: str | None = None, **declared: Any) -> MemCube:
    """The next version, with other fields declared or another text, written."""
    groups = {"descriptive": cube.header.descriptive, "governance": cube.header.governance}
    for name, value in declared.items():
        groups[_group(name)] = _replaced(groups[_group(name)], name, value)
    newer = cube.derive(**groups, payload=None if text is None else Plaintext(content=text))
    store.write(lambda unit: vault.supersede(unit, vault.draft(newer), WHEN))
    return newer


def _replaced(group: Any, name: str, value: Any) -> Any:
    fields = {field: getattr(group, field) for field in group.__struct_fields__}
    return type(group)(**{**fields, name: value})


def _group(name: str) -> str:
    return "governance" if name in ("sensitivity", "access", "owner") else "descriptive"


def _carried(store: Store, cubes: list[MemCube]) -> list[tuple[list[str], int | None] | None]:
    """Of each memory the words that it carries, and the place of the turn that it follows; None for what is gone."""
    ids = [cube.id for cube in cubes]
    with store.read() as unit:
        rows = [unit.text(id) for id in ids]
    places = {id: place for place, id in enumerate(ids)}
    return [None if row is None else (list(row.context), places.get(row.context_of or "")) for row in rows]
