"""Blending: segments that were encoded apart, turned to their places, partly computed again, and gated by a probe."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
import torch
from benchmarks import _blend
from tests.unit.tiny_models import write_tiny

from pymemos import errors
from pymemos.cube.blending import LEAST, BlendQuality
from pymemos.models import measured
from pymemos.models.local import LocalEngine, open_local
from pymemos.models.local import quality as judging
from pymemos.models.local.blending import Composer
from pymemos.models.local.fillers import names_in, sets_for
from pymemos.models.local.invented import cases_from
from pymemos.models.local.loose import Rotation
from pymemos.models.local.quality import open_blender
from pymemos.ports import ChatOptions, Prompt, Utterance
from pymemos.testing.engines import said

SYSTEM = "Notes:"
NOTES = ("Ana has a boat.", "Bo met Eve in Rome.", "Ana likes tea.", "Eve sold it.")
ASKED = (Utterance("user", "Who?"),)
LONG = {"max_position_embeddings": 4_096}  # a token of the tiny model is a byte


def opened(folder, **settings: object) -> LocalEngine:
    torch.set_num_threads(1)
    dtype = str(settings.pop("dtype", "float32"))
    return open_local(str(write_tiny(folder / "tiny", **{**LONG, **settings})), folder, "cpu", dtype)


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> LocalEngine:
    return opened(tmp_path_factory.mktemp("blended"))


@pytest.fixture(scope="module")
def prompt(engine) -> Prompt:
    return engine.prompt(SYSTEM, NOTES, ASKED)


@pytest.fixture(scope="module")
def first(engine, prompt):
    return engine.prefill([*prompt.head, *prompt.notes[0]])


@pytest.fixture(scope="module")
def loose(engine):
    composer = Composer(engine)
    return [composer.encode(note, system=SYSTEM) for note in NOTES[1:]]


def whole(engine: LocalEngine, tokens: Sequence[int]) -> torch.Tensor:
    return torch.from_numpy(engine.logits(tokens))


class TestRotation:
    def test_a_key_turned_back_and_on_is_the_key_of_that_place(self, engine):
        """In the first layer a key depends on its token and its place alone."""
        rotation = Rotation(engine)
        near, far = (engine.prefill([7] * size).layers[0][0] for size in (1, 2_001))

        turned = rotation.turned(near, torch.tensor([2_000]))

        assert torch.allclose(turned, far[:, -1:], atol=2e-4)

    def test_turning_adds_up(self, engine):
        rotation, keys = Rotation(engine), torch.randn(2, 5, 8)
        steps = torch.arange(5)

        there = rotation.turned(rotation.turned(keys, steps), 3 - steps)

        assert torch.allclose(there, rotation.turned(keys, torch.full((5,), 3)), atol=1e-6)

    def test_a_rotation_that_depends_on_the_prompts_length_is_refused(self, tmp_path):
        rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
        with pytest.raises(errors.ModelError, match="cannot be turned"):
            Rotation(opened(tmp_path, rope_parameters=rope))


class TestFillers:
    def test_they_speak_of_whom_the_note_names(self):
        sets = sets_for("Zelda met Yorick on Monday.")

        assert ("Zelda", "Yorick") == names_in("Zelda met Yorick on Monday.")
        assert all(
            any("Zelda" in filler for filler in one) and any("Yorick" in filler for filler in one) for one in sets
        )

    def test_they_are_the_same_again_and_differ_from_each_other(self):
        fillers = [filler for one in sets_for("I like it.") for filler in one]

        assert sets_for("I like it.") == sets_for("I like it.")
        assert len(set(fillers)) == len(fillers) == 12
        assert names_in("I like it, he said. The end. 東京") == ()


class TestBlend:
    def test_everything_computed_again_is_the_exact_prompt(self, engine, prompt, first, loose):
        blend = Composer(engine, share=1.0).blend([first], loose, prompt.tail)

        assert blend.share == 1.0
        assert torch.allclose(blend.rows[-1], whole(engine, prompt.tokens), atol=1e-3)

    def test_nothing_loose_is_exact(self, engine, prompt, first):
        tail = [*(token for note in prompt.notes[1:] for token in note), *prompt.tail]
        blend = Composer(engine).blend([first], [], tuple(tail))

        assert torch.allclose(blend.rows[-1], whole(engine, prompt.tokens), atol=1e-3)

    def test_at_most_the_share_is_computed_again(self, engine, prompt, first, loose):
        count = sum(len(one.tokens) for one in loose)
        for share in (0.0, 0.15, 0.5):
            blend = Composer(engine, share=share).blend([first], loose, prompt.tail)

            assert blend.recomputed == int(share * count)
            assert blend.loose == count
            assert blend.cache.length == len(prompt.tokens)

    def test_what_is_computed_again_is_what_the_question_looks_at_most(self, engine, prompt, first, loose):
        """By the definition: for each layer and head the most of any token of the question, all added up."""
        composer = Composer(engine, share=0.2)
        middle = composer.middle(loose, first.end)
        cache = engine.new_past(middle.kv.end + len(prompt.tail), [first, middle.kv])
        seen = []
        engine.passed(prompt.tail, cache, watch=lambda q, parts, key, scale: seen.append((q, parts, key, scale)))
        total = torch.zeros(len(middle.tokens))
        for query, parts, key, scale in seen:
            keys = torch.cat([*(one for one, _ in parts), key], dim=2).repeat_interleave(3, dim=1)
            scores = (query @ keys.transpose(-1, -2) * (scale or query.shape[-1] ** -0.5))[0]
            new, there = scores.shape[1:]
            for row in range(new):
                scores[:, row, there - new + row + 1 :] = float("-inf")
            total += scores.softmax(-1)[:, :, first.end : middle.kv.end].amax(1).sum(0)

        chosen = composer.chosen([first], middle, prompt.tail)

        assert chosen == sorted(total.topk(len(chosen)).indices.tolist())

    def test_the_share_that_is_computed_again_brings_the_answer_nearer(self, engine):
        found = [
            judging.judged(Composer(engine, share=share), [judging.examine([Composer(engine, share=share)], one)[0]
            for one in cases_from(5, 2)]).kl for share in (0.0, 1.0)
        ]  # fmt: skip

        assert found[0] > 10 * abs(found[1])
        assert abs(found[1]) < 1e-4

    def test_an_answer_goes_on_behind_the_blend(self, engine, prompt, first, loose):
        options = ChatOptions(max_tokens=8)
        exact = said(engine.run(prompt.tokens, options))
        text, finish, usage = said(Composer(engine, share=1.0).run([first], loose, prompt.tail, options))
        partly = said(Composer(engine).run([first], loose, prompt.tail, options))

        assert (text, finish) == exact[:2]
        assert usage.prompt == len(prompt.tokens)
        assert usage.cached == len(first.tokens)
        assert partly[2].cached > usage.cached

    def test_another_models_segment_is_refused(self, engine, prompt, first, loose):
        foreign = msgspec.structs.replace(loose[0], model="other")

        with pytest.raises(errors.SegmentRefused, match="another model"):
            Composer(engine).blend([first], [foreign], prompt.tail)
        with pytest.raises(errors.SegmentRefused, match="begins at"):
            Composer(engine).blend([first, first], loose, prompt.tail)

    def test_what_the_window_does_not_hold_is_refused(self, engine, prompt, first, loose):
        with pytest.raises(errors.PromptTooLong):
            Composer(engine).blend([first], loose * 100, prompt.tail)

    def test_a_note_is_encoded_the_same_again(self, engine, loose):
        again = Composer(engine).encode(NOTES[1], system=SYSTEM)

        assert again.tokens == loose[0].tokens
        assert all(torch.equal(a, b) for one, two in zip(again.layers, loose[0].layers, strict=True)
                   for a, b in zip(one, two, strict=True))  # fmt: skip

    def test_in_bfloat16_what_is_computed_again_is_near(self, tmp_path):
        half = opened(tmp_path, dtype="bfloat16")
        prompt = half.prompt(SYSTEM, NOTES, ASKED)
        first = half.prefill([*prompt.head, *prompt.notes[0]])
        composer = Composer(half, share=1.0)
        blend = composer.blend([first], [composer.encode(note, system=SYSTEM) for note in NOTES[1:]], prompt.tail)

        assert (blend.rows[-1].float() - whole(half, prompt.tokens)).abs().max() < 0.2


@pytest.fixture(scope="module")
def probed(engine) -> BlendQuality:
    return judging.probe(engine, cases=2, seed=3)


def good(probed: BlendQuality, **other: object) -> BlendQuality:
    return msgspec.structs.replace(probed, **{"cases": LEAST, "kl": 0.01, **other})


class TestGate:
    def test_a_probe_measures_this_model_on_cases_of_its_own(self, engine, probed):
        found = probed

        assert found.model == judging.digest_of(engine.ref)
        assert found.cases == 2
        assert found.kl > 0
        assert 0 < found.recomputed <= found.share
        assert [share for share, _ in found.tried] == [0.15, 0.2, 0.25, 0.3, 0.4]
        assert judging.probe(engine, cases=2, seed=3) == found

    def test_the_smallest_share_within_the_bound_is_taken(self, engine, probed):
        shares = [kl for _, kl in probed.tried]
        between = (max(shares[0], shares[1]) + min(shares)) / 2

        found = judging.probe(engine, cases=2, seed=3, bound=between)
        nowhere = judging.probe(engine, cases=2, seed=3, bound=0.0)

        assert found.share == next(share for share, kl in probed.tried if kl <= between)
        assert nowhere.share == 0.4

    def test_it_is_kept_beside_the_model(self, engine, probed, tmp_path):
        assert measured.kept(engine.ref, tmp_path) is None

        path = measured.keep(probed, tmp_path / "cache")

        assert measured.kept(engine.ref, tmp_path / "cache") == probed
        path.write_text("{")
        assert measured.kept(engine.ref, tmp_path / "cache") is None

    def test_a_model_that_is_good_enough_is_blended(self, engine, probed):
        assert open_blender(engine, good(probed, share=0.25)).share == 0.25

    @pytest.mark.parametrize(
        ("other", "reason"),
        [
            ({"kl": 0.031}, "0.03 is the bound"),
            ({"kl": math.nan}, "bound"),
            ({"cases": LEAST - 1}, "at least 100"),
            ({"model": "other"}, "another model"),
            ({"recipe": "loose-0"}, "probe again"),
        ],
    )
    def test_any_other_is_refused_with_the_reason(self, engine, probed, other, reason):
        with pytest.raises(errors.BlendRefused, match=reason):
            open_blender(engine, good(probed, **other))

    def test_one_that_was_never_probed_is_refused(self, engine):
        with pytest.raises(errors.BlendRefused, match="never measured"):
            open_blender(engine, None)


def test_cases_are_the_same_again_and_their_questions_are_about_a_note():
    cases = cases_from(1, 20)

    assert cases == cases_from(1, 20) != cases_from(2, 20)
    assert all(6 <= len(case.notes) <= 8 for case in cases)


def test_the_benchmarks_cases_are_its_own_and_the_same_again():
    seeds = range(_blend.FRESH, _blend.FRESH + 50)
    cases = [_blend.case(seed) for seed in seeds]
    words = {word for case in cases for note in case.notes for word in names_in(note)}
    probed = {word for case in cases_from(0, 50) for note in case.notes for word in names_in(note)}

    assert cases == [_blend.case(seed) for seed in seeds]
    assert all(6 <= len(case.notes) <= 8 for case in cases)
    assert words & set(_blend.NAMES)
    assert not probed & set(_blend.NAMES)  # nothing that a probe or a filler speaks of was fitted to them


def test_the_benchmarks_rows_are_means_of_what_was_found():
    found = [judging.Finding(kl=kl, changed=kl > 0.02, recomputed=0.14) for kl in (0.01, 0.02, 0.06)]
    rows = {row.metric: row for row in _blend.rows(found)}

    assert tuple(rows) == _blend.METRICS
    assert (rows["blend_kl"].value, rows["blend_kl"].met) == (0.03, True)
    assert rows["blend_kl_worst_tenth"].value == 0.06
    assert (rows["blend_recomputed"].value, rows["blend_recomputed"].met) == (0.14, True)
    assert rows["blend_changed"].value == 0.3333
