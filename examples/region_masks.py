"""Paints a photo in two styles side by side, then in one style around an oval.

    python examples/region_masks.py [--size 384] [--out region_masks.jpg]

The upper row has the photo, then the picture in two styles, then the picture whose oval
stays as it is; below the last two is the mask of the first style.
"""

import argparse
import pathlib

import numpy as np
from color_modes import sheet, to_pil
from PIL import ImageOps

import tfnst

IMAGES = pathlib.Path(__file__).parent / "images"
# Height and width of the masks, which are stretched over the photo.
SIDES = 300, 400


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--content", type=pathlib.Path, default=IMAGES / "photo_cat.jpg"
    )
    parser.add_argument(
        "--first", type=pathlib.Path, default=IMAGES / "style_mosaic.jpg"
    )
    parser.add_argument(
        "--second", type=pathlib.Path, default=IMAGES / "style_ink_hatching.jpg"
    )
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--out", type=pathlib.Path, default="region_masks.jpg")
    arguments = parser.parse_args()
    left, oval = left_half(), oval_mask()
    blends = [
        [
            tfnst.StyleImage(image=arguments.first, region=left),
            tfnst.StyleImage(image=arguments.second),
        ],
        [tfnst.StyleImage(image=arguments.first, region=1 - oval)],
    ]
    painted = [
        tfnst.stylize(arguments.content, blend, size=arguments.size).image
        for blend in blends
    ]
    content = to_pil(tfnst.load_image(arguments.content))
    content.thumbnail(painted[0].size)
    masks = [
        ImageOps.expand(to_pil(np.stack([mask] * 3, -1)[None]), 4, "grey")
        for mask in (left, 1 - oval)
    ]
    page = sheet([[content, *painted], [None, *masks]], painted[0].size)
    tfnst.save_image(page, arguments.out, quality=85)


def left_half():
    """White on the left, black on the right, with a soft edge a tenth as wide."""
    height, width = SIDES
    x = (np.arange(width) + 0.5) / width
    return np.tile(np.clip(0.5 + (0.5 - x) / 0.1, 0, 1), (height, 1)).astype("float32")


def oval_mask():
    """A white oval in the middle, with a soft edge."""
    y, x = ((np.indices(SIDES).T + 0.5) / SIDES).T * 2 - 1
    distance = np.hypot(x / 0.62, y / 0.9)
    return np.clip((1.1 - distance) / 0.2, 0, 1).astype("float32")


if __name__ == "__main__":
    main()
