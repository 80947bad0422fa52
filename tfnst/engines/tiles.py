"""Tiles of a picture, and the segments of a network that look at them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np


class Tile(NamedTuple):
    """A part of a picture or of an activation, in positions of its grid."""

    top: int  # of the tile, including its halo
    left: int
    bottom: int
    right: int
    core: tuple[int, int, int, int]  # top, left, height, width within the tile

    def of(self, array: np.ndarray) -> np.ndarray:
        """The tile's part of an array [N, H, W, C], as a view."""
        return array[:, self.top : self.bottom, self.left : self.right]

    def core_of(self, array: np.ndarray, stride: int = 1) -> np.ndarray:
        """The core's part of an array on a grid that is `stride` times as coarse."""
        top, left, height, width = self.core
        top, left = self.top + top, self.left + left
        rows = slice(top // stride, (top + height) // stride)
        columns = slice(left // stride, (left + width) // stride)
        return array[:, rows, columns]


@dataclasses.dataclass(frozen=True)
class Segment:
    """A part of the network, and how far its features see.

    Attributes:
        model: from [N, H, W, C] to a dict from layer name to activation.
        strides: for each layer in the dict, positions of the input along a side for
            one position of the layer.
        before: how many positions of the input a feature sees above and to the left
            of its own, rounded up to a multiple of the longest stride.
        after: the same below and to the right.
    """

    model: keras.Model
    strides: dict[str, int]
    before: int
    after: int

    @classmethod
    def from_model(cls, model: keras.Model) -> Segment:
        """The segment of a chain of 3 x 3 convolutions and poolings."""
        stride, before, after, strides = 1, 0, 0, {}
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                reach = layer.kernel_size[0] // 2 * stride
                before, after = before + reach, after + reach
            elif isinstance(
                layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D
            ):
                after += stride
                stride *= 2
            if layer.name in model.output:
                strides[layer.name] = stride
        return cls(model, strides, *(-(-r // stride) * stride for r in (before, after)))

    @property
    def stride(self) -> int:
        """The longest stride."""
        return max(self.strides.values())

    def tiles(self, height: int, width: int, side: int | None) -> list[Tile]:
        """Tiles whose cores cover [height, width].

        Cores begin at multiples of the longest stride, so that poolings group the
        same positions as in the whole picture.

        Args:
            height: of the picture or activation.
            width: of the same.
            side: rough length of a core; None for a single tile.
        """
        return [
            Tile(top, left, bottom, right, (y - top, x - left, y_end - y, x_end - x))
            for y, y_end, top, bottom in self._spans(height, side)
            for x, x_end, left, right in self._spans(width, side)
        ]

    def _spans(
        self, length: int, side: int | None
    ) -> Iterator[tuple[int, int, int, int]]:
        """Start and end of each core along a side, and of its tile."""
        count = 1 if side is None else -(-length // side)
        step = -(-length // (count * self.stride)) * self.stride
        for start in range(0, length, step):
            end = min(start + step, length)
            yield (
                start,
                end,
                max(start - self.before, 0),
                min(end + self.after, length),
            )
