"""Paints every photo of a folder in every style, and shows the pictures on one sheet.

    python examples/contact_sheet.py [--size 400] [--out contact_sheet.jpg]

The photos are the files photo_* in the folder `--images`, and the styles the files
style_*.
"""

import argparse
import pathlib

from PIL import Image, ImageOps

import tfnst

IMAGES = pathlib.Path(__file__).parent / "images"
GAP = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=pathlib.Path, default=IMAGES)
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--out", type=pathlib.Path, default="contact_sheet.jpg")
    arguments = parser.parse_args()
    photos = sorted(arguments.images.glob("photo_*"))
    rows = [[None, *map(Image.open, photos)]]
    for style in sorted(arguments.images.glob("style_*")):
        # The style is analysed once for all photos.
        style_transfer = tfnst.StyleTransfer(style, size=arguments.size)
        row = [Image.open(style)]
        for photo in photos:
            row.append(style_transfer.stylize(photo).image)
            print(f"{photo.stem} in {style.stem}", flush=True)
        rows.append(row)
    tfnst.save_image(sheet(rows, arguments.size), arguments.out)


def sheet(rows, side):
    """Pictures in rows and columns, in cells of equal size."""
    cell = side, round(side * 3 / 4)
    columns = max(map(len, rows))
    page = Image.new(
        "RGB",
        (columns * (cell[0] + GAP) - GAP, len(rows) * (cell[1] + GAP) - GAP),
        "white",
    )
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            if picture is not None:
                fitted = ImageOps.fit(picture.convert("RGB"), cell)
                page.paste(fitted, (x * (cell[0] + GAP), y * (cell[1] + GAP)))
    return page


if __name__ == "__main__":
    main()
