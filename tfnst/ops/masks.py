"""Soft masks of the regions of a picture and of the used parts of styles.

A mask is a grey picture: 1 (white) counts fully, 0 (black) not at all. It is averaged
over areas to a layer's grid and weights the sums over that layer's activations, which
are divided by the sum of the weights: statistics don't depend on a region's size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.limits import MIN_SHARE
from tfnst.ops.resizing import Integer, Picture


def resize_mask(mask: Picture, height: Integer, width: Integer) -> tf.Tensor:
    """Stretches masks to a size: averaged over areas where they shrink, else bilinear.

    Args:
        mask: float32 [K, h, w, 1] in [0, 1].
        height: int32 scalar, 1 or more.
        width: int32 scalar, 1 or more.

    Returns:
        float32 [K, height, width, 1] in [0, 1].
    """
    # Sides that shrink are averaged first; then sides that grow are interpolated.
    shrunk = tf.minimum(tf.shape(mask)[1:3], tf.stack([height, width]))
    mask = tf.image.resize(mask, shrunk, method="area")
    return tf.image.resize(mask, tf.stack([height, width]), method="bilinear")


class Division(NamedTuple):
    """A picture divided among styles, from `divide_picture`.

    Attributes:
        shares: share of each style in each of K regions, float32 [K, S]; rows sum to 1.
        masks: masks of the regions, float32 [K, H, W, 1] in [0, 1].
        kept: mask of the part that isn't painted, float32 [1, H, W, 1] in [0, 1].
    """

    shares: tf.Tensor
    masks: tf.Tensor
    kept: tf.Tensor


def divide_picture(
    masks: Picture, groups: tf.Tensor | np.ndarray, weights: tf.Tensor | np.ndarray
) -> Division:
    """Divides a picture among styles.

    Styles with the same region share it in proportion to their weights. Styles without
    a region share the rest, if it has any area; if every style has a region, the rest
    isn't painted. Where the masks of regions add up to more than 1, they are divided by
    their sum.

    Args:
        masks: masks of R regions, float32 [R, H, W, 1] in [0, 1], each with some area.
        groups: index of each style's region, int32 [S]; R for no region.
        weights: weights of the styles, float32 [S], above 0.

    Returns:
        Division with K regions: the R given ones and, if there is a rest to share, one
        more.
    """
    count = tf.shape(masks)[0]
    total = tf.reduce_sum(masks, axis=0, keepdims=True)
    masks = masks / tf.maximum(total, 1.0)
    left = tf.clip_by_value(1 - total, 0.0, 1.0)
    left *= tf.cast(tf.reduce_mean(left) >= MIN_SHARE, left.dtype)
    shared = tf.reduce_any(groups == count) & tf.reduce_any(left > 0)
    # The rest is one more region if it has any area and a style that has no region.
    masks = tf.concat([masks, left], axis=0)[: count + tf.cast(shared, tf.int32)]
    members = tf.range(tf.shape(masks)[0])[:, tf.newaxis] == groups
    shares = tf.cast(members, weights.dtype) * weights
    return Division(
        shares / tf.reduce_sum(shares, axis=1, keepdims=True),
        masks,
        tf.where(shared, tf.zeros_like(left), left),
    )


def masks_at_stride(masks: tf.Tensor, stride: int) -> tf.Tensor:
    """Masks [K, H, W, 1] on a layer's grid: means over squares of side `stride`."""
    if stride == 1:
        return masks
    return tf.nn.avg_pool2d(masks, stride, stride, "VALID")


def weigh_regions(style_losses: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
    """The style loss of a picture with a style for each region.

    `sum_k a_k L_k`, where `a_k` is the share of the picture that region k covers. One
    pixel changes a small region's statistics more, by a factor of `1 / a_k`; the weight
    `a_k` cancels this, so that style and content are balanced at each pixel as if the
    whole picture had its style.

    Args:
        style_losses: style loss of each region, [K].
        masks: masks of the regions, [K, H, W, 1] in [0, 1].

    Returns:
        [1].
    """
    return tf.reduce_sum(style_losses * region_shares(masks), keepdims=True)


def region_shares(masks: tf.Tensor) -> tf.Tensor:
    """Share of the picture covered by each of the regions [K, H, W, 1]: [K]."""
    return tf.reduce_mean(masks, axis=[1, 2, 3])
