"""What happens to pictures after the optimisation: their colours, and what is kept."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfnst.ops import color_transfer
from tfnst.ops.masks import Division, resize_mask
from tfnst.ops.resizing import resize_image
from tfnst.transfer.colors import by_strips


class Finishing:
    """Prepares content images for painting and finishes the painted pictures.

    Args:
        content: the content images as they were read, [N, H, W, 3] in [0, 1].
        preserve_color: as in StyleTransferConfig.
        division: which styles go where; None if every style goes everywhere.
    """

    def __init__(
        self, content: tf.Tensor, preserve_color: str, division: Division | None
    ) -> None:
        self._mode = preserve_color
        # What stays as it is, and where.
        self._kept = None
        if division is not None and tf.reduce_any(division.kept > 0):
            self._kept = content, division.kept
        # Whose colours the painted pictures get.
        self._colors = content if preserve_color == "luminance" else None

    def prepare(self, content: tf.Tensor) -> tf.Tensor:
        """The content images as they are painted: without colours that come back."""
        if self._colors is None:
            return content
        return by_strips(
            lambda rows: color_transfer.prepare_content(rows, self._mode), content
        )

    def finish(self, pictures: tf.Tensor) -> tf.Tensor:
        """The first pictures of the run, of any size, as they come out of it.

        Args:
            pictures: painted, [n, h, w, 3] with n at most N.
        """
        if self._colors is not None:
            count, height, width, _ = pictures.shape
            content = resize_image(self._colors[:count], height, width)
            pictures = by_strips(
                lambda rows, colors: color_transfer.restore_colors(
                    rows, colors, self._mode
                ),
                pictures,
                content,
            )
        if self._kept is None:
            return pictures
        height, width = pictures.shape[1:3]
        content, mask = self._kept
        content = np.asarray(resize_image(content, height, width))
        mask = resize_mask(mask, height, width)
        return pictures + mask * (content - pictures)
