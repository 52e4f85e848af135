"""Merge, fuse and undo through the door: versions, states, sources, rights, and that all of it can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pymemos import MemCube, MemOS, Plaintext, Undone, errors
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.header import Priority, SemanticType, Stage, State
from pymemos.cube.payload import Activation, ModelRef
from pymemos.interface import merging
from pymemos.interface.arguments import PARENTS_LIMIT
from pymemos.interface.transfer import from_line
from pymemos.testing.doubles import FrozenClock, HashingEmbedder

HOUR = timedelta(hours=1)


def keep(mem: MemOS, *texts: str, user_id: str | None = "ana", **labels: Any) -> list[str]:
    return [mem.add(text, user_id=user_id, **labels).ids[0] for text in texts]


def seen(mem: MemOS, query: str = "Lisbon tea", **scope: Any) -> list[tuple[str, str]]:
    """What a search finds, by id and text, and the score as far as it does not depend on the time."""
    return [(hit.cube.id, hit.cube.text) for hit in mem.search(query, **{"user_id": "ana", **scope})]


def listed(mem: MemOS, **options: Any) -> list[tuple[str, str]]:
    return [(cube.id, cube.text) for cube in mem.list(**{"user_id": "ana", **options})]


def state(mem: MemOS, id: str) -> State:
    return mem.get(id).header.behaviour.state


def told(result: MemCube | Undone) -> Any:
    """What a call gave, uses apart: reads are counted when a second has passed."""
    if isinstance(result, MemCube):
        return result.id, result.version
    return result.id, result.undone, result.brought_back, None if result.cube is None else result.cube.version


def moves(mem: MemOS, id: str) -> list[tuple[str, str]]:
    """How a memory came to where it stands, uses apart."""
    return [(step.after, step.cause) for step in mem.passages(id) if step.cause != "use"]


def context(mem: MemOS, id: str) -> tuple[str, ...]:
    """The words of the turn before that a memory is found by."""
    with mem._tools.store.read() as unit:
        text = unit.text(id)
    return () if text is None else text.context


class TestMerging:
    def test_the_next_version_says_what_all_said_and_the_others_leave_for_the_archive(self, mem: MemOS) -> None:
        target, other, third = keep(mem, "Ana lives in Lisbon.", "Ana likes tea.", "ana lives in Lisbon")

        merged = mem.merge(target, [other, third], user_id="ana")

        assert (merged.id, merged.revision, merged.text) == (target, 2, "Ana lives in Lisbon.\nAna likes tea.")
        assert merged.header.behaviour.state is State.MERGED
        assert merged.version == mem.get(target).version
        assert [state(mem, id) for id in (other, third)] == [State.ARCHIVED] * 2
        assert seen(mem) == listed(mem) == [(target, merged.text)]
        assert {id for id, _ in seen(mem, states=["archived"])} == {other, third}
        assert [cube.text for cube in (mem.get(target, version=1), mem.get(other))] == [
            "Ana lives in Lisbon.",
            "Ana likes tea.",
        ]

    def test_all_of_them_are_its_parents_and_it_is_fresh(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        before = [mem.get(target).pin(), mem.get(other).pin()]

        merged = mem.merge(target, [other])

        assert list(merged.parents) == before
        assert merged.stale == ()
        assert {(step.cause, step.changed) for step in mem.provenance(target).steps if step.revision == 2} == {
            ("merge", ("content", "valid_from", "provenance", "parents"))
        }
        assert [node.id for node in mem.provenance(target).sources] == [other]
        assert [node.id for node in mem.provenance(other).derived] == [target]

    def test_a_store_is_sound_behind_it(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")

        mem.merge(target, [other])

        assert [found for found in mem.doctor() if not found.ok] == []

    def test_a_second_merge_keeps_the_sources_of_the_first(self, mem: MemOS) -> None:
        target, one, other = keep(mem, "a", "b", "c")
        mem.merge(target, [one])

        merged = mem.merge(target, [other])

        assert [(pin.id, pin.version) for pin in merged.parents] == [
            (target, mem.get(target, version=2).version),
            (one, mem.get(one).version),
            (other, mem.get(other).version),
        ]
        assert (merged.text, merged.stale) == ("a\nb\nc", ())
        mem.update(one, "not b")
        assert [str(source) for source in mem.get(target).stale] == [f"{one} changed"]

    def test_what_was_made_from_a_source_that_was_merged_in_stays_fresh(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        [summary] = keep(mem, "sum of b", parents=[other])
        [of_target] = keep(mem, "sum of a", parents=[target])

        mem.merge(target, [other])

        assert mem.get(summary).stale == ()
        assert [str(source) for source in mem.get(of_target).stale] == [f"{target} changed"]

    def test_what_was_decided_is_told_where_it_comes_from(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", metadata={"city": "Lisbon"}) + keep(mem, "b", metadata={"city": "Porto"})

        told = mem.merge(target, [other], conflict="oldest").header.descriptive.provenance

        assert told is not None
        assert (told.trigger, told.note) == ("merge", f'metadata.city: "Lisbon" (oldest) instead of "Porto" of {other}')

    def test_a_plan_says_it_before_and_changes_nothing(self, mem: MemOS) -> None:
        ids = keep(mem, "a", metadata={"city": "Lisbon"}) + keep(mem, "b", metadata={"city": "Porto"})
        before = listed(mem)

        plan = mem.plan_merge(ids, conflict="keep_all")

        assert (plan.payload, plan.metadata) == (Plaintext(content="a\nb"), {"city": ["Lisbon", "Porto"]})
        assert [one.sources for one in plan.statements] == [(ids[0],), (ids[1],)]
        assert listed(mem) == before
        assert mem.merge(ids[0], ids[1:], conflict="keep_all").text == plan.payload.content

    def test_to_fail_fails_and_changes_nothing(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", metadata={"k": 1}) + keep(mem, "b", metadata={"k": 2})
        before = [mem.history(id) for id in (target, other)]

        with pytest.raises(errors.MergeConflict, match=r"metadata\.k"):
            mem.merge(target, [other], conflict="fail")
        with pytest.raises(errors.MergeConflict):
            mem.fuse([target, other], conflict="fail")

        assert [mem.history(id) for id in (target, other)] == before
        assert len(listed(mem)) == 2

    def test_a_message_that_is_merged_into_lends_no_more_context(self, mem: MemOS) -> None:
        turns = mem.add(
            [{"role": "user", "content": "A zebra."}, {"role": "user", "content": "It runs."}], user_id="ana"
        )
        first, second = turns.ids
        [note] = keep(mem, "A lion.")
        before = context(mem, second)

        merged = mem.merge(first, [note])

        assert merged.header.descriptive.semantic_type is SemanticType.FACT
        assert context(mem, second) == ()
        mem.undo(first)
        assert context(mem, second) == before != ()

    def test_it_is_found_by_meaning_as_soon_as_a_job_has_made_its_vectors(
        self, tmp_path: Path, clock: FrozenClock
    ) -> None:
        with MemOS(tmp_path, store=MemoryStore(), blobs=MemoryBlobs(), clock=clock, embedder=HashingEmbedder()) as mem:
            target, other, again = keep(mem, "a cat", "a dog", "A cat.")

            mem.merge(target, [again])
            assert [job.kind for job in mem.jobs()] == ["sweep"]  # a source says the same, so the vectors are there
            mem.merge(target, [other])
            assert "embed" in [job.kind for job in mem.jobs()]
            mem.undo(target)
            mem.merge(target, [other], content="a cat and a dog")
            mem.tick()

            with mem._tools.store.read() as unit:
                assert len(unit.vectors_of(target)) > 0


class TestFusing:
    def test_a_new_memory_is_made_and_the_sources_stay(self, mem: MemOS) -> None:
        ids = keep(mem, "a", tags=["x"], priority="high") + keep(mem, "b", sensitivity=["health"])

        fused = mem.fuse(ids, user_id="ana")

        assert (fused.text, fused.revision, fused.namespace) == ("a\nb", 1, "users/ana")
        assert [pin.id for pin in fused.parents] == ids
        assert (fused.header.descriptive.tags, fused.header.descriptive.origin) == (("x",), "inference_extraction")
        assert fused.header.governance.priority is Priority.HIGH
        assert fused.header.governance.sensitivity == ("health",)
        assert listed(mem) == [(ids[0], "a"), (ids[1], "b"), (fused.id, "a\nb")]

    def test_the_sources_are_archived_where_that_is_asked_for(self, mem: MemOS) -> None:
        ids = keep(mem, "a", "b")

        fused = mem.fuse(ids, user_id="ana", archive_sources=True)

        assert listed(mem) == [(fused.id, "a\nb")]
        assert mem.get(fused.id).stale == ()
        assert mem.undo(fused.id).brought_back == tuple(ids)
        assert listed(mem) == [(ids[0], "a"), (ids[1], "b")]

    def test_it_is_stale_when_a_source_changes(self, mem: MemOS) -> None:
        ids = keep(mem, "a", "b")
        fused = mem.fuse(ids)

        mem.update(ids[1], "not b")

        assert [str(source) for source in mem.get(fused.id).stale] == [f"{ids[1]} changed"]

    def test_a_steward_keeps_it_with_sources_that_live_together_else_in_his_own(self, mem: MemOS) -> None:
        anas, bos = keep(mem, "a", "b"), keep(mem, "c", user_id="bo")

        assert mem.fuse(anas).namespace == "users/ana"
        assert mem.fuse([*anas, *bos]).namespace == "default"

    def test_frozen_sources_are_read_and_not_put_away(self, mem: MemOS) -> None:
        ids = keep(mem, "a", "b")
        mem.freeze(ids[0])

        assert mem.fuse(ids).text == "a\nb"
        with pytest.raises(errors.NotAllowed, match="frozen"):
            mem.fuse(ids, archive_sources=True)


class TestUndoing:
    def test_a_merge_is_taken_back_whole_and_stays_in_the_history(self, mem: MemOS, clock: FrozenClock) -> None:
        target, other = keep(mem, "Ana lives in Lisbon.", "Ana likes tea.", tags=["x"])
        found, all_, cube = seen(mem), listed(mem), mem.get(target)
        clock.advance(HOUR)
        merged = mem.merge(target, [other])
        clock.advance(HOUR)

        undone = mem.undo(target, expected=2)

        assert (undone.id, undone.undone, undone.brought_back) == (target, "merge", (other,))
        assert undone.cube is not None
        assert undone.cube.version == mem.get(target).version
        assert (seen(mem), listed(mem)) == (found, all_)
        assert [record.cube.text for record in mem.history(target)] == [cube.text, merged.text, cube.text]
        assert undone.cube.header.governance == cube.header.governance
        assert (undone.cube.parents, undone.cube.content_hash) == (cube.parents, cube.content_hash)
        assert moves(mem, other) == [
            ("archived", "absorb"),
            ("activated", "activate"),
        ]
        assert moves(mem, target)[0] == ("merged", "merge")
        assert state(mem, target) is State.ACTIVATED
        assert seen(mem, known_at=clock() - HOUR + timedelta(minutes=1)) == [(target, merged.text)]

    def test_rules_that_the_merge_narrowed_are_as_they_were(self, mem: MemOS) -> None:
        target, other = keep(mem, "a") + keep(mem, "b", priority="high", sensitivity=["x"], lifespan={"ttl_s": 60})
        before = mem.get(target).header.governance
        assert mem.merge(target, [other]).header.governance != before

        mem.undo(target)

        assert mem.get(target).header.governance == before

    def test_what_was_archived_before_stays_archived(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        mem.archive(other)
        mem.merge(target, [other])

        assert mem.undo(target).brought_back == ()
        assert state(mem, other) is State.ARCHIVED

    def test_what_another_merge_put_away_since_stays_there(self, mem: MemOS) -> None:
        one, two, other = keep(mem, "a", "b", "c")
        mem.merge(one, [other])
        mem.activate(other)
        mem.merge(two, [other])

        assert mem.undo(one).brought_back == ()
        assert mem.undo(two).brought_back == (other,)

    def test_what_came_after_a_merge_is_not_lost_by_undoing_it(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        mem.merge(target, [other])
        mem.append(target, "c")

        with pytest.raises(errors.InvalidInput, match=r"'append'.*restore goes back"):
            mem.undo(target)
        mem.restore(target, 2)
        with pytest.raises(errors.InvalidInput, match="'restore'"):
            mem.undo(target)
        with pytest.raises(errors.InvalidInput, match="'add'"):
            mem.undo(other)

    def test_the_way_there_can_be_gone_again(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        for _ in range(3):
            assert mem.merge(target, [other]).text == "a\nb"
            mem.undo(target)
        assert mem.merge(other, [target]).text == "a\nb"
        assert mem.get(other).stale == ()
        assert [record.cube.text for record in mem.history(target)] == ["a", *["a\nb", "a"] * 3]

    def test_a_fusion_is_deleted_and_can_be_brought_back(self, mem: MemOS) -> None:
        ids = keep(mem, "a", "b")
        before = listed(mem)
        fused = mem.fuse(ids)

        undone = mem.undo(fused.id)

        assert (undone.undone, undone.cube) == ("fuse", None)
        assert listed(mem) == before
        assert mem.restore(fused.id).text == fused.text

    def test_a_return_to_a_moment_before_takes_merges_back_as_well(self, mem: MemOS, clock: FrozenClock) -> None:
        one, two, other, put_away = keep(mem, "a", "b", "c", "d")
        mem.archive(put_away)
        before = mem.snapshot("before", user_id="ana"), listed(mem)
        clock.advance(HOUR)
        mem.merge(one, [other, put_away])
        mem.append(one, "e")
        fused = mem.fuse([one, two], archive_sources=True)

        plan = mem.restore_to(before[0], user_id="ana", dry_run=True)
        returned = mem.restore_to(before[0], user_id="ana")

        acts = {one: "restore", two: "activate", other: "activate", fused.id: "delete"}
        assert {step.id: step.act for step in returned.steps} == {step.id: step.act for step in plan.steps} == acts
        assert listed(mem) == before[1]
        assert state(mem, put_away) is State.ARCHIVED
        assert "2 out of the archive" in str(returned)

    def test_a_frozen_merge_is_not_taken_back(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        mem.merge(target, [other])
        mem.freeze(target)

        with pytest.raises(errors.NotAllowed, match="frozen"):
            mem.undo(target)


class TestRepeating:
    def test_a_repeated_call_with_a_key_does_nothing_more(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        calls: list[Callable[[], Any]] = [
            lambda: mem.merge(target, [other], idempotency_key="m", expected=1),
            lambda: mem.undo(target, idempotency_key="u"),
            lambda: mem.fuse([target, other], idempotency_key="f"),
        ]
        for call in calls:
            first = told(call())
            size = [len(mem.history(id)) for id in (target, other)]
            assert told(call()) == first
            assert [len(mem.history(id)) for id in (target, other)] == size
        with pytest.raises(errors.KeyReused):
            mem.merge(target, [other], content="else", idempotency_key="m")

    def test_a_repeated_call_shows_nothing_that_was_closed_since(self, mem: MemOS) -> None:
        [mine], [other] = keep(mem, "a"), keep(mem, "b", user_id="bo")
        ana, bo = mem.bind(user_id="ana"), mem.bind(user_id="bo")
        shared = bo.share(other, to="users/ana")
        fused = ana.fuse([mine, other], idempotency_key="f")
        assert ana.fuse([mine, other], idempotency_key="f").version == fused.version

        bo.unshare(shared.name)

        with pytest.raises(errors.UnknownMemory):
            ana.fuse([mine, other], idempotency_key="f")
        with pytest.raises(errors.UnknownMemory):
            ana.fuse([mine, other])

    def test_a_memory_has_not_any_number_of_parents(self, mem: MemOS) -> None:
        [target, other] = keep(mem, "t", "o")
        cube = mem.get(target)
        many = [replace(mem.get(other), id=str(n)) for n in range(PARENTS_LIMIT)]

        assert len(merging._parents(None, many)) == PARENTS_LIMIT
        with pytest.raises(errors.InvalidInput, match="1,001 others, and has at most 1,000"):
            merging._parents(cube, many)

    def test_a_stale_expectation_is_refused(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        mem.update(target, "c")

        with pytest.raises(errors.StaleVersion):
            mem.merge(target, [other], expected=1)
        mem.merge(target, [other], expected=2)
        with pytest.raises(errors.StaleVersion):
            mem.undo(target, expected=2)

    def test_every_memory_that_was_touched_is_in_the_log(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        fused = mem.fuse([target, other])
        mem.merge(target, [other])
        mem.undo(target)

        touched = {entry.operation: entry.memories for entry in mem.log()}
        assert touched["fuse"] == (fused.id, target, other)
        assert touched["merge"] == touched["undo"] == (target, other)


def a_tensor(mem: MemOS) -> str:
    blob, size = mem.put_blob(b"tensor")
    return mem.add(
        Activation(form="kv", blob=blob, size=size, model=ModelRef(name="m", weights="w")), user_id="ana"
    ).ids[0]


def an_episode(mem: MemOS) -> str:
    episode = mem.add([{"role": "user", "content": "x"}, {"role": "user", "content": "y"}], user_id="ana").episode
    assert episode is not None
    return episode.id


def a_deleted(mem: MemOS) -> str:
    [id] = keep(mem, "gone")
    mem.delete(id)
    return id


def an_expired(mem: MemOS) -> str:
    [id] = keep(mem, "short", lifespan={"ttl_s": 0.000001})
    return id


def one_that_is_over(mem: MemOS) -> str:
    [id] = keep(mem, "over", valid_from="2020-01-01T00:00Z", valid_to="2021-01-01T00:00Z")
    return id


def a_stale_one(mem: MemOS) -> str:
    [source] = keep(mem, "source")
    [id] = keep(mem, "derived", parents=[source])
    mem.update(source, "other")
    return id


REFUSED: dict[str, tuple[Callable[[MemOS], str], type[Exception], str]] = {
    "a tensor": (a_tensor, errors.InvalidInput, "numbers are not merged; encode or train a new one from the union"),
    "an episode": (an_episode, errors.InvalidInput, "manifest of a conversation"),
    "a deleted memory": (a_deleted, errors.UnknownMemory, "deleted or unknown"),
    "an expired memory": (an_expired, errors.UnknownMemory, "has expired"),
    "one that is over": (one_that_is_over, errors.InvalidInput, "no longer holds"),
    "a stale memory": (a_stale_one, errors.StaleMemory, "make it anew"),
    "nobody's id": (lambda mem: "nobody", errors.UnknownMemory, "deleted or unknown"),
    "somebody else's": (lambda mem: keep(mem, "secret", user_id="bo")[0], errors.UnknownMemory, "deleted or unknown"),
}


class TestRefusing:
    @pytest.mark.parametrize("what", REFUSED)
    def test_what_cannot_be_merged_is_refused_with_the_next_step(
        self, mem: MemOS, clock: FrozenClock, what: str
    ) -> None:
        make, error, match = REFUSED[what]
        [target], odd = keep(mem, "a"), make(mem)
        clock.advance(HOUR)
        ana = mem.bind(user_id="ana")

        for act in (
            lambda: ana.merge(target, [odd]),
            lambda: ana.fuse([target, odd]),
            lambda: ana.plan_merge([target, odd]),
        ):
            with pytest.raises(error, match=match):
                act()
        assert len(mem.history(target)) == 1

    def test_a_frozen_memory_is_neither_merged_into_nor_put_away(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        mem.freeze(other)

        with pytest.raises(errors.NotAllowed, match="takes no edits"):
            mem.merge(other, [target])
        with pytest.raises(errors.NotAllowed, match="keeps its state"):
            mem.merge(target, [other])
        assert mem.get(target).revision == 1

    def test_an_archived_memory_is_merged_in_but_not_into(self, mem: MemOS) -> None:
        target, other = keep(mem, "a", "b")
        mem.archive(other)

        with pytest.raises(errors.NotAllowed, match="activate"):
            mem.merge(other, [target])
        assert mem.merge(target, [other]).text == "a\nb"

    def test_what_was_made_from_a_memory_is_not_merged_into_it(self, mem: MemOS) -> None:
        one, other = keep(mem, "a", "b")
        fused = mem.fuse([one, other])

        with pytest.raises(errors.InvalidInput, match=r"merge .* into it, or fuse"):
            mem.merge(one, [fused.id])
        assert mem.merge(fused.id, [one]).stale == ()

    @pytest.mark.parametrize(
        ("act", "match"),
        [
            (lambda m, a, b: m.merge(a, [a]), "into itself"),
            (lambda m, a, b: m.merge(a, []), "0 different ids"),
            (lambda m, a, b: m.merge(a, b), "list of ids"),
            (lambda m, a, b: m.fuse([a, a]), "1 different ids"),
            (lambda m, a, b: m.merge(a, [b], conflict="loudest"), "newest, oldest, keep_all, fail"),
            (lambda m, a, b: m.merge(a, [b], content=" "), "empty"),
        ],
    )
    def test_what_is_asked_wrongly_is_said(self, mem: MemOS, act: Callable[..., Any], match: str) -> None:
        one, other = keep(mem, "a", "b")

        with pytest.raises(errors.InvalidInput, match=match):
            act(mem, one, other)

    def test_together_they_may_be_too_long(self, mem: MemOS) -> None:
        ids = keep(mem, "a" * 600_000, "b" * 600_000)

        with pytest.raises(errors.TextTooLong, match="1,200,001"):
            mem.fuse(ids)


class TestElsewhere:
    def test_what_lives_elsewhere_is_a_parent_and_stays_where_it_is(self, mem: MemOS) -> None:
        [target], [other] = keep(mem, "a"), keep(mem, "b", user_id="bo")

        merged = mem.merge(target, [other])

        assert (merged.text, merged.namespace) == ("a\nb", "users/ana")
        assert listed(mem, user_id="bo") == [(other, "b")]
        assert mem.undo(target).brought_back == ()

    def test_notes_that_are_imported_again_are_known_and_stay_merged(self, mem: MemOS, tmp_path: Path) -> None:
        (tmp_path / "notes").mkdir()
        for name, text in (("a", "Mint is best."), ("b", "Never with milk.")):
            (tmp_path / "notes" / f"{name}.md").write_text(f"# Tea\n\n{text}\n", "utf-8")
        mem.import_from(tmp_path / "notes", kind="markdown", user_id="ana")
        target, other = [cube.id for cube in mem.list(user_id="ana")]
        fused = mem.fuse([target, other], user_id="ana")
        merged = mem.merge(target, [other], conflict="keep_all")

        again = mem.import_from(tmp_path / "notes", kind="markdown", user_id="ana")

        assert (again.known, again.updated, again.written) == (2, 0, 0)
        assert listed(mem) == [(target, merged.text), (fused.id, fused.text)]

    def test_a_merge_travels_with_its_history(self, mem: MemOS, tmp_path: Path) -> None:
        target, other = keep(mem, "a", "b")
        mem.merge(target, [other])
        with MemOS(tmp_path, store=MemoryStore(), blobs=MemoryBlobs()) as copy:
            copy.import_records(from_line(line) for line in mem.export_lines())

            assert copy.get(target).text == "a\nb"
            assert copy.get(target).stale == ()
            assert [record.cube.text for record in copy.history(target)] == ["a", "a\nb"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sources=st.lists(
        st.sampled_from(["Ana likes tea.", "Bo lives in Lisbon.", "tea in Lisbon", "Tea in Lisbon!"]),
        min_size=2,
        max_size=5,
    ),
    archived=st.sets(st.integers(1, 4)),
    policy=st.sampled_from(["newest", "oldest", "keep_all"]),
    fuse=st.booleans(),
)
def test_whatever_is_merged_or_fused_undoing_gives_what_was_there(
    tmp_path: Path, sources: list[str], archived: set[int], policy: str, fuse: bool
) -> None:
    with MemOS(tmp_path, store=MemoryStore(), blobs=MemoryBlobs(), clock=FrozenClock()) as mem:
        ids = keep(mem, *sources)
        for place in archived & set(range(1, len(ids))):
            mem.archive(ids[place])
        views = (lambda: seen(mem), lambda: listed(mem), lambda: listed(mem, states=list(Stage)))
        before, versions = [view() for view in views], {id: mem.history(id) for id in ids}

        made = (
            mem.fuse(ids, conflict=policy, archive_sources=True)
            if fuse
            else mem.merge(ids[0], ids[1:], conflict=policy)
        )
        assert {pin.id for pin in made.parents} == set(ids)
        mem.undo(made.id)

        assert [view() for view in views] == before
        for id, known in versions.items():
            assert [one.cube.version for one in mem.history(id)][: len(known)] == [one.cube.version for one in known]
        assert len(mem.history(made.id)) == (1 if fuse else 3)
