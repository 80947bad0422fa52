"""Paints a photo in each colour mode, and shows the pictures side by side.

    python examples/color_modes.py [--size 256] [--out color_modes.jpg]

The upper row has the photo, then one picture per mode; below each picture is the style
as that run sees it.
"""

import argparse
import pathlib

import numpy as np
from PIL import Image

import tfnst
from tfnst.config import COLOR_MODES
from tfnst.ops import coloring

IMAGES = pathlib.Path(__file__).parent / "images"
GAP = 6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--content", type=pathlib.Path, default=IMAGES / "photo_cat.jpg"
    )
    parser.add_argument(
        "--style", type=pathlib.Path, default=IMAGES / "style_stained_glass.jpg"
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=pathlib.Path, default="color_modes.jpg")
    arguments = parser.parse_args()
    content, style = map(tfnst.load_image, (arguments.content, arguments.style))
    painted, styles = [], []
    for mode in COLOR_MODES:
        result = tfnst.stylize(
            arguments.content,
            arguments.style,
            size=arguments.size,
            preserve_color=mode,
        )
        print(f"{mode}: {result.losses[-1]['seconds']:.0f} s", flush=True)
        painted.append(result.image)
        styles.append(to_pil(coloring.match_style_colors(style, content, mode)))
    page = sheet([[to_pil(content), *painted], [None, *styles]], painted[0].size)
    tfnst.save_image(page, arguments.out, quality=85)


def to_pil(picture):
    """The first picture of a batch in [0, 1], as a PIL image."""
    return Image.fromarray(np.uint8(255 * np.asarray(picture[0]) + 0.5))


def sheet(rows, cell):
    """Pictures in rows and columns; rows after the first are half as high."""
    width, height = cell
    columns = max(map(len, rows))
    heights = [height] + [height // 2] * (len(rows) - 1)
    page = Image.new(
        "RGB",
        (columns * (width + GAP) - GAP, sum(heights) + GAP * (len(rows) - 1)),
        "white",
    )
    top = 0
    for row, tall in zip(rows, heights, strict=True):
        for x, picture in enumerate(row):
            if picture is not None:
                picture.thumbnail((width, tall), Image.Resampling.LANCZOS)
                page.paste(picture, (x * (width + GAP), top))
        top += tall + GAP
    return page


if __name__ == "__main__":
    main()
