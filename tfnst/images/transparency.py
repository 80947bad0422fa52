"""Transparent pictures: what to paint where nothing is seen, and alpha at a size."""

from __future__ import annotations

import numpy as np
from PIL import Image

# A pixel is painted in its own colour from this alpha on, so that glass keeps its
# detail; what is less visible has colours that a file hardly holds.
_VISIBLE_ALPHA = 0.25


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """alpha * rgb + (1 - alpha)

    Args:
        rgb: [..., H, W, 3] in [0, 1].
        alpha: [..., H, W] in [0, 1].
    """
    return rgb * alpha[..., np.newaxis] + (1 - alpha[..., np.newaxis])


def fill_hidden(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Gives hidden pixels the colours of the visible ones near them.

    What is hidden would else be seen by the network, as would white in its place:
    an edge that is in no picture, and a colour that is not the picture's. So holes
    are filled by an image pyramid (pull and push): the visible colours are averaged
    to ever coarser grids until all holes are closed, and what a hole lacks at one
    scale it takes from the next. It is smooth, takes time linear in the pixels, and
    needs no size of a blur.

    Args:
        rgb: [H, W, 3] in [0, 1].
        alpha: [H, W] in [0, 1].

    Returns:
        [H, W, 3]: `rgb` where alpha is a quarter or more, and a mixture of it and its
        neighbourhood below. A picture without visible pixels becomes grey.
    """
    visible = np.minimum(alpha[..., np.newaxis] / np.float32(_VISIBLE_ALPHA), 1)
    return np.clip(_fill(rgb * visible, visible), 0, 1)


def resize_alpha(alpha: np.ndarray, height: int, width: int) -> np.ndarray:
    """Alpha [H, W] at another size, float32 in [0, 1]."""
    if alpha.shape == (height, width):
        return alpha
    # Pillow's bilinear filter averages where it shrinks, and never overshoots.
    resized = Image.fromarray(alpha.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.clip(np.asarray(resized), 0, 1)


def _fill(colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The holes filled in a picture whose pixels are multiplied by their weights."""
    if weight.min() == 1:
        return colour
    height, width = weight.shape[:2]
    if height == width == 1:
        return colour / weight if weight.any() else np.full_like(colour, 0.5)
    coarse_colour, coarse_weight = _halve(colour), _halve(weight)
    # What a pixel has of weight above 1 is worth no more.
    excess = np.maximum(coarse_weight, 1)
    coarse = _fill(coarse_colour / excess, coarse_weight / excess)
    finer = _double(_double(coarse, 0)[:height], 1)[:, :width]
    return colour + (1 - weight) * finer


def _halve(array: np.ndarray) -> np.ndarray:
    """Sums over blocks of 2 by 2; beyond the border is 0."""
    height, width = array.shape[:2]
    array = np.pad(array, ((0, height % 2), (0, width % 2), (0, 0)))
    rows = array[::2] + array[1::2]
    return rows[:, ::2] + rows[:, 1::2]


def _double(array: np.ndarray, axis: int) -> np.ndarray:
    """Twice as many values along an axis, interpolated between their middles."""
    array = np.moveaxis(array, axis, 0)
    before = np.concatenate([array[:1], array[:-1]])
    after = np.concatenate([array[1:], array[-1:]])
    near = np.float32(0.75)
    pairs = [near * array + (1 - near) * other for other in (before, after)]
    doubled = np.stack(pairs, axis=1).reshape(-1, *array.shape[1:])
    return np.moveaxis(doubled, 0, axis)
