"""`tfnst stylize`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tfnst.cli.options import (
    Command,
    add_options,
    config_options,
    file_option,
    grouped,
    number_option,
    saving_options,
)
from tfnst.cli.outputs import Outputs, output_options
from tfnst.cli.pipes import through_pipes
from tfnst.cli.repeating import PaintedPicture
from tfnst.cli.reporting import facts_of_run, reporting, reporting_options
from tfnst.cli.settings import (
    DEFAULTS,
    read_settings,
    setting_files,
    without_variables,
)
from tfnst.cli.styles import style_arguments
from tfnst.cli.terminal import EXIT_INTERRUPTED, fail, quiet_start
from tfnst.images.formats import is_network
from tfnst.paths import NamedPath, named_paths
from tfnst.processor import prefer_onednn

if TYPE_CHECKING:
    from tfnst.images.save_options import SaveOptions
    from tfnst.images.style_images import StyleImage
    from tfnst.transfer.results import TransferResult


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run; the fields are arguments of `tfnst.stylize`."""

    checkpoint: str | None
    checkpoint_seconds: float
    resume: str | None


def checkpoint_options(command: Command) -> Command:
    """Adds the options for checkpoints, received as `checkpoints`."""
    return add_options(
        grouped(command, "checkpoints", Checkpoints),
        file_option(
            "--checkpoint",
            help="File to keep the state of the run in, for --resume.",
        ),
        number_option(
            "--checkpoint-seconds",
            type=click.FloatRange(min=0),
            default=60,
            help="Shortest time in seconds between two checkpoints.",
        ),
        file_option(
            "--resume",
            help="Checkpoint of a run to continue, with its settings. It is updated "
            "unless --checkpoint names another file.",
        ),
    )


@click.command(short_help="Paints a picture in the style of another.")
@click.argument("content", type=click.Path())
@style_arguments
@output_options
@checkpoint_options
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
    checkpoints: Checkpoints,
    painted: str | None,
    saving: SaveOptions,
    **options: Any,
) -> None:
    """Paints CONTENT in the style of STYLE, or in a weighted blend of several styles.

    WEIGHT and SCALE are 1 by default; SCALE multiplies --style-scale. CONTENT or STYLE
    can be - for standard input, and --output - for standard output, as PNG.
    """
    with _interruptible(outputs):
        if painted is not None and checkpoints.resume is not None:
            raise click.UsageError(
                "--resume brings its own settings in place of --from"
            )
        if painted is not None or checkpoints.resume is not None:
            options = without_variables(options)
        # Settings are checked before TensorFlow is loaded, which takes seconds.
        repeated = None if painted is None else PaintedPicture.read(painted)
        others = (
            DEFAULTS if repeated is None else repeated.config(options["init_image"])
        )
        config, init_image = read_settings(options, others)
        inputs = named_paths(
            ("content_image", content), ("from", painted), ("init_image", init_image)
        )
        inputs += setting_files(options, config)
        _check_paths(inputs, style, outputs, checkpoints)
        outputs.check_pictures(bits=saving.bits, size=config.size)
        from tfnst.networks.weight_reading import reading_ahead

        at_once = any(is_network(each.image) for each in style)
        # Reading weights needs no TensorFlow. A network needs no weights but its own.
        with contextlib.nullcontext() if at_once else reading_ahead(config):
            prefer_onednn()
            with quiet_start():
                from tfnst.cli.progress import paint
                from tfnst.transfer.checkpoint import load_checkpoint
            outputs.check_records()
            if checkpoints.resume is not None:
                kept = load_checkpoint(checkpoints.resume).config()
                config, init_image = read_settings(options, kept)
                outputs.check_pictures(bits=saving.bits, size=config.size)
            if repeated is not None:
                repeated.warn_of_other_images(content, style)
            result = paint(
                content,
                style,
                outputs,
                saving,
                config=config,
                init_image=init_image,
                **dataclasses.asdict(checkpoints),
            )
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


def _check_paths(
    inputs: list[NamedPath],
    style: list[StyleImage],
    outputs: Outputs,
    checkpoints: Checkpoints,
) -> None:
    """Checks that no input is written over, and no file written twice."""
    from tfnst.images.style_images import style_paths

    inputs = [*inputs, *style_paths(style)]
    outputs.check_paths(inputs, checkpoints.checkpoint or checkpoints.resume)
    # A run may keep its checkpoints in the file that it was resumed from.
    outputs.check_paths(named_paths(("resume", checkpoints.resume)))


def _report(result: TransferResult, output: str) -> None:
    """Reports a run; ends the command if the run was interrupted."""
    height, width = result.array.shape[:2]
    steps, seconds = len(result.losses), result.seconds
    report = reporting()
    shown = report.name_of(output)
    facts = facts_of_run(result, output)
    if result.network is not None:
        line = f"{shown}: {width}x{height} pixels, painted at once in {seconds:.1f} s"
        report.tell(facts, line)
        return
    if result.stop_reason == "callback":
        line = f"stopped after {steps} steps; the picture so far is {shown}"
        report.interrupted(facts, line)
    if result.stop_reason == "max_time":
        size = result.losses["size"][-1]
        report.notice(
            f"the time was up at {size} pixels; the picture is enlarged from there"
        )
    cut = "".join(
        f", cut by --{name.replace('_', '-')}," for name in result.shortened_by
    )
    report.tell(
        facts,
        f"{shown}: {width}x{height} pixels, {steps} steps{cut} in {seconds:.0f} s "
        f"({result.backbone}, weights from {result.weights.source})",
    )
