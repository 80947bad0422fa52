"""Squared distances relative to the energy of their target."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfnst.losses.sums import widen

# Keeps a target without any energy (a black picture in a network without biases)
# from dividing by zero; far below the energy of any real activation.
_MIN_ENERGY = 1e-12


def relative(distance: tf.Tensor, energy: tf.Tensor) -> tf.Tensor:
    """A squared distance in units of its target's energy, the target's square."""
    return distance / tf.maximum(energy, _MIN_ENERGY)


def relative_distance(
    loss: str,
    values: Sequence[tf.Tensor],
    targets: Sequence[tf.Tensor],
    *,
    layer_weights: Sequence[float] | None,
    min_energies: Sequence[tf.Tensor | float] | None = None,
) -> tf.Tensor:
    """Weighted sum over layers of `|value - target|^2 / |target|^2`.

    Args:
        loss: name of the loss, for error messages.
        values: one tensor [N, ...] per layer.
        targets: tensors of the same shapes; a first dimension of 1 serves all N.
        layer_weights: one weight per layer, summing to 1; None for equal weights.
        min_energies: least `|target|^2` to divide by, one per layer; 0 by default.

    Returns:
        [N], 0 or more.

    Raises:
        ValueError: if the numbers of layers or the shapes differ; nothing is
            broadcast.
    """
    count = len(values)
    if layer_weights is None:
        layer_weights = [1 / max(count, 1)] * count
    if not count == len(targets) == len(layer_weights) or not count:
        raise ValueError(
            f"{loss} needs as many values as `targets` and `layer_weights`, at "
            f"least one. Received: {count}, {len(targets)} and {len(layer_weights)}"
        )
    distances = []
    for value, target, weight, min_energy in zip(
        values, targets, layer_weights, min_energies or [0.0] * count, strict=True
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
                f"{loss} compares equal shapes. "
                f"Received: {value.shape} and a target of {target.shape}"
            )
        axes = list(range(1, value.shape.rank))
        distance = tf.reduce_sum(tf.math.squared_difference(value, target), axis=axes)
        energy = tf.maximum(tf.reduce_sum(tf.square(target), axis=axes), min_energy)
        distances.append(weight * relative(distance, energy))
    return tf.add_n(distances)
