"""`tfnst styles`."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import click

from tfnst.built_in import built_in_styles, training_facts
from tfnst.checks import argument
from tfnst.cli.options import file_option
from tfnst.cli.reporting import json_option, reporting
from tfnst.cli.terminal import quiet_start
from tfnst.paths import check_outputs, named_paths
from tfnst.processor import prefer_onednn

if TYPE_CHECKING:
    from PIL import Image

_CAT = os.path.join(
    os.path.dirname(os.path.dirname(__file__)), "studio", "samples", "photo_cat.jpg"
)


@click.command("styles", short_help="Lists the styles that come with tfnst.")
@file_option(
    "--sheet", help="Also write a picture that shows a photo painted in each of them."
)
@file_option("--photo", help="Photo for --sheet; by default a cat.")
@json_option
def list_styles(sheet: str | None, photo: str | None) -> None:
    """Lists the styles that come with tfnst, and how each was trained.

    Their names can take the place of STYLE in other commands, which then paint at once.
    """
    if photo is not None and sheet is None:
        raise click.UsageError("--photo goes with --sheet")
    if sheet is not None:
        _write_sheet(sheet, photo)
    facts = {name: training_facts(name) for name in built_in_styles()}
    reporting().tell(facts, "\n".join(_line(*each) for each in facts.items()))


def _line(name: str, facts: dict[str, Any]) -> str:
    return (
        f"{name:14}  {facts['steps']:,} steps over {facts['photos']} photos, "
        f"total loss {facts['losses']['total']:.2f}"
    )


def _write_sheet(sheet: str, photo: str | None) -> None:
    """Writes a photo and its pictures in all styles, side by side."""
    from tfnst.images.reading import load_image
    from tfnst.images.writing import check_output_path, save_image

    check_outputs(named_paths(("photo", photo)), [("sheet", sheet)])
    with argument("sheet"):
        check_output_path(sheet)
    content = load_image(photo or _CAT, name="photo")
    prefer_onednn()
    save_image(_paint_sheet(content), sheet, name="sheet")


def _paint_sheet(content: Any) -> Image.Image:
    with quiet_start():
        from tfnst.transfer.style_network import load_network
    from tfnst.visualization.contact_sheet import Cell, contact_sheet

    # Painted here: a sheet leaves out what it can't load.
    pictures = {"photo": content}
    for name in built_in_styles():
        pictures[name] = load_network(name).stylize(content).image
    cells = [Cell(name, functools.partial(pictures.get, name)) for name in pictures]
    return contact_sheet([cells])
