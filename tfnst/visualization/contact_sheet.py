"""A contact sheet: many pictures as thumbnails with their names, in groups."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tfnst.images.reading import load_image
from tfnst.images.writing import to_pil
from tfnst.visualization.sheet import BACKGROUND, MARGIN

_INK = (70, 66, 60)
_FONT_SIZE, _LABEL_HEIGHT = 13, 20
# Long sides of thumbnails, and the most pixels of a sheet with larger ones than the
# smallest.
LARGEST, _SMALLEST = 320, 16
_SHEET_PIXELS = 40_000_000


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a contact sheet.

    Attributes:
        label: text below the picture.
        load: function that gives the picture, as for `tfnst.load_image`; None for a
            cell that stays empty, as do those of pictures that can't be read.
    """

    label: str
    load: Callable[[], Any] | None = None


def contact_sheet(
    groups: Sequence[Sequence[Cell]], *, largest: int = LARGEST
) -> Image.Image:
    """Makes a sheet with groups of pictures, each in the same number of columns.

    The sheet is about as many pictures wide as high. At most one picture is in memory
    at full size; the thumbnails are the smaller the more there are.

    Args:
        groups: groups, one or more, each of one cell or more.
        largest: largest long side of a thumbnail in pixels. Default 320.

    Returns:
        PIL image of mode RGB.
    """
    # Place of each cell: (row, column).
    longest = max(map(len, groups))
    across = math.ceil(math.sqrt(longest * len(groups)))
    width = min(longest, across)
    in_a_row, rows = across // width, math.ceil(longest / width)
    places = [
        (i // in_a_row * rows + k // width, i % in_a_row * width + k % width)
        for i, group in enumerate(groups)
        for k in range(len(group))
    ]
    cells = [cell for group in groups for cell in group]
    side = _side(len(cells), largest)
    thumbnails = [_thumbnail(cell, side) for cell in cells]
    across, down = (1 + max(place[axis] for place in places) for axis in (1, 0))
    # All cells are as wide and as high as the largest thumbnail.
    column = max((t.width for t in thumbnails if t is not None), default=side)
    row = max((t.height for t in thumbnails if t is not None), default=side)
    row += _LABEL_HEIGHT
    sheet = Image.new(
        "RGB",
        (across * (column + MARGIN) + MARGIN, down * (row + MARGIN) + MARGIN),
        BACKGROUND,
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for (y, x), cell, thumbnail in zip(places, cells, thumbnails, strict=True):
        left, top = MARGIN + x * (column + MARGIN), MARGIN + y * (row + MARGIN)
        if thumbnail is not None:
            above = (row - _LABEL_HEIGHT - thumbnail.height) // 2
            sheet.paste(
                thumbnail, (left + (column - thumbnail.width) // 2, top + above)
            )
        text = _shortened(cell.label, font, column)
        middle = left + (column - font.getlength(text)) / 2
        draw.text((middle, top + row - _LABEL_HEIGHT + 2), text, _INK, font)
    return sheet


def _side(count: int, largest: int) -> int:
    """Returns the long side that so many thumbnails may have."""
    for side in range(largest, _SMALLEST, -1):
        cell = (side + MARGIN) * (side + MARGIN + _LABEL_HEIGHT)
        if count * cell <= _SHEET_PIXELS:
            return side
    return _SMALLEST


def _thumbnail(cell: Cell, side: int) -> Image.Image | None:
    """Makes the thumbnail of a cell, at most `side` long; None for an empty one."""
    if cell.load is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        picture = to_pil(load_image(cell.load()))
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        return picture
    return None


def _shortened(text: str, font: Any, width: int) -> str:
    """Shortens a text to a width in pixels, with dots for the rest."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
