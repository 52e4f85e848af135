"""The contract of what blends: files that come back or are refused, and a prompt that is put together whole."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from pymemos.cube.blending import LEAST, BlendQuality
from pymemos.cube.segment import SegmentAbout, SegmentSource, tokens_digest, verify_blob
from pymemos.errors import BlendRefused, SegmentRefused
from pymemos.ports import Blender, BlendingEngine, ChatOptions, Loose, Prompt, Utterance
from pymemos.testing.engines import mutated, said

SYSTEM = "Notes:"
NOTES = ("Ana has a boat.", "Bo met Eve in Rome.", "Ana likes tea.")
MUTANTS = 1_000


def about_of(blender: Blender, **other: Any) -> SegmentAbout:
    """What a file says of a segment of Ana's."""
    given = {"namespace": "users/ana", "sources": (SegmentSource("a", "v", "h"),), "prefix_tokens": tokens_digest([1])}
    return SegmentAbout(**{**given, "form": blender.recipe, **other})


class BlenderContract:
    """Fill ``engine``, ``stranger`` (of other weights), ``blender`` and ``foreign``, of the engine and the stranger."""

    @pytest.fixture
    def prompt(self, engine: BlendingEngine) -> Prompt:
        return engine.prompt(SYSTEM, NOTES, [Utterance("user", "Who?")])

    @pytest.fixture
    def loose(self, blender: Blender) -> list[Loose]:
        return [blender.encode(note, system=SYSTEM) for note in NOTES]

    @pytest.fixture
    def file(self, blender: Blender, loose: list[Loose]) -> bytes:
        return blender.dump(loose[0], about_of(blender)).read()

    def test_a_note_has_the_tokens_that_it_has_in_a_prompt(self, loose: list[Loose], prompt: Prompt) -> None:
        assert tuple(one.tokens for one in loose) == prompt.notes
        assert all(one.nbytes > 0 for one in loose)

    def test_the_same_note_gives_the_same_file(self, blender: Blender, file: bytes) -> None:
        again = blender.encode(NOTES[0], system=SYSTEM)

        assert blender.dump(again, about_of(blender)).read() == file

    def test_a_file_comes_back_as_it_was(self, blender: Blender, loose: list[Loose], file: bytes) -> None:
        back = blender.load(memoryview(file), about_of(blender), loose[0].tokens)

        assert back.tokens == loose[0].tokens
        assert blender.dump(back, about_of(blender)).read() == file

    def test_a_file_of_other_circumstances_is_refused(self, blender: Blender, loose: list[Loose], file: bytes) -> None:
        tokens = loose[0].tokens
        for other in (
            about_of(blender, namespace="users/bo"),
            about_of(blender, sources=()),
            about_of(blender, prefix_tokens=tokens_digest([2])),
            about_of(blender, form="exact"),
        ):
            with pytest.raises(SegmentRefused):
                blender.load(memoryview(file), other, tokens)
        with pytest.raises(SegmentRefused):
            blender.load(memoryview(file), about_of(blender), tokens[:-1])

    def test_an_engine_takes_it_for_nothing_exact(
        self, engine: BlendingEngine, blender: Blender, loose: list[Loose], file: bytes
    ) -> None:
        with pytest.raises(SegmentRefused):
            engine.load(memoryview(file), about_of(blender, form="exact"), loose[0].tokens, 0)
        with pytest.raises(SegmentRefused):
            engine.load(memoryview(file), about_of(blender), loose[0].tokens, 0)

    def test_a_thousand_mutants_are_refused_or_change_nothing(
        self, blender: Blender, foreign: Blender, loose: list[Loose], file: bytes
    ) -> None:
        """Whatever a file holds, it never crashes; what gets in is what was stored, to the last bit."""
        other = foreign.dump(foreign.encode(NOTES[0], system=SYSTEM), about_of(foreign)).read()
        blob, refused = hashlib.sha256(file).hexdigest(), 0
        for seed in range(MUTANTS):
            mutant = memoryview(mutated(file, other, random.Random(seed)))  # noqa: S311 (repeatable, not secret)
            try:
                back = blender.load(mutant, about_of(blender), loose[0].tokens)
                verify_blob(mutant, blob)
            except SegmentRefused:
                refused += 1
                continue
            assert blender.dump(back, about_of(blender)).read() == file, seed
        assert refused > MUTANTS * 0.9

    def test_a_segment_of_another_model_is_refused(
        self, blender: Blender, foreign: Blender, engine: BlendingEngine, prompt: Prompt, loose: list[Loose]
    ) -> None:
        theirs, head = foreign.encode(NOTES[1], system=SYSTEM), [engine.prefill(prompt.head)]

        with pytest.raises(SegmentRefused):
            blender.compose(head, [loose[0], theirs], prompt.tail)
        with pytest.raises(SegmentRefused):
            blender.dump(theirs, about_of(blender))

    def test_what_is_composed_is_all_but_the_last_token_and_an_answer_goes_on_behind_it(
        self, engine: BlendingEngine, blender: Blender, prompt: Prompt, loose: list[Loose]
    ) -> None:
        head = engine.prefill(prompt.head)

        made = blender.compose([head], [loose[0], prompt.notes[1], loose[2]], prompt.tail)
        _, _, usage = said(engine.run(prompt.tokens, ChatOptions(max_tokens=4), prefix=[head, made.kv]))

        count = sum(map(len, prompt.notes))
        read = range(len(prompt.notes[0]), len(prompt.notes[0]) + len(prompt.notes[1]))
        assert (made.kv.start, made.kv.tokens) == (len(prompt.head), prompt.tokens[len(prompt.head) : -1])
        assert usage.cached == len(prompt.tokens) - 1
        assert 0 < len(made.again) < count
        assert all(0 <= index < count and index not in read for index in made.again)

    def test_what_is_read_alone_is_exact(self, engine: BlendingEngine, blender: Blender, prompt: Prompt) -> None:
        head = engine.prefill(prompt.head)

        made = blender.compose([head], list(prompt.notes), prompt.tail)

        options = ChatOptions(max_tokens=8)
        assert made.again == ()
        assert (
            said(engine.run(prompt.tokens, options, prefix=[head, made.kv]))[0]
            == said(engine.run(prompt.tokens, options))[0]
        )

    def test_a_gap_is_refused(
        self, engine: BlendingEngine, blender: Blender, prompt: Prompt, loose: list[Loose]
    ) -> None:
        head = engine.prefill(prompt.head)

        with pytest.raises(SegmentRefused):
            blender.compose([head, head], loose, prompt.tail)

    def test_without_a_good_measurement_there_is_none(self, engine: BlendingEngine, blender: Blender) -> None:
        good = BlendQuality(
            model=engine.ref.digest,
            recipe=blender.recipe,
            share=0.15,
            cases=LEAST,
            kl=0.01,
            error=0.0,
            recomputed=0.15,
            changed=0.0,
        )
        assert engine.open_blender(good).recipe == blender.recipe
        for wrong in (
            None,
            *(_other(good, **one) for one in ({"kl": 0.5}, {"cases": 9}, {"model": "x"}, {"recipe": "y"})),
        ):
            with pytest.raises(BlendRefused):
                engine.open_blender(wrong)


def _other(quality: BlendQuality, **other: Any) -> BlendQuality:
    fields = {name: getattr(quality, name) for name in quality.__struct_fields__}
    return BlendQuality(**{**fields, **other})
