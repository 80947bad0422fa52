"""Styles as a run needs them: the pictures at their sizes, and their targets."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.checks import argument, argument_error
from tfnst.config import StyleTransferConfig
from tfnst.engines.engine import Engine
from tfnst.images.reading import load_mask
from tfnst.images.style_images import StyleImage, relative_weights
from tfnst.losses.statistics import blend_targets, shares_of_some
from tfnst.ops import color_transfer, pyramid
from tfnst.ops.masks import Division, divide_picture, resize_mask
from tfnst.ops.moments import Moments, blend_moments
from tfnst.ops.resizing import resize_image


class Style:
    """The pictures of a style, no larger than they are needed, and their targets.

    Args:
        parts: the pictures, from `tfnst.images.style_images.style_images`.
        pictures: their pixels, [1, h, w, 3] in [0, 1] each.
        source: from `tfnst.images.style_images.describe_style`.
        config: of the runs that it is for.

    Raises:
        ValueError: for `layers` that aren't among the settings' style layers, and for
            a style layer that no picture speaks for, there or in a region.

    Attributes:
        source: as above.
        pictures: the pixels at the size of the finest scale.
    """

    def __init__(
        self,
        parts: list[StyleImage],
        pictures: list[np.ndarray],
        source: dict[str, Any] | list[dict[str, Any]],
        config: StyleTransferConfig,
    ) -> None:
        self.source = source
        self._weights = tf.constant(relative_weights(parts), tf.float32)
        self._rotations = [part.rotations for part in parts]
        self._scales = [config.style_scale * part.scale for part in parts]
        self._sides = [picture.shape[1:3] for picture in pictures]
        self._speaking = {
            layer: tf.constant([part.speaks_for(layer) for part in parts])
            for layer in config.style_layers
        }
        # VGG's layers are named so that they sort by depth.
        self._first_layer = min(config.style_layers)
        self._targets: dict[Any, dict[str, Any]] = {}
        self._colors: Moments | None = None  # of each picture, once they are known
        with argument("mask"):
            masks = [_load_mask(part.mask) for part in parts]
        with argument("region"):
            self._regions = [_load_mask(part.region) for part in parts]
        self._check_layers(parts, config.style_layers)
        self.pictures, self._masks = [], []
        for picture, mask, scale in zip(pictures, masks, self._scales, strict=True):
            sides = tf.constant(picture.shape[1:3])
            finest = pyramid.finest_sides(sides, config.size, scale).numpy()
            self.pictures.append(resize_image(picture, *finest))
            self._masks.append(None if mask is None else resize_mask(mask, *finest))

    def _check_layers(
        self, parts: list[StyleImage], style_layers: tuple[str, ...]
    ) -> None:
        for part in parts:
            if unknown := set(part.layers or ()).difference(style_layers):
                raise argument_error(
                    "layers",
                    f"among the style layers {', '.join(style_layers)}",
                    ", ".join(sorted(unknown)),
                )
        keys = self._region_keys()
        for key in dict.fromkeys(keys):
            there = [part for part, its in zip(parts, keys, strict=True) if its == key]
            for layer in style_layers:
                if not any(part.speaks_for(layer) for part in there):
                    where = "" if key is None else " in one of the regions"
                    raise argument_error(
                        "layers",
                        f"chosen so that some style speaks for each style layer{where}",
                        f"none for {layer}",
                    )

    def _region_keys(self) -> list[Any]:
        """What is equal for pictures that share a region; None without a region."""
        return [r if r is None else (r.shape, r.tobytes()) for r in self._regions]

    @property
    def has_regions(self) -> bool:
        """Whether any of the pictures is for a part of the content image only."""
        return any(region is not None for region in self._regions)

    def divide(self, height: int, width: int) -> Division:
        """Which pictures go where in a content image of this size."""
        keys = self._region_keys()
        regions = dict(zip(keys, self._regions, strict=True))
        regions.pop(None, None)
        order = [*regions, None]
        groups = [order.index(key) for key in keys]
        masks = [resize_mask(mask, height, width) for mask in regions.values()]
        return divide_picture(tf.concat(masks, axis=0), groups, self._weights)

    def levels(
        self, content_sides: tuple[int, int], config: StyleTransferConfig
    ) -> tuple[pyramid.Level, ...]:
        """The scales of a run over a content image of this height and width.

        There are none if a picture is too narrow for the size asked for.
        """
        scales = pyramid.build_pyramid(
            content_sides, self._sides, config.size, config.min_size, self._scales
        )
        if not len(scales):
            return ()
        steps = pyramid.scale_steps(
            scales, config.steps, config.initial_steps_for(config.steps)
        )
        return pyramid.levels(scales.numpy(), steps.numpy())

    @property
    def narrowest(self) -> tuple[int, int]:
        """Height and width of the picture that is farthest from square."""
        return max(self._sides, key=lambda sides: max(sides) / min(sides))

    def in_colors_of(self, content: tf.Tensor, preserve_color: str) -> Style:
        """The style for a picture whose colours are to be kept.

        Args:
            content: [1, H, W, 3] in [0, 1].
            preserve_color: as in StyleTransferConfig.

        Returns:
            The style itself, with the targets it knows, if its colours stay as they
            are; otherwise a copy with other pictures.
        """
        matched = [
            color_transfer.match_style_colors(picture, content, preserve_color)
            for picture in self.pictures
        ]
        if all(new is old for new, old in zip(matched, self.pictures, strict=True)):
            return self
        style = copy.copy(self)
        style.pictures, style._targets, style._colors = matched, {}, None
        return style

    def targets(
        self, engine: Engine, sides: np.ndarray, shares: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """The targets at a scale, blended if there are several pictures.

        Args:
            engine: of the scale.
            sides: height and width of each picture at that scale, int32 [pictures, 2].
            shares: of the pictures in each region, from `divide`; None for a single
                region.

        Returns:
            As `Targets.style`: [1, ...], or one for each region, [K, ...].
        """
        shares = self._shares(shares)
        key = sides.tobytes(), shares.numpy().tobytes()
        if key not in self._targets:
            each = [
                self._picture_targets(engine, index, size, turn)
                for index, size in enumerate(sides)
                for turn in range(self._rotations[index])
            ]
            # As many pictures as there are turns, with equal shares.
            counts = self._rotations
            shares = tf.repeat(shares / tf.cast(counts, shares.dtype), counts, axis=1)
            speaking = {k: tf.repeat(v, counts) for k, v in self._speaking.items()}
            stacked = tf.nest.map_structure(lambda *p: tf.concat(p, axis=0), *each)
            self._targets[key] = blend_targets(
                engine.objective.statistics, stacked, shares, speaking
            )
        return self._targets[key]

    def color_moments(self, shares: tf.Tensor | None = None) -> Moments:
        """The moments of the style's colours, [1, ...], or of each region's, [K, ...].

        Colours belong to the first layer: those are blended that speak for it.

        Args:
            shares: as for `targets`.
        """
        if self._colors is None:
            each = [
                color_transfer.color_moments(picture, mask)
                for picture, mask in zip(self.pictures, self._masks, strict=True)
            ]
            self._colors = tf.nest.map_structure(lambda *p: tf.concat(p, axis=0), *each)
        shares = shares_of_some(self._shares(shares), self._speaking[self._first_layer])
        return blend_moments(self._colors, tf.cast(shares, tf.float64))

    def _shares(self, shares: tf.Tensor | None) -> tf.Tensor:
        """Those of each picture everywhere, [1, S], where no others are given."""
        if shares is None:
            return self._weights[tf.newaxis] / tf.reduce_sum(self._weights)
        return shares

    def _picture_targets(
        self, engine: Engine, index: int, sides: np.ndarray, turn: int
    ) -> dict[str, Any]:
        """The targets of a picture, turned."""
        picture, mask = self.pictures[index], self._masks[index]
        if mask is not None:
            mask = _turned(resize_mask(mask, *sides), turn)
        if turn % 2:
            sides = sides[::-1]
        return engine.style_targets(_turned(picture, turn), tf.constant(sides), mask)


def _load_mask(mask: Any) -> np.ndarray | None:
    return None if mask is None else load_mask(mask)


def _turned(picture: tf.Tensor, turn: int) -> tf.Tensor:
    """A picture [1, H, W, C] after so many quarter turns; from 4 on, mirrored first."""
    if turn >= 4:
        picture = tf.image.flip_left_right(picture)
    return tf.image.rot90(picture, turn % 4) if turn % 4 else picture
