"""`tfnst recolor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfnst.checks import argument
from tfnst.cli.options import (
    SettingOption,
    file_option,
    output_option,
    saving_options,
)
from tfnst.cli.outputs import check_output
from tfnst.cli.reporting import reporting, reporting_options
from tfnst.cli.settings import variable_of
from tfnst.cli.terminal import quiet_start
from tfnst.config import COLOR_MODES
from tfnst.paths import named_paths

if TYPE_CHECKING:
    from tfnst.images.save_options import SaveOptions


@click.command(short_help="Puts the photo's colours onto a painted picture.")
@click.argument("painted", type=click.Path())
@click.argument("content", type=click.Path())
@output_option
@click.option(
    "--preserve-color",
    cls=SettingOption,
    envvar=variable_of("preserve_color"),
    type=click.Choice(COLOR_MODES),
    default="luminance",
    help="Keep each pixel's hue and chroma (luminance), or the mean and covariance "
    "(transport) or the distribution (histogram) of all colours; none only goes with "
    "--mask.",
)
@file_option(
    "--mask",
    help="Grey picture, stretched over PAINTED; the photo is kept where it is black.",
)
@saving_options
@reporting_options
def recolor(
    painted: str,
    content: str,
    output: str,
    preserve_color: str,
    mask: str | None,
    saving: SaveOptions,
) -> None:
    """Gives the picture PAINTED the colours of the photo CONTENT, without painting.

    The picture keeps its manifest, which then names the recolouring, too.
    """
    inputs = named_paths(
        ("painted_image", painted), ("content_image", content), ("mask", mask)
    )
    check_output(output, inputs, bits=saving.bits)
    with quiet_start():
        from tfnst.transfer import recoloring
    result = recoloring.recolor(
        painted, content, preserve_color=preserve_color, mask=mask
    )
    with argument("output"):
        result.write(output, saving)
    height, width = result.array.shape[:2]
    reporting().tell(
        {
            "output": output,
            "width": width,
            "height": height,
            "preserve_color": preserve_color,
            "manifest": result.manifest,
        },
        f"{output}: {width}x{height} pixels",
    )
