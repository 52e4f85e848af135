"""KV memories: encoded once, made from exact sources, injected exactly, and never once they no longer hold."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.kv_kit import (
    SYSTEM,
    TEXTS,
    MeddlingEngine,
    answer,
    doubles,
    injected,
    is_exact,
    opened,
    prompt_of,
    raw,
    tiers,
    told,
)

from pymemos import Activation, MemOS, errors
from pymemos.interface.encoding import parts
from pymemos.operation.tiers import Tier
from pymemos.settings import Settings
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.toy_engine import WIDTH, ToyEngine

ADAPTERS = ("sqlite", "memory")


@pytest.fixture
def engine() -> MeddlingEngine:
    return MeddlingEngine()


@pytest.fixture(params=ADAPTERS)
def mem(request: pytest.FixtureRequest, tmp_path: Path, clock: FrozenClock, engine: MeddlingEngine) -> Iterator[MemOS]:
    with opened(tmp_path / "home", engine, clock=clock, **doubles(request.param)) as found:
        yield found


@pytest.fixture
def ana(mem: MemOS) -> MemOS:
    return mem.bind(user_id="ana")


class TestEncoding:
    def test_a_segment_is_made_from_everything_that_stands_in_or_before_it(self, ana: MemOS) -> None:
        ids = told(ana)

        encoded = ana.encode(ids, system=SYSTEM)

        parents = [[pin.id for pin in cube.parents] for cube in encoded.cubes]
        assert [[], [*ids[:1]], [*ids[:2]], [*ids]] == parents
        assert [ana.get(id).content_hash for id in ids] == [pin.content_hash for pin in encoded.cubes[-1].parents]
        assert not any(cube.stale for cube in ana.list(filters={"kind": "activation"}))

    def test_the_payload_says_where_it_stands_and_of_which_model_it_is(
        self, ana: MemOS, engine: MeddlingEngine
    ) -> None:
        head, note = (cube.payload for cube in ana.encode(told(ana)[:1], system=SYSTEM).cubes)

        assert isinstance(head, Activation)
        assert isinstance(note, Activation)
        assert (head.form, head.start, head.prefix, head.model) == ("kv", 0, None, engine.ref)
        assert (note.start, note.prefix, note.before) == (head.tokens, head.blob, head.through)

    def test_what_is_stored_already_is_not_computed_again(self, ana: MemOS, engine: MeddlingEngine) -> None:
        ids = told(ana)
        first = ana.encode(ids[:2], system=SYSTEM)
        engine.read = 0

        longer, again = ana.encode(ids, system=SYSTEM), ana.encode(ids, system=SYSTEM)

        assert (len(longer.cubes), longer.reused, longer.tokens) == (1, first.tokens, engine.read)
        assert (again.cubes, again.tokens) == ((), 0)

    def test_two_orders_share_only_how_they_begin(self, ana: MemOS) -> None:
        a, b, c = told(ana)
        ana.encode([a, b], system=SYSTEM)

        assert len(ana.encode([a, c], system=SYSTEM).cubes) == 1
        assert len(ana.encode([b, a], system=SYSTEM).cubes) == 2

    def test_another_system_text_is_a_beginning_of_its_own(self, ana: MemOS) -> None:
        ids = told(ana)[:1]
        ana.encode(ids, system=SYSTEM)

        other = ana.encode(ids, system="Be polite.")

        assert [0, 0] == [other.cubes[0].payload.start, other.reused]  # though "Be " is common to both
        assert all(ana.verify(id).ok for id in other.ids)
        assert {"device"} == {one.tier.value for one in ana.load(other.ids[-1])}

    def test_a_document_is_kept_as_text_first(self, ana: MemOS) -> None:
        encoded = ana.encode(document="Lisbon is a city.\n\nIt lies by the sea.", system=SYSTEM)

        [id] = encoded.sources
        assert ana.get(id).text == "Lisbon is a city.\n\nIt lies by the sea."
        assert [hit.cube.id for hit in ana.search("city by the sea")] == [id]
        assert len(encoded.cubes) == 2

    def test_a_long_document_becomes_several_memories_that_lose_nothing(self, ana: MemOS) -> None:
        paragraphs = [f"Paragraph {n} " + "word " * 200 for n in range(60)]

        encoded = ana.encode(document="\n\n".join(paragraphs))

        kept = " ".join(ana.get(id).text for id in encoded.sources)
        assert len(encoded.sources) > 1
        assert " ".join(paragraphs).split() == kept.split()

    def test_a_text_without_spaces_is_cut_where_it_has_to_be(self) -> None:
        assert parts("ab" * 50, 30) == tuple(("ab" * 50)[at : at + 30] for at in range(0, 100, 30))

    def test_what_may_not_be_encoded_is_refused(self, mem: MemOS, ana: MemOS) -> None:
        [text] = told(ana, TEXTS[0])
        tensor = ana.encode([text]).ids[0]
        turn = {"role": "user", "content": "Hi."}
        episode = ana.add([turn, turn]).episode
        derived = ana.add("Ana moved.", parents=[text]).ids[0]
        ana.update(text, "Ana lives in Porto.")
        [foreign] = told(mem, "Bo's secret.", user_id="bo")

        assert episode is not None
        for id, error in [
            (tensor, errors.InvalidInput),
            (episode.id, errors.InvalidInput),
            (derived, errors.StaleMemory),
            (foreign, errors.UnknownMemory),
        ]:
            with pytest.raises(error):
                ana.encode([id])

    def test_it_takes_ids_or_a_document(self, ana: MemOS) -> None:
        for given in ({}, {"ids": told(ana), "document": "Lisbon is a city."}, {"ids": "one text"}, {"ids": []}):
            with pytest.raises(errors.InvalidInput):
                ana.encode(**given)

    def test_without_an_engine_it_says_what_is_missing(self, tmp_path: Path) -> None:
        with opened(tmp_path) as bare, pytest.raises(errors.ModelError, match="engine="):
            bare.encode(told(bare))

    def test_a_source_that_changes_meanwhile_is_encoded_as_it_is_then(self, ana: MemOS, engine: MeddlingEngine) -> None:
        ids = told(ana)
        edits = iter(["Ana lives in Porto."])
        engine.meddle = lambda: [ana.update(ids[0], text) for text in edits] and None

        encoded = ana.encode(ids, system=SYSTEM)

        engine.meddle = lambda: None
        with injected(ana, ids) as found:
            assert tiers(found) == ["device"] * 3
            assert is_exact(engine, found)
        assert encoded.cubes[1].parents[0].content_hash == ana.get(ids[0]).content_hash

    def test_a_source_that_keeps_changing_is_refused_and_leaves_no_file(
        self, mem: MemOS, ana: MemOS, engine: MeddlingEngine
    ) -> None:
        ids = told(ana)
        engine.meddle = lambda: ana.append(ids[0], "And more.") and None

        with pytest.raises(errors.StaleVersion):
            ana.encode(ids, system=SYSTEM)

        assert mem._tools.blobs.names() == set()
        assert len(ana.list(filters={"kind": "activation"})) == 0

    def test_a_source_that_is_erased_meanwhile_leaves_no_file(
        self, mem: MemOS, ana: MemOS, engine: MeddlingEngine
    ) -> None:
        ids = told(ana)
        erasing = iter([ids[1]])
        engine.meddle = lambda: [ana.erase(id) for id in erasing] and None

        with pytest.raises(errors.UnknownMemory):
            ana.encode(ids, system=SYSTEM)

        assert mem._tools.blobs.names() == set()

    def test_labels_of_the_sources_go_with_the_segment(self, ana: MemOS) -> None:
        [id] = told(ana, TEXTS[0], sensitivity=["medical"])

        encoded = ana.encode([id], priority="high", tags=["hot"])

        rules = encoded.cubes[-1].header.governance
        assert rules.sensitivity == ("medical",)
        assert rules.priority == "high"
        assert encoded.cubes[-1].header.descriptive.tags == ("hot",)


class TestInjecting:
    def test_the_model_says_the_same_and_reads_only_the_rest(self, ana: MemOS, engine: MeddlingEngine) -> None:
        ids = told(ana)
        encoded = ana.encode(ids, system=SYSTEM)

        with injected(ana, ids) as found:
            assert found.report.injected == encoded.tokens
            assert found.tokens[found.report.injected :] == found.rest
            assert is_exact(engine, found)
            engine.read = 0
            answer(engine, found.tokens, found.prefix)
            answered = engine.read
        assert answered < len(found.rest) + 24 + 1

    def test_the_report_says_of_each_memory_where_it_comes_from(self, ana: MemOS) -> None:
        ids = told(ana)
        ana.encode(ids[:2], system=SYSTEM)

        with injected(ana, ids) as found:
            report = found.report

        assert [note.id for note in report.notes] == list(ids)
        assert tiers(found) == ["device", "device", "text"]
        assert [note.injected == note.tokens for note in report.notes] == [True, True, False]
        assert report.notes[2].why == "nothing is stored of the prompt up to there"
        assert report.nbytes == report.injected * WIDTH
        assert report.lossy == ()

    def test_a_first_use_reads_the_file_and_another_use_keeps_it_in_memory(
        self, tmp_path: Path, engine: MeddlingEngine
    ) -> None:
        with opened(tmp_path, engine) as first:
            ids = told(first)
            first.encode(ids, system=SYSTEM)

        with opened(tmp_path, ToyEngine()) as again:
            seen = []
            for _ in range(3):
                with injected(again, ids) as found:
                    seen.append(tiers(found)[0])
                    assert is_exact(engine, found)
        assert seen == ["disk", "disk", "device"]

    def test_a_prompt_that_says_other_words_inside_of_a_segment_takes_what_is_common(
        self, ana: MemOS, engine: MeddlingEngine
    ) -> None:
        a, b = told(ana, "Ana lives in Lisbon.", "Ana lives in Lagos.")
        ana.encode([a], system=SYSTEM)
        with injected(ana, [a]):
            pass  # from now on its tokens are known

        with injected(ana, [b]) as found:
            assert is_exact(engine, found)
            assert found.report.notes[0].tier is Tier.TEXT
            assert 0 < found.report.notes[0].injected < found.report.notes[0].tokens

    def test_the_last_token_is_always_left_to_read(self, ana: MemOS, engine: MeddlingEngine) -> None:
        ids = told(ana)
        ana.encode(ids, system=SYSTEM)
        prompt = prompt_of(engine, *TEXTS)
        bare = replace(prompt, tail=())

        with raw(ana, bare) as found:
            assert len(found.rest) == 1

    def test_a_lossy_form_is_named_and_left_out_where_only_the_exact_one_will_do(self, ana: MemOS) -> None:
        ids = told(ana)
        ana.encode(ids, system=SYSTEM, form="int8")

        with injected(ana, ids) as lossy, injected(ana, ids, exact_only=True) as exact:
            assert lossy.report.lossy == ("int8",)
            assert {note.form for note in lossy.report.notes} == {"int8"}
            assert (exact.report.injected, exact.report.lossy) == (0, ())

    def test_the_settings_say_in_which_form_low_priority_is_kept(self, tmp_path: Path) -> None:
        lossy = Settings(home=tmp_path / "home", config_dir=tmp_path / "keys", kv_low_form="int8")
        with MemOS(engine=ToyEngine(), embedder="none", settings=lossy) as mem:
            ids = told(mem)
            low, mid = (mem.encode(ids, priority=priority).cubes[-1].payload for priority in ("low", "mid"))

        assert (low.encoding, mid.encoding) == ("int8", None)

    def test_an_exact_segment_never_goes_on_behind_a_lossy_one(self, ana: MemOS) -> None:
        ids = told(ana)
        ana.encode(ids[:2], system=SYSTEM, form="int8")

        exact = ana.encode(ids, system=SYSTEM)

        assert (exact.reused, len(exact.cubes)) == (0, 4)
        with injected(ana, ids) as found:
            assert found.report.lossy == ()

    def test_a_conversation_has_two_sides(self, ana: MemOS) -> None:
        ids = told(ana)
        turns = [("user", "Where?"), ("assistant", "In Lisbon."), ("user", "Since when?")]

        with ana.inject(ids, [{"role": role, "content": text} for role, text in turns]) as found:
            assert found.report.injected == 0
        for wrong in ([], [{"role": "tool", "content": "42"}], ""):
            with pytest.raises(errors.InvalidInput):
                ana.inject(ids, wrong)

    def test_nothing_is_stored_of_another_place(self, mem: MemOS, ana: MemOS) -> None:
        ids = told(ana)
        ana.encode(ids, system=SYSTEM)
        bo = mem.bind(user_id="bo")

        with injected(bo, told(bo)) as found:  # the very same texts and tokens
            assert found.report.injected == 0
            assert found.report.refused == ()

    def test_closing_gives_the_segments_back(self, mem: MemOS, ana: MemOS) -> None:
        ids = told(ana)
        ana.encode(ids, system=SYSTEM)

        found = injected(ana, ids)
        held = [one.locks for one in mem.placements()]
        found.close()
        found.close()

        assert held == [1] * 4
        assert [one.locks for one in mem.placements()] == [0] * 4


End = Callable[[MemOS, tuple[str, ...], FrozenClock], object]
ENDS: dict[str, End] = {  # each is given three memories, of which the second lives for an hour
    "changed": lambda mem, ids, clock: mem.update(ids[1], "Ana likes coffee."),
    "appended": lambda mem, ids, clock: mem.append(ids[1], "And milk."),
    "deleted": lambda mem, ids, clock: mem.delete(ids[1]),
    "erased": lambda mem, ids, clock: mem.erase(ids[1]),
    "expired": lambda mem, ids, clock: clock.advance(timedelta(hours=2)),
    "ended": lambda mem, ids, clock: (
        mem.update(ids[1], valid_to=clock() + timedelta(minutes=1)),
        clock.advance(timedelta(minutes=2)),
    ),
}
ends = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


class TestCoherence:
    @ends
    def test_what_no_longer_holds_is_not_injected_from_that_instant(
        self, ana: MemOS, clock: FrozenClock, engine: MeddlingEngine, end: End
    ) -> None:
        ids = (*told(ana, TEXTS[0]), *told(ana, TEXTS[1], lifespan={"ttl_s": 3600}), *told(ana, TEXTS[2]))
        encoded = ana.encode(ids, system=SYSTEM)
        prompt = prompt_of(engine, *TEXTS)  # as somebody still has it
        pins = tuple(encoded.cubes[-1].parents)
        before = raw(ana, prompt, pins)
        before.close()

        end(ana, ids, clock)
        with raw(ana, prompt, pins) as after:
            assert tiers(before) == ["device"] * 3
            assert tiers(after) == ["device", "text", "text"]
            assert [note.id for note in after.report.notes if note.changed] == [ids[1]]
            assert after.report.injected == encoded.cubes[2].payload.start
            assert is_exact(engine, after)

    @ends
    def test_nor_where_it_happens_while_its_file_is_read(self, tmp_path: Path, clock: FrozenClock, end: End) -> None:
        with opened(tmp_path, ToyEngine(), clock=clock) as first:
            ids = (*told(first, TEXTS[0]), *told(first, TEXTS[1], lifespan={"ttl_s": 3600}), *told(first, TEXTS[2]))
            pins = first.encode(ids, system=SYSTEM).cubes[-1].parents
        engine = MeddlingEngine()
        with opened(tmp_path, engine, clock=clock) as mem:
            happens = iter([1])
            engine.meddle = lambda: [end(mem, ids, clock) for _ in happens] and None
            prompt = prompt_of(engine, *TEXTS)

            with raw(mem, prompt, pins) as found:
                assert tiers(found) == ["disk", "text", "text"]
                assert len(found.prefix) == 2

    def test_the_fallback_is_said_in_the_report_and_in_the_log(self, mem: MemOS, ana: MemOS) -> None:
        ids = told(ana)
        encoded = ana.encode(ids, system=SYSTEM)
        ana.update(ids[0], "Ana lives in Porto.")

        with injected(ana, ids) as found:
            [refused] = found.report.refused

        assert refused.id == encoded.ids[1]
        assert "changed" in refused.reason
        assert [entry.memories for entry in mem.log(operation="kv_fallback")] == [(encoded.ids[1],)]
        assert [entry.memories for entry in mem.log(operation="inject")] == [(encoded.ids[0],)]

    def test_using_a_segment_heats_it(self, mem: MemOS, ana: MemOS) -> None:
        ids = told(ana)
        id = ana.encode(ids, system=SYSTEM).ids[-1]

        for _ in range(3):
            injected(ana, ids).close()
        mem.log()  # what waits is written

        assert ana.get(id).header.behaviour.uses >= 3

    def test_an_erased_memory_is_gone_from_the_disk_and_from_memory(self, mem: MemOS, ana: MemOS) -> None:
        ids = told(ana)
        cubes = ana.encode(ids, system=SYSTEM).cubes
        blobs = [cube.payload.blob for cube in cubes]

        receipt = ana.erase(ids[1], wait=False)

        assert {one.blob for one in mem.placements()} == set(blobs[:2])
        assert {one.id for one in receipt.derived} == {cube.id for cube in cubes[2:]}
        while mem.tick():
            pass
        assert mem._tools.blobs.names() == set(blobs[:2])

    def test_a_segment_that_is_erased_while_it_is_used_is_freed_when_it_is_given_back(
        self, mem: MemOS, ana: MemOS
    ) -> None:
        ids = told(ana)
        ana.encode(ids, system=SYSTEM)
        found = injected(ana, ids)

        ana.erase(user_id="ana")
        held = len(mem.placements())
        found.close()

        assert (held, len(mem.placements())) == (4, 0)

    def test_what_another_process_erases_is_noticed_at_the_next_use(self, tmp_path: Path) -> None:
        engine = ToyEngine()
        with opened(tmp_path, engine) as here, opened(tmp_path) as there:
            ids = told(here)
            pins = here.encode(ids, system=SYSTEM).cubes[-1].parents
            prompt = prompt_of(engine, *TEXTS)
            there.erase(ids[0])

            with raw(here, prompt, pins) as found:
                assert tiers(found) == ["text"] * 3
            assert len(here.placements()) == 1  # how the prompt begins

    def test_a_turn_of_the_system_frees_it_too(self, tmp_path: Path) -> None:
        with opened(tmp_path, ToyEngine()) as here, opened(tmp_path) as there:
            here.encode(told(here), system=SYSTEM)
            there.erase(filters={"type": "fact"})

            here.tick()

            assert here.placements() == ()

    def test_an_archived_segment_waits_until_it_is_activated(self, ana: MemOS) -> None:
        ids = told(ana)
        segment = ana.encode(ids, system=SYSTEM).ids[2]

        ana.archive(segment)
        with injected(ana, ids) as away:
            pass
        ana.activate(segment)
        with injected(ana, ids) as back:
            pass

        assert tiers(away) == ["device", "text", "text"]
        assert "archived" in away.report.refused[0].reason
        assert tiers(back) == ["device"] * 3


class TestRights:
    def shared(self, mem: MemOS) -> tuple[MemOS, MemOS, tuple[str, ...]]:
        """Ana's memories with their segments, and Bo, who may read all of hers."""
        ana, bo = mem.bind(user_id="ana"), mem.bind(user_id="bo")
        ids = told(ana)
        ana.encode(ids, system=SYSTEM)
        ana.share(to="users/bo", name="all of it")
        return ana, bo, ids

    def test_who_may_read_all_sources_may_use_the_segment(self, mem: MemOS) -> None:
        _, bo, ids = self.shared(mem)

        with injected(bo, ids) as found:
            assert tiers(found) == ["device"] * 3

    def test_what_is_revoked_is_not_used_from_that_instant(self, mem: MemOS, engine: MeddlingEngine) -> None:
        ana, bo, _ = self.shared(mem)
        prompt = prompt_of(engine, *TEXTS)

        ana.unshare("all of it")
        with raw(bo, prompt) as found:
            assert found.report.injected == 0
            assert found.report.refused == ()  # who may not read it does not learn of it

    def test_a_source_that_a_rule_leaves_out_closes_the_segments_behind_it(
        self, mem: MemOS, engine: MeddlingEngine
    ) -> None:
        ana, bo, ids = self.shared(mem)
        ana.update(ids[1], tags=["private"])  # a label: the text stays, and nothing is stale
        deny = {"effect": "deny", "what": {"tags": "private"}, "who": ["users/bo"]}
        ana.set_access_policy("private", deny)
        prompt = prompt_of(engine, *TEXTS)
        pins = [cube.pin() for cube in map(ana.get, ids)]

        with raw(ana, prompt, pins) as own, raw(bo, prompt, pins) as other:
            assert tiers(own) == ["device"] * 3
            assert tiers(other) == ["device", "text", "text"]
            assert other.report.refused == ()

    def test_what_a_rule_redacts_is_read_as_text(self, mem: MemOS, engine: MeddlingEngine) -> None:
        ana, bo = mem.bind(user_id="ana"), mem.bind(user_id="bo")
        ids = told(ana, "Write to ana@example.org.")
        ana.encode(ids, system=SYSTEM)
        ana.share(to="users/bo", name="all of it")
        ana.set_access_policy("no addresses", {"effect": "redact", "kinds": ["email"], "who": ["users/bo"]})
        prompt = prompt_of(engine, "Write to ana@example.org.")

        with raw(bo, prompt, [ana.get(ids[0]).pin()]) as found:
            assert tiers(found) == ["text"]
            assert "hidden" in found.report.refused[0].reason
        with pytest.raises(errors.InvalidInput, match="hidden"):
            bo.encode(ids)

    def test_a_forged_segment_is_never_injected(self, mem: MemOS, engine: MeddlingEngine) -> None:
        """Somebody who may write to a shared place, and would have others' models believe what no text says."""
        ana, eve = mem.bind(user_id="ana"), mem.bind(user_id="eve")
        mem.set_access_policy(
            "team", {"actions": ["read", "write"], "who": ["users/ana", "users/eve"]}, namespace="shared/team"
        )
        note = ana.add(TEXTS[0], namespace="shared/team").cubes[0]
        true = ana.encode([note.id], system=SYSTEM).cubes[-1].payload
        blob, size = eve.put_blob(engine.dump(engine.prefill([1] * true.tokens), about(true, note)))
        forged = replace(true, blob=blob, size=size)
        made = eve.add(forged, parents=[note.id], namespace="shared/team").ids[0]
        copied = eve.add(true, parents=[note.id], namespace="shared/team").ids[0]
        eve.add(replace(forged, seal=None), parents=[note.id])
        prompt = prompt_of(engine, TEXTS[0])

        with raw(ana, prompt, [note.pin()]) as found, injected(eve, [note.id]) as own:
            assert is_exact(engine, found)
            assert tiers(found) == ["device"]
            assert {made, copied}.isdisjoint(one.id for one in found.report.segments)
            assert own.report.injected == 0
        assert not mem.verify(made, user_id="ana").ok

    def test_what_a_policy_refuses_is_not_kept_as_the_systems_text_either(self, mem: MemOS, ana: MemOS) -> None:
        ids = told(ana)
        mem.set_privacy_policy({"email": "refuse", "phone": "redact"}, namespace="*")

        for system in ("Write to ana@example.org.", "Call +351 912 345 678."):
            with pytest.raises(errors.SensitiveText):
                ana.encode(ids, system=system)

        assert mem._tools.blobs.names() == set()

    def test_a_head_that_is_redacted_for_the_caller_is_read_as_text(self, mem: MemOS, engine: MeddlingEngine) -> None:
        ana, bo, _ = self.shared(mem)
        system = "Write to ana@example.org."
        ana.encode(told(ana)[:1], system=system)
        ana.set_access_policy("no addresses", {"effect": "redact", "kinds": ["email"], "who": ["users/bo"]})
        prompt = prompt_of(engine, TEXTS[0], system=system)
        pins = [ana.list(filters={"kind": "plaintext"}).cubes[-3].pin()]

        with raw(bo, prompt, pins) as other, raw(ana, prompt, pins) as own:
            assert own.report.notes[0].tier is Tier.DEVICE
            assert other.report.injected == 1  # the mark with which every prompt begins

    def test_a_segment_whose_memory_is_given_other_sources_is_refused(self, ana: MemOS) -> None:
        ids = told(ana)
        segment = ana.encode(ids[:1], system=SYSTEM).ids[-1]

        ana.update(segment, parents=[])

        with injected(ana, ids[:1]) as found:
            assert tiers(found) == ["text"]


def about(payload: Activation, note: Any) -> Any:
    """What a file has to say that pretends to be a segment of a shared note."""
    from pymemos.cube.segment import SegmentAbout, SegmentSource

    return SegmentAbout(
        namespace="shared/team",
        sources=(SegmentSource(note.id, note.version, note.content_hash),),
        prefix=payload.prefix,
        prefix_tokens=payload.before,
    )


class TestFiles:
    def file_of(self, home: Path, mem: MemOS, id: str) -> Path:
        blob = mem.get(id).payload.blob
        return home / "blobs" / blob[:2] / blob

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        return tmp_path / "files"

    @pytest.fixture
    def stored(self, home: Path) -> tuple[str, ...]:
        """Three memories and their segments on the disk."""
        with opened(home, ToyEngine()) as mem:
            ids = told(mem)
            return (*ids, *mem.encode(ids, system=SYSTEM).ids)

    @pytest.mark.parametrize("harm", ["truncated", "longer", "swapped", "gone", "header"])
    def test_a_file_that_is_not_whole_is_read_as_text(self, home: Path, stored: tuple[str, ...], harm: str) -> None:
        engine = ToyEngine()
        with opened(home, engine) as mem:
            file, other = (self.file_of(home, mem, id) for id in stored[-2:])
            data = file.read_bytes()
            harmed = {
                "truncated": data[:-1],
                "longer": data + b"\0",
                "swapped": other.read_bytes(),
                "header": data[:8] + b"[" + data[9:],
            }
            file.chmod(0o600)
            file.write_bytes(harmed[harm]) if harm != "gone" else file.unlink()

            with injected(mem, stored[:3]) as found:
                assert tiers(found) == ["disk", "text", "text"]
                assert [one.id for one in found.report.refused] == [stored[-2]]
                assert is_exact(engine, found)
            assert mem.log(operation="kv_fallback")[0].memories == (stored[-2],)
            assert not mem.verify(stored[-2]).ok

    def test_a_bit_that_flipped_is_found_before_the_segment_is_used(self, home: Path, stored: tuple[str, ...]) -> None:
        engine = ToyEngine()
        with opened(home, engine) as mem:
            file = self.file_of(home, mem, stored[-2])
            data = bytearray(file.read_bytes())
            data[-1] ^= 1
            file.chmod(0o600)
            file.write_bytes(data)

            with injected(mem, stored[:3]) as found:
                assert tiers(found) == ["disk", "text", "text"]
                assert "not those that were stored" in found.report.refused[0].reason
                assert is_exact(engine, found)
            checks = {one.name: one.ok for one in mem.verify(stored[-2]).checks}
            assert (checks["file"], checks["can be read"]) == (False, False)

    def test_segments_of_another_model_are_counted_and_not_used(self, home: Path, stored: tuple[str, ...]) -> None:
        other = ToyEngine(seed=1)
        with opened(home, other) as mem:
            with injected(mem, stored[:3]) as found:
                assert (found.report.injected, found.report.others) == (0, 4)
                assert is_exact(other, found)
            checks = {one.name: one.ok for one in mem.verify(stored[-1]).checks}
            assert (checks["file"], checks["model"]) == (True, False)

    def test_another_instance_uses_no_segment_that_it_did_not_make(self, home: Path, stored: tuple[str, ...]) -> None:
        with opened(home, ToyEngine(), key=bytes(32)) as mem, injected(mem, stored[:3]) as found:
            assert found.report.injected == 0
            assert "this instance" in found.report.refused[0].reason

    def test_what_a_crash_left_of_an_encoding_goes_with_the_next_erasure(
        self, home: Path, stored: tuple[str, ...]
    ) -> None:
        with opened(home) as mem:
            orphan, young = (mem.put_blob(data)[0] for data in (b"a segment without a memory", b"that waits for one"))
            two_days_ago = mem._tools.clock().timestamp() - 2 * 86_400
            os.utime(home / "blobs" / orphan[:2] / orphan, (two_days_ago, two_days_ago))

            mem.erase(stored[0], wait=True)

            names = mem._tools.blobs.names()
            assert orphan not in names
            assert young in names

    def test_the_doctor_looks_at_the_files(self, home: Path, stored: tuple[str, ...]) -> None:
        with opened(home) as mem:
            well = {one.check: one for one in mem.doctor()}["KV segments"]
            file = self.file_of(home, mem, stored[-1])
            file.chmod(0o600)
            file.write_bytes(b"short")
            ill = {one.check: one for one in mem.doctor()}["KV segments"]

        assert (well.ok, ill.ok) == (True, False)
        assert stored[-1] in ill.detail


class TestMoving:
    def test_a_segment_is_loaded_with_all_that_stands_before_it(self, tmp_path: Path) -> None:
        with opened(tmp_path, ToyEngine()) as first:
            encoded = first.encode(told(first), system=SYSTEM)
        with opened(tmp_path, ToyEngine()) as mem:
            moved = mem.load(encoded.ids[2], tier="host")

            assert [(one.id, one.before, one.tier) for one in moved] == [
                (id, Tier.DISK, Tier.HOST) for id in encoded.ids[:3]
            ]
            assert {one.id for one in mem.placements()} == set(encoded.ids[:3])
            with injected(mem, encoded.sources) as found:
                assert tiers(found) == ["host", "host", "disk"]

    def test_what_is_evicted_is_read_from_its_file_again(self, ana: MemOS) -> None:
        ids = told(ana)
        segment = ana.encode(ids, system=SYSTEM).ids[-1]

        moved = ana.evict(segment)

        assert (moved.before, moved.tier) == (Tier.DEVICE, Tier.DISK)
        assert ana.evict(segment).why == "it does not lie in memory"
        with injected(ana, ids) as found:
            assert found.report.notes[-1].tier is Tier.DISK

    def test_a_frozen_segment_and_one_in_use_stay(self, ana: MemOS) -> None:
        ids = told(ana)
        frozen, used = ana.encode(ids, system=SYSTEM).ids[-2:]
        ana.freeze(frozen)

        with injected(ana, ids):
            for id, why in [(frozen, "frozen"), (used, "in use")]:
                with pytest.raises(errors.NotAllowed, match=why):
                    ana.evict(id)
        assert ana.evict(used).tier is Tier.DISK

    def test_over_budget_with_everything_in_use_a_segment_is_read_from_its_file_and_it_is_said(
        self, tmp_path: Path
    ) -> None:
        small = Settings(
            home=tmp_path / "home", config_dir=tmp_path / "keys", kv_device_bytes=40 * WIDTH, kv_host_bytes=1
        )
        with MemOS(engine=ToyEngine(), embedder="none", settings=small) as mem:
            ids = told(mem)
            mem.encode(ids, system=SYSTEM, priority="high")
            with injected(mem, ids):
                injected(mem, ids).close()  # while everything is in use
                with injected(mem, ids) as found:
                    assert tiers(found) == ["device", "disk", "disk"]
                    assert "in use or frozen" in found.report.notes[1].why
                    assert sum(one.nbytes for one in mem.placements()) <= 40 * WIDTH

    def test_loading_what_is_stale_is_refused(self, ana: MemOS) -> None:
        ids = told(ana)
        segment = ana.encode(ids, system=SYSTEM).ids[-1]
        ana.update(ids[0], "Ana lives in Porto.")

        with pytest.raises(errors.SegmentRefused, match="stale"):
            ana.load(segment)
        assert not ana.verify(segment).ok

    def test_loading_what_has_lost_what_stood_before_it_is_refused(self, ana: MemOS) -> None:
        encoded = ana.encode(told(ana), system=SYSTEM)
        ana.delete(encoded.ids[1])

        with pytest.raises(errors.SegmentRefused, match="gone"):
            ana.load(encoded.ids[-1])

    def test_a_text_is_no_segment(self, ana: MemOS) -> None:
        [id] = told(ana, TEXTS[0])

        for method in (ana.load, ana.evict, ana.verify):
            with pytest.raises(errors.InvalidInput):
                method(id)

    def test_verifying_needs_no_engine_but_then_says_less(self, tmp_path: Path) -> None:
        with opened(tmp_path, ToyEngine()) as first:
            segment = first.encode(told(first), system=SYSTEM).ids[-1]
            everything = [one.name for one in first.verify(segment).checks]
        with opened(tmp_path) as bare:
            found = bare.verify(segment)

        assert found.ok
        assert set(everything) - {one.name for one in found.checks} == {"can be read"}
        assert any("no local model" in one.detail for one in found.checks)


ROUNDS = 24


class TestThreads:
    def test_editing_erasing_and_revoking_while_others_inject_never_gives_a_stale_hit(
        self, mem: MemOS, engine: MeddlingEngine
    ) -> None:
        """The oracle: what was injected stood in no version that was acknowledged as over before the call began."""
        ana, bo = mem.bind(user_id="ana"), mem.bind(user_id="bo")
        [note] = told(ana, "Version 0.")
        world = Race(ana, note)
        workers = [
            threading.Thread(target=world.run, args=(work,))
            for work in (
                world.edit,
                world.encode,
                world.revoke,
                world.erase,
                world.use_the_doomed,
                lambda: world.use(ana),
                lambda: world.use(bo),
            )
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

        assert world.errors == []
        assert world.stale == []
        assert world.wrong == []
        assert world.hits > 0
        assert world.doomed_hits > 0
        ana.erase(note)
        with world.prompt_of(ana, world.acknowledged) as found:
            assert found.report.notes[0].injected == 0
        assert {one.locks for one in mem.placements()} <= {0}


class Race:
    """A note of which there are many versions, and threads that change, encode, share and use it."""

    def __init__(self, ana: MemOS, note: str) -> None:
        self.ana, self.note, self.engine = ana, note, ToyEngine()
        self.pins = {0: ana.get(note).pin()}
        self.acknowledged = 0  # the version that is current for sure
        self.closed = True  # to Bo, for sure
        self.moves = 0  # of the rule: a use that overlaps one proves nothing
        self.errors: list[Exception] = []
        self.stale: list[Any] = []
        self.wrong: list[Any] = []
        self.hits = self.doomed_hits = 0
        self.doomed: tuple[str, Any] | None = None  # a text, and the pin of the memory that is erased next
        self.gone: set[str] = set()  # for sure
        self.is_over = threading.Event()
        ana.encode([note], system=SYSTEM)

    def run(self, work: Any) -> None:
        try:
            work()
        except errors.PymemosError as error:
            self.errors.append(error)

    def edit(self) -> None:
        try:
            for version in range(1, ROUNDS):
                self.pins[version] = self.ana.update(self.note, f"Version {version}.").pin()
                self.acknowledged = version
                if version % 2:  # long enough to be used, or hardly
                    before, until = self.hits, time.monotonic() + 0.2
                    while self.hits == before and time.monotonic() < until:
                        time.sleep(0.001)
        finally:
            self.is_over.set()

    def encode(self) -> None:
        while not self.is_over.is_set():
            try:
                self.ana.encode([self.note], system=SYSTEM)
            except errors.StaleVersion:
                continue

    def revoke(self) -> None:
        while not self.is_over.is_set():
            self.moves += 1
            self.closed = False
            self.ana.share(to="users/bo", name="all")
            self.moves += 1
            self.is_over.wait(0.003)
            self.ana.unshare("all")
            self.closed = True
            self.is_over.wait(0.003)

    def erase(self) -> None:
        number = 0
        while not self.is_over.is_set():
            text = f"Secret {(number := number + 1)}."
            [id] = told(self.ana, text)
            self.ana.encode([id], system=SYSTEM)
            self.doomed = (text, self.ana.get(id).pin())
            before, until = self.doomed_hits, time.monotonic() + 0.2
            while number % 2 and self.doomed_hits == before and time.monotonic() < until:
                time.sleep(0.001)
            self.ana.erase(id)
            self.gone.add(id)

    def use_the_doomed(self) -> None:
        while not self.is_over.is_set():
            if self.doomed is None:
                continue
            text, pin = self.doomed
            was_gone = pin.id in self.gone
            prompt = prompt_of(self.engine, text)
            with raw(self.ana, prompt, [pin]) as found:
                if found.report.notes[0].injected == found.report.notes[0].tokens:
                    self.doomed_hits += 1
                    if was_gone:
                        self.stale.append((text, "erased"))

    def use(self, mem: MemOS) -> None:
        is_bo = mem._caller.user == "bo"
        while not self.is_over.is_set():
            before, closed, moves = self.acknowledged, self.closed, self.moves
            with self.prompt_of(mem, before) as found:
                was_closed = is_bo and closed and self.closed and moves == self.moves
                if found.report.notes[0].injected == found.report.notes[0].tokens:
                    self.hits += 1
                    if was_closed:
                        self.stale.append((before, "closed"))
                if not is_exact(self.engine, found):
                    self.wrong.append(before)
            old = max(before - 1, 0)
            with self.prompt_of(mem, old) as found:
                if old < before and found.report.notes[0].injected == found.report.notes[0].tokens:
                    self.stale.append((old, before))

    def prompt_of(self, mem: MemOS, version: int) -> Any:
        prompt = prompt_of(self.engine, f"Version {version}.")
        return raw(mem, prompt, [self.pins[version]])


def test_a_segment_is_found_by_its_kind_like_any_memory(ana: MemOS) -> None:
    ids = told(ana)
    encoded = ana.encode(ids, system=SYSTEM)

    assert [cube.id for cube in ana.list(filters={"kind": "activation"})] == list(encoded.ids)
    assert len(ana.search("Lisbon")) == 1
