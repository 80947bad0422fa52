"""The pyramid of a run: its scales from coarse to fine, and the sizes at each.

In a graph the pyramid is two tensors, from `build_pyramid` and `scale_steps`; in Python
`list_scales` turns their values into objects.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfnst.limits import MIN_SIDE
from tfnst.ops.resizing import Integer, Picture, cover_image, resize_image
from tfnst.ops.seamless import make_seamless

Sides: TypeAlias = tf.Tensor | np.ndarray | Sequence[int]  # height and width


@dataclasses.dataclass(frozen=True)
class Scale:
    """One scale of a run.

    Attributes:
        height: height of the picture in pixels.
        width: width of the picture in pixels.
        style_sizes: height and width of each style.
        steps: number of gradient steps at this scale.
    """

    height: int
    width: int
    style_sizes: tuple[tuple[int, int], ...]
    steps: int

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.height, self.width

    @property
    def sizes(self) -> np.ndarray:
        """Height and width of the picture and of each style, int32 [1 + S, 2]."""
        return np.array([self.sides, *self.style_sizes], np.int32)

    @property
    def long_side(self) -> int:
        return max(self.sides)

    @property
    def pixels(self) -> int:
        return self.height * self.width


def list_scales(sizes: np.ndarray, steps: np.ndarray) -> tuple[Scale, ...]:
    """The scales of a run, coarse to fine, with plain integers and S style sizes.

    Args:
        sizes: values of `build_pyramid`, int [scales, 1 + S, 2].
        steps: values of `scale_steps`, int [scales].

    Raises:
        ValueError: if there isn't exactly one number of steps for each scale.
    """
    if len(steps) != len(sizes):
        raise ValueError(
            f"`steps` must have one number for each of {len(sizes)} scales. "
            f"Received: {len(steps)}"
        )
    return tuple(
        Scale(
            height=int(picture[0]),
            width=int(picture[1]),
            style_sizes=tuple((int(height), int(width)) for height, width in styles),
            steps=int(count),
        )
        for (picture, *styles), count in zip(sizes, steps, strict=True)
    )


def build_pyramid(
    content_sides: Sides,
    style_sides: Sides | Sequence[Sequence[int]],
    size: Integer,
    min_size: Integer,
    style_scale: tf.Tensor | float | Sequence[float] = 1.0,
) -> tf.Tensor:
    """Sizes of the content and the styles at each scale, coarse to fine.

    The long sides are `size / sqrt(2)^k`, rounded, for k = 0, 1, ... down to
    `min_size`; if `size` is below `min_size`, it is the only one. A run at 256 pixels
    is therefore the first part of a run at 512.

    Content and styles share a long side, so that strokes keep their size relative to
    the picture; `style_scale` makes a style's longer or shorter, but never so short
    that its short side falls below `MIN_SIDE`. Short sides follow from the aspect
    ratios. Scales at which any short side would be below `MIN_SIDE` are left out.

    Args:
        content_sides: height and width of the content image, int [2].
        style_sides: height and width of the style image, int [2], or of each of S
            style images, int [S, 2].
        size: long side of the finest scale, int scalar.
        min_size: the smallest long side of a coarser scale, int scalar.
        style_scale: a style's long side relative to the content's, float scalar or
            float [S].

    Returns:
        int32 [scales, 1 + S, 2]: at each scale the height and width of the content,
        then of the styles. There are no scales if a short side is below `MIN_SIDE`
        even at `size`.

    Reference:
        The factor is from github.com/crowsonkb/style-transfer-pytorch. Coarse to
        fine: Gatys et al., "Controlling Perceptual Factors in Neural Style
        Transfer", arXiv 1611.07865, section 5.
    """
    size, min_size = tf.cast(size, tf.float64), tf.cast(min_size, tf.float64)
    two = tf.constant(2.0, tf.float64)
    octaves = tf.math.log(size / min_size) / tf.math.log(two)
    # The small term keeps rounding from losing a scale that fits exactly.
    coarsest = tf.maximum(_floor(2 * octaves + 1e-6), 0)
    exponents = tf.cast(tf.range(coarsest, -1, -1), tf.float64) / 2
    long_sides = tf.cast(_round(size / tf.pow(two, exponents)), tf.float64)

    sides = tf.concat(
        [tf.reshape(content_sides, [1, 2]), tf.reshape(style_sides, [-1, 2])], axis=0
    )
    sides = tf.cast(sides, tf.float64)
    shapes = sides / tf.reduce_max(sides, axis=1, keepdims=True)
    sizes = long_sides[:, None, None] * shapes
    # `style_scale` may not shrink a style below `MIN_SIDE`, but a style that is too
    # narrow without it isn't enlarged.
    least = tf.minimum(MIN_SIDE / tf.reduce_min(sizes[:, 1:], -1, keepdims=True), 1.0)
    wanted = tf.reshape(tf.cast(style_scale, tf.float64), [-1, 1])
    sizes = _round(
        tf.concat([sizes[:, :1], sizes[:, 1:] * tf.maximum(wanted, least)], axis=1)
    )
    return tf.boolean_mask(sizes, tf.reduce_min(sizes, axis=[1, 2]) >= MIN_SIDE)


def scale_steps(
    sizes: tf.Tensor | np.ndarray, steps: Integer, initial_steps: Integer
) -> tf.Tensor:
    """The number of gradient steps at each scale.

    The coarsest scale gets `initial_steps`, the others `steps` or, if that is more,
    `initial_steps * coarsest / long_side`, rounded. A run at 256 pixels therefore
    takes the same steps as the first part of a run at 512, and all coarser scales
    together cost about as much as the finest one.

    Args:
        sizes: sizes from `build_pyramid`, with at least one scale.
        steps: int scalar, 1 or more.
        initial_steps: int scalar, 1 or more.

    Returns:
        int32 [scales].
    """
    long_sides = tf.cast(tf.reduce_max(sizes[:, 0], axis=1), tf.float64)
    falling = _round(tf.cast(initial_steps, tf.float64) * long_sides[:1] / long_sides)
    # The coarsest scale isn't raised to `steps`: it may be given fewer than the others.
    finer = tf.maximum(falling[1:], steps)
    return tf.concat([[initial_steps], finer], axis=0)


def finest_sides(
    sides: Sides, size: Integer, style_scale: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """A picture's height and width at the finest scale, whatever the other pictures.

    Every scale is made from the picture at this size, so that a huge picture needn't
    be kept in memory and resized again for each of them.

    Args:
        sides: height and width of the picture, int32 [2].
        size: as for `build_pyramid`.
        style_scale: as for `build_pyramid`, a scalar.

    Returns:
        int32 [2]; `sides` unchanged if the picture is too narrow for `size`.
    """
    sizes = build_pyramid(sides, sides, size, size, style_scale)
    return tf.concat([[sides], sizes[:, 1]], axis=0)[-1]


def first_image(
    init_image: str,
    content_image: Picture,
    style_image: Picture,
    sizes: tf.Tensor | np.ndarray,
    seed: Integer,
    *,
    seamless: bool = False,
) -> tf.Tensor:
    """The picture that a run starts from, at the size of the coarsest scale.

    Args:
        init_image: `"content"`, `"style"` or `"noise"`.
        content_image: [N, H, W, 3] in [0, 1].
        style_image: [N or 1, h, w, 3] in [0, 1].
        sizes: sizes from `build_pyramid`.
        seed: seed of the noise, int32 scalar.
        seamless: whether it is seamless, as the content image then is.

    Returns:
        [N, height, width, 3].
    """
    height, width = sizes[0, 0, 0], sizes[0, 0, 1]
    count = tf.shape(content_image)[0]
    if init_image == "content":
        resized = resize_image(content_image, height, width, wrap=seamless)
        return tf.convert_to_tensor(resized)
    if init_image == "noise":
        # The same noise for every picture, so that each is painted as if alone.
        noise = noise_image([1, height, width, 3], seed)
        return tf.repeat(noise, count, axis=0)
    covered = cover_image(style_image, height, width)
    if seamless:
        covered = tf.convert_to_tensor(make_seamless(covered))
    return tf.repeat(covered, count // tf.shape(covered)[0], axis=0)


def noise_image(shape: Sequence[Integer], seed: Integer) -> tf.Tensor:
    """Uniform noise in [0, 1): the same shape and seed give the same noise.

    Args:
        shape: int32 [4].
        seed: int32 scalar.
    """
    return tf.random.stateless_uniform(tf.stack(shape), seed=tf.stack([seed, 0]))


def _floor(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.floor(x), tf.int32)


def _round(x: tf.Tensor) -> tf.Tensor:
    return _floor(x + 0.5)
