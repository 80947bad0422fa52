"""Files of pictures, and PIL images, decoded into arrays as they look on a screen."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import threading
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms

from tfnst.files import os_error, show_path
from tfnst.image_arrays import (
    check_size,
    finite_range,
    input_error,
    over_white,
    scale,
    show_type,
)

_IMAGE_FILE = "an image file (PNG, JPEG, WebP, TIFF, ...)"
_ORIENTATION_TAG = 0x0112
_BLACK_POINT_COMPENSATION = 0x2000  # In lcms2.h; Pillow 10.1 has no name for it.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_open_lock = threading.Lock()


def read_path(path: Any, name: str, limits: tuple[int, int]) -> np.ndarray:
    """[H, W, 3] from the path of an encoded file."""
    shown = show_path(path)
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise os_error(error, name, "a file that can be read", shown) from error
    except ValueError as error:  # A null byte, or half of a surrogate pair.
        raise input_error(name, "the path of an image file", shown) from error
    with file:
        return read_file(file, name, shown, limits)


def read_bytes(source: Any, name: str) -> bytes:
    """What bytes or a file object hold."""
    try:
        data = source.read() if hasattr(source, "read") else source
    except OSError as error:
        shown = show_type(source)
        raise os_error(error, name, "a file that can be read", shown) from error
    except ValueError as error:  # A closed file, or text that is no Unicode.
        shown = f"{show_type(source)} that can't be read"
        raise input_error(name, "an open file in binary mode", shown) from error
    if not isinstance(data, bytes | bytearray | memoryview):
        shown = f"{show_type(source)} that gave {type(data).__name__}"
        raise input_error(name, "an open file in binary mode", shown)
    return bytes(data)


class _HardLimit(int):
    """A pixel limit above which Pillow raises at once, where it else warns first.

    Pillow warns above the limit and raises above twice the limit, so twice this
    number is itself. Warning filters would have to be changed for every thread.
    """

    def __mul__(self, other: int) -> _HardLimit:
        return self

    __rmul__ = __mul__


def read_file(
    file: BinaryIO, name: str, shown: str, limits: tuple[int, int]
) -> np.ndarray:
    """[H, W, 3] from an encoded file."""
    with _open_lock:
        pillow_limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = _HardLimit(limits[0])
        try:
            image = Image.open(file)
        except Image.DecompressionBombError as error:
            expected = f"an image of at most {limits[0]} pixels"
            received = f"{shown}, which has {re.search('[0-9]+', str(error))[0]} pixels"
            raise input_error(name, expected, received) from error
        except MemoryError:
            raise
        except Exception as error:  # Plug-ins raise whatever bad bytes lead them to.
            raise _unreadable(error, file, name, shown) from error
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit
    with image:
        if image.format == "EPS":  # Pillow would run Ghostscript on it.
            raise input_error(name, _IMAGE_FILE, f"{shown}, which is PostScript")
        return read_pil(image, name, shown, limits)


def _unreadable(error: Exception, file: BinaryIO, name: str, shown: str) -> Exception:
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return os_error(error, name, "a file that can be read", shown)
    with contextlib.suppress(OSError):
        file.seek(0)
        if not file.read(1):
            return input_error(name, _IMAGE_FILE, f"{shown}, which is empty")
    return input_error(
        name, _IMAGE_FILE, f"{shown}, which is no image that Pillow can read"
    )


def read_pil(
    image: Image.Image, name: str, shown: str, limits: tuple[int, int]
) -> np.ndarray:
    """[H, W, 3] from a PIL image, which may not have been decoded yet."""
    check_size(name, shown, image.height, image.width, limits)
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        expected = "a whole image file"
        raise input_error(
            name, expected, f"{shown}, which is cut off or damaged"
        ) from error
    # Not by ImageOps.exif_transpose: it also rewrites the EXIF block, and fails when
    # there is an odd entry in it that doesn't matter here.
    turn = None
    with contextlib.suppress(Exception):
        turn = _TURNS.get(image.getexif().get(_ORIENTATION_TAG))
    if turn is not None:
        image = image.transpose(turn)
    if image.mode == "F" or image.mode.startswith("I"):
        return _read_deep_grey(image, name, shown)

    profile = image.info.get("icc_profile")
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.has_transparency_data and image.mode != "CMYK":
        image = image.convert("LA" if grey else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
        image.info.pop("transparency", None)
    if image.mode != "CMYK":
        image = image.convert("L" if grey else "RGB")
    if profile:
        image = _to_srgb(image, profile)
    rgb = scale(np.asarray(image.convert("RGB")))
    return rgb if alpha is None else over_white(rgb, scale(alpha)[..., np.newaxis])


def _read_deep_grey(image: Image.Image, name: str, shown: str) -> np.ndarray:
    """[H, W, 3] from the modes of one channel with more than 8 bits."""
    grey = np.asarray(image)
    low, high = finite_range(grey, name, shown)
    most = 1 if image.mode == "F" else 65535
    if low < 0 or high > most:
        expected = f"a grey image with values from 0 to {most} (mode {image.mode})"
        raise input_error(
            name, expected, f"{shown} with values from {low:g} to {high:g}"
        )
    hidden = image.info.get("transparency")
    grey = np.where(grey == hidden, most, grey) if isinstance(hidden, int) else grey
    grey = grey.astype(np.float32) / np.float32(most)
    return np.repeat(grey[..., np.newaxis], 3, axis=-1)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The image as its ICC profile wants it seen, or as it is if that can't be told."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = "GRAY" if image.mode == "L" else image.mode
        if source.profile.xcolor_space.strip() != space:
            return image
        return ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=_BLACK_POINT_COMPENSATION,
        )
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return image  # Broken profiles are common, and LittleCMS may be missing.
