"""Tiles of a picture, and the segments of a network that look at them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np

from tfnst.networks.features import layer_reach, layer_strides


class Tile(NamedTuple):
    """A part of a picture or of an activation, in positions of its grid."""

    top: int  # of the tile, including its halo
    left: int
    bottom: int
    right: int
    # Top, left, height and width within the tile: of its core, which no other tile has,
    # and of what counts of the core.
    core: tuple[int, int, int, int]
    counted: tuple[int, int, int, int]

    def of(self, array: np.ndarray) -> np.ndarray:
        """The tile's part of an array [N, H, W, C], as a view."""
        return array[:, self.top : self.bottom, self.left : self.right]

    def core_of(self, array: np.ndarray, stride: int = 1) -> np.ndarray:
        """The core's part of an array on a grid that is `stride` times as coarse."""
        return self._part_of(array, self.core, stride)

    def counted_of(self, array: np.ndarray, stride: int = 1) -> np.ndarray:
        """As `core_of`, for what counts of the core."""
        return self._part_of(array, self.counted, stride)

    def _part_of(
        self, array: np.ndarray, part: tuple[int, int, int, int], stride: int
    ) -> np.ndarray:
        top, left, height, width = part
        top, left = self.top + top, self.left + left
        rows = slice(top // stride, (top + height) // stride)
        columns = slice(left // stride, (left + width) // stride)
        return array[:, rows, columns]


class _Span(NamedTuple):
    """A tile along one side."""

    start: int
    stop: int
    core: tuple[int, int]  # start within the tile, and length
    counted: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class NetworkSegment:
    """A part of the network, and how far its features see.

    Attributes:
        model: model from [N, H, W, C] to a dict from layer name to activation.
        strides: positions of the input along a side for one position of a layer, by
            layer.
        before: number of positions of the input that a feature sees above and to the
            left of its own, rounded up to a multiple of the longest stride.
        after: the same below and to the right.
    """

    model: keras.Model
    strides: dict[str, int]
    before: int
    after: int

    @classmethod
    def from_model(cls, model: keras.Model) -> NetworkSegment:
        """The segment of a chain of 3 x 3 convolutions and poolings."""
        return cls(model, layer_strides(model), *layer_reach(model))

    @property
    def stride(self) -> int:
        """The longest stride."""
        return max(self.strides.values())

    def tiles(
        self,
        height: int,
        width: int,
        side: int | None,
        margins: tuple[int, int] = (0, 0),
    ) -> list[Tile]:
        """Tiles whose cores cover [height, width].

        Cores begin at multiples of the longest stride, so that poolings group the
        same positions as in the whole picture.

        Args:
            height: height of the picture or activation.
            width: its width.
            side: rough length of a core; None for a single tile.
            margins: positions before and behind, on both axes, that don't count. They
                belong to the first and the last cores.
        """
        return [
            Tile(
                *(y.start, x.start, y.stop, x.stop),
                core=(y.core[0], x.core[0], y.core[1], x.core[1]),
                counted=(y.counted[0], x.counted[0], y.counted[1], x.counted[1]),
            )
            for y in self._spans(height, side, *margins)
            for x in self._spans(width, side, *margins)
        ]

    def lengths(
        self, length: int, side: int | None, margins: tuple[int, int] = (0, 0)
    ) -> list[int]:
        """Lengths of the tiles along a side, with their halos; as for `tiles`."""
        return [span.stop - span.start for span in self._spans(length, side, *margins)]

    def _spans(
        self, length: int, side: int | None, before: int, behind: int
    ) -> Iterator[_Span]:
        """The tiles along a side with these margins.

        All tiles have the same length; those at the edges have larger cores. For each
        shape of a tile, oneDNN compiles and keeps code of its own, which took a
        gigabyte on a processor with AMX when there were nine of them.
        """
        stride, halo = self.stride, self.before + self.after
        count = 1 if side is None else -(-(length - before - behind) // side)
        # Each has something that counts.
        least = stride + max(before - self.before, behind - self.after, 0)
        count = max(1, min(count, (length - halo) // (least + stride)))
        tile = -(-(length + (count - 1) * halo) // (count * stride)) * stride
        last = max(count - 1, 1)
        starts = [
            -(-(length - tile) * i // (last * stride)) * stride for i in range(count)
        ]
        # Where cores begin and end.
        bounds = [0, *(start + self.before for start in starts[1:]), length]
        for start, first, end in zip(starts, bounds, bounds[1:], strict=False):
            top, bottom = max(first, before), min(end, length - behind)
            yield _Span(
                start,
                min(start + tile, length),
                (first - start, end - first),
                (top - start, bottom - top),
            )
