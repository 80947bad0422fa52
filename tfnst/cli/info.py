"""`tfnst info`."""

from __future__ import annotations

import json

import click

from tfnst.cli.terminal import quiet_start
from tfnst.images.manifest import read_painted


@click.command()
@click.argument("file", type=click.Path(), required=False)
def info(file):
    """Shows versions, devices and which weights would be used.

    With FILE, a picture that tfnst has painted, shows how it was painted, as JSON.
    """
    if file is not None:
        click.echo(json.dumps(read_painted(file, "file"), indent=2))
        return
    with quiet_start():
        from tfnst.cli.report import report
    click.echo(report())
