"""Logs of runs for TensorBoard."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.checks import check_integer, check_text
from tfnst.config import StyleTransferConfig

_LOSSES = ("content", "style", "total_variation", "total")


class TensorBoardCallback:
    """Writes losses, learning rate, pictures and settings of a run for TensorBoard.

    Use one for each run, as a callback of `tfnst.stylize` or `tfnst.train_network`::

        tfnst.stylize(
            "photo.jpg",
            "painting.jpg",
            callback=tfnst.TensorBoardCallback("logs/swirls"),
            callback_steps=1,
        )

    `tensorboard --logdir logs` then shows, also while the run goes on:

    - `loss/content`, `loss/style`, `loss/total_variation` (unweighted) and `loss/total`
      (weighted), those of `TransferResult.losses`;
    - `learning_rate`, which Adam lowers within each scale, and `size`, the long side of
      the scale in pixels;
    - `stylized`, the picture at that step, or three photos as a network paints them;
    - the settings, as hyperparameters by which runs can be compared.

    A run calls back about twice a second, so several quick steps may have one point;
    with `callback_steps=1` each step has its own.

    Args:
        log_dir: folder of the run, made if it is missing.
        image_steps: least number of steps between two pictures; the last step has one
            in any case. Default 10.
        image_size: longest side of the pictures in pixels, to which larger ones are
            shrunk. Default 512.

    Raises:
        ValueError: for a bad argument.
        ImportError: without TensorBoard, which is in the extra `tensorboard`.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        image_steps: int = 10,
        image_size: int = 512,
    ) -> None:
        self._folder = check_text("log_dir", log_dir)
        self._image_steps = check_integer("image_steps", image_steps, 1)
        self._image_size = check_integer("image_size", image_size, 32)
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "`TensorBoardCallback` needs TensorBoard: "
                "pip install 'tfnst[tensorboard]'"
            )
        self._writer: Any = None
        self._next_image = 0

    def __call__(self, progress: Any) -> None:
        """Writes the losses, and perhaps the picture, of a step.

        Args:
            progress: a TransferProgress or a TrainingProgress.
        """
        # The operations that write have no kernels on accelerators.
        with tf.device("CPU:0"):
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(self._folder)
                self._write_settings(progress.config)
            with self._writer.as_default(step=progress.step):
                self._write_step(progress)
            self._writer.flush()

    def _write_settings(self, config: StyleTransferConfig) -> None:
        from tensorboard.plugins.hparams import api

        with self._writer.as_default():
            api.hparams(
                {name: _flat(value) for name, value in config.to_dict().items()}
            )

    def _write_step(self, progress: Any) -> None:
        for name in _LOSSES:
            tf.summary.scalar(f"loss/{name}", progress.losses[name])
        tf.summary.scalar("learning_rate", progress.learning_rate)
        tf.summary.scalar("size", progress.size)
        if progress.step >= min(self._next_image, progress.steps):
            self._next_image = progress.step + self._image_steps
            picture = np.asarray(progress.image(size=self._image_size))
            tf.summary.image("stylized", picture[np.newaxis])


def _flat(value: Any) -> bool | int | float | str:
    """Converts a setting to a type that hyperparameters can have."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value if isinstance(value, bool | int | float | str) else str(value)
