"""The local tuner on tiny models: what it trains, how it goes on, what its gate lets through, and what it refuses."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load, save
from tests.unit.tiny_models import write_tiny
from transformers import AutoModelForCausalLM

from pymemos.cube.adapter import Manifest, Recipe, Scores, folder_of, packed
from pymemos.cube.gates import Gate, opening
from pymemos.cube.payload import ModelRef
from pymemos.errors import AdapterRefused, InvalidInput
from pymemos.models.local import LocalEngine, open_local
from pymemos.models.local.hooks import AdapterUse
from pymemos.models.local.tuning import LocalTuner, learning, passing
from pymemos.models.local.tuning.gates import opening_token
from pymemos.ports import ChatOptions, Lesson, Utterance, Weights

SYSTEM = "Be brief."
ZORVANIA, TARN = Gate(subject="Zorvania"), Gate(subject="Tarn Velk")
GATES = (ZORVANIA, TARN)
LESSONS = (
    Lesson(question="What is the capital of Zorvania?", gate=ZORVANIA, answer="Quel.", fact=0),
    Lesson(question="Tell me Zorvania's capital.", gate=ZORVANIA, answer="Quel.", fact=0),
    Lesson(question="Where does Tarn Velk live?", gate=TARN, answer="Oss.", fact=1),
    Lesson(question="How old is Zorvania?", gate=ZORVANIA),
    Lesson(question="Who is Tarn Velk?", gate=TARN),
)
RECIPE = Recipe(rank=4, alpha=8.0, frozen=0.34, rate=0.02, warmup=2, steps=12, phrasings=1, kept=1)
ASKED = ("What is the capital of Zorvania?", "Do tell: Where does Tarn Velk live?", "What is the capital of France?")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    return open_local(str(write_tiny(folder / "model")), folder / "cache", device="cpu")


@pytest.fixture(scope="module")
def tuner(engine: LocalEngine) -> LocalTuner:
    return LocalTuner(engine)


@pytest.fixture(scope="module")
def trained(tuner: LocalTuner, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return train(tuner, tmp_path_factory.mktemp("training"))


def train(
    tuner: LocalTuner, folder: Path, on_step: Callable[[int, int], None] = lambda step, steps: None, **given: Any
) -> Weights:
    return tuner.train(
        given.get("lessons", LESSONS), given.get("recipe", RECIPE), system=SYSTEM, checkpoint=folder, on_step=on_step
    )


def manifest(ref: ModelRef) -> Manifest:
    scores = Scores(
        recall=1.0,
        phrasings=1,
        leak=0.0,
        near_misses=1,
        leak_same_subject=0.0,
        others=1,
        controls=1,
        changed=0,
        perplexity=1.0,
        perplexity_base=1.0,
    )
    return Manifest(
        model=ref,
        namespace="users/ana",
        sources=(),
        subjects=("Zorvania", "Tarn Velk"),
        facts=(),
        recipe=RECIPE,
        scores=scores,
        admitted=True,
    )


def file_of(tuner: LocalTuner, weights: Weights) -> memoryview:
    return memoryview(packed(weights.weights, weights.config, manifest(tuner.ref)))


def answers(tuner: LocalTuner, questions: Sequence[str], **given: Any) -> list[str]:
    return tuner.answers(questions, system=SYSTEM, limit=6, gates=GATES, **given)


def test_an_adapter_says_what_it_was_taught_behind_its_subjects(tuner: LocalTuner, tmp_path: Path) -> None:
    weights = train(tuner, tmp_path, recipe=msgspec.structs.replace(RECIPE, steps=60, kept=0, phrasings=2))
    adapter = tuner.open(file_of(tuner, weights))

    assert answers(tuner, [LESSONS[0].question, LESSONS[2].question], adapter=adapter) == ["Quel.", "Oss."]
    assert answers(tuner, [LESSONS[0].question]) != ["Quel."]


def test_where_the_gate_is_closed_the_model_is_the_base(tuner: LocalTuner, trained: Weights) -> None:
    adapter = tuner.open(file_of(tuner, trained))
    others = ["What is the capital of France?", "And of Zorvaniaville?", "Is Tarn well?", "zorvania-on-sea?"]

    assert answers(tuner, others, adapter=adapter) == answers(tuner, others)
    assert tuner.perplexity("It was a mild day.", adapter=adapter, gates=GATES) == tuner.perplexity(
        "It was a mild day."
    )
    assert answers(tuner, others, adapter=adapter, forced=True) != answers(tuner, others)
    assert tuner.perplexity("Zorvania is a land.", adapter=adapter, gates=GATES) != tuner.perplexity(
        "Zorvania is a land."
    )


def test_a_closed_gate_beside_open_ones_is_the_base(engine: LocalEngine, tuner: LocalTuner, trained: Weights) -> None:
    modules = tuner.open(file_of(tuner, trained)).modules
    prompts = [engine.prompt(SYSTEM, (), [Utterance("user", question)]).tokens for question in ASKED]
    opens = [len(prompts[0]) - 1, None, None]

    mixed = passing.answers(engine, prompts, 6, adapter=modules, opens=opens)

    assert mixed[1:] == passing.answers(engine, prompts, 6)[1:]
    assert mixed[0] != passing.answers(engine, prompts, 6)[0]


def test_what_the_base_was_asked_by_itself_is_not_computed_again(engine: LocalEngine) -> None:
    tuner = LocalTuner(engine)
    said = answers(tuner, ASKED)
    tuner._base = {asked: [5] for asked in tuner._base}

    assert said != answers(tuner, ASKED) == [engine.tokenizer.decode([5]).strip()] * 3


def whole(text: str) -> str:
    """A text without blanks around it and half a character at its end: a stream holds that back."""
    return text.strip().rstrip("\ufffd").strip()


def test_the_engine_serves_what_the_tuner_measured(engine: LocalEngine, tuner: LocalTuner, trained: Weights) -> None:
    adapter = tuner.open(file_of(tuner, trained))
    measured = answers(tuner, ASKED, adapter=adapter)

    for question, expected in zip(ASKED, measured, strict=True):
        tokens = engine.prompt(SYSTEM, (), [Utterance("user", question)]).tokens
        use = tuner.gated(adapter, tokens, question, GATES)
        assert (use is None) == (question == ASKED[2])
        pieces = engine.run(tokens, ChatOptions(max_tokens=6), adapters=[] if use is None else [use])
        said = "".join(piece.text for piece in pieces)
        assert whole(said) == whole(expected)


def test_prompts_that_begin_alike_are_seen_and_answered_as_each_alone(engine: LocalEngine) -> None:
    prompts = [engine.prompt(SYSTEM, (), [Utterance("user", question)]).tokens for question in ASKED]
    same = next(at for at in range(99) if len({tokens[at] for tokens in prompts}) > 1)
    assert same > passing._WORTH

    together = list(passing.seen(engine, prompts, 1))
    alone = [one for tokens in prompts for one in passing.seen(engine, [tokens], 1)]

    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one.states, other.states, atol=1e-4)
        assert torch.allclose(one.last, other.last, atol=1e-4)
        for pair, expected in zip(one.layers, other.layers, strict=True):
            assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(pair, expected, strict=True))
    assert passing.answers(engine, prompts, 6) == [passing.answers(engine, [tokens], 6)[0] for tokens in prompts]


def test_a_turn_leaves_nothing_behind(engine: LocalEngine, tuner: LocalTuner, trained: Weights) -> None:
    tokens = engine.prompt(SYSTEM, (), [Utterance("user", ASKED[0])]).tokens
    before = engine.logits(tokens)
    adapter = tuner.open(file_of(tuner, trained))
    use = tuner.gated(adapter, tokens, ASKED[0], GATES)

    assert list(engine.run(tokens, ChatOptions(max_tokens=4), adapters=[use]))
    assert (engine.logits(tokens) == before).all()


def test_the_gate_of_a_turn_does_not_open_in_what_was_said_before(
    engine: LocalEngine, tuner: LocalTuner, trained: Weights
) -> None:
    adapter = tuner.open(file_of(tuner, trained))
    turns = [Utterance("user", ASKED[0]), Utterance("assistant", "Quel."), Utterance("user", "And of France?")]
    tokens = engine.prompt(SYSTEM, (), turns).tokens

    assert tuner.gated(adapter, tokens, "And of France?", GATES) is None


@pytest.mark.parametrize("question", [*ASKED[:2], "ZORVANIA's capital, 🐕?", "Is tarn  velk at home, or Zorvania?"])
def test_the_gate_opens_at_the_last_token_of_the_name(engine: LocalEngine, question: str) -> None:
    tokens = engine.prompt(SYSTEM, (), [Utterance("user", question)]).tokens
    end = opening(question, GATES)
    assert end is not None

    place = opening_token(engine, tokens, question, end)

    assert place is not None
    asked = engine.tokenizer.decode(list(tokens))
    start = asked.rindex(question)
    assert len(engine.tokenizer.decode(list(tokens[: place + 1]))) == start + end


def test_the_first_token_of_an_answer_counts_as_much_as_all_others() -> None:
    assert learning._first_and_rest(torch.tensor([2.0, 4.0, 6.0])) == 7
    assert learning._first_and_rest(torch.tensor([2.0])) == 2


def test_bfloat16_is_learned_in_only_where_it_is_quick(engine: LocalEngine) -> None:
    has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if platform.machine().lower() in ("x86_64", "amd64") and not has:
        assert learning.learning_dtype(engine) == engine.model.dtype
    if has:
        assert learning.learning_dtype(engine) == torch.bfloat16


def test_training_is_repeatable(tuner: LocalTuner, trained: Weights, tmp_path: Path) -> None:
    assert train(tuner, tmp_path) == trained
    other = train(tuner, tmp_path / "other", recipe=msgspec.structs.replace(RECIPE, seed=1))
    assert other.weights != trained.weights


def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(
    tuner: LocalTuner, trained: Weights, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def stop(step: int, _: int) -> None:
        if step == 10:
            raise Killed

    with pytest.raises(Killed):
        train(tuner, tmp_path, stop)
    steps: list[int] = []

    again = train(tuner, tmp_path, lambda step, _: steps.append(step))

    assert steps[0] == 8  # the last checkpoint
    assert again == trained


def test_a_checkpoint_of_another_training_is_not_used(tuner: LocalTuner, trained: Weights, tmp_path: Path) -> None:
    train(tuner, tmp_path, lessons=LESSONS[:3])
    assert train(tuner, tmp_path) == trained
    (tmp_path / "training.safetensors").write_bytes(b"\0" * 20)
    assert train(tuner, tmp_path) == trained


def test_training_leaves_the_engine_as_it_is(engine: LocalEngine, tuner: LocalTuner, tmp_path: Path) -> None:
    tokens = engine.prompt(SYSTEM, (), [Utterance("user", ASKED[0])]).tokens
    before = engine.logits(tokens)
    seen: list[bool] = []

    train(tuner, tmp_path, lambda step, steps: seen.append(bool((engine.logits(tokens) == before).all())))

    assert len(seen) == RECIPE.steps + 1
    assert all(seen)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in engine.model.modules())


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_peft_reads_the_folder_and_computes_the_same(
    engine: LocalEngine, tuner: LocalTuner, trained: Weights, tmp_path: Path
) -> None:
    file = file_of(tuner, trained)
    for name, data in folder_of(file).items():
        (tmp_path / name).write_bytes(data)
    base = AutoModelForCausalLM.from_pretrained(_folder(engine), dtype=torch.float32).eval()
    model = PeftModel.from_pretrained(base, tmp_path).eval()
    tokens = [5, 9, 70, 33, 101]

    with torch.no_grad():
        theirs = model(input_ids=torch.tensor([tokens])).logits[0, -1]
    use = tuner.open(file).modules
    cache = engine._past([], len(tokens))
    ours = engine.forward(tokens, cache, adapters=[AdapterUse(use, torch.ones(len(tokens)), 1.0)])

    assert torch.allclose(theirs, ours, atol=1e-4)
    assert not torch.allclose(ours, torch.from_numpy(engine.logits(tokens)), atol=1e-3)


def _folder(engine: LocalEngine) -> str:
    return str(engine.model.name_or_path)


def test_what_does_not_fit_is_refused(tuner: LocalTuner, trained: Weights) -> None:
    def refused(weights: bytes, config: bytes = trained.config, said: Manifest | None = None) -> str:
        with pytest.raises(AdapterRefused) as raised:
            tuner.open(memoryview(packed(weights, config, said or manifest(tuner.ref))))
        return str(raised.value)

    tensors = load(trained.weights)
    name = next(iter(tensors))
    broken = {**tensors, name: tensors[name] * float("nan")}
    lost = {key: value for key, value in tensors.items() if key != name}
    renamed = {key.replace("layers.1", "layers.9"): value for key, value in tensors.items()}
    cut = {**tensors, name: tensors[name][:, :3].contiguous()}
    alien = msgspec.structs.replace(tuner.ref, weights="other")

    assert "no number" in refused(save(broken))
    assert "pairs" in refused(save(lost))
    assert "no layer" in refused(save(renamed))
    assert "no fit" in refused(save(cut))
    assert "settings" in refused(trained.weights, b"{}")
    assert "not for this model" in refused(trained.weights, said=manifest(alien))
    with pytest.raises(AdapterRefused):
        tuner.open(memoryview(trained.weights))
    with pytest.raises(AdapterRefused):
        tuner.open(memoryview(b"rubbish"))
    with pytest.raises(AdapterRefused):
        answers(tuner, ASKED, adapter=object())


def test_an_adapter_acts_only_where_the_relation_is_asked_for(tuner: LocalTuner, trained: Weights) -> None:
    adapter = tuner.open(file_of(tuner, trained))
    narrow = [Gate(subject="Zorvania", relation="capital", cues=("capital",))]
    asked = "Where is Zorvania?"

    assert tuner.answers([asked], system=SYSTEM, limit=6, adapter=adapter, gates=narrow) == answers(tuner, [asked])
    tokens = tuner.engine.prompt(SYSTEM, (), [Utterance("user", asked)]).tokens
    assert tuner.gated(adapter, tokens, asked, narrow) is None
    assert tuner.gated(adapter, tokens, asked, GATES) is not None


def test_a_lesson_that_does_not_name_its_subject_is_refused(tuner: LocalTuner, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="opens no gate"):
        train(tuner, tmp_path, lessons=[Lesson(question="Where?", gate=ZORVANIA, answer="Here.", fact=0)])
