"""`tfnst studio`."""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import Any

import click

from tfnst.cli.options import (
    Command,
    config_options,
    number_option,
    received_as,
    together,
)
from tfnst.cli.reporting import logging_to
from tfnst.cli.settings import option_of, read_config
from tfnst.cli.terminal import EXIT_BAD_INPUT, fail, quiet_start
from tfnst.processor import prefer_onednn
from tfnst.studio.limits import Limits


def limit_options(command: Command) -> Command:
    """Adds an option for each limit, received together as `limits`."""
    options = []
    for field in dataclasses.fields(Limits):
        kind, metavar = (int, "N") if isinstance(field.default, int) else (float, "X")
        options.append(
            click.option(
                option_of(field.name),
                type=kind,
                default=field.default,
                metavar=metavar,
                help=field.metadata["help"],
            )
        )
    return together(received_as("limits", Limits), *options)(command)


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Address to listen on.",
)
@number_option(
    "--port",
    default=7860,
    help="Port to listen on.",
)
@click.option(
    "--root-path",
    metavar="PATH",
    help="Path, or whole URL, at which a proxy shows the page, such as /tfnst.",
)
@click.option(
    "--password",
    envvar="TFNST_STUDIO_PASSWORD",
    metavar="TEXT",
    help="Password for visitors; also read from TFNST_STUDIO_PASSWORD.",
)
@click.option(
    "--output",
    type=click.Path(),
    default="painted",
    metavar="FOLDER",
    help="Folder for the painted pictures.",
)
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="Server that paints in place of this process: `tfnst serve` or TensorFlow "
    "Serving.",
)
@click.option(
    "--samples",
    type=click.Path(),
    metavar="FOLDER",
    help="Folder with sample pictures: photo_* are contents, style_* styles, others "
    "both. A network NAME.keras paints style_NAME at once.",
)
@click.option(
    "--shared/--separate",
    default=None,
    help="Show all visitors the same pictures, or each browser only its own; by "
    "default shared if only this machine can reach the page.",
)
@limit_options
@number_option("--max-runs", help="Removed.", hidden=True)
@click.option(
    "--open/--no-open",
    "open_browser",
    default=False,
    help="Open the page in a browser.",
)
@config_options
def studio(
    root_path: str | None,
    max_runs: int | None,
    options: dict[str, Any],
    **others: Any,
) -> None:
    """Opens a page for painting in the browser.

    The page begins with the settings given here. Ctrl-C ends it; finished pictures are
    kept.
    """
    if max_runs is not None:
        fail(
            "`max_runs` was removed: each visitor has one run at a time",
            EXIT_BAD_INPUT,
        )
    config = read_config(options)
    # TensorFlow is loaded when the page is already there, and its messages are dropped;
    # so the log has a stream of its own.
    with os.fdopen(os.dup(2), "w", buffering=1) as stream:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        # Other loggers of tfnst would add several lines for each frame of a video.
        with logging_to(handler, "tfnst.studio"):
            from tfnst.studio.serve import serve_studio

            prefer_onednn()
            serve_studio(
                root_path=root_path or "", config=config, loading=quiet_start, **others
            )
