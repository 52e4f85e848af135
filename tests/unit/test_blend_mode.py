"""Blending as a user reaches it: notes kept apart, put together, and closed by whatever closes their sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.kv_kit import SYSTEM, TEXTS, MeddlingEngine, doubles, injected, is_exact, opened, tiers, told
from tests.unit.test_activation import ENDS, End, ends

from pymemos import Activation, MemOS, errors
from pymemos.cube.blending import LEAST
from pymemos.settings import from_environment
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.toy_engine import ToyEngine


@pytest.fixture
def engine() -> MeddlingEngine:
    return MeddlingEngine()


@pytest.fixture(params=["sqlite", "memory"])
def mem(request: pytest.FixtureRequest, tmp_path: Path, clock: FrozenClock, engine: MeddlingEngine) -> Iterator[MemOS]:
    with place(tmp_path, engine, clock=clock, **doubles(request.param)) as found:
        found.probe_blending()
        yield found


@pytest.fixture
def ana(mem: MemOS) -> MemOS:
    return mem.bind(user_id="ana")


def place(folder: Path, engine: ToyEngine, **options):
    """A memory whose models are measured for this test alone."""
    settings = from_environment(
        {"PYMEMOS_HOME": str(folder / "home"), "PYMEMOS_CACHE_DIR": str(folder / "cache")}, folder
    )
    return opened(folder / "home", engine, settings=settings, **options)


class TestGate:
    def test_a_model_that_was_never_probed_is_refused_with_the_reason(self, tmp_path: Path) -> None:
        with place(tmp_path, ToyEngine()) as mem:
            ids = told(mem)
            for act in (lambda: mem.encode(ids, mode="blend"), lambda: injected(mem, ids, mode="blend")):
                with pytest.raises(errors.BlendRefused, match="never measured"):
                    act()

    @pytest.mark.parametrize("options", [{}, {"schedule": "recency"}], ids=["as ever", "planned"])
    def test_a_chat_without_a_memory_is_refused_too(self, tmp_path: Path, options: dict[str, str]) -> None:
        with place(tmp_path, ToyEngine()) as mem:
            with pytest.raises(errors.BlendRefused, match="never measured"):
                mem.chat("Hello!", mode="blend", **options)
            assert len(mem.list()) == 0

    def test_a_probe_that_finds_it_too_far_off_closes_what_was_open(self, tmp_path: Path) -> None:
        engine = ToyEngine()
        with place(tmp_path, engine) as mem:
            ids = told(mem)
            assert mem.probe_blending().allowed
            assert mem.encode(ids, mode="blend").ids

            engine.divergence = 0.05
            found = mem.probe_blending()

            assert (found.allowed, found.quality.kl) == (False, 0.05)
            with pytest.raises(errors.BlendRefused, match="is the bound"):
                injected(mem, ids, mode="blend")

    def test_too_few_questions_open_nothing_and_each_is_told(self, tmp_path: Path) -> None:
        done: list[int] = []
        with place(tmp_path, ToyEngine()) as mem:
            assert f"at least {LEAST}" in mem.probe_blending(cases=3, on_case=done.append).refused
        assert done == [1, 2, 3]

    def test_it_is_the_stewards_and_holds_for_the_next_process(self, tmp_path: Path) -> None:
        with place(tmp_path, ToyEngine()) as mem:
            with pytest.raises(errors.NotAllowed):
                mem.bind(user_id="ana").probe_blending()
            mem.probe_blending()
        with place(tmp_path, ToyEngine()) as mem:
            assert mem.encode(told(mem), mode="blend").ids

    def test_what_does_not_go_together_is_refused(self, ana: MemOS) -> None:
        ids = told(ana)
        for act in (
            lambda: ana.encode(ids, mode="mixed"),
            lambda: ana.encode(ids, mode="blend", form="int8"),
            lambda: injected(ana, ids, mode="blend", exact_only=True),
        ):
            with pytest.raises(errors.InvalidInput):
                act()


class TestEncoding:
    def test_each_memory_is_kept_apart_with_itself_as_its_only_source(self, ana: MemOS, engine: ToyEngine) -> None:
        ids = told(ana)

        encoded = ana.encode(ids, system=SYSTEM, mode="blend")

        assert [[pin.id for pin in cube.parents] for cube in encoded.cubes] == [[id] for id in ids]
        for cube in encoded.cubes:
            assert isinstance(cube.payload, Activation)
            assert (cube.payload.start, cube.payload.prefix, cube.payload.encoding) == (None, None, "loose-toy")
            assert cube.payload.seal
        assert len({cube.payload.before for cube in encoded.cubes}) == 1
        assert all(ana.verify(id).ok for id in encoded.ids)

    def test_what_is_stored_is_not_computed_again(self, ana: MemOS) -> None:
        ids = told(ana)
        ana.encode(ids[:2], system=SYSTEM, mode="blend")

        more = ana.encode(ids, system=SYSTEM, mode="blend")
        other = ana.encode(ids, system="Be polite.", mode="blend")

        assert (len(more.cubes), len(other.cubes)) == (1, 3)
        assert more.reused > 0

    def test_a_source_that_changes_meanwhile_is_encoded_as_it_is_then(self, ana: MemOS, mem: MemOS) -> None:
        ids = told(ana)
        assert mem._activations is not None
        blender = mem._activations._open_blender()
        encode, edits = blender.encode, iter(["Ana lives in Porto."])

        def meddling(note: str, *, system: str = ""):
            for text in edits:
                ana.update(ids[0], text)
            return encode(note, system=system)

        blender.encode = meddling  # type: ignore[method-assign]
        encoded = ana.encode(ids, system=SYSTEM, mode="blend")

        assert encoded.cubes[0].parents[0].content_hash == ana.get(ids[0]).content_hash
        assert mem._tools.blobs.names() == {cube.payload.blob for cube in encoded.cubes}

    def test_it_takes_no_part_in_exact_chains(self, ana: MemOS) -> None:
        ids = told(ana)
        [first, *_] = ana.encode(ids, system=SYSTEM, mode="blend").ids

        with injected(ana, ids) as found:
            assert (found.report.injected, found.prefix) == (0, ())
        with pytest.raises(errors.InvalidInput, match="encoded apart"):
            ana.load(first)
        assert "not lie in memory" in ana.evict(first).why


class TestInjecting:
    def test_the_exact_chain_comes_first_and_the_rest_from_apart_in_any_order(
        self, ana: MemOS, engine: ToyEngine
    ) -> None:
        a, b, c = told(ana)
        ana.encode([a], system=SYSTEM)
        ana.encode([b, c], system=SYSTEM, mode="blend")

        with injected(ana, [a, c, b], mode="blend") as found:
            report = found.report
            assert tiers(found) == ["device", "disk", "disk"]
            assert [note.approximate for note in report.notes] == [False, True, True]
            assert all(note.injected + note.recomputed == note.tokens for note in report.notes)
            assert sum(note.recomputed for note in report.notes) > 0
            assert any("approximate" in remark for remark in report.remarks)
            assert len(found.rest) == 1
            assert is_exact(engine, found)  # the double's blend is exact, where all is in its place

    def test_the_first_note_is_exact_always(self, ana: MemOS, engine: ToyEngine) -> None:
        ids = told(ana)
        ana.encode(ids, system=SYSTEM, mode="blend")

        with injected(ana, ids, mode="blend") as found:
            assert tiers(found) == ["text", "disk", "disk"]
            assert is_exact(engine, found)

    def test_what_is_not_stored_is_read_and_said(self, ana: MemOS, engine: ToyEngine) -> None:
        a, b, c = told(ana)
        ana.encode([c], system=SYSTEM, mode="blend")

        with injected(ana, [a, c, b], mode="blend") as found:
            assert tiers(found) == ["text", "disk", "text"]
            assert "nothing of it is stored apart" in found.report.notes[2].why
            assert is_exact(engine, found)
        with injected(ana, [a, b], mode="blend") as found:
            assert found.report.blended == ()
            assert any("nothing was blended" in remark for remark in found.report.remarks)
        with injected(ana, [a, c], mode="blend", system="Be polite.") as found:
            assert found.report.blended == ()

    def test_where_everything_is_exact_nothing_is_blended(self, ana: MemOS) -> None:
        ids = told(ana)
        ana.encode(ids, system=SYSTEM)
        ana.encode(ids, system=SYSTEM, mode="blend")

        with injected(ana, ids, mode="blend") as found:
            assert tiers(found) == ["device"] * 3
            assert found.report.remarks == ()

    def test_a_damaged_file_is_read_as_text_and_told(self, ana: MemOS, mem: MemOS, engine: ToyEngine) -> None:
        ids = told(ana)
        encoded = ana.encode(ids, system=SYSTEM, mode="blend")
        mem._tools.blobs.remove(encoded.cubes[1].payload.blob)

        with injected(ana, ids, mode="blend") as found:
            assert tiers(found) == ["text", "text", "disk"]
            assert [one.id for one in found.report.refused] == [encoded.ids[1]]
            assert is_exact(engine, found)
        assert [entry.memories for entry in mem.log(operation="kv_fallback")] == [(encoded.ids[1],)]
        assert not ana.verify(encoded.ids[1]).ok

    def test_a_swapped_file_gets_nowhere(self, ana: MemOS, mem: MemOS, engine: ToyEngine) -> None:
        """A memory that names another's file has no seal of this instance."""
        ids = told(ana)
        encoded = ana.encode(ids, system=SYSTEM, mode="blend")
        payload = replace(encoded.cubes[1].payload, blob=encoded.cubes[2].payload.blob)
        ana.delete(encoded.ids[1])
        forged = ana.add(payload, parents=[ids[1]]).ids[0]

        with injected(ana, ids, mode="blend") as found:
            assert [one.id for one in found.report.refused] == [forged]
            assert is_exact(engine, found)

    def test_it_never_crosses_to_who_may_not_read_the_source(self, mem: MemOS, ana: MemOS) -> None:
        ana.encode(told(ana), system=SYSTEM, mode="blend")
        bo = mem.bind(user_id="bo")

        with injected(bo, told(bo), mode="blend") as found:  # the very same texts and tokens
            assert (found.report.blended, found.report.refused) == ((), ())


class TestCoherence:
    @ends
    def test_what_no_longer_holds_is_not_blended_in(
        self, ana: MemOS, clock: FrozenClock, engine: MeddlingEngine, end: End
    ) -> None:
        ids = (*told(ana, TEXTS[0]), *told(ana, TEXTS[1], lifespan={"ttl_s": 3600}), *told(ana, TEXTS[2]))
        encoded = ana.encode(ids, system=SYSTEM, mode="blend")
        end(ana, ids, clock)

        gone = end in (ENDS["deleted"], ENDS["erased"], ENDS["expired"], ENDS["ended"])
        order = [ids[0], ids[2]] if gone else list(ids)
        with injected(ana, order, mode="blend") as found:
            used = {one.id for one in found.report.segments}
            assert encoded.ids[1] not in used
            assert encoded.ids[2] in used
            assert is_exact(engine, found)

    @ends
    def test_nor_where_it_happens_while_it_is_put_together(
        self, mem: MemOS, ana: MemOS, clock: FrozenClock, engine: MeddlingEngine, end: End
    ) -> None:
        ids = (*told(ana, TEXTS[0]), *told(ana, TEXTS[1], lifespan={"ttl_s": 3600}), *told(ana, TEXTS[2]))
        encoded = ana.encode(ids, system=SYSTEM, mode="blend")
        happens = iter([1])
        engine.meddle = lambda: [end(ana, ids, clock) for _ in happens] and None

        with injected(ana, ids, mode="blend") as found:
            used = {one.id for one in found.report.segments}
            assert encoded.ids[1] not in used
            assert [note.id for note in found.report.notes if note.changed] == [ids[1]]
            assert is_exact(engine, found)

    def test_an_erased_memory_takes_its_file_along(self, mem: MemOS, ana: MemOS) -> None:
        ids = told(ana)
        cubes = ana.encode(ids, system=SYSTEM, mode="blend").cubes

        ana.erase(ids[1])
        while mem.tick():
            pass

        assert mem._tools.blobs.names() == {cubes[0].payload.blob, cubes[2].payload.blob}

    def test_a_loose_segment_of_another_model_is_not_used(self, tmp_path: Path) -> None:
        with place(tmp_path, ToyEngine()) as mem:
            mem.probe_blending()
            ids = told(mem)
            mem.encode(ids, system=SYSTEM, mode="blend")
        other = ToyEngine(seed=1)
        with place(tmp_path, other) as mem:
            mem.probe_blending()
            with injected(mem, ids, mode="blend") as found:
                assert (found.report.blended, found.report.others) == ((), 3)
                assert is_exact(other, found)


class TestChat:
    def test_the_stable_block_comes_from_apart(self, ana: MemOS, mem: MemOS) -> None:
        ids = told(ana)
        for _ in range(4):
            ana.search("Ana")
        mem.log()  # what waits is written: now they are hot
        ana.encode(ids, mode="blend")

        exact, blended = (ana.chat("Hello!", mode=mode, max_tokens=24, remember=False) for mode in ("exact", "blend"))

        assert blended.text == exact.text
        assert exact.plan.tiers == {"text": 3}
        assert blended.plan.tiers == {"text": 1, "kv-disk": 2}
        assert any("approximate" in remark for remark in blended.plan.remarks)
        assert 0 < blended.plan.injected_tokens < blended.usage.cached

    def test_without_a_memory_in_the_prompt_there_is_nothing_to_blend(self, ana: MemOS) -> None:
        assert ana.chat("Hello!", mode="blend", max_tokens=24).text
