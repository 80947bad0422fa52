"""ICC profiles: converting colours to sRGB, and the profile of sRGB itself."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_BLACK_POINT_COMPENSATION = 0x2000  # From lcms2.h; Pillow 10.1 has no name for it.
_HEADER_BYTES = 128
# From the profile connection space, XYZ under D50, to linear sRGB: the inverse of the
# colorants in every sRGB profile (ICC, "sRGB" of 2015).
_XYZ_TO_SRGB = np.linalg.inv(
    [
        [0.43606567, 0.38514709, 0.14306641],
        [0.22248840, 0.71687317, 0.06060791],
        [0.01391602, 0.09707642, 0.71409607],
    ]
)


@functools.cache
def srgb_profile() -> bytes | None:
    """The ICC profile of sRGB, always the same bytes; None without LittleCMS."""
    try:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    except (ImageCms.PyCMSError, ImportError, OSError):
        return None
    # LittleCMS writes the current time; this is when the sRGB standard appeared.
    made = struct.pack(">6H", 1999, 10, 1, 0, 0, 0)
    return profile[:24] + made + profile[36:]


def convert_image(image: Image.Image, profile: bytes) -> Image.Image:
    """Converts a picture of 8 bits to sRGB.

    The intent is relative colorimetric, with black point compensation.

    Args:
        image: picture of mode RGB, CMYK or L.
        profile: ICC profile of the picture.

    Returns:
        The picture in sRGB; unchanged if the profile is broken, which is common, or is
        for another mode, or if LittleCMS is missing.
    """
    if _is_srgb(profile):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = "GRAY" if image.mode == "L" else image.mode
        if profile[16:20].strip() != space.encode():
            return image
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=_BLACK_POINT_COMPENSATION,  # type: ignore[arg-type]
        )
        return image if converted is None else converted
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return image


def convert_array(rgb: np.ndarray, profile: bytes) -> np.ndarray | None:
    """Converts a picture of more than 8 bits to sRGB, if its profile is simple.

    A simple profile consists of a curve for each channel and a matrix, as most profiles
    of screens, cameras and working spaces do ::

        srgb = encode(clip(matrix @ curve(rgb), 0, 1))

    LittleCMS could convert by any profile, but Pillow passes it only 8 bits. There is
    no black point compensation, as these curves start at 0.

    Args:
        rgb: [H, W, 3] in [0, 1]; all channels of a grey picture are the same.
        profile: ICC profile.

    Returns:
        [H, W, 3] float32; None if the profile is broken or not simple.
    """
    if _is_srgb(profile):
        return rgb
    try:
        tags = _read_tags(profile)
        space = profile[16:20]
        if b"A2B0" in tags or b"A2B1" in tags or profile[20:24] != b"XYZ ":
            return None
        if space == b"GRAY":
            grey = _apply_curve(tags[b"kTRC"], rgb[..., :1])
            return np.repeat(srgb_from_linear(grey), 3, axis=-1)
        if space != b"RGB ":
            return None
        linear = [
            _apply_curve(tags[letter + b"TRC"], rgb[..., i])
            for i, letter in enumerate((b"r", b"g", b"b"))
        ]
        colorants = [_read_xyz(tags[letter + b"XYZ"]) for letter in (b"r", b"g", b"b")]
    except (KeyError, ValueError, IndexError, struct.error):
        return None
    matrix = (_XYZ_TO_SRGB @ np.transpose(colorants)).astype(np.float32)
    return srgb_from_linear(np.stack(linear, axis=-1) @ matrix.T)


def _is_srgb(profile: bytes) -> bool:
    """Returns whether a profile is the one that tfnst writes into every picture."""
    own = srgb_profile()
    return own is not None and profile[_HEADER_BYTES:] == own[_HEADER_BYTES:]


def _read_tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    if profile[36:40] != b"acsp" or count > 100:
        raise ValueError("not a profile")
    tags = {}
    for i in range(count):
        name, offset, size = struct.unpack_from(
            ">4sII", profile, _HEADER_BYTES + 4 + 12 * i
        )
        tags[name] = profile[offset : offset + size]
    return tags


def _read_xyz(tag: bytes) -> np.ndarray:
    if tag[:4] != b"XYZ ":
        raise ValueError("not a colour")
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _apply_curve(tag: bytes, values: np.ndarray) -> np.ndarray:
    """Linear light from values in [0, 1], by a table, a power or a formula."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return values
        table = np.frombuffer(tag, ">u2", count, offset=12)
        if count == 1:
            return values ** np.float32(table[0] / 256)
        places = np.linspace(0, 1, count)
        return np.interp(values, places, table / 65535).astype(np.float32)
    if tag[:4] != b"para":
        raise ValueError("not a curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    numbers = (1, 3, 4, 5, 7)[kind]
    given = np.array(struct.unpack_from(f">{numbers}i", tag, 12)) / 65536
    # ICC.1, table 68: (a x + b)^g + e where x >= d, and c x + f below.
    parameters: dict[int, Callable[..., tuple[Any, ...]]] = {
        0: lambda g: (g, 1, 0, 0, 0, 0, 0),
        1: lambda g, a, b: (g, a, b, 0, -b / a if a else 0, 0, 0),
        2: lambda g, a, b, c: (g, a, b, 0, -b / a if a else 0, c, c),
        3: lambda g, a, b, c, d: (g, a, b, c, d, 0, 0),
        4: lambda *all_: all_,
    }
    g, a, b, c, d, e, f = parameters[kind](*map(np.float32, given))
    power = np.maximum(a * values + b, 0) ** g + e
    return np.where(values >= d, power, c * values + f).astype(np.float32)


def srgb_from_linear(linear: np.ndarray) -> np.ndarray:
    """sRGB values, float32 in [0, 1], of linear light, which is clipped to [0, 1].

    `tfnst.ops.color_spaces` has the same curve for tensors.
    """
    linear = np.clip(np.nan_to_num(linear), 0, 1)
    power = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, power).astype(np.float32)
