"""PIL images with more than 8 bits a channel; Pillow reads colours with 8."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from tfnst.images.arrays import finite_range
from tfnst.images.color_profiles import convert_array
from tfnst.images.source import PictureSource

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO = 0
_UNSIGNED, _SIGNED = 1, 2
# libtiff decompresses values into the machine's byte order, and Pillow takes those that
# are signed or float as if they were still in the file's.
_IN_THE_MACHINES_ORDER = {
    **dict.fromkeys(("I;16S", "I;16BS"), "I;16NS"),
    **dict.fromkeys(("I;32S", "I;32BS"), "I;32NS"),
    **dict.fromkeys(("F;32F", "F;32BF"), "F;32NF"),
}
# Pillow keeps the upper byte of each value, which it finds by the byte order. Told the
# opposite order, it keeps the lower byte. So decoding twice gives 16 bits, with
# Pillow's speed, limits and checks. No other library reads all of these files and is
# small: tifffile needs imagecodecs (79 MB) for LZW and 12 bits, OpenCV (153 MB)
# ignores which value is white, and libvips (21 MB) refuses 12 bits.
_NATIVE = "B" if sys.byteorder == "big" else "L"
_OTHER_ORDER = {
    f"{channels};16{order}": f"{channels};16{'B' if actual == 'L' else 'L'}"
    for channels in ("RGB", "RGBA", "RGBX")
    for order, actual in (("B", "B"), ("L", "L"), ("N", _NATIVE))
}
# Grey and alpha, read as RGBA: all four bytes as they are.
_GREY_ALPHA = "LA;16B"
_OTHER_ORDER[_GREY_ALPHA] = "RGBA"


def decode_deep(
    image: Image.Image, open_again: Callable[[], ImageFile.ImageFile]
) -> np.ndarray | None:
    """Decodes a file with 16 bits a channel.

    Args:
        image: the file, opened but not decoded. It is decoded, too, with 8 bits.
        open_again: function that opens the file a second time.

    Returns:
        uint16 [H, W, 3] or [H, W, 4]; None for all other files, which are not decoded,
        including those with a single grey channel, where Pillow keeps 16 bits itself.

    Raises:
        Exception: whatever Pillow raises for a damaged file.
    """
    given = getattr(image, "tile", [])
    tiles = _change_raw_modes(given, _OTHER_ORDER)
    if not tiles:
        return None
    is_grey = _GREY_ALPHA in given[0][3]
    image.load()
    with open_again() as again:
        again.tile = tiles
        again.load()
        lower = np.asarray(again)
    if is_grey:
        grey, alpha = (
            lower[..., i].astype(np.uint16) << 8 | lower[..., i + 1] for i in (0, 2)
        )
        return np.stack([grey, grey, grey, alpha], axis=-1)
    return np.asarray(image).astype(np.uint16) << 8 | lower


def is_deep_grey(image: Image.Image) -> bool:
    """Returns whether a PIL image has one channel that `read_deep_grey` reads."""
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode == "L":
        return _first(image, _SAMPLE_FORMAT, _UNSIGNED) == _SIGNED
    return image.mode == "F" or image.mode.startswith("I")


def mend_byte_order(image: ImageFile.ImageFile) -> None:
    """Makes Pillow load the values of a compressed TIFF file in the right byte order.

    Args:
        image: the file, opened but not loaded.
    """
    if any(tile[0] == "libtiff" for tile in image.tile):
        changed = _change_raw_modes(image.tile, _IN_THE_MACHINES_ORDER)
        image.tile = changed or image.tile


def read_deep_grey(
    image: Image.Image, source: PictureSource
) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours [H, W, 3] and alpha [H, W] of a grey image with more than 8 bits.

    Args:
        image: image that is loaded already. The tags of a TIFF file say which value is
            white; otherwise that is 65535, or 1 in mode F.
        source: description for errors.

    Raises:
        ValueError: for values out of this range.
    """
    grey = np.asarray(image)
    top, is_negative = 1 if image.mode == "F" else 65535, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        is_negative = image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        if image.mode != "F":
            grey, top = _tiff_integers(image, grey)
    low, high = finite_range(grey, source)
    if low < 0 or high > top:
        raise source.error(
            f"a grey image with values from 0 to {top} (mode {image.mode})",
            f"{source.shown} with values from {low:g} to {high:g}",
        )
    # A file's format says what its values mean.
    if top == 65535 and 0 < high <= 255 and not isinstance(image, ImageFile.ImageFile):
        raise source.error(
            "a grey image of mode L if 255 is white, or one with values up to 65535 "
            f"(mode {image.mode})",
            f"{source.shown} with values from {low:g} to {high:g}",
        )
    hidden, alpha = image.info.get("transparency"), None
    if isinstance(hidden, int):
        alpha = (grey != hidden).astype(np.float32)
    grey = grey.astype(np.float32) / np.float32(top)
    rgb = np.repeat((1 - grey if is_negative else grey)[..., np.newaxis], 3, axis=-1)
    profile = image.info.get("icc_profile")
    if profile and profile[16:20] == b"GRAY":
        converted = convert_array(rgb, profile)
        rgb = rgb if converted is None else converted
    return rgb, alpha


def has_deep_planes(image: Image.Image) -> bool:
    """Returns whether a TIFF file holds 16 bits, uncompressed, channel by channel.

    Pillow would read it as noise.
    """
    return (
        isinstance(image, TiffImagePlugin.TiffImageFile)
        and len(image.getbands()) > 1
        and any(tile[0] == "raw" for tile in getattr(image, "tile", ()))
        and getattr(image, "_planar_configuration", 1) == 2
        and 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())
    )


def _change_raw_modes(tiles: list[Any], changes: dict[str, str]) -> list[Any]:
    """A file's tiles, not decoded yet, to be decoded in other raw modes.

    Args:
        tiles: attribute `tile` of the opened file.
        changes: new raw modes by the old ones.

    Returns:
        New tiles; none if any is in yet another mode.
    """
    changed: list[Any] = []
    for tile in tiles:
        arguments = tile[3]
        if isinstance(arguments, str) or not arguments:
            arguments = (arguments,)
        mode, *rest = arguments
        if mode not in changes:
            return []
        arguments = (changes[mode], *rest)
        # Before Pillow 11.1, tiles were plain tuples.
        named = hasattr(tile, "_replace")
        changed.append(
            tile._replace(args=arguments) if named else (*tile[:3], arguments)
        )
    return changed


def _tiff_integers(
    image: TiffImagePlugin.TiffImageFile, grey: np.ndarray
) -> tuple[np.ndarray, int]:
    """A TIFF file's values as its tags define them, and the highest possible value."""
    bits = _first(image, _BITS_PER_SAMPLE, 1)
    if _first(image, _SAMPLE_FORMAT, _UNSIGNED) == _SIGNED:
        return grey.view(np.int8) if bits == 8 else grey, 2 ** (bits - 1) - 1
    return grey.view(np.uint32) if bits == 32 else grey, 2**bits - 1


def _first(image: TiffImagePlugin.TiffImageFile, tag: int, default: int) -> int:
    """The value of a TIFF tag for the first channel."""
    return image.tag_v2.get(tag, (default,))[0]
