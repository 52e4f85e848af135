"""Steering vectors: made of pairs, kept as memories, refused where they no longer hold, and what they do to a model."""

from __future__ import annotations

import math
import random
import struct

import pytest
import torch
from tests.unit.kv_kit import doubles, opened
from tests.unit.tiny_models import write_tiny

from pymemos import Activation, MemOS, errors
from pymemos.cube import steering as files
from pymemos.cube.steering import SteeringItem
from pymemos.models.local import LocalEngine, open_local
from pymemos.models.local import steering as local
from pymemos.ports import ChatOptions, SteeringUse, Utterance
from pymemos.testing.engines import mutated, said
from pymemos.testing.scripted import ScriptedChat
from pymemos.testing.toy_engine import ToyEngine

PAIRS = [(f"Splendid, dear friend {number}.", f"meh {number}") for number in range(6)]
ITEMS = [("How are you?", "Splendid, dear!", "meh"), ("And Bo?", "Dear Bo is splendid.", "meh meh")]
LABELLED = [SteeringItem(ask=ask, wanted=wanted, other=other) for ask, wanted, other in ITEMS]
ASKED = (Utterance("user", "Well?"),)


@pytest.fixture(params=["sqlite", "memory"])
def mem(request, tmp_path):
    with opened(tmp_path, ToyEngine(), **doubles(request.param)) as made:
        yield made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> LocalEngine:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("steered")
    # Logits are what a state has in common with a token's embedding: a direction in states is one in what is said.
    made = write_tiny(folder / "tiny", tie_word_embeddings=True, initializer_range=0.05)
    return open_local(str(made), folder, "cpu", "float32")


@pytest.fixture(scope="module")
def made(tiny):
    return local.make(tiny, PAIRS, layers=[1, 2], scales=[0.3, 1.0])


class TestKept:
    def test_a_vector_is_an_activation_memory_with_its_layer_scale_and_effect(self, mem):
        made = mem.steer_from(PAIRS, name="warm", scales=[0.3], user_id="ana", tags=["tone"])
        payload = mem.get(made.id).payload

        assert (payload.form, payload.layers, payload.scale) == ("steering", (0,), 0.3)
        assert payload.model == ToyEngine().ref
        assert made.cube.header.descriptive.metadata["name"] == "warm"
        assert made.cube.header.descriptive.metadata["effect"]["change"] == made.effect.change > 0
        assert [cube.id for cube in mem.list(user_id="ana", filters={"tags": "tone"})] == [made.id]

    def test_vectors_add_up_each_as_strong_as_it_was_made_or_is_asked(self, mem):
        one, two = (mem.steer_from(PAIRS[::step], scales=[0.2]).id for step in (1, -1))
        uses = mem.steering([one, two], strengths={two: -2}).uses

        assert [use.scale for use in uses] == [0.2, -0.4]
        effect = mem.steering_effect(ITEMS, [one, two], strengths={two: -2})
        alone = [mem.steering_effect(ITEMS, [id]).change for id in (one, two)]
        assert math.isclose(effect.change, alone[0] - 2 * alone[1])

    def test_it_comes_back_after_a_restart(self, tmp_path):
        with opened(tmp_path, ToyEngine()) as mem:
            id = mem.steer_from(PAIRS).id
            before = mem.steering([id]).uses
        with opened(tmp_path, ToyEngine()) as mem:
            assert mem.steering([id]).uses == before


class TestRefused:
    def test_a_vector_made_from_a_memory_goes_with_it(self, mem):
        source = mem.add("Ana says: splendid.", user_id="ana").ids[0]
        id = mem.steer_from(PAIRS, parents=[source], user_id="ana").id
        assert mem.steering([id], user_id="ana").ids == (id,)

        mem.update(source, "Ana says: meh.", user_id="ana")
        with pytest.raises(errors.StaleMemory, match="make it anew"):
            mem.steering([id], user_id="ana")

    def test_an_erased_or_archived_one_is_not_served(self, mem):
        id, other = (mem.steer_from(PAIRS, user_id="ana").id for _ in range(2))
        mem.erase(id, user_id="ana")
        mem.archive(other, user_id="ana")

        with pytest.raises(errors.UnknownMemory):
            mem.steering([id], user_id="ana")
        with pytest.raises(errors.NotAllowed, match="archived"):
            mem.steering([other], user_id="ana")

    def test_somebody_elses_is_as_good_as_unknown_until_it_is_shared(self, mem):
        id = mem.steer_from(PAIRS, user_id="ana").id
        with pytest.raises(errors.UnknownMemory):
            mem.bind(user_id="bo").steering([id])

        mem.share(id, to="users/bo", user_id="ana")
        assert mem.bind(user_id="bo").steering([id]).ids == (id,)

    def test_another_models_vector_is_refused(self, tmp_path):
        with opened(tmp_path, ToyEngine()) as mem:
            id = mem.steer_from(PAIRS).id
        with opened(tmp_path, ToyEngine(seed=1)) as mem, pytest.raises(errors.SegmentRefused, match="another model"):
            mem.steering([id])

    def test_one_that_the_instance_did_not_make_is_refused(self, mem):
        payload = mem.steer_from(PAIRS).cube.payload
        forged = mem.add(Activation(form="steering", blob=payload.blob, size=payload.size, model=payload.model,
                                    layers=(0,), scale=9.0, seal=payload.seal)).ids[0]  # fmt: skip

        with pytest.raises(errors.SegmentRefused, match="not made by this instance"):
            mem.steering([forged])

    def test_a_damaged_file_is_refused(self, tmp_path):
        with opened(tmp_path, ToyEngine()) as mem:
            made = mem.steer_from(PAIRS)
            path = next(path for path in (tmp_path / "blobs").rglob("*") if path.name == made.cube.payload.blob)
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.chmod(0o600)
            path.write_bytes(data)

            with pytest.raises(errors.DamagedBlob):
                mem.steering([made.id])

    @pytest.mark.parametrize("pairs", ["text", [("one",)], [("one", 2)], PAIRS[:5], [("", "x")] * 6])
    def test_what_is_no_pair_is_refused(self, mem, pairs):
        with pytest.raises(errors.InvalidInput):
            mem.steer_from(pairs)

    @pytest.mark.parametrize("strength", [math.nan, math.inf, 11, True, "1"])
    def test_what_is_no_strength_is_refused(self, mem, strength):
        id = mem.steer_from(PAIRS).id
        with pytest.raises(errors.InvalidInput, match="strengths"):
            mem.steering([id], strengths={id: strength})

    @pytest.mark.parametrize(
        "given",
        [{"layers": [True]}, {"layers": [0.0]}, {"layers": ["a"]}, {"layers": 0}, {"layers": "0"},
         {"scales": 3}, {"scales": "0.1"}, {"scales": [math.nan]}],
    )  # fmt: skip
    def test_what_is_no_layer_or_scale_is_refused_and_nothing_kept(self, mem, given):
        with pytest.raises(errors.InvalidInput, match=next(iter(given))):
            mem.steer_from(PAIRS, **given)
        assert len(mem.list()) == 0

    def test_strengths_are_a_mapping(self, mem):
        id = mem.steer_from(PAIRS).id
        with pytest.raises(errors.InvalidInput, match="mapping from ids"):
            mem.steering([id], strengths=[1])

    def test_without_a_model_it_says_so(self, tmp_path):
        with MemOS(tmp_path, embedder="none") as mem, pytest.raises(errors.ModelError, match="local model"):
            mem.steer_from(PAIRS)

    def test_arguments_are_looked_at_before_a_model_is_opened(self, tmp_path):
        with MemOS(tmp_path, embedder="none") as mem:
            for act in (lambda: mem.steer_from(PAIRS, layers=["a"]), lambda: mem.steering([])):
                with pytest.raises(errors.InvalidInput):
                    act()


class TestFiles:
    def test_a_thousand_mutants_are_refused_or_are_vectors_of_this_model(self, tiny, made, tmp_path):
        stranger = open_local(
            str(write_tiny(tmp_path / "other", seed=1, tie_word_embeddings=True)), tmp_path, "cpu", "float32"
        )
        other = files.dump(stranger.ref, {made.layers[0]: bytes(4 * 48)})
        dice = random.Random(3)  # noqa: S311 (the same files each time)
        accepted = 0
        for _ in range(1_000):
            mutant = mutated(made.file, other, dice)
            try:
                vectors = tiny.load_steering(memoryview(mutant), made.layers)
            except errors.SegmentRefused:
                continue
            accepted += 1  # only the data differs, or spaces in the header: the blob's hash finds it
            assert all(vector.shape == (48,) and bool(vector.isfinite().all()) for vector in vectors.values())
        assert accepted < 500

    def test_what_is_no_number_is_refused(self, tiny, made):
        file = made.file[:-4] + struct.pack("<f", math.nan)

        with pytest.raises(errors.SegmentRefused, match="no number"):
            tiny.load_steering(memoryview(file), made.layers)

    def test_the_layers_are_those_that_were_kept(self, tiny, made):
        for wrong in ((), (0,), (99,), (*made.layers, 0)):
            with pytest.raises(errors.SegmentRefused):
                tiny.load_steering(memoryview(made.file), wrong)


class TestLocal:
    def test_the_vector_makes_held_out_texts_likelier_and_turned_round_less_likely(self, tiny, made):
        vectors = tiny.load_steering(memoryview(made.file), made.layers)
        there, back = (tiny.steering_effect(LABELLED, [SteeringUse(vectors=vectors, scale=one)]) for one in (0.2, -0.2))

        assert made.effect.change > 0
        assert there.change > back.change

    def test_likelihoods_are_those_of_steered_generation(self, tiny, made):
        """One pass over a text gives what the model gives token by token, each steered as it is generated."""
        use = SteeringUse(vectors=tiny.load_steering(memoryview(made.file), made.layers), scale=made.scale)
        item = LABELLED[0]
        ((wanted, _),) = local.likelihoods(tiny, [item], [use])

        tokens = tiny.prompt("", (), [Utterance("user", item.ask)]).tokens
        answer = tiny.tokenizer(item.wanted, add_special_tokens=False)["input_ids"]
        cache, given, found = tiny.new_past(len(tokens) + len(answer)), tokens, []
        for token in answer:
            row = tiny.forward(given, cache, steering=[use]).log_softmax(-1)
            found.append(float(row[token]))
            given = (token,)

        assert math.isclose(wanted, sum(found) / len(found), abs_tol=1e-4)

    def test_no_steering_changes_nothing(self, tiny, made):
        vectors = tiny.load_steering(memoryview(made.file), made.layers)
        effect = tiny.steering_effect(LABELLED, [SteeringUse(vectors=vectors, scale=0.0)])

        assert (effect.change, effect.low, effect.high, effect.proven) == (0.0, 0.0, 0.0, False)

    def test_it_changes_what_is_generated(self, tiny, made):
        tokens = tiny.prompt("", (), ASKED).tokens
        use = SteeringUse(vectors=tiny.load_steering(memoryview(made.file), made.layers), scale=1.0)

        assert said(tiny.run(tokens, ChatOptions(max_tokens=12), steering=[use])) != said(
            tiny.run(tokens, ChatOptions(max_tokens=12))
        )

    def test_pairs_that_do_not_differ_are_refused(self, tiny):
        with pytest.raises(errors.InvalidInput, match="differ"):
            local.make(tiny, [("same", "same")] * 6, layers=[1])

    def test_a_layer_that_is_not_there_is_refused(self, tiny):
        with pytest.raises(errors.InvalidInput, match="layers 0 to 2"):
            local.make(tiny, PAIRS, layers=[3])

    def test_the_interval_is_of_the_items_and_the_same_again(self):
        before = [(0.0, 0.0)] * 40
        after = [(1.0 + 0.1 * number, 0.0) for number in range(40)]
        effect = local.effect_of(before, after)

        assert effect == local.effect_of(before, after)
        assert effect.low < effect.change < effect.high
        assert effect.proven


def test_the_margin_is_wanted_against_other():
    assert local.effect_of([(-1.0, -2.0)], [(-1.0, -3.0)]).change == 1.0


class TestChat:
    def test_an_answer_is_steered_and_the_plan_names_the_vectors(self, mem):
        made = mem.steer_from(PAIRS, scales=[0.3], user_id="ana")
        asked = {"user_id": "ana", "max_tokens": 24, "remember": False}

        plain, steered, again = (mem.chat("How are you?", steering=ids, **asked) for ids in ((), [made.id], [made.id]))

        assert plain.text != steered.text == again.text
        assert (plain.plan.steering, steered.plan.steering) == ((), (made.id,))
        assert made.id in steered.plan.explain()
        assert [entry.memories for entry in mem.log(operation="use_steering")] == [(made.id,)] * 2

    def test_a_stream_is_steered_too(self, mem):
        made = mem.steer_from(PAIRS, scales=[0.3])
        asked = {"max_tokens": 24, "remember": False, "steering": [made.id]}

        with mem.chat("How are you?", stream=True, **asked) as stream:
            assert "".join(stream) == mem.chat("How are you?", **asked).text

    def test_a_stream_that_was_not_begun_asks_for_its_vectors_when_it_begins(self, mem):
        made = mem.steer_from(PAIRS)
        stream = mem.chat("How are you?", stream=True, steering=[made.id])
        mem.erase(made.id)

        with pytest.raises(errors.UnknownMemory):
            next(stream)

    def test_a_vector_that_goes_while_it_is_used_is_named_and_the_answer_not_kept(self, mem):
        made = mem.steer_from(PAIRS)
        stream = mem.chat("How are you?", stream=True, steering=[made.id])
        next(stream)
        mem.erase(made.id)
        list(stream)

        assert [one.id for one in stream.reply.plan.changed] == [made.id]
        assert len(stream.reply.kept) == 1  # the question

    def test_an_answer_is_not_made_anew_with_a_vector_that_was_erased_meanwhile(self, tmp_path):
        class Erasing(ToyEngine):
            erase = staticmethod(lambda: None)

            def run(self, *given, **options):
                yield from super().run(*given, **options)
                self.erase()

        engine = Erasing()
        with opened(tmp_path, engine) as mem:
            made = mem.steer_from(PAIRS)
            engine.erase = lambda: mem.erase(made.id)

            with pytest.raises(errors.UnknownMemory):
                mem.chat("How are you?", steering=[made.id])
            assert len(mem.list()) == 0

    def test_a_frozen_vector_holds(self, mem):
        made = mem.steer_from(PAIRS)
        mem.freeze(made.id)
        reply = mem.chat("How are you?", steering=[made.id])

        assert (reply.plan.changed, reply.plan.attempts, len(reply.kept)) == ((), 1, 2)

    def test_a_vector_that_no_longer_holds_answers_nothing(self, mem):
        [source] = mem.add("Ana is warm.").ids
        made = mem.steer_from(PAIRS, parents=[source])
        mem.update(source, "Ana is cool.")

        with pytest.raises(errors.StaleMemory):
            mem.chat("How are you?", steering=[made.id])
        with pytest.raises(errors.UnknownMemory):
            mem.chat("How are you?", steering=[made.id], user_id="bo")
        with pytest.raises(errors.InvalidInput):
            mem.chat("How are you?", steering=made.id)

    def test_a_model_that_is_no_engine_says_what_is_missing(self, tmp_path):
        with opened(tmp_path, ToyEngine(), chat=ScriptedChat(["Fine."])) as mem:
            made = mem.steer_from(PAIRS)
            for option in ({"steering": [made.id]}, {"mode": "blend"}):
                with pytest.raises(errors.ModelError, match="needs a local model that answers"):
                    mem.chat("How are you?", **option)
        another = opened(tmp_path, ToyEngine(), chat=ToyEngine(seed=1))
        with another as mem, pytest.raises(errors.ModelError, match="engine="):
            mem.chat("How are you?", steering=[made.id])
