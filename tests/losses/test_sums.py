"""Weighted sums of activations against NumPy, and their gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tfnst.config import STYLE_LOSSES
from tfnst.losses import channel_moments, statistics
from tfnst.losses.sums import activation_sums


def test_sums_with_weights_are_numpys():
    generator = np.random.default_rng(0)
    seen = generator.normal(size=(1, 4, 5, 3)).astype(np.float32)
    weights = generator.uniform(size=(2, 4, 5, 1)).astype(np.float32)
    sums = activation_sums(seen, weights)
    flat, w = seen.reshape(20, 3), weights.reshape(2, 20)
    np.testing.assert_allclose(sums.count, w.sum(1), rtol=1e-6)
    np.testing.assert_allclose(sums.activations, w @ flat, rtol=1e-5)
    np.testing.assert_allclose(
        sums.products, np.einsum("kp,pc,pd->kcd", w, flat, flat), rtol=1e-5, atol=1e-5
    )
    ones = activation_sums(seen, np.ones((1, 4, 5, 1), np.float32))
    plain = channel_moments.moments(tf.constant(seen))
    for got, expected in zip(channel_moments.moments_of_sums(ones), plain, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_gradient_of_sums_with_weights():
    generator = np.random.default_rng(1)
    seen = tf.constant(generator.normal(size=(1, 3, 4, 2)))
    weights = tf.constant(generator.uniform(size=(2, 3, 4, 1)))

    def function(activations):
        sums = activation_sums(activations, weights)
        mean, covariance = channel_moments.moments_of_sums(sums)
        return tf.reduce_sum(mean**3) + tf.reduce_sum(tf.sin(covariance))

    theory, numeric = tf.test.compute_gradient(function, [seen])
    np.testing.assert_allclose(theory[0], numeric[0], atol=1e-6)


@pytest.mark.parametrize("name", STYLE_LOSSES)
@pytest.mark.parametrize("least", [0.0, 1e-30, 1e-5])
def test_where_a_mask_leaves_nothing_a_layer_does_not_count(name, least):
    kinds = {"layer": statistics.style_loss_of_layer(name, 4)}
    style_loss = kinds["layer"]
    generator = np.random.default_rng(2)
    seen, style = (
        tf.constant(generator.uniform(size=(1, 4, 5, 3)).astype(np.float32))
        for _ in range(2)
    )
    nothing = np.zeros((4, 5, 1), np.float32)
    nothing[0, 0] = least
    masks = tf.stack([nothing, np.ones((4, 5, 1), np.float32)])

    def losses(masks, target, picture=seen):
        return style_loss.distance(style_loss.measure(picture, target, masks), target)

    targets = style_loss.target(style_loss.describe(style))
    blank = style_loss.target(style_loss.describe(style, masks[:1]))
    alone = losses(masks[1:], targets).numpy()
    assert alone > 0
    np.testing.assert_allclose(losses(masks, targets), [0, alone[0]], rtol=1e-6)
    np.testing.assert_allclose(losses(masks, blank), [0, 0], atol=1e-7)
    for each in (targets, blank):
        with tf.GradientTape() as tape:
            tape.watch(seen)
            nowhere = losses(masks, each)[0]
        np.testing.assert_array_equal(tape.gradient(nowhere, seen), 0 * seen)
    # In a blend, what there is takes the place of what there isn't.
    both = tf.nest.map_structure(lambda *s: tf.concat(s, 0), blank, targets)
    shares = tf.constant([[0.25, 0.75], [1.0, 0.0]])
    blend = statistics.blend_targets(kinds, {"layer": both}, shares)["layer"]
    # Samples that nothing is compared with may stay.
    compared = 2 if name == "neighbors" else None
    for got, wanted in zip(
        tf.nest.flatten(blend)[:compared],
        tf.nest.flatten(targets)[:compared],
        strict=True,
    ):
        np.testing.assert_allclose(got, [wanted[0], 0 * wanted[0]], atol=1e-7)
