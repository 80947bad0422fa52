"""Checks of what optimisers are given."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf


def check_params(params: Any) -> tf.Tensor:
    params = tf.convert_to_tensor(params)
    if params.dtype not in (tf.float32, tf.float64) or (params.shape.rank or 0) < 2:
        raise ValueError(
            "`params` must be float32 or float64, of the shape [N, ...] with two axes "
            f"or more. Received: {params.dtype.name} of the shape {params.shape}"
        )
    return params


def check_like(
    name: str, value: Any, shape: tf.TensorShape, dtype: tf.DType
) -> tf.Tensor:
    value = tf.convert_to_tensor(value)
    if value.dtype != dtype or not value.shape.is_compatible_with(shape):
        raise ValueError(
            f"`{name}` must be {dtype.name} of the shape {shape}, to fit `params`. "
            f"Received: {value.dtype.name} of the shape {value.shape}"
        )
    return value


def check_rate(rate: Any, dtype: tf.DType) -> tf.Tensor:
    if tf.is_tensor(rate):
        valid = rate.dtype.is_floating and rate.shape.rank in (0, None)
    else:
        valid = 0 < rate < math.inf
    if not valid:
        raise ValueError(
            "`learning_rate` must be a finite number above 0, or a floating scalar "
            f"tensor. Received: {rate!r}"
        )
    # A number that went through `tf.cast` would be rounded to float32 on the way.
    return tf.cast(rate, dtype) if tf.is_tensor(rate) else tf.constant(rate, dtype)


def check_bounds(
    lower: float | None, upper: float | None, dtype: tf.DType
) -> tuple[float, float]:
    """Both bounds as numbers; none is as far away as the dtype's numbers go."""
    low = float(dtype.min if lower is None else lower)
    high = float(dtype.max if upper is None else upper)
    if not low < high:
        raise ValueError(
            f"`lower` must be a number below `upper`. Received: {lower!r} and {upper!r}"
        )
    return low, high
