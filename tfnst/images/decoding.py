"""Image files and PIL images, decoded into arrays as they look on a screen."""

from __future__ import annotations

import contextlib
import errno
import re
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from tfnst.files import show_path
from tfnst.images import sixteen_bit
from tfnst.images.arrays import finite_range, scale
from tfnst.images.color_profiles import convert_array, convert_image
from tfnst.images.metadata import PictureInfo, read_info
from tfnst.images.source import PictureSource

_IMAGE_FILE = "an image file (PNG, JPEG, WebP, TIFF, ...)"
_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE = 258
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
_open_lock = threading.Lock()


def read_path(path: Any, source: PictureSource) -> tuple[np.ndarray, PictureInfo]:
    """Reads the image file at a path; see `read_pil`."""
    source = source.shown_as(show_path(path))
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise source.os_error(error) from error
    except ValueError as error:  # A null byte, or half of a surrogate pair.
        raise source.error("the path of an image file") from error
    with file:
        return read_file(file, source)


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


class _HardLimit(int):
    """A pixel limit above which Pillow raises at once, without warning first.

    Pillow warns above its limit and raises above twice its limit, so twice this
    number is the number itself. The other way, changing the warning filters, would
    change them for every thread.
    """

    def __mul__(self, other: int) -> _HardLimit:
        return self

    __rmul__ = __mul__


def read_file(file: BinaryIO, source: PictureSource) -> tuple[np.ndarray, PictureInfo]:
    """Reads an image file that is open; see `read_pil`."""
    with open_image(file, source) as image:
        if image.format == "EPS":  # Pillow would run Ghostscript on it.
            raise source.error(_IMAGE_FILE, f"{source.shown}, which is PostScript")

        def open_again() -> ImageFile.ImageFile:
            file.seek(0)
            return open_image(file, source)

        return read_pil(image, source, open_again)


def open_image(file: BinaryIO, source: PictureSource) -> ImageFile.ImageFile:
    """Opens an image file with Pillow; nothing is decoded yet.

    Args:
        file: to read from.
        source: what errors call it, and the most pixels to accept.

    Raises:
        ValueError: when Pillow can't open it, or it has too many pixels.
        OSError: when it can't be read.
    """
    with _open_lock:
        pillow_limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = _HardLimit(source.max_pixels)
        try:
            return Image.open(file)
        except Image.DecompressionBombError as error:
            pixels = re.findall("[0-9]+", str(error))[0]
            raise source.size_error(pixels) from error
        except MemoryError:
            raise
        except Exception as error:  # Bad bytes make plug-ins raise anything.
            raise _unreadable(error, file, source) from error
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit


def _unreadable(error: Exception, file: BinaryIO, source: PictureSource) -> Exception:
    """The error for a file that Pillow can't open."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return source.os_error(error)
    reason = "which is not an image that Pillow can read"
    with contextlib.suppress(OSError):
        file.seek(0)
        if not file.read(1):
            reason = "which is empty"
    return source.error(_IMAGE_FILE, f"{source.shown}, {reason}")


def read_pil(
    image: Image.Image,
    source: PictureSource,
    open_again: Callable[[], ImageFile.ImageFile] | None = None,
) -> tuple[np.ndarray, PictureInfo]:
    """Reads a PIL image, which may not have been decoded yet.

    Args:
        image: the image.
        source: what errors call it, and its size limits.
        open_again: opens the image's file a second time, to get at 16 bits a channel;
            None for an image without a file.

    Returns:
        (colours float32 [H, W, 3] in [0, 1], the rest).

    Raises:
        ValueError: when it is too large, too narrow or damaged.
    """
    source.check_size(image.height, image.width)
    if _has_deep_planes(image):  # Pillow would read it as noise.
        raise source.error(
            "a TIFF file with all channels of a pixel together",
            f"{source.shown}, which keeps its 16-bit channels in separate planes",
        )
    try:
        deep = None if open_again is None else sixteen_bit.decode(image, open_again)
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise source.error(
            "a whole image file", f"{source.shown}, which is cut off or damaged"
        ) from error
    if deep is not None:
        rgb, alpha = _read_deep_colours(image, deep)
    elif image.mode == "F" or image.mode.startswith("I"):
        rgb, alpha = _read_deep_grey(image, source)
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
        alpha = scale(np.asarray(image.getchannel("A")))
        image.info.pop("transparency", None)
    if image.mode != "CMYK":
        image = _in_mode(image, "L" if grey else "RGB")
    if profile:
        image = convert_image(image, profile)
    return scale(np.asarray(_in_mode(image, "RGB"))), alpha


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """An image in a mode of Pillow; itself where `convert` would copy it."""
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
        alpha = scale(deep[..., 3])
    elif isinstance(hidden := image.info.get("transparency"), tuple):
        alpha = (colours != np.array(hidden)).any(axis=-1).astype(np.float32)
    rgb = scale(colours)
    profile = image.info.get("icc_profile")
    if profile:
        converted = convert_array(rgb, profile)
        if converted is None:
            # LittleCMS has to convert by tables in several dimensions, with 8 bits.
            converted = scale(np.asarray(convert_image(image.convert("RGB"), profile)))
        rgb = converted
    return rgb, alpha


def _read_deep_grey(
    image: Image.Image, source: PictureSource
) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours and alpha of an image with one channel of more than 8 bits."""
    grey = np.asarray(image)
    low, high = finite_range(grey, source)
    top = 1 if image.mode == "F" else 65535
    if low < 0 or high > top:
        raise source.error(
            f"a grey image with values from 0 to {top} (mode {image.mode})",
            f"{source.shown} with values from {low:g} to {high:g}",
        )
    hidden, alpha = image.info.get("transparency"), None
    if isinstance(hidden, int):
        alpha = (grey != hidden).astype(np.float32)
    grey = grey.astype(np.float32) / np.float32(top)
    rgb = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    profile = image.info.get("icc_profile")
    if profile and profile[16:20] == b"GRAY":
        converted = convert_array(rgb, profile)
        rgb = rgb if converted is None else converted
    return rgb, alpha


def _has_deep_planes(image: Image.Image) -> bool:
    """Whether it is an unpacked TIFF file of 16 bits, one channel after another."""
    return (
        isinstance(image, TiffImagePlugin.TiffImageFile)
        and len(image.getbands()) > 1
        and any(tile[0] == "raw" for tile in getattr(image, "tile", ()))
        and getattr(image, "_planar_configuration", 1) == 2
        and 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())
    )
