"""Weighted sums of activations against NumPy, and their gradient."""

import numpy as np
import tensorflow as tf

from tfnst.losses import channel_moments
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
