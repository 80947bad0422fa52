"""Colour transfer: giving a picture the colours of another one.

Pure functions of pictures [N, H, W, 3] in [0, 1], each treated as if it were alone.
`tfnst.ops.coloring` says which of them a run uses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfnst.ops.color_spaces import oklab_from_srgb, srgb_from_linear, srgb_from_oklab
from tfnst.ops.moments import Moments

# Half a step of 8 bits: two colours closer than this look the same.
_HALF_STEP = 0.5 / 255
# The square of a step of 8 bits: no variance counts as less, not even a grey picture's.
_LEAST_VARIANCE = (1 / 255) ** 2
_QUANTILES = 512  # by which histograms are matched
# Most pixels, evenly spaced, whose quantiles and moments are taken.
_QUANTILE_PIXELS, _MOMENT_PIXELS = 2**17, 2**22
_ROTATIONS = 8


def replace_chroma(image: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Combines one picture's lightness with another's hue and chroma, in Oklab.

    `(L, a, b) = (L of image, a of target, b of target)`. If sRGB has no such colour,
    a and b are scaled by the largest common factor that makes it one. Lightness and
    hue then stay the same; clipping the channels would change both. Oklab, because its
    lines of equal hue look nearly straight; in CIE L*a*b* blue turns to purple.

    Args:
        image: [N, H, W, 3] in [0, 1].
        target: [N, H, W, 3] in [0, 1].

    Returns:
        [N, H, W, 3] in [0, 1].

    Reference:
        Gatys, Bethge, Hertzmann, Shechtman, "Preserving Color in Neural Artistic Style
        Transfer", arXiv 1606.05897, section 4.2, which uses YIQ.
    """
    lightness = oklab_from_srgb(image)[..., :1]
    chroma = oklab_from_srgb(target)[..., 1:]
    return srgb_from_oklab(tf.concat([lightness, chroma], axis=-1))


def grayscale(image: tf.Tensor) -> tf.Tensor:
    """Turns a picture grey and keeps the lightness of its colours, in Oklab.

    Args:
        image: [N, H, W, 3] in [0, 1].

    Returns:
        [N, H, W, 3] in [0, 1], with three equal channels.
    """
    return _grey(oklab_from_srgb(image)[..., :1])


def match_lightness(image: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Turns a picture grey with the mean and deviation of another's lightness.

    With means m and standard deviations s of Oklab's L, ::

        L' = s_target / s_image * (L - m_image) + m_target

    clipped to [0, 1]. Without this, a style much darker than the content would darken
    its colours until they had no room for their chroma.

    Args:
        image: [N or 1, h, w, 3] in [0, 1].
        target: [N, H, W, 3] in [0, 1].

    Returns:
        [N, h, w, 3] in [0, 1], with three equal channels.

    Reference:
        Gatys et al., arXiv 1606.05897, section 4.2, equation 10.
    """
    lightness, wanted = (oklab_from_srgb(x)[..., :1] for x in (image, target))
    mean, variance = tf.nn.moments(lightness, axes=[1, 2], keepdims=True)
    wanted_mean, wanted_variance = tf.nn.moments(wanted, axes=[1, 2], keepdims=True)
    scale = tf.sqrt(wanted_variance / tf.maximum(variance, _LEAST_VARIANCE))
    return _grey(tf.clip_by_value(scale * (lightness - mean) + wanted_mean, 0.0, 1.0))


def transport_colors(image: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Gives a picture's colours the mean and covariance of another's.

    With means m, the picture's covariance S and the target's C, in RGB, ::

        x' = T (x - m_image) + m_target
        T = S^(-1/2) (S^(1/2) C S^(1/2))^(1/2) S^(-1/2)

    clipped to [0, 1]. Of all linear maps that do this, T moves colours least: it is
    the Monge-Kantorovich map between normal distributions. The square of a step of 8
    bits is first added to S's diagonal, so that a grey picture's S has an inverse and
    the noise in its colours isn't amplified.

    Args:
        image: [N or 1, h, w, 3] in [0, 1].
        target: [N, H, W, 3] in [0, 1].

    Returns:
        [N, h, w, 3] in [0, 1].

    Reference:
        Pitie, Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping for
        Example-Based Colour Transfer", CVMP 2007. Gatys et al., arXiv 1606.05897,
        section 4.1, which allows any linear map that does this.
    """
    moved = _transport(_pixels(image), color_moments(image), color_moments(target))
    return _like(image, tf.clip_by_value(moved, 0.0, 1.0))


def move_colors(
    image: tf.Tensor,
    moments: Moments,
    wanted: Moments,
    share: tf.Tensor,
    masks: tf.Tensor | None = None,
) -> tf.Tensor:
    """Pixels with their colours moved towards those of a style.

    `x + share * (x' - x)`, where x' has the style's mean and covariance of colours, as
    from `transport_colors`. With regions, `x + share * sum_k mask_k (x'_k - x)`.

    Args:
        image: [N, H, W, 3] in [0, 1], or some rows of it.
        moments: moments of the whole picture's colours, [N, ...]; with regions, of
            each region's, [K, ...].
        wanted: moments of the style's colours, [N or 1, ...] or [K, ...].
        share: share of the way, a scalar from 0 to 1.
        masks: regions of a single picture, or the same rows of them, [K, H, W, 1].

    Returns:
        [N, H, W, 3] in [0, 1].
    """
    pixels = _pixels(image)
    change = tf.clip_by_value(_transport(pixels, moments, wanted), 0.0, 1.0) - pixels
    if masks is not None:
        masks = tf.reshape(masks, [tf.shape(masks)[0], -1, 1])
        change = tf.reduce_sum(masks * change, axis=0, keepdims=True)
    return _like(image, pixels + share * change)


def color_moments(image: tf.Tensor, weights: tf.Tensor | None = None) -> Moments:
    """Means and covariances of the colours of pictures.

    Args:
        image: [N, H, W, 3] in [0, 1].
        weights: weight of each pixel of a single picture in each of K regions,
            [K, H, W, 1], each with some area; None for 1 everywhere.

    Returns:
        Moments in float64, of [N, 3] or [K, 3] and [N, 3, 3] or [K, 3, 3].
    """
    pixels = _evenly_sampled(_pixels(image), _MOMENT_PIXELS)
    shares = tf.ones_like(pixels[..., :1])
    if weights is not None:
        shares = tf.reshape(weights, [tf.shape(weights)[0], -1, 1])
        shares = _evenly_sampled(shares, _MOMENT_PIXELS)
    shares /= tf.reduce_sum(shares, axis=1, keepdims=True)
    mean = tf.reduce_sum(shares * pixels, axis=1, keepdims=True)
    centered = pixels - mean
    covariance = tf.matmul(shares * centered, centered, transpose_a=True)
    # In float32, the roots of eigenvalues near 0 would lose half their digits.
    return Moments(tf.cast(mean[:, 0], tf.float64), tf.cast(covariance, tf.float64))


def histogram_map(
    image: tf.Tensor, target: tf.Tensor, *, sampled_pixels: int = _QUANTILE_PIXELS
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function that gives a picture's colours the distribution of another's.

    After `transport_colors`, unclipped, pixels are moved along three orthogonal
    directions d at a time, so that their quantiles become the target's, ::

        x' = sum_d d F_target,d^-1(F_image,d(d.x))

    first along seeded random directions and finally along R, G and B. This matches the
    distribution of colours as a whole; matching each channel by itself could turn red
    and blue, say, into purple. F_image is averaged over a step of 8 bits, so that flat
    areas, where many pixels have one colour, stay flat. Along directions in which the
    picture has less than half the target's variance, as in most directions of a grey
    one, pixels are moved only part of the way.

    Args:
        image: [N or 1, h, w, 3] in [0, 1].
        target: [N, H, W, 3] in [0, 1].
        sampled_pixels: most pixels, evenly spaced, whose quantiles are taken.

    Returns:
        Function of the picture, or some rows of it, that returns them with their new
        colours, [N, h, w, 3] in [0, 1].

    Reference:
        Pitie, Kokaram, Dahyot, "Automated Colour Grading using Colour Distribution
        Transfer", Comput. Vis. Image Underst. 107 (2007).
    """
    moments = color_moments(image), color_moments(target)
    sample, wanted = (
        _evenly_sampled(_pixels(x), sampled_pixels) for x in (image, target)
    )
    sample = _transport(sample, *moments)
    rotations, matches = _rotations(), []
    # Where a pixel moves depends on its colour alone, so a sample can show the way.
    for rotation in rotations:
        along = tf.matmul(rotation, sample, transpose_b=True)
        match = _quantile_map(along, tf.matmul(rotation, wanted, transpose_b=True))
        sample = tf.matmul(match(along), rotation, transpose_a=True)
        matches.append(match)

    def move(rows: tf.Tensor) -> tf.Tensor:
        pixels = _transport(_pixels(rows), *moments)
        for rotation, match in zip(rotations, matches, strict=True):
            along = match(tf.matmul(rotation, pixels, transpose_b=True))
            pixels = tf.matmul(along, rotation, transpose_a=True)
        return _like(rows, tf.clip_by_value(pixels, 0.0, 1.0))

    return move


def _grey(lightness: tf.Tensor) -> tf.Tensor:
    """Greys [..., 3] with Oklab's lightness L [..., 1]."""
    linear = lightness * tf.square(lightness)
    gray = srgb_from_linear(tf.clip_by_value(linear, 0.0, 1.0))
    return tf.repeat(gray, 3, axis=-1)


def _pixels(image: tf.Tensor) -> tf.Tensor:
    """The pixels of pictures [N, h, w, 3] in a row: [N, h * w, 3]."""
    image = tf.convert_to_tensor(image)
    return tf.reshape(image, [tf.shape(image)[0], -1, 3])


def _like(image: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Pixels [N, h * w, 3] in the shape of the picture [N or 1, h, w, 3]."""
    height, width = tf.unstack(tf.shape(image)[1:3])
    return tf.reshape(pixels, [tf.shape(pixels)[0], height, width, 3])


def _transport(pixels: tf.Tensor, moments: Moments, wanted: Moments) -> tf.Tensor:
    """`transport_colors` of pixels [N or 1, P, 3], unclipped."""
    covariance = moments.covariance
    covariance += _LEAST_VARIANCE * tf.eye(3, dtype=covariance.dtype)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    middle = _power(root @ wanted.covariance @ root, 0.5)
    matrix = tf.cast(inverse @ middle @ inverse, pixels.dtype)
    mean, wanted_mean = (
        tf.cast(each.mean, pixels.dtype)[:, tf.newaxis] for each in (moments, wanted)
    )
    return tf.matmul(pixels - mean, matrix) + wanted_mean  # the matrix is symmetric


def _power(matrices: tf.Tensor, exponent: float) -> tf.Tensor:
    """A power of symmetric, positive semi-definite matrices [N, 3, 3]."""
    values, vectors = tf.linalg.eigh(matrices)
    powers = tf.maximum(values, 0) ** tf.constant(exponent, values.dtype)
    return tf.matmul(vectors * powers[:, tf.newaxis, :], vectors, transpose_b=True)


def _rotations() -> list[tf.Tensor]:
    """Orthogonal matrices [3, 3]: seeded random ones, then the identity."""
    rng = np.random.default_rng(0)
    drawn = [np.linalg.qr(rng.normal(size=(3, 3))).Q for _ in range(_ROTATIONS)]
    return [tf.constant(matrix, tf.float32) for matrix in (*drawn, np.eye(3))]


def _evenly_sampled(pixels: tf.Tensor, most: int) -> tf.Tensor:
    """The pixels [N, P, C], or evenly spaced ones if there are more than `most`."""
    count = tf.shape(pixels, out_type=tf.int64)[1]
    taken = tf.minimum(count, most)
    return tf.gather(pixels, tf.range(taken) * count // taken, axis=1)


def _quantile_map(
    sample: tf.Tensor, wanted: tf.Tensor
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function of values [N, 3, P] that makes a sample's quantiles the wanted ones.

    Args:
        sample: some of the values, [N, 3, S].
        wanted: values with the wanted quantiles, [N, 3, Q].
    """
    spread, wanted_spread = (
        tf.math.reduce_std(x, axis=-1, keepdims=True) for x in (sample, wanted)
    )
    table, wanted = _quantiles(sample), _quantiles(wanted)
    # A colour shared by many pixels spans several levels, and gets the middle one.
    alike = tf.minimum(_HALF_STEP, wanted_spread / 16)
    # Noise isn't turned into colours.
    ratio = tf.math.divide_no_nan(spread, wanted_spread)
    share = tf.minimum(2 * ratio**2, 1.0)

    def move(values: tf.Tensor) -> tf.Tensor:
        level = (_level(values - alike, table) + _level(values + alike, table)) / 2
        left = tf.cast(tf.minimum(tf.floor(level), _QUANTILES - 2), tf.int32)
        low, high = (tf.gather(wanted, left + i, batch_dims=2) for i in (0, 1))
        matched = low + (level - tf.cast(left, level.dtype)) * (high - low)
        return values + share * (matched - values)

    return move


def _quantiles(values: tf.Tensor) -> tf.Tensor:
    """Quantiles [..., _QUANTILES] of values [..., P], at even levels from 0 to 1."""
    ordered = tf.sort(values, axis=-1)
    last = tf.shape(ordered)[-1] - 1
    levels = tf.range(_QUANTILES, dtype=tf.float64) / (_QUANTILES - 1)
    places = levels * tf.cast(last, tf.float64)
    left = tf.cast(tf.floor(places), tf.int32)
    share = tf.cast(places - tf.floor(places), values.dtype)
    low, high = (
        tf.gather(ordered, tf.minimum(left + i, last), axis=-1) for i in (0, 1)
    )
    return low + share * (high - low)


def _level(values: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Fractional positions of values [N, 3, P] among quantiles [N, 3, _QUANTILES]."""
    above = tf.searchsorted(table, values, side="right")
    left = tf.clip_by_value(above - 1, 0, _QUANTILES - 2)
    low, high = (tf.gather(table, left + i, batch_dims=2) for i in (0, 1))
    share = tf.math.divide_no_nan(values - low, high - low)
    return tf.cast(left, values.dtype) + tf.clip_by_value(share, 0.0, 1.0)
