"""Progress of a training, as callbacks see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image

from tfnst.images.writing import to_pil


@dataclasses.dataclass
class TrainingProgress:
    """Progress of a training; passed to the callback.

    Attributes:
        step: number of steps done.
        steps: number of steps in all; an estimate where there is a time limit.
        size: side of the crops in pixels.
        fraction: share of the training that is done, from 0 to 1.
        losses: row of the last step, with the fields of `TransferResult.losses`.
        learning_rate: learning rate of the last step.
        seconds: seconds since the first step began.
        paint: function that paints some of the photos as the network does now, side by
            side, [H, W, 3] in [0, 1].
        stopped: whether the callback has stopped the training.
    """

    step: int
    steps: int
    size: int
    fraction: float
    losses: np.void
    learning_rate: float
    seconds: float
    paint: Callable[[], np.ndarray] = dataclasses.field(repr=False)
    stopped: bool = dataclasses.field(default=False, repr=False)

    def preview(self) -> Image.Image:
        """Up to three of the photos as the network paints them now, side by side."""
        return to_pil(self.paint())

    def stop(self) -> None:
        """Ends the training after this callback; the network so far is returned."""
        self.stopped = True


Callback = Callable[[TrainingProgress], None]
