"""`tfnst info`."""

from __future__ import annotations

import json

import click

from tfnst.cli.terminal import quiet_start


@click.command()
@click.argument("file", type=click.Path(), required=False)
def info(file: str | None) -> None:
    """Shows versions, devices and the weights that would be used.

    With FILE, a picture painted by tfnst, shows how it was painted, as JSON.
    """
    if file is not None:
        from tfnst.images.manifest import read_painted

        click.echo(json.dumps(read_painted(file, "file"), indent=2))
        return
    with quiet_start():
        from tfnst.cli.report import report
    click.echo(report())
