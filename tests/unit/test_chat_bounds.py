"""What a chat does not take: answers without an end, and arguments that no model could use."""

from __future__ import annotations

import pytest

from pymemos import MemOS, errors
from pymemos.settings import Settings
from pymemos.testing.scripted import ScriptedChat


def test_an_answer_that_could_not_be_kept_is_stopped(tmp_path):
    settings = Settings(home=tmp_path / "home", config_dir=tmp_path / "config", text_limit=20)
    with MemOS(settings=settings, embedder="none", chat=ScriptedChat(lambda _: "word " * 9)) as mem:
        with pytest.raises(errors.ChatFailed, match="raise text_limit"):
            mem.chat("Well?")
        assert len(mem.list()) == 0
        assert mem.chat("Well?", max_tokens=3).text == "word word word"


@pytest.mark.parametrize(
    "wrong",
    [{"seed": 2**63}, {"seed": -(2**63) - 1}, {"seed": 10**5_000}, {"temperature": 10**5_000},
     {"max_tokens": 10**5_000}, {"stop": None}, {"stop": 3}, {"stop": [""]}, {"stop": ["\ud83d"]},
     {"system": 5}, {"system": "half \ud83d"},
     {"schema": {"type": object()}}, {"schema": {"type": float("nan")}}, {"schema": {1: 2}}],
    ids=range(14),
)  # fmt: skip
def test_an_argument_that_no_model_could_use_is_named_before_anything_is_asked(tmp_path, wrong):
    model = ScriptedChat(["never said"])
    with MemOS(tmp_path, embedder="none", chat=model) as mem:
        with pytest.raises(errors.InvalidInput, match=next(iter(wrong))):
            mem.chat("Well?", **wrong)
        assert model.calls == []
