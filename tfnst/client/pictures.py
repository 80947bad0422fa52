"""The image files that a client sends: those it is given, where the server reads them
as `tfnst.images` does, and PNG files of what is seen in all others."""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.images import metadata, reading, writing

_ORIENTATION_TAG = 0x0112


def encode_picture(source: Any, *, name: str) -> tuple[bytes, metadata.PictureInfo]:
    """A picture to paint, or to take a style from, as an image file.

    Args:
        source: as for `tfnst.images.reading.read_picture`; hidden pixels are filled.
        name: what errors call it.

    Returns:
        (the file, what else the source holds, for the painted picture).

    Raises:
        ValueError, OSError: as `read_picture`.
    """
    source = _rewound(source)
    picture, info = reading.read_picture(source, name=name)
    return _plain_file(source, picture) or _png(picture), info


def encode_mask(source: Any, *, name: str) -> bytes:
    """A mask as an image file; the server takes the mean of its channels.

    Args:
        source: as for `tfnst.images.reading.load_image`; one picture.
        name: what errors call it.

    Raises:
        ValueError, OSError: as `load_image`.
    """
    source = _rewound(source)
    mask = reading.load_image(source, name=name)
    if len(mask) != 1:
        raise ValueError(
            f"`{name}` must be one picture. Received: a batch of {len(mask)}"
        )
    return _plain_file(source, mask) or _png(mask)


def _rewound(source):
    """The bytes of a file object, which can be read only once."""
    if hasattr(source, "read"):
        # What goes wrong here does so again in `load_image`, which finds words.
        with contextlib.suppress(OSError, ValueError):
            data = source.read()
            return data if isinstance(data, bytes) else source
    return source


def _plain_file(source: Any, picture: np.ndarray) -> bytes | None:
    """The file itself, where its pixels mean what they say."""
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
    # Little is gained by more compression, at several times the time.
    writing.to_pil(picture).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def _is_plain(data: bytes) -> bool:
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as image:
        return (
            image.format in ("JPEG", "PNG")
            and image.mode in ("L", "RGB")
            and not image.has_transparency_data
            and "icc_profile" not in image.info
            and image.getexif().get(_ORIENTATION_TAG, 1) == 1
        )
    return False
