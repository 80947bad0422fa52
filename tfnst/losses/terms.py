"""The terms of the loss besides style, and the weighted sum of all.

Every loss is a pure function of tensors, computed separately for each picture of a
batch, with the shape [N]. Losses are unweighted and dimensionless; weights enter only
in `total_loss`.

Gatys, Ecker and Bethge sum squared differences, so their terms grow with the number of
pixels and channels and with the scale of the activations, and good weights change with
the size of the picture and with the network. Here each term is divided by the energy
of its target: 0 means equal to the target and 1 as far from it as an all-zero
activation would be, at any size and for any network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfnst.losses.distance import relative_distance


class Losses(NamedTuple):
    """The unweighted losses and their weighted total, each float32 [N]."""

    content: tf.Tensor
    style: tf.Tensor
    total_variation: tf.Tensor
    total: tf.Tensor


class LossWeights(NamedTuple):
    """The weights of the three losses, scalars, 0 or more."""

    content: float | tf.Tensor
    style: float | tf.Tensor
    total_variation: float | tf.Tensor

    def total(
        self, content: tf.Tensor, style: tf.Tensor, total_variation: tf.Tensor
    ) -> tf.Tensor:
        """The weighted sum of losses [N], from `total_loss`."""
        return total_loss(
            content,
            style,
            total_variation,
            content_weight=self.content,
            style_weight=self.style,
            total_variation_weight=self.total_variation,
        )


def content_loss(
    activations: Sequence[tf.Tensor],
    targets: Sequence[tf.Tensor],
    *,
    layer_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Relative squared distance of activations to the content image's.

    `sum_l w_l * |F_l - T_l|^2 / |T_l|^2`, with the squared norms over all positions
    and channels of a picture.

    Args:
        activations: one tensor [N, H, W, C] per layer.
        targets: tensors of the same shapes, from the content image.
        layer_weights: one weight per layer, summing to 1; None for equal weights.

    Returns:
        [N], 0 or more.

    Raises:
        ValueError: if the numbers of layers or the shapes differ; nothing is
            broadcast.

    Reference:
        Gatys et al., arXiv 1508.06576, equation 1, which has 1/2 in place of the
        energy of the target.
    """
    return relative_distance(
        "content_loss", activations, targets, layer_weights=layer_weights
    )


def total_variation_loss(image: tf.Tensor, *, wrap: bool = False) -> tf.Tensor:
    """Mean squared difference of neighbouring pixels.

    `mean((x[i+1, j] - x[i, j])^2) + mean((x[i, j+1] - x[i, j])^2)` over all pairs and
    channels. Unlike the absolute value, the square leaves smooth shading alone and
    acts on grain; the mean makes it independent of size.

    Args:
        image: [N, H, W, C] in [0, 1], H and W at least 2.
        wrap: True if the pixels at opposite edges are neighbours, too, as in pictures
            that are laid as tiles.

    Returns:
        [N], from 0 to 2.

    Raises:
        ValueError: if `image` isn't of rank 4.

    Reference:
        Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting
        Them", arXiv 1412.0035, section 3.2, with beta = 2.
    """
    image = tf.convert_to_tensor(image)
    if image.shape.rank != 4:
        raise ValueError(
            f"`image` must be of the shape [N, H, W, C]. Received: {image.shape}"
        )
    shape = tf.shape(image)
    height, width = (tf.cast(shape[axis], image.dtype) for axis in (1, 2))
    channels = image.shape[-1]
    if wrap:
        down, _ = squared_differences(tf.concat([image, image[:, :1]], axis=1))
        _, right = squared_differences(tf.concat([image, image[:, :, :1]], axis=2))
        return (down + right) / (height * width * channels)
    down, right = squared_differences(image)
    return down / ((height - 1) * width * channels) + right / (
        height * (width - 1) * channels
    )


def temporal_loss(image: tf.Tensor, target: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted mean squared difference to the previous frames of a film, moved.

    `mean(c * (x - p)^2)` over pixels and channels: a pixel of weight 0 may become
    anything.

    Args:
        image: [N, H, W, C] in [0, 1].
        target: p, the previous frames moved by optical flow, of the same shape.
        weights: c, strength by which each pixel is held, 0 or more, [N, H, W, 1].

    Returns:
        [N], 0 or more.

    Reference:
        Ruder, Dosovitskiy, Brox, "Artistic Style Transfer for Videos", arXiv
        1604.08610, equation 7. There the weights are 0 or 1.
    """
    differences = tf.math.squared_difference(image, target)
    return tf.reduce_mean(weights * differences, axis=[1, 2, 3])


@tf.custom_gradient
def squared_differences(
    image: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[[tf.Tensor, tf.Tensor], tf.Tensor]]:
    """Sums of the squared differences between neighbouring pixels.

    Args:
        image: [N, H, W, C].

    Returns:
        (differences to the pixel below, to the pixel on the right), each [N].
    """
    shape, channels = tf.shape(image), image.shape[-1]
    # Rows as one axis: slices of three channels at a time are slow, and the gradient
    # of a slice is slower.
    rows = tf.reshape(image, [shape[0], shape[1], -1])
    down = rows[:, 1:] - rows[:, :-1]
    right = rows[:, :, channels:] - rows[:, :, :-channels]

    def gradient(by_down: tf.Tensor, by_right: tf.Tensor) -> tf.Tensor:
        down_2 = 2 * by_down[:, None, None] * down
        right_2 = 2 * by_right[:, None, None] * right
        return tf.reshape(
            tf.pad(down_2, [[0, 0], [1, 0], [0, 0]])
            - tf.pad(down_2, [[0, 0], [0, 1], [0, 0]])
            + tf.pad(right_2, [[0, 0], [0, 0], [channels, 0]])
            - tf.pad(right_2, [[0, 0], [0, 0], [0, channels]]),
            shape,
        )

    def sum_of_squares(differences: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(differences, [shape[0], -1])
        return tf.reduce_sum(tf.square(flat), axis=1)

    return (sum_of_squares(down), sum_of_squares(right)), gradient


def total_loss(
    content: tf.Tensor,
    style: tf.Tensor,
    total_variation: tf.Tensor,
    *,
    content_weight: float | tf.Tensor,
    style_weight: float | tf.Tensor,
    total_variation_weight: float | tf.Tensor,
) -> tf.Tensor:
    """Weighted sum of the three losses, the objective of the optimisation.

    `content_weight * content + style_weight * style
    + total_variation_weight * total_variation`

    Args:
        content: [N], from `content_loss`.
        style: [N], from `style_loss` or `moments_loss`.
        total_variation: [N], from `total_variation_loss`.
        content_weight: scalar, 0 or more.
        style_weight: scalar, 0 or more.
        total_variation_weight: scalar, 0 or more.

    Returns:
        [N].

    Reference:
        Gatys et al., arXiv 1508.06576, equation 7.
    """
    return (
        content_weight * content
        + style_weight * style
        + total_variation_weight * total_variation
    )
