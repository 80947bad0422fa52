"""Image files and PIL images, decoded into arrays as they look on a screen."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from tfnst.checks import one_line
from tfnst.images import heif
from tfnst.images.arrays import to_floats
from tfnst.images.color_profiles import convert_array, convert_image
from tfnst.images.damage import without_damaged
from tfnst.images.deep import (
    decode_deep,
    has_deep_planes,
    is_deep_grey,
    mend_byte_order,
    read_deep_grey,
)
from tfnst.images.metadata import PictureInfo, read_info
from tfnst.images.source import PictureSource

_IMAGE_FILE = "an image file (PNG, JPEG, WebP, TIFF, ...)"
# Formats that Pillow opens, but decodes with Ghostscript, or not at all.
_NOT_DECODED = {"BUFR": "BUFR", "EPS": "PostScript", "GRIB": "GRIB", "HDF5": "HDF5"}
# Pillow's message.
_CLOSED = "Operation on closed image"
_ORIENTATION_TAG = 0x0112
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
_logger = logging.getLogger(__name__)
_open_lock = threading.Lock()


def open_path(path: Any, source: PictureSource) -> BinaryIO:
    """Opens the image file at a path.

    Raises:
        OSError: when it can't be opened.
        ValueError: when `path` can't be a path.
    """
    try:
        return open(path, "rb")
    except OSError as error:
        raise source.os_error(error) from error
    except ValueError as error:  # A null byte, or half of a surrogate pair.
        raise source.error("the path of an image file") from error


def read_bytes(value: Any, source: PictureSource) -> bytes:
    """The bytes in a bytes-like object, or the rest of a file object.

    Raises:
        ValueError: when the file is closed or isn't in binary mode.
        OSError: when it can't be read.
    """
    expected = "an open file in binary mode"
    try:
        data = value.read() if hasattr(value, "read") else value
    except OSError as error:
        raise source.os_error(error) from error
    except ValueError as error:  # A closed file, or text that isn't valid Unicode.
        raise source.error(expected, f"{source.shown} that can't be read") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise source.error(
            expected, f"{source.shown} whose read() returned {type(data).__name__}"
        )
    return bytes(data)


def read_file(file: BinaryIO, source: PictureSource) -> tuple[np.ndarray, PictureInfo]:
    """Reads an image file that is open; see `read_pil`."""
    return _without_damage(_read_file, file, source)


def open_image(file: BinaryIO, source: PictureSource) -> ImageFile.ImageFile:
    """Opens an image file with Pillow; nothing is decoded yet.

    Args:
        file: image file in binary mode.
        source: description for errors, and size limits.

    Raises:
        ValueError: when Pillow can't open it, or it has too many pixels.
        OSError: when it can't be read.
    """
    return _without_damage(_open, file, source)


def _without_damage(
    read: Callable[[BinaryIO, PictureSource], Any],
    file: BinaryIO,
    source: PictureSource,
) -> Any:
    """Reads a file, if need be without the damaged parts beside its picture."""
    try:
        return read(file, source)
    except ValueError:
        file.seek(0)
        mended = without_damaged(file.read())
        if mended is None:
            raise
        _logger.info("left out what is damaged beside the picture in %s", source.shown)
        return read(io.BytesIO(mended), source)


def _read_file(file: BinaryIO, source: PictureSource) -> tuple[np.ndarray, PictureInfo]:
    with _open(file, source) as image:
        if image.format in _NOT_DECODED:
            received = f"{source.shown}, which is {_NOT_DECODED[image.format]}"
            raise source.error(_IMAGE_FILE, received)

        def decode() -> np.ndarray | None:
            if image.format == "HEIF":
                return heif.decode_deep(image, file)
            return decode_deep(image, lambda: _open(file, source))

        return read_pil(image, source, decode)


def _open(file: BinaryIO, source: PictureSource) -> ImageFile.ImageFile:
    try:
        file.seek(0)
        if heif.may_be_heif(file.read(16)):
            heif.teach_pillow()
        with _open_lock:
            # Pillow's limit is one for all threads, and warns where this one refuses.
            pillow_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(file)
            finally:
                Image.MAX_IMAGE_PIXELS = pillow_limit
    except MemoryError:
        raise
    except Exception as error:  # Bad bytes make plug-ins raise anything.
        raise _unreadable(error, file, source) from error
    if image.width * image.height > source.max_pixels:
        raise source.size_error(image.width * image.height)
    return image


def _unreadable(error: Exception, file: BinaryIO, source: PictureSource) -> Exception:
    """The error for a file that Pillow can't open."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return source.os_error(error)
    reason = "which is empty"
    with contextlib.suppress(OSError):
        file.seek(0)
        if start := file.read(16):
            said = one_line(error)
            if isinstance(error, UnidentifiedImageError):  # It says nothing.
                said = _ask_plug_ins(file, start)
            reason = "which is not an image that Pillow can read"
            reason += f": {said}" if said else ""
    return source.error(_IMAGE_FILE, f"{source.shown}, {reason}")


def _ask_plug_ins(file: BinaryIO, start: bytes) -> str:
    """The objection of the plug-in that knows a file's start; empty if none does."""
    for factory, accepts in list(Image.OPEN.values()):
        known: bool | str = False
        with contextlib.suppress(Exception):  # Of few bytes.
            known = accepts is not None and accepts(start)
        if isinstance(known, str):  # The plug-in isn't built in.
            return known
        if known:
            try:
                file.seek(0)
                factory(file, "")
            except Exception as error:
                return one_line(error)
    return ""


def read_pil(
    image: Image.Image,
    source: PictureSource,
    decode: Callable[[], np.ndarray | None] | None = None,
) -> tuple[np.ndarray, PictureInfo]:
    """Reads a PIL image, which may not have been decoded yet.

    Args:
        image: the image.
        source: description for errors, and size limits.
        decode: function that decodes the image's file, if that has more than 8 bits a
            channel, into uint16 [H, W, 3] or [H, W, 4]; None for an image without a
            file.

    Returns:
        (colours float32 [H, W, 3] in [0, 1], everything else).

    Raises:
        ValueError: when it is too large, too narrow or damaged.
    """
    source.check_size(image.height, image.width)
    if has_deep_planes(image):
        raise source.error(
            "a TIFF file with all channels of a pixel together",
            f"{source.shown}, which keeps its 16-bit channels in separate planes",
        )
    try:
        if _has_lost_its_file(image):
            raise ValueError(_CLOSED)
        deep = None if decode is None else decode()
        if deep is None:
            if isinstance(image, ImageFile.ImageFile):
                mend_byte_order(image)
            image.load()
    except MemoryError:
        raise
    except Exception as error:
        if str(error) == _CLOSED:
            received = f"{source.shown}, which is closed"
            raise source.error("an open PIL image", received) from error
        raise source.error(
            "a whole image file",
            f"{source.shown}, which is cut off or damaged: {one_line(error)}",
        ) from error
    if deep is not None:
        rgb, alpha = _read_deep_colours(image, deep)
    elif is_deep_grey(image):
        rgb, alpha = read_deep_grey(image, source)
    else:
        rgb, alpha = _read_colours(image)
    # Not with ImageOps.exif_transpose: it also rewrites the EXIF block, and fails on
    # an odd entry there even if that has nothing to do with the orientation.
    turn = None
    with contextlib.suppress(Exception):
        turn = _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    if turn is not None:
        rgb = np.ascontiguousarray(turn(rgb))
        alpha = None if alpha is None else np.ascontiguousarray(turn(alpha))
    return rgb, read_info(image, alpha)


def _read_colours(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours [H, W, 3] and alpha [H, W] of an image with 8 bits a channel."""
    profile = image.info.get("icc_profile")
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.has_transparency_data and image.mode != "CMYK":
        image = image.convert("LA" if grey else "RGBA")
        alpha = to_floats(np.asarray(image.getchannel("A")))
        image.info.pop("transparency", None)
    if image.mode != "CMYK":
        image = _in_mode(image, "L" if grey else "RGB")
    if profile:
        image = convert_image(image, profile)
    return to_floats(np.asarray(_in_mode(image, "RGB"))), alpha


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in one of Pillow's modes; not a copy if it is in that mode already."""
    return image if image.mode == mode else image.convert(mode)


def _read_deep_colours(
    image: Image.Image, deep: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours and alpha of an image with 16 bits a channel.

    Args:
        image: the image as Pillow has decoded it, with 8 bits.
        deep: the image with all its bits, uint16 [H, W, 3] or [H, W, 4].
    """
    colours, alpha = deep[..., :3], None
    if deep.shape[2] == 4:
        alpha = to_floats(deep[..., 3])
    elif isinstance(hidden := image.info.get("transparency"), tuple):
        alpha = (colours != np.array(hidden)).any(axis=-1).astype(np.float32)
    rgb = to_floats(colours)
    profile = image.info.get("icc_profile")
    if profile:
        converted = convert_array(rgb, profile)
        if converted is None:
            # LittleCMS has to convert by tables in several dimensions, with 8 bits.
            converted = to_floats(
                np.asarray(convert_image(image.convert("RGB"), profile))
            )
        rgb = converted
    return rgb, alpha


def _has_lost_its_file(image: Image.Image) -> bool:
    """Returns whether a PIL image isn't decoded yet, and its file is closed."""
    file = getattr(image, "fp", None)
    return bool(getattr(image, "tile", ())) and (file is None or file.closed)
