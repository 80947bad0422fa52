"""Pictures whose opposite edges fit."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import picture
from tfnst.ops.seamless import make_seamless

PICTURES = np.stack([0.3 + 0.4 * picture(31, 40, seed) for seed in (1, 2)])


def by_fourier_transform(pictures):
    """Moisan's algorithm as it is published."""
    jumps = np.zeros(pictures.shape)
    for axis in (1, 2):
        along = np.moveaxis(jumps, axis, 0)
        of_picture = np.moveaxis(pictures, axis, 0)
        along[0] += of_picture[-1] - of_picture[0]
        along[-1] += of_picture[0] - of_picture[-1]
    height, width = pictures.shape[1:3]
    waves = (2 * np.cos(2 * np.pi * np.arange(side) / side) for side in (height, width))
    laplacian = np.add.outer(*waves) - 4
    laplacian[0, 0] = np.inf
    smooth = np.fft.fft2(jumps, axes=(1, 2)) / laplacian[..., np.newaxis]
    return pictures - np.fft.ifft2(smooth, axes=(1, 2)).real


def test_it_is_the_periodic_part_of_a_picture():
    found = make_seamless(PICTURES)
    np.testing.assert_allclose(found, by_fourier_transform(PICTURES), atol=1e-5)
    assert found.dtype == np.float32
    in_a_graph = tf.function(
        make_seamless, input_signature=[tf.TensorSpec([None, None, None, 3])]
    )
    np.testing.assert_allclose(in_a_graph(PICTURES), found, atol=1e-5)
    # Strips of seven rows or nine columns.
    by_strips = make_seamless(tf.constant(PICTURES), strip_pixels=600)
    np.testing.assert_allclose(by_strips, found, atol=1e-5)


def test_it_evens_out_the_light_and_leaves_tiles_alone():
    ramp = np.linspace(0.25, 0.75, 16, dtype=np.float32).reshape(1, 16, 1, 1)
    ramp = np.tile(ramp, (1, 1, 20, 3))
    # Of the jump, as much is left as there is from any row to the next.
    step = (0.75 - 0.25) / 16
    even = make_seamless(ramp)
    np.testing.assert_allclose(even[0, -1] - even[0, 0], step, atol=1e-6)
    np.testing.assert_allclose(even.mean(), 0.5, atol=1e-6)
    flat = np.full((1, 17, 16, 3), 0.25, np.float32)
    np.testing.assert_allclose(make_seamless(flat), flat, atol=1e-6)


@pytest.mark.parametrize("contrast", [1, 5])
def test_it_stays_within_the_range(contrast):
    wide = np.clip(0.5 + contrast * (PICTURES - 0.5), 0, 1)
    found = make_seamless(wide)
    assert found.min() >= 0
    assert found.max() <= 1
