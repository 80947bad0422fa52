"""Seamless pictures, which continue at their opposite edges, like tiles."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfnst.ops.resizing import Integer, Picture

# Pictures are changed in strips of about this many pixels, to save memory.
_STRIP_PIXELS = 2**22


def make_seamless(pictures: Picture, *, strip_pixels: int = _STRIP_PIXELS) -> Picture:
    """Removes the jumps between opposite edges of pictures, and nothing else.

    It subtracts the smoothest function with these jumps: brightness that differs
    between top and bottom is evened out over the whole height, and fine detail within a
    few pixels of the edge. A picture that is seamless already changes little.

    Args:
        pictures: [N, H, W, C] in [0, 1].
        strip_pixels: approximate pixels of a strip, outside of graphs.

    Returns:
        The same, clipped to [0, 1].

    Reference:
        Moisan, "Periodic Plus Smooth Image Decomposition", Journal of Mathematical
        Imaging and Vision 39, 2011. There the smooth part is found by a Fourier
        transform in two dimensions. It has a closed form in one of them, so it can be
        found a few rows at a time.
    """
    if not tf.executing_eagerly():
        by_rows = _smooth(_gap(pictures), tf.shape(pictures)[1])
        turned = tf.transpose(pictures, [0, 2, 1, 3])
        by_columns = _smooth(_gap(turned), tf.shape(turned)[1])
        # In the order of the code below, for the same rounding.
        pictures = pictures - by_rows
        pictures = pictures - tf.transpose(by_columns, [0, 2, 1, 3])
        return tf.clip_by_value(pictures, 0.0, 1.0)
    pictures = np.array(pictures)
    upright, turned = pictures, pictures.swapaxes(1, 2)
    gaps = [_gap(upright), _gap(turned)]
    for view, gap in zip((upright, turned), gaps, strict=True):
        count, length, width, _ = view.shape
        rows = max(1, strip_pixels // (count * width))
        for start in range(0, length, rows):
            stop = min(start + rows, length)
            view[:, start:stop] -= _smooth(gap, length, start, stop).numpy()
    return np.clip(pictures, 0.0, 1.0, out=pictures)


def _gap(pictures: Picture) -> Picture:
    """Jumps from the first rows to the last, [N, W, C]."""
    return pictures[:, -1] - pictures[:, 0]


def _smooth(
    gap: Picture, height: Integer, top: Integer = 0, bottom: Integer | None = None
) -> tf.Tensor:
    """Some rows of the smoothest pictures with given jumps from first to last row.

    It solves Poisson's equation on the torus, whose right side is the jump in the first
    row and its negative in the last. The wave of frequency w along the rows grows from
    the middle to both edges as `sinh`, with `sinh(t / 2) = sin(w / 2)` for each row.

    Args:
        gap: [N, W, C].
        height: height of the pictures.
        top: first row of the result.
        bottom: row after the last one of the result; `height` by default.

    Returns:
        [N, bottom - top, W, C].
    """
    width = tf.shape(gap)[1]
    waves = tf.signal.rfft(tf.transpose(gap, [0, 2, 1]))
    frequencies = tf.range(width // 2 + 1) / width  # float64, in turns a pixel
    t = 2 * tf.math.asinh(tf.sin(math.pi * frequencies))
    last = tf.cast(height - 1, tf.float64)
    rows = tf.range(top, height if bottom is None else bottom)
    rows = tf.cast(rows, tf.float64)[:, tf.newaxis]
    grown = tf.exp(-t * (last - rows)) - tf.exp(-t * rows)
    rise = 1 + tf.exp(t) - tf.exp(-t * last) - tf.exp(-t * (last + 1))
    grown = tf.math.divide_no_nan(grown, rise)
    level = (rows - last / 2) / (last + 1)
    grown = tf.where(t > 0, grown, level)
    waves = waves[:, :, tf.newaxis] * tf.cast(grown, tf.complex64)
    smooth = tf.signal.irfft(waves, fft_length=[width])
    return tf.transpose(smooth, [0, 2, 3, 1])
