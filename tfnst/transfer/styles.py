"""Styles of runs: the pictures at their sizes, and their targets."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError, argument
from tfnst.config import StyleTransferConfig
from tfnst.engines.engine import Engine
from tfnst.images.style_images import StyleImage, relative_weights
from tfnst.limits import MIN_SIDE
from tfnst.losses.statistics import blend_targets, shares_of_some
from tfnst.ops import color_transfer, coloring, pyramid
from tfnst.ops.masks import Division, resize_mask
from tfnst.ops.moments import Moments, blend_moments
from tfnst.ops.resizing import resize_image
from tfnst.transfer.regions import Regions, load_masks


class Style:
    """The pictures of a style at the size of the finest scale, and their targets.

    Args:
        parts: the pictures, from `tfnst.images.style_images.style_images`.
        pictures: their pixels, [1, h, w, 3] in [0, 1] each.
        source: description, from `tfnst.images.style_images.describe_style`.
        config: settings of the runs that use the style.

    Raises:
        ValueError: for `layers` that aren't among the settings' style layers, and for
            a style layer that no picture has, in all or in a region.

    Attributes:
        source: the description.
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
        self._style_scales = [config.style_scale * part.scale for part in parts]
        self._sides = [picture.shape[1:3] for picture in pictures]
        self._with_layer = {
            layer: tf.constant([part.has_layer(layer) for part in parts])
            for layer in config.style_layers
        }
        # VGG's layers are named so that they sort by depth.
        self._first_layer = min(config.style_layers)
        self._targets: dict[Any, dict[str, Any]] = {}
        self._colors: Moments | None = None  # of each picture, once computed
        with argument("mask"):
            masks = load_masks(part.mask for part in parts)
        self._regions = Regions(parts)
        self._check_layers(parts, config.style_layers)
        self.pictures, self._masks = [], []
        for picture, mask, scale in zip(
            pictures, masks, self._style_scales, strict=True
        ):
            sides = tf.constant(picture.shape[1:3])
            finest = pyramid.finest_sides(sides, config.size, scale).numpy()
            self.pictures.append(resize_image(picture, *finest))
            self._masks.append(None if mask is None else resize_mask(mask, *finest))

    def _check_layers(
        self, parts: list[StyleImage], style_layers: tuple[str, ...]
    ) -> None:
        for part in parts:
            if unknown := set(part.layers or ()).difference(style_layers):
                raise ArgumentError(
                    f"among the style layers {', '.join(style_layers)}",
                    ", ".join(sorted(unknown)),
                    argument="layers",
                )
        keys = self._regions.keys
        for key in dict.fromkeys(keys):
            there = [part for part, its in zip(parts, keys, strict=True) if its == key]
            for layer in style_layers:
                if not any(part.has_layer(layer) for part in there):
                    where = "" if key is None else " in one of the regions"
                    raise ArgumentError(
                        f"chosen so that each style layer has a style{where}",
                        f"none for {layer}",
                        argument="layers",
                    )

    @property
    def has_regions(self) -> bool:
        """True if any of the pictures is for a part of the content image only."""
        return any(key is not None for key in self._regions.keys)

    def divide(self, height: int, width: int) -> Division:
        """Shares and masks of the pictures in a content image of this size."""
        return self._regions.divide(height, width, self._weights)

    def scales(
        self, content_sides: tuple[int, int], config: StyleTransferConfig
    ) -> tuple[pyramid.Scale, ...]:
        """The scales of a run over a content image of this height and width.

        Raises:
            ValueError: for a picture that is too narrow for `config.size`.
        """
        sizes = pyramid.build_pyramid(
            content_sides, self._sides, config.size, config.min_size, self._style_scales
        )
        if not len(sizes):
            pictures = [("content_image", content_sides)]
            pictures += [("style_image", sides) for sides in self._sides]
            raise too_narrow(pictures, config.size)
        steps = pyramid.scale_steps(
            sizes, config.steps, config.initial_steps_for(config.steps)
        )
        return pyramid.list_scales(sizes.numpy(), steps.numpy())

    def in_colors_of(self, content: tf.Tensor, preserve_color: str) -> Style:
        """The style for a picture whose colours are to be kept.

        Args:
            content: [1, H, W, 3] in [0, 1].
            preserve_color: as in StyleTransferConfig.

        Returns:
            The style itself, with the targets computed so far, if its colours don't
            change; otherwise a copy with other pictures.
        """
        matched = [
            coloring.match_style_colors(picture, content, preserve_color)
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
            engine: engine of the scale.
            sides: height and width of each picture at that scale, int32 [pictures, 2].
            shares: share of each picture in each region, from `divide`; None for a
                single region.

        Returns:
            `Targets.style`: [1, ...], or one for each region, [K, ...].
        """
        shares = self._shares(shares)
        key = sides.tobytes(), shares.numpy().tobytes()
        if key not in self._targets:
            each = [
                self._picture_targets(engine, index, size, turn)
                for index, size in enumerate(sides)
                for turn in range(self._rotations[index])
            ]
            # Each turn counts as a picture; all turns of a picture have equal shares.
            counts = self._rotations
            shares = tf.repeat(shares / tf.cast(counts, shares.dtype), counts, axis=1)
            with_layer = {k: tf.repeat(v, counts) for k, v in self._with_layer.items()}
            stacked = tf.nest.map_structure(lambda *p: tf.concat(p, axis=0), *each)
            self._targets[key] = blend_targets(
                engine.objective.style_losses, stacked, shares, with_layer
            )
        return self._targets[key]

    def color_moments(self, shares: tf.Tensor | None = None) -> Moments:
        """Moments of the style's colours, [1, ...], or of each region's, [K, ...].

        Colours belong to the first layer, so only pictures with that layer count.

        Args:
            shares: as for `targets`.
        """
        if self._colors is None:
            each = [
                color_transfer.color_moments(picture, mask)
                for picture, mask in zip(self.pictures, self._masks, strict=True)
            ]
            self._colors = tf.nest.map_structure(lambda *p: tf.concat(p, axis=0), *each)
        shares = shares_of_some(
            self._shares(shares), self._with_layer[self._first_layer]
        )
        return blend_moments(self._colors, tf.cast(shares, tf.float64))

    def _shares(self, shares: tf.Tensor | None) -> tf.Tensor:
        """The given shares, or those of a single region, [1, S]."""
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


def too_narrow(
    pictures: Sequence[tuple[str, tuple[int, int]]], size: int
) -> ArgumentError:
    """The error for a picture whose short side has too few pixels.

    Args:
        pictures: height and width of each picture, after the name of its argument.
        size: long side at which it would be painted.
    """
    name, (height, width) = max(pictures, key=lambda pair: max(pair[1]) / min(pair[1]))
    smallest = math.ceil(MIN_SIDE * max(height, width) / min(height, width))
    return ArgumentError(
        f"too narrow for size={size}: its short side would have fewer than "
        f"{MIN_SIDE} pixels; use a size of {smallest} or more",
        f"a picture of {width}x{height} pixels",
        argument=name,
        verb="is",
    )


def _turned(picture: tf.Tensor, turn: int) -> tf.Tensor:
    """A picture [1, H, W, C] turned by quarter turns; from 4 on, mirrored first."""
    if turn >= 4:
        picture = tf.image.flip_left_right(picture)
    return tf.image.rot90(picture, turn % 4) if turn % 4 else picture
