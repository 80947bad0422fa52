"""Metadata that a picture takes along from file to file: alpha, Exif, resolution."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import Any

import numpy as np
from PIL import Image

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_INCHES, _CENTIMETRES = 2, 3
_PIXEL_SIDES = (0xA002, 0xA003)
_COLOR_SPACE, _SRGB = 0xA001, 1
# Tags of the main directory that describe the photo, not the layout of its file:
# document name, description, make, model, software, date, artist, host, ratings,
# copyright, and Windows' title, comment, author, keywords and subject.
_KEPT_TAGS = (
    *(0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C),
    *(0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
)
# Tags of the photo's own directory that can't be copied: the maker's note, whose
# offsets break when it moves, the subject's place in pixels, pointers and padding.
_DROPPED_TAGS = (0x927C, 0x9214, 0xA214, 0xA005, 0xEA1C)
# No useful value is longer, and a JPEG file holds 64 KB in all.
_MAX_VALUE_BYTES = 16_000


@dataclasses.dataclass(frozen=True, eq=False)
class PictureInfo:
    """Alpha and metadata of a picture's file.

    Attributes:
        alpha: float32 [H, W] in [0, 1], upright; None if everything is opaque.
        exif: Exif tags and their values. Under 0x8769 is a dictionary of tags about
            the photo, under 0x8825 one about the place. Orientation, thumbnail and
            maker's note are left out.
        dpi: pixels per inch, horizontal and vertical; None if unknown.
    """

    alpha: np.ndarray | None = None
    exif: dict[int, Any] = dataclasses.field(default_factory=dict)
    dpi: tuple[float, float] | None = None


def read_info(image: Image.Image, alpha: np.ndarray | None) -> PictureInfo:
    """Reads the metadata of a PIL image.

    Args:
        image: image that is loaded already. Broken entries in its Exif data are left
            out.
        alpha: as in PictureInfo; dropped if it is 1 everywhere.
    """
    if alpha is not None and alpha.min() == 1:
        alpha = None
    exif = Image.Exif()
    with contextlib.suppress(Exception):
        exif = image.getexif()
    kept: dict[int, Any] = {}
    for tag in _KEPT_TAGS:
        with contextlib.suppress(Exception):
            if tag in exif:
                kept |= _writable({tag: exif[tag]}, None)
    for pointer in (EXIF_IFD, GPS_IFD):
        with contextlib.suppress(Exception):
            # A copy, and only if it exists: asking for a missing directory adds one.
            directory = dict(exif.get_ifd(pointer)) if pointer in exif else {}
            for tag in _DROPPED_TAGS:
                directory.pop(tag, None)
            directory = _writable(directory, pointer)
            if directory:
                kept[pointer] = directory
    return PictureInfo(alpha, kept, _read_dpi(image, exif))


def build_exif(
    info: PictureInfo,
    *,
    width: int,
    height: int,
    keep_gps: bool = False,
    with_dpi: bool = False,
) -> dict[int, Any]:
    """The Exif tags of a picture painted from a photo.

    Args:
        info: alpha and metadata of the photo.
        width: width of the painted picture in pixels.
        height: height of the painted picture in pixels.
        keep_gps: True to say where the photo was taken.
        with_dpi: True to add the resolution.
    """
    exif = dict(info.exif)
    if not keep_gps:
        exif.pop(GPS_IFD, None)
    if EXIF_IFD in exif:
        photo = dict(exif[EXIF_IFD])
        photo |= {
            tag: side
            for tag, side in zip(_PIXEL_SIDES, (width, height), strict=True)
            if tag in photo
        }
        if _COLOR_SPACE in photo:
            photo[_COLOR_SPACE] = _SRGB
        exif[EXIF_IFD] = photo
    if with_dpi and info.dpi is not None:
        exif[_X_RESOLUTION], exif[_Y_RESOLUTION] = info.dpi
        exif[_RESOLUTION_UNIT] = _INCHES
    return exif


def encode_exif(exif: dict[int, Any]) -> bytes:
    """Exif tags encoded as in files."""
    encoder = Image.Exif()
    for tag, value in exif.items():
        encoder[tag] = value
    return encoder.tobytes()


def _writable(tags: dict[int, Any], pointer: int | None) -> dict[int, Any]:
    """The tags that can be written, which those from broken data often can't."""
    kept: dict[int, Any] = {}
    for tag, value in tags.items():
        with contextlib.suppress(Exception):
            one = {tag: value}
            exif = one if pointer is None else {pointer: one}
            if len(encode_exif(exif)) <= _MAX_VALUE_BYTES:
                kept |= one
    return kept


def _read_dpi(image: Image.Image, exif: Image.Exif) -> tuple[float, float] | None:
    with contextlib.suppress(Exception):
        dpi = image.info.get("dpi")
        if dpi is None:
            inch = {_INCHES: 1, _CENTIMETRES: 2.54}[exif.get(_RESOLUTION_UNIT, _INCHES)]
            dpi = [exif[tag] * inch for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
        x, y = map(float, dpi)
        # The range of JPEG; some files say 0 or nonsense.
        if all(math.isfinite(value) and 1 <= value <= 65535 for value in (x, y)):
            return x, y
    return None
