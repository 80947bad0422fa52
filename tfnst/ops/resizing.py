"""Pictures at other sizes, the same in graphs as outside of them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def resize_image(image: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Pictures at another size: Lanczos with radius 3, antialiased when shrunk.

    Args:
        image: [N, H, W, 3] in [0, 1].
        height: int32 scalar, 1 or more.
        width: as `height`.

    Returns:
        [N, height, width, 3], clipped to [0, 1] because Lanczos overshoots at edges;
        `image` itself where it has the size.
    """
    if tf.executing_eagerly():
        if tuple(image.shape[1:3]) == (int(height), int(width)):
            return image
        return resize_rows(image, height, width, 0, height)
    # The same in a graph, so that an exported model gives what Python gives.
    image = tf.convert_to_tensor(image)
    return tf.cond(
        tf.reduce_all(tf.shape(image)[1:3] == tf.stack([height, width])),
        lambda: image,
        lambda: resize_rows(image, height, width, 0, height),
    )


def resize_rows(
    image: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    top: tf.Tensor,
    bottom: tf.Tensor,
) -> tf.Tensor:
    """Some rows of what `resize_image` gives, without the memory for the others.

    Args:
        image: [N, H, W, 3] in [0, 1].
        height: of the whole, int32 scalar, 1 or more.
        width: as `height`.
        top: first row.
        bottom: row behind the last one.

    Returns:
        [N, bottom - top, width, 3].
    """
    sides = tf.cast(tf.stack([height, width]), tf.float32)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=image,
        size=tf.stack([bottom - top, width]),
        scale=sides / tf.cast(tf.shape(image)[1:3], tf.float32),
        translation=tf.stack([-tf.cast(top, tf.float32), 0.0]),
        kernel_type="lanczos3",
        antialias=True,
    )
    return tf.clip_by_value(resized, 0.0, 1.0)


def shrink_image(image: tf.Tensor | np.ndarray, size: int) -> tf.Tensor:
    """Pictures whose long side is at most `size`, for looking at.

    Large ones are first averaged over squares, some rows at a time, since a resized
    picture of any size takes memory for several.

    Args:
        image: [N, H, W, 3] in [0, 1].
        size: 1 or more.

    Returns:
        [N, h, w, 3].
    """
    height, width = image.shape[1:3]
    scale = size / max(height, width)
    if scale >= 1:
        return tf.convert_to_tensor(image)
    factor = int(1 / scale)
    if factor > 1:
        image = np.asarray(image)
        starts = np.arange(0, width, factor)
        counts = np.diff(starts, append=width)[:, np.newaxis]
        rows = [
            np.add.reduceat(image[:, top : top + factor].mean(axis=1), starts, axis=1)
            / counts
            for top in range(0, height, factor)
        ]
        image = np.stack(rows, axis=1).astype(np.float32)
    sides = [max(1, round(side * scale)) for side in (height, width)]
    return resize_image(image, *sides)


def cover_image(image: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The picture enlarged to cover height x width, undistorted, its middle cut out.

    Args:
        image: [N, H, W, 3] in [0, 1].
        height: int32 scalar.
        width: as `height`.

    Returns:
        [N, height, width, 3].
    """
    sides = tf.cast(tf.shape(image)[1:3], tf.float64)
    wanted = tf.stack([height, width])
    ratio = tf.reduce_max(tf.cast(wanted, tf.float64) / sides)
    covering = tf.maximum(tf.cast(tf.floor(sides * ratio + 0.5), tf.int32), wanted)
    enlarged = resize_image(image, covering[0], covering[1])
    top, left = tf.unstack((covering - wanted) // 2)
    return enlarged[:, top : top + height, left : left + width]
