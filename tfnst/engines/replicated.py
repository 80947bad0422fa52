"""Several pictures on several devices: each device paints its share of a batch."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfnst.engines import engine, whole
from tfnst.losses import objective

# Steps that one call may take at most; the history has a row for each.
MAX_GROUP = 64


class ReplicatedEngine:
    """An engine whose steps are spread over the devices of a strategy.

    It is used as `StyleTransferEngine` is. Targets and sizes of scales are worked out
    by the plain engine, since TPUs can't resize pictures by Lanczos; the steps, which
    take the time, run on all devices, with no word between them: pictures don't
    depend on each other. Shapes are static in each trace, as TPUs want them.

    Args:
        plain: an engine on the default device.
        replicated: one with the same weights, built in the strategy's scope.
        strategy: of `tf.distribute`.
        jit_compile: whether XLA compiles the steps of each device; TPUs always do.
    """

    def __init__(
        self,
        plain: whole.StyleTransferEngine,
        replicated: whole.StyleTransferEngine,
        strategy: tf.distribute.Strategy,
        *,
        jit_compile: bool = False,
    ) -> None:
        self.feature_extractor = plain.feature_extractor
        self.enter_scale = plain.enter_scale
        self.style_targets = plain.style_targets
        self.replicas = strategy.num_replicas_in_sync
        self._strategy = strategy
        self._axes = _batch_axes(plain)
        on_each = replicated.run_compiled
        if jit_compile:
            on_each = tf.function(on_each, autograph=False, jit_compile=True)

        # No signature: each size has a trace of its own, with static shapes.
        @tf.function(autograph=False)
        def run_all(shares, knobs, steps):
            return strategy.run(
                lambda share: on_each(*share, knobs, steps, rows=MAX_GROUP),
                args=(shares,),
            )

        self._run_all = run_all

    def run(
        self,
        image: tf.Tensor,
        state: engine.TransferState,
        targets: objective.Targets,
        knobs: engine.Knobs,
        steps: tf.Tensor,
    ) -> tuple[tf.Tensor, engine.TransferState, np.ndarray]:
        """As `StyleTransferEngine.run`, of at most MAX_GROUP steps.

        A batch that the devices can't share evenly is filled up with its last picture.

        Returns:
            (image, state, history). A picture whose loss is no longer finite stops
            those of its device only, whose last row is repeated in the history.
        """
        count = int(image.shape[0])
        each = -(-count // self.replicas)
        shares = [
            self._take(image, state, targets, range(i * each, (i + 1) * each), count)
            for i in range(self.replicas)
        ]
        values = self._strategy.experimental_distribute_values_from_function(
            lambda context: shares[context.replica_id_in_sync_group]
        )
        outputs = self._run_all(values, knobs, tf.minimum(steps, MAX_GROUP))
        images, states, histories, taken = zip(
            *(self._local(outputs, i) for i in range(self.replicas)), strict=True
        )
        most = int(max(taken))
        history = np.concatenate(
            [
                np.asarray(rows)[np.minimum(np.arange(most), int(last) - 1)]
                for rows, last in zip(histories, taken, strict=True)
            ],
            axis=2,
        )[:, :, :count]
        return (
            tf.concat(images, axis=0)[:count],
            tf.nest.map_structure(self._join(count), self._axes, *states),
            history,
        )

    def _take(self, image, state, targets, wanted, count):
        """Image, state and targets of some pictures of a batch of `count`."""
        wanted = [min(i, count - 1) for i in wanted]

        def rows(tensor, axis=0):
            if axis is None or tensor.shape[axis] == 1:  # one for all pictures
                return tensor
            return tf.gather(tensor, wanted, axis=axis)

        return (
            rows(image),
            tf.nest.map_structure(rows, state, self._axes),
            tf.nest.map_structure(rows, targets),
        )

    def _local(self, outputs, replica):
        return tf.nest.map_structure(
            lambda value: self._strategy.experimental_local_results(value)[replica],
            outputs,
        )

    @staticmethod
    def _join(count):
        def join(axis, *parts):
            if axis is None:
                return parts[0]
            return tf.gather(tf.concat(parts, axis), range(count), axis=axis)

        return join


def _batch_axes(plain):
    """For each tensor of the state the axis of the pictures; None without one."""

    def axis(one, two):
        differing = np.flatnonzero(np.array(one.shape) != np.array(two.shape))
        return int(differing[0]) if len(differing) else None

    return tf.nest.map_structure(
        axis,
        plain.init_state(tf.zeros([1, 2, 2, 3])),
        plain.init_state(tf.zeros([2, 2, 2, 3])),
    )
