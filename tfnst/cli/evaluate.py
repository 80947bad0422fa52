"""`tfnst evaluate`."""

from __future__ import annotations

from typing import Any

import click

from tfnst.cli.options import network_options
from tfnst.cli.reporting import json_option, reporting, verbose_option
from tfnst.cli.settings import read_config
from tfnst.cli.terminal import quiet_start


@click.command(short_help="Measures a painted picture.")
@click.argument("content", type=click.Path())
@click.argument("style", type=click.Path())
@click.argument("stylized", type=click.Path())
@json_option
@verbose_option
@network_options
def evaluate(content: str, style: str, stylized: str, **options: Any) -> None:
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
    lines = [
        f"{name:24}{getattr(result, name):9.4f}   {meaning}"
        for name, meaning in result.measures().items()
    ]
    sizes = ", ".join(map(str, result.resolutions))
    lines.append(
        f"on {', '.join(result.layers)} of {result.backbone} (weights from "
        f"{result.weights.source}) at {sizes} pixels"
    )
    reporting().tell(result.to_dict(), "\n".join(lines))
