"""Pictures written: arrays and PIL images into files, whole or not at all."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.files import show_path, write_file
from tfnst.image_arrays import (
    finite_range,
    input_error,
    show_array,
    show_type,
    to_array,
)
from tfnst.image_files import read_pil
from tfnst.manifest import save_options

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
SUFFIXES = tuple(FORMATS)


def to_pil(image: Any, *, name: str = "image") -> Image.Image:
    """Turns an array into a PIL image of 8 bits a channel ::

        floor(255 * clip(image, 0, 1) + 1 / 2)

    Args:
        image: array or tensor of shape [1, H, W, 3] or [H, W, 3], float, range
            [0, 1]; finite values outside are clipped.
        name: what errors call the image. Default `"image"`.

    Returns:
        PIL image of mode RGB.

    Raises:
        ValueError: for another shape or dtype, and for NaN or infinity.
    """
    array = to_array(image, name)
    shape = array.shape[1:] if array.ndim == 4 and len(array) == 1 else array.shape
    if array.dtype.kind != "f" or len(shape) != 3 or shape[2] != 3 or not array.size:
        expected = "a float array of shape [1, H, W, 3] or [H, W, 3]"
        raise input_error(name, expected, show_array(array))
    low, high = finite_range(array, name, show_array(array))
    if low < 0 or high > 1:
        array = np.clip(array, 0, 1)
    # At least float32: in float16 the half would be lost before the floor.
    array = array.reshape(shape).astype(np.promote_types(array.dtype, np.float32))
    return Image.fromarray(np.floor(array * 255 + 0.5).astype(np.uint8))


def save_image(
    image: Any,
    path: str | os.PathLike,
    *,
    name: str = "output",
    quality: int = 95,
    manifest: dict[str, Any] | None = None,
) -> None:
    """Writes an image file, whole or not at all.

    Whatever fails or interrupts on the way, an older file at `path` stays as it was;
    see `tfnst.files.write_file`. PNG and TIFF keep every 8-bit value, JPEG and WebP
    are lossy.

    Args:
        image: array as for `to_pil`, or PIL image, which is saved as `load_image`
            sees it: opaque sRGB, upright.
        path: ends in .png, .jpg, .jpeg, .webp, .tif or .tiff, which says the format.
        name: what errors call the path. Default `"output"`.
        quality: quality of JPEG (at full colour resolution) and WebP, 1 to 100.
            Default 95.
        manifest: what to say in the file of how the picture was made; see
            `tfnst.manifest`. None by default.

    Raises:
        ValueError: for another suffix or quality, or an image that is not as above
            or does not fit into the format.
        OSError: when the file can't be written; `FileNotFoundError` and the like.
    """
    suffix = _check_suffix(path, name)
    if not isinstance(quality, int) or not 1 <= quality <= 100:
        raise input_error("quality", "an integer from 1 to 100", repr(quality))
    if isinstance(image, Image.Image):
        pixels = max(1, image.width * image.height)
        shown = f"PIL image of mode {image.mode}"
        image = read_pil(image, "image", shown, (pixels, 1))
    picture = to_pil(image)
    format = FORMATS[suffix]
    options = {
        "JPEG": {"quality": quality, "subsampling": 0},
        "WEBP": {"quality": quality},
        "TIFF": {"compression": "tiff_lzw"},
    }.get(format, {}) | save_options(manifest, format)
    encoded = io.BytesIO()
    try:
        picture.save(encoded, format, **options)
    except (OSError, ValueError) as error:  # WebP ends at 16,383 pixels, for one.
        expected = f"in a format that holds {picture.width} x {picture.height} pixels"
        raise input_error(name, expected, show_path(path)) from error
    write_file(path, encoded.getvalue(), name=name)


def check_output_path(path: str | os.PathLike, *, name: str = "output") -> None:
    """Checks that `save_image` could write to a path, before the work starts.

    A hidden empty file is made in the folder and removed again.

    Args:
        path: as for `save_image`.
        name: what errors call the path. Default `"output"`.

    Raises:
        ValueError: for an unknown suffix.
        OSError: when the file could not be written; `FileNotFoundError` and the like.
    """
    _check_suffix(path, name)
    write_file(path, None, name=name)


def _check_suffix(path: Any, name: str) -> str:
    """The path's suffix, lower case."""
    expected = f"a path that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    if not isinstance(path, str | os.PathLike):
        raise input_error(name, expected, show_type(path))
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    if suffix not in SUFFIXES:
        raise input_error(name, expected, show_path(path))
    return suffix
