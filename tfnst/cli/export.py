"""`tfnst export`."""

from __future__ import annotations

import click

from tfnst.cli.options import (
    export_options,
    read_settings,
)
from tfnst.cli.terminal import quiet_start


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
