"""Going on after a break, and after a step whose loss is not finite."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.checks import ArgumentError, argument, check_number
from tfnst.engines.engine import Canvas, Engine, TransferState, flatten_state
from tfnst.files import show_path, warn_unwritten, write_file
from tfnst.transfer.checkpoint import (
    Checkpoint,
    check_fits,
    check_same_run,
    is_replaceable,
    save_checkpoint,
)
from tfnst.transfer.history import LossHistory
from tfnst.transfer.pace import Pace

# Number of times that a run halves its learning rate before it gives up.
MAX_ROLLBACKS = 4


class Recovery:
    """Keeps what a run needs to go on: checkpoints, and the last good picture.

    Args:
        path: file for checkpoints, which is replaced each time; None for none.
        seconds: least time between two checkpoints.
        resume: the checkpoint to go on from, if there is one.

    Attributes:
        rollbacks: number of steps after which the learning rate was halved.

    Raises:
        ValueError: if `seconds` isn't a number, 0 or more, or the file holds something
            else.
        OSError: if the file could not be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        seconds: float = 60.0,
        resume: Checkpoint | None = None,
    ) -> None:
        if path is not None:
            seconds = check_checkpoint(path, seconds)
        self._path = path
        self._seconds = seconds
        self._last_written = time.monotonic()
        self._resume = resume  # until its scale is entered
        self._run: dict[str, Any] = {}  # the identity in its checkpoints
        self._start: Any = None  # first picture of the scale, where no other is kept
        self.rollbacks = 0

    def check(
        self, run: dict[str, Any], scales: Sequence[tuple[int, int]], steps: int
    ) -> None:
        """Checks that the checkpoint to go on from is one of this run.

        Args:
            run: identity of the run, from `tfnst.transfer.checkpoint.describe_run`.
            scales: height and width of each scale.
            steps: most steps that the run can take.

        Raises:
            ValueError: if it is one of another run.
        """
        self._run = run
        if self._resume is not None:
            check_same_run(self._resume, run)
            check_fits(self._resume, scales, steps)

    def resume(self, history: LossHistory, pace: Pace) -> tuple[int, tf.Tensor] | None:
        """Takes over the losses and the plan of the checkpoint to go on from.

        Returns:
            (index of its scale, its picture); None if the run begins anew.
        """
        checkpoint = self._resume
        if checkpoint is None:
            return None
        history.resume(checkpoint.losses)
        pace.resume(checkpoint.scale_steps, checkpoint.shortened_by)
        self.rollbacks = checkpoint.rollbacks
        return checkpoint.scale, tf.constant(checkpoint.image)

    def enter_scale(
        self, engine: Engine, canvas: Canvas, state: TransferState
    ) -> tuple[Canvas, TransferState, int]:
        """Restores the checkpoint at its scale, and keeps the start of each scale.

        Args:
            engine: engine of the scale.
            canvas: [N, H, W, 3], which changes as the run goes on.
            state: state of the canvas.

        Returns:
            (canvas, state, steps of this scale that are done).
        """
        done = 0
        # Not kept any longer: its arrays are as large as those of the run.
        checkpoint, self._resume = self._resume, None
        if checkpoint is not None:
            done = checkpoint.scale_step
            canvas, state = engine.restore(
                canvas, state, checkpoint.image, checkpoint.state
            )
        self._start = None
        kept = engine.optimizer.best(state.optimizer)
        if not engine.ema_momentum and kept is None:
            self._start = (
                canvas.copy() if isinstance(canvas, np.ndarray) else tf.identity(canvas)
            )
        return canvas, state, done

    def roll_back(
        self,
        engine: Engine,
        canvas: Canvas,
        state: TransferState,
        done: int,
        problem: str,
    ) -> tuple[Canvas, TransferState] | None:
        """A picture to go on from, and a state that remembers nothing of the failure.

        The loss of the last picture isn't finite, however short the next step is. So
        L-BFGS goes back to the last point it accepted, and Adam to the moving average,
        which lies amid pictures whose losses were finite; without an average
        (`ema_momentum` is 0), to the start of the scale. None of them depends on how
        steps are grouped, so a run gives the same picture each time.

        The first time, it warns. The learning rate is to be halved each time.

        Args:
            engine: engine of the scale.
            canvas: the canvas.
            state: state after the step that failed.
            done: steps of this scale that are done.
            problem: the step that failed, for the warning.

        Returns:
            (canvas, state); None if there is nothing to go back to, because no step of
            the scale is done, or if it has been tried `MAX_ROLLBACKS` times.
        """
        if not done or self.rollbacks == MAX_ROLLBACKS:
            return None
        if not self.rollbacks:
            warnings.warn(
                f"{problem}; the run goes on from the last good picture with half the "
                f"`learning_rate`, up to {MAX_ROLLBACKS} times",
                stacklevel=2,
            )
        self.rollbacks += 1
        good = engine.optimizer.best(state.optimizer)
        if good is None:
            good = state.average if self._start is None else self._start
        return engine.go_back(canvas, good, state, done)

    def keep(
        self,
        scale: int,
        done: int,
        canvas: Canvas,
        state: TransferState,
        *,
        history: LossHistory,
        pace: Pace,
        last: bool,
    ) -> None:
        """Writes a checkpoint if it is time for one.

        On failure it warns and keeps the previous one, and the painting goes on: the
        picture may well be saved elsewhere.

        Args:
            scale: index of the scale.
            done: steps of this scale that are done.
            canvas: the canvas.
            state: state of the canvas.
            history: losses of the run.
            pace: steps of the run.
            last: whether the run ends here; it is time for a checkpoint then.
        """
        if self._path is None:
            return
        if not last and time.monotonic() - self._last_written < self._seconds:
            return
        checkpoint = Checkpoint(
            **self._run,
            scale=scale,
            scale_step=done,
            losses=history.rows,
            image=np.asarray(tf.convert_to_tensor(canvas)),
            state=flatten_state(state),
            rollbacks=self.rollbacks,
            scale_steps=pace.steps[: scale + 1].tolist(),
            shortened_by=pace.shortened_by(scale + 1),
        )
        try:
            save_checkpoint(checkpoint, self._path)
        except (OSError, MemoryError) as error:
            warn_unwritten("the checkpoint", error)
        self._last_written = time.monotonic()


def check_checkpoint(path: str | os.PathLike[str], seconds: Any) -> float:
    """Checks a file for checkpoints, and the least time between two; returns the time.

    Raises:
        ValueError: if `seconds` isn't a number, 0 or more, or the file holds something
            else.
        OSError: if the file could not be written.
    """
    expected = "a finite number, 0 or more"
    seconds = check_number("checkpoint_seconds", seconds, expected, low=0)
    with argument("checkpoint"):
        write_file(path, None)
        if not is_replaceable(path):
            raise ArgumentError(
                "a new file or a checkpoint of tfnst",
                f"{show_path(path)}, which is something else",
            )
    return seconds
