"""`tfnst request`."""

from __future__ import annotations

import click

from tfnst.cli.options import (
    REQUEST_SETTINGS,
    gps_option,
    request_options,
)
from tfnst.cli.styles import read_styles, style_arguments
from tfnst.cli.terminal import EXIT_BAD_INPUT, EXIT_FAILED, fail, one_line, quiet_start


@click.command()
@click.argument("target", metavar="HOST:PORT")
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
@click.option("--model", metavar="TEXT", help="Name of the model.")
@click.option(
    "--version", type=int, metavar="N", help="Version; the newest by default."
)
@click.option("--version-label", metavar="TEXT", help="Label of a version.")
@click.option("--root-certificates", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option(
    "--client-certificate", type=click.Path(), metavar="FILE", help="For TLS."
)
@click.option("--client-key", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option(
    "--timeout", type=float, metavar="X", help="Seconds; by default from the work."
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 1e6, min_open=True),
    metavar="X",
    help="Seconds to wait for a server that is starting; none by default.",
)
@gps_option
@request_options
def request(
    target, content, styles, output, regions, style_masks, wait, keep_gps, **options
):
    """Has a server paint CONTENT in the style of STYLE, or of several.

    WEIGHT and SCALE are 1 by default; SCALE multiplies the server's --style-scale.
    """
    style = read_styles(styles, regions, style_masks)
    options = {name: value for name, value in options.items() if value is not None}
    settings = {n: options.pop(n) for n in REQUEST_SETTINGS if n in options}
    from tfnst.images import writing

    writing.check_output_path(output, name="output")
    with quiet_start():
        from tfnst.client.client import ServingError, StylizeClient
    try:
        with StylizeClient(target, **options) as client:
            if wait is not None:
                client.wait_until_ready(wait)
            response = client.stylize(content, style, **settings)
    except ServingError as error:
        bad_input = isinstance(error, ValueError)
        fail(one_line(error), EXIT_BAD_INPUT if bad_input else EXIT_FAILED)
    response.save(output, name="output", keep_gps=keep_gps)
    width, height = response.image.size
    click.echo(
        f"{output}: {width}x{height} pixels, total loss {response.total_loss:.3f} "
        f"(version {response.model_version} at {target})"
    )
