"""The losses of pixels for known pictures, and the weighted sum of all losses."""

import numpy as np
import pytest
import tensorflow as tf

from tests.losses.helpers import central_differences, gradient, random
from tfnst.losses import terms


def test_total_variation_of_known_pictures():
    assert terms.total_variation_loss(tf.fill([1, 5, 7, 3], 0.3)).numpy() == [0]
    checkerboard = (np.indices((6, 8)).sum(0) % 2).astype(np.float32)
    board = np.repeat(checkerboard[None, :, :, None], 3, -1)
    np.testing.assert_allclose(terms.total_variation_loss(board), [2])
    stripes = np.zeros((1, 4, 6, 3), np.float32)
    stripes[:, :, ::2] = 1
    np.testing.assert_allclose(terms.total_variation_loss(stripes), [1])
    ramp = np.broadcast_to(np.linspace(0, 1, 11)[None, :, None, None], (1, 11, 4, 3))
    np.testing.assert_allclose(terms.total_variation_loss(ramp), [0.01])


def test_total_variation_of_pictures_that_are_laid_as_tiles():
    assert terms.total_variation_loss(tf.fill([1, 5, 7, 3], 0.3), wrap=True) == [0]
    # The last pixel of the ramp is a neighbour of the first.
    ramp = np.broadcast_to(np.linspace(0, 1, 11)[None, :, None, None], (1, 11, 4, 3))
    for picture in (ramp, ramp.swapaxes(1, 2)):
        variation = terms.total_variation_loss(picture, wrap=True)
        np.testing.assert_allclose(variation, [(10 * 0.01 + 1) / 11])


@pytest.mark.parametrize("wrap", [False, True])
def test_total_variation_gradient(wrap):
    def loss(image):
        return terms.total_variation_loss(image, wrap=wrap)

    x = random(1, 3, 4, 3)
    np.testing.assert_allclose(
        gradient(loss, x), central_differences(loss, x), rtol=1e-5, atol=1e-9
    )


def test_total_variation_refuses_other_ranks():
    with pytest.raises(ValueError, match=r"^`image` must be of the shape"):
        terms.total_variation_loss(tf.zeros([4, 4, 3]))


def test_temporal_loss_counts_pixels_by_their_weights():
    image, target = np.full((1, 2, 2, 3), 0.5), np.full((1, 2, 2, 3), 0.3)
    weights = np.zeros((1, 2, 2, 1))
    assert terms.temporal_loss(image, target, weights).numpy() == [0]
    weights[0, 0, 1] = 10
    # One of four pixels, 10 * 0.2 squared.
    np.testing.assert_allclose(terms.temporal_loss(image, target, weights), [0.1])
    np.testing.assert_array_equal(terms.temporal_loss(image, image, weights), [0])


def test_temporal_gradient():
    x, target, weights = random(2, 3, 4, 3), random(2, 3, 4, 3) + 1, random(2, 3, 4, 1)

    def loss(image):
        return terms.temporal_loss(image, target, weights**2)

    np.testing.assert_allclose(
        gradient(loss, x), central_differences(loss, x), rtol=1e-5, atol=1e-9
    )


def test_total_loss_is_the_weighted_sum():
    total = terms.total_loss(
        tf.constant([1.0, 2.0]),
        tf.constant([3.0, 4.0]),
        tf.constant([5.0, 6.0]),
        content_weight=0.5,
        style_weight=tf.constant(10.0),
        total_variation_weight=0,
    )
    np.testing.assert_allclose(total, [30.5, 41])
