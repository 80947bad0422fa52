"""Images in and out: bytes, files, PIL and arrays <-> float32 RGB NHWC in [0, 1]."""

from __future__ import annotations

import dataclasses
import io
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.checks import argument_error, show_type
from tfnst.images.arrays import read_array
from tfnst.images.decoding import read_bytes, read_file, read_path, read_pil
from tfnst.images.metadata import PictureInfo
from tfnst.images.transparency import fill_hidden, over_white
from tfnst.images.writing import (
    SUFFIXES,
    check_bits,
    check_output_path,
    save_image,
    to_pil,
)
from tfnst.limits import MAX_PIXELS, MIN_SHARE, MIN_SIDE

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "SUFFIXES",
    "PictureInfo",
    "check_bits",
    "check_output_path",
    "load_image",
    "read_picture",
    "save_image",
    "to_pil",
]


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
    broken one is ignored). Of an animated file the first frame is read. PNG and TIFF
    files of 16 bits a channel keep them, but for TIFF files of colours multiplied by
    alpha and for profiles that are more than curves and a matrix: these are read
    with 8. So are all colours in PIL images, since Pillow holds no more.

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
    rgb, info = _read(source, name, (max_pixels, min_side))
    return rgb if info.alpha is None else over_white(rgb, info.alpha)


def read_picture(
    source: Any,
    *,
    name: str = "image",
    max_pixels: int = MAX_PIXELS,
    min_side: int = MIN_SIDE,
) -> tuple[np.ndarray, PictureInfo]:
    """Reads a picture to paint, and what its file holds beside the colours.

    As `load_image`, but hidden pixels get the colours of the visible ones near them
    (see `tfnst.images.transparency.fill_hidden`), and alpha comes apart, for
    `tfnst.save_image` to write into the painted picture.

    Args:
        source: as for `load_image`, but one picture; and so are the others.
        name: what errors call the source. Default `"image"`.
        max_pixels: most pixels that are let in. Default 89,478,485.
        min_side: fewest pixels of the short side. Default 16.

    Returns:
        Array of its own, [1, H, W, 3], float32 in [0, 1]; and the PictureInfo.

    Raises:
        ValueError: also for an array of several pictures.
        OSError: when the file can't be read; `FileNotFoundError` and the like.
    """
    rgb, info = _read(source, name, (max_pixels, min_side))
    if len(rgb) != 1:
        raise ValueError(
            f"`{name}` must be one picture. Received: a batch of {len(rgb)}"
        )
    if info.alpha is not None:
        # Of an array alpha has the rank of the colours.
        info = dataclasses.replace(info, alpha=info.alpha.reshape(rgb.shape[1:3]))
        rgb = fill_hidden(rgb[0], info.alpha)[np.newaxis]
    return rgb, info


def _read(
    source: Any, name: str, limits: tuple[int, int]
) -> tuple[np.ndarray, PictureInfo]:
    """Colours [N, H, W, 3], hidden ones too, and the rest."""
    if isinstance(source, Image.Image):
        shown = f"PIL image of mode {source.mode}"
        rgb, info = read_pil(source, name, shown, limits)
    elif isinstance(source, str | os.PathLike):
        rgb, info = read_path(source, name, limits)
    elif isinstance(source, bytes | bytearray | memoryview) or hasattr(source, "read"):
        data = read_bytes(source, name)
        shown = f"a file of {len(data)} bytes"
        rgb, info = read_file(io.BytesIO(data), name, shown, limits)
    elif hasattr(source, "__array__"):
        rgb, alpha = read_array(source, name, limits)
        if alpha is not None and alpha.min() == 1:
            alpha = None
        return rgb, PictureInfo(alpha)
    else:
        expected = "a path, the bytes of an image file, a PIL image or an array"
        raise argument_error(name, expected, show_type(source))
    return rgb[np.newaxis], info


def load_mask(source: Any, *, name: str) -> np.ndarray:
    """A mask from a grey picture; of a coloured one the mean of its channels.

    Args:
        source: as for `tfnst.load_image`; one picture.
        name: what errors call it.

    Returns:
        float32 [1, h, w, 1] in [0, 1].

    Raises:
        ValueError: also for a mask that is black.
        OSError: when the file can't be read.
    """
    picture = load_image(source, name=name)
    if len(picture) != 1:
        raise ValueError(
            f"`{name}` must be one picture. Received: a batch of {len(picture)}"
        )
    mask = picture.mean(axis=-1, keepdims=True)
    if mask.mean() < MIN_SHARE:
        raise ValueError(
            f"`{name}` must have something white, which says where. "
            "Received: a black picture"
        )
    return mask
