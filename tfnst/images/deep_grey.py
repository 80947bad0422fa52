"""Grey pictures whose values aren't 8 bits: 12, 16 or 32 bits, signed, or float."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from tfnst.images.arrays import finite_range
from tfnst.images.color_profiles import convert_array
from tfnst.images.sixteen_bit import change_raw_modes
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
        changed = change_raw_modes(image.tile, _IN_THE_MACHINES_ORDER)
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
