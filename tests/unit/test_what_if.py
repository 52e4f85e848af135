"""What-if: a world in which memories change, and nothing outside of it does."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import apsw
import pytest

from pymemos import MemOS
from pymemos.cube.payload import Activation, ModelRef
from pymemos.errors import CannotWiden, InvalidInput, NotAllowed, StaleVersion, UnknownMemory, WorldClosed
from pymemos.testing.doubles import FrozenClock, HashingEmbedder

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock():
    return FrozenClock(NOW)


@pytest.fixture
def mem(tmp_path, clock):
    with MemOS(tmp_path / "home", clock=clock, embedder=HashingEmbedder(64)) as mem:
        yield mem


@pytest.fixture
def lisbon(mem):
    return mem.add("Ana lives in Lisbon.", user_id="ana").ids[0]


def texts(page):
    return [cube.text for cube in page]


def rows(mem):
    """Every row of every table, as text, but for the log of access, which is written down first."""
    mem._api.buffer.flush()
    connection = apsw.Connection(str(mem._settings.home / "store.db"))
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    kept = [name for name in names if not name.startswith("audit")]
    held = {name: list(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in kept}  # noqa: S608
    connection.close()
    return held


# What is seen in a world.


def test_a_world_begins_as_the_store_is_and_goes_its_own_way(mem, lisbon):
    tea = mem.add("Ana likes tea.", user_id="ana").ids[0]

    with mem.what_if(user_id="ana") as world:
        assert texts(world.list()) == ["Ana lives in Lisbon.", "Ana likes tea."]
        porto = world.add("Ana moved to Porto.").ids[0]
        world.update(lisbon, "Ana lived in Lisbon.")
        world.append(lisbon, "Until May.")
        world.delete(tea)

        assert texts(world.list()) == ["Ana lived in Lisbon.\nUntil May.", "Ana moved to Porto."]
        assert world.get(porto).text == "Ana moved to Porto."
        assert world.get(lisbon, version=1).text == "Ana lives in Lisbon."
        assert len(world.history(lisbon)) == 3
        assert "+Ana lived in Lisbon." in world.diff(lisbon, 1, 2).text
        with pytest.raises(UnknownMemory):
            world.get(tea)
        assert {one.id: (one.what, one.after and one.after.text) for one in world.changes()} == {
            lisbon: ("changed", "Ana lived in Lisbon.\nUntil May."),
            tea: ("deleted", None),
            porto: ("added", "Ana moved to Porto."),
        }
        assert str(world.changes()[1]) == f"deleted {tea}: 'Ana likes tea.'"
    assert texts(mem.list(user_id="ana")) == ["Ana lives in Lisbon.", "Ana likes tea."]


def test_a_search_ranks_both_sides_as_one_and_explains_itself(mem, lisbon):
    with mem.what_if(user_id="ana") as world:
        porto = world.add("Ana lives in Porto.").ids[0]
        hits = world.search("Where does Ana live?")

        assert {hit.cube.id for hit in hits} == {lisbon, porto}
        assert hits[0].score == pytest.approx(hits[1].score)  # they say as much
        assert "in a what-if" in hits.explain()
        assert "BM25: ana" in str(hits[0].why)
        assert "Porto" in str(hits.context())
        assert [hit.cube.text for hit in world.search("Porto", filters={"content": {"contains": "Porto"}})] == [
            "Ana lives in Porto."
        ]
    assert [hit.cube.id for hit in mem.search("Where does Ana live?", user_id="ana")] == [lisbon]


def test_what_is_added_scores_as_it_would_in_the_store(mem):
    mem.add("Ana lives in Lisbon.", user_id="ana")
    with mem.what_if(user_id="ana") as world:
        world.add("Ana moved to Porto.")
        imagined = [(hit.cube.text, hit.score) for hit in world.search("Where did Ana move?")]
    mem.add("Ana moved to Porto.", user_id="ana")

    real = [(hit.cube.text, hit.score) for hit in mem.search("Where did Ana move?", user_id="ana")]

    assert [text for text, _ in imagined] == [text for text, _ in real]
    assert [score for _, score in imagined] == pytest.approx([score for _, score in real], abs=1e-6)


def test_what_was_appended_is_found_by_its_meaning(mem, lisbon):
    with mem.what_if(user_id="ana") as world:
        world.append(lisbon, "She rows there.")

        [hit] = world.search("She rows there.")

        assert "meaning" in [signal.name for signal in hit.why]


def test_a_conversation_carries_on_in_a_world(mem):
    mem.add([{"role": "user", "content": "I swim.", "id": "m1"}], user_id="ana", session_id="s")

    with mem.what_if(user_id="ana", session_id="s") as world:
        again = world.add([{"role": "user", "content": "I swim.", "id": "m1"}])
        more = world.add([{"role": "assistant", "content": "Where?"}, {"role": "user", "content": "In the sea."}])

        assert again.deduplicated == again.ids
        assert len(more.ids) == 2
        assert texts(world.list(session_id="s")) == ["I swim.", "Where?", "In the sea."]


def test_an_archived_memory_is_found_where_it_is_asked_for(mem, lisbon):
    mem.archive(lisbon, user_id="ana")

    with mem.what_if(user_id="ana") as world:
        world.update(lisbon, "Ana lived in Lisbon.")

        assert len(world.search("Lisbon")) == 0
        assert [hit.cube.text for hit in world.search("Lisbon", states=["archived"])] == ["Ana lived in Lisbon."]


def test_two_worlds_know_nothing_of_each_other(mem, lisbon):
    with mem.what_if(user_id="ana") as one, mem.what_if(user_id="ana") as other:
        one.update(lisbon, "Ana lives in Porto.")
        other.delete(lisbon)

        assert (texts(one.list()), texts(other.list())) == (["Ana lives in Porto."], [])


def test_several_threads_may_use_a_world(mem):
    with mem.what_if(user_id="ana") as world:
        threads = [threading.Thread(target=world.add, args=(f"thought {n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(world.list()) == 8


# The moment.


def test_what_the_store_does_later_is_not_seen(mem, lisbon):
    tea = mem.add("Ana likes tea.", user_id="ana").ids[0]
    with mem.what_if(user_id="ana") as world:
        mem.update(lisbon, "Ana lives in Oslo.", user_id="ana")  # the clock stands still, and still it is later
        mem.delete(tea, user_id="ana")
        oslo = mem.add("Ana skis in Oslo.", user_id="ana").ids[0]

        assert texts(world.list()) == ["Ana lives in Lisbon.", "Ana likes tea."]
        assert len(world.history(lisbon)) == 1
        assert [hit.cube.id for hit in world.search("Oslo skis Lisbon tea")] != []
        assert all("Oslo" not in hit.cube.text for hit in world.search("Oslo skis Lisbon tea"))
        with pytest.raises(UnknownMemory):
            world.get(oslo)
        assert world.update(lisbon, "Ana lives in Porto.").revision == 2
        assert world.changes()[0].before.text == "Ana lives in Lisbon."


def test_a_world_may_begin_at_an_earlier_moment_or_at_a_snapshot(mem, clock, lisbon):
    taken = mem.snapshot("spring", user_id="ana")
    clock.advance(HOUR)
    mem.update(lisbon, "Ana lives in Oslo.", user_id="ana")
    clock.advance(HOUR)

    for moment in (taken, "spring", NOW + HOUR / 2, (NOW + HOUR / 2).isoformat()):
        with mem.what_if(known_at=moment, user_id="ana") as world:
            world.add("Ana rows in Lisbon.")
            assert next(hit.cube.text for hit in world.search("Where does Ana live?")) == "Ana lives in Lisbon."
            assert texts(world.list()) == ["Ana lives in Lisbon.", "Ana rows in Lisbon."]
            assert all(cube.header.descriptive.created <= world.at for cube in world.list())
    with pytest.raises(InvalidInput, match="to come"):
        mem.what_if(known_at=NOW + 9 * HOUR, user_id="ana")
    with pytest.raises(InvalidInput, match="name of a snapshot"):
        mem.what_if(known_at="autumn", user_id="ana")


def test_time_stands_still_in_a_world(mem, clock):
    mem.add("Ana is at lunch.", user_id="ana", valid_to=NOW + HOUR)
    with mem.what_if(user_id="ana") as world:
        clock.advance(9 * HOUR)

        assert "Ana is at lunch." in [hit.cube.text for hit in world.search("Where is Ana?")]
    assert "Ana is at lunch." not in [hit.cube.text for hit in mem.search("Where is Ana?", user_id="ana")]


def test_what_is_erased_from_the_store_is_gone_in_every_world(mem, lisbon):
    with mem.what_if(user_id="ana") as world, mem.what_if(user_id="ana") as other:
        world.update(lisbon, "Ana lives in Porto.")
        world.search("Porto")
        connection = apsw.Connection(str(mem._settings.home / "store.db"))
        connection.setbusytimeout(5_000)
        for table in ("texts", "vectors", "usage", "memories"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        connection.close()

        for each in (world, other):
            with pytest.raises(UnknownMemory):
                each.get(lisbon)
            assert texts(each.list()) == []
            assert len(each.search("Where does Ana live, in Porto?")) == 0
            assert each.changes() == ()


# What stays as it is.


def test_nothing_is_written_but_entries_in_the_log_of_access(mem, lisbon):
    frozen = mem.add("Ana was born in May.", user_id="ana").ids[0]
    mem.freeze(frozen, user_id="ana")
    before = rows(mem)

    with mem.what_if(user_id="ana") as world:
        world.add([{"role": "user", "content": "I moved."}, {"role": "assistant", "content": "Where to?"}])
        world.update(lisbon, "Ana lives in Porto.")
        world.append(lisbon, "By the river.")
        world.update(frozen, "Ana was born in June.")
        world.search("Where does Ana live?")
        world.get(lisbon)
        world.delete(user_id="ana")

    assert rows(mem) == before
    assert [record.operation for record in mem.log(user_id="ana")][:8] == ["in_what_if"] * 7 + ["what_if"]
    assert {record.used for record in mem.log(operation="in_what_if")} == {False}
    assert mem.get(lisbon, user_id="ana").header.behaviour.uses == 0


def test_the_log_names_the_memories_of_the_store_that_were_read_and_no_others(mem, lisbon):
    with mem.what_if(user_id="ana") as world:
        world.add("Ana moved to Porto.")
        world.search("Ana")
        world.add("Ana rows.")

    entries = mem.log(operation="in_what_if")

    assert [record.memories for record in entries] == [(), (lisbon,), ()]


def test_no_transaction_is_held_between_calls(mem, lisbon):
    with mem.what_if(user_id="ana") as world:
        world.update(lisbon, "Ana lives in Porto.")
        world.search("Porto")
        connection = apsw.Connection(str(mem._settings.home / "store.db"))

        busy, *_ = next(iter(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")))

        connection.close()
        assert busy == 0  # it waits for whoever reads an older state


# Who may, and what.


def test_a_frozen_memory_may_change_in_a_world_and_stays_frozen_in_the_store(mem, lisbon):
    mem.freeze(lisbon, user_id="ana")
    ana = mem.bind(user_id="ana")

    with ana.what_if() as world:
        with pytest.raises(StaleVersion):
            world.update(lisbon, "Ana lives in Porto.", expected=1)
        changed = world.update(lisbon, "Ana lives in Porto.", expected=2)

        assert (changed.text, changed.header.governance.frozen) == ("Ana lives in Porto.", False)
        assert [hit.cube.text for hit in world.search("Where does Ana live?")] == ["Ana lives in Porto."]
        world.delete(lisbon)
        assert texts(world.list()) == []
    with ana.what_if() as world:
        assert world.delete(filters={"frozen": True}).ids == (lisbon,)
    assert mem.get(lisbon, user_id="ana").header.governance.frozen
    with pytest.raises(NotAllowed):
        ana.update(lisbon, "Ana lives in Porto.")


def test_a_world_belongs_to_whoever_opened_it(mem, lisbon):
    with mem.what_if(user_id="bo") as world:
        assert texts(world.list()) == []
        for call in (world.get, world.delete, world.history):
            with pytest.raises(UnknownMemory):
                call(lisbon)
        with pytest.raises(UnknownMemory):
            world.add("Bo read it.", parents=[lisbon])
        with pytest.raises(CannotWiden):
            world.list(user_id="ana")


def test_a_closed_world_says_so(mem, lisbon):
    world = mem.what_if(user_id="ana")
    world.close()
    world.close()

    for call in (world.list, world.changes, lambda: world.get(lisbon), lambda: world.add("x")):
        with pytest.raises(WorldClosed, match="open another"):
            call()
    assert texts(mem.list(user_id="ana")) == ["Ana lives in Lisbon."]


def test_what_would_outlive_a_world_is_refused(mem, lisbon):
    with mem.what_if(user_id="ana") as world:
        with pytest.raises(InvalidInput, match="idempotency"):
            world.add("once", idempotency_key="k")
        with pytest.raises(InvalidInput, match="blobs"):
            world.put_blob(b"tensor")
        blob, size = mem.put_blob(b"tensor")
        tensor = Activation(form="kv", blob=blob, size=size, model=ModelRef(name="m", weights="w"))
        made = world.add(tensor, parents=[lisbon]).ids[0]
        assert bytes(world.open_blob(made)) == b"tensor"
        world.update(lisbon, "Ana lives in Porto.")
        assert [source.id for source in world.get(made).stale] == [lisbon]


def test_a_call_that_fails_changes_nothing_in_the_world(mem, lisbon):
    with mem.what_if(user_id="ana") as world:
        with pytest.raises(StaleVersion):
            world.update(lisbon, "Ana lives in Porto.", expected=7)
        with pytest.raises(InvalidInput):
            world.add("at no time", valid_from=NOW, valid_to=NOW - HOUR)

        assert world.changes() == ()


def test_changes_as_values_have_both_versions(mem, lisbon):
    with mem.what_if(user_id="ana") as world:
        world.update(lisbon, "Ana lives in Porto.", metadata={"sure": True})
        [change] = world.changes()

    assert (change.before.revision, change.after.revision) == (1, 2)
    assert json.dumps(change.after.header.descriptive.metadata) == '{"sure": true}'


# What has left a share since.


@pytest.fixture
def bo(mem):
    mem.share(to="users/bo", filters={"NOT": {"tags": "secret"}}, user_id="ana")
    return mem.bind(user_id="bo")


def reached(world, id):
    """Where in a world a memory of Ana's is found."""
    places = {
        "list": any(cube.id == id for cube in world.list(namespaces="*")),
        "search": any(hit.cube.id == id for hit in world.search("Lisbon", namespaces="*")),
        "changes": any(one.id == id for one in world.changes()),
    }
    for name in ("get", "history"):
        try:
            getattr(world, name)(id)
        except UnknownMemory:
            continue
        places[name] = True
    return {name for name, there in places.items() if there}


@pytest.mark.parametrize("opened", ["before", "behind"])
def test_what_was_taken_out_of_reach_is_out_of_it_in_every_world(mem, clock, lisbon, bo, opened):
    clock.advance(HOUR)
    moment = clock()
    world = bo.what_if() if opened == "before" else None
    clock.advance(HOUR)
    mem.update(lisbon, tags=["secret"], user_id="ana")
    world = world or bo.what_if(known_at=moment)

    assert set() == reached(world, lisbon)
    assert {"list", "search", "get", "history"} == reached(mem.what_if(user_id="ana", known_at=moment), lisbon)


@pytest.mark.parametrize("how", ["in the store", "in the world"])
def test_so_is_what_was_made_from_it(mem, clock, lisbon, bo, how):
    clock.advance(HOUR)
    made = bo.add("Lisbon is Ana's.", parents=[lisbon]).ids[0] if how == "in the store" else None
    clock.advance(HOUR)
    world = bo.what_if()
    made = made or world.add("Lisbon is Ana's.", parents=[lisbon]).ids[0]
    world.update(made, content="Lisbon is hers.")
    assert {"list", "search", "get", "history", "changes"} == reached(world, made)

    mem.update(lisbon, tags=["secret"], user_id="ana")

    assert set() == reached(world, made)


def test_what_was_opened_since_is_as_it_was(mem, clock, lisbon, bo):
    mem.update(lisbon, tags=["secret"], user_id="ana")
    clock.advance(HOUR)
    moment = clock()
    clock.advance(HOUR)
    mem.update(lisbon, tags=[], user_id="ana")

    assert set() == reached(bo.what_if(known_at=moment), lisbon)
