"""Images in and out: bytes, files, PIL and arrays <-> float32 RGB NHWC in [0, 1]."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.image_arrays import input_error, read_array, show_type
from tfnst.image_files import read_bytes, read_file, read_path, read_pil
from tfnst.image_writing import SUFFIXES, check_output_path, save_image, to_pil

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "SUFFIXES",
    "check_output_path",
    "load_image",
    "save_image",
    "to_pil",
]

MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs.
MIN_SIDE = 16


def load_image(
    source: Any,
    *,
    name: str = "image",
    max_pixels: int = MAX_PIXELS,
    min_side: int = MIN_SIDE,
) -> np.ndarray:
    """Reads an image from wherever it is, as it looks on a screen.

    Pixels with alpha are laid over white ::

        rgb = alpha * rgb + (1 - alpha)

    EXIF orientation is obeyed, and an embedded ICC profile is converted to sRGB (a
    broken one is ignored). Of an animated file the first frame is read. Greys of 16
    bits keep them; Pillow reads colour files of 16 bits a channel with 8.

    Args:
        source: path, bytes of an image file, file object opened in binary mode (read
            from where it stands), `PIL.Image.Image`, or array or tensor: uint8 in
            [0, 255], uint16 in [0, 65535] or float in [0, 1], of shape [H, W],
            [H, W, C] or [N, H, W, C], where C is 1 (grey), 2 (grey and alpha), 3
            (RGB) or 4 (RGBA).
        name: what errors call the source. Default `"image"`.
        max_pixels: most pixels (height times width) that are let in. It is checked
            before they are decoded. Default 89,478,485.
        min_side: fewest pixels of the short side, 1 or more. Default 16.

    Returns:
        Array of its own, shape [N, H, W, 3], dtype float32, range [0, 1]. N is 1
        for everything but an array of rank 4.

    Raises:
        ValueError: when the source is no whole image within the limits.
        OSError: when the file can't be read; `FileNotFoundError` and the like.
    """
    limits = (max_pixels, min_side)
    if isinstance(source, Image.Image):
        shown = f"PIL image of mode {source.mode}"
        image = read_pil(source, name, shown, limits)
    elif isinstance(source, str | os.PathLike):
        image = read_path(source, name, limits)
    elif isinstance(source, bytes | bytearray | memoryview) or hasattr(source, "read"):
        data = read_bytes(source, name)
        shown = f"a file of {len(data)} bytes"
        image = read_file(io.BytesIO(data), name, shown, limits)
    elif hasattr(source, "__array__"):
        return read_array(source, name, limits)
    else:
        expected = "a path, the bytes of an image file, a PIL image or an array"
        raise input_error(name, expected, show_type(source))
    return image[np.newaxis]
