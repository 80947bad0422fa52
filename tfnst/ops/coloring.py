"""Colours before the first step of a run and after its last one.

Pure functions of pictures [N, H, W, 3] in [0, 1], which `tfnst.stylize` and exported
models call alike. `preserve_color` is the setting of that name; in an exported model it
may be a tensor, string []. `docs/colors.md` shows what each mode does to a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfnst.ops import color_transfer
from tfnst.ops.moments import Moments

# Outside of graphs, pictures are changed in strips of about this many pixels, to save
# memory.
_STRIP_PIXELS = 2**20


def match_style_colors(
    style_image: tf.Tensor, content_image: tf.Tensor, preserve_color: str | tf.Tensor
) -> tf.Tensor:
    """The style image as a run that keeps the content's colours sees it.

    Args:
        style_image: [N or 1, h, w, 3] in [0, 1].
        content_image: [N, H, W, 3] in [0, 1].
        preserve_color: `"none"`, `"luminance"`, `"histogram"` or `"transport"`.

    Returns:
        [N, h, w, 3] in [0, 1], one for each content image: in grey with the content's
        lightness for `"luminance"`; in the content's colours for `"histogram"` and
        `"transport"`; the style image itself, [N or 1, h, w, 3], for `"none"`.
    """
    pictures = style_image, content_image
    return _by_mode(
        preserve_color,
        {
            "luminance": lambda: color_transfer.match_lightness(*pictures),
            "histogram": lambda: _match_histogram(*pictures),
            "transport": lambda: color_transfer.transport_colors(*pictures),
        },
        otherwise=style_image,
    )


def remove_colors(
    content_image: tf.Tensor, preserve_color: str | tf.Tensor
) -> tf.Tensor:
    """The content image without the colours that `finish` restores.

    Args:
        content_image: [N, H, W, 3] in [0, 1].
        preserve_color: as for `match_style_colors`.

    Returns:
        [N, H, W, 3] in [0, 1]: in grey for `"luminance"`, because detail painted in
        colours of equal lightness would be lost at the end; otherwise unchanged.
    """
    return _by_mode(
        preserve_color,
        {"luminance": lambda: by_strips(color_transfer.grayscale, content_image)},
        otherwise=content_image,
    )


def carry_colors(
    content_image: tf.Tensor,
    style_colors: Moments,
    share: tf.Tensor,
    masks: tf.Tensor | None = None,
) -> tf.Tensor:
    """The content image with its colours moved towards those of the style.

    A run that starts from it, and compares with it, has less to change: its pictures
    are closer to the style and to the content at once, and nothing of the photo's
    colours is left in a drawing.

    Args:
        content_image: [N, H, W, 3] in [0, 1].
        style_colors: moments of the style's colours, [N or 1, ...]; with regions, of
            each region's style, [K, ...].
        share: share of the way, a scalar from 0 to 1.
        masks: regions of a single picture, [K, H, W, 1]; None for no regions.

    Returns:
        [N, H, W, 3] in [0, 1].
    """
    moments = color_transfer.color_moments(content_image, masks)

    def move(rows: tf.Tensor, masks: tf.Tensor | None = None) -> tf.Tensor:
        return color_transfer.move_colors(rows, moments, style_colors, share, masks)

    pictures = [content_image] if masks is None else [content_image, masks]
    return by_strips(move, *pictures)


def finish(
    painted_image: tf.Tensor,
    content_image: tf.Tensor,
    preserve_color: str | tf.Tensor,
    kept: tf.Tensor | None = None,
) -> tf.Tensor:
    """The painted picture with the content's colours and the parts that are kept.

    Args:
        painted_image: [N, H, W, 3] in [0, 1].
        content_image: the content image as it was read, [N, H, W, 3] in [0, 1].
        preserve_color: as for `match_style_colors`. `"luminance"` gives the content's
            hue and chroma; the other modes change nothing here.
        kept: share of the content image in each pixel of a single picture,
            [1, H, W, 1]; None for 0 everywhere.

    Returns:
        [N, H, W, 3] in [0, 1].
    """
    finished = _by_mode(
        preserve_color,
        {
            "luminance": lambda: by_strips(
                color_transfer.replace_chroma, painted_image, content_image
            )
        },
        otherwise=painted_image,
    )
    if kept is None:
        return finished
    return finished + kept * (content_image - finished)


def restore_colors(
    painted_image: tf.Tensor, content_image: tf.Tensor, preserve_color: str | tf.Tensor
) -> tf.Tensor:
    """A picture painted by a network, with the content's colours if they are kept.

    Not the style gets them, as in a run, since the network has learned it.

    Args:
        painted_image: [N, H, W, 3] in [0, 1].
        content_image: [N, H, W, 3] in [0, 1].
        preserve_color: as for `match_style_colors`.

    Returns:
        [N, H, W, 3] in [0, 1].
    """
    pictures = painted_image, content_image
    return _by_mode(
        preserve_color,
        {
            "luminance": lambda: by_strips(color_transfer.replace_chroma, *pictures),
            "histogram": lambda: _match_histogram(*pictures),
            "transport": lambda: carry_colors(
                painted_image,
                color_transfer.color_moments(content_image),
                tf.constant(1.0),
            ),
        },
        otherwise=painted_image,
    )


def by_strips(
    function: Callable[..., tf.Tensor],
    *pictures: tf.Tensor,
    strip_pixels: int = _STRIP_PIXELS,
) -> tf.Tensor:
    """The result of a function of pixels, computed one strip at a time.

    In a graph, where nothing is known of the size, it is computed at once.

    Args:
        function: function of strips of all pictures, [N, rows, W, C].
        pictures: [N, H, W, C].
        strip_pixels: approximate pixels of a strip.
    """
    if not tf.executing_eagerly():
        return function(*pictures)
    count = max(picture.shape[0] for picture in pictures)
    _, height, width, _ = pictures[0].shape
    rows = max(1, strip_pixels // (count * width))
    strips = [
        function(*(picture[:, top : top + rows] for picture in pictures))
        for top in range(0, height, rows)
    ]
    return tf.concat(strips, axis=1)


def _match_histogram(image: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """A picture with the distribution of another's colours."""
    return by_strips(color_transfer.histogram_map(image, target), image)


def _by_mode(
    preserve_color: str | tf.Tensor,
    results: Mapping[str, Callable[[], tf.Tensor]],
    otherwise: tf.Tensor,
) -> tf.Tensor:
    """The result for a colour mode; `otherwise` for modes that have none."""
    if isinstance(preserve_color, str):
        return results.get(preserve_color, lambda: otherwise)()
    known = tf.concat([preserve_color == list(results), [True]], axis=0)
    index = tf.argmax(tf.cast(known, tf.int32), output_type=tf.int32)
    return tf.switch_case(index, [*results.values(), lambda: otherwise])
