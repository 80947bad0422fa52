"""What a person sees of a run: the bar, the pictures on the way, and Ctrl-C."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from tfnst.checks import argument, one_line
from tfnst.cli.outputs import Outputs
from tfnst.cli.reporting import reporting
from tfnst.cli.signals import StopSignals
from tfnst.cli.terminal import EXIT_FAILED, extra_file, fail, say
from tfnst.images.save_options import SaveOptions
from tfnst.images.style_images import StyleImage
from tfnst.transfer.progress import TransferProgress
from tfnst.transfer.results import NonFiniteLossError, TransferResult
from tfnst.transfer.style_transfer import stylize
from tfnst.visualization.progress_bar import ProgressBar

if TYPE_CHECKING:  # other commands' modules, which take their time to load
    from tfnst.batch.progress import BatchProgress
    from tfnst.video.video import FilmProgress


def paint(
    content: str,
    style: list[StyleImage],
    outputs: Outputs,
    saving: SaveOptions,
    **arguments: Any,
) -> TransferResult:
    """Paints and saves a picture while a person watches.

    If the loss is no longer finite, the last good picture is saved and the command
    ends.

    Args:
        content: path of the content image.
        style: the styles.
        outputs: the files to write; those beside the finished picture are not
            written here.
        saving: how to save pictures.
        **arguments: of `tfnst.stylize`.
    """
    with RunProgress(outputs, saving) as progress:
        try:
            result = stylize(
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
        progress.close()
        # Ctrl-C must not cost the painting now.
        outputs.save_picture(result, saving)
        return result


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
            with extra_file("a frame of the film"):
                self._outputs.film(progress)
        self._bar.update(progress)
        if self._outputs.save_every and progress.step % self._outputs.save_every == 0:
            path = self._outputs.path_of_step(progress.step, progress.steps)
            with extra_file("a picture on the way"), argument("save_every"):
                progress.write(path, self._saving)
        if self._signals.stopping:
            progress.stop()


_AnyBars = TypeVar("_AnyBars", bound="_Bars")


class _Bars:
    """A bar for what several runs give, one for the current run, and Ctrl-C.

    The first Ctrl-C (or SIGTERM) asks the work to stop; a second one aborts.
    """

    def __init__(self) -> None:
        self._run_bar = RunBar(position=1)
        self._bar: tqdm | None = None
        self._signals = StopSignals()

    def __enter__(self: _AnyBars) -> _AnyBars:
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


class BatchBars(_Bars):
    """The bars of a batch, whose main one counts pictures."""

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


class FilmBars(_Bars):
    """The bars of a film, whose main one counts frames."""

    def update(self, progress: FilmProgress) -> None:
        """Callback of the film."""
        self._signals.begun = True
        if self._bar is None:
            self._bar = tqdm(
                total=progress.frames,
                initial=progress.frames_done,
                unit=" frames",
                **_on_terminal(),
            )
        if progress.run is None:
            self._run_bar.close()
        else:
            self._run_bar.update(progress.run)
        self._bar.update(progress.frames_done - self._bar.n)
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
