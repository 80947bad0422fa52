"""Soft masks: where in the picture a style goes, and where in its picture it is taken.

A mask is a grey picture: 1 (white) counts fully, 0 (black) not at all. Activations are
summed with a mask's values as weights, area-averaged to the layer's grid, and divided
by their sum, so that a small region has the statistics of a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst import images

# Of a mask's values the least that must be left on average.
_MIN_SHARE = 1e-4


def load_mask(source: Any, *, name: str) -> np.ndarray:
    """A mask from a grey picture; of a coloured one the mean of its channels.

    Args:
        source: as for `tfnst.load_image`; one picture.
        name: what errors call it.

    Returns:
        float32 [1, h, w, 1] in [0, 1].

    Raises:
        ValueError: also for a mask that is black.
        OSError: when the file can't be read.
    """
    picture = images.load_image(source, name=name)
    if len(picture) != 1:
        raise ValueError(
            f"`{name}` must be one picture. Received: a batch of {len(picture)}"
        )
    mask = picture.mean(axis=-1, keepdims=True)
    if mask.mean() < _MIN_SHARE:
        raise ValueError(
            f"`{name}` must have something white, which says where. "
            "Received: a black picture"
        )
    return mask


def resize_mask(mask: tf.Tensor, height: int, width: int) -> np.ndarray:
    """Masks [K, h, w, 1] stretched to a size: area averages where they shrink.

    Returns:
        float32 [K, height, width, 1] in [0, 1].
    """
    sides = mask.shape[1:3]
    # An area is averaged only in as far as it shrinks; what grows is interpolated.
    shrunk = [min(sides[0], height), min(sides[1], width)]
    mask = tf.image.resize(mask, shrunk, method="area")
    return tf.image.resize(mask, [height, width], method="bilinear").numpy()


def share_picture(
    regions: Sequence[np.ndarray | None], height: int, width: int
) -> tuple[list[list[int]], np.ndarray, np.ndarray | None]:
    """Who gets which part of a picture.

    Styles with the same region share it. Those without one share what the others
    leave; where all have one and leave something, it is kept as it is. Where regions
    overlap they are divided by their sum.

    Args:
        regions: one a style, from `load_mask`, or None.
        height: of the picture.
        width: as `height`.

    Returns:
        (styles by region, by their index; masks of the regions, float32 [regions,
        height, width, 1]; mask of what is kept, [1, height, width, 1] or None). There
        is no region without any area.
    """
    groups, masks, rest = [], [], []
    for index, region in enumerate(regions):
        if region is None:
            rest.append(index)
            continue
        for group, mask in zip(groups, masks, strict=True):
            if np.array_equal(mask, region):
                group.append(index)
                break
        else:
            groups.append([index])
            masks.append(region)
    stretched = [resize_mask(mask, height, width) for mask in masks]
    stretched = np.concatenate(stretched)
    stretched /= np.maximum(stretched.sum(axis=0), 1.0)
    left = np.clip(1 - stretched.sum(axis=0, keepdims=True), 0.0, 1.0)
    if left.mean() < _MIN_SHARE:
        left = None
    elif rest:
        groups.append(rest)
        stretched, left = np.concatenate([stretched, left]), None
    return groups, stretched, left


def layer_weights(masks: tf.Tensor, stride: int) -> tf.Tensor:
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
