"""A run, coarse to fine: scales, groups of steps, losses, clock and callback."""

from __future__ import annotations

import dataclasses
import logging
import time
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError
from tfnst.config import StyleTransferConfig
from tfnst.engines.devices import choose_precision, device_kind, placement
from tfnst.engines.engine import (
    Canvas,
    Engine,
    Knobs,
    TransferState,
    flatten_state,
)
from tfnst.engines.loading import ScaleEngines
from tfnst.engines.memory import memory_errors
from tfnst.images.metadata import PictureInfo
from tfnst.losses.objective import Targets
from tfnst.ops.masks import Division, resize_mask
from tfnst.ops.pyramid import Level, first_image
from tfnst.ops.resizing import resize_image
from tfnst.ops.seamless import make_seamless
from tfnst.optimizers.optimizer import build_optimizer
from tfnst.transfer.checkpoint import (
    Checkpoint,
    CheckpointKeeper,
    check_fits,
    check_same_run,
    describe_run,
)
from tfnst.transfer.colors import carry_colors
from tfnst.transfer.finishing import Finishing
from tfnst.transfer.history import LossHistory
from tfnst.transfer.pace import Pace
from tfnst.transfer.progress import Callback, Snapshot, TransferProgress
from tfnst.transfer.results import NonFiniteLossError, TransferResult
from tfnst.transfer.rollback import MAX_ROLLBACKS, copy_of_start, roll_back
from tfnst.transfer.styles import Style

_logger = logging.getLogger(__name__)

# Steps are grouped so that a group takes about this long: often enough for a progress
# bar and for stopping, seldom enough for Python to cost nothing.
_SECONDS_PER_GROUP = 0.5


class Earlier(NamedTuple):
    """The last frames of a film, where their parts are in the one to be painted."""

    picture: np.ndarray  # painted, [1, H, W, 3] in [0, 1], of the finest scale's size
    known: np.ndarray  # how far each pixel is held to it, [1, H, W, 1] in [0, 1]
    weight: float  # of the temporal loss where all is known
    first: np.ndarray  # what the frame starts from, as `picture`
    start: np.ndarray  # how far each pixel starts from it, as `known`
    settled: np.ndarray  # how far each pixel is kept from what coarser scales change


@dataclasses.dataclass
class Job:
    """One picture to paint.

    Attributes:
        content: [1, H, W, 3] in [0, 1], at the size of the finest scale.
        style: whose style.
        levels: the scales, coarse to fine.
        source: of the content image, from `tfnst.images.manifest.describe_source`.
        info: what else the content image's file holds.
        earlier: what a frame of a film is held to.
    """

    content: tf.Tensor
    style: Style
    levels: tuple[Level, ...]
    source: dict[str, str | None]
    info: PictureInfo = dataclasses.field(default_factory=PictureInfo)
    earlier: Earlier | None = None


class Given(NamedTuple):
    """A picture that a run starts from."""

    picture: np.ndarray  # [1, h, w, 3] in [0, 1]
    source: dict[str, str | None]  # from `tfnst.images.manifest.describe_source`


class Run:
    """A run over one picture, or over several of the same size together.

    Args:
        config: the settings.
        jobs: the pictures, with the same sizes at all scales. The run lets go of
            whatever it no longer needs of them.
        given: the picture to start from if the settings say so.
        callback: called with the progress.
        callback_steps: call back after each multiple of this number of steps, too.
        keeper: writes checkpoints of a run over one picture.
        resume: where to go on.

    Raises:
        ValueError: for jobs that can't be painted together, or another run's
            checkpoint.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        jobs: Sequence[Job],
        given: Given | None = None,
        callback: Callback | None = None,
        callback_steps: int | None = None,
        keeper: CheckpointKeeper | None = None,
        resume: Checkpoint | None = None,
    ) -> None:
        self._began = time.perf_counter()
        self._config = config
        self._levels = jobs[0].levels
        self._style_sizes = [[x.style_sizes for x in job.levels] for job in jobs]
        self._styles = [
            job.style.in_colors_of(job.content, config.preserve_color) for job in jobs
        ]
        self._sources = [job.source for job in jobs]
        self._infos = [job.info for job in jobs]
        self._division = self._divide()
        content = tf.concat([job.content for job in jobs], axis=0)
        self._finishing = Finishing(content, config.preserve_color, self._division)
        self._knobs = Knobs.from_config(config)
        self._content = self._in_colors_of_styles(self._finishing.prepare(content))
        self._earlier = jobs[0].earlier
        self._given = None if given is None else given.picture
        self._given_source = None if given is None else given.source
        self._callback = callback
        self._callback_steps = callback_steps
        self._keeper = keeper
        self._resume = resume
        self._engines = ScaleEngines(
            config,
            pictures=len(jobs),
            regions=0 if self._division is None else len(self._division.masks),
            temporal=self._earlier is not None,
        )
        self._pace = Pace(
            np.array([level.pixels for level in self._levels], np.float64),
            np.array([level.steps for level in self._levels]),
            max_time=config.max_time,
            patience=config.patience,
        )
        self._history = LossHistory(len(jobs), self._pace.total)
        self._stop_reason: str | None = None
        self._rollbacks = 0
        if resume is not None:
            check_same_run(resume, self._describe())
            sides = [level.sides for level in self._levels]
            check_fits(resume, sides, self._pace.total)

    def paint(self) -> list[TransferResult]:
        """Paints the pictures.

        Raises:
            NonFiniteLossError, ValueError, MemoryError: as `tfnst.stylize`.
        """
        config = self._config
        _logger.info(
            "painting on %s in %s",
            device_kind(config.device).upper(),
            choose_precision(config.precision, config.device),
        )
        with memory_errors(config.size), placement(config.device):
            results = self._paint()
        seconds = time.perf_counter() - self._began
        _logger.info("painted in %.1f s", seconds)
        return results

    def _divide(self) -> Division | None:
        """Which styles go where; None if all of them go everywhere."""
        if not any(style.has_regions for style in self._styles):
            return None
        if len(self._styles) > 1:
            raise ArgumentError(
                "None where several pictures are painted together; paint one at a time",
                f"{len(self._styles)} pictures with regions",
                argument="region",
            )
        return self._styles[0].divide(*self._levels[-1].sides)

    def _in_colors_of_styles(self, content: tf.Tensor) -> tf.Tensor:
        shares = None if self._division is None else self._division.shares
        return carry_colors(
            content,
            [style.color_moments(shares) for style in self._styles],
            self._knobs.style_share,
            self._division,
        )

    def _describe(self) -> dict[str, Any]:
        """What a checkpoint of this run says about it."""
        return describe_run(
            self._config,
            self._engines.backbone,
            self._sources[0],
            self._styles[0].source,
            self._given_source,
        )

    def _paint(self) -> list[TransferResult]:
        first = 0
        if self._resume is None:
            average = self._first_image()
        else:
            first = self._resume.scale
            average = tf.constant(self._resume.image)
            self._history.resume(self._resume.losses)
            self._rollbacks = self._resume.rollbacks
            self._pace.resume(self._resume.scale_steps, self._resume.shortened_by)
            self._began -= self._history.seconds
        self._history.start_clock()
        for scale in range(first, len(self._levels)):
            if not self._pace.enters(scale):
                self._stop_reason = "max_time"
            if self._stop_reason is not None:
                break
            average = self._paint_scale(average, scale)
        # A run that was stopped at a coarse scale still has the size asked for.
        return self._results(self._at_full_size(average))

    def _at_full_size(self, pictures: Any) -> tf.Tensor:
        sides = self._levels[-1].sides
        return resize_image(pictures, *sides, wrap=self._config.seamless)

    def _first_image(self) -> tf.Tensor:
        if self._config.init_image == "given":
            given = resize_image(self._given, *self._levels[0].sides)
            if self._config.seamless:
                given = make_seamless(given)
            self._given = None
            return tf.repeat(given, len(self._styles), axis=0)
        first = [
            first_image(
                self._config.init_image,
                self._content[i : i + 1],
                style.pictures[0],
                tf.constant(self._levels[0].sizes)[tf.newaxis],
                self._config.seed,
                seamless=self._config.seamless,
            )
            for i, style in enumerate(self._styles)
        ]
        return tf.concat(first, axis=0)

    def _paint_scale(self, average: Any, scale: int) -> Any:
        """The averaged pictures at the end of a scale."""
        level = self._levels[scale]
        began, before = time.perf_counter(), self._history.done
        engine = self._engines.for_scale(level.sizes)
        style = self._style_targets(engine, scale)
        canvas, state, content = engine.enter_scale(
            average,
            self._content,
            tf.constant(level.sides),
            self._knobs.content_weight,
        )
        regions: tuple[tf.Tensor, ...] = ()
        if self._division is not None:
            masks = resize_mask(self._division.masks, *level.sides)
            regions = engine.objective.see_regions(masks)
        done = 0
        if self._resume is not None:
            done = self._resume.scale_step
            canvas, state = engine.restore(
                canvas, state, self._resume.image, self._resume.state
            )
            self._resume = None
        if level.sides == self._levels[-1].sides:
            self._content = None  # no longer needed, and perhaps large
        canvas, state, temporal = self._hold(engine, canvas, state, level)
        targets = Targets(content, style, regions, temporal)
        average = self._optimize(engine, canvas, state, targets, scale, done)
        _logger.info(
            "scale %d of %d, %d pixels: %d steps in %.1f s, total loss %.4g",
            scale + 1,
            len(self._levels),
            level.long_side,
            self._history.done - before,
            time.perf_counter() - began,
            self._history.last()["total"],
        )
        return average

    def _hold(
        self, engine: Engine, canvas: Canvas, state: TransferState, level: Level
    ) -> tuple[Canvas, TransferState, tuple[Any, ...]]:
        """Has a frame begin as those before, where it can; also `Targets.temporal`."""
        earlier = self._earlier
        if earlier is None:
            return canvas, state, ()
        picture, first = (
            resize_image(self._finishing.prepare(each), *level.sides)
            for each in (earlier.picture, earlier.first)
        )
        known, share, settled = (
            resize_mask(mask, *level.sides)
            for mask in (earlier.known, earlier.start, earlier.settled)
        )
        if level.sides != self._levels[0].sides:
            # The coarser scales saw the frame as it starts, but for its details.
            sides = self._levels[self._levels.index(level) - 1].sides
            coarse = resize_image(resize_image(first, *sides), *level.sides)
            first += (1 - settled) * (state.average - coarse)
        # A copy: engines write into the average.
        start = np.array(state.average + share * (first - state.average))
        canvas, state = engine.go_back(canvas, start, state, 0)
        temporal = picture, earlier.weight * known
        return canvas, state._replace(average=start), temporal

    def _style_targets(self, engine: Engine, scale: int) -> dict[str, Any]:
        """`Targets.style` of all pictures, [1, ...] if they share a style."""
        shares = None if self._division is None else self._division.shares
        targets = [
            style.targets(engine, np.array(sizes[scale], np.int32), shares)
            for style, sizes in zip(self._styles, self._style_sizes, strict=True)
        ]
        if all(style is self._styles[0] for style in self._styles):
            return targets[0]
        return tf.nest.map_structure(lambda *each: tf.concat(each, axis=0), *targets)

    def _optimize(
        self,
        engine: Engine,
        canvas: Canvas,
        state: TransferState,
        targets: Targets,
        scale: int,
        done: int,
    ) -> Any:
        """Takes the steps of a scale, after `done` of them; returns the average."""
        size = self._levels[scale].long_side
        start = copy_of_start(engine, canvas, state)
        pace, history, group = self._pace, self._history, 1
        while done < pace.steps[scale] and self._stop_reason is None:
            group = min(group, pace.steps[scale] - done, pace.group(scale, done))
            if self._callback_steps is not None:
                to_multiple = self._callback_steps - history.done % self._callback_steps
                group = min(group, to_multiple)
            began = time.perf_counter()
            canvas, state, losses = engine.run(
                canvas, state, targets, self._knobs_of(scale), tf.constant(int(group))
            )
            taken, failed = history.record(losses, size)
            done += taken
            if failed.any():
                self._check_rollback(losses[-1], failed, size, state, done)
                canvas, state = roll_back(engine, canvas, state, start, done)
            elapsed = time.perf_counter() - began
            if not taken:
                continue
            pace.end_at_plateau(scale, done, history.rows["total"][:, -done:])
            pace.update(scale, done, taken, elapsed, began + elapsed - self._began)
            self._call_back(scale, done, state)
            last = self._stop_reason is not None or history.done == pace.total
            if self._keeper is not None and self._keeper.due(last=last):
                self._keeper.keep(self._checkpoint(scale, done, canvas, state))
            group = max(1, round(taken * _SECONDS_PER_GROUP / max(elapsed, 1e-6)))
        return state.average

    def _knobs_of(self, scale: int) -> Knobs:
        """The knobs as they are now: the steps planned, and a halved learning rate."""
        return self._knobs._replace(
            learning_rate=self._knobs.learning_rate * 0.5**self._rollbacks,
            steps=tf.constant(self._pace.steps[scale], tf.float32),
        )

    def _check_rollback(
        self,
        losses: np.ndarray,
        failed: np.ndarray,
        size: int,
        state: TransferState,
        done: int,
    ) -> None:
        """Counts a roll-back and warns of the first one, or raises if there is no use.

        The first step of a scale has no earlier step to go back to, and the steps of
        several pictures can't be shortened for one and left alone for another.
        """
        index = np.argmax(failed)
        content, style = losses[:2, index]
        what = (
            f"The loss is no longer finite at step {self._history.done + 1} of "
            f"{self._pace.total} (content {content:g}, style {style:g}, "
            f"at {size} pixels)"
        )
        if not done or len(self._styles) > 1 or self._rollbacks == MAX_ROLLBACKS:
            pictures = self._at_full_size(state.average)
            raise NonFiniteLossError(
                f"{what}; smaller weights or a smaller `learning_rate` help",
                self._results(pictures)[index],
            )
        if not self._rollbacks:
            warnings.warn(
                f"{what}; the run goes on from the last good picture with half the "
                f"`learning_rate`, up to {MAX_ROLLBACKS} times",
                stacklevel=2,
            )
        self._rollbacks += 1

    def _checkpoint(
        self, scale: int, scale_step: int, canvas: Canvas, state: TransferState
    ) -> Checkpoint:
        return Checkpoint(
            **self._describe(),
            scale=scale,
            scale_step=scale_step,
            losses=self._history.rows,
            image=np.asarray(tf.convert_to_tensor(canvas)),
            state=flatten_state(state),
            rollbacks=self._rollbacks,
            scale_steps=self._pace.steps[: scale + 1].tolist(),
            shortened_by=self._pace.shortened_by(scale + 1),
        )

    def _call_back(self, scale: int, done: int, state: TransferState) -> None:
        if self._callback is None:
            return
        losses = self._history.last()
        optimizer = build_optimizer(self._config.optimizer)
        knobs = self._knobs_of(scale)
        rate = optimizer.rate(knobs.learning_rate, (done - 1) / knobs.steps)
        progress = TransferProgress(
            step=self._history.done,
            steps=self._pace.total,
            size=self._levels[scale].long_side,
            fraction=self._pace.fraction(self._history.done),
            losses=losses,
            learning_rate=float(rate),
            seconds=float(losses["seconds"]),
            config=self._config,
            snapshot=Snapshot(state.average, self._finishing.finish, self._infos[0]),
        )
        self._callback(progress)
        if progress.stopped and self._history.done < self._pace.total:
            self._stop_reason = "callback"

    def _results(self, pictures: Any) -> list[TransferResult]:
        pictures = self._finishing.finish(pictures)
        backbone = self._engines.backbone
        return [
            TransferResult(
                # An average of numbers up to 1 may be rounded to more.
                array=np.clip(pictures[i], 0.0, 1.0),
                losses=self._history.rows[i].copy(),
                config=self._config,
                backbone=backbone.name,
                weights=backbone.weights,
                stopped=self._stop_reason is not None,
                stop_reason=self._stop_reason,
                shortened_by=tuple(self._pace.shortened_by()),
                rollbacks=self._rollbacks,
                content_image=self._sources[i],
                style_image=style.source,
                info=self._infos[i],
            )
            for i, style in enumerate(self._styles)
        ]
