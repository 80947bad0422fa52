"""`tfnst info`."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from tfnst.checks import argument
from tfnst.cli.options import config_options
from tfnst.cli.reporting import json_option, reporting
from tfnst.cli.settings import (
    WEIGHTS_VARIABLE,
    Origin,
    find_settings,
    read_settings,
    refuse_options,
)
from tfnst.cli.terminal import quiet_start
from tfnst.processor import prefer_onednn


@click.command(short_help="Shows versions, devices and weights.")
@click.argument("file", type=click.Path(), required=False)
@click.option(
    "--settings",
    "of_settings",
    is_flag=True,
    help="Show every setting with the source of its value. The options for settings "
    "below go with this one.",
)
@json_option
@config_options
def info(file: str | None, of_settings: bool, options: dict[str, Any]) -> None:
    """Shows versions, devices and the weights that would be used.

    With FILE, a picture painted by tfnst, shows its manifest as JSON: the settings, the
    images and the versions that it was painted with.
    """
    if of_settings:
        if file is not None:
            raise click.UsageError("--settings replaces FILE")
        _tell_settings(options)
        return
    refuse_options(options, "goes with --settings")
    if file is not None:
        from tfnst.images.manifest import read_painted

        with argument("file"):
            manifest = read_painted(file)
        reporting().tell(manifest, json.dumps(manifest, indent=2))
        return
    prefer_onednn()
    with quiet_start():
        from tfnst.cli.report import facts, report
    found = facts()
    reporting().tell(found, report(found))


def _tell_settings(options: dict[str, Any]) -> None:
    """Prints the settings that a run would have with these options."""
    found = find_settings(options)
    config, init_image = read_settings(options)
    values = config.to_dict()
    if init_image is not None:
        values["init_image"] = init_image
    origins = {name: found.get(name, (None, Origin("default")))[1] for name in values}
    file = os.environ.get(WEIGHTS_VARIABLE)
    if values["weights"] == "imagenet" and file:
        values["weights"] = file
        origins["weights"] = Origin("variable", WEIGHTS_VARIABLE)
    facts = {
        name: {"value": value, "from": origins[name].kind, "name": origins[name].name}
        for name, value in values.items()
    }
    rows = [(name, _shown(value), origins[name]) for name, value in values.items()]
    names = max(len(name) for name, _, _ in rows)
    shown = max(len(value) for _, value, _ in rows)
    lines = [
        f"{name:{names}}  {value:{shown}}  {origin.kind} {origin.name or ''}"
        for name, value, origin in rows
    ]
    reporting().tell(facts, "\n".join(line.rstrip() for line in lines))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)
