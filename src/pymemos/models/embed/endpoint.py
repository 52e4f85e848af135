"""An embedder behind an OpenAI-compatible ``/embeddings`` endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pymemos.errors import EmbedderFailed, InvalidInput, ModelError

if TYPE_CHECKING:
    from pymemos.ports import Floats

BATCH: Final = 128  # texts in one request
LONGEST_TEXT: Final = 8_000  # characters: within the windows of 8,191 tokens that are usual; beyond, a text is cut
ATTEMPTS: Final = 4
QUERY_ATTEMPTS: Final = 2  # somebody waits, and can be answered by words
WAIT_S: Final = 0.5  # before the second attempt; doubled before each further one
LONGEST_WAIT_S: Final = 30.0
TIMEOUT_S: Final = 60.0
CONNECT_S: Final = 5.0
_PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class EndpointEmbedder:
    """Asks ``base``/embeddings for the vectors of texts; tries again what may pass, and says what does not."""

    def __init__(
        self, base: str, model: str, *, key: str | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._base = base.rstrip("/")
        self._model = model
        self._key = key
        self._sleep = sleep

    @classmethod
    def from_setting(cls, setting: str, *, key: str | None = None) -> EndpointEmbedder:
        """The endpoint that ``https://host/v1#model`` names."""
        base, _, model = setting.partition("#")
        if not model or not urlsplit(base).hostname:
            raise InvalidInput(f"the endpoint {setting!r} names no host or no model; write https://host/v1#model")
        if urlsplit(base).username is not None:  # it would stand in the identity, and so in the store
            raise InvalidInput("the endpoint's address holds a password; set PYMEMOS_EMBEDDER_KEY instead")
        _library()  # what is missing is told now, not when the first text comes
        return cls(base, model, key=key)

    @property
    def identity(self) -> str:
        """The model and where it is asked for; an endpoint tells nothing of its weights."""
        return f"{self._model}@{self._base}"

    @cached_property
    def dimensions(self) -> int:
        """How many numbers a vector has: those of a first text."""
        return len(self._vectors(["a"], attempts=QUERY_ATTEMPTS)[0])

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """One row of length 1 for each text."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        attempts = QUERY_ATTEMPTS if queries else ATTEMPTS
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        rows = np.array([vector for batch in batches for vector in self._vectors(batch, attempts=attempts)], np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and norms.all()):
            raise EmbedderFailed(f"{self._base} gave a vector that points nowhere; check its model {self._model!r}")
        return np.asarray(rows / norms, np.float32)

    def _vectors(self, texts: Sequence[str], *, attempts: int) -> list[list[float]]:
        # Some servers refuse empty texts; a blank means as little.
        body = {"model": self._model, "input": [_sendable(text) for text in texts], "encoding_format": "float"}
        fields = self._post(body, attempts=attempts)
        try:
            entries = sorted(fields["data"], key=lambda entry: entry["index"])
            vectors = [[float(value) for value in entry["embedding"]] for entry in entries]
        except (KeyError, TypeError, ValueError) as error:
            raise EmbedderFailed(f"{self._base} answered with something else than embeddings ({error!r})") from error
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
            raise EmbedderFailed(
                f"{self._base} gave {len(vectors)} vectors for {len(texts)} texts, or of unequal length"
            )
        return vectors

    def _post(self, body: dict[str, Any], *, attempts: int) -> Any:
        http, reason = _library(), ""
        for attempt in range(attempts):
            wait = WAIT_S * 2**attempt
            try:
                answer = self._client.post(f"{self._base}/embeddings", json=body)
            except (http.HTTPError, http.InvalidURL) as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code < 300:
                    return _json(answer, self._base)
                reason = f"status {answer.status_code}: {answer.text[:200]}"
                wait = max(wait, _asked_wait(answer))
                if answer.status_code not in _PASSING or wait > LONGEST_WAIT_S:
                    break
            if attempt + 1 < attempts:
                self._sleep(wait)
        raise EmbedderFailed(f"{self._base}/embeddings gave no vectors ({reason}); check its address, key and model")

    @cached_property
    def _client(self) -> Any:
        http = _library()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return http.Client(headers=headers, timeout=http.Timeout(TIMEOUT_S, connect=CONNECT_S))


def _library() -> Any:
    try:
        import httpx2
    except ImportError as error:
        raise ModelError("an endpoint needs httpx2: pip install 'pymemos[chat]'") from error
    return httpx2


def _sendable(text: str) -> str:
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode() or " "


def _json(answer: Any, base: str) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise EmbedderFailed(f"{base} answered with something else than JSON ({error})") from error


def _asked_wait(answer: Any) -> float:
    """The seconds that the server asks to wait, where it says so in seconds."""
    asked = answer.headers.get("retry-after", "").strip()
    return float(asked) if asked.isdecimal() else 0.0
