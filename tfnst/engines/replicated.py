"""The engine that spreads several pictures over several devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import Knobs, TransferState
from tfnst.engines.whole import WholeEngine
from tfnst.losses.objective import Targets

# Most steps that one call takes; the history has a row for each.
MAX_GROUP = 64


class ReplicatedEngine(WholeEngine):
    """A WholeEngine whose steps run on all devices of a strategy.

    Targets and the starts of scales are computed on the default device, because TPUs
    can't resize pictures by Lanczos. The steps, which take the time, run on all devices
    without any communication, because pictures don't depend on each other. Shapes are
    static in each trace, as TPUs want them.

    Args:
        plain: an engine on the default device.
        replicated: an engine with the same weights, built in the strategy's scope.
        strategy: from `tf.distribute`.
        jit_compile: True if XLA compiles the steps of each device; TPUs always do.
    """

    def __init__(
        self,
        plain: WholeEngine,
        replicated: WholeEngine,
        strategy: tf.distribute.Strategy,
        *,
        jit_compile: bool = False,
    ) -> None:
        super().__init__(
            plain.objective,
            plain.optimizer,
            ema_momentum=plain.ema_momentum,
            content_detail=plain.content_detail,
        )
        self.replicas = strategy.num_replicas_in_sync
        self._strategy = strategy
        self._axes = _batch_axes(plain)
        on_each: Callable[..., Any] = replicated.run_compiled
        if jit_compile:
            on_each = tf.function(on_each, autograph=False, jit_compile=True)

        # No signature: each size has a trace of its own, with static shapes.
        @tf.function(autograph=False)
        def run_all(shares: Any, knobs: Knobs, steps: tf.Tensor) -> Any:
            def run_one(share: Any) -> Any:
                image, state, given = share
                targets = Targets(**given)
                return on_each(image, state, targets, knobs, steps, rows=MAX_GROUP)

            return strategy.run(run_one, args=(shares,))

        self._run_all = run_all

    def run(
        self,
        canvas: tf.Variable,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor,
    ) -> tuple[tf.Variable, TransferState, np.ndarray]:
        """As `Engine.run`, at most MAX_GROUP steps at a time.

        If the devices can't share a batch evenly, its last picture is repeated. A
        picture whose loss is no longer finite stops only the pictures of its own
        device, whose last row is repeated in the history.
        """
        count = int(canvas.shape[0])
        each = -(-count // self.replicas)
        shares = [
            self._take(canvas, state, targets, range(i * each, (i + 1) * each), count)
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
        canvas.assign(tf.concat(images, axis=0)[:count])
        joined = tf.nest.map_structure(self._join(count), self._axes, *states)
        return canvas, joined, history

    def _take(
        self,
        image: tf.Variable,
        state: TransferState,
        targets: Targets,
        indices: Iterable[int],
        count: int,
    ) -> tuple[tf.Tensor, TransferState, dict[str, Any]]:
        """Image, state and given targets of some pictures of a batch of `count`."""
        wanted = [min(i, count - 1) for i in indices]

        def rows(tensor: Any, axis: int | None = 0) -> Any:
            if axis is None or tensor.shape[axis] == 1:  # one for all pictures
                return tensor
            return tf.gather(tensor, wanted, axis=axis)

        return (
            rows(tf.convert_to_tensor(image)),
            tf.nest.map_structure(rows, state, self._axes),
            tf.nest.map_structure(rows, targets.given()),
        )

    def _local(self, outputs: Any, replica: int) -> Any:
        return tf.nest.map_structure(
            lambda value: self._strategy.experimental_local_results(value)[replica],
            outputs,
        )

    @staticmethod
    def _join(count: int) -> Callable[..., tf.Tensor]:
        def join(axis: int | None, *parts: tf.Tensor) -> tf.Tensor:
            if axis is None:
                return parts[0]
            return tf.gather(tf.concat(parts, axis), range(count), axis=axis)

        return join


def _batch_axes(plain: WholeEngine) -> Any:
    """The axis of the pictures for each tensor of the state; None if it has none."""

    def axis(one: tf.Tensor, two: tf.Tensor) -> int | None:
        differing = np.flatnonzero(np.array(one.shape) != np.array(two.shape))
        return int(differing[0]) if len(differing) else None

    return tf.nest.map_structure(
        axis,
        plain.init_state(tf.zeros([1, 2, 2, 3])),
        plain.init_state(tf.zeros([2, 2, 2, 3])),
    )
