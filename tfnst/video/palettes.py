"""Palettes of GIF files, whose frames have 256 colours."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image


def common_palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """Finds 256 colours for all frames: a separate palette for each would flicker.

    Args:
        pictures: sampled frames, all of one size.

    Returns:
        Image with this palette, for `Image.quantize`.
    """
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width, height * len(pictures)))
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (0, i * height))
    return sheet.quantize(256)
