"""The progress of a run, made up."""

import numpy as np

from tests.helpers import TINY
from tfnst.images.metadata import PictureInfo
from tfnst.transfer.history import LOSS_FIELDS
from tfnst.transfer.progress import Snapshot, TransferProgress


def progress(fraction, level=0.5, sides=(36, 48)):
    """Progress with a picture of one grey."""
    return TransferProgress(
        step=1 + int(1000 * fraction),
        steps=1001,
        size=max(sides),
        fraction=fraction,
        losses=np.zeros([], LOSS_FIELDS),
        learning_rate=0.01,
        seconds=1.0,
        config=TINY,
        snapshot=Snapshot(
            np.full([1, *sides, 3], level, np.float32), lambda p: p, PictureInfo()
        ),
    )
