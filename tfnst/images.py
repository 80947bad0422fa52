"""Images in and out: bytes, files, PIL and arrays <-> float32 RGB NHWC in [0, 1]."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import threading
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms

from tfnst.files import os_error, show_path, write_file
from tfnst.manifest import save_options

MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs.
MIN_SIDE = 16
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
SUFFIXES = tuple(_FORMATS)
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
_ROUNDING = 1e-6  # How far resizing in float32 may leave [0, 1].
_open_lock = threading.Lock()


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
    broken one is ignored). Of an animated file the first frame is read. Greys of 16
    bits keep them; Pillow reads colour files of 16 bits a channel with 8.

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
    limits = (max_pixels, min_side)
    if isinstance(source, Image.Image):
        shown = f"PIL image of mode {source.mode}"
        image = _read_pil(source, name, shown, limits)
    elif isinstance(source, str | os.PathLike):
        image = _read_path(source, name, limits)
    elif isinstance(source, bytes | bytearray | memoryview) or hasattr(source, "read"):
        data = _read_bytes(source, name)
        shown = f"a file of {len(data)} bytes"
        image = _read_file(io.BytesIO(data), name, shown, limits)
    elif hasattr(source, "__array__"):
        return _read_array(source, name, limits)
    else:
        expected = "a path, the bytes of an image file, a PIL image or an array"
        raise _error(name, expected, _show_type(source))
    return image[np.newaxis]


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
    array = _to_array(image, name)
    shape = array.shape[1:] if array.ndim == 4 and len(array) == 1 else array.shape
    if array.dtype.kind != "f" or len(shape) != 3 or shape[2] != 3 or not array.size:
        expected = "a float array of shape [1, H, W, 3] or [H, W, 3]"
        raise _error(name, expected, _show_array(array))
    low, high = _finite_range(array, name, _show_array(array))
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
        raise _error("quality", "an integer from 1 to 100", repr(quality))
    if isinstance(image, Image.Image):
        pixels = max(1, image.width * image.height)
        image = load_image(image, max_pixels=pixels, min_side=1)
    picture = to_pil(image)
    format = _FORMATS[suffix]
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
        raise _error(name, expected, show_path(path)) from error
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


def _error(name: str, expected: str, received: str) -> ValueError:
    return ValueError(f"`{name}` must be {expected}. Received: {received}")


def _show_type(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _show_array(array: np.ndarray) -> str:
    return f"{array.dtype} array of shape {list(array.shape)}"


def _check_size(
    name: str, shown: str, height: int, width: int, limits: tuple[int, int]
) -> None:
    max_pixels, min_side = limits
    if height * width > max_pixels:
        expected = f"an image of at most {max_pixels} pixels"
        raise _error(name, expected, f"{shown}, which has {height * width} pixels")
    if min(height, width) < min_side:
        expected = f"an image at least {min_side} pixels wide and {min_side} high"
        received = f"{shown}, which is {width} wide and {height} high"
        raise _error(name, expected, received)


def _read_path(path: Any, name: str, limits: tuple[int, int]) -> np.ndarray:
    """[H, W, 3] from the path of an encoded file."""
    shown = show_path(path)
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise os_error(error, name, "a file that can be read", shown) from error
    except ValueError as error:  # A null byte, or half of a surrogate pair.
        raise _error(name, "the path of an image file", shown) from error
    with file:
        return _read_file(file, name, shown, limits)


def _read_bytes(source: Any, name: str) -> bytes:
    """What bytes or a file object hold."""
    try:
        data = source.read() if hasattr(source, "read") else source
    except OSError as error:
        shown = _show_type(source)
        raise os_error(error, name, "a file that can be read", shown) from error
    except ValueError as error:  # A closed file, or text that is no Unicode.
        shown = f"{_show_type(source)} that can't be read"
        raise _error(name, "an open file in binary mode", shown) from error
    if not isinstance(data, bytes | bytearray | memoryview):
        shown = f"{_show_type(source)} that gave {type(data).__name__}"
        raise _error(name, "an open file in binary mode", shown)
    return bytes(data)


class _HardLimit(int):
    """A pixel limit above which Pillow raises at once, where it else warns first.

    Pillow warns above the limit and raises above twice the limit, so twice this
    number is itself. Warning filters would have to be changed for every thread.
    """

    def __mul__(self, other: int) -> _HardLimit:
        return self

    __rmul__ = __mul__


def _read_file(
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
            raise _error(name, expected, received) from error
        except MemoryError:
            raise
        except Exception as error:  # Plug-ins raise whatever bad bytes lead them to.
            raise _unreadable(error, file, name, shown) from error
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit
    with image:
        if image.format == "EPS":  # Pillow would run Ghostscript on it.
            raise _error(name, _IMAGE_FILE, f"{shown}, which is PostScript")
        return _read_pil(image, name, shown, limits)


def _unreadable(error: Exception, file: BinaryIO, name: str, shown: str) -> Exception:
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return os_error(error, name, "a file that can be read", shown)
    with contextlib.suppress(OSError):
        file.seek(0)
        if not file.read(1):
            return _error(name, _IMAGE_FILE, f"{shown}, which is empty")
    return _error(name, _IMAGE_FILE, f"{shown}, which is no image that Pillow can read")


def _read_pil(
    image: Image.Image, name: str, shown: str, limits: tuple[int, int]
) -> np.ndarray:
    """[H, W, 3] from a PIL image, which may not have been decoded yet."""
    _check_size(name, shown, image.height, image.width, limits)
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        expected = "a whole image file"
        raise _error(name, expected, f"{shown}, which is cut off or damaged") from error
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
    rgb = _scale(np.asarray(image.convert("RGB")))
    return rgb if alpha is None else _over_white(rgb, _scale(alpha)[..., np.newaxis])


def _read_deep_grey(image: Image.Image, name: str, shown: str) -> np.ndarray:
    """[H, W, 3] from the modes of one channel with more than 8 bits."""
    grey = np.asarray(image)
    low, high = _finite_range(grey, name, shown)
    most = 1 if image.mode == "F" else 65535
    if low < 0 or high > most:
        expected = f"a grey image with values from 0 to {most} (mode {image.mode})"
        raise _error(name, expected, f"{shown} with values from {low:g} to {high:g}")
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


def _to_array(source: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(source)
    except Exception as error:  # A symbolic tensor, or one on another device.
        received = f"{_show_type(source)} without values"
        raise _error(name, "an array or a tensor with values", received) from error


def _read_array(source: Any, name: str, limits: tuple[int, int]) -> np.ndarray:
    """[N, H, W, 3] from an array."""
    array = _to_array(source, name)
    shown = _show_array(array)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind != "f" and (kind, size) not in (("u", 1), ("u", 2)):
        expected = (
            "uint8 in [0, 255], uint16 in [0, 65535] or float in [0, 1], "
            "as a path, the bytes of an image file, a PIL image or an array"
        )
        raise _error(name, expected, shown)
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim not in (3, 4) or array.shape[-1] not in (1, 2, 3, 4):
        expected = (
            "an array of shape [H, W], [H, W, C] or [N, H, W, C] with C 1 (grey), "
            "2 (grey and alpha), 3 (RGB) or 4 (RGBA)"
        )
        raise _error(name, expected, shown)
    if not array.size:
        raise _error(name, "an array with pixels in it", shown)
    _check_size(name, shown, *array.shape[-3:-1], limits)
    if kind == "f":
        low, high = _finite_range(array, name, shown)
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            expected = "float in [0, 1] (divide values in [0, 255] by 255)"
            received = f"{shown} with values from {low:g} to {high:g}"
            raise _error(name, expected, received)
        array = np.clip(array, 0, 1)
    array = _scale(array)
    channels = array.shape[-1]
    colour = array[..., : 1 if channels < 3 else 3]
    if channels in (2, 4):
        colour = _over_white(colour, array[..., -1:])
    rgb = np.broadcast_to(colour, (*colour.shape[:-1], 3))
    return np.array(rgb if rgb.ndim == 4 else rgb[np.newaxis], order="C")


def _finite_range(array: np.ndarray, name: str, shown: str) -> tuple[float, float]:
    with np.errstate(invalid="ignore"):
        low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise _error(name, "finite", f"{shown} with NaN or infinite values")
    return low, high


def _scale(array: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] from uint8, uint16 or float."""
    most = {"u": 255 if array.dtype.itemsize == 1 else 65535}.get(array.dtype.kind, 1)
    return array.astype(np.float32) / np.float32(most)


def _over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return rgb * alpha + (1 - alpha)


def _check_suffix(path: Any, name: str) -> str:
    """The path's suffix, lower case."""
    expected = f"a path that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    if not isinstance(path, str | os.PathLike):
        raise _error(name, expected, _show_type(path))
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    if suffix not in SUFFIXES:
        raise _error(name, expected, show_path(path))
    return suffix
