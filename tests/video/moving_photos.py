"""Frames of a photo whose motion is known exactly."""

import functools
from fractions import Fraction

import cv2
import numpy as np
from PIL import Image

from tests.helpers import SAMPLES
from tfnst.video.frames import Frame


@functools.cache
def photo(height=96, width=128, name="rocket"):
    """A sample photo, made small: uint8 [H, W, 3]."""
    with Image.open(SAMPLES / f"photo_{name}.jpg") as image:
        return np.asarray(image.convert("RGB").resize((width, height), Image.BOX))


def frame(picture, number=0):
    return Frame(number, Fraction(number, 25), Fraction(1, 25), picture)


def panned(count, right=2, down=1, height=48, width=64):
    """Pictures that a camera sees which moves by whole pixels each time."""
    whole = photo(2 * height, 2 * width)
    return [
        np.ascontiguousarray(
            whole[i * down : i * down + height, i * right : i * right + width]
        )
        for i in range(count)
    ]


def zoomed(factor, height=96, width=128):
    """The photo, enlarged about its centre, and the flow from there to the photo."""
    places = np.dstack(np.meshgrid(np.arange(width), np.arange(height)))
    centre = np.float64([(width - 1) / 2, (height - 1) / 2])
    flow = np.float32((places - centre) / factor + centre - places)
    maps = (places + flow).astype(np.float32)
    return cv2.remap(photo(height, width), maps, None, cv2.INTER_CUBIC), flow


def with_square(left, top=16, size=16, height=48, width=64):
    """A textured square on a textured ground that stands still."""
    picture = photo(48, 64).copy()
    square = photo(48, 64, "coffee")[16 : 16 + size, 24 : 24 + size]
    picture[top : top + size, left : left + size] = 255 - square
    assert picture.shape == (height, width, 3)
    return picture
