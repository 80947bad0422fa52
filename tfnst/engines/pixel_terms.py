"""The terms of the loss that see pixels alone, in strips of a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.losses.terms import squared_differences

_PIXELS_SPEC = tf.TensorSpec([None, None, None, 3])
_SCALAR_SPEC = tf.TensorSpec([])


def add_pixel_terms(
    gradient: np.ndarray,
    image: np.ndarray,
    temporal: tuple[Any, Any] | None,
    total_variation_weight: tf.Tensor,
    *,
    rows: int,
    wrap: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Total variation loss and temporal loss of pictures, and their gradient.

    Args:
        gradient: array [N, H, W, 3] to which the gradient of the weighted losses is
            added.
        image: [N, H, W, 3] in [0, 1].
        temporal: as `tfnst.losses.objective.Targets.temporal`.
        total_variation_weight: scalar.
        rows: number of rows of a strip.
        wrap: as for `tfnst.losses.total_variation_loss`.

    Returns:
        The losses as in `tfnst.losses.terms`, each [N]; the temporal one is 0 if
        `temporal` is None.
    """
    count, height, width, channels = image.shape
    down_pairs = (height - 1 + wrap) * width * channels
    right_pairs = height * (width - 1 + wrap) * channels
    variation = moved = tf.zeros([count])
    for top in range(0, height, rows):
        here, below = slice(top, top + rows), slice(top, top + rows + 1)
        strip = image[:, below]
        if wrap:
            beyond = image[:, :1] if top + rows >= height else image[:, :0]
            strip = np.concatenate([strip, beyond], axis=1)
            strip = np.concatenate([strip, strip[:, :, :1]], axis=2)
        (down, right), by_pixel = _variation(
            strip,
            min(rows, height - top),
            width,
            total_variation_weight / down_pairs,
            total_variation_weight / right_pairs,
        )
        variation += down / down_pairs + right / right_pairs
        _add_strip(gradient, by_pixel.numpy(), top)
        if temporal is not None:
            target, weights = (np.asarray(each)[:, here] for each in temporal)
            by_pixel = weights * (image[:, here] - target)
            each = by_pixel * (image[:, here] - target)
            moved += each.sum(axis=(1, 2, 3), dtype=np.float64) / image[0].size
            gradient[:, here] += 2 / image[0].size * by_pixel
    return variation, moved


def _add_strip(gradient: np.ndarray, strip: np.ndarray, top: int) -> None:
    """Adds the gradient of a strip; pixels beyond an edge lie at the opposite one."""
    width = gradient.shape[2]
    strip[:, :, 0] += strip[:, :, width:].sum(axis=2)
    strip = strip[:, :, :width]
    below = gradient[:, top : top + strip.shape[1]]
    below += strip[:, : below.shape[1]]
    gradient[:, 0] += strip[:, below.shape[1] :].sum(axis=1)


@tf.function(
    autograph=False,
    input_signature=[
        _PIXELS_SPEC,
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([], tf.int32),
        _SCALAR_SPEC,
        _SCALAR_SPEC,
    ],
)
def _variation(
    strip: tf.Tensor,
    rows: tf.Tensor,
    columns: tf.Tensor,
    down_weight: tf.Tensor,
    right_weight: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Sums of squared differences of a strip's pixels to those below and right.

    Args:
        strip: the strip with the row below it and the column to its right, if there
            are any, [N, rows or rows + 1, columns or columns + 1, 3].
        rows: number of its rows.
        columns: number of its columns.
        down_weight: weight of the first sum.
        right_weight: weight of the second sum.

    Returns:
        (both sums, [N] each, and the gradient of their weighted sum).
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(strip)
        down, _ = squared_differences(strip[:, :, :columns])
        _, right = squared_differences(strip[:, :rows])
        total = down_weight * down + right_weight * right
    return (down, right), tape.gradient(total, strip)
