"""The progress of commands on a terminal, and Ctrl-C."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from tfnst.cli.reporting import reporting
from tfnst.cli.signals import StopSignals
from tfnst.visualization.progress_bar import ProgressBar


@contextlib.contextmanager
def stoppable(show: ProgressBar | CountBar) -> Iterator[Callable[[Any], None]]:
    """Gives the callback of some work, which shows its progress.

    The first Ctrl-C (or SIGTERM) asks the work to stop, so that what there is can be
    saved; a second one aborts.

    Args:
        show: the bar; it is closed in the end.
    """
    with StopSignals() as signals, contextlib.closing(show):

        def update(progress: Any) -> None:
            signals.begun = True
            show(progress)
            if signals.stopping:
                progress.stop()

        yield update


class CountBar:
    """A bar that counts pictures or frames, above that of the run for the present one.

    Args:
        count: function of the progress that gives the number done, the number of all,
            and a description of the present ones.
        **settings: arguments of `tqdm`.
    """

    def __init__(
        self, count: Callable[[Any], tuple[int, int | None, str]], **settings: Any
    ) -> None:
        self._count, self._settings = count, settings
        self._bar: tqdm | None = None
        self._run_bar = ProgressBar(position=1, leave=False, **on_terminal())

    def __call__(self, progress: Any) -> None:
        """Shows the progress of a batch or a video."""
        done, total, description = self._count(progress)
        if self._bar is None:
            settings = self._settings | on_terminal()
            self._bar = tqdm(total=total, initial=done, **settings)
        if progress.run is None:  # Between two runs.
            self._run_bar.close()
        else:
            self._run_bar(progress.run)
        if description:
            self._bar.set_description_str(description, refresh=False)
        self._bar.update(done - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """Removes the bars."""
        self._run_bar.close()
        if self._bar is not None:
            self._bar.close()


def on_terminal() -> dict[str, Any]:
    """Settings of a bar on a terminal."""
    # Some terminals report a size of 0 by 0 and would get no bar.
    columns, lines = shutil.get_terminal_size()
    return {
        "file": sys.stderr,
        # Nothing in a pipe.
        "disable": reporting().quiet or None,
        "ncols": columns,
        "nrows": lines,
    }
