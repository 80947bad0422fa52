"""Files of checkpoints of trainings."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from tfnst.checks import ArgumentError, argument
from tfnst.files import read_file, show_path
from tfnst.transfer.checkpoint import difference, read_archive, write_archive
from tfnst.transfer.history import LOSS_FIELDS


@dataclasses.dataclass(frozen=True)
class TrainingCheckpoint:
    """The state of a training after some step.

    Attributes:
        training: what must be the same to go on: settings, style, photos, options.
        rollbacks: number of times that the learning rate has been halved.
        losses: rows of the steps done, [steps].
        state: arrays of a `TrainingState`.
    """

    training: dict[str, Any]
    rollbacks: int
    losses: np.ndarray
    state: list[np.ndarray]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the checkpoint, whole or not at all.

        Raises:
            OSError: if the file can't be written.
        """
        header = {"training": self.training, "rollbacks": self.rollbacks}
        arrays = {f"state_{i}": array for i, array in enumerate(self.state)}
        with argument("checkpoint"):
            write_archive(header, {"losses": self.losses} | arrays, path)


def load_training(path: str | os.PathLike[str]) -> TrainingCheckpoint:
    """Reads a checkpoint of a training.

    Raises:
        OSError: if the file can't be read.
        ValueError: for any other file.
    """
    with argument("resume"):
        data = read_file(path)
        try:
            header, arrays = read_archive(data)
            losses = arrays.pop("losses")
            if losses.dtype != LOSS_FIELDS or losses.ndim != 1:
                raise TypeError("losses")
            state = [arrays[f"state_{i}"] for i in range(len(arrays))]
            training = dict(header["training"])
            for name in ("settings", "options"):
                training[name] = dict(training[name])
            return TrainingCheckpoint(training, int(header["rollbacks"]), losses, state)
        except MemoryError:
            raise
        except Exception as error:  # For a damaged archive, zipfile raises anything.
            raise ArgumentError(
                "a checkpoint of `tfnst train`", show_path(path)
            ) from error


def check_same_training(
    checkpoint: TrainingCheckpoint, training: dict[str, Any]
) -> None:
    """Checks that a checkpoint belongs to a training.

    Raises:
        ValueError: if it belongs to another; the message says what differs.
    """
    for name, value in training.items():
        then = checkpoint.training.get(name)
        if then != value:
            raise ArgumentError(
                "a checkpoint of the same training",
                f"one with other {name}, {difference(value, then or {})}",
                argument="resume",
            )
