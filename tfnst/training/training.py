"""`train_network`: a style and photos in, a network that paints the style out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import os
import time
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError, check_integer, check_number, show_type
from tfnst.config import (
    StyleTransferConfig,
    build_config,
    config_of_dict,
    refuse_settings_beyond,
)
from tfnst.eager import eagerly
from tfnst.engines.devices import placement
from tfnst.engines.engine import Knobs
from tfnst.engines.loading import load_engine
from tfnst.engines.memory import memory_errors
from tfnst.files import warn_unwritten
from tfnst.images.manifest import without_names
from tfnst.images.style_images import style_images, style_paths
from tfnst.networks.network_files import round_weights
from tfnst.networks.painting_network import PaintingNetwork
from tfnst.ops.resizing import shrink_image
from tfnst.optimizers.adam import adam_init
from tfnst.paths import check_outputs
from tfnst.training.checkpoint import (
    TrainingCheckpoint,
    check_same_training,
    load_training,
)
from tfnst.training.photos import Crops, load_photos
from tfnst.training.progress import Callback, TrainingProgress
from tfnst.training.step import TrainingState, TrainingStep, falling_rate
from tfnst.transfer.history import LOSS_FIELDS
from tfnst.transfer.recovery import MAX_ROLLBACKS, check_checkpoint
from tfnst.transfer.style_network import StyleNetwork, need_network
from tfnst.transfer.style_transfer import load_style

# Crops of a block, whose content targets are computed together, and the number of
# steps that see each of them. Targets for each step anew would take a third longer.
_BLOCK, _USES = 16, 4
# Sizes at which painted crops are compared with the style, each half of the one before;
# at one alone, a network paints no large strokes.
_SIZES = 2
# What a training begins with.
_START, _RANDOM = "swirls", "random"
_SECONDS_PER_CALL = 0.5
# Steps over which the losses in a network's file are averaged.
_LAST_LOSSES = 100
MAX_TRAINING_STEPS = 1_000_000

# Options of a training and their defaults.
OPTIONS: dict[str, Any] = {
    "steps": 4000,
    "batch_size": 1,
    "crop_size": 256,
    "learning_rate": 0.002,
    "width": 16,
    "temporal_weight": 0.0,
    "start": None,
}


@eagerly
def train_network(
    style_image: Any,
    photos: Any,
    *,
    config: StyleTransferConfig | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    crop_size: int | None = None,
    learning_rate: float | None = None,
    width: int | None = None,
    temporal_weight: float | None = None,
    start: Any = None,
    callback: Callback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    resume: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> StyleNetwork:
    """Trains a network to paint any photo in a style at once.

    The network minimises what `tfnst.stylize` minimises, with the same weights, over
    random crops of the photos, at their own size and at half of it ::

        mean over crops c and sizes s of total_loss(network(c) at s; c at s, style at s)

    A training takes as long as some pictures that `tfnst.stylize` paints, and after it
    the network paints a picture in less than a hundredth of that time.

    Args:
        style_image: as for `tfnst.stylize`, without regions.
        photos: photos, folders of photos, and films, of which frames are taken: one, or
            a list of them. Those that can't be read are named in a warning. The more
            varied they are, the better; a dozen will do.
        config: the settings; StyleTransferConfig() by default. `size` is the long side
            of the photos that crops are taken of.
        steps: number of steps. Default 4000.
        minutes: time limit of the training, which then takes as many steps as it can,
            also more than 4000. None for no limit.
        batch_size: number of crops in a step, 1 to 64. Default 1.
        crop_size: side of a crop in pixels, 64 to 2048. Default 256.
        learning_rate: first step size of Adam, above 0 and at most 0.1; it falls to a
            fiftieth. Default 0.002.
        width: number of channels of the network's first layer, 4 to 128; the time that
            painting takes grows with its square. Default 16.
        temporal_weight: weight of the mean squared difference between the painting of
            a crop, moved, and that of the moved crop: larger for films with less
            flicker. Default 0.
        start: a network to begin with, the path of its file, the name of a built-in
            style, or `"random"` for random weights, with which learning takes several
            times as long. Networks with the same start can be blended. Default
            `"swirls"`, or `"random"` for another width.
        callback: function called with a TrainingProgress about twice a second and
            after the last step; it may call `progress.stop()`.
        checkpoint: file in which the state of the training is kept.
        checkpoint_seconds: least time between two checkpoints. Default 60.
        resume: a checkpoint of the same training to continue from, in which the state
            is then kept unless `checkpoint` names another file. It brings its own
            settings and options; any given here must equal them. Without a time limit,
            the network is the one that the training would have given without a break,
            bit for bit on the same machine.
        **settings: fields of StyleTransferConfig that override `config`.

    Returns:
        StyleNetwork, with the moving average of the weights.

    Raises:
        ValueError: for bad settings or pictures, photos of which none can be read, and
            a loss that becomes NaN or infinite again and again.
        OSError: if a file can't be read or no weights can be found.
        MemoryError: if crops or photos are too large for the machine.

    Reference:
        Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and
        Super-Resolution", arXiv 1603.08155. Departures: relative losses (see
        `tfnst.losses`), photos in the colours of the style, averaged weights.
    """
    resumed = None if resume is None else load_training(resume)
    if resumed is not None and config is None:
        config = config_of_dict(resumed.training["settings"])
    config = build_config(config, None, settings)
    given = {
        "steps": steps,
        "batch_size": batch_size,
        "crop_size": crop_size,
        "learning_rate": learning_rate,
        "width": width,
        "temporal_weight": temporal_weight,
    }
    options = (
        dict(OPTIONS) if resumed is None else OPTIONS | resumed.training["options"]
    )
    if minutes is not None and resumed is None:
        options["steps"] = MAX_TRAINING_STEPS
    options |= {name: value for name, value in given.items() if value is not None}
    options = _check_options(options)
    if resumed is not None:
        if start is not None:
            raise ArgumentError(
                "None where `resume` brings the weights",
                show_type(start),
                argument="start",
            )
    else:
        start = _load_start(start, options["width"])
        options["start"] = None if start is None else start.root
    refuse_settings_beyond("trained", config, "left out; a training doesn't use it")
    limit = math.inf
    if minutes is not None:
        expected = "a finite number above 0"
        limit = 60 * check_number("minutes", minutes, expected, above=0)
    if checkpoint is None:
        checkpoint = resume
    if checkpoint is not None:
        check_outputs(
            style_paths(style_images(style_image)), [("checkpoint", checkpoint)]
        )
        checkpoint_seconds = check_checkpoint(checkpoint, checkpoint_seconds)
    with memory_errors(config.size), placement(config.device):
        training = _Training(style_image, photos, config, options, start)
        return training.run(
            limit=limit,
            callback=callback,
            checkpoint=checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            resumed=resumed,
        )


class _Training:
    """A training: its network, crops and step.

    Args:
        style_image: as for `train_network`, like `photos`.
        photos: the photos.
        config: the settings.
        options: the options, as in `OPTIONS`.
        start: the network to begin with, if any.
    """

    def __init__(
        self,
        style_image: Any,
        photos: Any,
        config: StyleTransferConfig,
        options: dict[str, Any],
        start: StyleNetwork | None,
    ) -> None:
        self._config, self._options = config, options
        style = load_style(style_image, config)
        if style.has_regions:
            raise ArgumentError(
                "None for a style that a network learns", "a region", argument="region"
            )
        engine, backbone = load_engine(config)
        # Of the sizes that it has beside a picture and beside one of half the size.
        finest = style.scales((config.size, config.size), config)[-1].sizes[1:]
        sizes = [finest // 2**i for i in range(_SIZES)]
        network = PaintingNetwork(options["width"])
        if start is None:
            network.initialize(config.seed)
        else:
            network.set_weights(start.network.get_weights())
        self._result = StyleNetwork(
            network=network,
            config=config,
            style_image=style.source,
            colors=style.color_moments(),
            weights={"backbone": backbone.name, "sha256": backbone.weights.sha256},
            training={},
        )
        self._photos = load_photos(
            photos,
            size=config.size,
            seed=config.seed,
            prepare=self._result.prepare,
        )
        self._crops = Crops(
            self._photos,
            side=options["crop_size"],
            size=config.size,
            seed=config.seed,
        )
        self._step = TrainingStep(
            network,
            engine.objective,
            [style.targets(engine, each) for each in sizes],
            Knobs.from_config(config).relative_weights(),
            options["temporal_weight"],
        )
        self._rollbacks = 0
        self._block: tuple[int, Any, Any] | None = None
        self._blocks: Any = None

    def run(
        self,
        *,
        limit: float,
        callback: Callback | None,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_seconds: float,
        resumed: TrainingCheckpoint | None,
    ) -> StyleNetwork:
        """Trains the network; the arguments are those of `train_network`."""
        state, losses = self._begin(resumed)
        done, steps = int(state.step), self._options["steps"]
        before = losses[-1][-1] if losses else 0.0
        began = time.perf_counter() - before
        written = called = time.perf_counter()
        while done < steps:
            seconds = time.perf_counter() - began
            share = max(done / steps, seconds / limit)
            if share >= 1:
                break
            rate = self._rate(share)
            state, measured = self._take(state, done, rate)
            if not np.isfinite(measured).all():
                state = self._roll_back(state, done)
                continue
            done += 1
            now = time.perf_counter()
            losses.append((done, self._options["crop_size"], *measured, now - began))
            share = max(done / steps, (now - began) / limit)
            last = share >= 1
            stopped = False
            if callback is not None and (last or now - called > _SECONDS_PER_CALL):
                called = now
                progress = TrainingProgress(
                    step=done,
                    steps=steps if share == done / steps else round(done / share),
                    size=self._options["crop_size"],
                    fraction=min(share, 1.0),
                    losses=_rows(losses[-1:])[0],
                    learning_rate=rate,
                    seconds=now - began,
                    config=self._config,
                    paint=functools.partial(self._paint_some, state),
                )
                callback(progress)
                stopped = progress.stopped
            due = time.perf_counter() - written >= checkpoint_seconds
            if checkpoint is not None and (due or last or stopped):
                self._keep(state, losses, checkpoint)
                written = time.perf_counter()
            if stopped:
                break
        return self._finish(state, losses)

    def _begin(
        self, resumed: TrainingCheckpoint | None
    ) -> tuple[TrainingState, list[Any]]:
        """The first state, or the one of a checkpoint, and the losses so far."""
        state = self._step.first_state()
        if resumed is None:
            return state, []
        check_same_training(resumed, self._identity)
        like = tf.nest.flatten(state)
        if [a.shape for a in resumed.state] != [tuple(each.shape) for each in like]:
            raise ArgumentError(
                "a checkpoint of the same training",
                "one of another network",
                argument="resume",
            )
        self._rollbacks = resumed.rollbacks
        tensors = [
            tf.constant(array, each.dtype)
            for array, each in zip(resumed.state, like, strict=True)
        ]
        return tf.nest.pack_sequence_as(state, tensors), resumed.losses.tolist()

    @property
    def _identity(self) -> dict[str, Any]:
        """Everything that a training must share with a checkpoint to go on from it."""
        digests = "".join(str(photo.sha256) for photo in self._photos)
        return {
            "settings": self._config.to_dict(),
            "options": self._options,
            "style_image": without_names(self._result.style_image),
            "photos": hashlib.sha256(digests.encode()).hexdigest(),
            "weights": self._result.weights,
        }

    def _take(
        self, state: TrainingState, done: int, rate: float
    ) -> tuple[TrainingState, np.ndarray]:
        """Takes a step; returns the state and the mean losses of its crops."""
        batch = self._options["batch_size"]
        steps = _BLOCK * _USES // batch
        crops, targets = self._load_block(done // steps)
        # Each crop comes up as often, in an order that belongs to the block.
        random = np.random.default_rng([self._config.seed, done // steps])
        order = random.permutation(np.arange(_BLOCK * _USES) % _BLOCK)
        first = done % steps * batch
        chosen = tf.constant(order[first : first + batch], tf.int32)
        state, measured = self._step.run(
            state, crops, targets, chosen, tf.constant(rate, tf.float32)
        )
        return state, measured.numpy()

    def _load_block(self, number: int) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """A block of crops and their content targets."""
        if self._block is None or self._block[0] != number:
            if self._block is None or self._block[0] + 1 != number:
                self._blocks = self._crops.blocks(number, _BLOCK)
            crops = next(self._blocks)
            each = [self._step.content_targets(crop[tf.newaxis]) for crop in crops]
            targets = tf.nest.map_structure(lambda *t: tf.concat(t, axis=0), *each)
            self._block = number, crops, targets
        return self._block[1], self._block[2]

    def _rate(self, share: float) -> float:
        rate = self._options["learning_rate"] * 0.5**self._rollbacks
        return falling_rate(rate, share)

    def _roll_back(self, state: TrainingState, done: int) -> TrainingState:
        """A state to go on from after a step whose loss is not finite.

        The average lies amid weights whose losses were finite.
        """
        problem = f"The loss is no longer finite at step {done + 1}"
        if self._rollbacks == MAX_ROLLBACKS:
            raise ArgumentError(
                "smaller, or the weights of the losses",
                f"{self._options['learning_rate']!r}: {problem.lower()}",
                argument="learning_rate",
            )
        if not self._rollbacks:
            warnings.warn(
                f"{problem}; the training goes on from the averaged weights with half "
                f"the `learning_rate`, up to {MAX_ROLLBACKS} times",
                stacklevel=2,
            )
        self._rollbacks += 1
        fresh = adam_init(state.average)
        return state._replace(weights=state.average, optimizer=fresh)

    def _paint_some(self, state: TrainingState, size: int) -> np.ndarray:
        """Three of the photos, painted, side by side."""
        self._step.assign(state.average)
        count = len(self._photos)
        chosen = sorted({0, count // 3, 2 * count // 3})
        painted = []
        for photo in (self._photos[i] for i in chosen):
            pixels = photo.pixels[np.newaxis] / np.float32(255)
            small = shrink_image(pixels, size)
            painted.append(np.asarray(self._result.painter.paint(small))[0])
        height = min(each.shape[0] for each in painted)
        return np.concatenate([each[:height] for each in painted], axis=1)

    def _keep(
        self,
        state: TrainingState,
        losses: list[Any],
        path: str | os.PathLike[str],
    ) -> None:
        """Writes a checkpoint; on failure warns and keeps the previous one."""
        arrays = [np.asarray(each) for each in tf.nest.flatten(state)]
        kept = TrainingCheckpoint(
            self._identity, self._rollbacks, _rows(losses), arrays
        )
        try:
            kept.save(path)
        except (OSError, MemoryError) as error:
            warn_unwritten("the checkpoint", error)

    def _finish(self, state: TrainingState, losses: list[Any]) -> StyleNetwork:
        """The network with the averaged weights."""
        self._step.assign(state.average)
        round_weights(self._result.network)
        last = _rows(losses[-_LAST_LOSSES:])
        names = ("content", "style", "total_variation", "total")
        return dataclasses.replace(
            self._result,
            training={
                **self._options,
                "steps": len(losses),
                "photos": len(self._photos),
                "seconds": round(float(last["seconds"][-1]), 1) if len(last) else 0.0,
                "rollbacks": self._rollbacks,
                "losses": {
                    name: float(np.mean(last[name])) if len(last) else None
                    for name in names
                },
            },
        )


def _rows(losses: list[Any]) -> np.ndarray:
    """Losses as rows with the fields of `TransferResult.losses`."""
    return np.array([tuple(each) for each in losses], LOSS_FIELDS)


def _check_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options in their own types.

    Raises:
        ValueError: for one that is out of its range.
    """
    checked: dict[str, Any] = {
        name: check_integer(name, options[name], low, high)
        for name, low, high in (
            ("steps", 1, MAX_TRAINING_STEPS),
            ("batch_size", 1, _BLOCK * _USES),
            ("crop_size", 64, 2048),
            ("width", 4, 128),
        )
    }
    rate = check_number(
        "learning_rate",
        options["learning_rate"],
        "a number above 0 and at most 0.1",
        above=0,
        high=0.1,
    )
    weight = check_number(
        "temporal_weight",
        options["temporal_weight"],
        "a number from 0 to 1e9",
        low=0,
        high=1e9,
    )
    checked |= {"learning_rate": rate, "temporal_weight": weight}
    return options | checked


def _load_start(start: Any, width: int) -> StyleNetwork | None:
    """The network that a training begins with; None for random weights."""
    if start is None:
        start = _START if width == OPTIONS["width"] else _RANDOM
    if start == _RANDOM:
        return None
    expected = "a StyleNetwork, the path of one, a built-in style or 'random'"
    network = need_network(start, expected, name="start")
    if network.network.width != width:
        raise ArgumentError(
            f"{network.network.width}, that of `start`; or `start` 'random'",
            repr(width),
            argument="width",
        )
    return network
