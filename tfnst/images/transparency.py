"""Transparent pictures: laid over white, filled where hidden, and alpha resized."""

from __future__ import annotations

import numpy as np
from PIL import Image

# From this alpha up a pixel is painted in its own colour, so that glass keeps its
# detail; below it, files hardly store colours at all.
_VISIBLE_ALPHA = 0.25


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lays a picture over white ::

        alpha * rgb + (1 - alpha)

    Args:
        rgb: [..., H, W, 3] in [0, 1].
        alpha: [..., H, W] in [0, 1].
    """
    return rgb * alpha[..., np.newaxis] + (1 - alpha[..., np.newaxis])


def on_white(image: Image.Image) -> Image.Image:
    """A PIL image in RGB, laid over white by Pillow, which rounds to 8 bits."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    white = Image.new("RGBA", with_alpha.size, "white")
    return Image.alpha_composite(white, with_alpha).convert("RGB")


def fill_hidden(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Gives hidden pixels the colours of the visible ones near them.

    Otherwise the network would see the hidden colours. White would be no better: it
    would add edges and a colour that the picture doesn't have. So holes are filled by
    an image pyramid (pull and push): the visible colours are averaged to coarser and
    coarser grids until all holes are closed, and each hole is filled from the next
    coarser grid. The result is smooth, takes time linear in the number of pixels, and
    needs no blur radius.

    Args:
        rgb: [H, W, 3] in [0, 1].
        alpha: [H, W] in [0, 1].

    Returns:
        [H, W, 3]: `rgb` where alpha is a quarter or more; where it is less, a mixture
        with the colours nearby. A picture without any visible pixels becomes grey.
    """
    visible = np.minimum(alpha[..., np.newaxis] / np.float32(_VISIBLE_ALPHA), 1)
    return np.clip(_fill(rgb * visible, visible), 0, 1)


def resize_alpha(alpha: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes alpha [H, W], float32 in [0, 1]."""
    if alpha.shape == (height, width):
        return alpha
    # Pillow's bilinear filter averages when it shrinks, and never overshoots.
    resized = Image.fromarray(alpha.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.clip(np.asarray(resized), 0, 1)


def _fill(colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fills the holes of a picture whose colours are multiplied by their weights."""
    if weight.min() == 1:
        return colour
    height, width = weight.shape[:2]
    if height == width == 1:
        return colour / weight if weight.any() else np.full_like(colour, 0.5)
    coarse_colour, coarse_weight = _halve(colour), _halve(weight)
    # Weights above 1 count no more than 1.
    excess = np.maximum(coarse_weight, 1)
    coarse = _fill(coarse_colour / excess, coarse_weight / excess)
    finer = _double(_double(coarse, 0)[:height], 1)[:, :width]
    return colour + (1 - weight) * finer


def _halve(array: np.ndarray) -> np.ndarray:
    """Sums over blocks of 2 by 2, with zeros beyond the border."""
    height, width = array.shape[:2]
    array = np.pad(array, ((0, height % 2), (0, width % 2), (0, 0)))
    rows = array[::2] + array[1::2]
    return rows[:, ::2] + rows[:, 1::2]


def _double(array: np.ndarray, axis: int) -> np.ndarray:
    """Doubles the number of values along an axis by linear interpolation."""
    array = np.moveaxis(array, axis, 0)
    before = np.concatenate([array[:1], array[:-1]])
    after = np.concatenate([array[1:], array[-1:]])
    near = np.float32(0.75)
    pairs = [near * array + (1 - near) * other for other in (before, after)]
    doubled = np.stack(pairs, axis=1).reshape(-1, *array.shape[1:])
    return np.moveaxis(doubled, 0, axis)
