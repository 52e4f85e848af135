"""What memories are made from: pinned as it was read, looked at whenever they are served, never stale in silence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from safetensors.numpy import save

from pymemos import Activation, MemCube, MemOS, ModelRef, Parametric, State, errors
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.cube import Source, Standing
from pymemos.cube.header import Behaviour, Lifespan
from pymemos.cube.payload import Plaintext
from pymemos.interface.transfer import from_line
from pymemos.operation.lineage import stale, stale_each, stale_ids
from pymemos.ports import Record
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN, FrozenClock

MODEL = ModelRef(name="tiny", weights="w" * 64, dtype="float32")
DAY = timedelta(days=1)


def standings(cube: MemCube) -> list[str]:
    return [source.standing.value for source in cube.stale]


def a_summary(mem: MemOS, *said: str, text: str = "Ann lives in Lisbon and likes tea.") -> tuple[list[MemCube], str]:
    """Memories of Ann, and the id of one that is made from them."""
    sources = [mem.add(one, user_id="ann").cubes[0] for one in said or ("Ann lives in Lisbon.", "Ann likes tea.")]
    return sources, mem.add(text, user_id="ann", parents=sources).ids[0]


def a_tensor(mem: MemOS, payload: type[Activation] | type[Parametric], **labels: Any) -> str:
    noise = np.random.default_rng(3).standard_normal((2, 5, 4), dtype=np.float32)
    blob, size = mem.put_blob(save({"layers.0.k": noise}))
    form = {"form": "kv", "tokens": 5, "start": 0} if payload is Activation else {"rank": 8}
    return mem.add(payload(blob=blob, size=size, model=MODEL, **form), user_id="ann", **labels).ids[0]


class TestPinning:
    def test_a_text_is_made_from_what_was_read(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        cube = mem.get(id, user_id="ann")

        assert cube.parents == tuple(source.pin() for source in sources)
        assert cube.header.descriptive.origin == "inference_extraction"
        assert cube.stale == ()

    def test_an_id_pins_what_is_current_and_a_cube_what_was_read(self, mem: MemOS) -> None:
        read = mem.add("Ann lives in Lisbon.", user_id="ann").cubes[0]
        changed = mem.update(read.id, "Ann lives in Porto.")

        by_id = mem.add("She is in Porto.", user_id="ann", parents=[read.id]).cubes[0]
        by_cube = mem.add("She is in Lisbon.", user_id="ann", parents=[read]).cubes[0]
        by_pin = mem.add("She is in Lisbon!", user_id="ann", parents=[read.pin()]).cubes[0]

        assert by_id.parents == (changed.pin(),)
        assert by_cube.parents == by_pin.parents == (read.pin(),)
        assert (standings(by_id), standings(by_cube), standings(by_pin)) == ([], ["changed"], ["changed"])

    def test_an_update_pins_its_sources_anew(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        mem.update(sources[0].id, "Ann lives in Porto.")
        assert standings(mem.update(id, tags=["seen"])) == ["changed"]

        newer = mem.update(id, "Ann lives in Porto and likes tea.", parents=[one.id for one in sources])
        assert (standings(newer), standings(mem.get(id))) == ([], [])
        assert mem.update(id, parents=[]).parents == ()

    def test_no_memory_is_made_from_itself(self, mem: MemOS) -> None:
        _, id = a_summary(mem)
        with pytest.raises(errors.InvalidInput, match="from itself"):
            mem.update(id, parents=[id])

    @pytest.mark.parametrize("parents", ["an id", 7, [7], [None], ["x\0"], ["a"] + [str(n) for n in range(1001)]])
    def test_parents_are_a_list_of_what_can_be_one(self, mem: MemOS, parents: Any) -> None:
        with pytest.raises(errors.InvalidInput):
            mem.add("a text", parents=parents)

    def test_two_versions_of_one_source_are_refused(self, mem: MemOS) -> None:
        old = mem.add("one").cubes[0]
        with pytest.raises(errors.InvalidInput, match="twice"):
            mem.add("two", parents=[old, mem.update(old.id, "other")])

    def test_messages_are_made_from_nothing(self, mem: MemOS) -> None:
        source = mem.add("a text").ids
        with pytest.raises(errors.InvalidInput, match="made from nothing"):
            mem.add([{"role": "user", "content": "hi"}], parents=source)

    @pytest.mark.parametrize("tensor", [False, True], ids=["text", "tensor"])
    def test_somebody_elses_memory_is_as_unknown_as_none(self, mem: MemOS, tensor: bool) -> None:
        secret = mem.add("Bo's secret.", user_id="bo").cubes[0]
        nobody = a_cube()
        said = []
        for parent in (secret, secret.id, secret.pin(), nobody, nobody.id):
            guess = partial(a_tensor, mem, Activation) if tensor else partial(mem.add, "guess", user_id="ann")
            with pytest.raises(errors.UnknownMemory) as refused:
                guess(parents=[parent])
            id = parent if isinstance(parent, str) else parent.id
            said.append((type(refused.value), str(refused.value).replace(id, "ID")))

        assert len(set(said)) == 1

    def test_a_retry_gives_the_first_result_as_it_stands_now(self, mem: MemOS) -> None:
        source = mem.add("Ann lives in Lisbon.", user_id="ann").cubes[0]
        first = mem.add("In Lisbon.", user_id="ann", parents=[source], idempotency_key="k")
        mem.update(source.id, "Ann lives in Porto.")

        again = mem.add("In Lisbon.", user_id="ann", parents=[source], idempotency_key="k")

        assert (again.replayed, again.ids, standings(again.cubes[0])) == (True, first.ids, ["changed"])


class TestServing:
    def test_a_changed_source_makes_stale_what_was_made_from_it(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        mem.update(sources[0].id, "Ann lives in Porto.")
        expected = (Source(id=sources[0].id, standing=Standing.CHANGED),)

        hit = next(hit for hit in mem.search("Ann Lisbon tea", user_id="ann") if hit.cube.id == id)
        listed = next(cube for cube in mem.list(user_id="ann") if cube.id == id)

        assert hit.stale == listed.stale == mem.get(id, user_id="ann").stale == expected

    def test_the_same_text_again_is_fresh_again(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        mem.update(sources[0].id, "Ann lives in Porto.")
        mem.update(sources[0].id, "Ann lives in Lisbon.")

        assert mem.get(id).stale == ()

    def test_a_tag_makes_nothing_stale(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        mem.update(sources[0].id, tags=["home"], priority="high", metadata={"a": 1})

        assert mem.get(id).stale == ()

    def test_a_deleted_source_makes_stale(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        mem.delete(sources[1].id)

        assert mem.get(id).stale == (Source(id=sources[1].id, standing=Standing.DELETED),)

    def test_a_source_that_is_over_makes_stale(self, mem: MemOS, clock: FrozenClock) -> None:
        source = mem.add("Ann is in Lisbon until June.", user_id="ann", valid_to=clock() + DAY).cubes[0]
        id = mem.add("Ann is in Lisbon.", user_id="ann", parents=[source]).ids[0]
        assert standings(mem.get(id)) == []

        clock.advance(2 * DAY)
        assert standings(mem.get(id)) == ["ended"]

    def test_what_is_made_from_something_stale_is_stale(self, mem: MemOS) -> None:
        sources, summary = a_summary(mem)
        cache = a_tensor(mem, Activation, parents=[summary])
        assert standings(mem.get(cache)) == []
        mem.update(sources[0].id, "Ann lives in Porto.")

        assert standings(mem.get(cache)) == ["stale"]

    @pytest.mark.parametrize("payload", [Activation, Parametric])
    def test_a_stale_tensor_is_listed_as_stale_and_its_bytes_are_not_handed_out(
        self, mem: MemOS, payload: type[Activation] | type[Parametric]
    ) -> None:
        source = mem.add("Ann lives in Lisbon.", user_id="ann").cubes[0]
        id = a_tensor(mem, payload, parents=[source])
        assert len(mem.open_blob(id)) == mem.get(id).payload.size
        mem.update(source.id, "Ann lives in Porto.")

        [listed] = mem.list(user_id="ann", filters={"kind": mem.get(id).payload.kind})
        assert standings(listed) == ["changed"]
        with pytest.raises(errors.StaleMemory, match="anew from its sources"):
            mem.open_blob(id)
        assert len(mem.open_blob(id, even_stale=True)) == listed.payload.size

    def test_a_context_block_leaves_out_what_is_stale_and_names_it(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        mem.update(sources[0].id, "Ann lives in Porto.")
        hits = mem.search("Ann lives Lisbon Porto tea", user_id="ann")
        block = hits.context()

        assert "Lisbon" not in block
        assert "Porto" in block
        assert block.stale == (id,)
        assert id not in block.memories
        assert f"stale: {sources[0].id} changed" in hits.explain()

    def test_a_look_back_judges_by_its_own_time(self, mem: MemOS, clock: FrozenClock) -> None:
        sources, id = a_summary(mem)
        clock.advance(DAY)
        then = clock()
        clock.advance(DAY)
        mem.update(sources[0].id, "Ann lives in Porto.")
        mem.delete(sources[1].id)
        clock.advance(DAY)

        def at(**times: Any) -> list[str]:
            [cube] = [cube for cube in mem.list(user_id="ann", **times) if cube.id == id]
            return standings(cube)

        assert at(known_at=then) == []
        assert at(known_at=clock()) == ["changed", "deleted"]
        assert at(valid_at=then) == ["deleted"]
        assert at() == ["changed", "deleted"]

    def test_a_source_that_expired_since_was_there_then(self, mem: MemOS, clock: FrozenClock) -> None:
        source = a_cube("for two days", "users/ann", lifespan=Lifespan(ttl_s=2 * 86_400.0))
        record = Record(cube=source, seq_from=1, known_from=WHEN, valid_from=WHEN)
        made = a_cube("made from it", "users/ann", parents=(source.pin(),))
        mem.import_records([(record,), (replace(record, cube=made),)])
        clock.advance(5 * DAY)

        def at(**times: Any) -> list[str]:
            return next(standings(cube) for cube in mem.list(user_id="ann", **times) if cube.id == made.id)

        assert (at(), at(known_at=WHEN + DAY), at(known_at=WHEN + 3 * DAY)) == (["ended"], [], ["deleted"])

    def test_an_old_version_is_judged_by_the_sources_of_now(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        mem.update(sources[0].id, "Ann lives in Porto.")
        mem.update(id, "Ann lives in Porto and likes tea.", parents=[one.id for one in sources])

        assert standings(mem.get(id, version=1)) == ["changed"]
        assert standings(mem.get(id)) == []

    def test_nothing_is_stored_of_it(self, mem: MemOS) -> None:
        sources, id = a_summary(mem)
        before = mem.history(id)
        mem.update(sources[0].id, "Ann lives in Porto.")
        mem.get(id)

        assert mem.history(id) == before

    def test_a_source_of_another_owner_closes_what_was_made_from_it(self, mem: MemOS, tmp_path: Path) -> None:
        """Only an import can bring such a memory (ADR 0026); what the other owner does then makes no difference."""
        with MemOS(tmp_path / "other", store=MemoryStore(), blobs=MemoryBlobs(), clock=FrozenClock()) as other:
            secret = other.add("Bo's secret.", user_id="bo").cubes[0]
            lines = list(other.export_lines(user_id="bo"))
        [record] = from_line(lines[0])
        own = a_cube("made from Bo's", "users/ann", parents=(secret.pin(),))
        mem.import_records([(replace(record, cube=own),)])
        seen = [mem.get(own.id, user_id="ann").stale]
        mem.import_records([(record,)])
        ann = mem.bind(user_id="ann")
        for happens in (lambda: None, lambda: mem.update(secret.id, "another secret"), lambda: mem.delete(secret.id)):
            happens()
            with pytest.raises(errors.UnknownMemory):
                ann.get(own.id)

        assert seen == [(Source(id=secret.id, standing=Standing.UNKNOWN),)]
        assert standings(mem.get(own.id)) == ["deleted"]  # the steward may know

    def test_an_ordinary_search_asks_nothing_more(self, tmp_path: Path) -> None:
        store = CountingStore()
        with MemOS(tmp_path, store=store, blobs=MemoryBlobs()) as mem:
            for n in range(30):
                mem.add(f"tea number {n}", user_id="ann")
            store.asked.clear()
            mem.search("tea", user_id="ann")
            assert store.asked.get("current", 0) == 0
            ids = [one.cube.id for one in mem.search("tea", user_id="ann")]
            for n, id in enumerate(ids):
                mem.add(f"tea of {n}", user_id="ann", parents=[id])
            store.asked.clear()
            hits = mem.search("tea of", user_id="ann", limit=40)

        assert sum(bool(hit.cube.parents) for hit in hits) == len(ids)
        assert store.asked["current"] == 1


class CountingStore(MemoryStore):
    """A store that counts how often a unit is asked for the current versions of some memories."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, int] = {}

    def _read(self) -> Any:
        return _Counting(super()._read(), self.asked)


class _Counting:
    def __init__(self, context: Any, asked: dict[str, int]) -> None:
        self._context, self._asked = context, asked

    def __enter__(self) -> Any:
        self._unit = self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._context.__exit__(*error)

    def current(self, ids: Any) -> Any:
        self._asked["current"] = self._asked.get("current", 0) + 1
        return self._unit.current(ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)


class TestPredicate:
    def test_archived_and_merged_sources_still_hold_and_expired_ones_do_not(self) -> None:
        held = {}
        for state in State:
            source = a_cube(behaviour=Behaviour(state=state))
            held[state] = stale(a_cube(parents=(source.pin(),)), {source.id: source}, WHEN) == ()

        assert held == {state: state is not State.EXPIRED for state in State}

    def test_a_lifespan_that_is_over_ends_a_source(self) -> None:
        source = a_cube(lifespan=Lifespan(expires=WHEN))
        derived, sources = a_cube(parents=(source.pin(),)), {source.id: source}

        assert stale(derived, sources, WHEN - DAY) == ()
        assert stale(derived, sources, WHEN) == (Source(id=source.id, standing=Standing.ENDED),)

    def test_a_time_to_live_ends_a_source_unless_it_is_frozen(self) -> None:
        said: dict[str, Any] = {"lifespan": Lifespan(ttl_s=3600.0), "created": WHEN}
        for frozen, expected in ((False, 1), (True, 0)):
            source = a_cube(frozen=frozen, **said)
            assert len(stale(a_cube(parents=(source.pin(),)), {source.id: source}, WHEN + DAY)) == expected

    def test_a_ring_of_fresh_pins_is_fresh_and_one_change_makes_all_of_it_stale(self) -> None:
        ring = {str(n): a_cube(f"{n}", id=str(n)) for n in range(4)}
        ring = {
            id: a_cube(cube.text, id=id, parents=(ring[str((int(id) + 1) % 4)].pin(),)) for id, cube in ring.items()
        }
        assert stale_ids(ring, WHEN) == set()
        ring["2"] = ring["2"].derive(payload=Plaintext(content="other"))

        assert stale_ids(ring, WHEN) == set(ring)

    @given(st.data())
    def test_it_is_what_walking_every_path_up_would_say(self, data: st.DataObject) -> None:
        cubes = data.draw(_families())
        here = {id: cube for id, cube in cubes.items() if data.draw(st.integers(0, 4))}
        deleted = frozenset(id for id in cubes.keys() - here.keys() if data.draw(st.booleans()))
        now = WHEN + data.draw(st.integers(-1, 2)) * DAY

        for cube, reasons in zip(cubes.values(), stale_each(cubes.values(), here, now, deleted), strict=True):
            assert reasons == stale(cube, here, now, deleted)
            assert bool(reasons) == any(_is_broken(path, now) for path in _paths(cube, here))
            for source in reasons:
                assert source.id in {pin.id for pin in cube.parents}
                assert (source.id in here) == (source.standing not in (Standing.UNKNOWN, Standing.DELETED))
                assert (source.standing is Standing.DELETED) == (source.id in deleted)


@st.composite
def _families(draw: Any) -> dict[str, MemCube]:
    """Some memories made from one another in any way, rings too, of which some have changed or ended since."""
    ids = [f"m{n}" for n in range(draw(st.integers(1, 6)))]
    first = {id: a_cube(f"text of {id}", id=id) for id in ids}
    now = {
        id: cube.derive(payload=Plaintext(content="changed")) if not draw(st.integers(0, 5)) else cube
        for id, cube in first.items()
    }
    family = {}
    for id, cube in now.items():
        pins = tuple(first[other].pin() for other in ids if not draw(st.integers(0, 3)))
        ends = WHEN + DAY if not draw(st.integers(0, 5)) else None
        said = replace(cube.header.descriptive, valid_to=ends)
        family[id] = cube.derive(parents=pins, descriptive=said)
    return family


def _paths(cube: MemCube, here: Mapping[str, MemCube], seen: tuple[str, ...] = ()) -> list[list[Any]]:
    """Every way up from a memory, each source once, as (pin, the source or None).

    Its own version before, which a merge pins too, is its history and no source (ADR 0027).
    """
    found: list[list[Any]] = []
    for pin in (pin for pin in cube.parents if pin.id != cube.id):
        source = here.get(pin.id)
        step = (pin, source)
        further = [] if source is None or pin.id in seen else _paths(source, here, (*seen, pin.id))
        found += [[step, *rest] for rest in further] or [[step]]
    return found


def _is_broken(path: list[Any], now: Any) -> bool:
    for pin, source in path:
        if source is None or source.content_hash != pin.content_hash:
            return True
        end = source.header.descriptive.valid_to
        if end is not None and end <= now:
            return True
    return False
