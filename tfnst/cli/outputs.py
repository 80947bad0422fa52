"""The files that commands write, above all `tfnst stylize`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from tfnst.checks import argument, one_line
from tfnst.cli.options import (
    file_option,
    number_option,
    output_option,
    received_as,
    together,
)
from tfnst.cli.terminal import EXIT_FAILED, extra_file, fail
from tfnst.limits import MAX_STEPS
from tfnst.paths import NamedPath, check_outputs, named_paths

if TYPE_CHECKING:
    from tfnst.images.save_options import SaveOptions
    from tfnst.images.style_images import StyleImage
    from tfnst.transfer.progress import TransferProgress
    from tfnst.transfer.results import TransferResult
    from tfnst.visualization.timelapse import Timelapse


def check_output(output: str, inputs: Iterable[NamedPath], *, bits: int = 8) -> None:
    """Checks that a picture can be written to `output`, which is none of the inputs."""
    from tfnst.images.writing import check_output_path

    check_outputs(inputs, [("output", output)])
    with argument("output"):
        check_output_path(output, bits=bits)


@dataclasses.dataclass
class Outputs:
    """The picture and the files beside it; the fields are the options.

    Attributes:
        saved: whether the picture has been written.
    """

    output: str
    sheet: str | None
    save_every: int | None
    timelapse: str | None
    timelapse_size: int
    plot: str | None
    saved: bool = dataclasses.field(default=False, init=False)

    @functools.cached_property
    def film(self) -> Timelapse | None:
        """The timelapse that is asked for, a callback of the run."""
        if self.timelapse is None:
            return None
        from tfnst.visualization.timelapse import Timelapse

        return Timelapse(size=self.timelapse_size)

    def path_of_step(self, step: int, steps: int) -> pathlib.Path:
        """OUTPUT-STEP.suffix, with leading zeros so that names sort by step."""
        output = pathlib.Path(self.output)
        return output.with_name(
            f"{output.stem}-{step:0{len(str(steps))}}{output.suffix}"
        )

    def check_paths(
        self, inputs: Iterable[NamedPath], checkpoint: str | None = None
    ) -> None:
        """Checks that no input is written over, and no file written twice.

        Args:
            inputs: files that the command reads.
            checkpoint: further file that it writes.

        Raises:
            ValueError: as `tfnst.paths.check_outputs`.
        """
        named = named_paths(
            ("output", self.output),
            ("sheet", self.sheet),
            ("timelapse", self.timelapse),
            ("plot", self.plot),
            ("checkpoint", checkpoint),
        )
        others = {os.path.basename(path) for _, path in named}
        check_outputs(inputs, [*named, *self._pictures_on_the_way(others)])

    def _pictures_on_the_way(self, others: set[str]) -> Iterator[NamedPath]:
        """The files of `--save-every` that exist, or that are among others."""
        output = pathlib.Path(self.output)
        if self.save_every is None or not output.name:
            return
        name = re.compile(
            rf"{re.escape(output.stem)}-(\d+){re.escape(output.suffix)}", re.IGNORECASE
        )
        there = os.listdir(output.parent) if output.parent.is_dir() else []
        for step in {m[1] for m in map(name.fullmatch, {*there, *others}) if m}:
            if int(step) % self.save_every == 0:
                path = output.with_name(f"{output.stem}-{step}{output.suffix}")
                yield "save_every", path

    def check(self, *, bits: int, size: int) -> None:
        """Checks that all files can be written; loads no TensorFlow.

        Args:
            bits: bits per channel.
            size: long side of the picture in pixels.

        Raises:
            ValueError, ImportError, OSError: as when they are written.
        """
        from tfnst.images.writing import check_output_path
        from tfnst.visualization.plots import check_plot_path
        from tfnst.visualization.timelapse import check_timelapse_path

        with argument("output"):
            check_output_path(self.output, bits=bits, size=size)
        longest = None
        if self.save_every is not None:
            # No run takes more steps than these digits can count.
            longest = self.path_of_step(0, 100 * MAX_STEPS)
        for name, path, check in (
            ("save_every", longest, check_output_path),
            ("sheet", self.sheet, check_output_path),
            ("timelapse", self.timelapse, check_timelapse_path),
            ("plot", self.plot, check_plot_path),
        ):
            if path is not None:
                with argument(name):
                    check(path)

    def save_on_the_way(
        self, progress: TransferProgress, *, saving: SaveOptions
    ) -> None:
        """Callback of the run: takes a frame, and writes a picture if it is time."""
        if self.film is not None:
            with extra_file("a frame of the timelapse"):
                self.film(progress)
        if self.save_every and progress.step % self.save_every == 0:
            path = self.path_of_step(progress.step, progress.steps)
            with extra_file("a picture on the way"), argument("save_every"):
                progress.write(path, saving)

    def save_picture(self, result: TransferResult, saving: SaveOptions) -> None:
        """Writes the painted picture.

        If that fails now, the picture is kept in a temporary file, and the command
        ends.
        """
        from tfnst.images.writing import write_picture

        try:
            with argument("output"):
                result.write(self.output, saving)
            self.saved = True
        except (OSError, ValueError) as error:
            message = one_line(error)
            with contextlib.suppress(OSError):
                path = os.path.join(tempfile.mkdtemp(prefix="tfnst-"), "painted.png")
                # Without the manifest, which may be what can't be written.
                write_picture(result.array, path, saving, info=result.info)
                message += f"; the picture is kept in {path}"
            fail(message, EXIT_FAILED)

    def save_records(self, result: TransferResult) -> None:
        """Writes the timelapse and the plot of the run; warns if that fails."""
        if self.film is not None and self.timelapse is not None:
            with extra_file("the timelapse"):
                self.film.save(
                    self.timelapse, last_image=result.image, name="timelapse"
                )
        if self.plot is not None:
            from tfnst.visualization import plots

            with extra_file("the plot"):
                plots.plot_losses(result, self.plot, name="plot")

    def save_sheet(
        self, content: str, style: list[StyleImage], result: TransferResult
    ) -> None:
        """Writes content, style and result side by side; warns if that fails."""
        from tfnst.images import writing
        from tfnst.visualization.sheet import comparison_sheet

        if self.sheet is not None:
            with extra_file("the sheet"):
                page = comparison_sheet(content, style, result.image)
                writing.save_image(page, self.sheet, name="sheet")


# The files to write, received as `outputs`.
output_options = together(
    received_as("outputs", Outputs),
    output_option,
    file_option(
        "--sheet",
        help="Also write a picture of content, style and result side by side.",
    ),
    number_option(
        "--save-every",
        type=click.IntRange(min=1),
        help="Also write the picture after every N steps, as OUTPUT-STEP.suffix.",
    ),
    file_option(
        "--timelapse",
        help="Also write a timelapse of the run: .gif, .webp or .mp4.",
    ),
    number_option(
        "--timelapse-size",
        type=click.IntRange(32, 1024),
        default=512,
        help="Long side of the timelapse in pixels.",
    ),
    file_option(
        "--plot",
        help="Also write a plot of the losses over the steps: .png, .svg or .pdf.",
    ),
)
