"""The border through which the network sees a picture's edges."""

import numpy as np
import pytest
import tensorflow as tf

from tfnst.ops.borders import Border

MIRRORED, WRAPPED = Border.mirrored(8), Border(8, 24, 32, wrap=True)


@pytest.mark.parametrize("length", range(16, 33))
def test_sides_become_multiples_of_the_stride(length):
    for border, least in ((MIRRORED, (4, 4)), (WRAPPED, (24, 32))):
        before, behind = border.widths(length)
        assert before == least[0]
        assert least[1] <= behind < least[1] + 8
        assert (before + length + behind) % 8 == 0


@pytest.mark.parametrize(
    ("border", "expected"),
    [
        (Border.mirrored(1), [0, 0, 1, 2, 3, 4, 4]),
        (Border.mirrored(2), [0, 0, 1, 2, 3, 4, 4, 3]),
        (Border(2, 2, 4, wrap=True), [3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]),
        # Wider than the picture.
        (Border(4, 8, 4, wrap=True), [2, 3, 4, *[0, 1, 2, 3, 4] * 3, 0, 1]),
    ],
)
def test_the_border_mirrors_the_picture_or_wraps_it(border, expected):
    row = np.arange(5.0).reshape(1, 1, 5, 1).repeat(4, axis=1)
    padded = border.pad(tf.constant(row)).numpy()
    np.testing.assert_array_equal(padded[0, 0, :, 0], expected)
    np.testing.assert_array_equal(border.pad_array(row), padded)


def test_only_features_of_the_picture_count_where_it_wraps():
    image = np.random.default_rng(0).normal(size=(1, 17, 24, 3))
    padded = tf.constant(WRAPPED.pad_array(image))
    inside = WRAPPED.inside(padded)
    assert inside.shape == (1, 24, 24, 3)
    np.testing.assert_array_equal(inside[:, :17], image)
    np.testing.assert_array_equal(inside[:, 17:], image[:, :7])
    assert WRAPPED.inside(padded[:, ::8, ::8], 8).shape == (1, 3, 3, 3)
    padded = tf.constant(MIRRORED.pad_array(image))
    assert MIRRORED.inside(padded) is padded


@pytest.mark.parametrize("border", [MIRRORED, WRAPPED])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 23), (31, 20), (50, 33)])
def test_folding_is_the_gradient_of_padding(height, width, border):
    rng = np.random.default_rng(0)
    image = tf.constant(rng.normal(size=(2, height, width, 3)))
    with tf.GradientTape() as tape:
        tape.watch(image)
        padded = border.pad(image)
    upstream = rng.normal(size=padded.shape)
    expected = tape.gradient(padded, image, output_gradients=tf.constant(upstream))
    np.testing.assert_allclose(border.fold(upstream, height, width), expected)
