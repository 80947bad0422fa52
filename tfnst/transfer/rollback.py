"""Where a run goes on after a step whose loss was not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import Canvas, Engine, TransferState

# How often a run halves its learning rate before it gives up.
MAX_ROLLBACKS = 4


def copy_of_start(engine: Engine, canvas: Canvas, state: TransferState) -> Any:
    """The picture that a scale starts with, if `roll_back` may need it; else None.

    Args:
        engine: of the scale.
        canvas: [N, H, W, 3], which changes as the run goes on.
        state: before the first step.
    """
    if engine.ema_momentum or engine.optimizer.best(state.optimizer) is not None:
        return None
    return canvas.copy() if isinstance(canvas, np.ndarray) else tf.identity(canvas)


def roll_back(
    engine: Engine, canvas: Canvas, state: TransferState, start: Any, step: int
) -> tuple[Canvas, TransferState]:
    """A picture to go on from, and a state that remembers nothing of the failure.

    The loss of the last picture isn't finite, however short the next step is. So
    L-BFGS goes back to the last point it accepted, and Adam to the moving average,
    which lies amid pictures whose losses were finite; without an average
    (`ema_momentum` is 0), to the start of the scale. None of them depends on how steps
    are grouped, so a run gives the same picture each time.

    Args:
        engine: of the scale.
        canvas: that was painted on.
        state: after the step that failed.
        start: from `copy_of_start`.
        step: steps of this scale that are done.

    Returns:
        (canvas, state).
    """
    good = engine.optimizer.best(state.optimizer)
    if good is None:
        good = state.average if start is None else start
    return engine.go_back(canvas, good, state, step)
