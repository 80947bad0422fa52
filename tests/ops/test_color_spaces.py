"""Colours in sRGB, CIELAB and Oklab."""

import numpy as np

from tests.helpers import muted
from tfnst.ops import color_spaces


def test_lab_of_known_colours():
    # From scikit-image, which rounds the matrix and the white point.
    known = {
        (0, 0, 0): (0, 0, 0),
        (255, 255, 255): (100, 0, 0),
        (119, 119, 119): (50.03, 0, 0),
        (255, 0, 0): (53.24, 80.09, 67.20),
        (0, 255, 0): (87.73, -86.18, 83.18),
        (0, 0, 255): (32.30, 79.19, -107.86),
        (5, 2, 1): (0.70, 0.65, 0.65),
    }
    rgb = np.array(list(known), np.float64) / 255
    lab = color_spaces.lab_from_srgb(rgb).numpy()
    np.testing.assert_allclose(lab, list(known.values()), atol=0.02)


def test_oklab_of_known_colours():
    # From CSS Color 4, for white, red, lime and blue.
    known = {
        (1, 1, 1): (1, 0, 0),
        (1, 0, 0): (0.62796, 0.22486, 0.12585),
        (0, 1, 0): (0.86644, -0.23389, 0.17950),
        (0, 0, 1): (0.45201, -0.03246, -0.31153),
        (0, 0, 0): (0, 0, 0),
    }
    oklab = color_spaces.oklab_from_srgb(np.array(list(known), np.float64)).numpy()
    np.testing.assert_allclose(oklab, list(known.values()), atol=2e-5)


def test_oklab_and_back():
    rgb = np.random.default_rng(0).uniform(size=[1, 50, 60, 3]).astype(np.float32)
    rgb[0, :, :8] = np.round(rgb[0, :, :8])  # also corners of the cube
    back = color_spaces.srgb_from_oklab(color_spaces.oklab_from_srgb(rgb))
    np.testing.assert_allclose(back, rgb, atol=2e-3)
    inside = muted(rgb, 0.9)
    back = color_spaces.srgb_from_oklab(color_spaces.oklab_from_srgb(inside))
    np.testing.assert_allclose(back, inside, atol=1e-5)


def test_colours_out_of_gamut_keep_lightness_and_hue():
    rng = np.random.default_rng(0)
    lightness, hue = rng.uniform(0.05, 0.95, 500), rng.uniform(0, 2 * np.pi, 500)
    oklab = np.stack([lightness, 0.4 * np.cos(hue), 0.4 * np.sin(hue)], axis=-1)
    rgb = color_spaces.srgb_from_oklab(oklab.astype(np.float32)).numpy()
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    # No more chroma is lost than necessary: each colour touches a face of the cube.
    assert (np.minimum(rgb, 1 - rgb).min(axis=-1) < 0.02).all()
    back = color_spaces.oklab_from_srgb(rgb).numpy()
    np.testing.assert_allclose(back[:, 0], lightness, atol=1e-3)
    turned = np.angle(np.exp(1j * (np.arctan2(back[:, 2], back[:, 1]) - hue)))
    # In dark colours, as little as 1e-6 of linear light changes the hue.
    assert np.abs(turned[lightness > 0.15]).max() < 0.02
