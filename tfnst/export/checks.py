"""Checks of a request's inputs in the graph: TensorFlow Serving checks none of them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def checked(value: Any, condition: tf.Tensor, message: str, received: Any) -> tf.Tensor:
    """`value`, once `condition` holds; INVALID_ARGUMENT with one line otherwise."""
    check = tf.debugging.Assert(condition, [message + " Received:", received], 8)
    with tf.control_dependencies([check]):
        return tf.identity(value)


def in_range(name: str, value: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """An integer, once it is from `low` to `high`."""
    return checked(
        value,
        (value >= low) & (value <= high),
        f"`{name}` must be an integer from {low} to {high}.",
        value,
    )


def finite_number(name: str, value: tf.Tensor) -> tf.Tensor:
    """A number, once it is finite and not below 0."""
    return checked(
        value,
        tf.math.is_finite(value) & (value >= 0),
        f"`{name}` must be a finite number, 0 or more.",
        value,
    )
