"""`tfnst evaluate`."""

from __future__ import annotations

import json
from typing import Any

import click

from tfnst.cli.options import network_options, read_config
from tfnst.cli.terminal import quiet_start


@click.command()
@click.argument("content", type=click.Path())
@click.argument("style", type=click.Path())
@click.argument("stylized", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@network_options
def evaluate(
    content: str, style: str, stylized: str, as_json: bool, **options: Any
) -> None:
    """Measures how well STYLIZED shows the style of STYLE and keeps CONTENT."""
    config = read_config(options)
    with quiet_start():
        from tfnst.evaluation.evaluation import evaluate as evaluate_pictures
    result = evaluate_pictures(
        content,
        style,
        stylized,
        backbone=config.backbone,
        weights=config.weights,
        seed=config.seed,
    )
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
        return
    for name, meaning in result.measures().items():
        click.echo(f"{name:24}{getattr(result, name):9.4f}   {meaning}")
    sizes = ", ".join(map(str, result.resolutions))
    click.echo(
        f"on {', '.join(result.layers)} of {result.backbone} (weights from "
        f"{result.weights.source}) at {sizes} pixels"
    )
