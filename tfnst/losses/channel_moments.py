"""Means and covariances of activations: the style loss `"moments"`."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfnst.losses.distance import relative_distance
from tfnst.losses.gram_matrices import gram_of_sums
from tfnst.losses.sums import (
    ActivationSums,
    SumsLoss,
    activation_sums,
    mean_of_sums,
    or_target,
)
from tfnst.ops.moments import Moments, blend_moments

# A covariance counts for at least this share of its Gram matrix's energy.
_MIN_COVARIANCE = 0.01


def moments(activations: tf.Tensor) -> Moments:
    """Mean and covariance of the channels of an activation over its positions.

    `mean[n, c] = sum_p F[n, p, c] / (H * W)` and `covariance = gram_matrix -
    mean mean^T`: the same information as in the Gram matrix, but with what channels
    do together kept apart from how active they are, which would drown it.

    Args:
        activations: floating point [N, H, W, C], any range.

    Returns:
        Moments of the same dtype; float32 for a 16-bit one.

    Raises:
        ValueError: if `activations` isn't of rank 4.

    Reference:
        Li et al., "Demystifying Neural Style Transfer", arXiv 1701.01036, which reads
        the Gram matrix as a comparison of distributions.
    """
    return moments_of_sums(activation_sums(activations))


def moments_of_sums(sums: ActivationSums) -> Moments:
    """The moments of an activation, from its sums."""
    mean = mean_of_sums(sums.activations, sums)
    gram = gram_of_sums(sums)
    return Moments(mean, gram - _outer(mean))


def moments_loss(
    moments: Sequence[Moments],
    targets: Sequence[Moments],
    *,
    layer_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Relative squared distance of means and covariances to the style image's.

    `sum_l w_l * (|m_l - n_l|^2 / |n_l|^2 + |C_l - D_l|^2 / |D_l|^2) / 2` with the
    target's mean n and covariance D. Both halves count alike, whereas in a Gram matrix
    the covariance is a tenth of the energy or less; so this paints larger and cleaner
    strokes than `style_loss`.

    A covariance close to zero (a picture of a single colour) is no yardstick for
    distances, so |D|^2 is taken to be at least a hundredth of the energy of the
    target's Gram matrix; real pictures lie above that.

    Args:
        moments: one Moments per layer, from `moments`.
        targets: as `moments`, from the style image; a first dimension of 1 stands for
            one style image shared by all N.
        layer_weights: one weight per layer, summing to 1; None for equal weights.

    Returns:
        [N], 0 or more.

    Raises:
        ValueError: if the numbers of layers or the shapes differ.

    Reference:
        github.com/crowsonkb/style-transfer-pytorch compares the same moments by their
        Wasserstein-2 distance. The plain distance here needs no matrix square root in
        each step.
    """
    means = relative_distance(
        "moments_loss",
        [layer.mean for layer in moments],
        [layer.mean for layer in targets],
        layer_weights=layer_weights,
    )
    covariances = relative_distance(
        "moments_loss",
        [layer.covariance for layer in moments],
        [layer.covariance for layer in targets],
        layer_weights=layer_weights,
        min_energies=[
            _MIN_COVARIANCE * tf.reduce_sum(tf.square(_gram_of(layer)), axis=[1, 2])
            for layer in targets
        ],
    )
    return (means + covariances) / 2


class MomentsLoss(SumsLoss):
    """Compares moments by `moments_loss`."""

    def target(self, description: ActivationSums) -> Moments:
        return moments_of_sums(description)

    def distance(self, measured: ActivationSums, target: Moments) -> tf.Tensor:
        values = or_target(measured, moments_of_sums(measured), target)
        return moments_loss([values], [target])

    def blend(self, targets: Moments, shares: tf.Tensor) -> Moments:
        return blend_moments(targets, shares)


def _gram_of(moments: Moments) -> tf.Tensor:
    return moments.covariance + _outer(tf.convert_to_tensor(moments.mean))


def _outer(vectors: tf.Tensor) -> tf.Tensor:
    return tf.expand_dims(vectors, 2) * tf.expand_dims(vectors, 1)
