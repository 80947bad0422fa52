"""Where a run goes on after a step whose loss was not finite, with smaller steps."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfnst.engines.engine import TransferState
from tfnst.engines.whole import StyleTransferEngine
from tfnst.optimizers.lbfgs import LBFGSState

# How often a run halves its learning rate before it gives up.
MAX_ROLLBACKS = 4


def copy_of_start(
    engine: StyleTransferEngine, image: tf.Variable | tf.Tensor | np.ndarray
) -> tf.Tensor | np.ndarray | None:
    """The picture that a scale starts with, where `roll_back` will ask for it.

    Args:
        engine: of the run.
        image: [N, H, W, 3], which is changed as the run goes on.
    """
    if engine.config.optimizer != "adam" or engine.config.ema_momentum:
        return None
    return image.copy() if isinstance(image, np.ndarray) else tf.identity(image)


def roll_back(
    engine: StyleTransferEngine,
    image: tf.Variable | tf.Tensor | np.ndarray,
    state: TransferState,
    start: tf.Tensor | np.ndarray | None,
    step: int,
) -> tuple[tf.Tensor | np.ndarray, TransferState]:
    """A picture to go on from, and a state that remembers nothing of the failure.

    The loss of the last picture isn't finite, however short the next step is. So
    L-BFGS goes back to the last point it accepted, and Adam to the moving average,
    which every step has and which lies amid pictures whose losses were finite; where
    there is no average (`ema_momentum` is 0), to the start of the scale. None of them
    depends on how steps are grouped, so that a run gives the same picture each time.

    Args:
        engine: of the run.
        image: the picture that was painted on, [N, H, W, 3]; in tiles an array.
        state: after the step that failed.
        start: from `copy_of_start`.
        step: steps of this scale that are done.

    Returns:
        (image [N, H, W, 3], state), of arrays where `image` is one.
    """
    in_tiles = isinstance(image, np.ndarray)
    if isinstance(state.optimizer, LBFGSState):
        image = state.optimizer.params
    elif start is not None:
        image = start
    else:
        image = state.average
    fresh = engine.init_state(tf.convert_to_tensor(image))
    after = TransferState(tf.constant(step), fresh.optimizer, state.average)
    if in_tiles:  # they are painted in place
        return np.array(image), tf.nest.map_structure(np.array, after)
    return tf.identity(image), after
