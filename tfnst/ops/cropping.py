"""Parts of activations."""

from __future__ import annotations

import tensorflow as tf


def crop(
    activations: tf.Tensor,
    top: int | tf.Tensor,
    left: int | tf.Tensor,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
) -> tf.Tensor:
    """`activations[:, top : top + height, left : left + width]`, [N, height, width, C].

    Its gradient is computed by padding. That of the expression above takes 40 times as
    long in TensorFlow, in 16 bits on a CPU, which makes it a fifth of a step.

    Args:
        activations: [N, H, W, C].
        top: first row.
        left: first column.
        height: number of rows.
        width: number of columns.
    """
    part = tf.slice(activations, [0, top, left, 0], [-1, height, width, -1])
    shape = activations.shape
    return tf.ensure_shape(part, [shape[0], None, None, shape[-1]])
