"""Checks of a request's inputs in the graph, since TensorFlow Serving has none."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def checked(value: Any, condition: tf.Tensor, message: str, received: Any) -> tf.Tensor:
    """`value` if the condition holds; otherwise the run ends with INVALID_ARGUMENT."""
    check = tf.debugging.Assert(condition, [message + " Received:", received], 8)
    with tf.control_dependencies([check]):
        return tf.identity(value)


def in_range(name: str, value: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """`value`, an integer, if it is from `low` to `high`."""
    return checked(
        value,
        (value >= low) & (value <= high),
        f"`{name}` must be an integer from {low} to {high}.",
        value,
    )


def one_for_each(
    name: str, values: tf.Tensor, count: tf.Tensor, others: str
) -> tf.Tensor:
    """The values of an input, [count], of which a request may send a single one.

    Args:
        name: name of the input.
        values: [count] or [1].
        count: number of values needed, int32 scalar.
        others: name of the input that has so many.
    """
    values = checked(
        tf.ensure_shape(values, [None]),
        (tf.size(values) == 1) | (tf.size(values) == count),
        f"`{name}` must be 1 value or as many as `{others}`.",
        tf.stack([tf.size(values), count]),
    )
    return tf.broadcast_to(values, [count])


def finite_number(name: str, value: tf.Tensor) -> tf.Tensor:
    """`value`, a number, if it is finite and 0 or more."""
    return checked(
        value,
        tf.math.is_finite(value) & (value >= 0),
        f"`{name}` must be a finite number, 0 or more.",
        value,
    )
