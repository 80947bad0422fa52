"""Paints a slow pan and zoom over a photo, and shows both side by side.

    python examples/film.py [--frames 32] [--size 256] [--out film.webp]
    python examples/film.py --source walk [--frames 32] [--size 256]

The second form only writes the frames before they are painted, as PNG files in a
folder.
"""

import argparse
import pathlib

import numpy as np
from PIL import Image

import tfnst

IMAGES = pathlib.Path(__file__).parent / "images"
FRAMES_PER_SECOND = 12.5
# Part of the photo in the first and in the last frame: its left, upper, right and lower
# edge, as shares of the photo's sides.
FIRST, LAST = (0.0, 0.1, 0.8, 0.9), (0.28, 0.2, 0.88, 0.8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=pathlib.Path, default=IMAGES / "photo_cat.jpg")
    parser.add_argument(
        "--style", type=pathlib.Path, default=IMAGES / "style_impasto.jpg"
    )
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--quality", type=int, default=60, help="of the WebP file")
    parser.add_argument("--out", type=pathlib.Path, default="film.webp")
    parser.add_argument(
        "--source", type=pathlib.Path, help="only write the frames into this folder"
    )
    arguments = parser.parse_args()
    with Image.open(arguments.photo) as photo:
        pictures = camera(photo.convert("RGB"), arguments.frames, arguments.size)
        if arguments.source is not None:
            arguments.source.mkdir(exist_ok=True)
            for number, picture in enumerate(pictures):
                picture.save(arguments.source / f"{number:04}.png")
            return
        painter = tfnst.FilmPainter(arguments.style, size=arguments.size)
        pages = []
        for number, picture in enumerate(pictures, 1):
            painted = painter.paint(picture)
            pages.append(np.hstack([np.asarray(picture), painted.picture]))
            print(f"{number} of {arguments.frames}", flush=True)
    first, *others = map(Image.fromarray, pages)
    first.save(
        arguments.out,
        save_all=True,
        append_images=others,
        duration=round(1000 / FRAMES_PER_SECOND),
        loop=0,
        quality=arguments.quality,
        method=6,
    )
    print(f"{arguments.out}: {arguments.out.stat().st_size / 2**20:.2f} MiB")


def camera(photo, frames, size):
    """Frames of a camera that moves from one part of a photo to another.

    Args:
        photo: RGB picture.
        frames: number of frames.
        size: long side of a frame in pixels.

    Yields:
        PIL images of equal sizes.
    """
    sides = np.array([photo.width, photo.height])
    part = sides * (FIRST[2] - FIRST[0], FIRST[3] - FIRST[1])
    width, height = (part * size / part.max()).round().astype(int)
    for share in np.linspace(0, 1, frames):
        # It starts and ends gently.
        share = share * share * (3 - 2 * share)
        box = (1 - share) * np.array(FIRST) + share * np.array(LAST)
        yield photo.resize(
            (width, height),
            Image.Resampling.LANCZOS,
            box=tuple(box * np.tile(sides, 2)),
        )


if __name__ == "__main__":
    main()
