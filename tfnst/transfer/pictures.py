"""The pictures of a run: as they are loaded, painted and finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError
from tfnst.config import StyleTransferConfig
from tfnst.engines.engine import Engine
from tfnst.images.metadata import PictureInfo
from tfnst.ops import coloring
from tfnst.ops.masks import Division, resize_mask
from tfnst.ops.pyramid import Scale, first_image
from tfnst.ops.resizing import resize_image
from tfnst.transfer.styles import Style


@dataclasses.dataclass(frozen=True)
class Content:
    """A content image, and the style and the scales that it is painted in.

    Attributes:
        picture: [1, H, W, 3] in [0, 1], at the size of the finest scale.
        style: the style.
        scales: the scales, coarse to fine.
        source: name and digest, from `tfnst.images.manifest.describe_source`.
        info: contents of its file besides the colours.
    """

    picture: tf.Tensor
    style: Style
    scales: tuple[Scale, ...]
    source: dict[str, str | None]
    info: PictureInfo = dataclasses.field(default_factory=PictureInfo)


class PreparedPictures:
    """Content images that are painted together, and their styles.

    Args:
        contents: the content images, with the same sizes at all scales.
        config: the settings.
        style_share: weight of the style beside that of the content, from 0 to 1.

    Attributes:
        styles: style of each picture, in the colours that the run needs.
        regions: number of regions with styles of their own; None without regions.
        prepared: the content images as the run sees them, [N, H, W, 3]: without the
            colours that `finish` restores, and in those of the styles. A run deletes
            it when it no longer needs it.

    Raises:
        ValueError: for several pictures with regions.
    """

    def __init__(
        self,
        contents: Sequence[Content],
        config: StyleTransferConfig,
        style_share: tf.Tensor,
    ) -> None:
        self._preserve_color = config.preserve_color
        self.styles = [
            each.style.in_colors_of(each.picture, config.preserve_color)
            for each in contents
        ]
        self._style_sizes = [[s.style_sizes for s in c.scales] for c in contents]
        self._division = self._divide(contents[0].scales[-1])
        original = tf.concat([each.picture for each in contents], axis=0)
        self._kept = None
        if self._division is not None and tf.reduce_any(self._division.kept > 0):
            self._kept = self._division.kept
        # Only `finish` needs it again, and not for all runs.
        finished = self._kept is not None or config.preserve_color == "luminance"
        self._original = original if finished else None
        self.prepared = self._carry_colors(
            coloring.remove_colors(original, config.preserve_color), style_share
        )

    @property
    def regions(self) -> int | None:
        return None if self._division is None else len(self._division.masks)

    def first_image(
        self, scale: Scale, config: StyleTransferConfig, given: tf.Tensor | None
    ) -> tf.Tensor:
        """The pictures that a run starts from, [N, H, W, 3].

        Args:
            scale: the coarsest scale.
            config: the settings.
            given: picture for `init_image="given"`, [1, H, W, 3].
        """
        if given is not None:
            return tf.repeat(given, len(self.styles), axis=0)
        first = [
            first_image(
                config.init_image,
                self.prepared[i : i + 1],
                style.pictures[0],
                tf.constant(scale.sizes)[tf.newaxis],
                config.seed,
                seamless=config.seamless,
            )
            for i, style in enumerate(self.styles)
        ]
        return tf.concat(first, axis=0)

    def style_targets(self, engine: Engine, scale: int) -> dict[str, Any]:
        """`Targets.style` of all pictures, [1, ...] if they share a style."""
        targets = [
            style.targets(engine, np.array(sizes[scale], np.int32), self._shares)
            for style, sizes in zip(self.styles, self._style_sizes, strict=True)
        ]
        if all(style is self.styles[0] for style in self.styles):
            return targets[0]
        return tf.nest.map_structure(lambda *each: tf.concat(each, axis=0), *targets)

    def masks(self, scale: Scale) -> tf.Tensor | None:
        """Masks of the regions at a scale, [K, H, W, 1]; None without regions."""
        if self._division is None:
            return None
        return resize_mask(self._division.masks, *scale.sides)

    def finish(self, painted: Any) -> tf.Tensor:
        """Painted pictures with the colours and parts of the content that are kept.

        Args:
            painted: the first n of the N pictures, of any size, [n, h, w, 3].
        """
        if self._original is None:
            return painted
        count, height, width, _ = painted.shape
        kept = self._kept
        return coloring.finish(
            painted,
            resize_image(self._original[:count], height, width),
            self._preserve_color,
            None if kept is None else resize_mask(kept, height, width),
        )

    @property
    def _shares(self) -> tf.Tensor | None:
        return None if self._division is None else self._division.shares

    def _divide(self, finest: Scale) -> Division | None:
        """Shares and masks of the styles; None if each of them goes everywhere."""
        if not any(style.has_regions for style in self.styles):
            return None
        if len(self.styles) > 1:
            raise ArgumentError(
                "None where several pictures are painted together; paint one at a time",
                f"{len(self.styles)} pictures with regions",
                argument="region",
            )
        return self.styles[0].divide(*finest.sides)

    def _carry_colors(self, content: tf.Tensor, style_share: tf.Tensor) -> tf.Tensor:
        masks = None if self._division is None else self._division.masks
        each = [
            coloring.carry_colors(
                content[i : i + 1],
                style.color_moments(self._shares),
                style_share,
                masks,
            )
            for i, style in enumerate(self.styles)
        ]
        return tf.concat(each, axis=0)
