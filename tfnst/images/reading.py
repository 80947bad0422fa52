"""Reading pictures from any source into arrays, float32 RGB NHWC in [0, 1]."""

from __future__ import annotations

import dataclasses
import io
import logging
import os
from typing import Any

import numpy as np
from PIL import Image

from tfnst.checks import ArgumentError, argument, show_type
from tfnst.files import show_path
from tfnst.images.arrays import read_array
from tfnst.images.decoding import open_path, read_bytes, read_file, read_pil
from tfnst.images.manifest import describe_arrays, describe_file, describe_source
from tfnst.images.metadata import PictureInfo
from tfnst.images.source import PictureSource
from tfnst.images.transparency import fill_hidden, over_white
from tfnst.limits import MAX_PIXELS, MIN_SHARE, MIN_SIDE

_logger = logging.getLogger(__name__)

# Property of every mask; an exported model says so, too, from its graph.
MASK_EXPECTATION = "something white in it, to show where it applies"


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

    All formats that Pillow opens are read, and HEIF (.heic). The EXIF orientation is
    applied, and colours with an embedded ICC profile are converted to sRGB. Damaged
    parts of a file beside the picture, such as a profile or a text, are ignored. Of an
    animated file, the first frame is read. PNG, TIFF and HEIF files with more than 8
    bits a channel keep them, with two exceptions that are read with 8: files whose
    colours are multiplied by alpha, and profiles that are more than curves and a
    matrix. The tags of a grey TIFF file say which value is white. Colours in PIL images
    have 8 bits, as Pillow holds no more.

    Args:
        source: path, bytes of an image file, file object opened in binary mode (read
            from its current position), `PIL.Image.Image`, or array or tensor: uint8
            in [0, 255], uint16 in [0, 65535] or float in [0, 1], of shape [H, W],
            [H, W, C] or [N, H, W, C], where C is 1 (grey), 2 (grey and alpha), 3
            (RGB) or 4 (RGBA).
        name: name of the source in errors. Default `"image"`.
        max_pixels: most pixels (height times width) to accept, checked before any are
            decoded. Default 89,478,485.
        min_side: fewest pixels that the short side may have, 1 or more. Default 16.

    Returns:
        A new array, shape [N, H, W, 3], dtype float32, range [0, 1]. N is 1 for
        everything but an array of rank 4.

    Raises:
        ValueError: when the source isn't a whole image within the limits.
        OSError: when the file can't be read; `FileNotFoundError` and the like.
    """
    with argument(name):
        return read_flattened(source, max_pixels=max_pixels, min_side=min_side)


def read_flattened(
    source: Any, *, max_pixels: int = MAX_PIXELS, min_side: int = MIN_SIDE
) -> np.ndarray:
    """As `load_image`, but leaves it to the caller to name the argument in errors."""
    rgb, info = _read(source, PictureSource(show_type(source), max_pixels, min_side))
    return rgb if info.alpha is None else over_white(rgb, info.alpha)


def load_one_image(source: Any) -> np.ndarray:
    """As `read_flattened`, but refuses a batch of several images.

    Args:
        source: as for `load_image`, but a single image.

    Returns:
        A new array, shape [1, H, W, 3], dtype float32, range [0, 1].

    Raises:
        ValueError, OSError: as `load_image`.
    """
    return _only_one(read_flattened(source))


def load_mask(source: Any) -> np.ndarray:
    """Reads a mask from a grey picture, or the mean of a coloured one's channels.

    Args:
        source: as for `load_image`, but a single picture.

    Returns:
        float32 [1, H, W, 1] in [0, 1].

    Raises:
        ValueError: as `load_image`, and for a mask that is black.
        OSError: when the file can't be read.
    """
    mask = load_one_image(source).mean(axis=-1, keepdims=True)
    if mask.mean() < MIN_SHARE:
        raise ArgumentError(MASK_EXPECTATION, "a black picture", verb="must have")
    return mask


def read_picture(
    source: Any, *, max_pixels: int = MAX_PIXELS, min_side: int = MIN_SIDE
) -> tuple[np.ndarray, PictureInfo]:
    """Reads a picture to paint, with the alpha and metadata of its file.

    Unlike `load_image`, it gives hidden pixels the colours of the visible ones near
    them (see `tfnst.images.transparency.fill_hidden`), and returns alpha separately,
    for `tfnst.save_image` to write into the painted picture.

    Args:
        source: as for `load_image`, but a single picture.
        max_pixels: most pixels to accept. Default 89,478,485.
        min_side: fewest pixels that the short side may have. Default 16.

    Returns:
        A new array, [1, H, W, 3], float32 in [0, 1]; and the PictureInfo.

    Raises:
        ValueError: as `load_image`, and for an array of several pictures.
        OSError: when the file can't be read; `FileNotFoundError` and the like.
    """
    rgb, info = _read(source, PictureSource(show_type(source), max_pixels, min_side))
    return _fill(source, rgb, info)


def read_described(
    source: Any, *, file_name: str | None = None
) -> tuple[np.ndarray, PictureInfo, dict[str, str | None]]:
    """As `read_picture`, with a description of the source for a manifest.

    A file is opened only once, and a PIL image decoded only once.

    Args:
        source: as for `read_picture`.
        file_name: as for `tfnst.images.manifest.describe_source`.

    Returns:
        (colours, PictureInfo, description as from `describe_source`).

    Raises:
        ValueError, OSError: as `read_picture`.
    """
    shown = PictureSource(show_type(source))
    if isinstance(source, Image.Image):
        rgb, info = _read(source, shown)
        description = describe_arrays(rgb[0], info.alpha, file_name=file_name)
    elif isinstance(source, str | os.PathLike):
        shown = shown.shown_as(show_path(source))
        with open_path(source, shown) as file:
            name = file_name or os.path.basename(os.fsdecode(source))
            description = describe_file(file, shown, file_name=name)
            colours, info = read_file(file, shown)
        rgb = colours[np.newaxis]
    else:
        description = describe_source(source, file_name=file_name)
        rgb, info = _read(source, shown)
    return *_fill(source, rgb, info), description


def _fill(
    source: Any, rgb: np.ndarray, info: PictureInfo
) -> tuple[np.ndarray, PictureInfo]:
    """A single picture whose hidden pixels have the colours of those near them."""
    _only_one(rgb)
    height, width = rgb.shape[1:3]
    shown = os.fspath(source) if isinstance(source, str | os.PathLike) else "a picture"
    _logger.info("read %s: %dx%d pixels", shown, width, height)
    if info.alpha is not None:
        # An array's alpha has as many axes as its colours: [1, H, W].
        alpha = info.alpha.reshape(rgb.shape[1:3])
        info = dataclasses.replace(info, alpha=alpha)
        rgb = fill_hidden(rgb[0], alpha)[np.newaxis]
    return rgb, info


def _only_one(pictures: np.ndarray) -> np.ndarray:
    """Returns a batch of one picture, [1, H, W, 3], unchanged.

    Raises:
        ValueError: for a batch of any other size.
    """
    if len(pictures) != 1:
        raise ArgumentError("one picture", f"a batch of {len(pictures)}")
    return pictures


def _read(value: Any, source: PictureSource) -> tuple[np.ndarray, PictureInfo]:
    """Colours [N, H, W, 3], hidden ones included, and everything else."""
    if isinstance(value, Image.Image):
        rgb, info = read_pil(value, source.shown_as(f"PIL image of mode {value.mode}"))
    elif isinstance(value, str | os.PathLike):
        source = source.shown_as(show_path(value))
        with open_path(value, source) as file:
            rgb, info = read_file(file, source)
    elif isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "read"):
        data = read_bytes(value, source)
        if not data and hasattr(value, "read"):
            expected = "an open file with an image in it"
            raise source.error(expected, f"{source.shown} with nothing left to read")
        source = source.shown_as(f"a file of {len(data)} bytes")
        rgb, info = read_file(io.BytesIO(data), source)
    elif hasattr(value, "__array__"):
        rgb, alpha = read_array(value, source)
        if alpha is not None and alpha.min() == 1:
            alpha = None
        return rgb, PictureInfo(alpha)
    else:
        raise source.kind_error()
    return rgb[np.newaxis], info
