"""A scripted chat model: it says what a test tells it to say, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from pymemos.errors import ChatFailed
from pymemos.ports import ChatOptions, Piece, Usage, Utterance

Messages = Sequence[Mapping[str, str]]


class ScriptedChat:
    """A chat model with a script: replies in order, or a function of the messages.

    It fills the port ``ChatModel``, and is also what ``evaluation.judged`` asks. ``calls`` are the messages of every
    call, ``options`` how each was to be answered. Replies that run out are an error, so that no call goes unnoticed. As
    long as ``down`` is set it fails after so many words. Words are its tokens; it reads the beginning that a prompt
    shares with the one before it only once, as a server with a prefix cache does.
    """

    def __init__(self, script: Sequence[str] | Callable[[Messages], str], *, window: int | None = None) -> None:
        self._script = script
        self._window = window
        self._read: list[str] = []
        self.calls: list[Messages] = []
        self.options: list[ChatOptions] = []
        self.down: int | None = None

    @property
    def identity(self) -> str:
        """Its name."""
        return "scripted"

    @property
    def window(self) -> int | None:
        """As it was given."""
        return self._window

    def stream(self, messages: Sequence[Utterance], options: ChatOptions) -> Iterator[Piece]:
        """The next reply of the script, word by word."""
        self.options.append(options)
        said = self.complete([{"role": one.role, "content": one.content} for one in messages])
        words = _words(said)
        for place, word in enumerate(words[: options.max_tokens]):
            if place == self.down:
                raise ChatFailed("the chat model is down, as a test asked for")
            yield Piece(text=word)
        finish = "length" if len(words) > options.max_tokens else "stop"
        yield Piece(finish=finish, usage=self._usage(messages, min(len(words), options.max_tokens)))

    def complete(self, messages: Messages) -> str:
        """The next reply of the script."""
        self.calls.append(messages)
        if callable(self._script):
            return self._script(messages)
        if len(self.calls) > len(self._script):
            raise ChatFailed(f"the script has {len(self._script)} replies, and this is call {len(self.calls)}")
        return self._script[len(self.calls) - 1]

    def _usage(self, messages: Sequence[Utterance], completion: int) -> Usage:
        prompt = [word for one in messages for word in (f"<{one.role}>", *one.content.split())]
        cached = next((n for n, (a, b) in enumerate(zip(self._read, prompt, strict=False)) if a != b), None)
        self._read, before = prompt, len(self._read)
        return Usage(
            prompt=len(prompt), cached=min(before, len(prompt)) if cached is None else cached, completion=completion
        )


def _words(text: str) -> list[str]:
    """The words of a text, each with the blanks before it, so that joined they are the text."""
    words: list[str] = []
    for piece in text.split(" "):
        words.append(f" {piece}" if words else piece)
    return words
