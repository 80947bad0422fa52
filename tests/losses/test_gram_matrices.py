"""Gram matrices against NumPy and closed forms."""

import numpy as np
import pytest
import tensorflow as tf

from tests.losses.helpers import central_differences, gradient, random
from tfnst.losses.gram_matrices import gram_matrix, style_loss


def test_gram_matrix_equals_numpy():
    f = random(2, 5, 3, 4)
    expected = np.einsum("nijc,nijd->ncd", f, f) / 15
    np.testing.assert_allclose(gram_matrix(f), expected, rtol=1e-12)


def test_gram_matrix_of_ones_is_ones_at_any_size():
    for height, width in ((1, 1), (4, 7), (32, 16)):
        np.testing.assert_allclose(
            gram_matrix(tf.ones([1, height, width, 3])), np.ones([1, 3, 3])
        )


def test_gram_matrix_is_symmetric_and_positive_semi_definite():
    gram = gram_matrix(random(1, 3, 3, 16)).numpy()[0]
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram).min() > -1e-12


def test_gram_matrix_is_blind_to_where_things_are():
    f = random(1, 6, 4, 5)
    shuffled = np.random.default_rng(1).permutation(f.reshape(24, 5))
    np.testing.assert_allclose(
        gram_matrix(f), gram_matrix(shuffled.reshape(1, 6, 4, 5))
    )


def test_gram_matrix_gradient():
    f = random(2, 3, 2, 3)
    u = random(2, 3, 3, seed=1)

    def value(x):
        return tf.reduce_sum(gram_matrix(x) * u)

    np.testing.assert_allclose(
        gradient(value, f), central_differences(value, f), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 3), (1, 2, 2, 3, 1)])
def test_gram_matrix_refuses_other_ranks(shape):
    with pytest.raises(ValueError, match=r"^`activations` must be of the shape \[N"):
        gram_matrix(tf.zeros(shape))


def test_one_style_serves_a_batch():
    grams, target = random(3, 4, 4), random(1, 4, 4, seed=1)
    np.testing.assert_allclose(
        style_loss([grams], [target]),
        [style_loss([gram[None]], [target])[0] for gram in grams],
    )
