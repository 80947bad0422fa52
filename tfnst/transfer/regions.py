"""Regions: the parts of a content image where each of several styles goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.checks import argument
from tfnst.images.reading import load_mask
from tfnst.images.style_images import StyleImage
from tfnst.ops.masks import Division, divide_picture, resize_mask


class Regions:
    """The regions of the pictures, or networks, of a style.

    Args:
        parts: the pictures or networks.

    Raises:
        OSError, ValueError: for a region that is no mask.

    Attributes:
        keys: a key for each of the parts, equal for those that share a region; None for
            no region.
    """

    def __init__(self, parts: list[StyleImage]) -> None:
        with argument("region"):
            masks = load_masks(part.region for part in parts)
        self.keys = [m if m is None else (m.shape, m.tobytes()) for m in masks]
        self._masks = dict(zip(self.keys, masks, strict=True))
        self._masks.pop(None, None)

    def divide(
        self, height: int, width: int, weights: tf.Tensor | np.ndarray
    ) -> Division:
        """A content image of this size, divided among the parts.

        Regions come in the order in which `keys` names them first, then the rest.

        Args:
            height: height of the content image.
            width: width of the content image.
            weights: weight of each part, float32 [S].
        """
        order = [*self._masks, None]
        groups = [order.index(key) for key in self.keys]
        masks = [resize_mask(mask, height, width) for mask in self._masks.values()]
        return divide_picture(tf.concat(masks, axis=0), groups, weights)


def load_masks(masks: Iterable[Any]) -> list[np.ndarray | None]:
    """Masks as arrays [1, h, w, 1]; None stays None."""
    return [None if mask is None else load_mask(mask) for mask in masks]
