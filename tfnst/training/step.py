"""A step of training: the network's loss on some crops, and one update of its weights.

The step is a pure function of tensors, as in `tfnst.engines`: the weights of the
network go in and come out. So a training is resumed bit for bit from its state, and a
step that fails leaves nothing behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.engines.compiling import compiled, output_spec
from tfnst.losses.objective import Objective, Targets
from tfnst.losses.terms import Losses, LossWeights
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.optimizers.adam import AdamState, adam_init, adam_update, bias_correction

# Momentum of the average of the weights.
_EMA_MOMENTUM = 0.99
# The learning rate falls along a cosine to this share.
_LAST_RATE = 0.02
# Most pixels that a crop is moved by, down or up and right or left, to see whether its
# painting moves with it, and the deviation of the noise that is added.
_MOVE, _NOISE = 8, 0.02


class TrainingState(NamedTuple):
    """State of a training between two steps; all weights lie in a row, [1, P].

    Attributes:
        step: number of steps taken, int32 scalar.
        weights: weights of the network.
        optimizer: state of Adam.
        average: bias-corrected moving average of the weights.
    """

    step: Any
    weights: Any
    optimizer: AdamState
    average: Any


class TrainingStep:
    """The compiled step for a style and a network.

    Args:
        network: the network; its own weights are not changed.
        objective: the loss that it learns to minimise.
        style_targets: `Targets.style`, [1, ...], of each size that crops are compared
            at: their own, half of it, and so on.
        weights: weights of the losses.
        temporal_weight: weight of `unsteadiness`. Default 0.
    """

    def __init__(
        self,
        network: PaintingNetwork,
        objective: Objective,
        style_targets: Sequence[dict[str, Any]],
        weights: LossWeights,
        temporal_weight: float = 0.0,
    ) -> None:
        self._network = network
        self._objective = objective
        self._style_targets = style_targets
        self._weights = weights
        self._temporal_weight = temporal_weight
        self._shapes = [tuple(v.shape) for v in network.trainable_variables]
        pictures = tf.TensorSpec([None, None, None, 3])
        row = tf.TensorSpec([1, self.count])
        scalar = tf.TensorSpec([], tf.int32)
        state = TrainingState(scalar, row, AdamState(scalar, row, row), row)
        #: `Targets.content` of crops [N, H, W, 3], of each size.
        self.content_targets = compiled(self._content_targets, pictures)
        self.run = compiled(
            self._run,
            state,
            pictures,
            output_spec(self.content_targets),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([]),
        )

    @property
    def count(self) -> int:
        """Number of weights."""
        return sum(map(math.prod, self._shapes))

    def first_state(self) -> TrainingState:
        """The state before the first step, from the weights of the network."""
        rows = [np.ravel(v) for v in self._network.trainable_variables]
        weights = tf.constant(np.concatenate(rows)[np.newaxis], tf.float32)
        return TrainingState(tf.constant(0), weights, adam_init(weights), weights)

    def assign(self, row: tf.Tensor) -> None:
        """Gives the network the weights of a row, such as `TrainingState.average`."""
        parts = self._split(row)
        for variable, part in zip(
            self._network.trainable_variables, parts, strict=True
        ):
            variable.assign(part)

    def _split(self, row: tf.Tensor) -> list[tf.Tensor]:
        sizes = [math.prod(shape) for shape in self._shapes]
        parts = tf.split(row[0], sizes)
        return [tf.reshape(p, s) for p, s in zip(parts, self._shapes, strict=True)]

    def _sizes(self, pictures: tf.Tensor) -> list[tf.Tensor]:
        """Pictures at each size that they are compared at."""
        sizes = [pictures]
        while len(sizes) < len(self._style_targets):
            sizes.append(tf.nn.avg_pool2d(sizes[-1], 2, 2, "VALID"))
        return sizes

    def _content_targets(self, crops: tf.Tensor) -> list[dict[str, tf.Tensor]]:
        return [self._objective.content_targets(each) for each in self._sizes(crops)]

    def _losses(
        self, painted: tf.Tensor, content_targets: list[dict[str, tf.Tensor]]
    ) -> Losses:
        """The losses of painted crops, averaged over the sizes, each [N]."""
        each = [
            self._objective.losses(picture, Targets(content, style), self._weights)
            for picture, content, style in zip(
                self._sizes(painted), content_targets, self._style_targets, strict=True
            )
        ]
        return tf.nest.map_structure(lambda *terms: tf.add_n(terms) / len(terms), *each)

    def _run(
        self,
        state: TrainingState,
        crops: tf.Tensor,
        content_targets: list[dict[str, tf.Tensor]],
        chosen: tf.Tensor,
        rate: tf.Tensor,
    ) -> tuple[TrainingState, tf.Tensor]:
        """One update of the weights by the mean loss of the chosen crops.

        Args:
            state: the state.
            crops: a block of crops, [K, H, W, 3] in [0, 1].
            content_targets: their `Targets.content` of each size, [K, ...].
            chosen: numbers of the crops that the step sees, int32 [N].
            rate: learning rate, scalar.

        Returns:
            (state, mean losses [4]). If the loss or the new weights aren't finite, the
            state that comes out is the one that came in, and the total loss is NaN.
        """
        pictures = tf.gather(crops, chosen)
        content = tf.nest.map_structure(lambda t: tf.gather(t, chosen), content_targets)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.weights)
            parts = self._split(state.weights)

            def paint(pictures: tf.Tensor) -> tf.Tensor:
                return self._network.stateless_call(parts, [], pictures)[0]

            painted = paint(pictures)
            measured = self._losses(painted, content)
            if self._temporal_weight:
                moving = unsteadiness(paint, pictures, painted, state.step)
                total = measured.total + self._temporal_weight * moving
                measured = measured._replace(total=total)
            total = tf.reduce_mean(measured.total)
        gradients = tape.gradient(total, state.weights)
        weights, optimizer = adam_update(
            state.weights, gradients, state.optimizer, learning_rate=rate
        )
        step = state.step + 1
        share = (1 - _EMA_MOMENTUM) / bias_correction(_EMA_MOMENTUM, step, tf.float32)
        average = state.average + share * (weights - state.average)
        finite = tf.math.is_finite(total) & tf.reduce_all(tf.math.is_finite(weights))
        following = TrainingState(step, weights, optimizer, average)
        kept = tf.nest.map_structure(
            lambda new, old: tf.where(finite, new, old), following, state
        )
        means = Losses(*map(tf.reduce_mean, measured))
        means = means._replace(total=tf.where(finite, total, math.nan))
        return kept, tf.stack(means)


def unsteadiness(
    paint: Callable[[tf.Tensor], tf.Tensor],
    pictures: tf.Tensor,
    painted: tf.Tensor,
    step: tf.Tensor,
) -> tf.Tensor:
    """Mean squared difference between moved paintings and paintings of moved pictures.

    Pictures are moved by a random number of whole pixels, which blur nothing, and get
    some noise. Their edges don't count, where other things come into sight.

    Args:
        paint: function of pictures that gives painted ones.
        pictures: [N, H, W, 3] in [0, 1].
        painted: the same, painted.
        step: number that the random ones depend on, int32 scalar.

    Returns:
        [N], 0 or more.

    Reference:
        Gao et al., "ReCoNet: Real-time Coherent Video Style Transfer Network", arXiv
        1807.01197, whose pictures are frames of films, moved by optical flow.
    """
    seed = tf.stack([0, step])
    move = tf.random.stateless_uniform([2], seed, -_MOVE, _MOVE + 1, tf.int32)
    noise = tf.random.stateless_normal(tf.shape(pictures), seed, stddev=_NOISE)
    again = paint(_moved(pictures, move) + noise)
    difference = again - _moved(painted, move)
    inside = difference[:, _MOVE:-_MOVE, _MOVE:-_MOVE]
    return tf.reduce_mean(tf.square(inside), axis=[1, 2, 3])


def _moved(pictures: tf.Tensor, move: tf.Tensor) -> tf.Tensor:
    """Pictures moved up and to the left, reflected at their edges."""
    sides = [_MOVE, _MOVE]
    wide = tf.pad(pictures, [[0, 0], sides, sides, [0, 0]], "REFLECT")
    begin = tf.concat([[0], _MOVE + move, [0]], axis=0)
    return tf.slice(wide, begin, tf.shape(pictures))


def falling_rate(highest: float, done: float) -> float:
    """Learning rate after a share of a training, along a cosine.

    Args:
        highest: the first learning rate.
        done: share of the training that is done, from 0 to 1.

    Reference:
        Loshchilov, Hutter, "SGDR", arXiv 1608.03983, without restarts.
    """
    falling = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return highest * (_LAST_RATE + (1 - _LAST_RATE) * falling)
