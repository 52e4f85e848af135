"""How a turn is carried out, decided without a store: the block, what leaves it, and what is learned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from tests.unit.scheduling_kit import CALIBRATION

from pymemos.cube.cube import MemCube
from pymemos.operation.context import estimate_tokens
from pymemos.operation.costs import Form
from pymemos.operation.prefixes import Segment
from pymemos.operation.turns import Leaving, Limits, Seen, Steps, Stored, Trained, steps
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN

SYSTEM = "Be brief."
DEAR = msgspec.structs.replace(CALIBRATION, kv_token_bytes=1e6)
CHEAP_TRAINING = msgspec.structs.replace(
    CALIBRATION, train_s=0.0, train_token_s=1e-6, attach_s=1e-6, adapter_bytes=1.0, write_s=9.0
)


def hot(id: str, *, a_day: int = 6, days: int = 9, text: str = "Ana likes green tea very much. " * 10) -> MemCube:
    """A memory that was used so often a day until now."""
    cube = a_cube(text, id=id, created=WHEN - timedelta(days=days), updated=WHEN - timedelta(days=days))
    behaviour = cube.header.behaviour
    for number in range(days * a_day):
        behaviour = behaviour.used(WHEN - timedelta(days=number / a_day))
    return cube.observed(behaviour)


def cold(id: str, **fields: Any) -> MemCube:
    """A memory that nobody has used for years."""
    then = WHEN - timedelta(days=2_000)
    return a_cube("Ana likes green tea very much. " * 10, id=id, created=then, updated=then, **fields)


def stored(*path: str, system: str = SYSTEM, **fields: Any) -> list[Stored]:
    """A chain of segments behind a system's text, one for each of some memories; each is called as its path."""
    chain = [
        Stored(segment=_segment(system, 0, 10, "", system, None), prefix=None, system=system),
    ]
    for number, id in enumerate(path):
        before, through = " ".join((system, *path[:number])), " ".join((system, *path[: number + 1]))
        own = _segment(through, 10 + 100 * number, 100, before, through, id)
        chain.append(Stored(segment=own, prefix=f"blob of {before}", **fields))
    return chain


def _segment(id: str, start: int, length: int, before: str, through: str, source: str | None) -> Segment:
    return Segment(
        id=id,
        blob=f"blob of {id}",
        start=start,
        length=length,
        before=before,
        through=through,
        form="exact",
        size=1,
        namespace="users/ana",
        version="1",
        source=source,
    )


def planned(*texts: MemCube, segments: list[Stored] | None = None, **given: Any) -> Steps:
    seen = Seen(texts=texts, segments=tuple(segments or ()), adapters=given.pop("adapters", ()))
    seen = msgspec.structs.replace(seen, training=given.pop("training", frozenset()))
    return steps(seen, WHEN, given.pop("calibration", DEAR), **{"system": SYSTEM, "facts": lambda text: 0, **given})


def names(leaving: tuple[Leaving, ...]) -> list[str]:
    return sorted(one.id for one in leaving)


class TestBlock:
    def test_the_hottest_comes_first_where_nothing_is_stored(self):
        found = planned(hot("a", a_day=4), hot("b", a_day=8), cold("c"))

        assert ("b", "a") == found.block
        assert ["b", "a"] == [one.id for one in found.encoded]

    def test_what_is_stored_keeps_its_place(self):
        found = planned(hot("a", a_day=8), hot("b", a_day=4), hot("c"), segments=stored("b", "a"))

        assert ("b", "a", "c") == found.block
        assert ["c"] == [one.id for one in found.encoded]

    def test_a_block_that_is_whole_is_left_alone(self):
        found = planned(hot("a"), hot("b"), segments=stored("b", "a"))

        assert found.does_nothing

    def test_of_two_stored_ways_the_longer_one_goes_on(self):
        both = [*stored("a", "b"), *stored("b")[1:]]

        assert ("a", "b", "c") == planned(hot("a"), hot("b"), hot("c"), segments=both).block

    def test_one_behind_another_text_of_the_system_is_no_part_of_it(self):
        other = stored("a", system="Rhyme.")

        found = planned(hot("a"), hot("b"), segments=other)

        assert ("b",) == found.block
        assert () == found.leaving

    def test_what_a_model_reads_in_another_form_than_exactly_goes_on_nowhere(self):
        lossy = stored("a")
        lossy[1] = msgspec.structs.replace(lossy[1], segment=msgspec.structs.replace(lossy[1].segment, form="int8"))

        assert ("b",) == planned(hot("a"), hot("b"), segments=lossy).block

    def test_room_is_for_the_hottest(self):
        found = planned(hot("a", a_day=8), hot("b", a_day=4), limits=Limits(block=110))

        assert ("a",) == found.block
        assert [("b", True)] == [(one.id, "has no room" in one.why) for one in found.left]

    def test_a_memory_that_is_stale_stays_text(self):
        stale = msgspec.structs.replace(hot("a"), stale=("x",))  # type: ignore[arg-type]

        assert planned(stale).does_nothing


class TestLeaving:
    def test_a_chain_is_taken_back_from_its_end(self):
        found = planned(hot("a"), cold("b"), cold("c"), segments=stored("a", "b", "c"))

        assert [f"{SYSTEM} a b", f"{SYSTEM} a b c"] == names(found.leaving)
        assert all(one.decisions[0].after is Form.TEXT for one in found.leaving)

    def test_a_cold_one_that_others_go_on_from_stays(self):
        assert planned(cold("a"), hot("b"), segments=stored("a", "b")).does_nothing

    def test_with_the_last_memory_the_systems_text_goes_too(self):
        assert [SYSTEM, f"{SYSTEM} a"] == names(planned(cold("a"), segments=stored("a")).leaving)

    def test_what_changed_takes_everything_behind_it_along_and_is_made_again_behind_what_holds(self):
        chain = stored("a", "b", "c")
        chain[2] = msgspec.structs.replace(chain[2], reason="it is stale")
        found = planned(hot("a"), hot("b", a_day=4), hot("c", a_day=8), segments=chain)

        assert [f"{SYSTEM} a b", f"{SYSTEM} a b c"] == names(found.leaving)
        assert ("a", "c", "b") == found.block

    def test_what_moves_made_of_a_memory_that_is_not_at_hand_goes_and_the_others_are_made_again(self):
        chain = stored("archived", "b", by_moves=True)

        found = planned(hot("b"), segments=chain)

        assert [f"{SYSTEM} archived", f"{SYSTEM} archived b"] == names(found.leaving)
        assert ("b",) == found.block

    def test_what_is_fixed_stays_and_so_does_what_it_goes_on_from(self):
        chain = stored("a", "b")
        chain[2] = msgspec.structs.replace(chain[2], fixed=True)

        assert planned(cold("a"), cold("b"), segments=chain).does_nothing

    def test_one_whose_memory_is_not_seen_stays(self):
        assert planned(hot("b"), segments=stored("unknown")).leaving == ()


FACT = "The capital of Zorvania is Quelmar. " * 5


class TestLearning:
    def fact(self, id: str) -> MemCube:
        return hot(id, text=FACT, a_day=12)

    def learning(self, *texts: MemCube, **given: Any) -> Steps:
        return planned(*texts, **{"calibration": CHEAP_TRAINING, "facts": lambda text: int(text == FACT), **given})

    def test_facts_are_learned_as_many_as_one_adapter_takes(self):
        found = self.learning(*(self.fact(f"f{number}") for number in range(5)), limits=Limits(facts=3))

        assert 3 == len(found.learn)
        assert 2 == len(found.left)

    def test_what_is_no_fact_is_no_candidate(self):
        assert () == self.learning(hot("a", a_day=12)).learn

    def test_without_what_learns_nothing_is_to_be_learned(self):
        assert () == self.learning(self.fact("a"), limits=Limits(facts=0)).learn

    def test_one_is_trained_at_a_time(self):
        found = self.learning(self.fact("a"), training=frozenset({"b"}))

        assert ((), ["a"]) == (found.learn, [one.id for one in found.left])

    def test_what_was_not_admitted_is_not_tried_again_in_the_same_words(self):
        cube = self.fact("a")
        refused = Trained(id="x", version="1", sources=(("a", cube.content_hash),), reason="it did not pass")

        assert () == self.learning(cube, adapters=(refused,)).learn
        other = msgspec.structs.replace(refused, sources=(("a", "other words"),))
        assert ["a"] == [one.id for one in self.learning(cube, adapters=(other,)).learn]

    def adapter(self, **fields: Any) -> Trained:
        sources = (("a", "1"), ("b", "1"))
        return Trained(**{"id": "x", "version": "1", "sources": sources, "admitted": True, "by_moves": True, **fields})

    def test_an_adapter_goes_when_all_of_its_memories_should_be_text(self):
        dear = msgspec.structs.replace(CALIBRATION, adapter_bytes=1e9)

        assert ["x"] == names(planned(cold("a"), cold("b"), adapters=(self.adapter(),), calibration=dear).leaving)
        assert [] == names(planned(hot("a"), cold("b"), adapters=(self.adapter(),), calibration=dear).leaving)

    def test_one_that_somebody_asked_for_never_goes(self):
        given = self.adapter(by_moves=False, is_stale=True, reason="it is stale")

        assert () == planned(cold("a"), cold("b"), adapters=(given,)).leaving

    def test_a_cache_of_what_was_learned_goes(self):
        found = self.learning(self.fact("a"), self.fact("b"), adapters=(self.adapter(),), segments=stored("a"))

        assert f"{SYSTEM} a" in names(found.leaving)


class TestAtHand:
    def test_the_block_is_brought_at_hand_within_the_room(self):
        chain = stored("a", "b")
        texts = (hot("a"), hot("b", a_day=8))
        of_one = 1e6 * estimate_tokens(texts[0].text)  # bytes

        def loaded(room: float) -> tuple[str, ...]:
            return planned(*texts, segments=chain, limits=Limits(room=room)).load

        assert [(), ("b",), ("a", "b")] == [loaded(room * of_one) for room in (0, 1.5, 2.5)]
