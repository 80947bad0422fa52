"""Masks painted with a brush."""

import numpy as np

from tfnst.studio.masks import BRUSHES, brush_colors, regions_of


def layer(*strokes, side=10):
    """A layer with strokes (index of the brush, rows, cover from 0 to 255)."""
    pixels = np.zeros((side, side, 4), np.uint8)
    for index, rows, cover in strokes:
        pixels[rows] = (*BRUSHES[index][1], cover)
    return pixels


def test_each_colour_is_the_region_of_its_style():
    painted = layer((0, slice(0, 3), 255), (1, slice(3, 5), 255))
    first, second, third = regions_of([painted], 3)
    expected = np.zeros((10, 10), np.float32)
    expected[:3] = 1
    np.testing.assert_array_equal(first, expected)
    assert second[3:5].all()
    assert second.sum() == 20
    assert third is None


def test_soft_edges_stay_soft_and_keep_their_colour():
    painted = layer((1, slice(0, 5), 102))
    # What the browser mixes at edges is near the brush's colour.
    painted[:5, :, :3] -= 15
    first, second = regions_of([painted], 2)
    assert first is None
    np.testing.assert_allclose(second[:5], 0.4)
    assert not second[5:].any()


def test_upper_layers_hide_lower_ones():
    first, second = regions_of(
        [layer((0, slice(0, 10), 255)), layer((1, slice(0, 4), 255))], 2
    )
    assert not first[:4].any()
    assert first[4:].all()
    assert second[:4].all()


def test_the_colour_of_a_removed_style_counts_for_the_nearest():
    (only,) = regions_of([layer((3, slice(0, 10), 255))], 1)
    assert only.all()


def test_nothing_painted_is_no_region():
    assert regions_of([], 2) == [None, None]
    assert regions_of([layer()], 2) == [None, None]


def test_colours_are_written_as_in_css():
    assert brush_colors(2) == ["rgb(213, 40, 40)", "rgb(30, 90, 220)"]
