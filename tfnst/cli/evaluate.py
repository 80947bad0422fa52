"""`tfnst evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tfnst.cli.options import cut_options, network_options
from tfnst.cli.reporting import json_option, reporting, verbose_option
from tfnst.cli.settings import read_config
from tfnst.cli.terminal import quiet_start

if TYPE_CHECKING:
    from tfnst.evaluation.evaluation import Evaluation


@click.command(short_help="Measures a painted picture or film.")
@click.argument("content", type=click.Path())
@click.argument("style", type=click.Path())
@click.argument("stylized", type=click.Path())
@click.option(
    "--film",
    is_flag=True,
    help="Take CONTENT and STYLIZED as films; also measure how steady STYLIZED is.",
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
    start: float,
    end: float | None,
    every: int,
    **options: Any,
) -> None:
    """Measures how well STYLIZED shows the style of STYLE and keeps CONTENT."""
    config = read_config(options)
    network: dict[str, Any] = {
        "backbone": config.backbone,
        "weights": config.weights,
        "seed": config.seed,
    }
    if film:
        with quiet_start():
            from tfnst.video.evaluation import evaluate_video
        of_film = evaluate_video(
            content, style, stylized, start=start, end=end, every=every, **network
        )
        lines = [
            _line(name, getattr(of_film, name), meaning)
            for name, meaning in of_film.measures().items()
        ]
        lines += _lines_of(of_film.pictures)
        lines.append(f"over {of_film.frames} frames")
        reporting().tell(of_film.to_dict(), "\n".join(lines))
        return
    for name, given in (
        ("--start", start != 0),
        ("--end", end is not None),
        ("--every", every != 1),
    ):
        if given:
            raise click.UsageError(f"{name} goes with --film")
    with quiet_start():
        from tfnst.evaluation.evaluation import evaluate as evaluate_pictures
    result = evaluate_pictures(content, style, stylized, **network)
    reporting().tell(result.to_dict(), "\n".join(_lines_of(result)))


def _lines_of(result: Evaluation) -> list[str]:
    """The measures of a picture, one a line."""
    lines = [
        _line(name, getattr(result, name), meaning)
        for name, meaning in result.measures().items()
    ]
    sizes = ", ".join(map(str, result.resolutions))
    lines.append(
        f"on {', '.join(result.layers)} of {result.backbone} (weights from "
        f"{result.weights.source}) at {sizes} pixels"
    )
    return lines


def _line(name: str, value: float | None, meaning: str) -> str:
    number = f"{'-':>9}" if value is None else f"{value:9.4f}"
    return f"{name:24}{number}   {meaning}"
