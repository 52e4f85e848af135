"""The local engine beyond its contract: against transformers itself, adapters, steering, files, what is refused."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.tiny_models import tokenizer_of_bytes, write_tiny
from transformers import AutoModelForCausalLM, MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM

from pymemos.errors import InvalidInput, ModelError, SegmentRefused, UnknownModel
from pymemos.models.local import LocalEngine, attention, open_local
from pymemos.models.local.hooks import AdapterUse
from pymemos.models.local.identity import KNOWN, digest_of
from pymemos.models.local.past import SHORT
from pymemos.ports import ChatOptions, SegmentAbout, SteeringUse, Utterance
from pymemos.testing.engines import chained, mutated, said, stored

HIDDEN = 48
ABOUT = SegmentAbout(namespace="users/ana")
INT8 = SegmentAbout(namespace="users/ana", form="int8")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("local") / "tiny", max_position_embeddings=2_048)


@pytest.fixture(scope="module")
def engine(folder: Path) -> LocalEngine:
    return open_local(str(folder), folder.parent, "cpu")


def some_tokens(count: int, seed: int = 0) -> tuple[int, ...]:
    dice = random.Random(seed)  # noqa: S311 (repeatable, not secret)
    return tuple(dice.randrange(256) for _ in range(count))


@pytest.fixture(scope="module")
def reference(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()


class TestExact:
    @pytest.mark.parametrize("pieces", [[700], [300, 400], [20, 30, 300, 10, 10, 330], [5] * 20])
    def test_logits_are_those_of_the_model_as_transformers_runs_it(self, engine, reference, pieces):
        prefix = [some_tokens(count, seed) for seed, count in enumerate(pieces)]
        tokens = (*(token for piece in prefix for token in piece), *some_tokens(50, 99))

        with torch.inference_mode():
            expected = reference(torch.tensor([tokens])).logits[0, -1].numpy()

        assert np.abs(engine.logits(tokens) - expected).max() <= 1e-4
        assert np.abs(engine.logits(tokens, prefix=chained(engine, prefix)) - expected).max() <= 1e-4

    def test_answers_are_those_of_the_model_as_transformers_runs_it(self, engine, reference):
        """Also far behind the prompt, where what the run itself computed has outgrown its room."""
        tokens = some_tokens(300)
        with torch.inference_mode():
            made = reference.generate(torch.tensor([tokens]), max_new_tokens=600, do_sample=False, eos_token_id=None)
        expected = made[0, 300:].tolist()

        cache = engine._past([engine.prefill(tokens[:290])], 300)
        row, found = engine.forward(tokens[290:], cache), []
        for _ in range(600):
            found.append(int(row.argmax()))
            row = engine.forward(found[-1:], cache)

        assert found == expected

    def test_short_segments_are_joined_and_long_ones_left_where_they_lie(self, engine):
        chain = chained(engine, [some_tokens(count) for count in (10, 20, SHORT, 5, 6, 7)])

        parts = engine._past(chain, 1_000).before[0]

        assert [keys.shape[2] for keys, _ in parts] == [30, SHORT, 18]
        assert parts[1][0].data_ptr() == chain[2].layers[0][0].data_ptr()

    def test_several_forwards_of_one_run_go_on_from_each_other(self, engine):
        tokens = some_tokens(90)
        cache = engine._past([engine.prefill(tokens[:30])], 90)

        engine.forward(tokens[30:60], cache)
        row = engine.forward(tokens[60:], cache)

        assert np.abs(row.numpy() - engine.logits(tokens)).max() <= 1e-4

    def test_threads_take_turns_and_steer_only_themselves(self, engine):
        prompt = engine.prompt("Be brief.", ["a note"], [Utterance("user", "Well?")])
        steering = [SteeringUse(vectors={1: torch.full((HIDDEN,), 2.0)})]
        options = ChatOptions(max_tokens=30)
        expected = {one: said(engine.run(prompt.tokens, options, steering=steering * one)) for one in (0, 1)}
        wrong: list[int] = []

        def ask(steered: int) -> None:
            for _ in range(5):
                if said(engine.run(prompt.tokens, options, steering=steering * steered)) != expected[steered]:
                    wrong.append(steered)

        threads = [threading.Thread(target=ask, args=(index % 2,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert expected[0] != expected[1]
        assert wrong == []

    def test_a_token_that_does_not_exist_is_refused(self, engine):
        for tokens in ([5, 100_000], [-1]):
            with pytest.raises(InvalidInput, match="no such token"):
                engine.logits(tokens)


class TestAttention:
    def states(self, heads: int, tokens: int, size: int = 16) -> torch.Tensor:
        return torch.randn(1, heads, tokens, size)

    @pytest.mark.parametrize("causal", [True, False])
    def test_the_kernel_and_the_definition_agree(self, causal):
        query, key, value = (self.states(4, 30) for _ in range(3))

        kernel = attention._attention(query, key, value, None, causal=causal)
        plain = attention._plain(query, key, value, None, causal=causal)

        for one, other in zip(kernel, plain, strict=True):
            assert torch.allclose(one, other, atol=1e-5)

    def test_a_mask_goes_over_all_parts_in_order(self):
        module = torch.nn.Module()
        module.layer_idx = 0
        query, key, value = self.states(4, 6), self.states(2, 6), self.states(2, 6)
        before = [[(self.states(2, 10), self.states(2, 10)), (self.states(2, 5), self.states(2, 5))]]
        mask = torch.ones(1, 1, 6, 21, dtype=torch.bool).tril(15)

        causal, _ = attention.attend(module, query, key, value, None, before=before)
        masked, _ = attention.attend(module, query, key, value, mask, before=before)

        assert torch.allclose(causal, masked, atol=1e-5)

    def test_what_a_model_asks_for_and_is_not_done_is_an_error(self):
        with pytest.raises(ModelError, match="softcap"):
            attention.attend(torch.nn.Module(), *(self.states(2, 3) for _ in range(3)), None, softcap=30.0)


@pytest.fixture(scope="module")
def modules(engine: LocalEngine):
    """An adapter of rank 4 for two linear layers."""
    dice = torch.Generator().manual_seed(3)
    names = ("model.layers.1.self_attn.q_proj", "model.layers.2.mlp.down_proj")
    shapes = {name: engine.model.get_submodule(name).weight.shape for name in names}
    return {
        name: (torch.randn(4, width, generator=dice), torch.randn(height, 4, generator=dice), 0.5)
        for name, (height, width) in shapes.items()
    }


class TestAdapters:
    def row(self, engine, tokens, *uses, prefix=()):
        cache = engine._past(list(prefix), len(tokens))
        return engine.forward(tokens[cache.start :], cache, adapters=uses)

    def test_a_closed_gate_is_the_base_to_the_last_bit(self, engine, modules):
        tokens = some_tokens(40)

        closed = self.row(engine, tokens, AdapterUse(modules, torch.zeros(40)))

        assert torch.equal(closed, self.row(engine, tokens))

    def test_an_open_gate_is_the_adapter_merged_into_the_weights(self, engine, modules, folder, tmp_path):
        tokens = some_tokens(40)
        merged = open_local(str(folder), tmp_path, "cpu")
        for name, (down, up, scale) in modules.items():
            merged.model.get_submodule(name).weight.data += scale * up @ down

        opened = self.row(engine, tokens, AdapterUse(modules, torch.ones(40)))

        assert torch.allclose(opened, self.row(merged, tokens), atol=1e-3)
        assert not torch.allclose(opened, self.row(engine, tokens), atol=1e-1)

    def test_before_the_gate_opens_nothing_changes(self, engine, modules):
        """Causality and the gate: what is computed for earlier tokens is the base's, to the last bit."""
        tokens, gate = some_tokens(40), torch.zeros(40)
        gate[25:] = 1
        caches = [engine._past([], 40) for _ in range(2)]

        engine.forward(tokens, caches[0])
        engine.forward(tokens, caches[1], adapters=[AdapterUse(modules, gate)])

        for (keys, values), (other_keys, other_values) in zip(
            *(cache.segment("m", tokens).layers for cache in caches), strict=True
        ):
            assert torch.equal(keys[:, :25], other_keys[:, :25])
            assert torch.equal(values[:, :25], other_values[:, :25])
        assert not torch.equal(caches[0].recent[2].keys[:, :, 25:], caches[1].recent[2].keys[:, :, 25:])

    def test_a_gate_half_open_adds_half(self, engine, modules):
        tokens = some_tokens(40)
        halved = {name: (down, up, scale / 2) for name, (down, up, scale) in modules.items()}

        half = self.row(engine, tokens, AdapterUse(modules, torch.full((40,), 0.5)))

        assert torch.allclose(half, self.row(engine, tokens, AdapterUse(halved, torch.ones(40))), atol=1e-4)

    def test_generated_tokens_have_a_gate_of_their_own(self, engine, modules):
        tokens, options = some_tokens(40), ChatOptions(max_tokens=20)
        plain = said(engine.run(tokens, options))

        closed = said(engine.run(tokens, options, adapters=[AdapterUse(modules, torch.zeros(40), after=0.0)]))
        opened = said(engine.run(tokens, options, adapters=[AdapterUse(modules, torch.zeros(40), after=1.0)]))

        assert closed == plain
        assert opened != plain

    def test_a_gate_may_not_be_open_within_a_prefix(self, engine, modules):
        tokens = some_tokens(40)
        prefix = [engine.prefill(tokens[:20])]
        gate = torch.zeros(40)
        gate[30:] = 1

        assert said(engine.run(tokens, ChatOptions(max_tokens=3), prefix=prefix, adapters=[AdapterUse(modules, gate)]))
        gate[10] = 1
        with pytest.raises(InvalidInput, match="within the prefix"):
            engine.run(tokens, ChatOptions(), prefix=prefix, adapters=[AdapterUse(modules, gate)])

    @pytest.mark.parametrize("name", ["model.layers.9.mlp.up_proj", "model.norm", "model.layers.0.mlp.up_proj"])
    def test_an_adapter_that_does_not_fit_is_refused_and_leaves_nothing_behind(self, engine, modules, name):
        tokens = some_tokens(10)
        plain = self.row(engine, tokens)
        wrong = {**modules, name: (torch.zeros(4, 7), torch.zeros(7, 4), 1.0)}

        with pytest.raises(InvalidInput, match=name.replace(".", r"\.")):
            self.row(engine, tokens, AdapterUse(wrong, torch.ones(10)))
        assert torch.equal(plain, self.row(engine, tokens))


class TestSteering:
    def test_vectors_add_up(self, engine):
        tokens = some_tokens(30)
        dice = torch.Generator().manual_seed(1)
        one, other = (torch.randn(HIDDEN, generator=dice) for _ in range(2))

        def row(*uses: SteeringUse) -> torch.Tensor:
            return engine.forward(tokens, engine._past([], 30), steering=uses)

        both = row(SteeringUse(vectors={1: one}, scale=2), SteeringUse(vectors={1: other}))

        assert torch.allclose(both, row(SteeringUse(vectors={1: 2 * one + other})), atol=1e-4)

    def test_a_layer_that_does_not_exist_is_refused(self, engine):
        use = SteeringUse(vectors={3: torch.zeros(HIDDEN)})

        with pytest.raises(InvalidInput, match="no layer 3"):
            list(engine.run(some_tokens(5), ChatOptions(), steering=[use]))


class TestFiles:
    def test_an_exact_segment_stays_in_its_file(self, engine):
        kv = engine.prefill(some_tokens(30))
        file = engine.dump(kv, ABOUT).read()

        loaded = engine.load(memoryview(file), ABOUT, kv.tokens, 0)

        begin = np.frombuffer(file, np.uint8).ctypes.data
        assert begin < loaded.layers[0][0].data_ptr() < begin + len(file)
        assert loaded.layers[0][0].data_ptr() % 4 == 0

    def test_int8_takes_a_quarter_and_comes_near(self, engine):
        tokens = some_tokens(200)
        kv = engine.prefill(tokens[:160])
        file = engine.dump(kv, INT8).read()

        loaded = stored(engine, kv, INT8)

        assert loaded.on_device  # it was restored into memory, where a CPU computes
        assert len(file) < 0.4 * len(engine.dump(kv, ABOUT).read())
        for part, exact in zip(loaded.layers, kv.layers, strict=True):
            for states, truth in zip(part, exact, strict=True):
                step = truth.abs().amax(dim=-1, keepdim=True) / 127
                assert ((states - truth).abs() <= step * 0.5001).all()
        assert said(engine.run(tokens, ChatOptions(max_tokens=1), prefix=[loaded]))[2].cached == 160

    def test_int8_of_int8_is_the_same(self, engine):
        once = stored(engine, engine.prefill(some_tokens(30)), INT8)

        twice = stored(engine, once, INT8)

        for part, other in zip(once.layers, twice.layers, strict=True):
            assert torch.allclose(part[0], other[0], rtol=1e-6)

    def test_a_scale_that_is_no_number_is_refused(self, engine):
        kv = engine.prefill(some_tokens(20))
        file = bytearray(engine.dump(kv, INT8).read())
        file[-4:] = np.array([np.nan], np.float32).tobytes()

        with pytest.raises(SegmentRefused, match=r"layers\.2\.v"):
            engine.load(memoryview(bytes(file)), INT8, kv.tokens, 0)

    def test_mutants_of_int8_never_crash(self, engine):
        kv = engine.prefill(some_tokens(20))
        file, other = engine.dump(kv, INT8).read(), engine.dump(engine.prefill(some_tokens(20, 1)), INT8).read()
        refused = 0
        for seed in range(300):
            dice = random.Random(seed)  # noqa: S311 (repeatable, not secret)
            try:
                engine.load(memoryview(mutated(file, other, dice)), INT8, kv.tokens, 0)
            except SegmentRefused:
                refused += 1
        assert refused > 150  # the rest are changes of the data, which verify_blob finds

    def test_a_form_that_does_not_exist_is_refused(self, engine):
        about = SegmentAbout(namespace="users/ana", form="int4")

        with pytest.raises(SegmentRefused, match="int4"):
            engine.dump(engine.prefill(some_tokens(5)), about)

    def test_a_file_is_read_in_pieces(self, engine):
        kv = engine.prefill(some_tokens(40))
        whole = engine.dump(kv, ABOUT).read()
        file = engine.dump(kv, ABOUT)

        assert b"".join(iter(lambda: file.read(1_000), b"")) == whole

    def test_other_programs_can_read_it(self, engine, tmp_path):
        from safetensors import safe_open

        kv = engine.prefill(some_tokens(40))
        (tmp_path / "segment").write_bytes(engine.dump(kv, ABOUT).read())

        with safe_open(tmp_path / "segment", "pt") as file:
            assert torch.equal(file.get_tensor("layers.2.v"), kv.layers[2][1])
            assert file.get_tensor("token_ids").tolist() == list(kv.tokens)
            assert file.metadata()["format"] == "pymemos-kv-1"


class TestIdentity:
    def test_it_follows_everything_that_numbers_depend_on(self, tmp_path):
        changes = {
            "usual": {},
            "weights": {"seed": 1},
            "settings": {"rms_norm_eps": 1e-3},
            "rope": {"rope_parameters": {"rope_type": "default", "rope_theta": 777.0}},
            "template": {"template": "{{ messages[0].content }}{{ messages[1].content }}"},
        }
        refs = {
            name: open_local(str(write_tiny(tmp_path / name / "tiny", **change)), tmp_path, "cpu").ref
            for name, change in changes.items()
        }
        half = open_local(str(tmp_path / "usual" / "tiny"), tmp_path, "cpu", "bfloat16").ref

        assert len({digest_of(ref) for ref in [*refs.values(), half]}) == len(changes) + 1
        assert refs["usual"].weights == refs["template"].weights != refs["settings"].weights

    def test_a_segment_of_another_dtype_is_refused(self, folder, engine):
        half = open_local(str(folder), folder.parent, "cpu", "bfloat16")
        tokens = some_tokens(10)

        with pytest.raises(SegmentRefused):
            engine.logits(tokens, prefix=[half.prefill(tokens[:5])])
        file = memoryview(half.dump(half.prefill(tokens), ABOUT).read())
        with pytest.raises(SegmentRefused, match="dtype"):
            engine.load(file, ABOUT, tokens, 0)

    def test_files_are_digested_once_and_again_when_they_change(self, tmp_path):
        folder = write_tiny(tmp_path / "tiny")
        first = open_local(str(folder), tmp_path, "cpu").ref
        known = json.loads((tmp_path / KNOWN).read_text())
        (tmp_path / KNOWN).write_text(json.dumps(dict.fromkeys(known, "0" * 64)))

        remembered = open_local(str(folder), tmp_path, "cpu").ref
        write_tiny(folder, seed=1)
        changed = open_local(str(folder), tmp_path, "cpu").ref

        assert len({first.weights, remembered.weights, changed.weights}) == 3

    def test_a_list_of_digests_that_cannot_be_read_is_made_anew(self, tmp_path):
        folder = write_tiny(tmp_path / "tiny")
        (tmp_path / KNOWN).write_text("[")

        assert open_local(str(folder), tmp_path, "cpu").ref == open_local(str(folder), tmp_path, "cpu").ref
        assert len(json.loads((tmp_path / KNOWN).read_text())) == 1


class TestLoading:
    @pytest.mark.parametrize("name", ["maxllm", "/no/such/folder", "a b/c"])
    def test_a_name_of_nothing_is_unknown(self, tmp_path, name):
        with pytest.raises(UnknownModel, match="smollm2"):
            open_local(name, tmp_path)

    def test_a_model_that_is_not_ready_says_how_to_prepare_it(self, tmp_path):
        with pytest.raises(ModelError, match="pymemos models prepare smollm2"):
            open_local("smollm2", tmp_path)

    def test_an_embedder_is_told_apart(self, tmp_path):
        with pytest.raises(UnknownModel, match="PYMEMOS_EMBEDDER=minilm"):
            open_local("minilm", tmp_path)

    def test_a_dtype_that_does_not_exist_is_refused(self, folder, tmp_path):
        with pytest.raises(InvalidInput, match="float8"):
            open_local(str(folder), tmp_path, "cpu", "float8")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
    def test_a_device_that_is_not_there_is_named(self, folder, tmp_path):
        with pytest.raises(ModelError, match="on cuda"):
            open_local(str(folder), tmp_path, "cuda")

    def test_weights_as_a_pickle_are_not_loaded(self, tmp_path):
        folder = write_tiny(tmp_path / "tiny")
        torch.save({"lm_head.weight": torch.zeros(1)}, folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()

        with pytest.raises(ModelError):
            open_local(str(folder), tmp_path, "cpu")

    def test_texts_are_tokenised_in_any_thread_while_others_answer(self, engine):
        prompt = engine.prompt("x", ["a<|im_end|>b"], [Utterance("user", "y")])
        found = []

        def work() -> None:
            for _ in range(200):
                found.append(engine.prompt("x", ["a<|im_end|>b"], [Utterance("user", "y")]) == prompt)
                found.append("<|im_end|>" in engine.tokenizer.decode(list(prompt.tokens)))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(found) == 1_600
        assert all(found)

    def test_weights_that_are_missing_are_not_made_up(self, tmp_path):
        from safetensors.torch import load_file, save_file

        folder = write_tiny(tmp_path / "tiny")
        tensors = load_file(folder / "model.safetensors")
        del tensors["model.layers.1.mlp.up_proj.weight"]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

        with pytest.raises(ModelError, match=r"lack model\.layers\.1\.mlp\.up_proj\.weight"):
            open_local(str(folder), tmp_path, "cpu")

    def test_layers_that_forget_are_refused(self, tmp_path):
        sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        shared = {**sizes, "num_key_value_heads": 1, "vocab_size": 300, "max_position_embeddings": 512}
        mistral = MistralForCausalLM(MistralConfig(**shared, sliding_window=64))
        qwen = Qwen3ForCausalLM(
            Qwen3Config(**shared, head_dim=16, use_sliding_window=True, sliding_window=64, max_window_layers=1)
        )
        for name, model in {"mistral": mistral, "qwen": qwen}.items():
            model.save_pretrained(tmp_path / name)
            tokenizer_of_bytes("{{ messages[0].content }}").save_pretrained(tmp_path / name)

            with pytest.raises(ModelError, match="sliding_attention"):
                open_local(str(tmp_path / name), tmp_path, "cpu")

    def test_another_family_works_as_well(self, tmp_path):
        """Qwen3: normalised heads, whose size is not that of the hidden states divided."""
        config = Qwen3Config(
            vocab_size=300, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, max_position_embeddings=512, initializer_range=0.3,
        )  # fmt: skip
        Qwen3ForCausalLM(config).save_pretrained(tmp_path / "qwen")
        tokenizer_of_bytes("{{ messages[0].content }}").save_pretrained(tmp_path / "qwen")
        engine, tokens = open_local(str(tmp_path / "qwen"), tmp_path, "cpu"), some_tokens(60)

        injected = engine.logits(tokens, prefix=[stored(engine, engine.prefill(tokens[:40]))])

        assert np.abs(injected - engine.logits(tokens)).max() <= 1e-4

    def test_a_model_whose_prefix_cannot_be_injected_is_refused(self, folder, tmp_path):
        """Positions that are ignored stand for anything that makes a cache wrong without an error."""
        engine = open_local(str(folder), tmp_path, "cpu")
        turn = engine.model.model.rotary_emb.forward
        engine.model.model.rotary_emb.forward = lambda x, position_ids: turn(x, position_ids - position_ids[:, :1])

        with pytest.raises(ModelError, match="cannot be used again"):
            engine.check_injection()
