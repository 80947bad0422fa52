"""Painting of pictures of any size by a network, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.networks.painting_network import REACH, STRIDE, PaintingNetwork

# Pixels of the largest picture that is painted at once, and of the sample of a larger
# one by whose moments its layers are normalised.
WHOLE_PIXELS = 1024 * 1024
# Side of a patch in the sample.
_PATCH = 256
# Side of a tile, apart from what it sees around itself.
_TILE = 768


class PicturePainter:
    """Paints pictures by a network, large ones in tiles.

    The moments that a layer is normalised by belong to the whole picture, so tiles have
    no seams. Those of a large picture are found in a first pass, over patches spread
    evenly over it that have a megapixel together.

    Args:
        network: the network.
        whole_pixels: pixels of the largest picture that is painted at once.
        tile: side of a tile in pixels, a multiple of 4.
        patch: side of a patch in pixels.
    """

    def __init__(
        self,
        network: PaintingNetwork,
        *,
        whole_pixels: int = WHOLE_PIXELS,
        tile: int = _TILE,
        patch: int = _PATCH,
    ) -> None:
        self._whole_pixels = whole_pixels
        self._tile = tile
        self._patch = patch
        pictures = tf.TensorSpec([None, None, None, 3])
        moments = [
            tf.TensorSpec([None, 2, layer.convolution.filters])
            for layer in network.layers_in_order
            if layer.normalize
        ]
        self._paint = tf.function(
            network.paint, autograph=False, input_signature=[pictures]
        )
        self._measure = tf.function(
            lambda patches: network.paint(patches, pooled=True)[1],
            autograph=False,
            input_signature=[pictures],
        )
        self._paint_tile = tf.function(
            lambda image, moments: network.paint(image, moments)[0],
            autograph=False,
            input_signature=[pictures, moments],
        )

    def paint(self, image: tf.Tensor) -> tf.Tensor | np.ndarray:
        """The painted picture.

        Args:
            image: a picture in the colours of the style, [1, H, W, 3] in [0, 1].

        Returns:
            [1, H, W, 3] in [0, 1].
        """
        height, width = image.shape[1:3]
        if height * width <= self._whole_pixels:
            return _call(self._paint, tf.convert_to_tensor(image))[0]
        moments = _call(self._measure, self._sample(image))
        return self.paint_tiles(image, moments)

    def paint_tiles(
        self, image: tf.Tensor | np.ndarray, moments: list[tf.Tensor]
    ) -> np.ndarray:
        """The painted picture, tile by tile.

        Args:
            image: as for `paint`.
            moments: moments of the whole picture, from `PaintingNetwork.paint`.
        """
        height, width = image.shape[1:3]
        painted = np.empty((1, height, width, 3), np.float32)
        for top, bottom in self._spans(height):
            for left, right in self._spans(width):
                # A tile begins at a multiple of the stride, as the picture does.
                first, start = max(0, top - REACH), max(0, left - REACH)
                seen = image[:, first : bottom + REACH, start : right + REACH]
                tile = _call(self._paint_tile, tf.convert_to_tensor(seen), moments)
                painted[:, top:bottom, left:right] = tile[
                    :, top - first : bottom - first, left - start : right - start
                ]
        return painted

    def _sample(self, image: tf.Tensor | np.ndarray) -> tf.Tensor:
        """Patches spread evenly over a picture, [N, h, w, 3]."""
        height, width = image.shape[1:3]
        sides = min(self._patch, height), min(self._patch, width)
        rows, columns = (
            side // part for side, part in zip((height, width), sides, strict=True)
        )
        count = min(self._whole_pixels // (sides[0] * sides[1]), rows * columns)
        patches = []
        for number in range(max(1, count)):
            row, column = divmod(number * rows * columns // count, columns)
            top = row * (height - sides[0]) // max(1, rows - 1)
            left = column * (width - sides[1]) // max(1, columns - 1)
            patches.append(image[0, top : top + sides[0], left : left + sides[1]])
        return tf.stack(patches)

    def _spans(self, side: int) -> Iterator[tuple[int, int]]:
        """Starts and ends of the tiles along a side."""
        # No tile is so thin that its reflection would reach beyond it.
        count = max(1, side // self._tile)
        length = -(-side // count // STRIDE) * STRIDE
        return ((i, min(i + length, side)) for i in range(0, side, length))


def _call(function: Any, *arguments: Any) -> Any:
    """Calls a `tf.function` with one trace.

    Called by themselves, those of five networks have TensorFlow warn of retracing.
    """
    return function.get_concrete_function()(*arguments)
