"""A progress bar for runs."""

from __future__ import annotations

import time
from typing import Any

from tqdm.auto import tqdm


class ProgressBar:
    """A bar with the losses: a widget in notebooks that have them, text elsewhere.

    Use it as a callback of `tfnst.stylize`::

        tfnst.stylize("photo.jpg", "painting.jpg", callback=tfnst.ProgressBar())

    It can be used again for the next run, which gets a bar of its own.

    Args:
        **settings: arguments of `tqdm.auto.tqdm`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = {
            "bar_format": "{percentage:3.0f}%|{bar:12}| {elapsed}<{remaining}  {desc}"
        } | settings
        self._bar: tqdm | None = None
        # Time and step of the last update.
        self._last = (0.0, 0)

    def __call__(self, progress: Any) -> None:
        """Updates the bar, and closes it at the end of the run.

        Args:
            progress: a TransferProgress or a TrainingProgress.
        """
        if progress.step <= self._last[1]:  # Another run has begun.
            self.close()
        if self._bar is None:
            self._bar = tqdm(total=1.0, **self._settings)
            self._last = (time.perf_counter(), progress.step)
        self._bar.set_description_str(self._describe(progress), refresh=False)
        self._bar.n = progress.fraction
        self._bar.refresh()
        if progress.step >= progress.steps or progress.stopped:
            self.close()

    def close(self) -> None:
        """Ends the bar; the next run gets a new one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _describe(self, progress: Any) -> str:
        now, step = time.perf_counter(), progress.step
        then, before = self._last
        speed = (step - before) / (now - then) if step > before else 0.0
        self._last = (now, step)
        losses = progress.losses
        return (
            f"{progress.size}px {step}/{progress.steps} {speed:.1f}/s  "
            f"content {losses['content']:.3f} style {losses['style']:.4f} "
            f"total {losses['total']:.3f}"
        )
