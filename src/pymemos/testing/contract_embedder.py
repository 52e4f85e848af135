"""The contract of embedders: subclass it, supply a fixture ``embedder``, and pytest runs the rest."""

from __future__ import annotations

import numpy as np
import pytest

from pymemos.ports import Embedder

TEXTS = ["I moved to Lisbon in May.", "My sister has two dogs.", "Quarterly revenue rose by 4 %.", "x"]
ODD = ["", " ", "\n", "😀" * 50, "\u0000", "a" * 20_000, "Ünïcödé 東京 مرحبا", "word " * 5_000]


class EmbedderContract:
    """What every ``Embedder`` does."""

    def test_a_text_is_a_row_of_float32_of_length_one(self, embedder: Embedder) -> None:
        rows = embedder.embed(TEXTS)

        assert rows.shape == (len(TEXTS), embedder.dimensions)
        assert rows.dtype == np.float32
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-4)

    def test_no_text_is_no_row(self, embedder: Embedder) -> None:
        assert embedder.embed([]).shape == (0, embedder.dimensions)

    def test_a_text_has_the_same_vector_whatever_stands_beside_it(self, embedder: Embedder) -> None:
        together = embedder.embed(TEXTS)
        reversed_ = embedder.embed(TEXTS[::-1])[::-1]
        alone = np.concatenate([embedder.embed([text]) for text in TEXTS])

        # Not to the last bit: sums of floats depend on their order.
        assert (together * alone).sum(axis=1).min() > 0.9999
        assert (together * reversed_).sum(axis=1).min() > 0.9999

    def test_the_same_text_is_nearest_to_itself(self, embedder: Embedder) -> None:
        likeness = embedder.embed(TEXTS) @ embedder.embed(TEXTS, queries=False).T

        assert likeness.argmax(axis=1).tolist() == list(range(len(TEXTS)))

    @pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
    def test_any_text_has_a_vector(self, embedder: Embedder, text: str) -> None:
        row = embedder.embed([text])

        assert row.shape == (1, embedder.dimensions)
        assert np.isfinite(row).all()

    def test_a_question_is_embedded_too(self, embedder: Embedder) -> None:
        assert embedder.embed(["Where did I move?"], queries=True).shape == (1, embedder.dimensions)

    def test_the_identity_is_a_name_that_stays(self, embedder: Embedder) -> None:
        assert embedder.identity
        assert embedder.identity == embedder.identity
