"""`tfnst train`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tfnst.checks import argument
from tfnst.cli.options import (
    file_option,
    number_option,
    training_options,
)
from tfnst.cli.reporting import reporting, reporting_options
from tfnst.cli.settings import given, read_settings
from tfnst.cli.styles import whole_style_arguments
from tfnst.cli.terminal import extra_file, quiet_start
from tfnst.paths import NamedPath, check_outputs, named_paths
from tfnst.processor import prefer_onednn

if TYPE_CHECKING:
    from tfnst.images.style_images import StyleImage
    from tfnst.training.progress import TrainingProgress

_SECONDS_PER_PREVIEW = 60


@click.command(short_help="Trains a network to paint a style at once.")
@whole_style_arguments
@click.option(
    "--photos",
    multiple=True,
    required=True,
    type=click.Path(),
    metavar="FOLDER|FILE",
    help="Photos to learn on: a folder of them, a photo, or a video. Give it several "
    "times for several.",
)
@file_option("-o", "--output", required=True, help="File for the network: .keras.")
@number_option(
    "--steps",
    type=click.IntRange(min=1),
    help="Steps to take; by default 4000, or as many as --minutes allows.",
)
@number_option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Time limit of the training.",
)
@number_option(
    "--batch-size", type=click.IntRange(1, 64), help="Crops in a step; by default 1."
)
@number_option(
    "--crop-size",
    type=click.IntRange(64, 2048),
    help="Side of a crop in pixels; by default 256.",
)
@number_option(
    "--width",
    type=click.IntRange(4, 128),
    help="Channels of the network's first layer; by default 16.",
)
@number_option(
    "--temporal-weight",
    type=float,
    help="Weight of the loss that keeps films from flickering; by default 0.",
)
@file_option(
    "--start",
    help="Network to begin with, 'swirls' or another built-in style, or 'random'; by "
    "default swirls, or random for a --width other than 16.",
)
@number_option(
    "--learning-rate",
    type=float,
    help="First step size of the training; by default 0.002.",
)
@file_option(
    "--preview",
    help="Also write three of the photos as the network paints them, once a minute: "
    ".png, .jpg, .webp or .tif.",
)
@file_option("--checkpoint", help="File to keep the state of the training in.")
@file_option(
    "--resume",
    help="Checkpoint of a training to continue, with its settings. It is updated "
    "unless --checkpoint names another file.",
)
@reporting_options
@training_options
def train(
    style: list[StyleImage],
    photos: tuple[str, ...],
    output: str,
    preview: str | None,
    checkpoint: str | None,
    resume: str | None,
    options: dict[str, Any],
    **own: Any,
) -> None:
    """Trains a network that paints the style of STYLE, or of a blend of several.

    The network can then take the place of STYLE in `tfnst stylize`.
    """
    config, _ = read_settings(options)
    inputs = named_paths(
        ("resume", resume), ("weights", config.weights), ("start", own["start"])
    )
    _check_outputs(inputs, style, photos, output, preview, checkpoint)
    prefer_onednn()
    with quiet_start():
        from tfnst.cli.progress import on_terminal, stoppable
        from tfnst.training.training import train_network
        from tfnst.visualization.progress_bar import ProgressBar
    bar = ProgressBar(**on_terminal())
    with stoppable(bar) as show:
        watch = _Watch(show, preview)
        network = train_network(
            style,
            list(photos),
            config=None if resume and not given(options) else config,
            callback=watch,
            checkpoint=checkpoint,
            resume=resume,
            **own,
        )
        bar.close()
        # Ctrl-C must not cost the network now.
        network.save(output, name="output")
    facts = network.training
    line = (
        f"{output}: {facts['steps']} steps over {facts['photos']} photos in "
        f"{facts['seconds']:.0f} s, total loss {facts['losses']['total']:.3f}"
    )
    if watch.stopped:
        reporting().interrupted({"output": output} | facts, f"stopped; {line}")
    reporting().tell({"output": output} | facts, line)


class _Watch:
    """Callback of a training that shows its progress and writes previews.

    Args:
        show: callback that shows the progress, and stops the training on Ctrl-C.
        preview: path of the file for previews; None for none.

    Attributes:
        stopped: whether the training was interrupted.
    """

    def __init__(
        self, show: Callable[[TrainingProgress], None], preview: str | None
    ) -> None:
        self._show = show
        self._preview = preview
        self._saved = time.monotonic()
        self.stopped = False

    def __call__(self, progress: TrainingProgress) -> None:
        self._show(progress)
        self.stopped = progress.stopped and progress.fraction < 1
        last = self.stopped or progress.fraction >= 1
        due = last or time.monotonic() - self._saved > _SECONDS_PER_PREVIEW
        if self._preview is not None and due:
            from tfnst.images.writing import save_image

            with extra_file("the preview"):
                save_image(progress.image(), self._preview, name="preview")
            self._saved = time.monotonic()


def _check_outputs(
    inputs: list[NamedPath],
    style: list[StyleImage],
    photos: tuple[str, ...],
    output: str,
    preview: str | None,
    checkpoint: str | None,
) -> None:
    """Checks that all files can be written, and that none is an input."""
    from tfnst.files import write_file
    from tfnst.images.formats import NETWORK_SUFFIX, check_suffix
    from tfnst.images.style_images import style_paths
    from tfnst.images.writing import check_output_path

    inputs = [*inputs, *style_paths(style), *(("photos", each) for each in photos)]
    outputs = [("output", output), ("preview", preview), ("checkpoint", checkpoint)]
    check_outputs(inputs, named_paths(*outputs))
    with argument("output"):
        check_suffix(output, (NETWORK_SUFFIX,))
        write_file(output, None)
    if preview is not None:
        with argument("preview"):
            check_output_path(preview)
