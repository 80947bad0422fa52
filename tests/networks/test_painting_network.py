"""The network that paints: shapes, tiles, gradients at the ends of the range."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import picture
from tfnst.networks.painting import PicturePainter
from tfnst.networks.painting_network import PaintingLayer, PaintingNetwork, clip_pixels


@pytest.fixture(scope="module")
def network():
    network = PaintingNetwork(width=4, blocks=5)
    network.initialize(seed=3)
    return network


@pytest.mark.parametrize("sides", [(16, 16), (17, 30), (61, 83)])
def test_a_painted_picture_has_the_size_of_the_picture(network, sides):
    painted = network(picture(*sides)[np.newaxis])
    assert painted.shape == (1, *sides, 3)
    assert tf.reduce_min(painted) >= 0
    assert tf.reduce_max(painted) <= 1


def test_a_layer_enlarges_a_slope_to_a_slope():
    layer = PaintingLayer(1, 1, enlarge=2, normalize=False, activate=False)
    layer.build([None, None, None, 1])
    layer.convolution.kernel.assign(np.ones((1, 1, 1, 1)))
    slope = np.tile(np.arange(8.0, dtype=np.float32), (8, 1))[
        np.newaxis, ..., np.newaxis
    ]
    enlarged, _ = layer(slope)
    assert enlarged.shape == (1, 16, 16, 1)
    # Repeated positions would be steps, which end up as a grid in the painting.
    inside = np.diff(enlarged[0, :, 1:-1, 0], axis=1)
    np.testing.assert_allclose(inside, 0.5, atol=1e-6)


def test_each_picture_of_a_batch_is_painted_as_if_alone(network):
    pictures = np.stack([picture(48, 40, seed) for seed in range(3)])
    together = network(pictures)
    for i in range(3):
        alone = network(pictures[i : i + 1])[0]
        np.testing.assert_allclose(together[i], alone, atol=1e-5)


def test_contrast_and_brightness_of_a_picture_change_nothing(network):
    # Layers are normalised, so the first convolution's scale and offset vanish; within
    # the noise that the small constant under the root makes.
    image = picture(64, 64)[np.newaxis]
    plain, fainter = network(image), network(0.25 + 0.5 * image)
    np.testing.assert_allclose(plain, fainter, atol=0.02)


def test_tiles_have_no_seams(network):
    image = picture(300, 260)[np.newaxis]
    whole = PicturePainter(network, whole_pixels=10**9).paint(image)
    painter = PicturePainter(network, whole_pixels=300 * 260 - 1, tile=80)
    _, moments = network.paint(image)
    tiled = painter.paint_tiles(image, moments)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_a_large_picture_is_normalised_by_a_sample(network):
    image = picture(192, 256)[np.newaxis]
    painter = PicturePainter(network, whole_pixels=6 * 64 * 64, tile=64, patch=64)
    painted = painter.paint(image)
    assert painted.shape == image.shape
    # Half of the picture has nearly the same moments.
    assert 0 < np.abs(painted - network(image)).mean() < 0.05


def test_a_sample_of_all_has_the_moments_of_all(network):
    # Without a border around patches, which a convolution sees.
    x = np.random.default_rng(0).normal(size=(1, 32, 48, 3)).astype(np.float32)
    layer = PaintingLayer(5, 1)
    _, whole = layer(x)
    patches = x.reshape(2, 16, 3, 16, 3).swapaxes(1, 2).reshape(6, 16, 16, 3)
    _, pooled = layer(patches, pooled=True)
    np.testing.assert_allclose(pooled, whole, atol=1e-5)


def test_the_same_seed_gives_the_same_network():
    networks = [PaintingNetwork(width=4, blocks=1) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        network.initialize(seed)
    first, same, other = (
        [layer.convolution.kernel.numpy() for layer in network.layers_in_order]
        for network in networks
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_keras_saves_and_loads_it(network, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    image = picture(32, 32)[np.newaxis]
    np.testing.assert_array_equal(loaded(image), network(image))


def test_gradients_lead_back_into_the_range():
    pixels = tf.constant([[-0.5, -0.5, 0.5, 1.5, 1.5]])
    by_clipped = tf.constant([[1.0, -1.0, 1.0, 1.0, -1.0]])
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        clipped = clip_pixels(pixels)
    np.testing.assert_array_equal(clipped, [[0, 0, 0.5, 1, 1]])
    gradient = tape.gradient(clipped, pixels, output_gradients=by_clipped)
    # Pixels move against the gradient.
    np.testing.assert_array_equal(gradient, [[0, -1, 1, 1, 0]])
