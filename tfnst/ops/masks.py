"""Soft masks: where in the picture a style goes, and where in its picture it is taken.

A mask is a grey picture: 1 (white) counts fully, 0 (black) not at all. Activations are
summed with a mask's values as weights, area-averaged to the layer's grid, and divided
by their sum, so that a small region has the statistics of a large one.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfnst.limits import MIN_SHARE


def resize_mask(mask: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Masks [K, h, w, 1] stretched to a size: area averages where they shrink.

    Args:
        mask: float32 in [0, 1].
        height: int32 scalar.
        width: as `height`.

    Returns:
        float32 [K, height, width, 1] in [0, 1].
    """
    # An area is averaged only in as far as it shrinks; what grows is interpolated.
    shrunk = tf.minimum(tf.shape(mask)[1:3], tf.stack([height, width]))
    mask = tf.image.resize(mask, shrunk, method="area")
    return tf.image.resize(mask, tf.stack([height, width]), method="bilinear")


class Division(NamedTuple):
    """Who gets which part of a picture; see `divide_picture`."""

    shares: tf.Tensor  # of each style in each region, [K, S]; rows sum to 1
    masks: tf.Tensor  # [K, H, W, 1]
    kept: tf.Tensor  # mask of what stays as it is, [1, H, W, 1]


def divide_picture(masks: tf.Tensor, groups: tf.Tensor, weights: tf.Tensor) -> Division:
    """Divides a picture between styles.

    Styles with the same region share it by their weights. Those without one share what
    the others leave; where all have one and leave something, it is kept as it is. Where
    regions overlap they are divided by their sum. What is left to share is a region
    only where it has some area.

    Args:
        masks: of R regions, float32 [R, H, W, 1] in [0, 1], each with some area.
        groups: the region of each style, int32 [S]; R for none.
        weights: of the styles, float32 [S], above 0.
    """
    count = tf.shape(masks)[0]
    total = tf.reduce_sum(masks, axis=0, keepdims=True)
    masks = masks / tf.maximum(total, 1.0)
    left = tf.clip_by_value(1 - total, 0.0, 1.0)
    left *= tf.cast(tf.reduce_mean(left) >= MIN_SHARE, left.dtype)
    shared = tf.reduce_any(groups == count) & tf.reduce_any(left > 0)
    # One region more for those without one, where there is something left for them.
    masks = tf.concat([masks, left], axis=0)[: count + tf.cast(shared, tf.int32)]
    members = tf.range(tf.shape(masks)[0])[:, tf.newaxis] == groups
    shares = tf.cast(members, weights.dtype) * weights
    return Division(
        shares / tf.reduce_sum(shares, axis=1, keepdims=True),
        masks,
        tf.where(shared, tf.zeros_like(left), left),
    )


def masks_at_stride(masks: tf.Tensor, stride: int) -> tf.Tensor:
    """Masks [K, H, W, 1] on the grid of a layer: means over squares of `stride`."""
    if stride == 1:
        return masks
    return tf.nn.avg_pool2d(masks, stride, stride, "VALID")


def weigh_regions(style_losses: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
    """The style loss of a picture whose regions have styles of their own.

    `sum_k a_k L_k`, where `a_k` is the share of the picture that region k covers. A
    pixel changes the statistics of a small region more, by `1 / a_k`; so each pixel
    of a region gets the balance of style and content that it has in a picture which
    is all in that style.

    Args:
        style_losses: of each region, [K].
        masks: [K, H, W, 1].

    Returns:
        [1].
    """
    return tf.reduce_sum(style_losses * region_shares(masks), keepdims=True)


def region_shares(masks: tf.Tensor) -> tf.Tensor:
    """The share of the picture that each region covers, [K]."""
    return tf.reduce_mean(masks, axis=[1, 2, 3])
