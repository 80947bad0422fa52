"""Masks painted with a brush: a colour for each style, laid over the photo."""

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
    """The colours of the first styles' brushes, as CSS writes them."""
    return ["rgb({}, {}, {})".format(*color) for _, color in BRUSHES[:count]]


def regions_of(layers: Sequence[np.ndarray], count: int) -> list[np.ndarray | None]:
    """The region of each style from what was painted over the photo.

    A pixel belongs to the style whose colour is nearest, as much as the paint there
    covers it. Upper layers hide lower ones.

    Args:
        layers: from the lowest up, uint8 [H, W, 4] with alpha.
        count: number of styles.

    Returns:
        For each style its mask, float32 [H, W] in [0, 1], or None where nothing was
        painted in its colour.
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
