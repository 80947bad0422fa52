"""Gram matrices: the style loss of Gatys et al."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfnst.losses.distance import relative_distance
from tfnst.losses.sums import (
    ActivationSums,
    SumsLoss,
    activation_sums,
    mean_of_sums,
    or_target,
)


def gram_matrix(activations: tf.Tensor) -> tf.Tensor:
    """Correlations between the channels of an activation, averaged over positions.

    `G[n, c, d] = sum_p F[n, p, c] * F[n, p, d] / (H * W)`, where p runs over the
    H * W positions. The average makes the matrix comparable between sizes; Gatys et
    al. take the sum.

    Args:
        activations: floating point [N, H, W, C], any range.

    Returns:
        [N, C, C], symmetric and positive semi-definite; of the same dtype, or float32
        for a 16-bit one, which has too few digits for sums.

    Raises:
        ValueError: if `activations` isn't of rank 4.

    Reference:
        Gatys, Ecker, Bethge, "A Neural Algorithm of Artistic Style",
        arXiv 1508.06576, equation 3.
    """
    return gram_of_sums(activation_sums(activations))


def gram_of_sums(sums: ActivationSums) -> tf.Tensor:
    """The Gram matrix [N, C, C] of an activation, from its sums."""
    return mean_of_sums(sums.products, sums)


def blend_gram_matrices(gram_matrices: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """The Gram matrices of pictures that are composed of several others.

    `G_k = sum_s p_ks G_s`, where picture s fills the share `p_ks` of picture k's area.

    Args:
        gram_matrices: Gram matrices of S pictures, [S, C, C].
        shares: shares, [K, S], 0 or more; each row sums to 1.

    Returns:
        [K, C, C].
    """
    return tf.tensordot(shares, gram_matrices, axes=1)


def style_loss(
    gram_matrices: Sequence[tf.Tensor],
    targets: Sequence[tf.Tensor],
    *,
    layer_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Relative squared distance of Gram matrices to the style image's.

    `sum_l w_l * |G_l - A_l|^2 / |A_l|^2` in the Frobenius norm.

    Args:
        gram_matrices: one [N, C, C] tensor per layer, from `gram_matrix`.
        targets: tensors of the same shapes, from the style image; a first dimension
            of 1 stands for one style image shared by all N.
        layer_weights: one weight per layer, summing to 1; None for equal weights.

    Returns:
        [N], 0 or more.

    Raises:
        ValueError: if the numbers of layers or the shapes differ.

    Reference:
        Gatys et al., arXiv 1508.06576, equations 4 and 5, which have
        1 / (4 * C^2 * (H * W)^2) in place of the energy of the target.
    """
    return relative_distance(
        "style_loss", gram_matrices, targets, layer_weights=layer_weights
    )


class GramLoss(SumsLoss):
    """Compares Gram matrices by `style_loss`."""

    def target(self, description: ActivationSums) -> tf.Tensor:
        return gram_of_sums(description)

    def distance(self, measured: ActivationSums, target: tf.Tensor) -> tf.Tensor:
        values = or_target(measured, gram_of_sums(measured), target)
        return style_loss([values], [target])

    def blend(self, targets: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
        return blend_gram_matrices(targets, shares)
