"""The losses of neural style transfer, as pure functions of tensors.

Every loss is computed for each picture of a batch apart and has the shape [N]. Each
is unweighted and dimensionless; weights enter only in `total_loss`.

Gatys, Ecker and Bethge sum squared differences, so their terms grow with the number
of pixels, of channels and with the scale of the activations, and good weights change
with the size of the picture and with the network. Here each term is divided by the
energy of its target: 0 means equal to the target, 1 means as far from it as an
all-zero activation would be, at any size and for any network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfnst.losses.statistics import Moments, gram_of_moments, widen

# Keeps a target without any energy (a black picture in a network without biases)
# from dividing by zero; far below the energy of any real activation.
_MIN_ENERGY = 1e-12
# Smallest share of a Gram matrix's energy that its covariance is taken for.
_MIN_COVARIANCE = 0.01


class Losses(NamedTuple):
    """The unweighted losses and their weighted total, each float32 of shape [N]."""

    content: tf.Tensor
    style: tf.Tensor
    total_variation: tf.Tensor
    total: tf.Tensor


def content_loss(
    activations: Sequence[tf.Tensor],
    targets: Sequence[tf.Tensor],
    *,
    layer_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Relative squared distance of activations to the content image's.

    `sum_l w_l * |F_l - T_l|^2 / |T_l|^2`, the squared norms taken over all positions
    and channels of a picture.

    Args:
        activations: one [N, H, W, C] tensor a layer.
        targets: tensors of the same shapes, from the content image.
        layer_weights: one weight a layer, summing to 1; None for equal ones.

    Returns:
        [N], 0 or more.

    Raises:
        ValueError: when numbers of layers or shapes differ; nothing is broadcast.

    Reference:
        Gatys et al., arXiv 1508.06576, equation 1, which has 1/2 in place of the
        energy of the target.
    """
    return _relative_distance("content", activations, targets, layer_weights)


def style_loss(
    gram_matrices: Sequence[tf.Tensor],
    targets: Sequence[tf.Tensor],
    *,
    layer_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Relative squared distance of Gram matrices to the style image's.

    `sum_l w_l * |G_l - A_l|^2 / |A_l|^2` in the Frobenius norm.

    Args:
        gram_matrices: one [N, C, C] tensor a layer, from `gram_matrix`.
        targets: tensors of the same shapes, from the style image; a first dimension
            of 1 stands for one style picture shared by all N.
        layer_weights: one weight a layer, summing to 1; None for equal ones.

    Returns:
        [N], 0 or more.

    Raises:
        ValueError: when numbers of layers or shapes differ.

    Reference:
        Gatys et al., arXiv 1508.06576, equations 4 and 5, which have
        1 / (4 * C^2 * (H * W)^2) in place of the energy of the target.
    """
    return _relative_distance("style", gram_matrices, targets, layer_weights)


def moments_loss(
    moments: Sequence[Moments],
    targets: Sequence[Moments],
    *,
    layer_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Relative squared distance of means and covariances to the style image's.

    `sum_l w_l * (|m_l - n_l|^2 / |n_l|^2 + |C_l - D_l|^2 / |D_l|^2) / 2` with the
    target's mean n and covariance D. Both halves have a say, whereas in a Gram matrix
    the covariance is a tenth of the energy or less, so this paints larger and cleaner
    strokes than `style_loss`.

    A covariance next to nothing (a picture of one colour) can't be what distances are
    relative to, so |D|^2 counts for no less than a hundredth of the energy of the
    target's Gram matrix; pictures lie above that.

    Args:
        moments: one Moments a layer, from `moments`.
        targets: as `moments`, from the style image; a first dimension of 1 stands for
            one style picture shared by all N.
        layer_weights: one weight a layer, summing to 1; None for equal ones.

    Returns:
        [N], 0 or more.

    Raises:
        ValueError: when numbers of layers or shapes differ.

    Reference:
        github.com/crowsonkb/style-transfer-pytorch compares the same moments by their
        Wasserstein-2 distance. The plain distance here needs no matrix square root in
        each step.
    """
    means = _relative_distance(
        "moments",
        [layer.mean for layer in moments],
        [layer.mean for layer in targets],
        layer_weights,
    )
    covariances = _relative_distance(
        "moments",
        [layer.covariance for layer in moments],
        [layer.covariance for layer in targets],
        layer_weights,
        min_energies=[
            _MIN_COVARIANCE
            * tf.reduce_sum(tf.square(gram_of_moments(layer)), axis=[1, 2])
            for layer in targets
        ],
    )
    return (means + covariances) / 2


def total_variation_loss(image: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of neighbouring pixels.

    `mean((x[i+1, j] - x[i, j])^2) + mean((x[i, j+1] - x[i, j])^2)` over all pairs and
    channels. The square, unlike the absolute value, leaves smooth shading alone and
    acts on grain; the mean makes it independent of size.

    Args:
        image: [N, H, W, C] in [0, 1], H and W at least 2.

    Returns:
        [N], from 0 to 2.

    Raises:
        ValueError: when `image` isn't of rank 4.

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
    down, right = squared_differences(image)
    channels = image.shape[-1]
    return down / ((height - 1) * width * channels) + right / (
        height * (width - 1) * channels
    )


@tf.custom_gradient
def squared_differences(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums of the squared differences between neighbouring pixels.

    Args:
        image: [N, H, W, C].

    Returns:
        (to the pixels below, to those at the right), each [N].
    """
    shape, channels = tf.shape(image), image.shape[-1]
    # Rows as one axis: slices of three channels at a time are slow, and the gradient
    # of a slice is slower.
    rows = tf.reshape(image, [shape[0], shape[1], -1])
    down = rows[:, 1:] - rows[:, :-1]
    right = rows[:, :, channels:] - rows[:, :, :-channels]

    def gradient(by_down, by_right):
        down_2 = 2 * by_down[:, None, None] * down
        right_2 = 2 * by_right[:, None, None] * right
        return tf.reshape(
            tf.pad(down_2, [[0, 0], [1, 0], [0, 0]])
            - tf.pad(down_2, [[0, 0], [0, 1], [0, 0]])
            + tf.pad(right_2, [[0, 0], [0, 0], [channels, 0]])
            - tf.pad(right_2, [[0, 0], [0, 0], [0, channels]]),
            shape,
        )

    def sum_of_squares(differences):
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
    """Weighted sum of the three losses, which the pixels are optimised for.

    `content_weight * content + style_weight * style
    + total_variation_weight * total_variation`

    Args:
        content: [N], from `content_loss`.
        style: [N], from `style_loss`.
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


def relative(distance: tf.Tensor, energy: tf.Tensor) -> tf.Tensor:
    """A squared distance in units of its target's energy, the target's square."""
    return distance / tf.maximum(energy, _MIN_ENERGY)


def _relative_distance(kind, values, targets, layer_weights, min_energies=None):
    count = len(values)
    if layer_weights is None:
        layer_weights = [1 / max(count, 1)] * count
    if not count == len(targets) == len(layer_weights) or not count:
        raise ValueError(
            f"{kind}_loss needs as many values as `targets` and `layer_weights`, at "
            f"least one. Received: {count}, {len(targets)} and {len(layer_weights)}"
        )
    distances = []
    min_energies = min_energies or [0.0] * count
    for value, target, weight, min_energy in zip(
        values, targets, layer_weights, min_energies, strict=True
    ):
        value = widen(tf.convert_to_tensor(value))
        target = widen(tf.convert_to_tensor(target))
        if (
            value.shape.rank != target.shape.rank
            or not value.shape[1:].is_compatible_with(target.shape[1:])
            or (
                target.shape[0] != 1
                and not value.shape[:1].is_compatible_with(target.shape[:1])
            )
        ):
            raise ValueError(
                f"{kind}_loss compares equal shapes. "
                f"Received: {value.shape} and a target of {target.shape}"
            )
        axes = list(range(1, value.shape.rank))
        distance = tf.reduce_sum(tf.math.squared_difference(value, target), axis=axes)
        energy = tf.maximum(tf.reduce_sum(tf.square(target), axis=axes), min_energy)
        distances.append(weight * relative(distance, energy))
    return tf.add_n(distances)
