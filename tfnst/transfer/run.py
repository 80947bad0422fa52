"""A run, coarse to fine: scales, groups of steps, clock and callback."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.engines.devices import choose_precision, device_kind, placement
from tfnst.engines.engine import Canvas, Engine, Knobs, TransferState
from tfnst.engines.loading import ScaleEngines
from tfnst.engines.memory import memory_errors
from tfnst.losses.objective import Targets
from tfnst.ops.pyramid import Scale
from tfnst.ops.resizing import resize_image
from tfnst.ops.seamless import make_seamless
from tfnst.optimizers.optimizer import build_optimizer
from tfnst.transfer.checkpoint import describe_run
from tfnst.transfer.history import LossHistory
from tfnst.transfer.pace import Pace
from tfnst.transfer.pictures import Content, PreparedPictures
from tfnst.transfer.progress import Callback, Snapshot, TransferProgress
from tfnst.transfer.recovery import Recovery
from tfnst.transfer.results import NonFiniteLossError, TransferResult

_logger = logging.getLogger(__name__)

# Steps are grouped so that a group takes about this long: often enough for a progress
# bar and for stopping, seldom enough for Python to cost nothing.
_SECONDS_PER_GROUP = 0.5


class Given(NamedTuple):
    """A picture that a run starts from."""

    picture: np.ndarray  # [1, h, w, 3] in [0, 1]
    source: dict[str, str | None]  # from `tfnst.images.manifest.describe_source`


# Another start for each scale, as a film has for frames that follow others. It takes
# the engine, canvas and state of the scale, the scale, and the coarser one before it or
# None. It returns the canvas and the state to start from, and `Targets.temporal`.
ScaleStart: TypeAlias = Callable[
    [Engine, Canvas, TransferState, Scale, Scale | None],
    tuple[Canvas, TransferState, Any],
]


class Run:
    """A run over one picture, or over several of the same size together.

    It paints once, and keeps only as much of the pictures as it needs: a caller that
    lets go of them saves their memory.

    Args:
        config: the settings.
        contents: the pictures, with the same sizes at all scales.
        given: the picture to start from, for `init_image="given"`.
        callback: called with the progress.
        callback_steps: number of steps after whose multiples it is called, too.
        recovery: checkpoints of a run over one picture; none by default.
        start_scale: another start for each scale.
        load_engines: builds the engines of the scales; a film keeps its engines.

    Attributes:
        sources: name and digest of each picture, from
            `tfnst.images.manifest.describe_source`.

    Raises:
        ValueError: for pictures that can't be painted together, or another run's
            checkpoint.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        contents: Sequence[Content],
        *,
        given: Given | None = None,
        callback: Callback | None = None,
        callback_steps: int | None = None,
        recovery: Recovery | None = None,
        start_scale: ScaleStart | None = None,
        load_engines: Callable[..., ScaleEngines] = ScaleEngines,
    ) -> None:
        self._began = time.perf_counter()
        self._config = config
        self._knobs = Knobs.from_config(config)
        self._scales = contents[0].scales
        self._pictures = PreparedPictures(contents, config, self._knobs.style_share)
        self.sources = [each.source for each in contents]
        self._infos = [each.info for each in contents]
        self._callback = callback
        self._callback_steps = callback_steps
        self._start_scale = start_scale
        self._engines = load_engines(
            config,
            pictures=len(contents),
            regions=self._pictures.regions or 0,
            temporal=start_scale is not None,
        )
        self._pace = Pace(
            np.array([scale.pixels for scale in self._scales], np.float64),
            np.array([scale.steps for scale in self._scales]),
            max_time=config.max_time,
            patience=config.patience,
        )
        self._history = LossHistory(len(contents), self._pace.total)
        self._stop_reason: str | None = None
        self._recovery = Recovery() if recovery is None else recovery
        if recovery is not None:
            recovery.check(
                describe_run(
                    config,
                    self._engines.backbone,
                    self.sources[0],
                    self._pictures.styles[0].source,
                    None if given is None else given.source,
                ),
                [scale.sides for scale in self._scales],
                self._pace.total,
            )
        self._given = None if given is None else self._at_coarsest_scale(given.picture)

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
            results = self._results(self._paint())
        seconds = time.perf_counter() - self._began
        _logger.info("painted in %.1f s", seconds)
        return results

    def _at_coarsest_scale(self, picture: np.ndarray) -> tf.Tensor:
        config = self._config
        with memory_errors(config.size), placement(config.device):
            picture = resize_image(picture, *self._scales[0].sides)
            return make_seamless(picture) if config.seamless else picture

    def _paint(self) -> tf.Tensor:
        """The averaged pictures at the end of the run."""
        resumed = self._recovery.resume(self._history, self._pace)
        if resumed is None:
            first, coarsest = 0, self._scales[0]
            average = self._pictures.first_image(coarsest, self._config, self._given)
        else:
            first, average = resumed
            self._began -= self._history.seconds
        self._history.start_clock()
        for index in range(first, len(self._scales)):
            if not self._pace.enters(index):
                self._stop_reason = "max_time"
            if self._stop_reason is not None:
                break
            average = self._paint_scale(average, index)
        return average

    def _paint_scale(self, average: Any, index: int) -> Any:
        """The averaged pictures at the end of a scale."""
        scale = self._scales[index]
        began, before = time.perf_counter(), self._history.done
        engine = self._engines.for_scale(scale.sizes)
        style = self._pictures.style_targets(engine, index)
        canvas, state, content = engine.enter_scale(
            average,
            self._pictures.prepared,
            tf.constant(scale.sides),
            self._knobs.content_weight,
        )
        if scale is self._scales[-1]:
            del self._pictures.prepared  # It may take gigabytes.
        targets = Targets(content, style)
        masks = self._pictures.masks(scale)
        if masks is not None:
            targets = targets._replace(regions=engine.objective.see_regions(masks))
        if self._start_scale is not None:
            coarser = self._scales[index - 1] if index else None
            canvas, state, temporal = self._start_scale(
                engine, canvas, state, scale, coarser
            )
            targets = targets._replace(temporal=temporal)
        average = self._optimize(engine, canvas, state, targets, index)
        _logger.info(
            "scale %d of %d, %d pixels: %d steps in %.1f s, total loss %.4g",
            index + 1,
            len(self._scales),
            scale.long_side,
            self._history.done - before,
            time.perf_counter() - began,
            self._history.last()["total"],
        )
        return average

    def _optimize(
        self,
        engine: Engine,
        canvas: Canvas,
        state: TransferState,
        targets: Targets,
        index: int,
    ) -> Any:
        """Takes the steps of a scale; returns the averaged pictures at its end."""
        pace, history, recovery = self._pace, self._history, self._recovery
        size = self._scales[index].long_side
        canvas, state, done = recovery.enter_scale(engine, canvas, state)
        group = 1
        while done < pace.steps[index] and self._stop_reason is None:
            group = min(group, pace.steps[index] - done, pace.group(index, done))
            if self._callback_steps is not None:
                to_multiple = self._callback_steps - history.done % self._callback_steps
                group = min(group, to_multiple)
            began = time.perf_counter()
            canvas, state, losses = engine.run(
                canvas, state, targets, self._knobs_of(index), tf.constant(int(group))
            )
            taken, failed = history.record(losses, size)
            done += taken
            if failed.any():
                canvas, state = self._roll_back(
                    engine, canvas, state, done, size, losses[-1], failed
                )
            elapsed = time.perf_counter() - began
            if not taken:
                continue
            pace.end_at_plateau(index, done, history.rows["total"][:, -done:])
            pace.update(index, done, taken, elapsed, began + elapsed - self._began)
            self._call_back(index, done, state)
            last = self._stop_reason is not None or history.done == pace.total
            recovery.keep(
                index, done, canvas, state, history=history, pace=pace, last=last
            )
            group = max(1, round(taken * _SECONDS_PER_GROUP / max(elapsed, 1e-6)))
        return state.average

    def _knobs_of(self, index: int) -> Knobs:
        """The knobs as they are now: the steps planned, and a halved learning rate."""
        return self._knobs._replace(
            learning_rate=self._knobs.learning_rate * 0.5**self._recovery.rollbacks,
            steps=tf.constant(self._pace.steps[index], tf.float32),
        )

    def _roll_back(
        self,
        engine: Engine,
        canvas: Canvas,
        state: TransferState,
        done: int,
        size: int,
        losses: np.ndarray,
        failed: np.ndarray,
    ) -> tuple[Canvas, TransferState]:
        """The last good picture, or an error where going back is of no use.

        The steps of several pictures can't be shortened for one and left alone for
        another.
        """
        picture = np.argmax(failed)
        content, style = losses[:2, picture]
        problem = (
            f"The loss is no longer finite at step {self._history.done + 1} of "
            f"{self._pace.total} (content {content:g}, style {style:g}, "
            f"at {size} pixels)"
        )
        if len(failed) == 1:
            good = self._recovery.roll_back(engine, canvas, state, done, problem)
            if good is not None:
                return good
        raise NonFiniteLossError(
            f"{problem}; smaller weights or a smaller `learning_rate` help",
            self._results(state.average)[picture],
        )

    def _call_back(self, index: int, done: int, state: TransferState) -> None:
        if self._callback is None:
            return
        losses = self._history.last()
        optimizer = build_optimizer(self._config.optimizer)
        knobs = self._knobs_of(index)
        rate = optimizer.rate(knobs.learning_rate, (done - 1) / knobs.steps)
        progress = TransferProgress(
            step=self._history.done,
            steps=self._pace.total,
            size=self._scales[index].long_side,
            fraction=self._pace.fraction(self._history.done),
            losses=losses,
            learning_rate=float(rate),
            seconds=float(losses["seconds"]),
            config=self._config,
            snapshot=Snapshot(state.average, self._pictures.finish, self._infos[0]),
        )
        self._callback(progress)
        if progress.stopped and self._history.done < self._pace.total:
            self._stop_reason = "callback"

    def _results(self, average: Any) -> list[TransferResult]:
        """Results with the averaged pictures, [N, h, w, 3], finished."""
        # A run that was stopped at a coarse scale still has the size asked for.
        sides, wrap = self._scales[-1].sides, self._config.seamless
        pictures = self._pictures.finish(resize_image(average, *sides, wrap=wrap))
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
                rollbacks=self._recovery.rollbacks,
                content_image=self.sources[i],
                style_image=style.source,
                info=self._infos[i],
            )
            for i, style in enumerate(self._pictures.styles)
        ]
