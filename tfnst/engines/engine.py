"""The interface of engines, which paint one scale of a run."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError
from tfnst.config import StyleTransferConfig
from tfnst.losses.objective import Objective, Targets
from tfnst.losses.terms import Losses, LossWeights
from tfnst.optimizers.base import Optimizer

PICTURES_SPEC = tf.TensorSpec([None, None, None, 3], tf.float32)
MASKS_SPEC = tf.TensorSpec([None, None, None, 1], tf.float32)

# The picture being painted, [N, H, W, 3], which engines change in place: a tf.Variable,
# or a NumPy array if it is painted in tiles.
Canvas: TypeAlias = Any

_SUM_OF_DEFAULTS = sum(StyleTransferConfig().loss_weights().values())


class Knobs(NamedTuple):
    """The settings that may change from call to call without a new trace.

    All are float32 scalars, named as in StyleTransferConfig.

    Steps see weights in the same ratios whose sum is that of the defaults: optimisers
    that compare gradients with constants then paint the same picture. Losses are
    reported in the weights of the settings.
    """

    content_weight: tf.Tensor
    style_weight: tf.Tensor
    total_variation_weight: tf.Tensor
    learning_rate: tf.Tensor
    steps: tf.Tensor  # of this scale; learning rates fall with the share done

    @classmethod
    def from_config(cls, config: StyleTransferConfig) -> Knobs:
        """The knobs that a configuration sets."""
        settings = {
            **config.loss_weights(),
            "learning_rate": config.learning_rate,
            "steps": config.steps,
        }
        return cls(**{k: tf.constant(v, tf.float32) for k, v in settings.items()})

    @property
    def style_share(self) -> tf.Tensor:
        """Share of the style in the weights of style and content, scalar, 0 to 1."""
        return self.style_weight / (self.style_weight + self.content_weight)

    def relative_weights(self) -> LossWeights:
        """The weights that steps see."""
        excess = self._excess()
        return LossWeights(*(weight / excess for weight in self._weights()))

    def relative(self, total: tf.Tensor) -> tf.Tensor:
        """A reported total loss as steps see it."""
        return total / self._excess()

    def reported(self, losses: Losses) -> Losses:
        """Losses that steps see, as they are reported."""
        return losses._replace(total=losses.total * self._excess())

    def _weights(self) -> LossWeights:
        return LossWeights(
            self.content_weight, self.style_weight, self.total_variation_weight
        )

    def _excess(self) -> tf.Tensor:
        """The sum of the weights, relative to that of the defaults."""
        return tf.add_n(list(self._weights())) / _SUM_OF_DEFAULTS


KNOBS_SPEC = Knobs(*[tf.TensorSpec([])] * len(Knobs._fields))


class TransferState(NamedTuple):
    """State of a scale between two steps, besides the picture."""

    step: Any  # steps taken at this scale, int32 scalar
    optimizer: Any  # from `Optimizer.init`
    average: Any  # bias-corrected moving average of the pictures, [N, H, W, 3]


# A TransferState, or one of an engine's own with more fields behind these.
State: TypeAlias = Any


class Engine(Protocol):
    """Paints one scale of a run: whole, in tiles, or spread over several devices.

    A run asks for the targets of its styles, enters a scale, and has steps taken until
    the scale is done. It never asks which engine it has.
    """

    @property
    def objective(self) -> Objective:
        """The loss and its targets."""
        ...

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser of the pixels."""
        ...

    @property
    def ema_momentum(self) -> float:
        """Momentum of `TransferState.average`; 0 for none."""
        ...

    def style_targets(
        self,
        style_image: tf.Tensor,
        sides: tf.Tensor,
        mask: tf.Tensor | None = None,
    ) -> dict[str, Any]:
        """`Targets.style` of style images; see `Objective.style_targets`."""
        ...

    def enter_scale(
        self,
        average: tf.Tensor | np.ndarray,
        content_image: tf.Tensor,
        sides: tf.Tensor,
        content_weight: tf.Tensor,
    ) -> tuple[Canvas, State, Any]:
        """Canvas, state and content targets at the start of a scale.

        Args:
            average: `TransferState.average` at the end of the last scale, or the
                first picture of the run.
            content_image: [N, H, W, 3] in [0, 1], of the size of the finest scale.
            sides: height and width of this scale, int32 [2].
            content_weight: scalar.

        Returns:
            (canvas, state, `Targets.content`).
        """
        ...

    def run(
        self,
        canvas: Canvas,
        state: State,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor,
    ) -> tuple[Canvas, State, np.ndarray]:
        """Takes steps until there are `steps`, or the loss is no longer finite.

        An engine may take fewer at a time.

        Args:
            canvas: from `enter_scale`; painted in place.
            state: state of the canvas.
            targets: targets of the size of the canvas.
            knobs: scalars.
            steps: int32 scalar, 1 or more.

        Returns:
            (canvas, state, history), where history is [steps taken, 4, N]: content,
            style, total variation and total loss before each step. After a step whose
            total loss isn't finite the canvas is as it was before that step.
        """
        ...

    def go_back(
        self, canvas: Canvas, good: Any, state: State, step: int
    ) -> tuple[Canvas, State]:
        """The canvas with an earlier picture, and a state without traces of a failure.

        Args:
            canvas: from `run`.
            good: the picture to continue from, [N, H, W, 3].
            state: state after the step that failed; its average is kept.
            step: number of steps of this scale that are done.
        """
        ...

    def restore(
        self,
        canvas: Canvas,
        state: State,
        image: np.ndarray,
        arrays: list[np.ndarray],
    ) -> tuple[Canvas, State]:
        """Canvas and state of a checkpoint.

        Args:
            canvas: canvas of this scale, from `enter_scale`.
            state: its state.
            image: the picture on the canvas when the checkpoint was written.
            arrays: its state, from `flatten_state`.

        Raises:
            ValueError: if the arrays don't fit the scale.
        """
        ...


def flatten_state(state: State) -> list[np.ndarray]:
    """The tensors of a state as arrays, in a fixed order."""
    tensors = tf.nest.flatten(state)
    return [np.asarray(tensor) for tensor in tensors if tensor is not None]


def split_state(
    like: TransferState, arrays: list[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Arrays of `flatten_state`, in those of a plain state and the rest.

    Args:
        like: the state at the start of the scale.
        arrays: from `flatten_state`, perhaps of an engine with a larger state.

    Raises:
        ValueError: if the arrays don't fit the state's shapes.
    """
    wanted = [tuple(each.shape) for each in tf.nest.flatten(like)]
    own, carried = arrays[: len(wanted)], arrays[len(wanted) :]
    if wanted != [array.shape for array in own]:
        raise ArgumentError(
            "a checkpoint of the same run", "one with other shapes", argument="resume"
        )
    return own, carried
