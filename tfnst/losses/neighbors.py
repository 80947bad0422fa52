"""Nearest neighbours of activations: the style loss `"neighbors"`.

Moments say how often something occurs, but not where it may: they spread what the
style shows over the whole picture, arches onto a mountain and brush strokes onto a
plain sky. An activation that resembles none of the style's is what such places show
first. Here, besides, each activation is drawn to the one of the style that resembles it
most, so that a plain place stays plain if the style has plain places, and contours
become the style's contours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.losses.channel_moments import MomentsLoss
from tfnst.losses.style import StyleLoss
from tfnst.losses.sums import (
    ActivationSums,
    activation_sums,
    is_present,
    mean_of_sums,
    widen,
)
from tfnst.ops.moments import Moments, blend_moments

# Activations of a style image that are compared with; more change little.
SAMPLES = 512
# Successive multiples of these fill a square, or a line, evenly at every number:
# Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", 2018.
_STEPS_IN_SQUARE = (0.7548776662466927, 0.5698402909980532)
_STEP_IN_LINE = 0.6180339887498949
# Positions whose similarities are computed at once.
_POSITIONS_AT_ONCE = 4096
_TINY = 1e-12


class Described(NamedTuple):
    """Description of a style image; those of tiles add up to that of a picture."""

    sums: ActivationSums
    samples: tf.Tensor  # activations at SAMPLES places, [N, SAMPLES, C]
    counts: tf.Tensor  # weight of each of them, from 0 to 1, [N, SAMPLES]


class Neighborhood(NamedTuple):
    """Moments and samples of a style, the target of a layer."""

    moments: Moments
    samples: tf.Tensor  # [N, SAMPLES, C]
    counts: tf.Tensor  # [N, SAMPLES]


class Measured(NamedTuple):
    """Sums for the distance; those of tiles add up."""

    sums: ActivationSums
    distances: tf.Tensor  # cosine distances to the nearest sample, summed, [N]


def nearest_distances(
    activations: tf.Tensor, targets: Neighborhood, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Cosine distances of activations to the most similar ones of the style, summed.

    `sum_p w_p (1 - max_j cos(F_p - n, S_j - n))` with the style's samples S and their
    mean n, without which all activations would look much alike. Gradients take the
    samples that are nearest as given.

    Args:
        activations: activations [N, H, W, C]; N is 1 if there are regions.
        targets: targets of N pictures, of one for all of them, or of K regions.
        weights: weight of each position in each region, [K, H, W, 1]; None for 1
            everywhere.

    Returns:
        float32 [N], or [K] with regions; from 0 to twice the number of positions.

    Reference:
        Kolkin et al., "Neural Neighbor Style Transfer", arXiv 2203.13215, equation 1,
        which compares features of several layers at once and keeps their neighbours
        for a whole scale.
    """
    mean = tf.expand_dims(targets.moments.mean, 1)
    samples = _counting_samples(targets) - mean
    samples = tf.math.l2_normalize(samples, axis=-1, epsilon=_TINY)
    shape = tf.shape(activations)
    # Of one style for all pictures, or of as many as there are pictures or regions.
    count = tf.maximum(shape[0], tf.shape(mean)[0])
    samples = tf.tile(samples, [count // tf.shape(samples)[0], 1, 1])
    # A similarity is a sum of many products, so 16 bits are enough for each of them.
    samples, mean = (tf.cast(x, activations.dtype) for x in (samples, mean))

    @tf.custom_gradient
    def summed(
        activations: tf.Tensor,
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        positions = tf.reshape(activations, [shape[0], -1, activations.shape[-1]])
        positions -= mean  # [N or K, H * W, C]
        nearest = _nearest(positions, samples)
        nearest = tf.gather(samples, nearest, batch_dims=1)
        length = tf.sqrt(_sum_of_products(positions, positions) + _TINY)
        similarity = _sum_of_products(positions, nearest) / length
        counts = tf.ones_like(length)
        if weights is not None:
            counts = tf.reshape(weights, [tf.shape(weights)[0], -1])

        def gradient(by_sum: tf.Tensor) -> tf.Tensor:
            # By F_p, of the cosine of F_p - n and S_j - n.
            share = tf.expand_dims(by_sum, 1) * counts / length
            along, across = (
                tf.expand_dims(tf.cast(x, positions.dtype), -1)
                for x in (share * similarity / length, share)
            )
            each = along * positions - across * nearest
            if weights is not None:
                each = tf.reduce_sum(each, axis=0)
            return tf.reshape(each, shape)

        return tf.reduce_sum(counts * (1 - similarity), axis=1), gradient

    return summed(activations)


def _sum_of_products(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Over the last axis, as float32; of 16-bit tensors it is rounded to 16 bits."""
    return widen(tf.reduce_sum(a * b, axis=-1))


def _counting_samples(targets: Neighborhood) -> tf.Tensor:
    """The samples [N, S, C], of which others replace those that a mask leaves out.

    A sample counts if most of it is inside the mask, or as much as of any sample.
    """
    most = tf.reduce_max(targets.counts, axis=1, keepdims=True)
    valid = targets.counts >= most / 2
    # The valid ones first, in their order, and then the same again.
    order = tf.argsort(tf.cast(valid, tf.int32), direction="DESCENDING", stable=True)
    number = tf.reduce_sum(tf.cast(valid, tf.int32), axis=1, keepdims=True)
    index = tf.range(tf.shape(order)[1])[tf.newaxis] % number
    chosen = tf.gather(order, index, batch_dims=1)
    return tf.gather(targets.samples, chosen, batch_dims=1)


def _nearest(positions: tf.Tensor, samples: tf.Tensor) -> tf.Tensor:
    """The index of the most similar sample for each position, [N, P].

    Some positions at a time: the similarities of a whole picture would fill the memory.

    Args:
        positions: vectors of any length, [N, P, C].
        samples: vectors of length 1, [N, SAMPLES, C].
    """
    number, total, channels = tf.unstack(tf.shape(positions))
    chunks = _ceil(total, _POSITIONS_AT_ONCE)
    size = _ceil(total, chunks)
    columns = tf.linalg.matrix_transpose(samples)

    def of_chunk(start: tf.Tensor) -> tf.Tensor:
        chunk = tf.slice(positions, [0, start, 0], [number, size, channels])
        return tf.argmax(chunk @ columns, axis=-1, output_type=tf.int32)

    nearest = tf.map_fn(
        of_chunk,
        # All chunks have the same size, so the last one may overlap another.
        tf.minimum(size * tf.range(chunks), total - size),
        fn_output_signature=tf.TensorSpec([None, None], tf.int32),
        parallel_iterations=1,
    )
    nearest = tf.reshape(tf.transpose(nearest, [1, 0, 2]), [number, -1])
    before = size * (chunks - 1)
    return tf.concat([nearest[:, :before], nearest[:, before - total :]], axis=1)


def _ceil(a: tf.Tensor, b: int | tf.Tensor) -> tf.Tensor:
    """a / b, rounded up."""
    return -(-a // b)


class NeighborsLoss(StyleLoss):
    """Compares moments and neighbours, both counting alike.

    The distance is that of `tfnst.losses.moments_loss` plus the mean of
    `nearest_distances`.
    """

    additive = True
    kept = 2

    def __init__(self) -> None:
        self._moments = MomentsLoss()

    def describe(
        self,
        activations: tf.Tensor,
        weights: tf.Tensor | None = None,
        place: tf.Tensor | None = None,
    ) -> Described:
        shape = tf.shape(activations)
        if place is None:
            place = tf.stack([0, 0, shape[1], shape[2]])
        sums = activation_sums(activations, weights)
        inside, where = _sample_places(place, shape)
        samples = tf.gather_nd(activations, _of_each(where, shape[0]), batch_dims=1)
        counts = tf.cast(inside, tf.float32)[tf.newaxis]
        samples = widen(samples) * counts[..., tf.newaxis]
        if weights is not None:
            where = _of_each(where, tf.shape(weights)[0])
            counts *= tf.gather_nd(weights[..., 0], where, batch_dims=1)
        counts = tf.broadcast_to(counts, tf.shape(samples)[:2])
        return Described(sums, samples, counts)

    def target(self, description: Described) -> Neighborhood:
        return Neighborhood(
            self._moments.target(description.sums),
            description.samples,
            description.counts,
        )

    def measure(
        self,
        activations: tf.Tensor,
        target: Neighborhood,
        weights: tf.Tensor | None = None,
    ) -> Measured:
        return Measured(
            activation_sums(activations, weights),
            nearest_distances(activations, target, weights),
        )

    def distance(self, measured: Measured, target: Neighborhood) -> tf.Tensor:
        distances = mean_of_sums(measured.distances, measured.sums)
        # A style image of which a mask leaves nothing here doesn't count.
        distances *= tf.cast(is_present(target), distances.dtype)
        return self._moments.distance(measured.sums, target.moments) + distances

    def blend(self, targets: Neighborhood, shares: tf.Tensor) -> Neighborhood:
        # Each picture gives as many samples as its share.
        levels = tf.constant(_fractions(_STEP_IN_LINE), tf.float32)
        bounds = tf.cumsum(shares, axis=1)[:, :-1, tf.newaxis]
        chosen = tf.reduce_sum(tf.cast(levels >= bounds, tf.int32), axis=1)
        index = tf.broadcast_to(tf.range(SAMPLES), tf.shape(chosen))
        where = tf.stack([chosen, index], axis=-1)
        return Neighborhood(
            blend_moments(targets.moments, shares),
            tf.gather_nd(targets.samples, where),
            tf.gather_nd(targets.counts, where),
        )


def _sample_places(place: tf.Tensor, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The samples' places, the same whether a picture is seen whole or in tiles.

    Args:
        place: top and left of the tile, height and width of the picture, int32 [4].
        shape: shape of the tile, int32 [4].

    Returns:
        (True for each sample in the tile, bool [SAMPLES]; row and column there, or of
        another position for the others, int32 [SAMPLES, 2]).
    """
    indices, inside = [], tf.fill([SAMPLES], True)
    for axis, step in enumerate(_STEPS_IN_SQUARE):
        length = tf.cast(place[2 + axis], tf.float64)
        index = tf.cast(_fractions(step) * length, tf.int32) - place[axis]
        inside &= (index >= 0) & (index < shape[1 + axis])
        indices.append(tf.clip_by_value(index, 0, shape[1 + axis] - 1))
    return inside, tf.stack(indices, axis=1)


def _fractions(step: float) -> np.ndarray:
    """SAMPLES numbers from 0 to below 1, evenly spread."""
    return (0.5 + step * np.arange(SAMPLES)) % 1


def _of_each(where: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Indices [SAMPLES, 2] for each of N pictures, [N, SAMPLES, 2]."""
    return tf.tile(where[tf.newaxis], [count, 1, 1])
