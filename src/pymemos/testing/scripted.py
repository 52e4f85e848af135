"""A scripted chat model: it says what a test tells it to say, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pymemos.errors import ModelError

Messages = Sequence[Mapping[str, str]]


class ScriptedChat:
    """A chat model with a script: replies in order, or a function of the messages.

    ``calls`` are the messages of every call. Replies that run out are an error, so that no call goes unnoticed.
    """

    def __init__(self, script: Sequence[str] | Callable[[Messages], str]) -> None:
        self._script = script
        self.calls: list[Messages] = []

    def complete(self, messages: Messages) -> str:
        """The next reply of the script."""
        self.calls.append(messages)
        if callable(self._script):
            return self._script(messages)
        if len(self.calls) > len(self._script):
            raise ModelError(f"the script has {len(self._script)} replies, and this is call {len(self.calls)}")
        return self._script[len(self.calls) - 1]
