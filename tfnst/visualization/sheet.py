"""A sheet that shows content, style and result side by side."""

from __future__ import annotations

from typing import Any

from PIL import Image

from tfnst.images.formats import is_network
from tfnst.images.reading import load_image
from tfnst.images.style_images import style_images
from tfnst.images.writing import to_pil

MARGIN = 12
BACKGROUND = (250, 248, 244)


def comparison_sheet(
    content_image: Any, style_image: Any, stylized_image: Any
) -> Image.Image:
    """Makes a sheet with content above style, and the full-size result beside them.

    Args:
        content_image: as for `tfnst.load_image`.
        style_image: as for `tfnst.load_image`; or a blend as for `tfnst.stylize`, whose
            pictures are shown in a row. A network has none to show.
        stylized_image: as for `tfnst.load_image`.

    Returns:
        PIL image of mode RGB.

    Raises:
        ValueError, OSError: as `tfnst.load_image`.
    """
    result = to_pil(load_image(stylized_image, name="stylized_image"))
    left_pictures = [to_pil(load_image(content_image, name="content_image"))]
    shown = [part.image for part in style_images(style_image)]
    shown = [picture for picture in shown if not is_network(picture)]
    if shown:
        left_pictures.append(_style_row(shown))
    rows = len(left_pictures)
    cell_height = (result.height - (rows - 1) * MARGIN) // rows
    cell_width = round(cell_height * result.width / result.height)
    sheet = Image.new(
        "RGB",
        (cell_width + result.width + 3 * MARGIN, result.height + 2 * MARGIN),
        BACKGROUND,
    )
    for row, picture in enumerate(left_pictures):
        scale = min(cell_width / picture.width, cell_height / picture.height)
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        left = MARGIN + (cell_width - picture.width) // 2
        top = MARGIN + row * (cell_height + MARGIN)
        sheet.paste(picture, (left, top + (cell_height - picture.height) // 2))
    sheet.paste(result, (cell_width + 2 * MARGIN, MARGIN))
    return sheet


def _style_row(images: list[Any]) -> Image.Image:
    """Lays out a style's pictures in a row, all as high as the lowest of them."""
    pictures = [to_pil(load_image(each, name="style_image")) for each in images]
    height = min(picture.height for picture in pictures)
    widths = [max(1, round(p.width * height / p.height)) for p in pictures]
    row = Image.new("RGB", (sum(widths), height))
    for i, (picture, width) in enumerate(zip(pictures, widths, strict=True)):
        cell = picture.resize((width, height), Image.Resampling.LANCZOS)
        row.paste(cell, (sum(widths[:i]), 0))
    return row
