"""A border of mirrored pixels, through which a picture's edges are seen like the rest.

A network sees less of what lies at an edge: fewer positions look at it, zeros lie
beside it, and a pooling leaves out the last rows of a side that isn't a multiple of its
stride. Left alone, the outermost rows get four fifths of the detail of the middle, or
less or more, as the remainder has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def border_widths(length: Any, stride: int) -> tuple[int, Any]:
    """Pixels to add before and behind a side, so that it is a multiple of the stride.

    Args:
        length: of the side, twice the stride or more; a number, or an array or tensor
            of several.
        stride: pixels per position of the deepest layer, along a side.
    """
    return stride, stride + -length % stride


def pad_border(pictures: tf.Tensor, stride: int) -> tf.Tensor:
    """Pictures [N, H, W, C] with a border of mirrored pixels, as by `border_widths`."""
    shape = tf.shape(pictures)
    sides = [border_widths(shape[axis], stride) for axis in (1, 2)]
    return tf.pad(pictures, [[0, 0], *sides, [0, 0]], "SYMMETRIC")


def pad_border_array(pictures: np.ndarray, stride: int) -> np.ndarray:
    """As `pad_border`, of an array."""
    sides = [border_widths(length, stride) for length in pictures.shape[1:3]]
    return np.pad(pictures, [(0, 0), *sides, (0, 0)], "symmetric")


def fold_border(
    gradients: np.ndarray, stride: int, height: int, width: int
) -> np.ndarray:
    """The gradients of pictures [N, H, W, C] from those of their padded copies.

    Args:
        gradients: with respect to the result of `pad_border_array`; changed in place.
        stride: as for `border_widths`.
        height: H.
        width: W.

    Returns:
        A part of `gradients`, to whose pixels those of their mirror images are added.
    """
    for axis, length in ((1, height), (2, width)):
        along = np.moveaxis(gradients, axis, 0)
        before, behind = border_widths(length, stride)
        inside = along[before : before + length]
        inside[:before] += along[:before][::-1]
        inside[length - behind :] += along[before + length :][::-1]
        gradients = np.moveaxis(inside, 0, axis)
    return gradients
