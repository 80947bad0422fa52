"""What a person sees of a run: the bar, the pictures in between, and Ctrl-C."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sys
import time

from tqdm import tqdm

from tfnst.images.save_options import SaveOptions
from tfnst.transfer.results import TransferProgress


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop; a second one gives up.

    Attributes:
        begun: whether there is something to stop; before, a signal gives up at once.
        stopping: whether there was one.
    """

    def __init__(self) -> None:
        self.begun = self.stopping = False
        self._handlers = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        if not self.begun or self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        # A step of a huge picture takes minutes. Written as a handler may: the bar's
        # own writing may be what was interrupted.
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), b"\ntfnst: stopping after this step\n")


class RunBar:
    """The bar of a run on a terminal; nothing in a pipe.

    Args:
        position: the bar's line; 0 is the first.
    """

    def __init__(self, position: int = 0) -> None:
        self._position = position
        self._bar = None

    def close(self) -> None:
        """Takes the bar away; the next run gets a new one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def update(self, progress: TransferProgress) -> None:
        """Shows how far the run is."""
        if self._bar is None:
            self._bar = _bar(
                total=1.0,
                bar_format="{percentage:3.0f}%|{bar:12}| {elapsed}<{remaining}  {desc}",
                position=self._position,
                leave=not self._position,
            )
            self._last = (time.perf_counter(), progress.step)
        self._bar.set_description_str(self._describe(progress), refresh=False)
        self._bar.n = progress.fraction
        self._bar.refresh()

    def _describe(self, progress):
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


class RunProgress:
    """The bar of a run, the pictures in between, and Ctrl-C.

    While the run lasts, the first Ctrl-C (or SIGTERM) asks it to stop after the
    present step, so that the picture so far can be saved; a second one gives up.

    Args:
        output: file of the painted picture; those in between lie beside it.
        save_every: write one after each multiple of so many steps; None for none.
        saving: how to save them.
    """

    def __init__(
        self, output: pathlib.Path, save_every: int | None, saving: SaveOptions
    ) -> None:
        self._output = output
        self._save_every = save_every
        self._saving = saving
        self._bar = RunBar()
        self._signals = StopSignals()

    def __enter__(self):
        self._signals.__enter__()
        return self

    def __exit__(self, *_):
        self.close()
        self._signals.__exit__()

    def close(self):
        self._bar.close()

    def update(self, progress):
        self._signals.begun = True
        self._bar.update(progress)
        if self._save_every and progress.step % self._save_every == 0:
            digits = len(str(progress.steps))
            name = f"{self._output.stem}-{progress.step:0{digits}}{self._output.suffix}"
            path = self._output.with_name(name)
            progress.write(path, self._saving, name="output")
        if self._signals.stopping:
            progress.stop()


class BatchBars:
    """A bar over the pictures of a batch and one within, and Ctrl-C.

    The first Ctrl-C (or SIGTERM) asks the batch to stop; a second one gives up.
    """

    def __init__(self) -> None:
        self._run_bar = RunBar(position=1)
        self._bar = None
        self._signals = StopSignals()

    def __enter__(self):
        self._signals.__enter__()
        return self

    def __exit__(self, *_):
        self.close()
        self._signals.__exit__()

    def close(self):
        self._run_bar.close()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def update(self, progress):
        self._signals.begun = True
        if self._bar is None:
            self._bar = _bar(
                total=progress.total,
                bar_format="{n}/{total} pictures|{bar:12}| {elapsed}<{remaining}  "
                "{desc}",
            )
        if progress.run is None:
            self._run_bar.close()
        else:
            self._run_bar.update(progress.run)
            names = ", ".join(str(item.output) for item in progress.items)
            self._bar.set_description_str(names, refresh=False)
        self._bar.n = progress.done
        self._bar.refresh()
        if self._signals.stopping:
            progress.stop()


def _bar(**settings):
    # Some terminals say that they are 0 wide and high, and would get no bar.
    columns, lines = shutil.get_terminal_size()
    return tqdm(
        file=sys.stderr,
        # Nothing in a pipe.
        disable=None,
        ncols=columns,
        nrows=lines,
        **settings,
    )
