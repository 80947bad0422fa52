"""`tfnst evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tfnst.cli.options import cut_options, network_options
from tfnst.cli.reporting import json_option, reporting, verbose_option
from tfnst.cli.settings import read_config, refuse_options
from tfnst.cli.terminal import quiet_start
from tfnst.config import setting_names

if TYPE_CHECKING:
    from tfnst.evaluation.evaluation import Evaluation
    from tfnst.video.evaluation import FilmEvaluation


@click.command(short_help="Measures a painted picture or video.")
@click.argument("content", type=click.Path())
@click.argument("style", type=click.Path())
@click.argument("stylized", type=click.Path())
@click.option(
    "--film",
    is_flag=True,
    help="Take CONTENT and STYLIZED as videos; also measure how steady STYLIZED is.",
)
@cut_options
@json_option
@verbose_option
@network_options
def evaluate(
    content: str,
    style: str,
    stylized: str,
    film: bool,
    options: dict[str, Any],
    **cut: Any,
) -> None:
    """Measures how well STYLIZED shows the style of STYLE and keeps CONTENT."""
    config = read_config(options)
    network = {name: getattr(config, name) for name in setting_names("network")}
    if film:
        with quiet_start():
            from tfnst.video.evaluation import evaluate_video
        of_video = evaluate_video(content, style, stylized, **cut, **network)
        lines = [
            *_measures(of_video),
            *_describe(of_video.pictures),
            f"over {of_video.frames} frames",
        ]
        reporting().tell(of_video.to_dict(), "\n".join(lines))
        return
    refuse_options(cut, "goes with --film")
    with quiet_start():
        from tfnst.evaluation.evaluation import evaluate as evaluate_pictures
    result = evaluate_pictures(content, style, stylized, **network)
    reporting().tell(result.to_dict(), "\n".join(_describe(result)))


def _describe(result: Evaluation) -> list[str]:
    """The measures of a picture, and the layers and sizes, in lines."""
    sizes = ", ".join(map(str, result.resolutions))
    return [
        *_measures(result),
        f"on {', '.join(result.layers)} of {result.backbone} (weights from "
        f"{result.weights.source}) at {sizes} pixels",
    ]


def _measures(result: Evaluation | FilmEvaluation) -> Iterator[str]:
    """The measures, one a line."""
    for name, meaning in result.measures().items():
        value = getattr(result, name)
        number = f"{'-':>9}" if value is None else f"{value:9.4f}"
        yield f"{name:24}{number}   {meaning}"
