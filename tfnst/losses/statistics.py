"""Statistics of activations that describe a style: Gram matrices and moments."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


def gram_matrix(activations: tf.Tensor) -> tf.Tensor:
    """Correlations between the channels of an activation, averaged over positions.

    `G[n, c, d] = sum_p F[n, p, c] * F[n, p, d] / (H * W)`, where p runs over the
    H * W positions. The average makes the matrix comparable between sizes; Gatys et
    al. take the sum.

    Args:
        activations: floating point [N, H, W, C], any range.

    Returns:
        [N, C, C], symmetric and positive semi-definite; of the same dtype, or float32
        for one of 16 bits, which has too few digits for sums.

    Raises:
        ValueError: when `activations` isn't of rank 4.

    Reference:
        Gatys, Ecker, Bethge, "A Neural Algorithm of Artistic Style",
        arXiv 1508.06576, equation 3.
    """
    return gram_of_sums(activation_sums(activations))


class ActivationSums(NamedTuple):
    """Sums over the positions of an activation, [N, H, W, C].

    Those of a picture are the sums of those of its parts.
    """

    count: tf.Tensor  # H * W, or the sum of the weights of each region, [K]
    activations: tf.Tensor  # [N, C]
    products: tf.Tensor  # of each two channels, [N, C, C]


def activation_sums(
    activations: tf.Tensor, weights: tf.Tensor | None = None
) -> ActivationSums:
    """What Gram matrices and moments are made of.

    Args:
        activations: floating point [N, H, W, C], any range.
        weights: of the positions of one picture, for each of K regions, float32
            [K, H, W, 1], 0 or more. The sums are then `sum_p w_p`, `sum_p w_p F_p`
            and `sum_p w_p F_p F_p^T`, and have K in place of N. None counts all
            positions alike.

    Returns:
        ActivationSums of the same dtype, or of float32 for one of 16 bits.

    Raises:
        ValueError: when `activations` isn't of rank 4.
    """
    activations = tf.convert_to_tensor(activations)
    if activations.shape.rank != 4:
        raise ValueError(
            "`activations` must be of the shape [N, H, W, C]. "
            f"Received: {activations.shape}"
        )
    if weights is not None:
        count = tf.reduce_sum(weights, axis=[1, 2, 3])
        return ActivationSums(count, *_weighted_sums(activations, weights))
    sums, products = _sums(activations)
    shape = tf.shape(activations)
    return ActivationSums(tf.cast(shape[1] * shape[2], sums.dtype), sums, products)


@tf.custom_gradient
def _sums(activations):
    shape = tf.shape(activations)
    positions = tf.reshape(activations, [shape[0], -1, activations.shape[-1]])

    def gradient(by_sums, by_products):
        # The two halves of the product's gradient are one product here, because both
        # factors are the same tensor: half the cost of automatic differentiation.
        # It is as precise as the activations, whose gradient it becomes.
        symmetric = by_products + tf.linalg.matrix_transpose(by_products)
        product = tf.matmul(positions, tf.cast(symmetric, positions.dtype))
        return tf.reshape(product + tf.cast(by_sums, product.dtype)[:, None], shape)

    widened = widen(positions)
    # A product with ones takes half the time of a sum over the middle axis.
    ones = tf.ones([shape[0], 1, tf.shape(positions)[1]], widened.dtype)
    sums = tf.matmul(ones, widened)[:, 0]
    return (sums, tf.matmul(widened, widened, transpose_a=True)), gradient


@tf.custom_gradient
def _weighted_sums(activations, weights):
    shape = tf.shape(activations)
    positions = tf.reshape(activations, [1, -1, activations.shape[-1]])
    weights = tf.reshape(weights, [tf.shape(weights)[0], -1, 1])

    def gradient(by_sums, by_products):
        # As for `_sums`; each region's, by how much a position counts in it.
        symmetric = by_products + tf.linalg.matrix_transpose(by_products)
        product = tf.matmul(positions, tf.cast(symmetric, positions.dtype))
        product += tf.cast(by_sums, product.dtype)[:, None]
        share = tf.reduce_sum(product * tf.cast(weights, product.dtype), axis=0)
        return tf.reshape(share, shape), None

    widened = widen(positions)
    weighted = widened * tf.cast(weights, widened.dtype)
    products = tf.matmul(weighted, widened, transpose_a=True)
    return (tf.reduce_sum(weighted, axis=1), products), gradient


def widen(tensor):
    """In float32 where it is of 16 bits."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor


class Moments(NamedTuple):
    """First and second moments of an activation's channels over all positions."""

    mean: tf.Tensor  # [N, C]
    covariance: tf.Tensor  # [N, C, C]


def moments(activations: tf.Tensor) -> Moments:
    """Mean and covariance of the channels of an activation over its positions.

    `mean[n, c] = sum_p F[n, p, c] / (H * W)` and `covariance = gram_matrix -
    mean mean^T`: the same knowledge as in the Gram matrix, where what channels do
    together would be drowned by how active they are, taken apart.

    Args:
        activations: floating point [N, H, W, C], any range.

    Returns:
        Moments of the same dtype, or of float32 for one of 16 bits.

    Raises:
        ValueError: when `activations` isn't of rank 4.

    Reference:
        Li et al., "Demystifying Neural Style Transfer", arXiv 1701.01036, which reads
        the Gram matrix as a comparison of distributions.
    """
    return moments_of_sums(activation_sums(activations))


def gram_of_sums(sums: ActivationSums) -> tf.Tensor:
    """The Gram matrix of an activation of which there are only the sums."""
    return sums.products / tf.reshape(sums.count, [-1, 1, 1])


def moments_of_sums(sums: ActivationSums) -> Moments:
    """The moments of an activation of which there are only the sums."""
    mean = sums.activations / tf.reshape(sums.count, [-1, 1])
    gram = gram_of_sums(sums)
    return Moments(mean, gram - _outer(mean))


def blend_gram_matrices(gram_matrices: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """The Gram matrices of pictures that are made up of several.

    `sum_s p_ks G_s`: what picture k has in which picture s has the share `p_ks` of the
    area.

    Args:
        gram_matrices: of S pictures, [S, C, C].
        shares: [K, S], 0 or more; each row sums to 1.

    Returns:
        [K, C, C].
    """
    return tf.tensordot(shares, gram_matrices, axes=1)


def blend_moments(moments: Moments, shares: tf.Tensor) -> Moments:
    """The moments of pictures that are made up of several.

    Those of a mixture::

        mean_k = sum_s p_ks mean_s
        covariance_k = sum_s p_ks (covariance_s + (mean_s - mean_k) (mean_s - mean_k)^T)

    The second term holds how the pictures differ, so that a blend of a blue and a
    yellow one has blue and yellow parts, and isn't grey.

    Args:
        moments: of S pictures, [S, C] and [S, C, C].
        shares: as for `blend_gram_matrices`.

    Returns:
        Moments of [K, C] and [K, C, C].
    """
    mean = tf.matmul(shares, moments.mean)
    apart = moments.mean - mean[:, None]  # [K, S, C]
    between = tf.matmul(apart * shares[:, :, None], apart, transpose_a=True)
    return Moments(mean, tf.tensordot(shares, moments.covariance, axes=1) + between)


def _outer(vectors):
    return vectors[:, :, None] * vectors[:, None, :]


def gram_of_moments(moments: Moments) -> tf.Tensor:
    """The Gram matrix that belongs to mean and covariance."""
    mean = tf.convert_to_tensor(moments.mean)
    return moments.covariance + mean[:, :, None] * mean[:, None, :]


def blend_targets(targets: dict[str, Any], shares: tf.Tensor) -> dict[str, Any]:
    """Targets of S pictures, by layer, blended by their shares [K, S]."""
    return {
        layer: blend_moments(each, shares)
        if isinstance(each, Moments)
        else blend_gram_matrices(each, shares)
        for layer, each in targets.items()
    }
