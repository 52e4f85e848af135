"""A chat model behind an OpenAI-compatible ``/chat/completions`` endpoint, streamed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from pymemos.errors import ChatFailed
from pymemos.models.http import Address, BrokenOff, Endpoint, sendable
from pymemos.ports import ChatOptions, Piece, Usage, Utterance

ATTEMPTS: Final = 3  # before the first piece only: what was shown is not said again
SILENCE_S: Final = 300.0  # a local server may read a long prompt for minutes before it says anything
MOST_COUNTED: Final = 1 << 53  # tokens: JSON's numbers are exact so far
_DONE: Final = "[DONE]"
_NEWER: Final = "max_completion_tokens"  # what some models call the limit, and then refuse the usual name


class EndpointChat:
    """Asks ``base``/chat/completions and gives the answer as it comes; any server that speaks this protocol will do.

    ``patience`` is the longest silence that is borne, in seconds.
    """

    def __init__(
        self,
        base: str,
        model: str,
        *,
        key: str | None = None,
        patience: float = SILENCE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = Endpoint(base, key=key, failed=ChatFailed, wanted="answer", read_s=patience, sleep=sleep)
        self._model = model
        self._limit = "max_tokens"

    @classmethod
    def from_setting(cls, setting: str, *, key: str | None = None) -> EndpointChat:
        """The endpoint that ``https://host/v1#model`` names."""
        base, model = Address.from_setting(setting, key_variable="PYMEMOS_CHAT_KEY")
        return cls(base, model, key=key)

    @property
    def identity(self) -> str:
        """The model and where it is asked for; an endpoint tells nothing of its weights."""
        return f"{self._model}@{self._endpoint.base}"

    @property
    def window(self) -> int | None:
        """Not known: the protocol does not tell it."""
        return None

    def stream(self, messages: Sequence[Utterance], options: ChatOptions) -> Iterator[Piece]:
        """The answer, piece by piece, as it is made; closing the iterator hangs up."""
        try:
            yield from self._asked(messages, options)
        except ChatFailed as error:
            if self._limit == _NEWER or _NEWER not in str(error):
                raise
            self._limit = _NEWER  # the server named it in its refusal; nothing was said yet
            yield from self._asked(messages, options)

    def _asked(self, messages: Sequence[Utterance], options: ChatOptions) -> Iterator[Piece]:
        body = self._body(messages, options)
        with self._endpoint.stream("chat/completions", body, attempts=ATTEMPTS) as lines:
            yield from _pieces(lines, self._endpoint.base)

    def _body(self, messages: Sequence[Utterance], options: ChatOptions) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": one.role, "content": sendable(one.content)} for one in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": options.temperature,
            self._limit: options.max_tokens,
        }
        if options.stop:
            body["stop"] = list(options.stop)
        if options.seed is not None:
            body["seed"] = options.seed
        if options.schema is not None:
            described = {"name": "answer", "schema": options.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        return body


def _pieces(lines: Iterable[str], base: str) -> Iterator[Piece]:
    """The events of a stream as pieces; the last one says how it ended, and what it cost where the server says so.

    It is at its end with the mark of the end, or once it is known how it ended and what it cost; what is missing
    behind the finish is no loss, so a server that breaks off there, or says no more, has answered.
    """
    finish, usage, ended = None, None, False
    try:
        for event in _events(lines, base):
            if event is None:
                ended = True
                break
            told = _usage(event.get("usage"))
            usage = told or usage
            for choice in event.get("choices") or ():
                text = (choice.get("delta") or choice.get("message") or {}).get("content")
                if text:
                    yield Piece(text=sendable(text))
                finish = choice.get("finish_reason") or finish
            if finish is not None and told is not None:
                break
    except BrokenOff as error:
        if finish is None:
            raise ChatFailed(f"{base} broke off in the middle ({error}); repeat the call") from error
    if finish is None and not ended:
        raise ChatFailed(f"{base} broke off before the answer was at its end; repeat the call")
    yield Piece(finish=finish or "stop", usage=usage)


def _events(lines: Iterable[str], base: str) -> Iterator[dict[str, Any] | None]:
    """The JSON of every event, None for the end; a server that does not stream answers with one object."""
    for data in _data(lines):
        if data == _DONE:
            yield None
            return
        if data:
            yield _event(data, base)


def _data(lines: Iterable[str]) -> Iterator[str]:
    """What each event holds, in one line or in several; behind them what is no event, as a whole."""
    event: list[str] = []
    rest: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            event.append(line.removeprefix("data:").strip())
        elif line.strip() and not line.startswith((":", "event:", "id:", "retry:")):
            rest.append(line)
        if event and event[-1] == _DONE:
            yield from ("\n".join(event[:-1]), _DONE)
            event = []
        elif event and not line.strip():
            yield "\n".join(event)
            event = []
    yield from ("\n".join(one) for one in (event, rest) if one)


def _event(data: str, base: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ChatFailed(f"{base} answered with something else than JSON ({error}); check its address") from error
    if not isinstance(event, dict) or not _has_choices(event):
        raise ChatFailed(f"{base} answered with something else than a chat completion: {data[:200]}")
    if event.get("error"):
        raise ChatFailed(f"{base} gave up while it answered: {_reason(event['error'])}")
    return event


def _has_choices(event: dict[str, Any]) -> bool:
    """Whether an event has the form of the protocol, as far as it is read."""
    if event.get("error"):
        return True
    choices = event.get("choices")
    if choices is None:
        return isinstance(event.get("usage"), dict)
    return isinstance(choices, list) and all(_is_choice(one) for one in choices)


def _is_choice(given: Any) -> bool:
    if not isinstance(given, dict):
        return False
    said = given.get("delta") or given.get("message") or {}
    is_said = isinstance(said, dict) and isinstance(said.get("content"), str | None)
    return is_said and isinstance(given.get("finish_reason"), str | None)


def _reason(error: Any) -> str:
    told = error.get("message", error) if isinstance(error, dict) else error
    return str(told)[:200]


def _usage(given: Any) -> Usage | None:
    """What a server counted; ``cached`` is where OpenAI and vLLM put it, or where DeepSeek does."""
    if not isinstance(given, dict):
        return None
    details = given.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else given.get("prompt_cache_hit_tokens")
    return Usage(
        prompt=_count(given.get("prompt_tokens")),
        cached=_count(cached),
        completion=_count(given.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_COUNTED
    return value if is_count else 0
