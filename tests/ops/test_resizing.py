"""Pictures resized, shrunk to be looked at, and cut to cover a size."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import picture
from tfnst.ops import resizing

IMAGE = picture(32, 40, seed=1)[None]


def test_resize_to_the_same_size_changes_nothing():
    assert resizing.resize_image(IMAGE, 32, 40) is IMAGE
    in_a_graph = tf.function(resizing.resize_image)
    np.testing.assert_array_equal(in_a_graph(IMAGE, 32, 40), IMAGE)


@pytest.mark.parametrize(("height", "width"), [(45, 57), (20, 25)])
def test_resized_rows_are_those_of_the_whole(height, width):
    whole = resizing.resize_image(IMAGE, height, width)
    expected = tf.image.resize(IMAGE, [height, width], "lanczos3", antialias=True)
    np.testing.assert_allclose(whole, tf.clip_by_value(expected, 0, 1), atol=1e-6)
    for top, bottom in ((0, 7), (7, 19), (19, height)):
        rows = resizing.resize_rows(IMAGE, height, width, top, bottom)
        np.testing.assert_allclose(rows, whole[:, top:bottom], atol=1e-5)


def test_resize_keeps_flat_pictures_and_range():
    flat = tf.fill([1, 9, 7, 3], 0.25)
    np.testing.assert_allclose(resizing.resize_image(flat, 20, 3), 0.25, atol=1e-6)
    edge = tf.concat([tf.zeros([1, 8, 4, 3]), tf.ones([1, 8, 4, 3])], axis=2)
    resized = resizing.resize_image(edge, 32, 32)
    assert tf.reduce_min(resized) == 0
    assert tf.reduce_max(resized) == 1


def test_resize_down_averages_what_it_cannot_show():
    checkerboard = (np.indices((64, 64)).sum(0) % 2).astype(np.float32)
    image = np.repeat(checkerboard[None, :, :, None], 3, -1)
    middle = resizing.resize_image(image, 16, 16)[:, 2:-2, 2:-2]
    np.testing.assert_allclose(middle, 0.5, atol=0.02)


@pytest.mark.parametrize("sides", [(20, 40), (40, 20), (60, 60), (7, 5)])
def test_cover_fills_and_does_not_distort(sides):
    image = np.zeros((1, 30, 30, 3), np.float32)
    image[:, 10:20, 10:20] = 1  # a square in the middle
    covered = resizing.cover_image(image, *sides).numpy()[0, :, :, 0]
    assert covered.shape == sides
    rows, columns = (covered > 0.5).any(1).sum(), (covered > 0.5).any(0).sum()
    assert rows == pytest.approx(max(sides) / 3, abs=1)
    assert columns == pytest.approx(max(sides) / 3, abs=1)


@pytest.mark.parametrize(
    "sides", [(500, 333), (301, 100), (128, 64), (36, 48), (65, 64)]
)
def test_shrunk_pictures_look_the_same(sides):
    # Smooth enough that shrinking loses nothing.
    y, x = np.mgrid[: sides[0], : sides[1]] / max(sides)
    image = np.stack([x, y, x * y], axis=-1).astype(np.float32)[None]
    small = resizing.shrink_image(image, 64).numpy()
    assert max(small.shape[1:3]) == min(64, max(sides))
    expected = resizing.resize_image(image, *small.shape[1:3])
    np.testing.assert_allclose(small, expected, atol=0.02)


@pytest.mark.parametrize(("height", "width"), [(24, 30), (13, 9), (80, 80)])
def test_a_seamless_picture_stays_one(height, width):
    """It is resized as the middle of nine tiles is."""
    tiles = np.tile(IMAGE, (1, 3, 3, 1))
    rows, columns = IMAGE.shape[1:3]
    wanted = resizing.resize_rows(tiles, 3 * height, 3 * width, height, 2 * height)
    found = resizing.resize_image(IMAGE, height, width, wrap=True)
    np.testing.assert_allclose(found, wanted[:, :, width : 2 * width], atol=2e-5)
    in_a_graph = tf.function(
        lambda image: resizing.resize_image(image, height, width, wrap=True)
    )
    np.testing.assert_allclose(in_a_graph(IMAGE), found, atol=1e-6)
    part = resizing.resize_rows(IMAGE, height, width, 2, height - 1, wrap=True)
    np.testing.assert_allclose(part, found[:, 2:-1], atol=2e-5)
    assert resizing.resize_image(IMAGE, rows, columns, wrap=True) is IMAGE
