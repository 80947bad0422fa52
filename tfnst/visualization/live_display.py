"""A picture in a notebook, shown while it is being painted."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

from tfnst.checks import check_integer, check_number
from tfnst.images.notebooks import MAX_SIZE, html_figure
from tfnst.transfer.progress import TransferProgress


class LiveDisplay:
    """Shows the picture in a notebook while it is being painted, with its losses.

    Use it as a callback of `tfnst.stylize`, alone or beside a `tfnst.ProgressBar`::

        tfnst.stylize(
            "photo.jpg",
            "painting.jpg",
            callback=[tfnst.ProgressBar(), tfnst.LiveDisplay()],
        )

    The picture stays in its place and changes there. Each run gets a place of its own.

    Args:
        size: longest side of the shown picture in pixels, 32 to 1024. Default 512.
        seconds: least time between two pictures in seconds, 0 or more. Default 1.

    Raises:
        ValueError: when `size` or `seconds` is out of its range.
        ImportError: without IPython, which every notebook has.
    """

    def __init__(self, *, size: int = 512, seconds: float = 1.0) -> None:
        self._size = check_integer("size", size, 32, MAX_SIZE)
        self._seconds = check_number(
            "seconds", seconds, "a finite number, 0 or more", low=0
        )
        if importlib.util.find_spec("IPython") is None:
            raise ImportError("`LiveDisplay` needs IPython, which notebooks have")
        self._place: Any = None
        self._last_step = 0
        self._last_time = 0.0

    def __call__(self, progress: TransferProgress) -> None:
        """Shows the picture if it is time for the next one, and the last one."""
        now = time.perf_counter()
        new = self._place is None or progress.step <= self._last_step
        ended = progress.step >= progress.steps
        self._last_step = progress.step
        if new or ended or now - self._last_time >= self._seconds:
            self._last_time = now
            self._show(progress, new)

    def _show(self, progress: TransferProgress, new: bool) -> None:
        from IPython.display import HTML, display

        losses = progress.losses
        caption = (
            f"{progress.fraction:.0%}, step {progress.step} of {progress.steps} at "
            f"{progress.size} pixels: content {losses['content']:.3f}, style "
            f"{losses['style']:.4f}, total {losses['total']:.3f}"
        )
        image = progress.image(size=self._size)
        shown = HTML(html_figure(image, caption, size=self._size))
        if new:
            self._place = display(shown, display_id=True)
        else:
            self._place.update(shown)
