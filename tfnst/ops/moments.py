"""Means and covariances of the channels of pictures or activations."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Moments(NamedTuple):
    """First and second moments of channels over all positions."""

    mean: tf.Tensor  # [N, C]
    covariance: tf.Tensor  # [N, C, C]


def blend_moments(moments: Moments, shares: tf.Tensor) -> Moments:
    """The moments of mixtures, pictures that are composed of several others ::

        mean_k = sum_s p_ks mean_s
        covariance_k = sum_s p_ks (covariance_s + (mean_s - mean_k) (mean_s - mean_k)^T)

    The second term keeps the differences between the pictures: a blend of a blue and
    a yellow one has blue and yellow parts instead of grey ones.

    Args:
        moments: moments of S pictures, [S, C] and [S, C, C].
        shares: share of each picture in each mixture, [K, S], 0 or more; rows sum to 1.

    Returns:
        Moments of [K, C] and [K, C, C].
    """
    mean = tf.matmul(shares, moments.mean)
    apart = moments.mean - mean[:, None]  # [K, S, C]
    between = tf.matmul(apart * shares[:, :, None], apart, transpose_a=True)
    return Moments(mean, tf.tensordot(shares, moments.covariance, axes=1) + between)
