"""Loading a backbone with its weights, and the errors on the way."""

import keras
import numpy as np
import pytest

from tests.helpers import message
from tests.networks.helpers import (
    CUT,
    SHAPES,
    arrays,
    assert_same,
    weights_of,
    write_npz,
)
from tfnst.networks import backbones, weight_sources

pytestmark = pytest.mark.usefixtures("home")


def test_random_weights_are_the_same_everywhere():
    backbone = backbones.load_backbone(weights=None, **CUT)
    assert backbone.weights == weight_sources.WeightsInfo(
        source="random numbers, seed 0",
        path=None,
        sha256="258294718d5f9bf3d7331a6e102211934a08c2d93ab43023a5ef62484bb80eca",
        backbone="vgg19",
    )
    same = backbones.load_backbone(weights=None, last_layer="block2_conv1")
    assert_same(
        {layer: weights_of(same)[layer] for layer in SHAPES}, weights_of(backbone)
    )


def test_real_weights_of_vgg19(vgg19_file):
    backbone = backbones.load_backbone(weights=vgg19_file, last_layer="block4_conv1")
    theirs = keras.applications.VGG19(weights=None, include_top=False)
    layer = theirs.get_layer("block4_conv1")
    theirs = keras.Model(theirs.input, layer.output)
    theirs.set_weights(backbone.model.get_weights())
    pixels = np.random.default_rng(0).normal(0, 60, (1, 40, 32, 3)).astype(np.float32)
    expected = theirs(pixels).numpy()
    assert (expected > 0).mean() > 0.1
    np.testing.assert_allclose(backbone.model(pixels), expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"name": "resnet"},
            "`name` must be one of 'vgg19', 'vgg16'. Received: 'resnet'",
        ),
        ({"name": None}, "`name` must be one of 'vgg19', 'vgg16'. Received: None"),
        (
            {"pooling": "mean"},
            "`pooling` must be one of 'max', 'average'. Received: 'mean'",
        ),
        (
            {"last_layer": "block3_conv4", "name": "vgg16"},
            "`last_layer` must be None or a layer of vgg16: block1_conv1, "
            "block1_conv2, block1_pool, block2_conv1, block2_conv2, block2_pool, "
            "block3_conv1, block3_conv2, block3_conv3, block3_pool, block4_conv1, "
            "block4_conv2, block4_conv3, block4_pool, block5_conv1, block5_conv2, "
            "block5_conv3, block5_pool. Received: 'block3_conv4'",
        ),
        ({"seed": -1}, "`seed` must be an integer, 0 or more. Received: -1"),
        ({"seed": True}, "`seed` must be an integer, 0 or more. Received: True"),
        (
            {"weights": 5},
            "`weights` must be 'imagenet', the path of a weight file or None. "
            "Received: 5",
        ),
        (
            {"weights": ""},
            "`weights` must be 'imagenet', the path of a weight file or None. "
            "Received: ''",
        ),
    ],
)
def test_arguments_out_of_range(settings, expected):
    settings = {"weights": None, **settings}
    assert message(ValueError, backbones.load_backbone, **settings) == expected


@pytest.mark.parametrize("factor", [0, 1e38])
def test_dead_and_exploding_networks(home, factor):
    layers = {
        layer: [array * np.float32(factor) for array in pair]
        for layer, pair in arrays().items()
    }
    path = write_npz(home / "w.npz", layers)
    assert message(ValueError, backbones.load_backbone, weights=path, **CUT) == (
        "`weights` must give finite activations, not all of them 0, at block1_conv2. "
        f"Received: {path!r}"
    )
