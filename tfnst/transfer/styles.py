"""Styles as a run needs them: the pictures at their sizes, and their targets."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.images.reading import load_mask
from tfnst.images.style_images import StyleImage
from tfnst.losses.statistics import blend_targets
from tfnst.ops import color_transfer, pyramid, resizing
from tfnst.ops.masks import Division, divide_picture, resize_mask


class Style:
    """The pictures of a style, no larger than they are needed, and their targets.

    Args:
        parts: the pictures, from `tfnst.images.style_images.style_images`.
        pictures: what they hold, [1, h, w, 3] in [0, 1] each.
        source: from `tfnst.images.style_images.describe_style`.
        config: of the runs that it is for.
    """

    def __init__(
        self,
        parts: list[StyleImage],
        pictures: list[np.ndarray],
        source: dict[str, Any] | list[dict[str, Any]],
        config: StyleTransferConfig,
    ) -> None:
        self.source = source
        self._weights = tf.constant([part.weight for part in parts], tf.float32)
        self._scales = [config.style_scale * part.scale for part in parts]
        self._sides = [picture.shape[1:3] for picture in pictures]
        self._targets = {}
        masks, self._regions = (
            [
                None if mask is None else load_mask(mask, name=name)
                for mask in (getattr(part, name) for part in parts)
            ]
            for name in ("mask", "region")
        )
        self.pictures, self._masks = [], []
        for picture, mask, scale in zip(pictures, masks, self._scales, strict=True):
            sides = tf.constant(picture.shape[1:3])
            finest = pyramid.finest_sides(sides, config.size, scale).numpy()
            self.pictures.append(resizing.resize_image(picture, *finest))
            self._masks.append(None if mask is None else resize_mask(mask, *finest))

    @property
    def has_regions(self) -> bool:
        """Whether one of the pictures is for a part of the content image only."""
        return any(region is not None for region in self._regions)

    def divide(self, height: int, width: int) -> Division:
        """Which pictures go where in a content image of a size."""
        # Pictures with the same region share it.
        keys = [r if r is None else (r.shape, r.tobytes()) for r in self._regions]
        regions = dict(zip(keys, self._regions, strict=True))
        regions.pop(None, None)
        order = [*regions, None]
        groups = [order.index(key) for key in keys]
        masks = [resize_mask(mask, height, width) for mask in regions.values()]
        return divide_picture(tf.concat(masks, axis=0), groups, self._weights)

    def pyramid(
        self, content_sides: tuple[int, int], config: StyleTransferConfig
    ) -> np.ndarray:
        """Sizes of a content image and of the style's pictures at each scale.

        Returns:
            int32 [scales, 1 + pictures, 2], from `tfnst.ops.pyramid.build_pyramid`.
        """
        return pyramid.build_pyramid(
            content_sides, self._sides, config.size, config.min_size, self._scales
        ).numpy()

    @property
    def narrowest(self) -> tuple[int, int]:
        """Height and width of the picture that is the farthest from square."""
        return max(self._sides, key=lambda sides: max(sides) / min(sides))

    def in_colors_of(self, content: tf.Tensor, preserve_color: str) -> Style:
        """The style for one picture whose colours are to be kept.

        Args:
            content: [1, H, W, 3] in [0, 1].
            preserve_color: as in StyleTransferConfig.

        Returns:
            The style itself, with the targets that it knows, where it fits all
            pictures; one of its own elsewhere.
        """
        matched = [
            color_transfer.match_style_colors(picture, content, preserve_color)
            for picture in self.pictures
        ]
        if all(new is old for new, old in zip(matched, self.pictures, strict=True)):
            return self
        style = copy.copy(self)
        style.pictures, style._targets = matched, {}
        return style

    def targets(
        self, painter: Any, sides: np.ndarray, shares: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """The targets at a scale, as a painter sees them; several pictures blended.

        Args:
            painter: an engine.
            sides: of the pictures at that scale, int [pictures, 2].
            shares: of the pictures in each region, from `divide`; None for one of all.

        Returns:
            As in `Targets.style`: [1, ...], or of each region, [K, ...].
        """
        if shares is None:
            shares = self._weights[tf.newaxis] / tf.reduce_sum(self._weights)
        key = sides.tobytes(), shares.numpy().tobytes()
        if key not in self._targets:
            each = [
                self._picture_targets(painter, index, size)
                for index, size in enumerate(sides)
            ]
            stacked = tf.nest.map_structure(lambda *p: tf.concat(p, axis=0), *each)
            self._targets[key] = blend_targets(stacked, shares)
        return self._targets[key]

    def _picture_targets(self, painter, index, sides):
        picture, mask = self.pictures[index], self._masks[index]
        if mask is None:
            return painter.style_targets(picture, tf.constant(sides))
        mask = resize_mask(mask, *sides)
        return painter.masked_style_targets(picture, tf.constant(sides), mask)
