"""Adam as pure functions of tensors: the state goes in and comes out.

The first axis counts N independent problems, as in `tfnst.optimizers.lbfgs`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from tfnst.optimizers.arguments import (
    check_bounds,
    check_like,
    check_params,
    check_rate,
)
from tfnst.optimizers.base import Optimizer


class AdamState(NamedTuple):
    """State of Adam: `step` is a scalar int32, the moments are like `params`."""

    step: tf.Tensor
    first_moment: tf.Tensor
    second_moment: tf.Tensor


def adam_init(params: tf.Tensor) -> AdamState:
    """The state of Adam before its first step: all zeros.

    Args:
        params: start of the search, [N, ...], floating.

    Raises:
        ValueError: if `params` is not floating or has fewer than two axes.
    """
    params = check_params(params)
    zeros = tf.zeros_like(params)
    return AdamState(tf.zeros([], tf.int32), zeros, zeros)


def adam_update(
    params: tf.Tensor,
    gradients: tf.Tensor,
    state: AdamState,
    *,
    learning_rate: float | tf.Tensor,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    epsilon: float = 1e-8,
    lower: float | None = None,
    upper: float | None = None,
) -> tuple[tf.Tensor, AdamState]:
    """One step of Adam, with both biases corrected::

        m <- beta_1 m + (1 - beta_1) g
        v <- beta_2 v + (1 - beta_2) g^2
        x <- x - learning_rate * m / (1 - beta_1^t)
                 / (sqrt(v / (1 - beta_2^t)) + epsilon)

    It works element by element, so the N problems are independent.

    Args:
        params: the point, [N, ...], floating.
        gradients: gradients at `params`, same shape and dtype.
        state: from `adam_init` or from the last update.
        learning_rate: above 0; a number or a scalar tensor.
        beta_1: decay of the first moment, 0 <= beta_1 < 1.
        beta_2: decay of the second moment, 0 <= beta_2 < 1. The default forgets
            faster than the paper's 0.999, for runs of some hundred steps.
        epsilon: added to the root of the second moment, 0 or more.
        lower: smallest value of `params`, or None. New points are clipped.
        upper: largest value of `params`, or None.

    Returns:
        The next point and the next state.

    Raises:
        ValueError: if an argument is out of its range or shapes differ.

    Reference:
        Kingma & Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980.
    """
    params = check_params(params)
    gradients = check_like("gradients", gradients, params.shape, params.dtype)
    rate = check_rate(learning_rate, params.dtype)
    for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
        if not 0 <= beta < 1:
            raise ValueError(
                f"`{name}` must be a number from 0 to below 1. Received: {beta!r}"
            )
    if not 0 <= epsilon < math.inf:
        raise ValueError(
            f"`epsilon` must be a finite number, 0 or more. Received: {epsilon!r}"
        )
    bounds = check_bounds(lower, upper, params.dtype)

    step = state.step + 1
    m = beta_1 * state.first_moment + (1 - beta_1) * gradients
    v = beta_2 * state.second_moment + (1 - beta_2) * tf.square(gradients)
    m_hat = m / bias_correction(beta_1, step, params.dtype)
    v_hat = v / bias_correction(beta_2, step, params.dtype)
    params = params - rate * m_hat / (tf.sqrt(v_hat) + epsilon)
    return tf.clip_by_value(params, *bounds), AdamState(step, m, v)


def bias_correction(beta: float, step: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """`1 - beta^step`, without the cancellation that float32 has in early steps.

    Args:
        beta: decay of a moving average, 0 <= beta < 1.
        step: number of steps, 1 or more.
        dtype: dtype of the result.
    """
    steps = tf.cast(step, dtype)
    return -tf.math.expm1(steps * math.log(beta)) if beta else tf.ones_like(steps)


class Adam(Optimizer):
    """Adam for pixels, with a rate that falls."""

    elementwise = True

    def init(self, image: tf.Tensor) -> AdamState:
        return adam_init(image)

    def update(
        self,
        image: tf.Tensor,
        loss: tf.Tensor,
        gradients: tf.Tensor,
        state: AdamState,
        *,
        learning_rate: tf.Tensor,
    ) -> tuple[tf.Tensor, AdamState]:
        return adam_update(
            image, gradients, state, learning_rate=learning_rate, lower=0.0, upper=1.0
        )

    def rate(self, learning_rate: tf.Tensor, done: tf.Tensor) -> tf.Tensor:
        # Long steps move whole strokes at first; short ones then let the grain settle
        # that long steps keep stirring up.
        return learning_rate * (1 - 0.9 * tf.minimum(done, 1.0))
