"""Progress of a run, as callbacks see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfnst.checks import ArgumentError
from tfnst.config import StyleTransferConfig
from tfnst.images.metadata import PictureInfo
from tfnst.images.writing import to_pil
from tfnst.ops.resizing import shrink_image
from tfnst.transfer.saving import SavedPicture


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The present pictures of a run, finished only when someone looks at them.

    Attributes:
        average: moving average of the iterates, [N, H, W, 3] in [0, 1].
        finish: function that restores colours and parts of the content image.
        info: contents of the first content image's file besides the colours.
    """

    average: tf.Tensor | np.ndarray
    finish: Callable[[Any], Any]
    info: PictureInfo

    def array(self, size: int | None = None) -> np.ndarray:
        """The first picture, float32 [H, W, 3] in [0, 1].

        Args:
            size: longest side in pixels, at most; None for the present size.
        """
        picture = self.average[:1]
        if size is not None:
            picture = shrink_image(picture, size)
        return np.asarray(self.finish(picture)[0])


@dataclasses.dataclass
class TransferProgress(SavedPicture):
    """Progress of a run; passed to the callback.

    Attributes:
        step: number of steps done, over all scales.
        steps: number of steps in all; `max_time` and `patience` change it.
        size: long side of the present scale in pixels.
        fraction: share of the work that is done, from 0 to 1. The work of a step is
            its number of pixels, so unlike `step / steps` it grows evenly with time.
        losses: row of the last step, with the fields of `TransferResult.losses`.
        learning_rate: learning rate of the last step.
        seconds: seconds since the first step began.
        config: the settings of the run.
        snapshot: the present picture.
        stopped: whether the callback has stopped the run.
    """

    step: int
    steps: int
    size: int
    fraction: float
    losses: np.void
    learning_rate: float
    seconds: float
    config: StyleTransferConfig = dataclasses.field(repr=False)
    snapshot: Snapshot = dataclasses.field(repr=False)
    stopped: bool = dataclasses.field(default=False, repr=False)

    def image(self, size: int | None = None) -> Image.Image:
        """The present picture; the first one if several are painted together.

        Args:
            size: longest side in pixels, at most; None, the default, for the present
                size.
        """
        return to_pil(self.snapshot.array(size))

    def _for_file(self) -> tuple[np.ndarray, PictureInfo, dict[str, Any] | None]:
        return self.snapshot.array(), self.snapshot.info, None

    def stop(self) -> None:
        """Ends the run after this callback; `stylize` returns the picture so far."""
        self.stopped = True


Callback = Callable[[TransferProgress], None]


def as_one_callback(callback: Callback | Iterable[Callback] | None) -> Callback | None:
    """One callback that calls several in turn.

    Raises:
        ValueError: for an object that can't be called.
    """
    if callback is None or callable(callback):
        return callback
    each = tuple(callback) if isinstance(callback, Iterable) else (callback,)
    if not all(map(callable, each)):
        raise ArgumentError(
            "a function, or a list of functions, of a TransferProgress",
            repr(callback),
            argument="callback",
        )

    def call(progress: TransferProgress) -> None:
        for one in each:
            one(progress)

    return call
