"""Parts of activations, and their gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tfnst.ops.cropping import crop


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_part_and_its_gradient(dtype, compiled):
    activations = tf.cast(tf.reshape(tf.range(2 * 5 * 6 * 3), [2, 5, 6, 3]), dtype)

    @tf.function(autograph=False, jit_compile=compiled)
    def part_and_gradient(activations):
        with tf.GradientTape() as tape:
            tape.watch(activations)
            part = crop(activations, 1, 2, 3, 2)
            # The channels are known to what follows.
            assert part.shape[-1] == 3
            loss = tf.reduce_sum(tf.square(part))
        return part, tape.gradient(loss, activations)

    part, gradient = part_and_gradient(activations)
    whole = np.asarray(activations)
    np.testing.assert_array_equal(np.asarray(part), whole[:, 1:4, 2:4])
    expected = np.zeros_like(whole)
    expected[:, 1:4, 2:4] = 2 * whole[:, 1:4, 2:4]
    np.testing.assert_array_equal(np.asarray(gradient), expected)
