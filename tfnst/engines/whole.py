"""The engine that computes a step of a whole picture at once, as one graph.

All of its mathematics are pure functions of tensors, so that `tfnst.stylize` and an
exported SavedModel run the same.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.engines.compiling import compiled, output_spec
from tfnst.engines.engine import (
    KNOBS_SPEC,
    MASKS_SPEC,
    PICTURES_SPEC,
    Knobs,
    TransferState,
    split_state,
)
from tfnst.engines.enlarging import enlarge
from tfnst.engines.warming import WarmedFunction, blank
from tfnst.losses.objective import Objective, Targets
from tfnst.losses.terms import Losses
from tfnst.networks.features import layer_strides
from tfnst.ops.resizing import resize_image
from tfnst.optimizers.adam import bias_correction
from tfnst.optimizers.base import Optimizer


class WholeEngine:
    """Targets, step and loop for one objective and one optimiser.

    It is an `Engine`, and holds the pure functions that the other engines and exported
    models are made of: `step`, `run_compiled` and `enter`.

    Args:
        objective: the loss and its targets.
        optimizer: the optimiser of the pixels.
        ema_momentum: momentum of the average of the iterates; 0 for the last iterate.
        content_detail: share of the content image's finest detail that is added when
            the picture is enlarged, 0 to 1.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        *,
        ema_momentum: float,
        content_detail: float,
    ) -> None:
        self.objective = objective
        self.optimizer = optimizer
        self.ema_momentum = ema_momentum
        self.content_detail = content_detail
        self._loops: dict[frozenset[str], WarmedFunction] = {}
        self.state_spec = self._build_state_spec()
        # A function of its own, for a reason: oneDNN's max pooling gets its gradient
        # only where TensorFlow meets it after the pooling, and in a loop, whose graph
        # is a circle, it may come first.
        self._step = tf.function(
            self.step, autograph=False, experimental_attributes={"_noinline": True}
        )
        self.update = compiled(
            self._update,
            PICTURES_SPEC,
            Losses(*[tf.TensorSpec([None])] * 4),
            PICTURES_SPEC,
            self.state_spec,
            KNOBS_SPEC,
        )
        sides, scalar = tf.TensorSpec([2], tf.int32), tf.TensorSpec([])
        self._enter = compiled(self.enter, PICTURES_SPEC, PICTURES_SPEC, sides, scalar)
        self._plain_targets = compiled(objective.style_targets, PICTURES_SPEC, sides)
        self._masked_targets = compiled(
            objective.style_targets, PICTURES_SPEC, sides, MASKS_SPEC
        )

    @property
    def feature_extractor(self) -> keras.Model:
        return self.objective.feature_extractor

    @functools.cached_property
    def style_spec(self) -> dict[str, Any]:
        """The shapes of `Targets.style`, with None for N."""
        return output_spec(self._plain_targets)

    def run_steps(
        self,
        image: tf.Tensor | tf.Variable,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor,
    ) -> tuple[tf.Tensor, TransferState, tf.Tensor]:
        """As `run`, without changing the picture that comes in."""
        given = targets.given()
        return self.loop(given)(image, state, given, knobs, steps)

    @property
    def traces(self) -> int:
        """Number of traces of the steps: one for each kind of targets."""
        return sum(loop.traces for loop in self._loops.values())

    def loop(self, given: Collection[str]) -> WarmedFunction:
        """The compiled steps for one kind of targets.

        Args:
            given: names of the targets that aren't None, from `Targets.given`.
        """
        kind = frozenset(given)
        if kind not in self._loops:
            targets = {
                "content": self.objective.content_spec(),
                "style": self.style_spec,
                "regions": MASKS_SPEC,
                "temporal": (PICTURES_SPEC, MASKS_SPEC),
            }
            steps = compiled(
                self._run_steps,
                PICTURES_SPEC,
                self.state_spec,
                {name: targets[name] for name in kind},
                KNOBS_SPEC,
                tf.TensorSpec([], tf.int32),
            )
            blank_step = functools.partial(self.blank_step, kind)
            self._loops[kind] = WarmedFunction(steps, blank_step)
        return self._loops[kind]

    def blank_step(self, given: Collection[str]) -> tuple[Any, ...]:
        """The arguments of `loop(given)` for a step of the smallest picture."""
        objective = self.objective
        border, strides = objective.border, layer_strides(self.feature_extractor)
        side = 2 * border.stride
        padded = side + sum(border.widths(side))
        counting = padded - sum(border.margins)
        image = blank(PICTURES_SPEC, side)
        targets = {
            "content": {
                layer: blank(spec, counting // strides[layer])
                for layer, spec in objective.content_spec().items()
            },
            "style": tf.nest.map_structure(blank, self.style_spec),
            "regions": blank(MASKS_SPEC, padded),
            "temporal": (image, blank(MASKS_SPEC, side)),
        }
        targets = {name: targets[name] for name in given}
        knobs = tf.nest.map_structure(blank, KNOBS_SPEC)
        return image, self.init_state(image), targets, knobs, tf.constant(1)

    def init_state(self, image: tf.Tensor) -> TransferState:
        """The state before the first step from `image`, [N, H, W, 3]."""
        return TransferState(tf.constant(0), self.optimizer.init(image), image)

    def style_targets(
        self, style_image: tf.Tensor, sides: tf.Tensor, mask: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """As `Engine.style_targets`, also in graphs."""
        if mask is None:
            return self._plain_targets(style_image, sides)
        return self._masked_targets(style_image, sides, mask)

    def targets(self, content_image: tf.Tensor, style_image: tf.Tensor) -> Targets:
        """The targets of pictures that have the size of the scale already.

        Args:
            content_image: [N, H, W, 3] in [0, 1].
            style_image: [N or 1, h, w, 3] in [0, 1].
        """
        sides = tf.shape(style_image)[1:3]
        return Targets(
            self.objective.content_targets(content_image),
            self.style_targets(style_image, sides),
        )

    def enter_scale(
        self,
        average: tf.Tensor,
        content_image: tf.Tensor,
        sides: tf.Tensor,
        content_weight: tf.Tensor,
    ) -> tuple[tf.Variable, TransferState, dict[str, tf.Tensor]]:
        """As `Engine.enter_scale`; the canvas is a variable."""
        image, state, content = self._enter(
            average, content_image, sides, content_weight
        )
        return tf.Variable(image, name="stylized_image"), state, content

    def run(
        self,
        canvas: tf.Variable,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor,
    ) -> tuple[tf.Variable, TransferState, np.ndarray]:
        """As `Engine.run`."""
        image, state, history = self.run_steps(canvas, state, targets, knobs, steps)
        canvas.assign(image)
        return canvas, state, history.numpy()

    def go_back(
        self, canvas: tf.Variable, good: Any, state: TransferState, step: int
    ) -> tuple[tf.Variable, TransferState]:
        """As `Engine.go_back`."""
        canvas.assign(good)
        fresh = self.init_state(tf.convert_to_tensor(good))
        return canvas, fresh._replace(step=tf.constant(step), average=state.average)

    def restore(
        self,
        canvas: tf.Variable,
        state: TransferState,
        image: np.ndarray,
        arrays: list[np.ndarray],
    ) -> tuple[tf.Variable, TransferState]:
        """As `Engine.restore`."""
        # A run that began in tiles may go on whole, where there is more memory.
        own, _ = split_state(state, arrays)
        canvas.assign(image)
        tensors = [
            tf.constant(array, like.dtype)
            for array, like in zip(own, tf.nest.flatten(state), strict=True)
        ]
        return canvas, tf.nest.pack_sequence_as(state, tensors)

    def enter(
        self,
        average: tf.Tensor,
        content_image: tf.Tensor,
        sides: tf.Tensor,
        content_weight: tf.Tensor,
    ) -> tuple[tf.Tensor, TransferState, dict[str, tf.Tensor]]:
        """As `enter_scale`, as a pure function of tensors."""
        wrap = self.objective.seamless
        content_image = resize_image(content_image, sides[0], sides[1], wrap=wrap)
        image = enlarge(
            average,
            content_image,
            content_weight,
            content_detail=self.content_detail,
            wrap=wrap,
        )
        # An optimiser's state belongs to another loss, so it starts anew.
        state = self.init_state(image)
        return image, state, self.objective.content_targets(content_image)

    def step(
        self,
        image: tf.Tensor,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
    ) -> tuple[tf.Tensor, TransferState, Losses]:
        """One evaluation of the loss and its gradient, and one update of the pixels.

        It is pure: the same arguments give the same results, and nothing else changes.

        Args:
            image: [N, H, W, 3] in [0, 1].
            state: state of the same size.
            targets: targets of the same size.
            knobs: scalars.

        Returns:
            (image, state, losses); the losses are those of the picture that came in.
            If the loss or the new picture isn't finite, the picture that comes out is
            the one that came in, and the total loss is NaN.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            measured = self._losses(image, targets, knobs)
        units = tf.fill(tf.shape(measured.total), gradient_unit(image))
        gradients = tape.gradient(measured.total, image, output_gradients=units)
        return self._update(image, knobs.reported(measured), gradients, state, knobs)

    def _losses(self, image: tf.Tensor, targets: Targets, knobs: Knobs) -> Losses:
        return self.objective.losses(image, targets, knobs.relative_weights())

    def _update(
        self,
        image: tf.Tensor,
        measured: Losses,
        gradients: tf.Tensor,
        state: TransferState,
        knobs: Knobs,
    ) -> tuple[tf.Tensor, TransferState, Losses]:
        """The second half of a step: the update by losses and gradients.

        With an elementwise optimiser a picture can be updated in parts.

        Args:
            image: as for `step`.
            measured: losses of `image`, as they are reported.
            gradients: gradients of the total loss with relative weights, times
                `gradient_unit`, like `image`.
            state: as for `step`.
            knobs: as for `step`.

        Returns:
            As `step`.
        """
        done = tf.cast(state.step, tf.float32) / knobs.steps
        updated, memory = self.optimizer.update(
            image,
            # An optimiser that looks at the loss sees whole pictures.
            knobs.relative(measured.total) * gradient_unit(image),
            gradients,
            state.optimizer,
            learning_rate=self.optimizer.rate(knobs.learning_rate, done),
        )
        best = self.optimizer.best(memory)
        iterate = updated if best is None else best
        count = state.step + 1
        momentum = self.ema_momentum
        share = (1 - momentum) / bias_correction(momentum, count, tf.float32)
        average = state.average + share * (iterate - state.average)

        # A loss that isn't finite shows by itself; a picture that isn't would show
        # only one step later, when the last good one is gone.
        finite = tf.reduce_all(tf.math.is_finite(measured.total)) & tf.reduce_all(
            tf.math.is_finite(updated)
        )
        total = measured.total / tf.cast(finite, measured.total.dtype)
        return (
            tf.where(finite, updated, image),
            TransferState(count, memory, tf.where(finite, average, state.average)),
            measured._replace(total=total),
        )

    def run_compiled(
        self,
        image: tf.Tensor,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor,
        *,
        rows: int | tf.Tensor,
    ) -> tuple[tf.Tensor, TransferState, tf.Tensor, tf.Tensor]:
        """Steps in a loop in which no shape depends on a value, as XLA requires.

        Args:
            image: [N, H, W, 3] in [0, 1].
            state: state of the same size.
            targets: targets of the same size.
            knobs: scalars.
            steps: int32 scalar, at most `rows` unless `rows` is 1.
            rows: number of rows of the history.

        Returns:
            (image, state, history [rows, 4, N], number of steps taken). Rows that no
            step has filled are 0; `rows=1` keeps those of the last step.
        """
        history = tf.zeros([rows, 4, tf.shape(image)[0]])
        last_row = tf.shape(history)[0] - 1

        def unfinished(index: tf.Tensor, finite: tf.Tensor, *_: Any) -> tf.Tensor:
            return finite & (index < steps)

        def body(
            index: tf.Tensor,
            _: tf.Tensor,
            image: tf.Tensor,
            state: TransferState,
            history: tf.Tensor,
        ) -> tuple[Any, ...]:
            image, state, measured = self._step(image, state, targets, knobs)
            row = tf.reshape(tf.minimum(index, last_row), [1, 1])
            history = tf.tensor_scatter_nd_update(history, row, [tf.stack(measured)])
            finite = tf.reduce_all(tf.math.is_finite(measured.total))
            return index + 1, finite, image, state, history

        taken, _, image, state, history = tf.while_loop(
            unfinished,
            body,
            (tf.constant(0), tf.constant(True), image, state, history),
            maximum_iterations=steps,
            # Steps depend on each other; more would only hold more memory.
            parallel_iterations=1,
        )
        return image, state, history, taken

    def _run_steps(
        self,
        image: tf.Tensor,
        state: TransferState,
        given: dict[str, Any],
        knobs: Knobs,
        steps: tf.Tensor,
    ) -> tuple[tf.Tensor, TransferState, tf.Tensor]:
        """As `run`, as a pure function of tensors."""
        image, state, history, taken = self.run_compiled(
            image, state, Targets(**given), knobs, steps, rows=steps
        )
        return image, state, history[:taken]

    def _build_state_spec(self) -> TransferState:
        """The state's shapes, with None where they depend on the pictures' size."""

        def spec(one: tf.Tensor, other: tf.Tensor) -> tf.TensorSpec:
            shape = [
                a if a == b else None
                for a, b in zip(one.shape, other.shape, strict=True)
            ]
            return tf.TensorSpec(shape, one.dtype)

        return tf.nest.map_structure(
            spec,
            self.init_state(tf.zeros([1, 2, 2, 3])),
            self.init_state(tf.zeros([2, 4, 4, 3])),
        )


def gradient_unit(image: tf.Tensor) -> tf.Tensor:
    """The factor of gradients of pictures [N, H, W, 3], a float32 scalar.

    Losses are means over positions, so the gradients of a picture four times as large
    are a quarter as large. From the default size on, this makes up for it, so that
    Adam's epsilon stays as small beside them.
    """
    size = StyleTransferConfig.size
    values = tf.cast(tf.reduce_prod(tf.shape(image)[1:]), tf.float32)
    return tf.maximum(values / (3 * size**2), 1.0)
