"""`tfnst stylize`."""

from __future__ import annotations

import contextlib
import pathlib
import sys

import click

from tfnst.cli.options import DEFAULTS, config_options, read_settings, saving_options
from tfnst.cli.styles import read_styles, style_arguments
from tfnst.cli.terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    fail,
    one_line,
    quiet_start,
    say,
)
from tfnst.config import StyleTransferConfig
from tfnst.images.manifest import read_painted


@click.command()
@click.argument("content", type=click.Path())
@style_arguments
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="Where the picture goes: .png, .jpg, .webp or .tif.",
)
@click.option(
    "--sheet",
    type=click.Path(),
    metavar="FILE",
    help="Also write content, style and result side by side.",
)
@click.option(
    "--save-every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also write the picture after every N steps, as OUTPUT-STEP.suffix.",
)
@click.option(
    "--timelapse",
    type=click.Path(),
    metavar="FILE",
    help="Also write a film of the run: .gif, .webp or .mp4.",
)
@click.option(
    "--timelapse-size",
    type=click.IntRange(32, 1024),
    default=512,
    metavar="N",
    help="Its long side in pixels, at most.  [default: 512]",
)
@click.option(
    "--plot",
    type=click.Path(),
    metavar="FILE",
    help="Also plot the losses over the steps: .png, .svg or .pdf.",
)
@click.option(
    "--checkpoint",
    type=click.Path(),
    metavar="FILE",
    help="Keep the state of the run there, for --resume.",
)
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    default=60.0,
    metavar="X",
    help="Between two of them, at least.  [default: 60]",
)
@click.option(
    "--resume",
    type=click.Path(),
    metavar="FILE",
    help="Go on where the run was that kept this file, with its settings.",
)
@click.option(
    "--from",
    "painted",
    type=click.Path(),
    metavar="FILE",
    help="Take the settings from a picture that tfnst has painted; options that are "
    "given go first.",
)
@saving_options
@config_options
def stylize(
    content, styles, output, regions, style_masks, sheet, save_every, timelapse,
    timelapse_size, plot, checkpoint, checkpoint_seconds, resume, painted, bits,
    keep_gps, **settings,
):  # fmt: skip
    """Paints CONTENT in the style of STYLE, or of several, blended by their weights.

    WEIGHT and SCALE are 1 by default; SCALE multiplies --style-scale.
    """
    # Settings are checked before TensorFlow takes its seconds to load.
    manifest, others = None, DEFAULTS
    if painted is not None:
        manifest = read_painted(painted, "from")
        others = _manifest_settings(manifest, settings["init_image"])
    config, init_image = read_settings(settings, others)
    style = read_styles(styles, regions, style_masks)
    from tfnst.images import writing
    from tfnst.images.save_options import SaveOptions

    saving = SaveOptions(bits=int(bits), keep_gps=keep_gps)
    writing.check_output_path(output, name="output", bits=saving.bits)
    if sheet is not None:
        writing.check_output_path(sheet, name="sheet")

    with quiet_start():
        from tfnst.cli.progress import RunProgress
        from tfnst.transfer.results import NonFiniteLossError
        from tfnst.transfer.style_transfer import stylize as paint
        from tfnst.visualization import film as films
        from tfnst.visualization import plots
    film = None
    if timelapse is not None:
        films.check_film_path(timelapse, name="timelapse")
        film = films.Film(size=timelapse_size)
    if plot is not None:
        plots.check_plot_path(plot, name="plot")
    if resume is not None:
        from tfnst.transfer.checkpoint import load_checkpoint

        there = StyleTransferConfig(**load_checkpoint(resume).settings)
        config, init_image = read_settings(settings, there)
    if manifest is not None:
        _warn_of_other_pictures(manifest, painted, content, style)
    progress = RunProgress(pathlib.Path(output), save_every, saving)

    def write_others(result):
        if film is not None:
            film.save(timelapse, last_image=result.image, name="timelapse")
        if plot is not None:
            plots.plot_losses(result, plot, name="plot")

    with progress:
        try:
            result = paint(
                content,
                style,
                init_image=init_image,
                config=config,
                callback=[progress.update] if film is None else [film, progress.update],
                callback_steps=save_every,
                checkpoint=checkpoint,
                checkpoint_seconds=checkpoint_seconds,
                resume=resume,
            )
        except NonFiniteLossError as error:
            progress.close()
            if len(error.result.losses):
                error.result.write(output, saving, name="output")
                say(f"the last good picture is {output}")
                write_others(error.result)
            fail(one_line(error), EXIT_FAILED)
    result.write(output, saving, name="output")
    write_others(result)
    if manifest is not None:
        _warn_of_another_network(manifest, painted, result.manifest)
    if sheet is not None:
        from tfnst.visualization.sheet import comparison_sheet

        writing.save_image(
            comparison_sheet(content, style, result.image), sheet, name="sheet"
        )
    height, width = result.array.shape[:2]
    steps, seconds = len(result.losses), result.losses["seconds"][-1]
    if result.stop_reason == "callback":
        say(f"stopped after {steps} steps; the picture so far is {output}")
        sys.exit(EXIT_INTERRUPTED)
    if result.stop_reason == "max_time":
        size = result.losses["size"][-1]
        say(f"the time was up at {size} pixels; the picture is enlarged from there")
    cut = "".join(
        f", cut by --{name.replace('_', '-')}," for name in result.shortened_by
    )
    click.echo(
        f"{output}: {width}x{height} pixels, {steps} steps{cut} in {seconds:.0f} s "
        f"({result.backbone}, weights from {result.weights.source})"
    )


def _warn_of_other_pictures(manifest, painted, content, styles):
    from tfnst.images.manifest import describe_source, without_names
    from tfnst.images.style_images import describe_style

    # What can't be read is soon said by the run.
    with contextlib.suppress(OSError, ValueError):
        sources = [describe_source(part.image) for part in styles]
        for name, now in (
            ("content", describe_source(content)),
            ("style", describe_style(styles, sources)),
        ):
            then = manifest.get(f"{name}_image")
            if then and without_names(then) != without_names(now):
                say(
                    f"warning: the {name} image is not the one that {painted} was "
                    "painted from"
                )


def _warn_of_another_network(manifest, painted, now):
    told = [
        (each.get("backbone"), _entry(each, "weights", "sha256"))
        for each in (manifest, now)
    ]
    if told[0] != told[1]:
        before, after = (f"{name} (weights {str(sha)[:12]})" for name, sha in told)
        say(f"warning: {painted} was painted by {before}, this picture by {after}")


def _entry(manifest, name, key):
    """What a manifest holds, whoever may have written it."""
    part = manifest.get(name)
    return part.get(key) if isinstance(part, dict) else None


def _manifest_settings(manifest, init_image):
    """The configuration of a manifest, to which options are added."""
    before = manifest["settings"]
    if not isinstance(before, dict):
        raise ValueError(
            "`from` must be a picture whose settings are known. "
            f"Received: settings of type {type(before).__name__}"
        )
    if before.get("init_image") == "given":
        if init_image is None:
            raise ValueError(
                "`init_image` must be given: the picture was started from one. "
                "Received: None"
            )
        before = before | {"init_image": "content"}
    # Where it runs, in how much memory and time is no matter of the picture.
    skipped = ("device", "max_memory", "max_time")
    return StyleTransferConfig().replace(
        **{name: value for name, value in before.items() if name not in skipped}
    )
