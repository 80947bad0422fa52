"""From one scale of a run to the next: the enlarged picture and its new detail."""

from __future__ import annotations

import tensorflow as tf

from tfnst.ops.resizing import Integer, Picture, resize_image, resize_rows


def enlarge(
    average: tf.Tensor,
    content_image: tf.Tensor,
    content_weight: tf.Tensor,
    *,
    content_detail: float,
    wrap: bool = False,
) -> tf.Tensor:
    """The picture of the last scale, enlarged to the size of this one.

    The detail of the content image that was too fine for the last scale is added: where
    enlarging alone leaves a blur, a window two pixels wide can then be painted ::

        enlarged(average) + content_detail * (content - enlarged(shrunk(content)))

    Args:
        average: [N, h, w, 3] in [0, 1].
        content_image: [N, H, W, 3] in [0, 1], of this scale's size.
        content_weight: scalar; 0 leaves the detail out.
        content_detail: share of the detail to add, 0 to 1.
        wrap: as for `tfnst.ops.resizing.resize_image`.

    Returns:
        [N, H, W, 3] in [0, 1]; without new detail at a run's first scale, whose picture
        isn't enlarged.
    """
    coarse, fine = tf.shape(average), tf.shape(content_image)
    blurred = resize_image(content_image, coarse[1], coarse[2], wrap=wrap)
    return enlarge_rows(
        average,
        blurred,
        content_image,
        content_weight,
        content_detail=content_detail,
        height=fine[1],
        top=0,
        wrap=wrap,
    )


def enlarge_rows(
    average: tf.Tensor,
    blurred: Picture,
    content_image: Picture,
    content_weight: tf.Tensor,
    *,
    content_detail: float,
    height: Integer,
    top: Integer,
    wrap: bool = False,
) -> tf.Tensor:
    """Some rows of the result of `enlarge`.

    Args:
        average: the whole picture, [N, h, w, 3].
        blurred: the content image at the size of `average`.
        content_image: the rows, [N, H, W, 3].
        content_weight: as for `enlarge`.
        content_detail: as for `enlarge`.
        height: height of the whole enlarged picture.
        top: index of the first row.
        wrap: as for `enlarge`.

    Returns:
        [N, H, W, 3].
    """
    rows, width = tf.unstack(tf.shape(content_image)[1:3])
    image, blurred_now = (
        resize_rows(picture, height, width, top, top + rows, wrap=wrap)
        for picture in (average, blurred)
    )
    detail = content_detail * (content_image - blurred_now)
    larger = (tf.shape(average)[1] < height) & (content_weight > 0)
    return tf.clip_by_value(tf.where(larger, image + detail, image), 0.0, 1.0)
