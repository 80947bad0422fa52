"""The scales of a run, coarse to fine, and what pictures are at each of them."""

from __future__ import annotations

import tensorflow as tf

from tfnst.limits import MIN_SIDE
from tfnst.ops.resizing import cover_image, resize_image


def build_pyramid(
    content_sides: tf.Tensor,
    style_sides: tf.Tensor,
    size: tf.Tensor,
    min_size: tf.Tensor,
    style_scale: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """Sizes of content and styles at each scale, coarse to fine.

    Long sides are `size / sqrt(2)^k`, rounded, for k = 0, 1, ... as long as that is
    `min_size` or more; `size` alone where it is below `min_size`. A run at 256 is so
    the first part of a run at 512. All pictures get the same long side, so that
    strokes of the style keep their size relative to the picture, or a style picture
    one `style_scale` times as long, though none that makes its short side shorter than
    `MIN_SIDE`; short sides follow from their shapes. Scales at which one of the short
    sides is below `MIN_SIDE` are left out.

    Args:
        content_sides: height and width of the content image, int [2].
        style_sides: as `content_sides`, for the style image, or int [S, 2] for S.
        size: long side of the finest scale, int scalar.
        min_size: long side below which no scale starts, int scalar.
        style_scale: long side of the style by that of the content, float scalar, or
            float [S].

    Returns:
        int32 [scales, 1 + S, 2]: for each scale height and width of the content, then
        of the styles; no scales where `size` makes a short side too short.

    Reference:
        The factor is that of github.com/crowsonkb/style-transfer-pytorch. Coarse to
        fine: Gatys et al., "Controlling Perceptual Factors in Neural Style
        Transfer", arXiv 1611.07865, section 5.
    """
    size, min_size = tf.cast(size, tf.float64), tf.cast(min_size, tf.float64)
    two = tf.constant(2.0, tf.float64)
    octaves = tf.math.log(size / min_size) / tf.math.log(two)
    # The small term lets rounding errors not lose a scale that fits exactly.
    coarsest = tf.maximum(_floor(2 * octaves + 1e-6), 0)
    exponents = tf.cast(tf.range(coarsest, -1, -1), tf.float64) / 2
    long_sides = tf.cast(_round(size / tf.pow(two, exponents)), tf.float64)

    sides = tf.concat(
        [tf.reshape(content_sides, [1, 2]), tf.reshape(style_sides, [-1, 2])], axis=0
    )
    sides = tf.cast(sides, tf.float64)
    shapes = sides / tf.reduce_max(sides, axis=1, keepdims=True)
    scales = long_sides[:, None, None] * shapes
    # A small style has strokes as fine as it has room for; a small picture has none.
    least = tf.minimum(MIN_SIDE / tf.reduce_min(scales[:, 1:], -1, keepdims=True), 1.0)
    wanted = tf.reshape(tf.cast(style_scale, tf.float64), [-1, 1])
    scales = _round(
        tf.concat([scales[:, :1], scales[:, 1:] * tf.maximum(wanted, least)], axis=1)
    )
    return tf.boolean_mask(scales, tf.reduce_min(scales, axis=[1, 2]) >= MIN_SIDE)


def scale_steps(
    scales: tf.Tensor, steps: tf.Tensor, initial_steps: tf.Tensor
) -> tf.Tensor:
    """Gradient steps at each scale.

    `initial_steps` at the coarsest one; behind it the number falls in proportion to
    the long side, `initial_steps * coarsest / long_side`, until it is `steps`. The
    numbers of a run at 256 are so the first ones of a
    run at 512, and all coarse scales together cost about as much as the finest one.

    Args:
        scales: from `build_pyramid`.
        steps: int scalar, 1 or more.
        initial_steps: int scalar, 1 or more.

    Returns:
        int32 [scales].
    """
    long_sides = tf.cast(tf.reduce_max(scales[:, 0], axis=1), tf.float64)
    falling = _round(tf.cast(initial_steps, tf.float64) * long_sides[:1] / long_sides)
    # The coarsest scale may get fewer steps than the others where that is asked for.
    behind = tf.maximum(falling[1:], steps)
    return tf.concat([[initial_steps], behind], axis=0)


def finest_sides(
    sides: tf.Tensor, size: tf.Tensor, style_scale: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """Height and width that a picture has at the finest scale, whatever the others are.

    All scales are made from the picture at this size, so that a huge one isn't kept in
    memory and resized again for each of them.

    Args:
        sides: its height and width, int32 [2].
        size: as for `build_pyramid`, and so is `style_scale`.

    Returns:
        int32 [2]; `sides` themselves for a picture too narrow for `size`.
    """
    scales = build_pyramid(sides, sides, size, size, style_scale)
    return tf.concat([[sides], scales[:, 1]], axis=0)[-1]


def first_image(
    init_image: str,
    content_image: tf.Tensor,
    style_image: tf.Tensor,
    scales: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    """The picture that a run starts from, at the size of its first scale.

    Args:
        init_image: `"content"`, `"style"` or `"noise"`.
        content_image: [N, H, W, 3] in [0, 1].
        style_image: [N or 1, h, w, 3] in [0, 1].
        scales: from `build_pyramid`.
        seed: of the noise, int32 scalar.

    Returns:
        [N, height, width, 3].
    """
    height, width = scales[0, 0, 0], scales[0, 0, 1]
    count = tf.shape(content_image)[0]
    if init_image == "content":
        return resize_image(content_image, height, width)
    if init_image == "noise":
        # The same noise for each picture, so that it is painted as if it were alone.
        noise = noise_image([1, height, width, 3], seed)
        return tf.repeat(noise, count, axis=0)
    covered = cover_image(style_image, height, width)
    return tf.repeat(covered, count // tf.shape(covered)[0], axis=0)


def noise_image(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Uniform noise in [0, 1), the same for the same shape and seed.

    Args:
        shape: int32 [4].
        seed: int32 scalar.
    """
    return tf.random.stateless_uniform(tf.stack(shape), seed=tf.stack([seed, 0]))


def _floor(x):
    return tf.cast(tf.floor(x), tf.int32)


def _round(x):
    return _floor(x + 0.5)
