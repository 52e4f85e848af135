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
