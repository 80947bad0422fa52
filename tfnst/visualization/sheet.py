"""One picture that shows content, style and result side by side."""

from __future__ import annotations

from typing import Any

from PIL import Image

from tfnst.images import reading, writing
from tfnst.images.style_images import style_images

_MARGIN = 12
_BACKGROUND = (250, 248, 244)


def comparison_sheet(
    content_image: Any, style_image: Any, stylized_image: Any
) -> Image.Image:
    """Content over style on the left, the result at its full size on the right.

    Args:
        content_image: as `tfnst.load_image` takes it.
        style_image: as `content_image`, or as `tfnst.stylize` takes a blend: its
            pictures are shown in a row.
        stylized_image: as `content_image`.

    Returns:
        8-bit RGB.

    Raises:
        ValueError, OSError: as `tfnst.load_image`.
    """
    result = writing.to_pil(reading.load_image(stylized_image, name="stylized_image"))
    cell_height = (result.height - _MARGIN) // 2
    cell_width = round(cell_height * result.width / result.height)
    sheet = Image.new(
        "RGB",
        (cell_width + result.width + 3 * _MARGIN, result.height + 2 * _MARGIN),
        _BACKGROUND,
    )
    content = writing.to_pil(reading.load_image(content_image, name="content_image"))
    for row, picture in enumerate((content, _in_a_row(style_image))):
        scale = min(cell_width / picture.width, cell_height / picture.height)
        size = [max(1, round(side * scale)) for side in picture.size]
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        left = _MARGIN + (cell_width - picture.width) // 2
        top = _MARGIN + row * (cell_height + _MARGIN)
        sheet.paste(picture, (left, top + (cell_height - picture.height) // 2))
    sheet.paste(result, (cell_width + 2 * _MARGIN, _MARGIN))
    return sheet


def _in_a_row(style_image):
    """The pictures of a style, brought to the height of the lowest."""
    pictures = [
        writing.to_pil(reading.load_image(part.image, name="style_image"))
        for part in style_images(style_image)
    ]
    height = min(picture.height for picture in pictures)
    widths = [max(1, round(p.width * height / p.height)) for p in pictures]
    row = Image.new("RGB", (sum(widths), height))
    for i, (picture, width) in enumerate(zip(pictures, widths, strict=True)):
        shown = picture.resize((width, height), Image.Resampling.LANCZOS)
        row.paste(shown, (sum(widths[:i]), 0))
    return row
