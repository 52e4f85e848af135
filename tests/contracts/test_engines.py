"""Every engine keeps the contract: the toy, the local engine over a tiny model, and over the packaged SmolLM2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tests.unit.tiny_models import write_tiny

from pymemos.errors import ModelError
from pymemos.models import catalog
from pymemos.models.local import LocalEngine, open_local
from pymemos.models.recipes import manifest_of
from pymemos.ports import ChatOptions, Engine, Utterance
from pymemos.testing.contracts import EngineContract
from pymemos.testing.engines import chained, said, stored
from pymemos.testing.toy_engine import ToyEngine

PREPARED = Path(__file__).parents[2] / ".cache"  # kept from run to run, beside the checkout's other caches


class TestToy(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return ToyEngine(window=400)

    @pytest.fixture
    def stranger(self) -> Engine:
        return ToyEngine(seed=1, window=400)

    @pytest.fixture
    def vectors(self) -> object:
        return {0: 1.0}

    def test_what_is_taken_from_memory_is_not_read(self):
        engine = ToyEngine()
        kv = engine.prefill(range(100))
        before = engine.read

        engine.logits(range(120), prefix=[kv])

        assert engine.read - before == 20


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    return _opened(tmp_path_factory.mktemp("tiny"), seed=0)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    return _opened(tmp_path_factory.mktemp("other"), seed=1)


class TestTiny(EngineContract):
    @pytest.fixture
    def engine(self, tiny: LocalEngine) -> Engine:
        return tiny

    @pytest.fixture
    def stranger(self, other: LocalEngine) -> Engine:
        return other

    @pytest.fixture
    def vectors(self) -> object:
        return {1: 3 * torch.randn(48, generator=torch.Generator().manual_seed(5))}


class TestTinyHalf(TestTiny):
    """The same in bfloat16, in which logits are coarse, and what is injected still is what was computed."""

    tolerance = 0.1

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return _opened(tmp_path, seed=0, dtype="bfloat16")

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> Engine:
        return _opened(tmp_path / "other", seed=1, dtype="bfloat16")


def _opened(folder: Path, *, seed: int, dtype: str = "float32") -> LocalEngine:
    torch.set_num_threads(1)
    return open_local(str(write_tiny(folder / "tiny", seed=seed)), folder, "cpu", dtype)


@pytest.fixture(scope="session")
def smollm2() -> LocalEngine:
    """The packaged model, made by the real command's own code, and kept from run to run."""
    cache = Path(os.environ.get("PYMEMOS_TEST_MODELS") or PREPARED)
    try:
        catalog.prepare("smollm2", cache)
    except ModelError as error:
        if "cannot be fetched" not in str(error):
            raise
        pytest.skip(f"SmolLM2 cannot be prepared: {error}")
    torch.set_num_threads(1)
    return open_local("smollm2", cache, "cpu", "float32")


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestSmolLM2:
    """A model that knows something, at the size and with the template that people use."""

    def test_every_machine_makes_the_same_model(self, smollm2):
        manifest = manifest_of(catalog.folder_of(Path(os.environ.get("PYMEMOS_TEST_MODELS") or PREPARED), "smollm2"))

        assert manifest is not None
        assert manifest.sha256.startswith("7ef915c9bf9d94d8")
        assert smollm2.identity == "smollm2@c68291220af77d8f float32 cpu"

    def test_it_answers(self, smollm2):
        prompt = smollm2.prompt("", (), [Utterance("user", "What is the capital of France?")])

        text, finish, _ = said(smollm2.run(prompt.tokens, ChatOptions(max_tokens=30)))

        assert "Paris" in text
        assert finish == "stop"

    def test_it_reads_what_is_injected(self, smollm2):
        notes = ["Ana's cat is called Zorbix.", "Bo plays the cello.", "Eve was born in Oslo."]
        prompt = smollm2.prompt("Answer from these notes.", notes, [Utterance("user", "What is Ana's cat called?")])
        chain = [stored(smollm2, kv) for kv in chained(smollm2, [prompt.head, *prompt.notes])]
        options = ChatOptions(max_tokens=24)

        injected = said(smollm2.run(prompt.tokens, options, prefix=chain))

        assert "Zorbix" in injected[0]
        assert injected[0] == said(smollm2.run(prompt.tokens, options))[0]

    def test_the_pieces_are_the_tokens_that_the_template_has(self, smollm2):
        """Not only the same text: with this tokenizer, texts apart are cut into the tokens that they have together."""
        prompt = smollm2.prompt("Be brief.", ["Ana lives in Lisbon."], [Utterance("user", "Where?")])
        messages = [
            {"role": "system", "content": "Be brief.\nAna lives in Lisbon."},
            {"role": "user", "content": "Where?"},
        ]

        whole = smollm2.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)

        assert list(prompt.tokens) == whole

    def test_twenty_answers_are_token_for_token_those_of_a_prompt_that_was_read(self, smollm2):
        notes = [f"Guest {index} sleeps in room {index * 7 % 31}." for index in range(4)]
        pieces = smollm2.prompt("Answer from these notes.", notes, [Utterance("user", "?")])
        chain = [stored(smollm2, kv) for kv in chained(smollm2, [pieces.head, *pieces.notes])]
        options = ChatOptions(max_tokens=6)
        equal = 0
        for index in range(20):
            asks = [Utterance("user", f"In which room does guest {index} sleep? Say why.")]
            tokens = smollm2.prompt("Answer from these notes.", notes, asks).tokens
            injected, read = (said(smollm2.run(tokens, options, prefix=prefix)) for prefix in (chain, ()))
            equal += injected[0] == read[0]

        assert equal == 20
