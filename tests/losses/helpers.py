"""Random tensors, and gradients by TensorFlow and by finite differences."""

import numpy as np
import tensorflow as tf


def random(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def central_differences(function, x, step=1e-6):
    """Gradient of the sum of a NumPy-valued function, one element at a time."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = x.copy()
        moved[index] += step
        above = np.sum(function(moved))
        moved[index] -= 2 * step
        gradient[index] = (above - np.sum(function(moved))) / (2 * step)
    return gradient


def gradient(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x).numpy()
