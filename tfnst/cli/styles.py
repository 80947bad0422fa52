"""The styles of a command: pictures with weights, scales and masks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tfnst.cli.options import Command, add_options, file_option, grouped

if TYPE_CHECKING:
    from tfnst.images.style_images import StyleImage


def style_arguments(command: Command) -> Command:
    """Adds the styles and the options for their masks, received as `style`."""
    return add_options(
        grouped(command, "style", read_styles),
        click.argument(
            "styles",
            metavar="STYLE[:WEIGHT[:SCALE]]...",
            nargs=-1,
            required=True,
            # So that shells complete the names of files.
            type=click.Path(),
        ),
        file_option(
            "--region",
            "regions",
            multiple=True,
            help="Grey picture stretched over CONTENT: the style goes where it is "
            "white. Give it once per STYLE, in the same order; - gives a style what "
            "the others leave.",
        ),
        file_option(
            "--style-mask",
            "style_masks",
            multiple=True,
            help="Grey picture stretched over STYLE: the style is taken from where it "
            "is white. Give it once per STYLE, in the same order; - takes all of it.",
        ),
    )


def read_styles(
    styles: tuple[str, ...], regions: tuple[str, ...], style_masks: tuple[str, ...]
) -> list[StyleImage]:
    """The `StyleImage`s that the arguments of `style_arguments` stand for.

    Raises:
        ValueError: for more masks than styles, or a weight or scale out of its range.
    """
    from tfnst.images.style_images import StyleImage

    split = [_split_style(text) for text in styles]
    return [
        StyleImage(image=path, weight=weight, scale=scale, mask=mask, region=region)
        for (path, weight, scale), mask, region in zip(
            split,
            _one_per_style("style_mask", style_masks, len(styles)),
            _one_per_style("region", regions, len(styles)),
            strict=True,
        )
    ]


def _one_per_style(name: str, files: tuple[str, ...], count: int) -> list[str | None]:
    """A file or None for each style; the last ones may be left out."""
    if len(files) > count:
        raise ValueError(
            f"`{name}` must be given at most once for each style. "
            f"Received: {len(files)} for {count}"
        )
    masks = [None if file == "-" else file for file in files]
    return masks + [None] * (count - len(masks))


def _split_style(text: str) -> tuple[str, float, float]:
    """Path, weight and scale of a style such as `a.jpg:2` or `a.jpg:2:0.5`."""
    if os.path.exists(text):  # A file's name may contain colons.
        return text, 1.0, 1.0
    path = text
    numbers: list[float] = []
    while len(numbers) < 2 and ":" in path:
        head, _, tail = path.rpartition(":")
        try:
            numbers.insert(0, float(tail))
        except ValueError:
            break
        path = head
    weight, scale = numbers + [1.0] * (2 - len(numbers))
    return path, weight, scale
