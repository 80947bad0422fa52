"""Masks painted over the photo with a brush, in a colour for each style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfnst.limits import MIN_SHARE

# Far from each other, also for people who see few colours, and named in words.
BRUSHES = (
    ("red", (213, 40, 40)),
    ("blue", (30, 90, 220)),
    ("yellow", (240, 200, 20)),
    ("green", (20, 150, 90)),
)


def brush_colors(count: int) -> list[str]:
    """Returns the colours of the first brushes, as CSS writes them."""
    return ["rgb({}, {}, {})".format(*color) for _, color in BRUSHES[:count]]


def regions_of(layers: Sequence[np.ndarray], count: int) -> list[np.ndarray | None]:
    """Returns the region of each style from the layers painted over the photo.

    A pixel belongs to the style with the nearest colour, as far as the paint covers it.
    Upper layers hide lower ones.

    Args:
        layers: uint8 arrays [H, W, 4] with alpha, from the lowest up.
        count: number of styles.

    Returns:
        The mask of each style, float32 [H, W] in [0, 1], or None if nothing is painted
        in its colour.
    """
    if not layers:
        return [None] * count
    colors = np.array([color for _, color in BRUSHES[:count]], np.float32)
    masks = np.zeros((count, *layers[0].shape[:2]), np.float32)
    for layer in layers:
        paint = layer[..., :3].astype(np.float32)
        cover = layer[..., 3].astype(np.float32) / 255
        distance = ((paint[np.newaxis] - colors[:, None, None]) ** 2).sum(axis=-1)
        nearest = distance.argmin(axis=0)
        masks *= 1 - cover
        for index in range(count):
            masks[index] += np.where(nearest == index, cover, 0)
    return [mask if mask.mean() >= MIN_SHARE else None for mask in masks]
