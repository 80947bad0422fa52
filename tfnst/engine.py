"""The optimisation itself: targets, the pure step, the loop and the pyramid.

Everything here is tensors in, tensors out, with no variable and no file, so that
`tfnst.stylize` and an exported SavedModel run the same mathematics.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import tensorflow as tf

from tfnst import losses, optimizers
from tfnst.config import StyleTransferConfig
from tfnst.images import MIN_SIDE


class Targets(NamedTuple):
    """What the picture is compared with: one tensor a layer."""

    content: tuple[tf.Tensor, ...]  # activations, [N, h, w, C]
    style: tuple[tf.Tensor, ...] | tuple[losses.Moments, ...]  # [N or 1, ...]


class Knobs(NamedTuple):
    """The settings that may change from call to call without a new trace.

    All are float32 scalars, named as in StyleTransferConfig.
    """

    content_weight: tf.Tensor
    style_weight: tf.Tensor
    total_variation_weight: tf.Tensor
    learning_rate: tf.Tensor
    steps: tf.Tensor  # of this scale: the learning rate falls with the share done

    @classmethod
    def from_config(cls, config: StyleTransferConfig) -> Knobs:
        """The settings of a configuration."""
        settings = {
            **config.loss_weights(),
            "learning_rate": config.learning_rate,
            "steps": config.steps,
        }
        return cls(**{k: tf.constant(v, tf.float32) for k, v in settings.items()})


class TransferState(NamedTuple):
    """What a step hands to the next one, beside the picture."""

    step: tf.Tensor  # steps taken at this scale, int32 scalar
    optimizer: optimizers.AdamState | optimizers.LBFGSState
    average: tf.Tensor  # bias-corrected moving average of the pictures, [N, H, W, 3]


class StyleTransferEngine:
    """Targets, step and loop for one feature extractor and one configuration.

    Args:
        feature_extractor: from `tfnst.features.build_feature_extractor`.
        config: layers, layer weights, optimizer and ema_momentum are read from it;
            everything else is passed to each call.
    """

    def __init__(
        self, feature_extractor: keras.Model, config: StyleTransferConfig
    ) -> None:
        self.feature_extractor = feature_extractor
        self._config = config
        self._content_layer_weights = _normalized(
            config.content_layer_weights or [1.0] * len(config.content_layers)
        )
        self._style_layer_weights = _normalized(
            config.style_layer_weights
            or [0.5**i for i in range(len(config.style_layers))]
        )
        if config.style_loss == "gram":
            self._style_statistics = losses.gram_matrix
            self._style_loss = losses.style_loss
        else:
            self._style_statistics = losses.moments
            self._style_loss = losses.moments_loss
        self._state_spec = self._build_state_spec()
        self.run = tf.function(self._run, input_signature=self._run_signature())
        self.enter_scale = tf.function(
            self._enter_scale,
            input_signature=[
                self._state_spec,
                _PICTURES,
                _PICTURES,
                tf.TensorSpec([2, 2], tf.int32),
                tf.TensorSpec([]),
            ],
        )

    def init_state(self, image: tf.Tensor) -> TransferState:
        """The state before the first step from `image`, [N, H, W, 3]."""
        if self._config.optimizer == "adam":
            optimizer = optimizers.adam_init(image)
        else:
            optimizer = optimizers.lbfgs_init(image)
        return TransferState(tf.constant(0), optimizer, image)

    def paint(
        self,
        content_image: tf.Tensor,
        style_image: tf.Tensor,
        scales: tf.Tensor,
        knobs: Knobs,
        *,
        scale_steps: tf.Tensor,
        init_image: str,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A whole run, coarse to fine, as one graph.

        It is what `tfnst.stylize` does between its callbacks.

        Args:
            content_image: [N, H, W, 3] in [0, 1].
            style_image: [N or 1, h, w, 3] in [0, 1].
            scales: int32 [scales, 2, 2], from `pyramid`; at least one.
            knobs: scalars; `steps` is not looked at.
            scale_steps: int32 [scales], from `scale_steps`.
            init_image: `"content"`, `"style"` or `"noise"`.
            seed: of the noise that a run may start from, int32 scalar.

        Returns:
            (stylized image [N, H', W', 3], losses [4, N] of the last step: content,
            style, total variation, total). The total loss is NaN for a run that
            ended early since its loss was no longer finite.
        """
        content_image, style_image = fit_to_finest(content_image, style_image, scales)
        start = first_image(init_image, content_image, style_image, scales, seed)
        count = tf.shape(scales)[0]

        def unfinished(scale, finite, *_):
            return finite & (scale < count)

        def body(scale, _, state, measured):
            image, state, targets = self._enter_scale(
                state,
                content_image,
                style_image,
                scales[scale],
                knobs.content_weight,
            )
            steps = scale_steps[scale]
            here = knobs._replace(steps=tf.cast(steps, tf.float32))
            _, state, history = self._run(image, state, targets, here, steps)
            measured = history[-1]
            finite = tf.reduce_all(tf.math.is_finite(measured))
            return scale + 1, finite, state, measured

        _, _, state, measured = tf.while_loop(
            unfinished,
            body,
            (
                tf.constant(0),
                tf.constant(True),
                self.init_state(start),
                tf.zeros([4, tf.shape(start)[0]]),
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

    def _enter_scale(self, state, content_image, style_image, sides, content_weight):
        """What a scale starts with.

        The picture is the enlarged average of the last scale, with the detail that
        the content has at this scale and can't have had at the last one: a window of
        two pixels is there to be painted, where the enlarged picture has a blur.

        Args:
            state: at the end of the last scale, or `init_state` of the first picture.
            content_image: [N, H, W, 3].
            style_image: [N or 1, H, W, 3].
            sides: int32 [2, 2], one row of `pyramid`.
            content_weight: scalar; 0 leaves the detail out.

        Returns:
            (image, state, targets).
        """
        height, width = sides[0, 0], sides[0, 1]
        content_image = resize_image(content_image, height, width)
        style_image = resize_image(style_image, sides[1, 0], sides[1, 1])
        image = resize_image(state.average, height, width)
        before = tf.shape(state.average)
        blurred = resize_image(
            resize_image(content_image, before[1], before[2]), height, width
        )
        detail = self._config.content_detail * (content_image - blurred)
        # At the first scale there is no last one, and nothing is missing.
        fine = (before[1] < height) & (content_weight > 0)
        image = tf.clip_by_value(tf.where(fine, image + detail, image), 0.0, 1.0)
        # What optimizers remember belongs to another loss and starts anew.
        state = self.init_state(image)
        return image, state, self.targets(content_image, style_image)

    def step(
        self,
        image: tf.Tensor,
        state: TransferState,
        targets: Targets,
        knobs: Knobs,
    ) -> tuple[tf.Tensor, TransferState, losses.Losses]:
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

        if self._config.optimizer == "adam":
            updated, optimizer = optimizers.adam_update(
                image,
                gradients,
                state.optimizer,
                learning_rate=_scheduled(knobs, state.step),
                lower=0.0,
                upper=1.0,
            )
            iterate = updated
        else:
            updated, optimizer = optimizers.lbfgs_update(
                image,
                measured.total,
                gradients,
                state.optimizer,
                learning_rate=knobs.learning_rate,
                lower=0.0,
                upper=1.0,
            )
            # The new point is only a trial; what counts is the last accepted one.
            iterate = optimizers.lbfgs_best(optimizer)
        count = state.step + 1
        momentum = self._config.ema_momentum
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
        config = self._config
        content = losses.content_loss(
            [activations[layer] for layer in config.content_layers],
            targets.content,
            layer_weights=self._content_layer_weights,
        )
        style = self._style_loss(
            [self._style_statistics(activations[k]) for k in config.style_layers],
            targets.style,
            layer_weights=self._style_layer_weights,
        )
        total_variation = losses.total_variation_loss(image)
        total = losses.total_loss(
            content,
            style,
            total_variation,
            content_weight=knobs.content_weight,
            style_weight=knobs.style_weight,
            total_variation_weight=knobs.total_variation_weight,
        )
        return losses.Losses(content, style, total_variation, total)

    def targets(self, content_image: tf.Tensor, style_image: tf.Tensor) -> Targets:
        """What a picture is compared with.

        Args:
            content_image: [N, H, W, 3] in [0, 1], of the picture's size.
            style_image: [N or 1, h, w, 3] in [0, 1].
        """
        config = self._config
        content = self.feature_extractor(content_image)
        style = self.feature_extractor(style_image)
        return Targets(
            tuple(content[layer] for layer in config.content_layers),
            tuple(
                self._style_statistics(style[layer]) for layer in config.style_layers
            ),
        )

    def _run(self, image, state, targets, knobs, steps):
        """`steps` steps at one scale.

        Returns:
            (image, state, history), where history is [steps taken, 4, N]: content,
            style, total variation and total loss of each step. It ends early after a
            step whose total loss isn't finite.
        """
        history = tf.TensorArray(
            tf.float32, size=0, dynamic_size=True, element_shape=[4, image.shape[0]]
        )

        def unfinished(index, finite, *_):
            return finite & (index < steps)

        def body(index, _, image, state, history):
            image, state, measured = self.step(image, state, targets, knobs)
            history = history.write(index, tf.stack(measured))
            finite = tf.reduce_all(tf.math.is_finite(measured.total))
            return index + 1, finite, image, state, history

        _, _, image, state, history = tf.while_loop(
            unfinished,
            body,
            (tf.constant(0), tf.constant(True), image, state, history),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([]),
                _PICTURES.shape,
                tf.nest.map_structure(lambda spec: spec.shape, self._state_spec),
                tf.TensorShape(None),
            ),
            maximum_iterations=steps,
            # Steps depend on each other; more would only hold more memory.
            parallel_iterations=1,
        )
        return image, state, history.stack()

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

    def _style_spec(self, channels):
        matrix = tf.TensorSpec([None, channels, channels])
        if self._config.style_loss == "gram":
            return matrix
        return losses.Moments(tf.TensorSpec([None, channels]), matrix)

    def _run_signature(self):
        outputs = self.feature_extractor.output
        channels = {name: tensor.shape[-1] for name, tensor in outputs.items()}
        targets = Targets(
            tuple(
                tf.TensorSpec([None, None, None, channels[layer]])
                for layer in self._config.content_layers
            ),
            tuple(
                self._style_spec(channels[layer]) for layer in self._config.style_layers
            ),
        )
        knobs = Knobs(*[tf.TensorSpec([])] * len(Knobs._fields))
        return [
            _PICTURES,
            self._state_spec,
            targets,
            knobs,
            tf.TensorSpec([], tf.int32),
        ]


def resize_image(image: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Pictures at another size: Lanczos with radius 3, antialiased when shrunk.

    Args:
        image: [N, H, W, 3] in [0, 1].
        height: int32 scalar, 1 or more.
        width: as `height`.

    Returns:
        [N, height, width, 3], clipped to [0, 1] because Lanczos overshoots at edges.
    """
    resized = tf.image.resize(image, [height, width], method="lanczos3", antialias=True)
    return tf.clip_by_value(resized, 0.0, 1.0)


def pyramid(
    content_sides: tf.Tensor,
    style_sides: tf.Tensor,
    size: tf.Tensor,
    min_size: tf.Tensor,
) -> tf.Tensor:
    """Sizes of content and style at each scale, coarse to fine.

    Long sides are `size / sqrt(2)^k`, rounded, for k = 0, 1, ... as long as that is
    `min_size` or more; `size` alone where it is below `min_size`. A run at 256 is so
    the first part of a run at 512. Both pictures get the same long side, so that
    strokes of the style keep their size relative to the picture; short sides follow
    from their shapes. Scales at which a short side is below `MIN_SIDE` are left out.

    Args:
        content_sides: height and width of the content image, int [2].
        style_sides: as `content_sides`, for the style image.
        size: long side of the finest scale, int scalar.
        min_size: long side below which no scale starts, int scalar.

    Returns:
        int32 [scales, 2, 2]: for each scale height and width of the content, then of
        the style; no scales where `size` makes a short side too short.

    Reference:
        The factor is that of github.com/crowsonkb/style-transfer-pytorch. Coarse to
        fine: Gatys et al., "Controlling Perceptual Factors in Neural Style
        Transfer", arXiv 1611.07865, section 5.
    """
    size, min_size = tf.cast(size, tf.float64), tf.cast(min_size, tf.float64)
    two = tf.constant(2.0, tf.float64)
    octaves = tf.math.log(size / min_size) / tf.math.log(two)
    # The small term lets rounding errors not lose a scale that fits exactly.
    coarsest = tf.maximum(_floor(2 * octaves + 1e-6), 0)
    exponents = tf.cast(tf.range(coarsest, -1, -1), tf.float64) / 2
    long_sides = tf.cast(_round(size / tf.pow(two, exponents)), tf.float64)

    sides = tf.cast(tf.stack([content_sides, style_sides]), tf.float64)
    shapes = sides / tf.reduce_max(sides, axis=1, keepdims=True)
    scales = _round(long_sides[:, None, None] * shapes)
    return tf.boolean_mask(scales, tf.reduce_min(scales, axis=[1, 2]) >= MIN_SIDE)


def scale_steps(
    scales: tf.Tensor, steps: tf.Tensor, initial_steps: tf.Tensor
) -> tf.Tensor:
    """Gradient steps at each scale.

    `initial_steps` at the coarsest one; behind it the number falls in proportion to
    the long side, `initial_steps * coarsest / long_side`, until it is `steps`. One
    scale alone gets `steps`. The numbers of a run at 256 are so the first ones of a
    run at 512, and all coarse scales together cost about as much as the finest one.

    Args:
        scales: from `pyramid`.
        steps: int scalar, 1 or more.
        initial_steps: int scalar, 1 or more.

    Returns:
        int32 [scales].
    """
    long_sides = tf.cast(tf.reduce_max(scales[:, 0], axis=1), tf.float64)
    falling = _round(tf.cast(initial_steps, tf.float64) * long_sides[:1] / long_sides)
    # The coarsest scale may get fewer steps than the others where that is asked for.
    behind = tf.maximum(falling[1:], steps)
    first = tf.where(tf.shape(scales)[0] > 1, initial_steps, steps)
    return tf.concat([first[None], behind], axis=0)


def fit_to_finest(
    content_image: tf.Tensor, style_image: tf.Tensor, scales: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Content and style at the sizes of the finest scale.

    All scales are made from these, so that a huge picture isn't kept in memory and
    resized again for each of them.
    """
    sides = scales[-1]
    return (
        resize_image(content_image, sides[0, 0], sides[0, 1]),
        resize_image(style_image, sides[1, 0], sides[1, 1]),
    )


def first_image(
    init_image: str,
    content_image: tf.Tensor,
    style_image: tf.Tensor,
    scales: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    """The picture that a run starts from, at the size of its first scale.

    Args:
        init_image: `"content"`, `"style"` or `"noise"`.
        content_image: [N, H, W, 3] in [0, 1].
        style_image: [N or 1, h, w, 3] in [0, 1].
        scales: from `pyramid`.
        seed: of the noise, int32 scalar.

    Returns:
        [N, height, width, 3].
    """
    height, width = scales[0, 0, 0], scales[0, 0, 1]
    count = tf.shape(content_image)[0]
    if init_image == "content":
        return resize_image(content_image, height, width)
    if init_image == "noise":
        # The same noise for each picture, so that it is painted as if it were alone.
        noise = noise_image([1, height, width, 3], seed)
        return tf.repeat(noise, count, axis=0)
    covered = cover_image(style_image, height, width)
    return tf.repeat(covered, count // tf.shape(covered)[0], axis=0)


def noise_image(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Uniform noise in [0, 1), the same for the same shape and seed.

    Args:
        shape: int32 [4].
        seed: int32 scalar.
    """
    return tf.random.stateless_uniform(tf.stack(shape), seed=tf.stack([seed, 0]))


def cover_image(image: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The picture enlarged to cover height x width, undistorted, its middle cut out.

    Args:
        image: [N, H, W, 3] in [0, 1].
        height: int32 scalar.
        width: as `height`.

    Returns:
        [N, height, width, 3].
    """
    sides = tf.cast(tf.shape(image)[1:3], tf.float64)
    wanted = tf.stack([height, width])
    ratio = tf.reduce_max(tf.cast(wanted, tf.float64) / sides)
    covering = tf.maximum(_round(sides * ratio), wanted)
    enlarged = resize_image(image, covering[0], covering[1])
    top, left = tf.unstack((covering - wanted) // 2)
    return enlarged[:, top : top + height, left : left + width]


def _scheduled(knobs, step):
    """Adam's learning rate: it falls in a straight line to a tenth over a scale.

    Long steps move whole strokes at first; short ones let the grain settle that long
    steps keep stirring up.
    """
    done = tf.cast(step, tf.float32) / knobs.steps
    return knobs.learning_rate * (1 - 0.9 * tf.minimum(done, 1.0))


_PICTURES = tf.TensorSpec([None, None, None, 3], tf.float32)


def _normalized(weights):
    return [weight / sum(weights) for weight in weights]


def _floor(x):
    return tf.cast(tf.floor(x), tf.int32)


def _round(x):
    return _floor(x + 0.5)
