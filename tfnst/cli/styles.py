"""The styles of a command: pictures with weights, scales and masks."""

from __future__ import annotations

import os

import click


def style_arguments(command):
    """Adds the styles and the options for their masks."""
    for decorate in (
        click.option(
            "--style-mask",
            "style_masks",
            type=click.Path(),
            multiple=True,
            metavar="FILE",
            help="Grey picture laid over STYLE: it is taken from where that is white. "
            "Once for each STYLE, in their order; - for all of it.",
        ),
        click.option(
            "--region",
            "regions",
            type=click.Path(),
            multiple=True,
            metavar="FILE",
            help="Grey picture laid over CONTENT: the style goes where it is white. "
            "Once for each STYLE, in their order; - for what the others leave.",
        ),
        click.argument(
            "styles", metavar="STYLE[:WEIGHT[:SCALE]]...", nargs=-1, required=True
        ),
    ):
        command = decorate(command)
    return command


def read_styles(styles, regions, style_masks):
    """The `StyleImage`s that the arguments of `style_arguments` stand for."""
    from tfnst.images.style_images import StyleImage

    given = [_split_style(each) for each in styles]
    return [
        StyleImage(image=path, weight=weight, scale=scale, mask=mask, region=region)
        for (path, weight, scale), mask, region in zip(
            given,
            _one_a_style("style_mask", style_masks, given),
            _one_a_style("region", regions, given),
            strict=True,
        )
    ]


def _one_a_style(name, files, styles):
    """A file or None for each style; those at the end may be left out."""
    if len(files) > len(styles):
        raise ValueError(
            f"`{name}` must be given at most once for each style. "
            f"Received: {len(files)} for {len(styles)}"
        )
    given = [None if file == "-" else file for file in files]
    return given + [None] * (len(styles) - len(given))


def _split_style(text):
    """Path, weight and scale of a style such as `a.jpg:2` or `a.jpg:2:0.5`."""
    if os.path.exists(text):  # Colons may be part of a name.
        return text, 1.0, 1.0
    path, numbers = text, []
    while len(numbers) < 2 and ":" in path:
        head, _, tail = path.rpartition(":")
        try:
            numbers.insert(0, float(tail))
        except ValueError:
            break
        path = head
    return path, *numbers, *[1.0] * (2 - len(numbers))
