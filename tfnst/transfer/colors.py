"""The content image in the colours of the styles that it is painted in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfnst.ops import color_transfer
from tfnst.ops.masks import Division
from tfnst.ops.moments import Moments

# Pictures are converted in strips of about this many pixels, to save memory.
_PIXELS_AT_A_TIME = 2**22


def by_strips(function: Callable[..., tf.Tensor], *pictures: tf.Tensor) -> tf.Tensor:
    """The result of a function of pixels, a strip of the pictures at a time.

    Args:
        function: of as many pictures, [N, rows, W, C].
        pictures: [N, H, W, C].
    """
    count = max(picture.shape[0] for picture in pictures)
    _, height, width, _ = pictures[0].shape
    rows = max(1, _PIXELS_AT_A_TIME // (count * width))
    strips = [
        function(*(picture[:, top : top + rows] for picture in pictures))
        for top in range(0, height, rows)
    ]
    return tf.concat(strips, axis=1)


def carry_colors(
    content: tf.Tensor,
    wanted: Sequence[Moments],
    share: tf.Tensor,
    division: Division | None,
) -> tf.Tensor:
    """The content images with their colours moved towards those of the styles.

    A run that starts from it, and compares with it, has less to change: its pictures
    are closer to the style and to the content at once, and nothing of the photo's
    colours is left in a drawing.

    Args:
        content: [N, H, W, 3] in [0, 1].
        wanted: the moments of the colours of each picture's style, [1, ...]; with a
            division, of a single picture's, [K, ...].
        share: as for `tfnst.ops.color_transfer.carry_colors`.
        division: which styles go where; None if every style goes everywhere.
    """
    masks = () if division is None else (division.masks,)

    def carry(picture: tf.Tensor, wanted: Moments) -> tf.Tensor:
        moments = color_transfer.color_moments(picture, *masks)
        return by_strips(
            lambda rows, *masks: color_transfer.carry_colors(
                rows, moments, wanted, share, *masks
            ),
            picture,
            *masks,
        )

    each = [carry(content[i : i + 1], style) for i, style in enumerate(wanted)]
    return tf.concat(each, axis=0)
