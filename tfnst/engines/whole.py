"""The optimisation itself: targets, the pure step, the loop and the whole run.

Everything here is tensors in, tensors out, with no variable and no file, so that
`tfnst.stylize` and an exported SavedModel run the same mathematics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.engines.engine import (
    KNOBS_SPEC,
    MASKS_SPEC,
    PICTURES_SPEC,
    Knobs,
    TransferState,
)
from tfnst.losses import statistics, terms
from tfnst.losses.objective import Targets
from tfnst.networks.features import layer_strides
from tfnst.ops.masks import layer_weights, resize_mask, weigh_regions
from tfnst.ops.resizing import resize_image, resize_rows
from tfnst.optimizers import adam, lbfgs


class StyleTransferEngine:
    """Targets, step and loop for one feature extractor and one configuration.

    Args:
        feature_extractor: from `tfnst.networks.features.build_feature_extractor`.
        config: layers, layer weights, optimizer and ema_momentum are read from it;
            everything else is passed to each call.
        regions: whether `Targets.regions` holds something.
    """

    def __init__(
        self,
        feature_extractor: keras.Model,
        config: StyleTransferConfig,
        *,
        regions: bool = False,
    ) -> None:
        self.feature_extractor = feature_extractor
        self.config = config
        self._regions = regions
        self._strides = layer_strides(feature_extractor)
        self.content_layer_weights = _normalized(
            config.content_layers,
            config.content_layer_weights or [1.0] * len(config.content_layers),
        )
        self.style_layer_weights = _normalized(
            config.style_layers,
            config.style_layer_weights
            or [0.5**i for i in range(len(config.style_layers))],
        )
        if config.style_loss == "gram":
            self.style_statistics = statistics.gram_of_sums
            self._style_distance = terms.style_loss
        else:
            self.style_statistics = statistics.moments_of_sums
            self._style_distance = terms.moments_loss
        self._state_spec = self._build_state_spec()
        self.run = tf.function(
            self._run, autograph=False, input_signature=self._run_signature()
        )
        self.enter_scale = tf.function(
            self._enter_scale,
            autograph=False,
            input_signature=[
                PICTURES_SPEC,
                PICTURES_SPEC,
                tf.TensorSpec([2], tf.int32),
                tf.TensorSpec([]),
            ],
        )
        self.style_targets = tf.function(
            self._style_targets,
            autograph=False,
            input_signature=[PICTURES_SPEC, tf.TensorSpec([2], tf.int32)],
        )
        self.masked_style_targets = tf.function(
            self._style_targets,
            autograph=False,
            input_signature=[PICTURES_SPEC, tf.TensorSpec([2], tf.int32), MASKS_SPEC],
        )
        self.update = tf.function(
            self._update,
            autograph=False,
            input_signature=[
                PICTURES_SPEC,
                terms.Losses(*[tf.TensorSpec([None])] * 4),
                PICTURES_SPEC,
                self._state_spec,
                KNOBS_SPEC,
            ],
        )

    def init_state(self, image: tf.Tensor) -> TransferState:
        """The state before the first step from `image`, [N, H, W, 3]."""
        if self.config.optimizer == "adam":
            optimizer = adam.adam_init(image)
        else:
            optimizer = lbfgs.lbfgs_init(image)
        return TransferState(tf.constant(0), optimizer, image)

    def paint(
        self,
        content_image: tf.Tensor,
        first_image: tf.Tensor,
        scales: tf.Tensor,
        knobs: Knobs,
        *,
        scale_steps: tf.Tensor,
        style_targets: Callable[[tf.Tensor], dict[str, Any]],
        masks: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A whole run, coarse to fine, as one graph.

        It is what `tfnst.stylize` does between its callbacks, but nothing is rolled
        back: a loss that isn't finite ends the run.

        Args:
            content_image: [N, H, W, 3] in [0, 1], at the size of the finest scale.
            first_image: to start from, [N, h, w, 3] in [0, 1].
            scales: height and width of each scale, int32 [scales, 2].
            knobs: scalars; `steps` is not looked at.
            scale_steps: int32 [scales], from `scale_steps`.
            style_targets: gives `Targets.style` for the index of a scale.
            masks: of the regions of an engine that has them, [K, H, W, 1].

        Returns:
            (stylized image [N, H, W, 3], losses [4, N] of the last step: content,
            style, total variation, total). The total loss is NaN for a run that
            ended early since its loss was no longer finite.
        """
        count = tf.shape(scales)[0]

        def unfinished(scale, finite, *_):
            return finite & (scale < count)

        def body(scale, _, state, measured):
            sides = scales[scale]
            image, state, content = self._enter_scale(
                state.average, content_image, sides, knobs.content_weight
            )
            regions = () if masks is None else (resize_mask(masks, *tf.unstack(sides)),)
            steps = scale_steps[scale]
            here = knobs._replace(steps=tf.cast(steps, tf.float32))
            targets = Targets(content, style_targets(scale), regions)
            _, state, history, _ = self.run_compiled(
                image, state, targets, here, steps, rows=1
            )
            measured = history[0]
            finite = tf.reduce_all(tf.math.is_finite(measured))
            return scale + 1, finite, state, measured

        _, _, state, measured = tf.while_loop(
            unfinished,
            body,
            (
                tf.constant(0),
                tf.constant(True),
                self.init_state(first_image),
                tf.zeros([4, tf.shape(first_image)[0]]),
            ),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([]),
                tf.nest.map_structure(lambda spec: spec.shape, self._state_spec),
                tf.TensorShape([4, None]),
            ),
            parallel_iterations=1,
        )
        return state.average, measured

    def _enter_scale(self, average, content_image, sides, content_weight):
        """What a scale starts with.

        Args:
            average: `TransferState.average` at the end of the last scale, or the
                picture that the run starts from.
            content_image: [N, H, W, 3].
            sides: int32 [2], height and width of this scale.
            content_weight: scalar.

        Returns:
            (image, state, `Targets.content`).
        """
        content_image = resize_image(content_image, sides[0], sides[1])
        image = self.enlarge(average, content_image, content_weight)
        # What optimizers remember belongs to another loss and starts anew.
        state = self.init_state(image)
        return image, state, self._content_targets(content_image)

    def enlarge(
        self, average: tf.Tensor, content_image: tf.Tensor, content_weight: tf.Tensor
    ) -> tf.Tensor:
        """The picture of the last scale at the size of this one.

        It gets the detail that the content has at this scale and can't have had at
        the last one: a window of two pixels is there to be painted, where the
        enlarged picture has a blur.

        Args:
            average: [N, h, w, 3].
            content_image: [N, H, W, 3], of this scale's size.
            content_weight: scalar; 0 leaves the detail out.

        Returns:
            [N, H, W, 3].
        """
        coarse, fine = tf.shape(average), tf.shape(content_image)
        blurred = resize_image(content_image, coarse[1], coarse[2])
        return self.enlarge_rows(
            average, blurred, content_image, content_weight, height=fine[1], top=0
        )

    def enlarge_rows(
        self,
        average: tf.Tensor,
        blurred: tf.Tensor,
        content_image: tf.Tensor,
        content_weight: tf.Tensor,
        *,
        height: tf.Tensor,
        top: tf.Tensor,
    ) -> tf.Tensor:
        """Some rows of what `enlarge` gives.

        Args:
            average: [N, h, w, 3], whole.
            blurred: the content at the size of `average`.
            content_image: the rows, [N, H, W, 3].
            content_weight: as for `enlarge`.
            height: of the whole picture.
            top: the first of the rows.

        Returns:
            [N, H, W, 3].
        """
        rows, width = tf.unstack(tf.shape(content_image)[1:3])
        image, blurred_now = (
            resize_rows(picture, height, width, top, top + rows)
            for picture in (average, blurred)
        )
        detail = self.config.content_detail * (content_image - blurred_now)
        # At the first scale there is no last one, and nothing is missing.
        larger = (tf.shape(average)[1] < height) & (content_weight > 0)
        return tf.clip_by_value(tf.where(larger, image + detail, image), 0.0, 1.0)

    def step(
        self,
        image: tf.Tensor,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
    ) -> tuple[tf.Tensor, TransferState, terms.Losses]:
        """One evaluation of the loss and its gradient, and one update of the pixels.

        Pure: the same arguments give the same results, and nothing else changes.

        Args:
            image: [N, H, W, 3] in [0, 1].
            state: of the same size.
            targets: of the same size.
            knobs: scalars.

        Returns:
            (image, state, losses); the losses are those of the picture that came in.
            Where the loss or the new picture isn't finite, the picture that comes
            out is the one that came in and the total loss is NaN.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            measured = self._losses(image, targets, knobs)
        gradients = tape.gradient(measured.total, image)
        return self._update(image, measured, gradients, state, knobs)

    def _update(self, image, measured, gradients, state, knobs):
        """The second half of a step: what to do with the losses and gradients.

        Adam's works element by element, so a picture may be updated in parts.

        Args:
            image: as for `step`.
            measured: losses of `image`.
            gradients: of the total loss, like `image`.
            state: as for `step`.
            knobs: as for `step`.

        Returns:
            As `step`.
        """
        if self.config.optimizer == "adam":
            updated, optimizer = adam.adam_update(
                image,
                gradients,
                state.optimizer,
                learning_rate=_scheduled(knobs, state.step),
                lower=0.0,
                upper=1.0,
            )
            iterate = updated
        else:
            updated, optimizer = lbfgs.lbfgs_update(
                image,
                measured.total,
                gradients,
                state.optimizer,
                learning_rate=knobs.learning_rate,
                lower=0.0,
                upper=1.0,
            )
            # The new point is only a trial; what counts is the last accepted one.
            iterate = lbfgs.lbfgs_best(optimizer)
        count = state.step + 1
        momentum = self.config.ema_momentum
        share = (1 - momentum) / (1 - momentum ** tf.cast(count, tf.float32))
        average = state.average + share * (iterate - state.average)

        # A loss that isn't finite says so itself; a picture that isn't would be seen
        # only one step later, when the last good one is gone.
        finite = tf.reduce_all(tf.math.is_finite(measured.total)) & tf.reduce_all(
            tf.math.is_finite(updated)
        )
        nan = tf.constant(float("nan"), measured.total.dtype)
        return (
            tf.where(finite, updated, image),
            TransferState(count, optimizer, tf.where(finite, average, state.average)),
            measured._replace(total=tf.where(finite, measured.total, nan)),
        )

    def _losses(self, image, targets, knobs):
        activations = self.feature_extractor(image)
        weights = self.content_layer_weights
        content = terms.content_loss(
            [activations[layer] for layer in weights],
            [targets.content[layer] for layer in weights],
            layer_weights=list(weights.values()),
        )
        masks = targets.regions[0] if targets.regions else None
        style = self.style_loss(self._style_sums(activations, masks), targets.style)
        if masks is not None:
            style = weigh_regions(style, masks)
        total_variation = terms.total_variation_loss(image)
        total = terms.total_loss(
            content,
            style,
            total_variation,
            content_weight=knobs.content_weight,
            style_weight=knobs.style_weight,
            total_variation_weight=knobs.total_variation_weight,
        )
        return terms.Losses(content, style, total_variation, total)

    def targets(self, content_image: tf.Tensor, style_image: tf.Tensor) -> Targets:
        """What a picture is compared with.

        Args:
            content_image: [N, H, W, 3] in [0, 1], of the picture's size.
            style_image: [N or 1, h, w, 3] in [0, 1].
        """
        sides = tf.shape(style_image)[1:3]
        return Targets(
            self._content_targets(content_image), self.style_targets(style_image, sides)
        )

    def _content_targets(self, content_image):
        activations = self.feature_extractor(content_image)
        return {layer: activations[layer] for layer in self.content_layer_weights}

    def _style_targets(self, style_image, sides, mask=None):
        """`Targets.style` of a picture [N or 1, h, w, 3] brought to int32 [2] sides.

        Of what a mask [1, *sides, 1] shows of it, where there is one.
        """
        style_image = resize_image(style_image, sides[0], sides[1])
        sums = self._style_sums(self.feature_extractor(style_image), mask)
        return {layer: self.style_statistics(sums[layer]) for layer in sums}

    def style_loss(
        self,
        sums: dict[str, statistics.ActivationSums],
        targets: dict[str, tf.Tensor] | dict[str, statistics.Moments],
    ) -> tf.Tensor:
        """The style loss, or what some of its layers add to it.

        Args:
            sums: of those layers, by name.
            targets: as in `Targets.style`.

        Returns:
            [N].
        """
        return self._style_distance(
            [self.style_statistics(sums[layer]) for layer in sums],
            [targets[layer] for layer in sums],
            layer_weights=[self.style_layer_weights[layer] for layer in sums],
        )

    def _style_sums(self, activations, masks=None):
        return {
            layer: statistics.activation_sums(
                activations[layer],
                None if masks is None else layer_weights(masks, self._strides[layer]),
            )
            for layer in self.style_layer_weights
        }

    def run_compiled(
        self,
        image: tf.Tensor,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
        steps: tf.Tensor,
        *,
        rows: int,
    ) -> tuple[tf.Tensor, TransferState, tf.Tensor, tf.Tensor]:
        """As `run`, with nothing whose shape depends on values, as XLA wants it.

        Args:
            image: as for `run`, and so are the next four; `steps` is at most `rows`.
            rows: of the history.

        Returns:
            (image, state, history [rows, 4, N], number of steps taken). The rows that
            no step has filled are 0; `rows=1` keeps the last step's.
        """
        history = tf.zeros([rows, 4, tf.shape(image)[0]])
        last_row = tf.shape(history)[0] - 1

        def unfinished(index, finite, *_):
            return finite & (index < steps)

        def body(index, _, image, state, history):
            image, state, measured = self.step(image, state, targets, knobs)
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

    def _run(self, image, state, targets, knobs, steps):
        """`steps` steps at one scale.

        Returns:
            (image, state, history), where history is [steps taken, 4, N]: content,
            style, total variation and total loss of each step. It ends early after a
            step whose total loss isn't finite.
        """
        image, state, history, taken = self.run_compiled(
            image, state, targets, knobs, steps, rows=steps
        )
        return image, state, history[:taken]

    def _build_state_spec(self):
        """The state's shapes with None where they change with the pictures' size."""

        def spec(one, other):
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

    @property
    def style_layers(self) -> list[str]:
        """The layers of `Targets.style`."""
        return list(self.style_layer_weights)

    def style_spec(self, layer: str) -> tf.TensorSpec | statistics.Moments:
        """The shape of a layer's entry in `Targets.style`."""
        channels = self.feature_extractor.output[layer].shape[-1]
        matrix = tf.TensorSpec([None, channels, channels])
        if self.config.style_loss == "gram":
            return matrix
        return statistics.Moments(tf.TensorSpec([None, channels]), matrix)

    def _run_signature(self):
        outputs = self.feature_extractor.output
        targets = Targets(
            {
                layer: tf.TensorSpec(outputs[layer].shape, outputs[layer].dtype)
                for layer in self.content_layer_weights
            },
            {layer: self.style_spec(layer) for layer in self.style_layers},
            (MASKS_SPEC,) if self._regions else (),
        )
        return [
            PICTURES_SPEC,
            self._state_spec,
            targets,
            KNOBS_SPEC,
            tf.TensorSpec([], tf.int32),
        ]


def _scheduled(knobs, step):
    """Adam's learning rate: it falls in a straight line to a tenth over a scale.

    Long steps move whole strokes at first; short ones let the grain settle that long
    steps keep stirring up.
    """
    done = tf.cast(step, tf.float32) / knobs.steps
    return knobs.learning_rate * (1 - 0.9 * tf.minimum(done, 1.0))


def _normalized(layers, weights):
    pairs = zip(layers, weights, strict=True)
    return {layer: weight / sum(weights) for layer, weight in pairs}
