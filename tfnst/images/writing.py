"""Pictures written: arrays and PIL images into files, whole or not at all."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from tfnst.checks import argument_error, show_type
from tfnst.files import show_path, write_file
from tfnst.images import sixteen_bit
from tfnst.images.arrays import finite_range, show_array, to_array
from tfnst.images.color_profiles import srgb_profile
from tfnst.images.decoding import read_pil
from tfnst.images.manifest import PNG_KEYWORD, add_manifest
from tfnst.images.metadata import PictureInfo, build_exif, encode_exif
from tfnst.images.transparency import over_white, resize_alpha

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
SUFFIXES = tuple(FORMATS)
_DEEP_FORMATS = ("PNG", "TIFF")
# What fits into a segment of a JPEG file.
_MAX_EXIF_BYTES = 65_533


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
    return Image.fromarray(_to_levels(_to_colours(image, name), 8))


def save_image(
    image: Any,
    path: str | os.PathLike,
    *,
    name: str = "output",
    quality: int = 95,
    bits: int = 8,
    info: PictureInfo | None = None,
    keep_gps: bool = False,
    manifest: dict[str, Any] | None = None,
) -> None:
    """Writes an image file, whole or not at all.

    Whatever fails or interrupts on the way, an older file at `path` stays as it was;
    see `tfnst.files.write_file`. PNG and TIFF keep every value, JPEG and WebP are
    lossy. The file says that its colours are sRGB, by an ICC profile.

    Args:
        image: array as for `to_pil`, or PIL image, which is saved as `load_image`
            sees it: opaque sRGB, upright.
        path: ends in .png, .jpg, .jpeg, .webp, .tif or .tiff, which says the format.
        name: what errors call the path. Default `"output"`.
        quality: quality of JPEG (at full colour resolution) and WebP, 1 to 100.
            Default 95.
        bits: 8 or 16 a channel; 16 for PNG and TIFF. Default 8.
        info: what else there is to write, from `tfnst.images.reading.read_picture`:
            alpha, at the image's size (JPEG has none, and is laid over white),
            resolution, and Exif data. The Exif directory is left out of a JPEG file in
            which it does not fit beside the manifest. None by default.
        keep_gps: whether the Exif data may say where the photo was taken. By default
            not: a painting is made to be shown, and who shows it seldom thinks of
            the address in it.
        manifest: what to say in the file of how the picture was made; see
            `tfnst.images.manifest`. In JPEG and WebP it takes the place of Exif's
            comment, in TIFF that of the description. None by default.

    Raises:
        ValueError: for another suffix, quality or number of bits, or an image that is
            not as above or does not fit into the format.
        OSError: when the file can't be written; `FileNotFoundError` and the like.
    """
    suffix = check_suffix(path, name)
    check_bits(bits, suffix)
    if not isinstance(quality, int) or not 1 <= quality <= 100:
        raise argument_error("quality", "an integer from 1 to 100", repr(quality))
    if isinstance(image, Image.Image):
        colours = _from_pil(image)
    else:
        colours = _to_colours(image, "image")
    format, info = FORMATS[suffix], info or PictureInfo()
    height, width = colours.shape[:2]
    if info.alpha is not None:
        alpha = resize_alpha(info.alpha, height, width)
        if format == "JPEG":
            colours = over_white(np.clip(colours, 0, 1), alpha)
        else:
            colours = np.concatenate([colours, alpha[..., np.newaxis]], axis=-1)
    levels = _to_levels(colours, bits)

    exif, text = _describe(format, info, colours.shape[:2], keep_gps, manifest)
    try:
        data = _encode(format, levels, exif, text, info.dpi, quality)
    except (OSError, ValueError) as error:  # WebP ends at 16,383 pixels, for one.
        expected = f"in a format that holds {width} x {height} pixels"
        raise argument_error(name, expected, show_path(path)) from error
    write_file(path, data, name=name)


def check_output_path(
    path: str | os.PathLike, *, name: str = "output", bits: int = 8
) -> None:
    """Checks that `save_image` could write to a path, before the work starts.

    A hidden empty file is made in the folder and removed again.

    Args:
        path: as for `save_image`.
        name: what errors call the path. Default `"output"`.
        bits: as for `save_image`.

    Raises:
        ValueError: for an unknown suffix, or one whose format has no 16 bits.
        OSError: when the file could not be written; `FileNotFoundError` and the like.
    """
    check_bits(bits, check_suffix(path, name))
    write_file(path, None, name=name)


def check_bits(bits: Any, suffix: str) -> None:
    """Checks that files with a suffix can hold so many bits a channel.

    Raises:
        ValueError: for neither 8 nor 16, or 16 in a format that has none.
    """
    if isinstance(bits, bool) or bits not in (8, 16):
        raise argument_error("bits", "8 or 16", repr(bits))
    if bits == 16 and FORMATS[suffix] not in _DEEP_FORMATS:
        expected = f"8 in a {suffix} file (PNG and TIFF hold 16)"
        raise argument_error("bits", expected, repr(bits))


def _describe(
    format: str,
    info: PictureInfo,
    sides: tuple[int, int],
    keep_gps: bool,
    manifest: dict[str, Any] | None,
) -> tuple[dict[int, Any], str | None]:
    """Exif tags for a file, and the manifest's text where it is not among them."""
    height, width = sides
    exif = build_exif(
        info,
        width=width,
        height=height,
        keep_gps=keep_gps,
        # The other formats have places of their own for it.
        with_dpi=format == "WEBP",
    )
    for tags in (exif, {}):  # The second where the first is too long.
        text = None
        if manifest is not None:
            text = add_manifest(manifest, format, tags)
        if format != "JPEG" or len(encode_exif(tags)) <= _MAX_EXIF_BYTES:
            break
    return tags, text


def _encode(
    format: str,
    levels: np.ndarray,
    exif: dict[int, Any],
    text: str | None,
    dpi: tuple[float, float] | None,
    quality: int,
) -> bytes:
    """A file of uint8 or uint16 [H, W, 3 or 4]."""
    options = {"icc_profile": srgb_profile()}
    if dpi is not None and format != "WEBP":
        options["dpi"] = dpi
    if format == "TIFF":
        return sixteen_bit.encode_tiff(levels, tags=exif, **options)
    if exif:
        options["exif"] = encode_exif(exif)
    if format == "PNG" and text is not None:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt(PNG_KEYWORD, text)
    if levels.dtype == np.uint16:
        return sixteen_bit.encode_png(levels, **options)
    if format != "PNG":
        options["quality"] = quality
    if format == "JPEG":
        options["subsampling"] = 0
    encoded = io.BytesIO()
    Image.fromarray(levels).save(encoded, format, **options)
    return encoded.getvalue()


def _from_pil(image: Image.Image) -> np.ndarray:
    """[H, W, 3] from a PIL image, laid over white."""
    shown = f"PIL image of mode {image.mode}"
    limits = (max(1, image.width * image.height), 1)
    rgb, info = read_pil(image, "image", shown, limits)
    return rgb if info.alpha is None else over_white(rgb, info.alpha)


def _to_colours(image: Any, name: str) -> np.ndarray:
    """float [H, W, 3] from an array, which is checked."""
    array = to_array(image, name)
    shape = array.shape[1:] if array.ndim == 4 and len(array) == 1 else array.shape
    if array.dtype.kind != "f" or len(shape) != 3 or shape[2] != 3 or not array.size:
        expected = "a float array of shape [1, H, W, 3] or [H, W, 3]"
        raise argument_error(name, expected, show_array(array))
    finite_range(array, name, show_array(array))
    # At least float32: in float16 the half would be lost before the floor.
    return array.reshape(shape).astype(np.promote_types(array.dtype, np.float32))


def _to_levels(array: np.ndarray, bits: int) -> np.ndarray:
    """uint8 or uint16, rounded, from float in [0, 1]."""
    most = 2**bits - 1
    levels = np.floor(np.clip(array, 0, 1) * most + 0.5)
    return levels.astype(np.uint8 if bits == 8 else np.uint16)


def check_suffix(path: Any, name: str, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """The path's suffix, lower case.

    Raises:
        ValueError: for one that is not among `suffixes`.
    """
    expected = f"a path that ends in {', '.join(suffixes[:-1])} or {suffixes[-1]}"
    if not isinstance(path, str | os.PathLike):
        raise argument_error(name, expected, show_type(path))
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    if suffix not in suffixes:
        raise argument_error(name, expected, show_path(path))
    return suffix
