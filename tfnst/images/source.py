"""Description and size limits of a picture that is being read."""

from __future__ import annotations

import dataclasses

from tfnst.checks import ArgumentError, check_integer
from tfnst.files import os_error
from tfnst.limits import MAX_PIXELS, MIN_SIDE


@dataclasses.dataclass(frozen=True)
class PictureSource:
    """Description of a picture for errors, and the sizes that it may have.

    Attributes:
        shown: description of the picture.
        max_pixels: most pixels (height times width) that it may have.
        min_side: fewest pixels that its short side may have.
    """

    shown: str
    max_pixels: int = MAX_PIXELS
    min_side: int = MIN_SIDE

    def __post_init__(self) -> None:
        check_integer("max_pixels", self.max_pixels, 1)
        check_integer("min_side", self.min_side, 1)

    def shown_as(self, shown: str) -> PictureSource:
        """The same source with another description."""
        return dataclasses.replace(self, shown=shown)

    def error(self, expected: str, received: str | None = None) -> ArgumentError:
        """The error to raise for this picture.

        Args:
            expected: description of the pictures that can be used.
            received: description of this one; `shown` by default.
        """
        return ArgumentError(expected, self.shown if received is None else received)

    def kind_error(self) -> ArgumentError:
        """The error to raise for a value that is no picture of any kind."""
        return self.error("a path, the bytes of an image file, a PIL image or an array")

    def os_error(self, error: OSError) -> OSError:
        """The same error (class and errno), worded for this picture."""
        return os_error(error, "a file that can be read", self.shown)

    def size_error(self, pixels: int | str) -> ArgumentError:
        """The error to raise for a picture with too many pixels."""
        return self.error(
            f"an image of at most {self.max_pixels} pixels",
            f"{self.shown}, which has {pixels} pixels",
        )

    def check_size(self, height: int, width: int) -> None:
        """Raises ValueError if the picture is too large or too narrow."""
        if height * width > self.max_pixels:
            raise self.size_error(height * width)
        if min(height, width) < self.min_side:
            raise self.error(
                f"an image at least {self.min_side} pixels wide and "
                f"{self.min_side} high",
                f"{self.shown}, which is {width} wide and {height} high",
            )
