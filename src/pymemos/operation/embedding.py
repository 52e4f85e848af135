"""Embedding: texts as vectors of their passages, ready to be stored (5.4.1)."""

from __future__ import annotations

from collections.abc import Sequence

from pymemos.operation.retrieval.passages import passages
from pymemos.ports import Embedder, Vector


def vectors_of(texts: Sequence[str], embedder: Embedder) -> list[tuple[Vector, ...]]:
    """The vectors of each text, one for each of its passages; none for an empty text. Raises EmbedderFailed."""
    split = [passages(text) if text.strip() else [] for text in texts]
    rows = embedder.embed([passage for parts in split for passage in parts])
    values = [row.tobytes() for row in rows.astype("<f4", copy=False)]
    vectors: list[tuple[Vector, ...]] = []
    start = 0
    for parts in split:
        own = values[start : start + len(parts)]
        vectors.append(tuple(Vector(part=part, embedder=embedder.identity, values=one) for part, one in enumerate(own)))
        start += len(parts)
    return vectors
