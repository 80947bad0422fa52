"""The base class of optimisers of pixels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class Optimizer:
    """An (init, update) pair of pure functions that changes the pixels.

    An optimiser of one's own derives from this class and has two methods, `init` and
    `update`; an object of it is the setting `optimizer`. Pictures are [N, H, W, 3] in
    [0, 1]; the N problems are independent.

    Attributes:
        elementwise: True if every value is updated by itself, whatever the others are.
            The state then holds scalars and tensors like the picture, all of them 0
            before the first step, so that a picture can be updated strip by strip.
        history_images: pictures held in memory during a step beyond two moments, old
            and new; only `max_memory` depends on it.
    """

    elementwise = False
    history_images = 0

    def init(self, image: tf.Tensor) -> Any:
        """The state before the first step from a picture."""
        raise NotImplementedError(f"{type(self).__name__} has no method `init`")

    def update(
        self,
        image: tf.Tensor,
        loss: tf.Tensor,
        gradients: tf.Tensor,
        state: Any,
        *,
        learning_rate: tf.Tensor,
    ) -> tuple[tf.Tensor, Any]:
        """The next picture to evaluate, and the next state.

        Args:
            image: the picture that was evaluated.
            loss: its loss, [N].
            gradients: gradients of the loss, like `image`.
            state: from `init` or the last update.
            learning_rate: rate of this step, from `rate`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `update`")

    def rate(self, learning_rate: tf.Tensor, done: tf.Tensor) -> tf.Tensor:
        """The learning rate of a step; by default the same for all.

        Args:
            learning_rate: the setting, a scalar above 0, in units of the pixel range.
            done: share of the steps of this scale that are done before it, scalar.
        """
        return learning_rate

    def best(self, state: Any) -> tf.Tensor | None:
        """The best picture so far, if the state keeps one; its loss is finite.

        None by default: the search has reached the picture that `update` returned.
        """
        return None
