"""Layers whose gradients cost less: they give what TensorFlow's own give."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import TINY, forget_engines, needs_bfloat16, picture
from tfnst.engines import loading
from tfnst.networks import backbones, features, layers

CONVOLUTIONS = (layers.Convolution, layers.TransposedConvolution)
LAYERS = ("block1_conv1", "block1_conv2", "block2_conv1", "block3_conv1")
ALL_KINDS = [
    {keras.layers.Conv2D: convolution, keras.layers.MaxPooling2D: pooling}
    for convolution, pooling in zip(
        CONVOLUTIONS,
        (layers.ComparingMaxPooling, keras.layers.MaxPooling2D),
        strict=True,
    )
]


def build(kind, *, channels=4, filters=5, padding="same", dtype="float64"):
    layer = kind(filters, 3, padding=padding, activation="relu", dtype=dtype)
    layer.build((None, None, None, channels))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=(3, 3, channels, filters)), rng.normal(size=5)])
    return layer


def gradient(function, x, by_result):
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = function(x)
    return tape.gradient(result, x, output_gradients=by_result)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_is_keras_own_with_a_gradient(kind, padding, channels):
    layer = build(kind, padding=padding, channels=channels)
    own = build(keras.layers.Conv2D, padding=padding, channels=channels)
    rng = np.random.default_rng(1)
    x = tf.constant(rng.normal(size=(2, 7, 8, channels)))
    np.testing.assert_allclose(layer(x), own(x), rtol=1e-12, atol=1e-12)
    by_result = tf.constant(rng.normal(size=layer(x).shape))
    found = gradient(tf.function(layer), x, by_result)
    np.testing.assert_allclose(
        found, gradient(own, x, by_result), rtol=1e-12, atol=1e-12
    )
    # Finite differences, of a smooth function of the result.
    by_hand, by_tape = tf.test.compute_gradient(
        lambda x: tf.reduce_sum(by_result * layer(x) ** 2), [x], delta=1e-5
    )
    np.testing.assert_allclose(by_tape[0], by_hand[0], rtol=1e-6, atol=1e-6)


def test_max_pooling_is_keras_own_with_a_gradient():
    pool, own = (
        kind(2, dtype="float64")
        for kind in (layers.ComparingMaxPooling, keras.layers.MaxPooling2D)
    )
    rng = np.random.default_rng(1)
    for height, width in ((6, 8), (7, 5)):
        # No two of these are as near as a finite difference.
        values = rng.permutation(2 * height * width * 3) / 10
        x = tf.constant(values.reshape(2, height, width, 3))
        np.testing.assert_array_equal(pool(x), own(x))
        by_result = tf.constant(rng.normal(size=pool(x).shape))
        found = gradient(pool, x, by_result)
        np.testing.assert_array_equal(found, gradient(own, x, by_result))
        by_hand, by_tape = tf.test.compute_gradient(
            lambda x, g=by_result: tf.reduce_sum(g * layers._max_pool(x)), [x]
        )
        np.testing.assert_allclose(by_tape[0], by_hand[0], rtol=1e-6, atol=1e-6)


def test_ties_share_the_gradient_of_max_pooling():
    x = tf.constant([[5.0, 5, 1, 2], [3, 5, 2, 2], [0, 0, 7, 0], [0, 0, 0, 0]])
    x = tf.cast(x, tf.float64)[None, :, :, None]
    by_result = tf.constant([[6.0, 12], [8, 1]], tf.float64)[None, :, :, None]
    found = gradient(layers._max_pool, x, by_result)[0, :, :, 0]
    np.testing.assert_allclose(
        found, [[2, 2, 0, 4], [0, 2, 4, 4], [2, 2, 1, 0], [2, 2, 0, 0]]
    )
    # As much as when all that are the largest move together, by finite differences.
    largest = tf.cast(found != 0, tf.float64)[None, :, :, None]

    def moved(by):
        return tf.reduce_sum(by_result * layers._max_pool(x + by * largest))

    step = 1e-6
    by_hand = (moved(step) - moved(-step)) / (2 * step)
    np.testing.assert_allclose(tf.reduce_sum(found), by_hand, rtol=1e-8)


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_features_and_their_gradients_are_tensorflow_s(kinds, jit_compile):
    backbone = backbones.load_backbone(
        "vgg16", weights=None, last_layer="block3_conv1"
    ).model
    image = tf.constant(picture(24, 32)[None])

    def loss_and_gradient(kinds):
        extractor = features.build_feature_extractor(
            backbone, layers=LAYERS, kinds=kinds
        )

        @tf.function(jit_compile=jit_compile)
        def compute(image):
            with tf.GradientTape() as tape:
                tape.watch(image)
                seen = extractor(image)
                loss = tf.add_n([tf.reduce_mean(seen[k] ** 2) for k in LAYERS])
            return loss, tape.gradient(loss, image)

        return [np.asarray(x) for x in compute(image)]

    loss, by_image = loss_and_gradient(kinds)
    own_loss, by_image_own = loss_and_gradient({})
    np.testing.assert_allclose(loss, own_loss, rtol=1e-5)
    difference = np.abs(by_image - by_image_own)
    assert difference.max() < 1e-4 * np.abs(by_image_own).max()


@needs_bfloat16
@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_gradients_in_bfloat16_are_as_near_as_tensorflow_s(kinds):
    backbone = backbones.load_backbone(
        "vgg16", weights=None, last_layer="block2_conv1"
    ).model
    image = tf.constant(picture(24, 32)[None])

    def by_image(precision, kinds):
        extractor = features.build_feature_extractor(
            backbone, layers=["block2_conv1"], precision=precision, kinds=kinds
        )
        with tf.GradientTape() as tape:
            tape.watch(image)
            seen = extractor(image)["block2_conv1"]
            loss = tf.reduce_sum(tf.cast(seen, tf.float32) ** 2)
        assert seen.dtype == precision
        return np.asarray(tape.gradient(loss, image))

    exact = by_image("float32", {})
    own, found = (
        np.linalg.norm(by_image("bfloat16", each) - exact) for each in ({}, kinds)
    )
    assert found < 1.5 * own < 0.1 * np.linalg.norm(exact)


@pytest.mark.parametrize(
    ("onednn", "flags", "limit", "wanted"),
    [
        (False, ("avx2",), "", (layers.Convolution, layers.ComparingMaxPooling)),
        (False, ("avx512f",), "", (layers.Convolution, layers.ComparingMaxPooling)),
        (True, ("avx2",), "", (layers.TransposedConvolution, None)),
        (True, ("avx2", "avx512f"), "", (layers.Convolution, None)),
        (True, ("avx2", "avx512f"), "avx2", (layers.TransposedConvolution, None)),
        (True, None, "", (layers.TransposedConvolution, None)),
    ],
)
def test_the_fastest_layers_are_those_measured(
    monkeypatch, onednn, flags, limit, wanted
):
    monkeypatch.setattr(layers, "uses_onednn", lambda: onednn)
    monkeypatch.setattr(layers, "cpu_flags", lambda: flags)
    monkeypatch.setattr(layers, "is_x86", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    kinds = layers.fastest_layers()
    convolution, pooling = wanted
    assert kinds[keras.layers.Conv2D] is convolution
    assert kinds.get(keras.layers.MaxPooling2D) is pooling
    # Arm's were not measured.
    monkeypatch.setattr(layers, "is_x86", lambda: False)
    assert layers.fastest_layers()[keras.layers.Conv2D] is layers.Convolution


def test_exported_graphs_are_the_same_wherever_they_are_built(monkeypatch, request):
    monkeypatch.setattr(layers, "fastest_layers", lambda: ALL_KINDS[1])
    # Other tests' engines have the layers of this machine.
    forget_engines()
    request.addfinalizer(forget_engines)

    def convolutions(**options):
        engine, _ = loading.load_engine(TINY, **options)
        found = map(type, engine.feature_extractor.layers)
        return {kind for kind in found if issubclass(kind, keras.layers.Conv2D)}

    assert convolutions() == {layers.TransposedConvolution}
    assert convolutions(exported=True) == {layers.Convolution}
