"""What a person sees of a run: the bar, the pictures on the way, and Ctrl-C."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sys
from types import FrameType
from typing import Any

from tqdm import tqdm

from tfnst.batch.painter import BatchProgress
from tfnst.cli.outputs import Outputs
from tfnst.cli.reporting import reporting
from tfnst.cli.terminal import EXIT_FAILED, fail, one_line, say
from tfnst.images.save_options import SaveOptions
from tfnst.images.style_images import StyleImage
from tfnst.transfer.progress import TransferProgress
from tfnst.transfer.results import NonFiniteLossError, TransferResult
from tfnst.transfer.style_transfer import stylize
from tfnst.visualization.progress_bar import ProgressBar


def paint(
    content: str,
    style: list[StyleImage],
    outputs: Outputs,
    saving: SaveOptions,
    **arguments: Any,
) -> TransferResult:
    """Paints a picture while a person watches.

    If the loss is no longer finite, the last good picture is saved and the command
    ends.

    Args:
        content: path of the content image.
        style: the styles.
        outputs: the files to write; those of the finished run are not written here.
        saving: how to save pictures.
        **arguments: of `tfnst.stylize`.
    """
    with RunProgress(outputs, saving) as progress:
        try:
            return stylize(
                content,
                style,
                callback=progress.update,
                callback_steps=outputs.save_every,
                **arguments,
            )
        except NonFiniteLossError as error:
            progress.close()
            if len(error.result.losses):
                outputs.save_picture(error.result, saving)
                shown = reporting().name_of(outputs.output)
                say(f"the last good picture is {shown}")
                outputs.save_records(error.result)
            fail(one_line(error), EXIT_FAILED)


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into a request to stop; a second one aborts.

    Attributes:
        begun: whether there is anything to stop; before that, a signal aborts at once.
        stopping: whether a stop was requested.
    """

    def __init__(self) -> None:
        self.begun = self.stopping = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.begun or self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        # Say so now, because a step of a huge picture takes minutes. Written without a
        # buffer, because the signal may have interrupted the bar's own writing.
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), b"\ntfnst: stopping after this step\n")


class RunBar(ProgressBar):
    """The bar of a run on a terminal; nothing in a pipe.

    Args:
        position: the bar's line; 0 is the first.
    """

    def __init__(self, position: int = 0) -> None:
        super().__init__(position=position, leave=not position, **_on_terminal())

    def update(self, progress: TransferProgress) -> None:
        """Shows how far the run is."""
        self(progress)


class RunProgress:
    """The bar of a run, the pictures and frames on the way, and Ctrl-C.

    While the run lasts, the first Ctrl-C (or SIGTERM) asks it to stop after the
    current step, so that the picture so far can be saved; a second one aborts.

    Args:
        outputs: the files to write.
        saving: how to save pictures.
    """

    def __init__(self, outputs: Outputs, saving: SaveOptions) -> None:
        self._outputs = outputs
        self._saving = saving
        self._bar = RunBar()
        self._signals = StopSignals()

    def __enter__(self) -> RunProgress:
        self._signals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._signals.__exit__()

    def close(self) -> None:
        """Removes the bar."""
        self._bar.close()

    def update(self, progress: TransferProgress) -> None:
        """Callback of the run."""
        self._signals.begun = True
        if self._outputs.film is not None:
            self._outputs.film(progress)
        self._bar.update(progress)
        if self._outputs.save_every and progress.step % self._outputs.save_every == 0:
            path = self._path_of_step(progress)
            progress.write(path, self._saving, name="output")
        if self._signals.stopping:
            progress.stop()

    def _path_of_step(self, progress: TransferProgress) -> pathlib.Path:
        """OUTPUT-STEP.suffix, with leading zeros so that names sort by step."""
        output = pathlib.Path(self._outputs.output)
        digits = len(str(progress.steps))
        return output.with_name(
            f"{output.stem}-{progress.step:0{digits}}{output.suffix}"
        )


class BatchBars:
    """A bar for the pictures of a batch, one for the current run, and Ctrl-C.

    The first Ctrl-C (or SIGTERM) asks the batch to stop; a second one aborts.
    """

    def __init__(self) -> None:
        self._run_bar = RunBar(position=1)
        self._bar: tqdm | None = None
        self._signals = StopSignals()

    def __enter__(self) -> BatchBars:
        self._signals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._signals.__exit__()

    def close(self) -> None:
        """Removes the bars."""
        self._run_bar.close()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def update(self, progress: BatchProgress) -> None:
        """Callback of the batch."""
        self._signals.begun = True
        if self._bar is None:
            self._bar = tqdm(
                total=progress.total,
                bar_format="{n}/{total} pictures|{bar:12}| {elapsed}<{remaining}  "
                "{desc}",
                **_on_terminal(),
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


def _on_terminal() -> dict[str, Any]:
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
