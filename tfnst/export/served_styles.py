"""The styles of a request that may have several: decoded and checked in a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfnst import limits
from tfnst.engines.whole import WholeEngine
from tfnst.export import decoding
from tfnst.export.checks import checked
from tfnst.images.reading import MASK_EXPECTATION
from tfnst.limits import MAX_SCALE, MAX_STYLES, MIN_SCALE, MIN_SHARE
from tfnst.losses.statistics import blend_targets
from tfnst.ops import pyramid, resizing
from tfnst.ops.masks import Division, divide_picture, resize_mask


def spread(
    style_bytes: tf.Tensor,
    style_weights: tf.Tensor,
    style_scales: tf.Tensor,
    mask_bytes: tf.Tensor,
    region_bytes: tf.Tensor,
    *,
    size: tf.Tensor,
    max_size: int,
) -> tuple[tf.Tensor, ...]:
    """The inputs, checked, with one value for each style: one alone goes for all."""
    count = tf.size(style_bytes)
    style_bytes = checked(
        tf.ensure_shape(style_bytes, [None]),
        (count >= 1) & (count <= MAX_STYLES),
        f"`style_bytes` must be from 1 to {MAX_STYLES} image files.",
        count,
    )
    each = []
    for name, values in (
        ("style_weights", style_weights),
        ("style_scales", style_scales),
        ("mask_bytes", mask_bytes),
        ("region_bytes", region_bytes),
    ):
        values = checked(
            tf.ensure_shape(values, [None]),
            (tf.size(values) == 1) | (tf.size(values) == count),
            f"`{name}` must be 1 value or as many as `style_bytes`.",
            tf.stack([tf.size(values), count]),
        )
        each.append(tf.broadcast_to(values, [count]))
    weights, scales, masks, regions = each
    weights = checked(
        weights,
        tf.reduce_all(tf.math.is_finite(weights) & (weights > 0)),
        "`style_weights` must be finite numbers above 0.",
        weights,
    )
    scales = checked(
        scales,
        tf.reduce_all((scales >= MIN_SCALE) & (scales <= MAX_SCALE)),
        f"`style_scales` must be numbers from {MIN_SCALE:g} to {MAX_SCALE:g}.",
        scales,
    )
    scales = checked(
        scales,
        tf.reduce_max(scales) * tf.cast(size, tf.float32) <= max_size,
        f"`style_scales` times `size` must be at most {max_size}.",
        tf.concat([scales, [tf.cast(size, tf.float32)]], axis=0),
    )
    return style_bytes, weights, scales, masks, regions


class DecodedStyles(NamedTuple):
    """The styles of a request, as `tfnst.transfer.styles.Style` holds them."""

    pictures: tf.TensorArray  # [1, h, w, 3] each, at the size of the finest scale
    masks: tf.TensorArray  # [1, h, w, 1] each
    masked: tf.Tensor  # whether there is a mask, bool [S]
    sides: tf.Tensor  # those that the files have, int32 [S, 2]

    def targets(
        self, painter: WholeEngine, sides: tf.Tensor, shares: tf.Tensor
    ) -> dict[str, Any]:
        """`Targets.style` of each region.

        Args:
            painter: an engine.
            sides: of the pictures at this scale, int32 [S, 2].
            shares: from `tfnst.ops.masks.divide_picture`.
        """

        def one(index):
            picture, mask = self.pictures.read(index), self.masks.read(index)
            targets = tf.cond(
                self.masked[index],
                lambda: painter.style_targets(
                    picture, sides[index], resize_mask(mask, *tf.unstack(sides[index]))
                ),
                # The same numbers as without masks, to the last bit.
                lambda: painter.style_targets(picture, sides[index]),
            )
            return tf.nest.map_structure(lambda tensor: tensor[0], targets)

        each = tf.map_fn(
            one,
            tf.range(tf.shape(sides)[0]),
            fn_output_signature=tf.nest.map_structure(
                lambda spec: tf.TensorSpec(spec.shape[1:]),
                painter.objective.style_spec(),
            ),
            parallel_iterations=1,
        )
        return blend_targets(painter.objective.statistic, each, shares)


def decode_styles(
    style_bytes: tf.Tensor,
    mask_bytes: tf.Tensor,
    *,
    size: tf.Tensor,
    scales: tf.Tensor,
    max_pixels: int,
    recolor: Callable[[tf.Tensor], tf.Tensor],
) -> DecodedStyles:
    """Style pictures and their masks, at the sizes of the finest scale.

    Args:
        style_bytes: image files, string [S].
        mask_bytes: image files, string [S]; empty ones for none.
        size: of the run, int32 scalar.
        scales: of each picture, float32 [S].
        max_pixels: most that a file may have.
        recolor: gives a picture the colours that it is to have.
    """
    count = tf.size(style_bytes)

    def body(index, pictures, masks, sides):
        picture = decoding.decode_picture(
            style_bytes[index],
            name="style_bytes",
            min_side=limits.MIN_SIDE,
            max_pixels=max_pixels,
        )
        here = tf.shape(picture)[1:3]
        finest = tf.unstack(pyramid.finest_sides(here, size, scales[index]), num=2)
        mask = tf.cond(
            mask_bytes[index] == "",
            lambda: tf.ones([1, 1, 1, 1]),
            lambda: _decode_mask("mask_bytes", mask_bytes[index], max_pixels),
        )
        return (
            index + 1,
            pictures.write(index, recolor(resizing.resize_image(picture, *finest))),
            masks.write(index, resize_mask(mask, *finest)),
            sides.write(index, here),
        )

    _, pictures, masks, sides = tf.while_loop(
        lambda index, *_: index < count,
        body,
        (
            tf.constant(0),
            *(_pictures(count, channels) for channels in (3, 1)),
            tf.TensorArray(tf.int32, count, element_shape=[2]),
        ),
        parallel_iterations=1,
    )
    return DecodedStyles(pictures, masks, mask_bytes != "", sides.stack())


def decode_regions(
    region_bytes: tf.Tensor,
    weights: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    *,
    max_pixels: int,
) -> Division:
    """Which styles go where in a picture; those with the same file share a region.

    Args:
        region_bytes: image files, string [S]; empty ones for what the others leave.
        weights: of the styles, float32 [S].
        height: of the picture at its finest scale.
        width: as `height`.
        max_pixels: most that a file may have.
    """
    files, _ = tf.unique(tf.boolean_mask(region_bytes, region_bytes != ""))
    count = tf.size(files)
    # The last row is for those without a file: the first one that holds is taken.
    same = tf.concat(
        [files[:, None] == region_bytes, tf.ones_like(region_bytes[None], tf.bool)], 0
    )
    groups = tf.argmax(tf.cast(same, tf.int32), axis=0, output_type=tf.int32)

    def body(index, masks):
        mask = _decode_mask("region_bytes", files[index], max_pixels)
        return index + 1, tf.concat([masks, resize_mask(mask, height, width)], axis=0)

    _, masks = tf.while_loop(
        lambda index, _: index < count,
        body,
        (tf.constant(0), tf.zeros(tf.stack([0, height, width, 1]))),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, None, 1])),
        parallel_iterations=1,
    )
    return divide_picture(masks, groups, weights)


def _decode_mask(name, encoded, max_pixels):
    picture = decoding.decode_picture(
        encoded, name=name, min_side=limits.MIN_SIDE, max_pixels=max_pixels
    )
    mask = tf.reduce_mean(picture, axis=-1, keepdims=True)
    share = tf.reduce_mean(mask)
    return checked(
        mask,
        share >= MIN_SHARE,
        f"`{name}` must have {MASK_EXPECTATION}.",
        share,
    )


def _pictures(count, channels):
    return tf.TensorArray(
        tf.float32,
        count,
        element_shape=[1, None, None, channels],
        infer_shape=False,
        clear_after_read=False,
    )
