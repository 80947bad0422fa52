"""The feature extractor, by hand and on real weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import picture, real_vgg19
from tfnst.networks import backbones, features

LAYERS = ("block1_conv1", "block1_conv2", "block2_conv1")


@pytest.fixture(scope="module")
def backbone():
    return backbones.load_backbone(
        "vgg16", weights=None, last_layer="block2_conv2"
    ).model


def test_preprocessing_is_that_of_keras_applications():
    image = picture(8, 6)[None]
    np.testing.assert_allclose(
        features.VGGPreprocessing()(image),
        keras.applications.vgg19.preprocess_input(image * 255),
        atol=1e-4,
    )


def test_gives_the_activations_of_the_named_layers(backbone):
    extractor = features.build_feature_extractor(backbone, layers=LAYERS)
    image = picture(20, 12)[None]
    activations = extractor(image)
    assert {name: tuple(a.shape) for name, a in activations.items()} == {
        "block1_conv1": (1, 20, 12, 64),
        "block1_conv2": (1, 20, 12, 64),
        "block2_conv1": (1, 10, 6, 128),
    }
    # The same by hand: repeat the edge, let VGG pad with zeros, crop that padding.
    x = features.VGGPreprocessing()(image)
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    for layer in backbone.layers[1:]:
        x = layer(x)
        if layer.name == "block1_conv1":
            x = x[:, 1:-1, 1:-1]
        if layer.name in LAYERS:
            np.testing.assert_allclose(activations[layer.name], x, rtol=1e-4, atol=1e-3)


def test_a_flat_picture_has_no_border_in_the_first_layer(backbone):
    extractor = features.build_feature_extractor(backbone, layers=["block1_conv1"])
    flat = extractor(np.full((1, 8, 8, 3), 0.9, np.float32))["block1_conv1"].numpy()
    np.testing.assert_allclose(flat, flat[:, 4:5, 4:5] + 0 * flat, rtol=1e-4, atol=1e-3)


def test_deeper_layers_and_training_are_cut_off(backbone):
    extractor = features.build_feature_extractor(backbone, layers=LAYERS)
    assert extractor.trainable_variables == []
    kernels = [v for v in extractor.variables if v.path.endswith("kernel")]
    assert len(kernels) == 3


def test_one_layer_is_still_a_dict(backbone):
    extractor = features.build_feature_extractor(backbone, layers=["block1_conv1"])
    assert list(extractor(picture(16, 16)[None])) == ["block1_conv1"]


def test_keeps_float32_under_a_mixed_precision_policy():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = backbones.load_backbone(
            "vgg16", weights=None, last_layer="block1_conv1"
        ).model
        extractor = features.build_feature_extractor(model, layers=["block1_conv1"])
        activations = extractor(picture(16, 16)[None])
    finally:
        keras.config.set_dtype_policy("float32")
    assert activations["block1_conv1"].dtype == tf.float32


def test_unknown_layers_are_named(backbone):
    with pytest.raises(ValueError, match=r"Received: 'block9_conv1'$"):
        features.build_feature_extractor(backbone, layers=["block9_conv1"])


def test_real_vgg19_sees_edges_not_flats():
    weights = real_vgg19()
    model = backbones.load_backbone(
        "vgg19", weights=weights, last_layer="block4_conv1"
    ).model
    extractor = features.build_feature_extractor(model, layers=["block4_conv1"])
    flat = np.full((1, 64, 64, 3), 0.5, np.float32)
    striped = flat.copy()
    striped[:, :, ::8] = 1
    # Padding affects the border, so only the middle counts.
    middles = [
        extractor(x)["block4_conv1"].numpy()[:, 3:5, 3:5] for x in (flat, striped)
    ]
    assert np.square(middles[1]).mean() > 3 * np.square(middles[0]).mean()
