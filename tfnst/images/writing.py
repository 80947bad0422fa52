"""Writing arrays and PIL images to files, whole or not at all."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.checks import ArgumentError, argument, show_type
from tfnst.files import show_path, write_file
from tfnst.images.arrays import finite_range, show_array, to_array, to_integers
from tfnst.images.encoding import encode
from tfnst.images.formats import FORMATS, check_suffix
from tfnst.images.manifest import add_manifest
from tfnst.images.metadata import PictureInfo, build_exif, encode_exif
from tfnst.images.reading import load_image
from tfnst.images.save_options import SaveOptions
from tfnst.images.source import PictureSource
from tfnst.images.transparency import over_white, resize_alpha

_logger = logging.getLogger(__name__)

# Longest side of a WebP file.
MAX_WEBP_SIZE = 16_383
# The most bytes that fit into a segment of a JPEG file.
_MAX_EXIF_BYTES = 65_533


def to_pil(image: Any) -> Image.Image:
    """Turns an array into a PIL image with 8 bits a channel ::

        floor(255 * clip(image, 0, 1) + 1 / 2)

    Args:
        image: array or tensor of shape [1, H, W, 3] or [H, W, 3], float, range
            [0, 1]; finite values outside are clipped.

    Returns:
        PIL image of mode RGB.

    Raises:
        ValueError: for any other shape or dtype, and for NaN or infinity.
    """
    return Image.fromarray(to_integers(_to_colours(image)))


def save_image(
    image: Any,
    path: str | os.PathLike[str],
    *,
    name: str = "output",
    quality: int = 95,
    bits: int = 8,
    info: PictureInfo | None = None,
    keep_gps: bool = False,
    manifest: dict[str, Any] | None = None,
) -> None:
    """Writes an image file, whole or not at all.

    If anything fails or interrupts this, an older file at `path` stays as it was; see
    `tfnst.files.write_file`. PNG and TIFF keep every value, JPEG and WebP are lossy.
    The file's ICC profile says that its colours are sRGB.

    Args:
        image: array as for `to_pil`, or PIL image, which is saved as `load_image`
            sees it: opaque sRGB, upright.
        path: path that ends in .png, .jpg, .jpeg, .webp, .tif or .tiff, which chooses
            the format.
        name: name of the path in errors. Default `"output"`.
        quality: quality of JPEG (at full colour resolution) and WebP, 1 to 100.
            Default 95.
        bits: bits a channel, 8 or 16; 16 for PNG and TIFF. Default 8.
        info: metadata to write, too, from `tfnst.images.reading.read_picture`: alpha,
            resized to the image (JPEG has none, so there the image is laid over
            white), resolution, and Exif data. If the Exif data and the manifest don't
            both fit into a JPEG file, the Exif data is left out. None by default.
        keep_gps: True if the Exif data may say where the photo was taken. False by
            default: people show their paintings around, and seldom remember that
            there is an address in them.
        manifest: description of how the picture was made; see
            `tfnst.images.manifest`. In JPEG and WebP it replaces Exif's comment, in
            TIFF the description. None by default.

    Raises:
        ValueError: for any other suffix, quality or number of bits, for an image that
            isn't as described, and for one that the format can't hold.
        OSError: when the file can't be written; `FileNotFoundError` and the like.
    """
    options = SaveOptions(bits=bits, quality=quality, keep_gps=keep_gps)
    with argument(name):
        write_picture(image, path, options, info=info, manifest=manifest)


def write_picture(
    image: Any,
    path: str | os.PathLike[str],
    options: SaveOptions,
    *,
    info: PictureInfo | None = None,
    manifest: dict[str, Any] | None = None,
) -> None:
    """As `save_image`, with options that have been checked.

    Raises:
        ValueError, OSError: as `save_image`.
    """
    suffix = check_suffix(path)
    options.check_format(suffix)
    if isinstance(image, Image.Image):
        count = max(1, image.width * image.height)
        colours = load_image(image, max_pixels=count, min_side=1)[0]
    else:
        colours = _to_colours(image)
    format, info = FORMATS[suffix], info or PictureInfo()
    height, width = colours.shape[:2]
    if info.alpha is not None:
        alpha = resize_alpha(info.alpha, height, width)
        if format == "JPEG":
            colours = over_white(np.clip(colours, 0, 1), alpha)
        else:
            colours = np.concatenate([colours, alpha[..., np.newaxis]], axis=-1)
    pixels = to_integers(colours, options.bits)

    exif, text = _describe(format, info, (height, width), options.keep_gps, manifest)
    try:
        data = encode(format, pixels, exif, text, info.dpi, options.quality)
    except (OSError, ValueError) as error:  # WebP, for one, ends at 16,383 pixels.
        expected = f"in a format that holds {width} x {height} pixels"
        raise ArgumentError(expected, show_path(path)) from error
    write_file(path, data)
    _logger.info("wrote %s: %dx%d pixels, %d bytes", path, width, height, len(data))


def check_output_path(
    path: str | os.PathLike[str], *, bits: int = 8, size: int = 0
) -> None:
    """Checks that `save_image` could write to a path, before the work starts.

    It makes a hidden empty file in the folder and removes it again.

    Args:
        path: as for `save_image`.
        bits: as for `save_image`.
        size: long side of the picture in pixels.

    Raises:
        ValueError: for an unknown suffix, or one whose format can't hold the bits or
            the size.
        OSError: when the file could not be written; `FileNotFoundError` and the like.
    """
    suffix = check_suffix(path)
    SaveOptions(bits=bits).check_format(suffix)
    if FORMATS[suffix] == "WEBP" and size > MAX_WEBP_SIZE:
        expected = f"in a format that holds {size} pixels a side"
        raise ArgumentError(expected, show_path(path))
    write_file(path, None)


def _describe(
    format: str,
    info: PictureInfo,
    sides: tuple[int, int],
    keep_gps: bool,
    manifest: dict[str, Any] | None,
) -> tuple[dict[int, Any], str | None]:
    """The Exif tags of a file, and the manifest's text if it isn't among them."""
    height, width = sides
    exif = build_exif(
        info,
        width=width,
        height=height,
        keep_gps=keep_gps,
        # The other formats store it elsewhere.
        with_dpi=format == "WEBP",
    )
    text = None if manifest is None else add_manifest(manifest, format, exif)
    if format == "JPEG" and len(encode_exif(exif)) > _MAX_EXIF_BYTES:
        exif = {}
        if manifest is not None:
            add_manifest(manifest, format, exif)
    return exif, text


@argument("image")
def _to_colours(image: Any) -> np.ndarray:
    """float [H, W, 3] from an array or tensor.

    Raises:
        ValueError: for any other shape or dtype, and for NaN or infinity.
    """
    source = PictureSource(show_type(image))
    array = to_array(image, source)
    source = source.shown_as(show_array(array))
    shape = array.shape[1:] if array.ndim == 4 and len(array) == 1 else array.shape
    is_picture = len(shape) == 3 and shape[2] == 3 and array.size > 0
    if array.dtype.kind != "f" or not is_picture:
        raise source.error("a float array of shape [1, H, W, 3] or [H, W, 3]")
    finite_range(array, source)
    # At least float32: float16 would lose the half before the floor.
    return array.reshape(shape).astype(np.promote_types(array.dtype, np.float32))
