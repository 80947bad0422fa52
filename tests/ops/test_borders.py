"""The border through which the network sees a picture's edges."""

import numpy as np
import pytest
import tensorflow as tf

from tfnst.ops.borders import (
    border_widths,
    fold_border,
    pad_border,
    pad_border_array,
)


@pytest.mark.parametrize("length", range(16, 33))
def test_sides_become_multiples_of_the_stride(length):
    before, behind = border_widths(length, 8)
    assert before == 8
    assert 8 <= behind < 16
    assert (before + length + behind) % 8 == 0


def test_the_border_mirrors_the_picture():
    row = np.arange(5.0).reshape(1, 1, 5, 1).repeat(4, axis=1)
    padded = pad_border(tf.constant(row), 2).numpy()
    np.testing.assert_array_equal(padded[0, 0, :, 0], [1, 0, 0, 1, 2, 3, 4, 4, 3, 2])
    np.testing.assert_array_equal(pad_border_array(row, 2), padded)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 23), (31, 20)])
def test_folding_is_the_gradient_of_padding(height, width):
    rng = np.random.default_rng(0)
    image = tf.constant(rng.normal(size=(2, height, width, 3)))
    with tf.GradientTape() as tape:
        tape.watch(image)
        padded = pad_border(image, 8)
    upstream = rng.normal(size=padded.shape)
    expected = tape.gradient(padded, image, output_gradients=tf.constant(upstream))
    np.testing.assert_allclose(fold_border(upstream, 8, height, width), expected)
