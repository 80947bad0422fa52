"""`tfnst export`."""

from __future__ import annotations

from typing import Any

import click

from tfnst.cli.options import export_options, file_option, number_option
from tfnst.cli.reporting import reporting, reporting_options
from tfnst.cli.settings import given, read_config
from tfnst.cli.terminal import quiet_start


@click.command(short_help="Writes a model for TensorFlow Serving.")
@click.argument("directory", type=click.Path())
@file_option(
    "--network",
    help="Network of `tfnst train` to export in place of the optimisation.",
)
@number_option(
    "--version",
    help="Number of the version; by default the next one.",
)
@number_option(
    "--max-steps",
    help="Largest --steps of a request.  [default: 1000]",
)
@number_option(
    "--max-size",
    help="Largest --size of a request.  [default: 2048]",
)
@number_option(
    "--max-pixels",
    help="Largest number of pixels of a picture in a request.  [default: 33554432]",
)
@number_option(
    "--max-memory",
    type=float,
    help="Largest memory in GiB that a request may take; by default what 8 styles in 8 "
    "regions take at --max-size.",
)
@reporting_options
@export_options
def export(
    directory: str, network: str | None, options: dict[str, Any], **others: Any
) -> None:
    """Writes a SavedModel for TensorFlow Serving to DIRECTORY.

    Of the settings, a network takes --size and --preserve-color.
    """
    config = read_config(options)
    with quiet_start():
        from tfnst.export.saved_model import export_saved_model
    folder = export_saved_model(
        directory, network=network, config=config, **given(others)
    )
    facts = {"output": str(folder), "version": int(folder.name)}
    reporting().tell(facts, str(folder))
