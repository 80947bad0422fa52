"""A run, coarse to fine: scales, groups of steps, losses, clock and callback."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.engines import devices, engine, memory, plans, tiled, whole
from tfnst.engines.loading import load_engine, load_replicated_engine
from tfnst.images.manifest import without_names
from tfnst.images.metadata import PictureInfo
from tfnst.losses import objective
from tfnst.ops import color_transfer, masks, pyramid, resizing
from tfnst.transfer.checkpoint import (
    Checkpoint,
    CheckpointKeeper,
    flatten_state,
    unflatten_state,
)
from tfnst.transfer.history import LOSS_FIELDS
from tfnst.transfer.pace import Pace
from tfnst.transfer.results import (
    Callback,
    NonFiniteLossError,
    TransferProgress,
    TransferResult,
)
from tfnst.transfer.rollback import MAX_ROLLBACKS, copy_of_start, roll_back
from tfnst.transfer.styles import Style

# Steps are grouped so that a group takes about this long: often enough for a
# progress bar and for stopping, seldom enough for Python to cost nothing.
_SECONDS_PER_GROUP = 0.5
# Rows of a picture get their colours together that have about this many pixels.
_PIXELS_AT_A_TIME = 2**22


@dataclasses.dataclass
class Job:
    """One picture to paint.

    Attributes:
        content: [1, H, W, 3] in [0, 1], at the size of the finest scale.
        style: whose style.
        scales: int32 [scales, 1 + pictures, 2], from `Style.pyramid`.
        source: of the content image, from `tfnst.images.manifest.describe_source`.
        info: what else the content image's file holds.
    """

    content: tf.Tensor
    style: Style
    scales: np.ndarray
    source: dict[str, str | None]
    info: PictureInfo = dataclasses.field(default_factory=PictureInfo)


class Run:
    """One run over one picture, or over several of the same size together.

    Args:
        config: the settings.
        jobs: the pictures, with the same sizes at all scales. What a run no longer
            needs of them it lets go.
        given: the picture to start from where the settings say so, [1, h, w, 3].
        callback: called with the progress.
        callback_steps: call back after each multiple of so many steps, too.
        keeper: writes checkpoints of a run over one picture.
        resume: where to go on.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        jobs: Sequence[Job],
        given: tf.Tensor | None = None,
        callback: Callback | None = None,
        callback_steps: int | None = None,
        keeper: CheckpointKeeper | None = None,
        resume: Checkpoint | None = None,
    ) -> None:
        self._began = time.perf_counter()
        self._config = config
        self._scales = jobs[0].scales[:, 0]  # [scales, 2], height and width
        self._style_scales = [job.scales[:, 1:] for job in jobs]
        self._styles = [
            job.style.in_colors_of(job.content, config.preserve_color) for job in jobs
        ]
        self._sources = [job.source for job in jobs]
        self._infos = [job.info for job in jobs]
        self._content = tf.concat([job.content for job in jobs], axis=0)
        self._division = self._divide(jobs)
        # What stays as it is, and where.
        self._kept = None
        if self._division is not None and tf.reduce_any(self._division.kept > 0):
            self._kept = self._content, self._division.kept
        # Whose colours the painted pictures get.
        self._colors = None
        if config.preserve_color == "luminance":
            self._colors = self._content
            self._content = self._by_rows(color_transfer.prepare_content, self._content)
        self._given = given
        self._callback = callback
        self._callback_steps = callback_steps
        self._keeper = keeper
        self._resume = resume
        self._engine, self._backbone = load_engine(
            config, regions=self._division is not None
        )
        strategy = devices.choose_strategy(config.device)
        # One picture is no faster on several GPUs; a TPU is only reached so.
        self._replicated = None
        if strategy is not None and (
            len(jobs) > 1 or isinstance(strategy, tf.distribute.TPUStrategy)
        ):
            if self._division is not None:
                raise ValueError(
                    f"`region` must be None on this device. Received: {config.device!r}"
                )
            self._replicated = load_replicated_engine(config, strategy)
        self._knobs = engine.Knobs.from_config(config)
        self._pace = Pace(
            self._scales.astype(np.float64).prod(axis=1),
            pyramid.scale_steps(
                jobs[0].scales, config.steps, config.initial_steps_for(config.steps)
            ),
            max_time=config.max_time,
            patience=config.patience,
        )
        # A row a picture, a column a step.
        self._rows = np.zeros((len(jobs), self._pace.total), LOSS_FIELDS)
        self._done, self._fraction = 0, 0.0
        self._stop_reason = None
        self._rollbacks = 0
        self._start = None
        if resume is not None:
            self._check_resume()

    def _divide(self, jobs):
        """Which styles go where, from `Style.divide`; None where all go everywhere."""
        if not any(style.has_regions for style in self._styles):
            return None
        if len(jobs) > 1:
            raise ValueError(
                "`region` must be None where several pictures are painted together; "
                f"paint one at a time. Received: {len(jobs)} pictures with regions"
            )
        return self._styles[0].divide(*self._scales[-1])

    def paint(self) -> list[TransferResult]:
        """Paints the pictures.

        Raises:
            NonFiniteLossError, ValueError, MemoryError: as `tfnst.stylize`.
        """
        try:
            with devices.placement(self._config.device):
                return self._paint()
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(
                "`size` is too large for this machine's memory; choose a smaller one, "
                "or set `max_memory` to paint in tiles. "
                f"Received: {self._config.size}"
            ) from error

    def _paint(self):
        first = 0
        if self._resume is None:
            average = self._first_image()
        else:
            first = self._resume.scale
            average = tf.constant(self._resume.image)
            self._done = self._resume.losses.shape[1]
            self._rows[:, : self._done] = self._resume.losses
            self._rollbacks = self._resume.rollbacks
            self._pace.resume(self._resume.scale_steps, self._resume.shortened_by)
            self._began -= self._seconds()
        limit = memory.memory_limit(self._config.max_memory, self._config.device)
        self._start = time.perf_counter() - self._seconds()
        for scale in range(first, len(self._scales)):
            if not self._pace.enters(scale):
                self._stop_reason = "max_time"
            if self._stop_reason is not None:
                break
            average = self._paint_scale(average, scale, limit)
        # A run that was stopped at a coarse scale still has the size asked for.
        return self._results(resizing.resize_image(average, *self._scales[-1]))

    def _first_image(self):
        if self._config.init_image == "given":
            given = resizing.resize_image(self._given, *self._scales[0])
            self._given = None
            return tf.repeat(given, len(self._styles), axis=0)
        first = [
            pyramid.first_image(
                self._config.init_image,
                self._content[i : i + 1],
                style.pictures[0],
                tf.constant(self._both_sides(0, i))[tf.newaxis],
                self._config.seed,
            )
            for i, style in enumerate(self._styles)
        ]
        return tf.concat(first, axis=0)

    def _both_sides(self, scale, index):
        """Sides of content and style at a scale, [1 + pictures of the style, 2]."""
        return np.stack([self._scales[scale], *self._style_scales[index][scale]])

    def _paint_scale(self, average, scale, limit):
        """The averaged pictures at the end of a scale."""
        sides = self._scales[scale]
        painter = self._painter(scale, limit)
        style = self._style_targets(painter, scale)
        image, state, content = painter.enter_scale(
            average, self._content, tf.constant(sides), self._knobs.content_weight
        )
        targets = objective.Targets(content, style, self._masks(sides))
        done = 0
        if self._resume is not None:
            done, image = self._resume.scale_step, self._resume.image
            state = unflatten_state(state, self._resume.state)
            self._resume = None
        if (sides == self._scales[-1]).all():
            self._content = None  # no longer needed, and perhaps large
        if isinstance(painter, whole.StyleTransferEngine):
            # The picture under the brush: one variable a scale.
            image = tf.Variable(image, trainable=True, name="stylized_image")
        return self._optimize(painter, image, state, targets, scale, done)

    def _painter(self, scale, limit):
        """What takes the steps of a scale: the engine, with devices or in tiles."""
        if self._replicated is not None:
            return self._replicated
        plan = plans.build_plan(
            self._engine.feature_extractor,
            self._config,
            self._both_sides(scale, 0),
            limit,
            pictures=len(self._styles),
            regions=0 if self._division is None else len(self._division.masks),
        )
        if not plan.tiled:
            return self._engine
        return tiled.TiledEngine(
            self._engine,
            cut=plan.cut,
            head_side=plan.head_side,
            tail_side=plan.tail_side,
        )

    def _masks(self, sides):
        """`Targets.regions` of a scale."""
        if self._division is None:
            return ()
        return (masks.resize_mask(self._division.masks, *sides),)

    def _style_targets(self, painter, scale):
        """`Targets.style` of all pictures, [1, ...] where they share one."""
        shares = None if self._division is None else self._division.shares
        targets = [
            style.targets(painter, scales[scale], shares)
            for style, scales in zip(self._styles, self._style_scales, strict=True)
        ]
        if all(style is self._styles[0] for style in self._styles):
            return targets[0]
        return tf.nest.map_structure(lambda *each: tf.concat(each, axis=0), *targets)

    def _optimize(self, painter, image, state, targets, scale, done):
        """All steps of a scale but those that are done."""
        size = max(self._scales[scale])
        start = copy_of_start(self._engine, image)
        pace, group = self._pace, 1
        while done < pace.steps[scale] and self._stop_reason is None:
            group = min(group, pace.steps[scale] - done, pace.group(scale, done))
            if self._callback_steps is not None:
                to_multiple = self._callback_steps - self._done % self._callback_steps
                group = min(group, to_multiple)
            began = time.perf_counter()
            updated, state, history = painter.run(
                image, state, targets, self._knobs_of(scale), tf.constant(int(group))
            )
            history = np.asarray(history)
            taken, failed = self._record(history, size)
            done += taken
            if failed.any():
                self._check_rollback(history[-1], failed, size, state, done)
                updated, state = roll_back(self._engine, image, state, start, done)
            if isinstance(image, tf.Variable):
                image.assign(updated)
            else:  # tiles are painted in place
                image = updated
            elapsed = time.perf_counter() - began
            if not taken:
                continue
            totals = self._rows[:, self._done - done : self._done]["total"]
            pace.end_at_plateau(scale, done, totals)
            pace.update(scale, done, taken, elapsed, began + elapsed - self._began)
            self._call_back(size, state)
            last = self._stop_reason is not None or self._done == pace.total
            if self._keeper is not None and self._keeper.due(last=last):
                self._keeper.keep(self._checkpoint(scale, done, image, state))
            group = max(1, round(taken * _SECONDS_PER_GROUP / max(elapsed, 1e-6)))
        return state.average

    def _knobs_of(self, scale):
        """The knobs as they are now: fewer steps, smaller ones."""
        return self._knobs._replace(
            learning_rate=self._knobs.learning_rate * 0.5**self._rollbacks,
            steps=tf.constant(self._pace.steps[scale], tf.float32),
        )

    def _record(self, history, size):
        """Adds the rows of a group of steps, but for one that isn't finite.

        Returns:
            (number of steps that were taken, which pictures' last losses aren't
            finite).
        """
        seconds = time.perf_counter() - self._start
        failed = ~np.isfinite(history[-1]).all(axis=0)
        taken = len(history) - int(failed.any())
        if not taken:
            return taken, failed
        rows = self._rows[:, self._done : self._done + taken]
        before = self._seconds()
        rows["step"] = np.arange(self._done + 1, self._done + taken + 1)
        rows["size"] = size
        for column, name in enumerate(("content", "style", "total_variation", "total")):
            rows[name] = history[:taken, column].T
        # Only the group as a whole is timed; its steps do equal work.
        rows["seconds"] = before + (seconds - before) * np.arange(1, taken + 1) / taken
        self._done += taken
        return taken, failed

    def _check_rollback(self, losses, failed, size, state, done):
        """Raises where going back is of no use, and says once that it is done.

        It is not at the first step of a scale, which no other has led to, nor where
        the steps can't be made so short for one picture and left for another.
        """
        index = np.argmax(failed)
        content, style = losses[:2, index]
        what = (
            f"The loss is no longer finite at step {self._done + 1} of "
            f"{self._pace.total} (content {content:g}, style {style:g}, "
            f"at {size} pixels)"
        )
        if not done or len(self._styles) > 1 or self._rollbacks == MAX_ROLLBACKS:
            pictures = resizing.resize_image(state.average, *self._scales[-1])
            raise NonFiniteLossError(
                f"{what}; smaller weights or a smaller `learning_rate` help. The last "
                "good picture is kept in `result`.",
                self._results(pictures)[index],
            )
        if not self._rollbacks:
            warnings.warn(
                f"{what}; the run goes on from the last good picture with half the "
                f"`learning_rate`, up to {MAX_ROLLBACKS} times",
                stacklevel=2,
            )
        self._rollbacks += 1

    def _seconds(self):
        """Seconds from the first step to the last one that is done."""
        return self._rows[0, self._done - 1]["seconds"] if self._done else 0.0

    def _checkpoint(self, scale, scale_step, image, state):
        return Checkpoint(
            settings=self._config.to_dict(),
            sources=self._all_sources(),
            backbone=self._backbone.name,
            weights=self._backbone.weights.sha256,
            scale=scale,
            scale_step=scale_step,
            losses=self._rows[:, : self._done],
            image=np.asarray(tf.convert_to_tensor(image)),
            state=flatten_state(state),
            rollbacks=self._rollbacks,
            scale_steps=self._pace.steps[: scale + 1].tolist(),
            shortened_by=self._pace.shortened_by(scale + 1),
        )

    def _check_resume(self):
        """Raises where the checkpoint is of another run."""
        there = self._resume
        # One that was short of time may be given more.
        settings = StyleTransferConfig(**there.settings).replace(
            max_time=self._config.max_time
        )
        for what, now, then in (
            ("settings", self._config.to_dict(), settings.to_dict()),
            ("pictures", self._all_sources(), there.sources),
            ("backbone", self._backbone.name, there.backbone),
            ("weights", self._backbone.weights.sha256, there.weights),
        ):
            if now != then:
                raise ValueError(
                    "`resume` must be a checkpoint of the same run. "
                    f"Received: one with other {what}, {_difference(now, then)}"
                )

    def _all_sources(self):
        """Which pictures they are; their names don't matter."""
        return {
            "content_image": self._sources[0]["sha256"],
            "style_image": without_names(self._styles[0].source),
        }

    def _call_back(self, size, state):
        if self._callback is None:
            return
        now = self._rows[:, self._done - 1]
        losses = now[0].copy()
        for name in ("content", "style", "total_variation", "total"):
            losses[name] = now[name].mean()
        progress = TransferProgress(
            step=self._done,
            steps=self._pace.total,
            size=int(size),
            fraction=self._update_fraction(),
            losses=losses,
            seconds=float(losses["seconds"]),
            _average=state.average,
            _finish=self._finish,
            _info=self._infos[0],
        )
        self._callback(progress)
        if progress._stopped and self._done < self._pace.total:
            self._stop_reason = "callback"

    def _update_fraction(self):
        pixels = np.prod(self._scales.astype(np.float64), axis=1)
        work = np.repeat(pixels, self._pace.steps)
        # Where there is more time than was thought, there is more left to do.
        now = float(work[: self._done].sum() / work.sum())
        self._fraction = max(self._fraction, now)
        return self._fraction

    def _finish(self, pictures):
        """The first pictures of the run, of any size, as they come out of it."""
        pictures = self._restore_colors(pictures)
        if self._kept is None:
            return pictures
        height, width = pictures.shape[1:3]
        content, mask = self._kept
        content = np.asarray(resizing.resize_image(content, height, width))
        mask = masks.resize_mask(mask, height, width)
        return pictures + mask * (content - pictures)

    def _restore_colors(self, pictures):
        if self._colors is None:
            return pictures
        count, height, width, _ = pictures.shape
        content = resizing.resize_image(self._colors[:count], height, width)
        return self._by_rows(color_transfer.restore_colors, pictures, content)

    def _by_rows(self, function, *pictures):
        """A function of pixels, of some rows at a time: it takes memory for many."""
        count, height, width, _ = pictures[0].shape
        rows = max(1, _PIXELS_AT_A_TIME // (count * width))
        parts = [
            function(
                *(picture[:, top : top + rows] for picture in pictures),
                self._config.preserve_color,
            )
            for top in range(0, height, rows)
        ]
        return tf.concat(parts, axis=1)

    def _results(self, pictures):
        pictures = self._finish(pictures)
        return [
            TransferResult(
                # An average of numbers up to 1 may be rounded to more.
                array=np.clip(pictures[i], 0.0, 1.0),
                losses=self._rows[i, : self._done].copy(),
                config=self._config,
                backbone=self._backbone.name,
                weights=self._backbone.weights,
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


def _difference(now, then):
    if not isinstance(now, dict):
        return f"{then} and not {now}"
    return ", ".join(
        f"{name} {then.get(name)} and not {value}"
        for name, value in now.items()
        if then.get(name) != value
    )
