"""`tfnst export`, `tfnst serve` and `tfnst request`."""

from __future__ import annotations

import logging

import click

from tfnst.cli.options import (
    REQUEST_SETTINGS,
    export_options,
    gps_option,
    read_settings,
    request_options,
)
from tfnst.cli.styles import read_styles, style_arguments
from tfnst.cli.terminal import EXIT_BAD_INPUT, EXIT_FAILED, fail, one_line, quiet_start


@click.command()
@click.argument("directory", type=click.Path())
@click.option("--version", type=int, metavar="N", help="Number; by default the next.")
@click.option("--max-steps", type=int, metavar="N", help="Largest steps of a request.")
@click.option("--max-size", type=int, metavar="N", help="Largest size of a request.")
@click.option("--max-pixels", type=int, metavar="N", help="Most pixels sent at once.")
@export_options
def export(directory, **settings):
    """Writes a SavedModel to DIRECTORY for TensorFlow Serving."""
    limits = {
        name: value
        for name in ("version", "max_steps", "max_size", "max_pixels")
        if (value := settings.pop(name)) is not None
    }
    config, init_image = read_settings(settings)
    if init_image is not None:
        config = config.replace(init_image=init_image)
    with quiet_start():
        from tfnst.export.saved_model import export_saved_model
    click.echo(export_saved_model(directory, config=config, **limits))


@click.command()
@click.argument("directory", type=click.Path())
@click.option("--name", metavar="TEXT", help="What requests call the model.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=int, metavar="N", help="Port for gRPC; 0 for any.")
@click.option("--max-concurrent", type=int, metavar="N", help="Most runs at a time.")
@click.option("--max-queue", type=int, metavar="N", help="Most requests that wait.")
@click.option(
    "--poll-seconds", type=float, metavar="X", help="Between looks for versions."
)
@click.option("--grace", type=float, metavar="X", help="Seconds for the last requests.")
@click.option("--certificate", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option("--private-key", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option("--client-ca", type=click.Path(), metavar="FILE", help="For mutual TLS.")
@click.option("--metrics-port", type=int, metavar="N", help="Port for Prometheus.")
def serve(directory, **options):
    """Serves the SavedModels in DIRECTORY as TensorFlow Serving does.

    Stops on Ctrl-C or SIGTERM, once the requests that it has are answered.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with quiet_start():
        from tfnst import server
    # What isn't given is left to the server, where the defaults live.
    server.serve(directory, **{k: v for k, v in options.items() if v is not None})


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
