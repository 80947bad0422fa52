"""Gradients for the tests of optimisers."""

import tensorflow as tf


def with_gradients(loss):
    def evaluate(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(x)
        return value, tape.gradient(value, x)

    return evaluate
