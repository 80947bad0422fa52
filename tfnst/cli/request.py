"""`tfnst request`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from tfnst.checks import one_line
from tfnst.cli.options import (
    file_option,
    gps_option,
    number_option,
    output_option,
    request_options,
)
from tfnst.cli.outputs import check_output
from tfnst.cli.reporting import reporting, reporting_options
from tfnst.cli.settings import given
from tfnst.cli.styles import optional_style_arguments
from tfnst.cli.terminal import EXIT_BAD_INPUT, EXIT_FAILED, fail, quiet_start
from tfnst.paths import named_paths

if TYPE_CHECKING:
    from tfnst.images.style_images import StyleImage


@click.command(short_help="Asks a server to paint a picture.")
@click.argument("target", metavar="HOST:PORT")
@click.argument("content", type=click.Path())
@optional_style_arguments
@output_option
@click.option("--model", metavar="TEXT", help="Name of the model.  [default: tfnst]")
@number_option(
    "--version",
    help="Version of the model; by default the newest.",
)
@click.option(
    "--version-label",
    metavar="TEXT",
    help="Label of a version, such as stable, in place of --version.",
)
@file_option(
    "--root-certificates",
    help="PEM file with the authorities to trust; turns on TLS.",
)
@file_option(
    "--client-certificate",
    help="PEM file with the client's certificate chain, for mutual TLS.",
)
@file_option("--client-key", help="PEM file with the key of --client-certificate.")
@number_option(
    "--timeout",
    type=float,
    help="Time limit in seconds; by default it depends on --size and --steps.",
)
@number_option(
    "--wait",
    type=click.FloatRange(0, 1e6, min_open=True),
    help="Seconds to wait for a server that is starting; by default 0.",
)
@gps_option
@reporting_options
@request_options
def request(
    target: str,
    content: str,
    style: list[StyleImage],
    output: str,
    wait: float | None,
    keep_gps: bool,
    options: dict[str, Any],
    **others: Any,
) -> None:
    """Asks a server to paint CONTENT in the style of STYLE, or in a blend of several.

    WEIGHT and SCALE are 1 by default; SCALE multiplies the server's --style-scale.
    A server whose model is a network has a style of its own and takes none.
    """
    settings, connection = given(options), given(others)
    from tfnst.images.style_images import style_paths

    inputs = [*named_paths(("content_image", content)), *style_paths(style)]
    check_output(output, inputs)
    with quiet_start():
        from tfnst.client.client import ServingError, StylizeClient
    try:
        with StylizeClient(target, **connection) as client:
            if wait is not None:
                client.wait_until_ready(wait)
            start = time.monotonic()
            response = client.stylize(content, style or None, **settings)
    except ServingError as error:
        bad_input = isinstance(error, ValueError)
        fail(one_line(error), EXIT_BAD_INPUT if bad_input else EXIT_FAILED)
    response.save(output, name="output", keep_gps=keep_gps)
    width, height = response.image.size
    loss = response.total_loss
    total = "" if loss is None else f", total loss {loss:.3f}"
    reporting().tell(
        {
            "output": output,
            "width": width,
            "height": height,
            "content_loss": response.content_loss,
            "style_loss": response.style_loss,
            "total_loss": response.total_loss,
            "model_version": response.model_version,
            "target": target,
            "seconds": round(time.monotonic() - start, 3),
        },
        f"{output}: {width}x{height} pixels{total} "
        f"(version {response.model_version} at {target})",
    )
