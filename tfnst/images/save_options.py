"""Options for saving a picture: bits, quality, and the place in its file."""

from __future__ import annotations

import dataclasses
import numbers

from tfnst.checks import ArgumentError, check_integer
from tfnst.images.formats import FORMATS

_FORMATS_OF_16_BITS = ("PNG", "TIFF")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SaveOptions:
    """Options for saving a picture, checked when they are made.

    Attributes:
        bits: bits a channel, 8 or 16; 16 for PNG and TIFF.
        quality: quality of JPEG (at full colour resolution) and WebP, 1 to 100.
        keep_gps: True if the Exif data may say where the photo was taken.

    Raises:
        ValueError: for any other number of bits or quality.
    """

    bits: int = 8
    quality: int = 95
    keep_gps: bool = False

    def __post_init__(self) -> None:
        integer = isinstance(self.bits, numbers.Integral)
        if not integer or self.bits not in (8, 16):
            raise ArgumentError("8 or 16", repr(self.bits), argument="bits")
        check_integer("quality", self.quality, 1, 100)

    def check_format(self, suffix: str) -> None:
        """Checks that a file with this suffix can hold the bits.

        Args:
            suffix: one of `tfnst.images.formats.SUFFIXES`.

        Raises:
            ValueError: for 16 bits in a format that holds 8.
        """
        if self.bits == 16 and FORMATS[suffix] not in _FORMATS_OF_16_BITS:
            expected = f"8 in a {suffix} file (PNG and TIFF hold 16)"
            raise ArgumentError(expected, repr(self.bits), argument="bits")
