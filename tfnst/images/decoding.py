"""Files of pictures, and PIL images, decoded into arrays as they look on a screen."""

from __future__ import annotations

import contextlib
import errno
import re
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from tfnst.checks import argument_error, show_type
from tfnst.files import os_error, show_path
from tfnst.images import sixteen_bit
from tfnst.images.arrays import check_size, finite_range, scale
from tfnst.images.color_profiles import convert_array, convert_image
from tfnst.images.metadata import PictureInfo, read_info

_IMAGE_FILE = "an image file (PNG, JPEG, WebP, TIFF, ...)"
_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE = 258
_TURNS = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
_open_lock = threading.Lock()


def read_path(
    path: Any, name: str, limits: tuple[int, int]
) -> tuple[np.ndarray, PictureInfo]:
    """[H, W, 3] and the rest from the path of an encoded file."""
    shown = show_path(path)
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise os_error(error, name, "a file that can be read", shown) from error
    except ValueError as error:  # A null byte, or half of a surrogate pair.
        raise argument_error(name, "the path of an image file", shown) from error
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
        raise argument_error(name, "an open file in binary mode", shown) from error
    if not isinstance(data, bytes | bytearray | memoryview):
        shown = f"{show_type(source)} that gave {type(data).__name__}"
        raise argument_error(name, "an open file in binary mode", shown)
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
) -> tuple[np.ndarray, PictureInfo]:
    """[H, W, 3] and the rest from an encoded file."""
    with _open(file, name, shown, limits) as image:
        if image.format == "EPS":  # Pillow would run Ghostscript on it.
            raise argument_error(name, _IMAGE_FILE, f"{shown}, which is PostScript")

        def open_again():
            file.seek(0)
            return _open(file, name, shown, limits)

        return read_pil(image, name, shown, limits, open_again)


def _open(
    file: BinaryIO, name: str, shown: str, limits: tuple[int, int]
) -> Image.Image:
    with _open_lock:
        pillow_limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = _HardLimit(limits[0])
        try:
            return Image.open(file)
        except Image.DecompressionBombError as error:
            expected = f"an image of at most {limits[0]} pixels"
            received = f"{shown}, which has {re.search('[0-9]+', str(error))[0]} pixels"
            raise argument_error(name, expected, received) from error
        except MemoryError:
            raise
        except Exception as error:  # Plug-ins raise whatever bad bytes lead them to.
            raise _unreadable(error, file, name, shown) from error
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit


def _unreadable(error: Exception, file: BinaryIO, name: str, shown: str) -> Exception:
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return os_error(error, name, "a file that can be read", shown)
    with contextlib.suppress(OSError):
        file.seek(0)
        if not file.read(1):
            return argument_error(name, _IMAGE_FILE, f"{shown}, which is empty")
    return argument_error(
        name, _IMAGE_FILE, f"{shown}, which is no image that Pillow can read"
    )


def read_pil(
    image: Image.Image,
    name: str,
    shown: str,
    limits: tuple[int, int],
    open_again: Callable[[], Image.Image] | None = None,
) -> tuple[np.ndarray, PictureInfo]:
    """[H, W, 3] and the rest from a PIL image, which may not have been decoded yet.

    Args:
        image: the image.
        name: what errors call the source.
        shown: what it is, for errors.
        limits: most pixels, and fewest of the short side.
        open_again: opens the file a second time, for a file of 16 bits a channel.
    """
    check_size(name, shown, image.height, image.width, limits)
    if _has_deep_planes(image):  # Pillow would read it as noise.
        expected = "a TIFF file with all channels of a pixel together"
        raise argument_error(name, expected, f"{shown}, which has 16 bits in planes")
    try:
        deep = None if open_again is None else sixteen_bit.decode(image, open_again)
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        expected = "a whole image file"
        raise argument_error(
            name, expected, f"{shown}, which is cut off or damaged"
        ) from error
    if deep is not None:
        rgb, alpha = _read_deep_colours(image, deep)
    elif image.mode == "F" or image.mode.startswith("I"):
        rgb, alpha = _read_deep_grey(image, name, shown)
    else:
        rgb, alpha = _read_colours(image)
    # Not by ImageOps.exif_transpose: it also rewrites the EXIF block, and fails when
    # there is an odd entry in it that doesn't matter here.
    turn = None
    with contextlib.suppress(Exception):
        turn = _TURNS.get(image.getexif().get(_ORIENTATION_TAG))
    if turn is not None:
        rgb = np.ascontiguousarray(turn(rgb))
        alpha = None if alpha is None else np.ascontiguousarray(turn(alpha))
    return rgb, read_info(image, alpha)


def _read_colours(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours [H, W, 3] and alpha [H, W] from the modes of 8 bits a channel."""
    profile = image.info.get("icc_profile")
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.has_transparency_data and image.mode != "CMYK":
        image = image.convert("LA" if grey else "RGBA")
        alpha = scale(np.asarray(image.getchannel("A")))
        image.info.pop("transparency", None)
    if image.mode != "CMYK":
        image = image.convert("L" if grey else "RGB")
    if profile:
        image = convert_image(image, profile)
    return scale(np.asarray(image.convert("RGB"))), alpha


def _read_deep_colours(
    image: Image.Image, deep: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """The same from uint16 [H, W, 3] or [H, W, 4], of an image of 8 bits."""
    colours, alpha = deep[..., :3], None
    if deep.shape[2] == 4:
        alpha = scale(deep[..., 3])
    elif isinstance(hidden := image.info.get("transparency"), tuple):
        alpha = np.float32((colours != np.array(hidden)).any(axis=-1))
    rgb = scale(colours)
    profile = image.info.get("icc_profile")
    if profile:
        converted = convert_array(rgb, profile)
        if converted is None:
            # Tables in several dimensions are left to LittleCMS, with 8 bits.
            converted = scale(np.asarray(convert_image(image.convert("RGB"), profile)))
        rgb = converted
    return rgb, alpha


def _read_deep_grey(
    image: Image.Image, name: str, shown: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """The same from the modes of one channel with more than 8 bits."""
    grey = np.asarray(image)
    low, high = finite_range(grey, name, shown)
    most = 1 if image.mode == "F" else 65535
    if low < 0 or high > most:
        expected = f"a grey image with values from 0 to {most} (mode {image.mode})"
        raise argument_error(
            name, expected, f"{shown} with values from {low:g} to {high:g}"
        )
    hidden, alpha = image.info.get("transparency"), None
    if isinstance(hidden, int):
        alpha = np.float32(grey != hidden)
    grey = grey.astype(np.float32) / np.float32(most)
    rgb = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    profile = image.info.get("icc_profile")
    if profile and profile[16:20] == b"GRAY":
        converted = convert_array(rgb, profile)
        rgb = rgb if converted is None else converted
    return rgb, alpha


def _has_deep_planes(image: Image.Image) -> bool:
    """Whether it is a TIFF file of 16 bits, a channel after the other, not packed."""
    return (
        image.format == "TIFF"
        and len(image.getbands()) > 1
        and any(tile[0] == "raw" for tile in getattr(image, "tile", ()))
        and getattr(image, "_planar_configuration", 1) == 2
        and 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())
    )
