"""The styles of a command: pictures with weights, scales and masks."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tfnst.checks import ArgumentError
from tfnst.cli.options import (
    Option,
    file_option,
    received_as,
    split_names,
    together,
)
from tfnst.cli.reporting import reporting

if TYPE_CHECKING:
    from tfnst.images.label_maps import LabelRegion
    from tfnst.images.style_images import StyleImage

# Stands for the mask, region or layers of a style that has none of its own.
REST = "-"


def read_styles(
    styles: tuple[str, ...],
    regions: tuple[str, ...],
    style_masks: tuple[str, ...],
    layers: tuple[tuple[str, ...], ...],
    rotations: tuple[str, ...],
    label_map: str | None,
    label_colors: tuple[str, ...] | None,
) -> list[StyleImage]:
    """The `StyleImage`s that the arguments of `style_arguments` stand for.

    Raises:
        click.UsageError: for options that don't go together.
        ValueError: for more values of an option than styles, a number out of its
            range, or a label map that doesn't suit the styles.
        OSError: for a label map that can't be read.
    """
    from tfnst.images.style_images import StyleImage

    if label_map is None and label_colors is not None:
        raise click.UsageError("--label-colors needs --label-map")
    if label_map is not None and regions:
        raise click.UsageError("--label-map replaces --region")
    split = [_split_style(text) for text in styles]
    each_region: Sequence[Any] = _one_per_style("region", regions, len(styles))
    if label_map is not None:
        each_region = _read_labels(label_map, label_colors, len(styles))
        _tell_labels(each_region, [path for path, _, _ in split])
    return [
        StyleImage(
            image=path,
            weight=weight,
            scale=scale,
            mask=mask,
            region=region,
            layers=names,
            rotations=1 if turns is None else _read_rotations(turns),
        )
        for (path, weight, scale), mask, region, names, turns in zip(
            split,
            _one_per_style("style_mask", style_masks, len(styles)),
            each_region,
            _one_per_style("layers", layers, len(styles)),
            _one_per_style("style_rotations", rotations, len(styles)),
            strict=True,
        )
    ]


def _read_labels(
    label_map: str, colors: tuple[str, ...] | None, count: int
) -> list[LabelRegion | None]:
    """The region of each style in a label map; None for those that get the rest.

    Raises:
        ValueError: for more colours than styles, and for a style that would get
            nothing; as `tfnst.label_regions`.
        OSError: when the map can't be read.
    """
    from tfnst.images.label_maps import MIN_SHARE, read_label_map

    if colors is not None and len(colors) > count:
        raise ArgumentError(
            "at most one colour for each style",
            f"{len(colors)} for {count}",
            argument="label_colors",
        )
    labels = read_label_map(
        label_map, None if colors is None else [c for c in colors if c != REST]
    )
    expected = None
    if len(labels) > count:
        expected = (
            f"a picture with at most as many colours as styles ({count}), not counting "
            "black, unless `label_colors` says which of them count"
        )
    elif len(labels) < count and 1 - sum(label.share for label in labels) < MIN_SHARE:
        expected = (
            f"a picture with a colour for each of the {count} styles, or with black "
            "for those that have none"
        )
    if expected is not None:
        shown = f"{len(labels)}: {', '.join(label.color for label in labels)}"
        raise ArgumentError(expected, shown, argument="label_map")
    found = iter(labels)
    regions = [None if color == REST else next(found) for color in colors or ()]
    regions += found
    return regions + [None] * (count - len(regions))


def _tell_labels(regions: Sequence[LabelRegion | None], paths: list[str]) -> None:
    """Prints which style goes where."""
    for region, path in zip(regions, paths, strict=True):
        where = "what the others leave"
        if region is not None:
            where = f"{region.color}, {region.share:.0%} of the label map"
        reporting().notice(f"{path}: {where}")


def _one_per_style(name: str, given: tuple[Any, ...], count: int) -> list[Any]:
    """A value or None for each style; missing ones are None."""
    if len(given) > count:
        raise ArgumentError(
            "given at most once for each style",
            f"{len(given)} for {count}",
            argument=name,
        )
    values = [None if value in (REST, (REST,)) else value for value in given]
    return values + [None] * (count - len(values))


def _read_rotations(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentError(
            "1, 2, 4 or 8", repr(text), argument="style_rotations"
        ) from None


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


def _styles(required: bool = True) -> Option:
    return click.argument(
        "styles",
        metavar="STYLE[:WEIGHT[:SCALE]]...",
        nargs=-1,
        required=required,
        # Makes shells complete file names.
        type=click.Path(),
    )


_picture_options = together(
    file_option(
        "--style-mask",
        "style_masks",
        multiple=True,
        help="Grey picture, stretched over STYLE; the style is taken from where it "
        "is white. Give one per STYLE, in the same order; - stands for all of it.",
    ),
    click.option(
        "--layers",
        multiple=True,
        type=split_names,
        metavar="A,B,...",
        help="Layers among --style-layers at which STYLE is compared. Give one "
        "list per STYLE, in the same order; - stands for all of them.",
    ),
    click.option(
        "--style-rotations",
        "rotations",
        multiple=True,
        metavar="1|2|4|8",
        help="Number of orientations of STYLE to compare with: 2 adds a turn by 90 "
        "degrees, 4 all quarter turns, 8 also their mirror images. Give one per "
        "STYLE, in the same order; - stands for 1.",
    ),
)

_region_options = together(
    file_option(
        "--region",
        "regions",
        multiple=True,
        help="Grey picture, stretched over CONTENT; the style goes where it is "
        "white. Give one per STYLE, in the same order; - stands for what the "
        "others leave.",
    ),
    file_option(
        "--label-map",
        help="Picture of flat colours, stretched over CONTENT, in place of "
        "--region; each colour is the region of a STYLE. Black and transparent "
        "parts are what the others leave.",
    ),
    click.option(
        "--label-colors",
        type=split_names,
        metavar="COLOR,...",
        help="Colours of --label-map in the order of the styles, such as "
        "'#ff0000,-,blue'; - stands for what the others leave. By default in the "
        "order of the rainbow, from red.",
    ),
)


def _style_arguments(required: bool) -> Option:
    """The styles and the options for their masks, received as `style`."""
    return together(
        received_as("style", read_styles),
        _styles(required),
        _picture_options,
        _region_options,
    )


style_arguments = _style_arguments(required=True)
optional_style_arguments = _style_arguments(required=False)
# The same without regions, where no picture is painted.
whole_style_arguments = together(
    received_as(
        "style",
        functools.partial(read_styles, regions=(), label_map=None, label_colors=None),
        ["styles", "style_masks", "layers", "rotations"],
    ),
    _styles(),
    _picture_options,
)
