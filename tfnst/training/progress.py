"""Progress of a training, as callbacks see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image

from tfnst.config import StyleTransferConfig
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
        config: the settings of the training.
        paint: function that paints some of the photos at a size, as the network does
            now, side by side, [H, W, 3] in [0, 1].
        stopped: whether the callback has stopped the training.
    """

    step: int
    steps: int
    size: int
    fraction: float
    losses: np.void
    learning_rate: float
    seconds: float
    config: StyleTransferConfig = dataclasses.field(repr=False)
    paint: Callable[[int], np.ndarray] = dataclasses.field(repr=False)
    stopped: bool = dataclasses.field(default=False, repr=False)

    def image(self, size: int = 384) -> Image.Image:
        """Up to three of the photos as the network paints them now, side by side.

        Args:
            size: longest side of a photo in pixels, at most. Default 384.
        """
        return to_pil(self.paint(size))

    def stop(self) -> None:
        """Ends the training after this callback; the network so far is returned."""
        self.stopped = True


Callback = Callable[[TrainingProgress], None]
