"""HTTP for models behind OpenAI-compatible endpoints: addresses, keys, time-outs, and what is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from email.utils import mktime_tz, parsedate_tz
from functools import cached_property
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from pymemos.errors import InvalidInput, ModelError

WAIT_S: Final = 0.5  # before the second attempt; doubled before each further one
LONGEST_WAIT_S: Final = 30.0
CONNECT_S: Final = 5.0
LONGEST_LINE: Final = 1 << 24  # bytes, of an answer that is not streamed too: far more than any model says
LONGEST_ANSWER: Final = 1 << 28  # bytes of all lines: each token of a streamed answer takes hundreds
_PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
LONGEST_REFUSAL: Final = 1 << 16  # bytes
_EXCERPT: Final = 200  # characters of what a server said that an error repeats


class Address(NamedTuple):
    """Where a model is asked: ``https://host/v1`` and the model's name there."""

    base: str
    model: str

    @classmethod
    def from_setting(cls, setting: str, *, key_variable: str) -> Address:
        """The two of ``https://host/v1#model``; what is missing in it, or a library, is told now."""
        base, _, model = setting.partition("#")
        if not model or not urlsplit(base).hostname:
            raise InvalidInput(f"the endpoint {setting!r} names no host or no model; write https://host/v1#model")
        if urlsplit(base).username is not None:  # it would stand in the identity, and so in the store
            raise InvalidInput(f"the endpoint's address holds a password; set {key_variable} instead")
        library()
        return cls(base, model)


class BrokenOff(Exception):
    """The server said no more in the middle of an answer; only who reads it knows whether it was at its end."""


class Endpoint:
    """Posts JSON below one address; raises ``failed`` for what does not pass, after trying again what may.

    ``wanted`` is what the server is asked for, in the words of an error: "vectors", "answer". ``read_s`` is the longest
    silence that is borne, in seconds.
    """

    def __init__(
        self,
        base: str,
        *,
        key: str | None,
        failed: type[ModelError],
        wanted: str,
        read_s: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base = base.rstrip("/")
        self._key = key
        self._failed = failed
        self._wanted = wanted
        self._read_s = read_s
        self._sleep = sleep

    def post(self, path: str, body: dict[str, Any], *, attempts: int) -> Any:
        """The JSON that the server answers with."""
        answer = self._sent(path, body, attempts=attempts, streamed=False)
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise self._failed(f"{self.base} answered with something else than JSON ({error})") from error

    @contextmanager
    def stream(self, path: str, body: dict[str, Any], *, attempts: int) -> Iterator[Iterator[str]]:
        """The lines of the answer as they come in; leaving the block hangs up. Lines that fail are not tried again.

        They are UTF-8, whatever the server calls them, as events are; what is no character becomes a sign that says so.
        Raises BrokenOff from them.
        """
        answer = self._sent(path, body, attempts=attempts, streamed=True)
        try:
            yield self._lines(answer)
        finally:
            answer.close()

    def _lines(self, answer: Any) -> Iterator[str]:
        http = library()
        try:
            for place, line in enumerate(self._split(answer.iter_bytes())):
                text = line.removesuffix(b"\r").decode("utf-8", "replace")
                yield text if place else text.removeprefix("\ufeff")
        except (http.HTTPError, http.StreamError) as error:
            raise BrokenOff(_told(error)) from error

    def _split(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """What stands between line feeds: JSON may hold every other sign that ends a line of text."""
        held, size = bytearray(), 0
        for chunk in chunks:
            size += len(chunk)
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                yield bytes(held) + line
                held.clear()
            held += rest
            if len(held) > LONGEST_LINE or size > LONGEST_ANSWER:
                raise self._failed(f"{self.base} says more than an answer can be ({size:,} bytes); check its address")
        if held:
            yield bytes(held)

    def _sent(self, path: str, body: dict[str, Any], *, attempts: int, streamed: bool) -> Any:
        http, reason, url = library(), "", f"{self.base}/{path}"
        for attempt in range(attempts):
            wait = WAIT_S * 2**attempt
            try:
                answer = self._client.send(self._client.build_request("POST", url, json=body), stream=streamed)
            except (http.HTTPError, http.InvalidURL) as error:
                reason = _told(error)
                if streamed and isinstance(error, http.ReadTimeout):
                    break  # it has the question and thinks; asking again makes that no shorter
            else:
                if answer.status_code < 300:
                    return answer
                reason = f"status {answer.status_code}: {_body(answer)[:_EXCERPT]}"
                wait = max(wait, _asked_wait(answer))
                if answer.status_code not in _PASSING or wait > LONGEST_WAIT_S:
                    break
            if attempt + 1 < attempts:
                self._sleep(wait)
        raise self._failed(f"{url} gave no {self._wanted} ({reason}); check its address, key and model")

    @cached_property
    def _client(self) -> Any:
        http = library()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return http.Client(headers=headers, timeout=http.Timeout(self._read_s, connect=CONNECT_S))


def library() -> Any:
    """The HTTP library; ModelError names the extra that brings it."""
    try:
        import httpx2
    except ImportError as error:
        raise ModelError("an endpoint needs httpx2: pip install 'pymemos[chat]'") from error
    return httpx2


def sendable(text: str) -> str:
    """A text as JSON can carry it: half a character becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _body(answer: Any) -> str:
    """What a refusal says, as far as it can be read; the connection is free afterwards."""
    http, found = library(), b""
    try:
        for chunk in answer.iter_bytes():
            found += chunk
            if len(found) > LONGEST_REFUSAL:
                break
    except http.HTTPError as error:
        return _told(error)
    finally:
        answer.close()
    return found.decode("utf-8", "replace")


def _asked_wait(answer: Any) -> float:
    """The seconds that the server asks to wait: it says how many, or until when."""
    asked = answer.headers.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked)
    until = parsedate_tz(asked)
    try:
        return 0.0 if until is None else mktime_tz(until) - time.time()
    except (ValueError, OverflowError):  # of a day that no calendar has
        return 0.0
