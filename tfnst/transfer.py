"""stylize(): pictures in, a painted picture out."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfnst import backbones, engine, features, images, memory, pyramid, tiling
from tfnst.config import INIT_IMAGES, StyleTransferConfig
from tfnst.precision import choose_precision

# Steps are grouped so that a group takes about this long: often enough for a
# progress bar and for stopping, seldom enough for Python to cost nothing.
_SECONDS_PER_GROUP = 0.5

LOSS_FIELDS = np.dtype(
    [
        ("step", np.int32),
        ("size", np.int32),
        ("content", np.float32),
        ("style", np.float32),
        ("total_variation", np.float32),
        ("total", np.float32),
        ("seconds", np.float64),
    ]
)

# Settings that the compiled loop takes as arguments or doesn't see at all: runs that
# differ only in these share one trace.
_RUN_SETTINGS = (
    *engine.Knobs._fields,
    "style_strength",
    "initial_steps",
    "size",
    "min_size",
    "max_memory",
    "init_image",
    "seed",
)


class NonFiniteLossError(ValueError):
    """The loss or the picture became NaN or infinite.

    Attributes:
        result: TransferResult with the last picture that was finite.
    """

    def __init__(self, message: str, result: TransferResult) -> None:
        super().__init__(message)
        self.result = result


@dataclasses.dataclass(frozen=True)
class TransferResult:
    """What a style transfer gives.

    Attributes:
        array: the stylized image, float32 RGB [H, W, 3] in [0, 1].
        losses: one row a step, a NumPy structured array with the fields `step` (from
            1), `size` (long side in pixels), `content`, `style`, `total_variation`
            (unweighted), `total` (weighted) and `seconds` (since the first step
            began). Losses are those of the picture before the step.
        config: the settings of the run.
        backbone: the network that was used; another one than `config.backbone`
            where its weights could not be had.
        weights: which weights were used, with their SHA-256.
        stopped: whether a callback stopped the run before its end.
    """

    array: np.ndarray
    losses: np.ndarray
    config: StyleTransferConfig
    backbone: str
    weights: backbones.WeightsInfo
    stopped: bool = False

    @property
    def image(self) -> Image.Image:
        """The stylized image for Pillow, 8-bit RGB."""
        return images.to_pil(self.array)

    def save(self, path: str | os.PathLike[str], *, quality: int = 95) -> None:
        """Writes the picture: PNG, JPEG, WebP or TIFF by suffix; see `save_image`."""
        images.save_image(self.array, path, name="path", quality=quality)


@dataclasses.dataclass
class TransferProgress:
    """How far a run is; handed to the callback.

    Attributes:
        step: steps done, over all scales.
        steps: steps in all.
        size: long side of the present scale in pixels.
        losses: row of the last step, with the fields of `TransferResult.losses`.
        fraction: share of the work that is done, from 0 to 1. A step's work is its
            number of pixels, so unlike `step / steps` it grows evenly with time.
        seconds: since the first step began.
    """

    step: int
    steps: int
    size: int
    fraction: float
    losses: np.void
    seconds: float
    _average: tf.Tensor | np.ndarray = dataclasses.field(repr=False)
    _stopped: bool = dataclasses.field(default=False, repr=False)

    def image(self) -> Image.Image:
        """The picture as it is now, at the size of the present scale."""
        return images.to_pil(np.asarray(self._average))

    def stop(self) -> None:
        """Ends the run after this callback; `stylize` returns what there is."""
        self._stopped = True


Callback = Callable[[TransferProgress], None]


def stylize(
    content_image: Any,
    style_image: Any,
    *,
    init_image: Any = None,
    config: StyleTransferConfig | None = None,
    callback: Callback | None = None,
    callback_steps: int | None = None,
    **settings: Any,
) -> TransferResult:
    """Paints the content image in the style of the style image.

    The pixels are optimised, coarse to fine, until content loss, style loss and total
    variation, weighted, are small; the result is the moving average of the last
    pictures, at the size asked for, with the content image's shape.

    Args:
        content_image: what to paint: a path, bytes of an image file, a binary file
            object, a PIL image, or an array or tensor as `tfnst.images.load_image`
            takes them.
        style_image: whose style; as `content_image`. It may have any shape.
        init_image: what to start from: `"content"` (default), `"style"`, `"noise"`,
            or a picture (resized; a file of such a name is `"./noise"`).
        config: the settings; StyleTransferConfig() by default.
        callback: called with a TransferProgress about twice a second and after the
            last step. It may call `progress.stop()`.
        callback_steps: call back after each multiple of so many steps, too; 1 or more.
        **settings: fields of StyleTransferConfig that replace those of `config`.

    Returns:
        TransferResult. The same arguments give the same picture on the same machine.

    Raises:
        ValueError: for bad settings or pictures; the message names the argument.
        OSError: for files that can't be read, and when no weights can be had.
        NonFiniteLossError: (a ValueError) when the loss becomes NaN or infinite; its
            `result` holds the last good picture.
        MemoryError: when the pictures are too large for the machine.

    Reference:
        Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural
        Networks", CVPR 2016. Departures: relative losses (see `tfnst.losses`), coarse
        to fine, Adam by default, averaged output.
    """
    config = (config or StyleTransferConfig()).replace(**settings)
    return StyleTransfer(style_image, config=config).stylize(
        content_image,
        init_image=init_image,
        callback=callback,
        callback_steps=callback_steps,
    )


class StyleTransfer:
    """A style to paint any number of pictures in.

    What is known of the style is worked out once and used for every content image::

        style_transfer = tfnst.StyleTransfer("painting.jpg", size=1024)
        for path in paths:
            style_transfer.stylize(path).save(f"painted/{path.stem}.jpg")

    Args:
        style_image: whose style; as for `stylize`.
        config: the settings; StyleTransferConfig() by default.
        **settings: fields of StyleTransferConfig that replace those of `config`.

    Attributes:
        config: the settings.

    Raises:
        ValueError: for bad settings or a bad picture; the message names the argument.
        OSError: for a file that can't be read.
    """

    def __init__(
        self,
        style_image: Any,
        *,
        config: StyleTransferConfig | None = None,
        **settings: Any,
    ) -> None:
        self.config = (config or StyleTransferConfig()).replace(**settings)
        self._style = _Style(_load(style_image, "style_image"), self.config.size)

    def stylize(
        self,
        content_image: Any,
        *,
        init_image: Any = None,
        callback: Callback | None = None,
        callback_steps: int | None = None,
    ) -> TransferResult:
        """Paints the content image in the style.

        Args:
            content_image: as for `tfnst.stylize`, and so are the others.
            init_image: in place of the setting of that name.
            callback: called as the run goes on.
            callback_steps: call back after each multiple of so many steps, too.

        Returns:
            TransferResult, the same as that of `tfnst.stylize`.

        Raises:
            ValueError, OSError, NonFiniteLossError, MemoryError: as `tfnst.stylize`.
        """
        config, given = _start_from(self.config, init_image)
        if callback_steps is not None and (
            isinstance(callback_steps, bool)
            or not isinstance(callback_steps, int)
            or callback_steps < 1
        ):
            raise ValueError(
                "`callback_steps` must be an integer, 1 or more. "
                f"Received: {callback_steps!r}"
            )
        content = _load(content_image, "content_image")
        scales = _pyramid(content, self._style.sides, config)
        content = pyramid.resize_image(content, *scales[-1, 0])
        run = _Run(
            config, scales, content, self._style, given, callback, callback_steps
        )
        # What isn't held here can be given back while the run lasts.
        del content, given
        try:
            return run.paint()
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(
                "`size` is too large for this machine's memory; choose a smaller one, "
                f"or set `max_memory` to paint in tiles. Received: {config.size}"
            ) from error


class _Style:
    """The style picture, no larger than it is needed, and its targets by size."""

    def __init__(self, picture, size):
        self.sides = picture.shape[1:3]
        finest = pyramid.build_pyramid(self.sides, self.sides, size, size).numpy()
        self.picture = picture
        if len(finest):
            self.picture = pyramid.resize_image(picture, *finest[-1, 1])
        self._targets = {}

    def targets(self, painter, sides):
        """The targets at a size, as a painter sees them."""
        key = tuple(map(int, sides))
        if key not in self._targets:
            self._targets[key] = painter.style_targets(self.picture, tf.constant(sides))
        return self._targets[key]


class _Run:
    """One run: the losses so far, the clock and the callback."""

    def __init__(self, config, scales, content, style, given, callback, callback_steps):
        self._config = config
        self._scales = scales
        self._content = content
        self._style = style
        self._given = given
        self._callback = callback
        self._callback_steps = callback_steps
        self._engine, self._backbone = load_engine(config)
        self._knobs = engine.Knobs.from_config(config)
        self._scale_steps = pyramid.scale_steps(
            scales, config.steps, config.initial_steps_for(config.steps)
        ).numpy()
        self._rows = np.zeros(sum(self._scale_steps), LOSS_FIELDS)
        self._done = 0
        self._stopped = False
        self._start = None

    def paint(self):
        if self._config.init_image == "given":
            average = pyramid.resize_image(self._given, *self._scales[0, 0])
        else:
            average = pyramid.first_image(
                self._config.init_image,
                self._content,
                self._style.picture,
                tf.constant(self._scales),
                self._config.seed,
            )
        limit = memory.memory_limit(self._config.max_memory)
        self._start = time.perf_counter()
        for sides, steps in zip(self._scales, self._scale_steps, strict=True):
            average = self._paint_scale(average, sides, int(steps), limit)
            if self._stopped:
                break
        # A run that was stopped at a coarse scale still has the size asked for.
        return self._result(pyramid.resize_image(average, *self._scales[-1, 0]))

    def _paint_scale(self, average, sides, steps, limit):
        """The averaged picture at the end of a scale."""
        plan = memory.build_plan(
            self._engine.feature_extractor, self._config, sides, limit
        )
        painter = (
            self._engine
            if not plan.tiled
            else tiling.TiledEngine(
                self._engine,
                cut=plan.cut,
                head_side=plan.head_side,
                tail_side=plan.tail_side,
            )
        )
        style = self._style.targets(painter, sides[1])
        image, state, content = painter.enter_scale(
            average, self._content, tf.constant(sides[0]), self._knobs.content_weight
        )
        targets = engine.Targets(content, style)
        if (sides == self._scales[-1]).all():
            self._content = None  # no longer needed, and perhaps large
        if not plan.tiled:
            # The picture under the brush: one variable a scale.
            image = tf.Variable(image, trainable=True, name="stylized_image")
        knobs = self._knobs._replace(steps=tf.constant(steps, tf.float32))
        return self._optimize(
            painter, image, state, targets, knobs, steps, max(sides[0])
        )

    def _optimize(self, painter, image, state, targets, knobs, steps, size):
        """All steps of one scale."""
        group, left = 1, steps
        while left and not self._stopped:
            group = min(group, left)
            if self._callback_steps is not None:
                to_multiple = self._callback_steps - self._done % self._callback_steps
                group = min(group, to_multiple)
            began = time.perf_counter()
            updated, state, history = painter.run(
                image, state, targets, knobs, tf.constant(group)
            )
            if isinstance(image, tf.Variable):  # tiles are painted in place
                image.assign(updated)
            self._record(np.asarray(history)[:, :, 0], size, state)
            elapsed = time.perf_counter() - began
            left -= group
            self._call_back(size, state)
            group = max(1, round(group * _SECONDS_PER_GROUP / max(elapsed, 1e-6)))
        return state.average

    def _record(self, history, size, state):
        """Adds the rows of a group of steps; raises where a loss isn't finite."""
        seconds = time.perf_counter() - self._start
        rows = self._rows[self._done : self._done + len(history)]
        before = self._rows[self._done - 1]["seconds"] if self._done else 0.0
        rows["step"] = np.arange(self._done + 1, self._done + len(history) + 1)
        rows["size"] = size
        for column, name in enumerate(("content", "style", "total_variation", "total")):
            rows[name] = history[:, column]
        # Only the group as a whole is timed; its steps do equal work.
        share = np.arange(1, len(history) + 1) / len(history)
        rows["seconds"] = before + (seconds - before) * share
        self._done += len(history)
        if not np.isfinite(history[-1]).all():
            self._done -= 1
            picture = pyramid.resize_image(state.average, *self._scales[-1, 0])
            raise NonFiniteLossError(
                f"The loss is no longer finite at step {self._done + 1} of "
                f"{len(self._rows)} (content {rows['content'][-1]:g}, style "
                f"{rows['style'][-1]:g}, at {size} pixels); smaller weights or a "
                "smaller `learning_rate` help. The last good picture is kept in "
                "`result`.",
                self._result(picture),
            )

    def _call_back(self, size, state):
        if self._callback is None:
            return
        row = self._rows[self._done - 1]
        progress = TransferProgress(
            step=self._done,
            steps=len(self._rows),
            size=int(size),
            fraction=self._fraction(),
            losses=row.copy(),
            seconds=float(row["seconds"]),
            _average=state.average,
        )
        self._callback(progress)
        self._stopped = progress._stopped and self._done < len(self._rows)

    def _fraction(self):
        pixels = np.prod(self._scales[:, 0].astype(np.float64), axis=1)
        work = np.repeat(pixels, self._scale_steps)
        return float(work[: self._done].sum() / work.sum())

    def _result(self, image):
        return TransferResult(
            array=np.asarray(image)[0],
            losses=self._rows[: self._done].copy(),
            config=self._config,
            backbone=self._backbone.name,
            weights=self._backbone.weights,
            stopped=self._stopped,
        )


def load_engine(
    config: StyleTransferConfig,
) -> tuple[engine.StyleTransferEngine, backbones.Backbone]:
    """The engine for a configuration and the backbone that it looks through.

    Runs that differ only in settings which the engine takes as arguments share one,
    so that nothing is loaded or traced twice.
    """
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(config)
        if field.name in _RUN_SETTINGS
    }
    if config.weights is None:
        defaults["seed"] = config.seed
    # The variable stands in for the weights, so another value is another network.
    return _load_engine(
        config.replace(**defaults), os.environ.get(backbones.WEIGHTS_VARIABLE)
    )


@functools.lru_cache(maxsize=4)
def _load_engine(config, _):
    layers = tuple(dict.fromkeys(config.content_layers + config.style_layers))
    backbone = backbones.load_backbone(
        config.backbone,
        weights=config.weights,
        pooling=config.pooling,
        last_layer=features.deepest_layer(
            layers, order=backbones.layer_names(config.backbone)
        ),
        seed=config.seed,
    )
    extractor = features.build_feature_extractor(
        backbone.model, layers=layers, precision=choose_precision(config.precision)
    )
    return engine.StyleTransferEngine(extractor, config), backbone


def _start_from(config, init_image):
    """The settings, and the picture to start from where one is given."""
    if init_image is not None:
        named = isinstance(init_image, str) and init_image in INIT_IMAGES
        config = config.replace(init_image=init_image if named else "given")
    if config.init_image != "given":
        return config, None
    if init_image is None or named:
        raise ValueError(
            "`init_image` must be a picture when the setting is 'given'. "
            f"Received: {init_image!r}"
        )
    return config, _load(init_image, "init_image")


def _load(source, name):
    picture = images.load_image(source, name=name)
    if len(picture) != 1:
        raise ValueError(
            f"`{name}` must be one picture. Received: a batch of {len(picture)}"
        )
    return picture


def _pyramid(content, style_sides, config):
    scales = pyramid.build_pyramid(
        content.shape[1:3], style_sides, config.size, config.min_size
    ).numpy()
    if not len(scales):
        name, (height, width) = max(
            (("content_image", content.shape[1:3]), ("style_image", style_sides)),
            key=lambda pair: max(pair[1]) / min(pair[1]),
        )
        smallest = int(
            np.ceil(images.MIN_SIDE * max(height, width) / min(height, width))
        )
        raise ValueError(
            f"`{name}` is too narrow for size={config.size}: its short side would have "
            f"fewer than {images.MIN_SIDE} pixels; use a size of {smallest} or more. "
            f"Received: a picture of {width}x{height} pixels"
        )
    return scales
