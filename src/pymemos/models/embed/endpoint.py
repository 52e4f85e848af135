"""An embedder behind an OpenAI-compatible ``/embeddings`` endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pymemos.errors import EmbedderFailed
from pymemos.models.http import Address, Endpoint, sendable

if TYPE_CHECKING:
    from pymemos.ports import Floats

BATCH: Final = 128  # texts in one request
LONGEST_TEXT: Final = 8_000  # characters: within the windows of 8,191 tokens that are usual; beyond, a text is cut
ATTEMPTS: Final = 4
QUERY_ATTEMPTS: Final = 2  # somebody waits, and can be answered by words
TIMEOUT_S: Final = 60.0


class EndpointEmbedder:
    """Asks ``base``/embeddings for the vectors of texts; tries again what may pass, and says what does not."""

    def __init__(
        self, base: str, model: str, *, key: str | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._endpoint = Endpoint(base, key=key, failed=EmbedderFailed, wanted="vectors", read_s=TIMEOUT_S, sleep=sleep)
        self._base = self._endpoint.base
        self._model = model

    @classmethod
    def from_setting(cls, setting: str, *, key: str | None = None) -> EndpointEmbedder:
        """The endpoint that ``https://host/v1#model`` names."""
        base, model = Address.from_setting(setting, key_variable="PYMEMOS_EMBEDDER_KEY")
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
        given = [sendable(text[:LONGEST_TEXT]) or " " for text in texts]
        body = {"model": self._model, "input": given, "encoding_format": "float"}
        fields = self._endpoint.post("embeddings", body, attempts=attempts)
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
