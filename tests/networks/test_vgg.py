"""The architecture of VGG against Keras' own, and random weights."""

import keras
import numpy as np
import pytest

from tests.networks.helpers import CUT, weights_of
from tfnst.config import BACKBONES
from tfnst.networks import backbones, vgg

pytestmark = pytest.mark.usefixtures("home")


def test_knows_the_backbones_of_the_settings():
    assert tuple(vgg.VGG_BLOCKS) == BACKBONES


@pytest.mark.parametrize("name", BACKBONES)
def test_is_the_architecture_of_keras_applications(name):
    ours = backbones.load_backbone(name, weights=None).model
    theirs = getattr(keras.applications, name.upper())(weights=None, include_top=False)
    assert tuple(layer.name for layer in theirs.layers[1:]) == (vgg.layer_names(name))
    for a, b in zip(ours.layers[1:], theirs.layers[1:], strict=True):
        assert (type(a), a.name, a.output.shape) == (type(b), b.name, b.output.shape)
        assert [w.shape for w in a.weights] == [w.shape for w in b.weights]
    theirs.set_weights(ours.get_weights())
    pixels = np.random.default_rng(0).normal(0, 60, (2, 37, 50, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(pixels), theirs(pixels), rtol=1e-4, atol=1e-3)


def test_computes_a_convolution():
    model = backbones.load_backbone(weights=None, last_layer="block1_conv1").model
    kernel, _ = model.get_layer("block1_conv1").get_weights()
    bias = np.linspace(-20, 20, 64, dtype=np.float32)
    model.get_layer("block1_conv1").set_weights([kernel, bias])
    pixels = np.random.default_rng(0).normal(0, 60, (1, 5, 4, 3)).astype(np.float32)
    padded = np.pad(pixels[0], ((1, 1), (1, 1), (0, 0)))
    expected = np.zeros((5, 4, 64))
    for y, x in np.ndindex(5, 4):
        expected[y, x] = np.tensordot(padded[y : y + 3, x : x + 3], kernel, axes=3)
    expected = np.maximum(expected + bias, 0)
    np.testing.assert_allclose(model(pixels)[0], expected, rtol=1e-4, atol=1e-4)


def test_cuts_off_behind_the_last_layer():
    model = backbones.load_backbone(weights=None, last_layer="block2_conv1").model
    assert [layer.name for layer in model.layers[1:]] == [
        "block1_conv1",
        "block1_conv2",
        "block1_pool",
        "block2_conv1",
    ]
    assert model.output_shape == (None, None, None, 128)


def test_nothing_is_trainable():
    model = backbones.load_backbone(weights=None, **CUT).model
    assert len(model.weights) == 4
    assert not model.trainable_weights


def test_average_pooling_keeps_the_names():
    pixels = np.random.default_rng(0).normal(0, 60, (1, 8, 8, 3)).astype(np.float32)
    kept = {}
    for pooling in ("max", "average"):
        model = backbones.load_backbone(
            weights=None, pooling=pooling, last_layer="block1_pool"
        ).model
        before = model.get_layer("block1_conv2").output
        before = keras.Model(model.input, before)(pixels).numpy()
        windows = before.reshape(1, 4, 2, 4, 2, 64)
        reduce = {"max": np.max, "average": np.mean}[pooling]
        kept[pooling] = model(pixels).numpy()
        expected = reduce(windows, axis=(2, 4))
        np.testing.assert_allclose(kept[pooling], expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(kept["max"], kept["average"])


def test_global_settings_of_keras_do_not_matter():
    pixels = np.random.default_rng(0).normal(0, 60, (1, 8, 8, 3)).astype(np.float32)
    settings = {"weights": None, "last_layer": "block2_conv1"}
    expected = backbones.load_backbone(**settings).model(pixels)
    policy, layout = keras.config.dtype_policy(), keras.config.image_data_format()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        keras.config.set_image_data_format("channels_first")
        keras.config.set_floatx("float64")
        got = backbones.load_backbone(**settings).model(pixels)
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format(layout)
        keras.config.set_floatx("float32")
    assert got.dtype == "float32"
    np.testing.assert_array_equal(got, expected)


def test_random_weights_follow_the_seed():
    digests = {
        backbones.load_backbone(weights=None, seed=seed, **CUT).weights.sha256
        for seed in (0, 1, np.int64(2))
    }
    assert len(digests) == 3


def test_random_weights_are_he_normal():
    weights = weights_of(
        backbones.load_backbone(weights=None, last_layer="block3_conv1")
    )
    for kernel, bias in weights.values():
        unit = kernel * np.sqrt(np.prod(kernel.shape[:3]) / 2)
        sigma = 1 / np.sqrt(kernel.size)
        assert abs(unit.mean()) < 4 * sigma
        assert abs(unit.std() - 1) < 4 * sigma
        assert not bias.any()


def test_deepest_layer():
    order = ("a", "b", "c")
    assert vgg.deepest_layer(["b", "a"], order=order) == "b"
    with pytest.raises(ValueError, match=r": a, b, c\. Received: 'd'$"):
        vgg.deepest_layer(["a", "d"], order=order)
