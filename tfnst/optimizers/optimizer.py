"""Optimisers of pixels by name."""

from __future__ import annotations

from typing import Any, Protocol

import tensorflow as tf

from tfnst.optimizers.adam import Adam
from tfnst.optimizers.lbfgs import LBFGS


class Optimizer(Protocol):
    """An (init, update) pair of pure functions, and what engines need to know of it.

    Pictures are [N, H, W, 3] in [0, 1]; the N problems are independent.
    """

    @property
    def elementwise(self) -> bool:
        """Whether every value is updated by itself, whatever the others are.

        The state then holds scalars and tensors like the picture, which are constant
        before the first step; so a picture may be updated strip by strip.
        """
        ...

    @property
    def history_images(self) -> int:
        """Pictures that a step holds in memory beyond two moments, old and new."""
        ...

    def rate(self, learning_rate: tf.Tensor, done: tf.Tensor) -> tf.Tensor:
        """The learning rate of a step.

        Args:
            learning_rate: as set for the run, scalar.
            done: share of the steps of this scale that are done before it, scalar.
        """
        ...

    def init(self, image: tf.Tensor) -> Any:
        """The state before the first step from a picture."""
        ...

    def update(
        self,
        image: tf.Tensor,
        loss: tf.Tensor,
        gradients: tf.Tensor,
        state: Any,
        *,
        learning_rate: tf.Tensor,
        done: tf.Tensor,
    ) -> tuple[tf.Tensor, Any]:
        """The next picture to evaluate, and the next state.

        Args:
            image: the picture that was evaluated.
            loss: its loss, [N].
            gradients: of the loss, like `image`.
            state: from `init` or the last update.
            learning_rate: scalar, above 0, in units of the pixel range [0, 1].
            done: share of the steps of this scale that are done, scalar.
        """
        ...

    def iterate(self, image: tf.Tensor, state: Any) -> tf.Tensor:
        """The picture that the search has reached, from what `update` gave."""
        ...

    def last_good(self, state: Any) -> tf.Tensor | None:
        """A picture whose loss was finite, to go back to; None if none is kept."""
        ...


_OPTIMIZERS: dict[str, Optimizer] = {"adam": Adam(), "lbfgs": LBFGS()}


def build_optimizer(name: str) -> Optimizer:
    """The optimiser that the setting `optimizer` names."""
    return _OPTIMIZERS[name]
