"""An embedder behind an OpenAI-compatible ``/embeddings`` endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pymemos.errors import EmbedderFailed, InvalidInput, ModelError

if TYPE_CHECKING:
    from pymemos.ports import Floats

BATCH = 128  # texts in one request
ATTEMPTS = 4
WAIT_S = 0.5  # before the second attempt; doubled before each further one
LONGEST_WAIT_S = 30.0
TIMEOUT_S = 60.0
_PASSING = frozenset({408, 409, 429, 500, 502, 503, 504})


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
        base, sign, model = setting.partition("#")
        if not sign or not model:
            raise InvalidInput(f"the endpoint {setting!r} names no model; write https://host/v1#model")
        return cls(base, model, key=key)

    @property
    def identity(self) -> str:
        """The model and where it is asked for; an endpoint tells nothing of its weights."""
        return f"{self._model}@{self._base}"

    @cached_property
    def dimensions(self) -> int:
        """How many numbers a vector has: those of a first text."""
        return len(self._vectors(["a"])[0])

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        """One row of length 1 for each text."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        rows = np.array([vector for batch in batches for vector in self._vectors(batch)], np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)

    def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        # Some servers refuse empty texts; a blank means as little.
        fields = self._post(
            {"model": self._model, "input": [text or " " for text in texts], "encoding_format": "float"}
        )
        try:
            entries = sorted(fields["data"], key=lambda entry: entry["index"])
            vectors = [[float(value) for value in entry["embedding"]] for entry in entries]
        except (KeyError, TypeError, ValueError) as error:
            raise EmbedderFailed(f"{self._base} answered with something else than embeddings ({error})") from error
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
            raise EmbedderFailed(
                f"{self._base} gave {len(vectors)} vectors for {len(texts)} texts, or of unequal length"
            )
        return vectors

    def _post(self, body: dict[str, Any]) -> Any:
        wait, reason = WAIT_S, ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._client.post(f"{self._base}/embeddings", json=body)
            except self._http.TransportError as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code < 300:
                    return _json(answer, self._base)
                reason = f"status {answer.status_code}: {answer.text[:200]}"
                if answer.status_code not in _PASSING:
                    break
                wait = max(wait, _asked_wait(answer))
            if attempt < ATTEMPTS:
                self._sleep(min(wait, LONGEST_WAIT_S))
                wait *= 2
        raise EmbedderFailed(f"{self._base}/embeddings gave no vectors ({reason}); check its address, key and model")

    @cached_property
    def _http(self) -> Any:
        try:
            import httpx2
        except ImportError as error:
            raise ModelError("an endpoint needs httpx2: pip install 'pymemos[chat]'") from error
        return httpx2

    @cached_property
    def _client(self) -> Any:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return self._http.Client(headers=headers, timeout=TIMEOUT_S)


def _json(answer: Any, base: str) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise EmbedderFailed(f"{base} answered with something else than JSON ({error})") from error


def _asked_wait(answer: Any) -> float:
    """The seconds that the server asks to wait, where it says."""
    asked = answer.headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() else 0.0
