"""Previews of unfinished pictures."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from PIL import Image

PREVIEW_SIZE = 640
# Least time between two previews, and the largest share of the time that they take.
_SECONDS, _SHARE = 0.4, 0.03


class Previews:
    """The latest preview of a run, made anew now and then.

    Args:
        clock: returns the time in seconds.

    Attributes:
        latest: a JPEG file; None before the first one.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.latest: bytes | None = None
        self._clock = clock
        self._next = 0.0

    def offer(self, draw: Callable[[], Image.Image], *, always: bool = False) -> None:
        """Makes a preview, if it is time for one.

        Args:
            draw: returns the picture.
            always: whether to make one in any case.
        """
        now = self._clock()
        if now < self._next and not always:
            return
        self.latest = encode_preview(draw())
        took = self._clock() - now
        self._next = now + max(_SECONDS, took / _SHARE)


def encode_preview(image: Image.Image) -> bytes:
    """A picture as a small JPEG file."""
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()
