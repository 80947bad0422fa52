"""`tfnst stylize`."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from tfnst.checks import argument, one_line
from tfnst.cli.options import (
    config_options,
    file_option,
    number_option,
    saving_options,
)
from tfnst.cli.outputs import Outputs, output_options
from tfnst.cli.pipes import through_pipes
from tfnst.cli.repeating import PaintedPicture
from tfnst.cli.reporting import reporting, reporting_options
from tfnst.cli.settings import (
    DEFAULTS,
    read_settings,
    setting_files,
    without_variables,
)
from tfnst.cli.styles import style_arguments
from tfnst.cli.terminal import EXIT_FAILED, EXIT_INTERRUPTED, fail, quiet_start, say
from tfnst.images.formats import is_network
from tfnst.images.save_options import SaveOptions
from tfnst.paths import named_paths
from tfnst.processor import prefer_onednn

if TYPE_CHECKING:
    from tfnst.images.style_images import StyleImage
    from tfnst.transfer.results import TransferResult


@click.command(short_help="Paints a picture in the style of another.")
@click.argument("content", type=click.Path())
@style_arguments
@output_options
@file_option(
    "--checkpoint",
    help="File to keep the state of the run in, for --resume.",
)
@number_option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    default=60,
    help="Shortest time in seconds between two checkpoints.",
)
@file_option(
    "--resume",
    help="Checkpoint of a run to continue, with its settings. It is updated unless "
    "--checkpoint names another file.",
)
@file_option(
    "--from",
    "painted",
    help="Picture painted by tfnst to take the settings from; other options override "
    "them.",
)
@saving_options
@reporting_options
@config_options
@through_pipes
def stylize(
    content: str,
    style: list[StyleImage],
    outputs: Outputs,
    checkpoint: str | None,
    checkpoint_seconds: float,
    resume: str | None,
    painted: str | None,
    saving: SaveOptions,
    options: dict[str, Any],
) -> None:
    """Paints CONTENT in the style of STYLE, or in a weighted blend of several styles.

    WEIGHT and SCALE are 1 by default; SCALE multiplies --style-scale. CONTENT or STYLE
    can be - for standard input, and --output - for standard output, as PNG.
    """
    if painted is not None and resume is not None:
        raise click.UsageError("--resume brings its own settings in place of --from")
    if painted is not None or resume is not None:
        options = without_variables(options)
    with _interruptible(outputs):
        # Settings and paths are checked before TensorFlow is loaded, which takes
        # seconds.
        from tfnst.images.style_images import style_paths
        from tfnst.networks.weight_reading import reading_ahead

        repeated = None if painted is None else PaintedPicture.read(painted)
        others = DEFAULTS
        if repeated is not None:
            others = repeated.config(options["init_image"])
        config, init_image = read_settings(options, others)
        inputs = named_paths(
            ("content_image", content), ("from", painted), ("init_image", init_image)
        )
        inputs += setting_files(options, config) + style_paths(style)
        outputs.check_paths(inputs, checkpoint or resume)
        # A run may keep its checkpoints in the file that it was resumed from.
        outputs.check_paths(named_paths(("resume", resume)))
        outputs.check(bits=saving.bits, size=config.size)
        with argument("style_image"):
            at_once = any(is_network(each.image) for each in style)
        # Reading weights needs no TensorFlow. A network needs no weights but its own.
        with contextlib.nullcontext() if at_once else reading_ahead(config):
            prefer_onednn()
            with quiet_start():
                from tfnst.transfer.checkpoint import load_checkpoint
                from tfnst.transfer.style_transfer import stylize as run
            if resume is not None:
                others = load_checkpoint(resume).config()
                config, init_image = read_settings(options, others)
                outputs.check(bits=saving.bits, size=config.size)
            if repeated is not None:
                repeated.warn_of_other_images(content, style)
            run = functools.partial(
                run,
                content,
                style,
                config=config,
                init_image=init_image,
                checkpoint=checkpoint,
                checkpoint_seconds=checkpoint_seconds,
                resume=resume,
            )
            result = _paint(run, outputs, saving)
        outputs.save_records(result)
        if repeated is not None:
            repeated.warn_of_another_network(result.manifest)
        outputs.save_sheet(content, style, result)
        _report(result, outputs.output)


@contextlib.contextmanager
def _interruptible(outputs: Outputs) -> Iterator[None]:
    """Ends the command on Ctrl-C, and says whether there is a picture."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"; the picture is {reporting().name_of(outputs.output)}"
        lost = " before there was a picture to keep"
        fail(f"interrupted{kept if outputs.saved else lost}", EXIT_INTERRUPTED)


def _paint(
    run: Callable[..., TransferResult], outputs: Outputs, saving: SaveOptions
) -> TransferResult:
    """Paints and saves a picture while a person watches.

    If the loss is no longer finite, the last good picture is saved and the command
    ends.

    Args:
        run: function that paints, which takes the callback arguments of
            `tfnst.stylize`.
        outputs: the files to write; those beside the finished picture are not
            written here.
        saving: how to save pictures.
    """
    from tfnst.cli.progress import on_terminal, stoppable
    from tfnst.transfer.results import NonFiniteLossError
    from tfnst.visualization.progress_bar import ProgressBar

    bar = ProgressBar(**on_terminal())
    with stoppable(bar) as show:
        callbacks = [show, functools.partial(outputs.save_on_the_way, saving=saving)]
        try:
            result = run(callback=callbacks, callback_steps=outputs.save_every)
        except NonFiniteLossError as error:
            bar.close()
            if len(error.result.losses):
                outputs.save_picture(error.result, saving)
                shown = reporting().name_of(outputs.output)
                say(f"the last good picture is {shown}")
                outputs.save_records(error.result)
            fail(one_line(error), EXIT_FAILED)
        bar.close()
        # Ctrl-C must not cost the painting now.
        outputs.save_picture(result, saving)
        return result


def _report(result: TransferResult, output: str) -> None:
    """Reports a run; ends the command if the run was interrupted."""
    height, width = result.array.shape[:2]
    steps = len(result.losses)
    report = reporting()
    shown = report.name_of(output)
    facts: dict[str, Any] = {
        "output": "-" if report.piped else output,
        "width": width,
        "height": height,
        "seconds": result.seconds,
    }
    if result.network is not None:
        line = f"{shown}: {width}x{height} pixels, painted at once in "
        report.tell(facts | result.manifest, f"{line}{result.seconds:.1f} s")
        return
    last = result.losses[-1]
    names = ("content", "style", "total_variation", "total")
    facts |= {"losses": {name: float(last[name]) for name in names}}
    facts |= result.manifest
    if result.stop_reason == "callback":
        line = f"stopped after {steps} steps; the picture so far is {shown}"
        report.interrupted(facts, line)
    if result.stop_reason == "max_time":
        report.notice(
            f"the time was up at {last['size']} pixels; the picture is enlarged from "
            "there"
        )
    cut = "".join(
        f", cut by --{name.replace('_', '-')}," for name in result.shortened_by
    )
    report.tell(
        facts,
        f"{shown}: {width}x{height} pixels, {steps} steps{cut} in "
        f"{facts['seconds']:.0f} s ({result.backbone}, weights from "
        f"{result.weights.source})",
    )
