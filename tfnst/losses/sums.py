"""Sums over the positions of an activation, from which style statistics follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfnst.losses.style import StyleLoss

# A mask whose weights sum to less than this, in positions of a layer, is empty:
# nothing can be said about the activations there.
_LEAST_COUNT = 1e-3
_MOST_GROUPS = 16


class ActivationSums(NamedTuple):
    """Sums over the positions of an activation [N, H, W, C].

    The sums of a picture are the sums of its parts, added up.
    """

    count: tf.Tensor  # H * W, or for each region the sum of its weights, [K]
    activations: tf.Tensor  # [N, C]
    products: tf.Tensor  # of each pair of channels, [N, C, C]


def activation_sums(
    activations: tf.Tensor, weights: tf.Tensor | None = None
) -> ActivationSums:
    """The sums from which Gram matrices and moments are computed.

    Args:
        activations: floating point [N, H, W, C], any range.
        weights: weight of each position of a single picture in each of K regions,
            float32 [K, H, W, 1], 0 or more. The sums are then `sum_p w_p`,
            `sum_p w_p F_p` and `sum_p w_p F_p F_p^T`, with K in place of N. None
            gives every position the same weight.

    Returns:
        ActivationSums of the same dtype; float32 for a 16-bit one.

    Raises:
        ValueError: if `activations` isn't of rank 4.
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
    # Taken apart once: each node of a graph that is traced anew costs time.
    sides = tf.unstack(tf.shape(activations))[:3]
    sums, products = _sums(activations, sides)
    return ActivationSums(tf.cast(sides[1] * sides[2], sums.dtype), sums, products)


def mean_of_sums(values: tf.Tensor, sums: ActivationSums) -> tf.Tensor:
    """Means over positions; where a mask is empty, they and their gradients are 0.

    Args:
        values: sums over positions, [N, ...].
        sums: sums with the number of these positions.
    """
    count = tf.where(sums.count >= _LEAST_COUNT, sums.count, 0)
    shape = [-1] + [1] * (values.shape.rank - 1)
    return tf.math.divide_no_nan(values, tf.reshape(count, shape))


def or_target(sums: ActivationSums, values: Any, targets: Any) -> Any:
    """The values, replaced by their targets where a mask is empty.

    A layer whose mask is empty, in the picture or in the style image, adds neither loss
    nor gradient.

    Args:
        sums: sums from which the values were computed.
        values: a tensor or a structure of tensors, [N, ...].
        targets: the same, [N or 1, ...]; all 0 where the style image's mask is empty.
    """
    present = tf.reshape(sums.count >= _LEAST_COUNT, [-1]) & is_present(targets)

    def choose(value: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        shape = [-1] + [1] * (value.shape.rank - 1)
        return tf.where(tf.reshape(present, shape), value, target)

    return tf.nest.map_structure(choose, values, targets)


def is_present(targets: Any) -> tf.Tensor:
    """True for each of N targets that was computed from anything, bool [N]."""
    first = tf.nest.flatten(targets)[0]
    return tf.reduce_any(first != 0, axis=list(range(1, first.shape.rank)))


def _sums(
    activations: tf.Tensor, sides: list[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """The sums over positions, [N, C], and of products of channels, [N, C, C].

    Args:
        activations: [N, H, W, C].
        sides: N, H and W.
    """
    number, height, width = sides

    @tf.custom_gradient
    def summed(
        activations: tf.Tensor,
    ) -> tuple[
        tuple[tf.Tensor, tf.Tensor], Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    ]:
        positions = tf.reshape(activations, [number, -1, activations.shape[-1]])

        def gradient(by_sums: tf.Tensor, by_products: tf.Tensor) -> tf.Tensor:
            # Both factors of the product are the same tensor, so the two halves of its
            # gradient are computed as one product: half the cost of automatic
            # differentiation. It is as precise as the activations, whose gradient it
            # is.
            symmetric = by_products + tf.linalg.matrix_transpose(by_products)
            product = tf.matmul(positions, tf.cast(symmetric, positions.dtype))
            product += tf.expand_dims(tf.cast(by_sums, product.dtype), 1)
            return tf.reshape(product, tf.shape(activations))

        return (
            _column_sums(activations, sides),
            _products(positions, height * width),
        ), gradient

    return summed(activations)


def _column_sums(activations: tf.Tensor, sides: list[tf.Tensor]) -> tf.Tensor:
    """The sum of activations [N, H, W, C] over positions, [N, C].

    A product with ones for each row, which takes half the time of a sum. Of 16-bit
    activations only these sums are rounded.
    """
    number, height, width = sides
    count, channels = number * height, activations.shape[-1]
    rows = tf.reshape(activations, [count, width, channels])
    ones = tf.ones([count, 1, width], activations.dtype)
    of_rows = tf.reshape(widen(ones @ rows), [number, height, channels])
    return tf.reduce_sum(of_rows, axis=1)


def _products(positions: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The sum of `F_p F_p^T` over P positions [N, P, C], [N, C, C].

    Of 16-bit activations, the sums of up to `_MOST_GROUPS` groups are rounded to 16
    bits, and added up in float32: an error of 0.05 to 0.2 % of the result's norm, at
    half the cost of float32.

    Args:
        positions: [N, P, C].
        count: P.
    """
    if positions.dtype.size >= 4:
        return tf.matmul(positions, positions, transpose_a=True)
    # The largest power of 2 that divides P.
    groups = tf.minimum(tf.bitwise.bitwise_and(count, -count), _MOST_GROUPS)
    grouped = tf.reshape(
        positions, [tf.shape(positions)[0], groups, -1, positions.shape[-1]]
    )
    return tf.reduce_sum(widen(tf.matmul(grouped, grouped, transpose_a=True)), axis=1)


@tf.custom_gradient
def _weighted_sums(
    activations: tf.Tensor, weights: tf.Tensor
) -> tuple[
    tuple[tf.Tensor, tf.Tensor],
    Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, None]],
]:
    shape = tf.shape(activations)
    positions = tf.reshape(activations, [1, -1, activations.shape[-1]])
    weights = tf.reshape(weights, [tf.shape(weights)[0], -1, 1])

    def gradient(by_sums: tf.Tensor, by_products: tf.Tensor) -> tuple[tf.Tensor, None]:
        # As in `_sums`, for each region, weighted by how much a position counts there.
        symmetric = by_products + tf.linalg.matrix_transpose(by_products)
        product = tf.matmul(positions, tf.cast(symmetric, positions.dtype))
        product += tf.cast(by_sums, product.dtype)[:, None]
        share = tf.reduce_sum(product * tf.cast(weights, product.dtype), axis=0)
        return tf.reshape(share, shape), None

    widened = widen(positions)
    weighted = widened * tf.cast(weights, widened.dtype)
    products = tf.matmul(weighted, widened, transpose_a=True)
    return (tf.reduce_sum(weighted, axis=1), products), gradient


def widen(tensor: tf.Tensor) -> tf.Tensor:
    """A 16-bit tensor as float32, which has enough digits for sums; others as is."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor


class SumsLoss(StyleLoss):
    """The half of a style loss that follows from `activation_sums`."""

    additive = True

    def describe(
        self,
        activations: tf.Tensor,
        weights: tf.Tensor | None = None,
        place: tf.Tensor | None = None,
    ) -> ActivationSums:
        return activation_sums(activations, weights)
