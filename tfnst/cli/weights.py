"""`tfnst weights`."""

from __future__ import annotations

import click

from tfnst.cli.options import file_option
from tfnst.cli.terminal import quiet_start
from tfnst.config import BACKBONES


@click.command()
@click.option(
    "--fetch",
    is_flag=True,
    help="Download VGG19's weights now, so that later runs work offline.",
)
@file_option(
    "--save",
    help="Keras weight file to write VGG19's weights to, for --weights on a machine "
    "without network.",
)
def weights(fetch: bool, save: str | None) -> None:
    """Lists the weights on this machine."""
    with quiet_start():
        from tfnst.cli.report import describe_weights, weights_facts
        from tfnst.networks import find_weights
        from tfnst.networks.weight_files import save_weights
    if fetch or save is not None:
        found = find_weights("vgg19")
        if save is not None:
            assert found.path is not None  # only random weights have none
            save_weights(found.path, save, name="save")
            click.echo(f"{save}: VGG19's convolutions, from {found.source}")
            return
    for name in BACKBONES:
        click.echo(f"{name}  {describe_weights(weights_facts(name))}")
