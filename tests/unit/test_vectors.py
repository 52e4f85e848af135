"""The product of vectors with a question's, block by block."""

from __future__ import annotations

import numpy as np
import pytest

from pymemos.operation.retrieval.vectors import ALONE, products

WIDTH = 64
BLOCK = ALONE // WIDTH


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_blocks_give_the_product_of_every_row_in_its_place(count):
    draw = np.random.default_rng(count)
    vectors, vector = draw.standard_normal((count, WIDTH), np.float32), draw.standard_normal(WIDTH, np.float32)

    found = products(vectors, vector)

    assert (np.float32, (count,)) == (found.dtype, found.shape)
    np.testing.assert_allclose(found, vectors.astype(float) @ vector.astype(float), atol=1e-4)


def test_a_vector_wider_than_a_block_is_multiplied_too():
    vectors = np.ones((2, ALONE + 1), np.float32)

    assert [ALONE + 1] * 2 == products(vectors, vectors[0]).tolist()
