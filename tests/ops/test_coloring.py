"""Colours before the first step of a run and after its last one."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import picture
from tfnst import config
from tfnst.ops import color_transfer, coloring

CONTENT, STYLE = picture(40, 48, seed=1)[None], picture(36, 32, seed=2)[None]
PAINTED = picture(40, 48, seed=3)[None]


def test_without_a_mode_nothing_is_touched():
    assert coloring.match_style_colors(STYLE, CONTENT, "none") is STYLE
    for mode in ("none", "histogram", "transport"):
        assert coloring.remove_colors(CONTENT, mode) is CONTENT
        assert coloring.finish(PAINTED, CONTENT, mode) is PAINTED


@pytest.mark.parametrize("mode", config.COLOR_MODES)
def test_a_mode_may_be_a_tensor(mode):
    for function, pictures in (
        (coloring.match_style_colors, (STYLE, CONTENT)),
        (coloring.remove_colors, (CONTENT,)),
        (coloring.finish, (PAINTED, CONTENT)),
    ):
        expected = function(*pictures, mode)
        got = function(*pictures, tf.constant(mode))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("mode", ["none", "luminance"])
def test_parts_of_the_content_are_kept(mode):
    kept = np.zeros((1, 40, 48, 1), np.float32)
    kept[:, :, 24:] = 1
    kept[:, :, 20:24] = 0.5
    got = np.asarray(coloring.finish(PAINTED, CONTENT, mode, kept))
    finished = np.asarray(coloring.finish(PAINTED, CONTENT, mode))
    np.testing.assert_array_equal(got[:, :, :20], finished[:, :, :20])
    np.testing.assert_allclose(got[:, :, 24:], CONTENT[:, :, 24:], atol=1e-6)
    mean = (finished + CONTENT) / 2
    np.testing.assert_allclose(got[:, :, 20:24], mean[:, :, 20:24], atol=1e-6)


def test_colours_are_carried_by_a_share():
    colors = color_transfer.color_moments(STYLE)
    same = coloring.carry_colors(CONTENT, colors, tf.constant(0.0))
    np.testing.assert_allclose(same, CONTENT, atol=1e-6)
    whole, half = (
        coloring.carry_colors(CONTENT, colors, tf.constant(share)).numpy()
        for share in (1.0, 0.5)
    )
    np.testing.assert_allclose(half, (whole + CONTENT) / 2, atol=1e-6)
    # A region of everything is no region.
    masked = coloring.carry_colors(
        CONTENT, colors, tf.constant(1.0), tf.ones([1, 40, 48, 1])
    )
    np.testing.assert_allclose(masked, whole, atol=1e-6)


@pytest.mark.parametrize("rows", [7, 20, 40])
def test_strips_do_not_show(rows):
    moments, colors = map(color_transfer.color_moments, (CONTENT, STYLE))
    masks = np.random.default_rng(0).random((2, 40, 48, 1), np.float32)

    def move(rows, masks):
        return color_transfer.move_colors(rows, moments, colors, 0.8, masks)

    for function, pictures, count in (
        (color_transfer.grayscale, (CONTENT,), 1),
        (color_transfer.replace_chroma, (PAINTED, CONTENT), 1),
        (color_transfer.histogram_map(PAINTED, CONTENT), (PAINTED,), 1),
        (move, (CONTENT, masks), 2),
    ):
        got = coloring.by_strips(function, *pictures, strip_pixels=count * rows * 48)
        np.testing.assert_allclose(got, function(*pictures), atol=1e-6)
