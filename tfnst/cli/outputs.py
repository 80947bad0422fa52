"""The files that `tfnst stylize` writes."""

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
    Command,
    add_options,
    file_option,
    grouped,
    number_option,
    output_option,
)
from tfnst.cli.terminal import EXIT_FAILED, extra_file, fail
from tfnst.limits import MAX_STEPS
from tfnst.paths import NamedPath, check_outputs, named_paths

if TYPE_CHECKING:
    from tfnst.images.save_options import SaveOptions
    from tfnst.images.style_images import StyleImage
    from tfnst.transfer.results import TransferResult
    from tfnst.visualization.timelapse import Timelapse


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

    def check_pictures(self, *, bits: int, size: int) -> None:
        """Checks that the pictures can be written; loads no TensorFlow.

        Args:
            bits: bits per channel.
            size: long side of the picture in pixels.

        Raises:
            ValueError, OSError: as when they are written.
        """
        from tfnst.images import writing

        with argument("output"):
            writing.check_output_path(self.output, bits=bits, size=size)
        if self.save_every is not None:
            # No run takes more steps than these digits can count.
            longest = self.path_of_step(0, 100 * MAX_STEPS)
            with argument("save_every"):
                writing.check_output_path(longest)
        if self.sheet is not None:
            with argument("sheet"):
                writing.check_output_path(self.sheet)

    def check_records(self) -> None:
        """Checks that the timelapse and the plot can be written.

        Raises:
            ValueError, ImportError, OSError: as when they are written.
        """
        from tfnst.visualization import plots, timelapse

        if self.timelapse is not None:
            with argument("timelapse"):
                timelapse.check_timelapse_path(self.timelapse)
        if self.plot is not None:
            with argument("plot"):
                plots.check_plot_path(self.plot)

    def save_picture(self, result: TransferResult, saving: SaveOptions) -> None:
        """Writes the painted picture.

        If that fails now, the picture is kept in a temporary file, and the command
        ends.
        """
        try:
            with argument("output"):
                result.write(self.output, saving)
            self.saved = True
        except (OSError, ValueError) as error:
            message = one_line(error)
            with contextlib.suppress(OSError):
                message += f"; the picture is kept in {_keep(result, saving)}"
            fail(message, EXIT_FAILED)

    def save_records(self, result: TransferResult) -> None:
        """Writes the timelapse and the plot of the run; warns if that fails."""
        from tfnst.visualization import plots

        if self.film is not None and self.timelapse is not None:
            with extra_file("the timelapse"):
                self.film.save(
                    self.timelapse, last_image=result.image, name="timelapse"
                )
        if self.plot is not None:
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


def _keep(result: TransferResult, saving: SaveOptions) -> str:
    """The path of a temporary file into which a picture is written, as PNG."""
    from tfnst.images import writing

    path = os.path.join(tempfile.mkdtemp(prefix="tfnst-"), "painted.png")
    writing.save_image(
        result.array,
        path,
        bits=saving.bits,
        info=result.info,
        keep_gps=saving.keep_gps,
    )
    return path


def output_options(command: Command) -> Command:
    """Adds the options for the files to write, received as `outputs`."""
    return add_options(
        grouped(command, "outputs", Outputs),
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
