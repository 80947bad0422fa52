"""Colour spaces: sRGB, CIE L*a*b* and Oklab."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import tensorflow as tf

Colors: TypeAlias = tf.Tensor | np.ndarray  # [..., 3]

# From linear sRGB to CIE XYZ; the white point of both is D65.
# IEC 61966-2-1, as given at https://www.w3.org/TR/css-color-4/#color-conversion-code.
_XYZ_FROM_RGB = (
    (506752 / 1228815, 87881 / 245763, 12673 / 70218),
    (87098 / 409605, 175762 / 245763, 12673 / 175545),
    (7918 / 409605, 87881 / 737289, 1001167 / 1053270),
)

# From linear sRGB to the responses of the eye's cones, and from their cube roots to
# Oklab.
_LMS_FROM_RGB = np.array(
    (
        (0.4122214708, 0.5363325363, 0.0514459929),
        (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    )
)
_OKLAB_FROM_ROOTS = np.array(
    (
        (0.2104542553, 0.7936177850, -0.0040720468),
        (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    )
)
_RGB_FROM_LMS = np.linalg.inv(_LMS_FROM_RGB)
_ROOTS_FROM_OKLAB = np.linalg.inv(_OKLAB_FROM_ROOTS)


_ROUNDING = 1e-6  # largest error by rounding of a colour in gamut, in linear light
_HALVINGS = 10  # of the interval searched for the chroma: it is found to 1/1024


def lab_from_srgb(image: Colors) -> tf.Tensor:
    """Converts sRGB to CIE L*a*b*, where distances match perceived differences.

    sRGB is made linear, converted to XYZ and divided by the white point D65; then, with
    f(t) = t^(1/3), or (24389/27 t + 16) / 116 where t <= 216/24389, ::

        L = 116 f(Y) - 16,  a = 500 (f(X) - f(Y)),  b = 200 (f(Y) - f(Z))

    Args:
        image: [..., 3], sRGB in [0, 1].

    Returns:
        [..., 3]: L from 0 to 100, a and b from about -108 to 98. A distance of 2.3 is
        just noticeable.

    Reference:
        IEC 61966-2-1 (sRGB); CIE 15:2004 (L*a*b*). The just noticeable difference:
        Mahy, Van Eycken, Oosterlinck, Color Res. Appl. 19 (1994).
    """
    linear = linear_from_srgb(tf.convert_to_tensor(image))
    matrix = np.array(_XYZ_FROM_RGB)
    # Dividing each row by its sum makes white 1, 1, 1.
    xyz = _mix(linear, matrix / matrix.sum(axis=1, keepdims=True))
    root = tf.maximum(xyz, 216 / 24389) ** (1 / 3)
    f = tf.where(xyz > 216 / 24389, root, (24389 / 27 * xyz + 16) / 116)
    x, y, z = tf.unstack(f, axis=-1)
    return tf.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def oklab_from_srgb(image: Colors) -> tf.Tensor:
    """Converts sRGB to Oklab, where chroma and lightness can change but hue stays.

    Args:
        image: [..., 3], sRGB in [0, 1].

    Returns:
        [..., 3]: L from 0 to 1, a and b from about -0.31 to 0.28; 0 for grey.

    Reference:
        Ottosson, "A perceptual color space for image processing" (2020),
        https://bottosson.github.io/posts/oklab/
    """
    linear = linear_from_srgb(tf.convert_to_tensor(image))
    lms = tf.maximum(_mix(linear, _LMS_FROM_RGB), 0)
    return _mix(lms ** (1 / 3), _OKLAB_FROM_ROOTS)


def srgb_from_oklab(oklab: Colors) -> tf.Tensor:
    """Converts Oklab to the nearest colours of sRGB with the same lightness and hue.

    Colours within sRGB's gamut are just converted; others lose chroma until they fit.

    Args:
        oklab: [..., 3], L in [0, 1].

    Returns:
        [..., 3], sRGB in [0, 1].

    Reference:
        As for `oklab_from_srgb`. CSS reduces chroma at the same hue, too:
        https://www.w3.org/TR/css-color-4/#gamut-mapping
    """
    oklab = tf.convert_to_tensor(oklab)
    # The cube roots are linear in the share of the chroma that is kept.
    grey, chroma = oklab[..., :1], _mix(oklab, _ROOTS_FROM_OKLAB) - oklab[..., :1]

    def linear(share: tf.Tensor) -> tf.Tensor:
        roots = grey + share * chroma
        return _mix(roots * tf.square(roots), _RGB_FROM_LMS)

    def fits(share: tf.Tensor) -> tf.Tensor:
        rgb = linear(share)
        inside = (rgb >= -_ROUNDING) & (rgb <= 1 + _ROUNDING)
        return tf.reduce_all(inside, axis=-1, keepdims=True)

    share = tf.cast(fits(tf.ones_like(grey)), oklab.dtype)
    whole = share
    for halving in range(1, _HALVINGS + 1):
        more = share + 0.5**halving * (1 - whole)
        share = tf.where(fits(more), more, share)
    return srgb_from_linear(tf.clip_by_value(linear(share), 0.0, 1.0))


# In a graph TensorFlow rewrites quotients and cubes, which then round differently. It
# leaves products alone, so with these a run starts from the same numbers either way.


def linear_from_srgb(image: tf.Tensor) -> tf.Tensor:
    """Linear light [..., 3] from sRGB [..., 3], both in [0, 1]."""
    # The power isn't used below 0.04; a base of 0 would only make it warn.
    curved = ((tf.maximum(image, 0.04) + 0.055) * (1 / 1.055)) ** 2.4
    return tf.where(image <= 0.04045, image * (1 / 12.92), curved)


def srgb_from_linear(linear: tf.Tensor) -> tf.Tensor:
    """sRGB [..., 3] from linear light [..., 3], both in [0, 1]."""
    curved = 1.055 * tf.maximum(linear, 0.003) ** (1 / 2.4) - 0.055
    return tf.where(linear <= 0.0031308, 12.92 * linear, curved)


def _mix(colors: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """Multiplies each colour [..., 3] by a matrix [3, 3]."""
    return tf.tensordot(colors, tf.constant(matrix, colors.dtype), axes=[[-1], [1]])
