"""The styles of a request: checked, decoded and measured in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfnst.engines.whole import WholeEngine
from tfnst.export import decoding
from tfnst.export.checks import checked, one_for_each
from tfnst.images.reading import MASK_EXPECTATION
from tfnst.limits import (
    MAX_SCALE,
    MAX_STYLE_WEIGHT,
    MAX_STYLES,
    MIN_SCALE,
    MIN_SHARE,
    MIN_STYLE_WEIGHT,
)
from tfnst.losses.statistics import blend_targets
from tfnst.ops import color_transfer, pyramid, resizing
from tfnst.ops.masks import Division, divide_picture, resize_mask
from tfnst.ops.moments import Moments, blend_moments


class StyleInputs(NamedTuple):
    """The inputs of a request about its styles, named as in `blend`.

    Before they are checked, the last four may have one value for all styles.
    """

    style_bytes: tf.Tensor  # image files, string [S]
    style_weights: tf.Tensor  # float32 [S]
    style_scales: tf.Tensor  # float32 [S]
    mask_bytes: tf.Tensor  # image files, string [S]; an empty string for no mask
    region_bytes: tf.Tensor  # image files, string [S]; an empty string for no region


def check_styles(inputs: StyleInputs, *, size: tf.Tensor, max_size: int) -> StyleInputs:
    """The inputs, checked, with one value for each style.

    Args:
        inputs: the inputs of the request.
        size: size of the run, int32 scalar.
        max_size: longest side of a style picture, in pixels.
    """
    count = tf.size(inputs.style_bytes)
    style_bytes = checked(
        tf.ensure_shape(inputs.style_bytes, [None]),
        (count >= 1) & (count <= MAX_STYLES),
        f"`style_bytes` must be from 1 to {MAX_STYLES} image files.",
        count,
    )
    weights, scales, masks, regions = (
        one_for_each(name, values, count, "style_bytes")
        for name, values in inputs._asdict().items()
        if name != "style_bytes"
    )
    weights = checked(
        weights,
        tf.reduce_all((weights >= MIN_STYLE_WEIGHT) & (weights <= MAX_STYLE_WEIGHT)),
        f"`style_weights` must be numbers from {MIN_STYLE_WEIGHT:g} to "
        f"{MAX_STYLE_WEIGHT:g}.",
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
    return StyleInputs(style_bytes, weights, scales, masks, regions)


class PlainStyle(NamedTuple):
    """One style for all pictures of a request, or one for each of them.

    It has the methods of `BlendedStyles`; there are no shares.
    """

    pictures: tf.Tensor  # [N or 1, h, w, 3] in [0, 1], at the size of the finest scale

    @property
    def first(self) -> tf.Tensor:
        return self.pictures

    def targets(
        self, engine: WholeEngine, sides: tf.Tensor, _: tf.Tensor | None
    ) -> dict[str, Any]:
        return engine.style_targets(self.pictures, sides[0])

    def color_moments(self, _: tf.Tensor | None) -> Moments:
        return color_transfer.color_moments(self.pictures)


class BlendedStyles(NamedTuple):
    """The styles of a request to `blend`, as `tfnst.transfer.styles.Style` has them."""

    pictures: tf.TensorArray  # [1, h, w, 3] each, at the size of the finest scale
    masks: tf.TensorArray  # [1, h, w, 1] each, white for no mask
    masked: tf.Tensor  # whether there is a mask, bool [S]
    sides: tf.Tensor  # height and width in the files, int32 [S, 2]
    seconds: tf.Tensor  # time of decoding, float32 scalar

    @property
    def first(self) -> tf.Tensor:
        """The picture to start from for `init_image="style"`."""
        return self.pictures.read(0)

    def targets(
        self, engine: WholeEngine, sides: tf.Tensor, shares: tf.Tensor | None
    ) -> dict[str, Any]:
        """`Targets.style` of each region.

        Args:
            engine: engine of the run.
            sides: height and width of the styles at this scale, int32 [S, 2].
            shares: share of each style in each region, from
                `tfnst.ops.masks.divide_picture`.
        """

        def one(index: tf.Tensor) -> dict[str, Any]:
            picture, mask = self.pictures.read(index), self.masks.read(index)
            targets = tf.cond(
                self.masked[index],
                lambda: engine.style_targets(
                    picture, sides[index], resize_mask(mask, *tf.unstack(sides[index]))
                ),
                # Equal to the bit to those of a style without a mask.
                lambda: engine.style_targets(picture, sides[index]),
            )
            return tf.nest.map_structure(lambda tensor: tensor[0], targets)

        spec = tf.nest.map_structure(
            lambda spec: tf.TensorSpec(spec.shape[1:]), engine.style_spec
        )
        return blend_targets(
            engine.objective.style_losses, self._of_each(one, spec), shares
        )

    def color_moments(self, shares: tf.Tensor | None) -> Moments:
        """Moments of the colours of each region's styles.

        Args:
            shares: as for `targets`.
        """

        def one(index: tf.Tensor) -> Moments:
            moments = color_transfer.color_moments(
                self.pictures.read(index), self.masks.read(index)
            )
            return Moments(moments.mean[0], moments.covariance[0])

        spec = Moments(
            tf.TensorSpec([3], tf.float64), tf.TensorSpec([3, 3], tf.float64)
        )
        return blend_moments(self._of_each(one, spec), tf.cast(shares, tf.float64))

    def _of_each(self, function: Callable[[tf.Tensor], Any], spec: Any) -> Any:
        """The results of a function of an index, for all styles, [S, ...]."""
        return tf.map_fn(
            function,
            tf.range(tf.shape(self.sides)[0]),
            fn_output_signature=spec,
            parallel_iterations=1,
        )


def decode_styles(
    styles: StyleInputs,
    *,
    size: tf.Tensor,
    max_pixels: int,
    recolor: Callable[[tf.Tensor], tf.Tensor],
) -> BlendedStyles:
    """Decodes styles and their masks, at the sizes of the finest scale.

    Args:
        styles: inputs from `check_styles`, with the setting `style_scale` multiplied
            into `style_scales`.
        size: size of the run, int32 scalar.
        max_pixels: most pixels in a file.
        recolor: function that gives a style picture the colours of the run.
    """
    count = tf.size(styles.style_bytes)

    def body(
        index: tf.Tensor,
        pictures: tf.TensorArray,
        masks: tf.TensorArray,
        sides: tf.TensorArray,
        seconds: tf.Tensor,
    ) -> tuple[Any, ...]:
        picture, picture_seconds = decoding.decode_timed(
            styles.style_bytes[index], name="style_bytes", max_pixels=max_pixels
        )
        here = tf.shape(picture)[1:3]
        finest = tf.unstack(
            pyramid.finest_sides(here, size, styles.style_scales[index]), num=2
        )
        mask, mask_seconds = tf.cond(
            styles.mask_bytes[index] == "",
            lambda: (tf.ones([1, 1, 1, 1]), tf.constant(0.0)),
            lambda: _decode_mask("mask_bytes", styles.mask_bytes[index], max_pixels),
        )
        return (
            index + 1,
            pictures.write(index, recolor(resizing.resize_image(picture, *finest))),
            masks.write(index, resize_mask(mask, *finest)),
            sides.write(index, here),
            seconds + picture_seconds + mask_seconds,
        )

    _, pictures, masks, sides, seconds = tf.while_loop(
        lambda index, *_: index < count,
        body,
        (
            tf.constant(0),
            *(_picture_array(count, channels) for channels in (3, 1)),
            tf.TensorArray(tf.int32, count, element_shape=[2]),
            tf.constant(0.0),
        ),
        parallel_iterations=1,
    )
    return BlendedStyles(
        pictures, masks, styles.mask_bytes != "", sides.stack(), seconds
    )


def decode_regions(
    styles: StyleInputs, height: tf.Tensor, width: tf.Tensor, *, max_pixels: int
) -> tuple[Division, tf.Tensor]:
    """Divides a picture among styles; those with the same file share a region.

    Args:
        styles: inputs from `check_styles`.
        height: height of the picture at its finest scale, int32 scalar.
        width: width of the picture at its finest scale, int32 scalar.
        max_pixels: most pixels in a file.

    Returns:
        (division, seconds of decoding, float32 scalar).
    """
    regions = styles.region_bytes
    files, _ = tf.unique(tf.boolean_mask(regions, regions != ""))
    count = tf.size(files)
    # A style belongs to the first row that is true; the last row is for those
    # without a region.
    same = tf.concat(
        [files[:, None] == regions, tf.ones_like(regions[None], tf.bool)], 0
    )
    groups = tf.argmax(tf.cast(same, tf.int32), axis=0, output_type=tf.int32)

    def body(
        index: tf.Tensor, masks: tf.Tensor, seconds: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        mask, more = _decode_mask("region_bytes", files[index], max_pixels)
        masks = tf.concat([masks, resize_mask(mask, height, width)], axis=0)
        return index + 1, masks, seconds + more

    _, masks, seconds = tf.while_loop(
        lambda index, *_: index < count,
        body,
        (tf.constant(0), tf.zeros(tf.stack([0, height, width, 1])), tf.constant(0.0)),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None, None, 1]),
            tf.TensorShape([]),
        ),
        parallel_iterations=1,
    )
    return divide_picture(masks, groups, styles.style_weights), seconds


def _decode_mask(
    name: str, encoded: tf.Tensor, max_pixels: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean of a file's channels, [1, H, W, 1] in [0, 1], and its decoding time."""
    picture, seconds = decoding.decode_timed(encoded, name=name, max_pixels=max_pixels)
    mask = tf.reduce_mean(picture, axis=-1, keepdims=True)
    share = tf.reduce_mean(mask)
    mask = checked(
        mask,
        share >= MIN_SHARE,
        f"`{name}` must have {MASK_EXPECTATION}.",
        share,
    )
    return mask, seconds


def _picture_array(count: tf.Tensor, channels: int) -> tf.TensorArray:
    """An array of pictures, each with sides of its own."""
    return tf.TensorArray(
        tf.float32,
        count,
        element_shape=[1, None, None, channels],
        infer_shape=False,
        clear_after_read=False,
    )
