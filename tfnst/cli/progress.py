"""The progress of commands on a terminal, and Ctrl-C."""

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

if TYPE_CHECKING:  # Modules of other commands, which take time to load.
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
        **arguments: further arguments of `tfnst.stylize`.
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
        position: line of the bar; 0 is the first.
    """

    def __init__(self, position: int = 0) -> None:
        super().__init__(position=position, leave=not position, **_on_terminal())


_AnyProgress = TypeVar("_AnyProgress", bound="_Progress")


class _Progress:
    """The bars of a command, and Ctrl-C.

    The first Ctrl-C (or SIGTERM) asks the work to stop, so that what there is can be
    saved; a second one aborts.

    Args:
        position: line of the bar of the current run.
    """

    def __init__(self, position: int) -> None:
        self._run_bar = RunBar(position)
        self._bar: tqdm | None = None
        self._signals = StopSignals()

    def __enter__(self: _AnyProgress) -> _AnyProgress:
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

    def update(self, progress: Any) -> None:
        """Callback of the work."""
        self._signals.begun = True
        self._show(progress)
        if self._signals.stopping:
            progress.stop()

    def _show(self, progress: Any) -> None:
        raise NotImplementedError

    def _show_run(self, run: TransferProgress | None) -> None:
        """Shows how far one of several runs is; None between two of them."""
        if run is None:
            self._run_bar.close()
        else:
            self._run_bar(run)


class RunProgress(_Progress):
    """The bar of a run, and the pictures and frames saved on the way.

    Args:
        outputs: the files to write.
        saving: how to save pictures.
    """

    def __init__(self, outputs: Outputs, saving: SaveOptions) -> None:
        super().__init__(position=0)
        self._outputs = outputs
        self._saving = saving

    def _show(self, progress: TransferProgress) -> None:
        if self._outputs.film is not None:
            with extra_file("a frame of the timelapse"):
                self._outputs.film(progress)
        self._run_bar(progress)
        if self._outputs.save_every and progress.step % self._outputs.save_every == 0:
            path = self._outputs.path_of_step(progress.step, progress.steps)
            with extra_file("a picture on the way"), argument("save_every"):
                progress.write(path, self._saving)


class BatchBars(_Progress):
    """The bars of a batch, whose main one counts pictures."""

    def __init__(self) -> None:
        super().__init__(position=1)

    def _show(self, progress: BatchProgress) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=progress.total,
                bar_format="{n}/{total} pictures|{bar:12}| {elapsed}<{remaining}  "
                "{desc}",
                **_on_terminal(),
            )
        self._show_run(progress.run)
        if progress.run is not None:
            names = ", ".join(str(item.output) for item in progress.items)
            self._bar.set_description_str(names, refresh=False)
        self._bar.n = progress.done
        self._bar.refresh()


class VideoBars(_Progress):
    """The bars of a video, whose main one counts frames."""

    def __init__(self) -> None:
        super().__init__(position=1)

    def _show(self, progress: FilmProgress) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=progress.frames,
                initial=progress.frames_done,
                unit=" frames",
                **_on_terminal(),
            )
        self._show_run(progress.run)
        self._bar.update(progress.frames_done - self._bar.n)
        if progress.encoded is not None:
            self._bar.set_description_str(f"encoding {progress.encoded:.0%}")


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
