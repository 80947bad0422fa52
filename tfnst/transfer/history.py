"""Losses of a run, step by step."""

from __future__ import annotations

import time

import numpy as np

LOSS_FIELDS = np.dtype(
    [
        ("step", np.int32),
        ("size", np.int32),
        ("content", np.float32),
        ("style", np.float32),
        ("total_variation", np.float32),
        ("total", np.float32),
        ("seconds", np.float64),
    ]
)
_LOSSES = ("content", "style", "total_variation", "total")


class LossHistory:
    """Rows of losses, one for each step of each picture, and the clock of the run.

    Args:
        pictures: number of pictures painted together.
        steps: most steps that the run can take.

    Attributes:
        done: number of steps recorded.
    """

    def __init__(self, pictures: int, steps: int) -> None:
        self._rows = np.zeros((pictures, steps), LOSS_FIELDS)
        self._start = 0.0
        self.done = 0

    def resume(self, rows: np.ndarray) -> None:
        """Continues the rows of a checkpoint, [pictures, steps done]."""
        self.done = rows.shape[1]
        self._rows[:, : self.done] = rows

    def start_clock(self) -> None:
        """Starts the clock, or continues it after the rows of a checkpoint."""
        self._start = time.perf_counter() - self.seconds

    @property
    def seconds(self) -> float:
        """Seconds from the start of the first step to the end of the last one."""
        return float(self._rows[0, self.done - 1]["seconds"]) if self.done else 0.0

    @property
    def rows(self) -> np.ndarray:
        """All rows so far, with LOSS_FIELDS, [pictures, steps done]."""
        return self._rows[:, : self.done]

    def last(self) -> np.void:
        """The row of the last step; its losses are means over the pictures."""
        now = self._rows[:, self.done - 1]
        row = now[0].copy()
        for name in _LOSSES:
            row[name] = now[name].mean()
        return row

    def record(self, history: np.ndarray, size: int) -> tuple[int, np.ndarray]:
        """Adds the rows of a group of steps, but not a last row that isn't finite.

        Args:
            history: losses of the steps, from `Engine.run`, [steps, 4, pictures].
            size: long side of the scale in pixels.

        Returns:
            (number of rows added, bool [pictures]: True where the last losses aren't
            finite).
        """
        now = time.perf_counter() - self._start
        failed = ~np.isfinite(history[-1]).all(axis=0)
        taken = len(history) - int(failed.any())
        if not taken:
            return taken, failed
        rows = self._rows[:, self.done : self.done + taken]
        before = self.seconds
        rows["step"] = np.arange(self.done + 1, self.done + taken + 1)
        rows["size"] = size
        for column, name in enumerate(_LOSSES):
            rows[name] = history[:taken, column].T
        # Only the group as a whole is timed; all of its steps do the same work.
        rows["seconds"] = before + (now - before) * np.arange(1, taken + 1) / taken
        self.done += taken
        return taken, failed
