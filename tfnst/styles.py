"""Styles: one picture or a blend of several, and the targets that they give."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst import colors, losses, pyramid
from tfnst.config import StyleTransferConfig
from tfnst.manifest import describe_source
from tfnst.regions import load_mask, resize_mask, share_picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleImage:
    """A style picture with a weight and a size of its own, for blends.

    Attributes:
        image: as `tfnst.stylize` takes it.
        weight: its share of the style, beside those of the others; above 0.
        scale: what the setting `style_scale` is multiplied by for it, 0.1 to 4.
        mask: grey picture that is stretched over `image`: the style is taken from
            where it is white. None for all of it.
        region: grey picture that is stretched over the content image: the style goes
            where it is white. Styles without a region share what the others leave;
            where all have one, the content stays as it is in what they leave.

    Raises:
        ValueError: for a weight or scale out of its range.
    """

    image: Any
    weight: float = 1.0
    scale: float = 1.0
    mask: Any = None
    region: Any = None

    def __post_init__(self) -> None:
        for name, low, high, expected in (
            ("weight", 0, math.inf, "a number above 0"),
            ("scale", 0.1, 4, "a number from 0.1 to 4"),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not (low <= value <= high and 0 < value < math.inf):
                raise ValueError(f"`{name}` must be {expected}. Received: {value!r}")


def style_images(style_image: Any) -> list[StyleImage]:
    """The pictures of a style.

    Args:
        style_image: a picture, a StyleImage, or a list or tuple of these.

    Raises:
        ValueError: for an empty list.
    """
    several = isinstance(style_image, list | tuple)
    given = style_image if several else [style_image]
    if not given:
        raise ValueError(
            "`style_image` must be one picture or more. Received: an empty list"
        )
    return [
        each if isinstance(each, StyleImage) else StyleImage(image=each)
        for each in given
    ]


def describe_style(
    parts: list[StyleImage], sources: list[dict[str, str | None]]
) -> dict[str, Any] | list[dict[str, Any]]:
    """What a manifest says of a style.

    Args:
        parts: from `style_images`.
        sources: of each, from `tfnst.manifest.describe_source`.

    Returns:
        The source of a single picture, with its `scale` where that isn't 1; of
        several a list, with `weight` and `scale` of each. With `mask` and `region`,
        their sources, where there are any.

    Raises:
        OSError: when the file of a mask can't be read.
    """
    sources = [
        source
        | {
            name: describe_source(mask)
            for name, mask in (("mask", part.mask), ("region", part.region))
            if mask is not None
        }
        for part, source in zip(parts, sources, strict=True)
    ]
    if len(parts) == 1:
        (part,), (source,) = parts, sources
        return source if part.scale == 1 else source | {"scale": part.scale}
    return [
        source | {"weight": part.weight, "scale": part.scale}
        for part, source in zip(parts, sources, strict=True)
    ]


class Style:
    """The pictures of a style, no larger than they are needed, and their targets.

    Args:
        parts: the pictures, from `style_images`.
        pictures: what they hold, [1, h, w, 3] in [0, 1] each.
        source: from `describe_style`.
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
        self._weights = [part.weight for part in parts]
        self._scales = [config.style_scale * part.scale for part in parts]
        self._sides = [picture.shape[1:3] for picture in pictures]
        self.pictures = [
            self._shrink(*each, config.size)
            for each in zip(pictures, self._scales, strict=True)
        ]
        self._targets = {}
        self._masks, self._regions = (
            [
                None if mask is None else load_mask(mask, name=name)
                for mask in (getattr(part, name) for part in parts)
            ]
            for name in ("mask", "region")
        )

    @property
    def has_regions(self) -> bool:
        """Whether one of the pictures is for a part of the content image only."""
        return any(region is not None for region in self._regions)

    def regions(
        self, height: int, width: int
    ) -> tuple[list[list[int]], np.ndarray, np.ndarray | None]:
        """Which pictures go where in a content image; see `share_picture`."""
        return share_picture(self._regions, height, width)

    @staticmethod
    def _shrink(picture, scale, size):
        sides = picture.shape[1:3]
        finest = pyramid.build_pyramid(sides, sides, size, size, scale).numpy()
        return pyramid.resize_image(picture, *finest[-1, 1]) if len(finest) else picture

    def pyramid(
        self, content_sides: tuple[int, int], config: StyleTransferConfig
    ) -> np.ndarray:
        """Sizes of a content image and of the style's pictures at each scale.

        Returns:
            int32 [scales, 1 + pictures, 2], as `tfnst.pyramid.build_pyramid` has them
            for one; the scales at which none is too narrow.
        """
        each = [
            pyramid.build_pyramid(
                content_sides, sides, config.size, config.min_size, scale
            ).numpy()
            for sides, scale in zip(self._sides, self._scales, strict=True)
        ]
        # Those that are left out are the coarsest.
        count = min(map(len, each))
        first = [scales[len(scales) - count :, :1] for scales in each[:1]]
        others = [scales[len(scales) - count :, 1:] for scales in each]
        return np.concatenate([*first, *others], axis=1)

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
            colors.match_style_colors(picture, content, preserve_color)
            for picture in self.pictures
        ]
        if all(new is old for new, old in zip(matched, self.pictures, strict=True)):
            return self
        style = copy.copy(self)
        style.pictures, style._targets = matched, {}
        return style

    def targets(
        self, painter: Any, sides: np.ndarray, groups: list[list[int]] | None = None
    ) -> dict[str, Any]:
        """The targets at a scale, as a painter sees them; several pictures blended.

        Args:
            painter: an engine.
            sides: of the pictures at that scale, int [pictures, 2].
            groups: the pictures of each region, from `regions`; None for all in one.

        Returns:
            As in `Targets.style`: [1, ...], or of each region, [K, ...].
        """
        key = sides.tobytes(), len(groups or [()])
        if key not in self._targets:
            each = [
                self._picture_targets(painter, index, size)
                for index, size in enumerate(sides)
            ]
            groups = groups or [range(len(each))]
            self._targets[key] = tf.nest.map_structure(
                lambda *regions: tf.concat(regions, axis=0),
                *(self._blend(each, group) for group in groups),
            )
        return self._targets[key]

    def _picture_targets(self, painter, index, sides):
        picture, mask = self.pictures[index], self._masks[index]
        if mask is None:
            return painter.style_targets(picture, tf.constant(sides))
        mask = resize_mask(mask, *map(int, sides))
        return painter.masked_style_targets(picture, tf.constant(sides), mask)

    def _blend(self, targets, group):
        targets = [targets[index] for index in group]
        weights = [self._weights[index] for index in group]
        if len(targets) == 1:
            return targets[0]
        blended = {}
        for layer, first in targets[0].items():
            blend = (
                losses.blend_moments
                if isinstance(first, losses.Moments)
                else losses.blend_gram_matrices
            )
            blended[layer] = blend([each[layer] for each in targets], weights)
        return blended
