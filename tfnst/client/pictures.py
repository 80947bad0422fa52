"""The image files that a client sends.

A file is sent unchanged if the server reads the same pixels from it as `tfnst.images`
does; anything else is sent as a PNG file of its visible pixels.
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.images import reading, writing
from tfnst.images.metadata import PictureInfo

_ORIENTATION_TAG = 0x0112


def encode_picture(source: Any) -> tuple[bytes, PictureInfo]:
    """Encodes a content or style picture as an image file.

    Args:
        source: picture as `tfnst.images.reading.read_picture` takes it; hidden pixels
            are filled.

    Returns:
        (the file, the source's metadata for the painted picture).

    Raises:
        ValueError, OSError: as `read_picture`.
    """
    picture, info = reading.read_picture(source)
    return _plain_file(source, picture) or _png(picture), info


def encode_mask(source: Any) -> bytes:
    """Encodes a mask as an image file; the server takes the mean of its channels.

    Args:
        source: picture as `tfnst.images.reading.load_one_image` takes it.

    Raises:
        ValueError, OSError: as `load_one_image`.
    """
    mask = reading.load_one_image(source)
    return _plain_file(source, mask) or _png(mask)


def _plain_file(source: Any, picture: np.ndarray) -> bytes | None:
    """The file itself, if the server would read the same pixels from it."""
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            source = file.read()
    if isinstance(source, bytes | bytearray | memoryview):
        source = bytes(source)
        # A file may hold far more than its picture.
        if len(source) <= max(2**20, picture.size) and _is_plain(source):
            return source
    return None


def _png(picture: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    # Stronger compression gains little and takes several times as long.
    writing.to_pil(picture).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def _is_plain(data: bytes) -> bool:
    """Returns whether a file is an opaque, upright 8-bit JPEG or PNG, in sRGB."""
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as image:
        return (
            image.format in ("JPEG", "PNG")
            and image.mode in ("L", "RGB")
            and not image.has_transparency_data
            and "icc_profile" not in image.info
            and image.getexif().get(_ORIENTATION_TAG, 1) == 1
        )
    return False
