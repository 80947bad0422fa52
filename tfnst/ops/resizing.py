"""Pictures at other sizes, with the same result in a graph as outside one."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfnst.ops.borders import wrap_around

Picture: TypeAlias = tf.Tensor | np.ndarray  # float32 [N, H, W, C]
Integer: TypeAlias = tf.Tensor | np.integer | int  # a scalar


# Radius of the Lanczos kernel, in pixels of the smaller picture.
_RADIUS = 3


def resize_image(
    image: Picture, height: Integer, width: Integer, *, wrap: bool = False
) -> Picture:
    """Resizes pictures by Lanczos with radius 3, antialiased where they shrink.

    Args:
        image: [N, H, W, 3] in [0, 1].
        height: int32 scalar, 1 or more.
        width: int32 scalar, 1 or more.
        wrap: whether the picture is seamless, so that it continues at the opposite
            edge. Otherwise it ends at its edges.

    Returns:
        [N, height, width, 3], clipped to [0, 1] because Lanczos overshoots at edges;
        `image` itself if it already has that size.
    """
    if tf.executing_eagerly():
        if tuple(image.shape[1:3]) == (int(height), int(width)):
            return image
        return resize_rows(image, height, width, 0, height, wrap=wrap)
    # The same in a graph, so that an exported model gives what Python gives.
    image = tf.convert_to_tensor(image)
    return tf.cond(
        tf.reduce_all(tf.shape(image)[1:3] == tf.stack([height, width])),
        lambda: image,
        lambda: resize_rows(image, height, width, 0, height, wrap=wrap),
    )


def resize_rows(
    image: Picture,
    height: Integer,
    width: Integer,
    top: Integer,
    bottom: Integer,
    *,
    wrap: bool = False,
) -> tf.Tensor:
    """Some rows of the result of `resize_image`, without memory for the rest.

    Args:
        image: [N, H, W, 3] in [0, 1].
        height: height of the whole result, int32 scalar, 1 or more.
        width: width of the result, int32 scalar, 1 or more.
        top: first row of the result, int32 scalar.
        bottom: row after the last one of the result, int32 scalar.
        wrap: as for `resize_image`.

    Returns:
        [N, bottom - top, width, 3] in [0, 1].
    """
    sides = tf.cast(tf.stack([height, width]), tf.float32)
    scale = sides / tf.cast(tf.shape(image)[1:3], tf.float32)
    translation = tf.stack([-tf.cast(top, tf.float32), 0.0])
    if wrap:
        reach = tf.cast(tf.math.ceil(_RADIUS * tf.maximum(1.0, 1 / scale)), tf.int32)
        for axis, beyond in zip((1, 2), tf.unstack(reach), strict=True):
            image = wrap_around(image, axis, beyond, beyond)
        translation -= tf.cast(reach, tf.float32) * scale
    resized = tf.raw_ops.ScaleAndTranslate(
        images=image,
        size=tf.stack([bottom - top, width]),
        scale=scale,
        translation=translation,
        kernel_type="lanczos3",
        antialias=True,
    )
    return tf.clip_by_value(resized, 0.0, 1.0)


def shrink_image(image: Picture, size: int) -> tf.Tensor:
    """Previews of pictures, with a long side of at most `size`.

    Resizing a picture takes memory for several of its size, so a large one is first
    averaged over squares, a few rows at a time.

    Args:
        image: [N, H, W, 3] in [0, 1].
        size: longest side in pixels, 1 or more.

    Returns:
        [N, h, w, 3] in [0, 1].
    """
    image = np.asarray(image)
    height, width = image.shape[1:3]
    scale = size / max(height, width)
    if scale >= 1:
        return tf.convert_to_tensor(image)
    factor = int(1 / scale)
    if factor > 1:
        starts = np.arange(0, width, factor)
        counts = np.diff(starts, append=width)[:, np.newaxis]
        rows = [
            np.add.reduceat(image[:, top : top + factor].mean(axis=1), starts, axis=1)
            / counts
            for top in range(0, height, factor)
        ]
        image = np.stack(rows, axis=1).astype(np.float32)
    sides = [max(1, round(side * scale)) for side in (height, width)]
    return tf.convert_to_tensor(resize_image(image, *sides))


def cover_image(image: Picture, height: Integer, width: Integer) -> tf.Tensor:
    """The middle of the picture, scaled without distortion to fill height x width.

    Args:
        image: [N, H, W, 3] in [0, 1].
        height: int32 scalar, 1 or more.
        width: int32 scalar, 1 or more.

    Returns:
        [N, height, width, 3] in [0, 1].
    """
    sides = tf.cast(tf.shape(image)[1:3], tf.float64)
    wanted = tf.stack([height, width])
    ratio = tf.reduce_max(tf.cast(wanted, tf.float64) / sides)
    covering = tf.maximum(tf.cast(tf.floor(sides * ratio + 0.5), tf.int32), wanted)
    enlarged = tf.convert_to_tensor(resize_image(image, covering[0], covering[1]))
    top, left = tf.unstack((covering - wanted) // 2)
    return enlarged[:, top : top + height, left : left + width]
