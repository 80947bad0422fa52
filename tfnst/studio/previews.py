"""Pictures on the way, as the page shows them."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from PIL import Image

PREVIEW_SIZE = 640
# A preview is made at most this often, and takes at most this share of the time.
_SECONDS, _SHARE = 0.4, 0.03


class Previews:
    """The latest picture of a run, made anew now and then.

    Attributes:
        latest: a JPEG file; None before the first one.
        count: how many there have been.
    """

    def __init__(self, latest: bytes | None = None, count: int = 0) -> None:
        self.latest, self.count = latest, count
        self._next = 0.0

    def offer(self, draw: Callable[[], Image.Image], *, always: bool = False) -> None:
        """Makes a preview, if it is time for one.

        Args:
            draw: gives the picture.
            always: whether it is time in any case.
        """
        now = time.perf_counter()
        if now < self._next and not always:
            return
        self.latest = encode_preview(draw())
        self.count += 1
        took = time.perf_counter() - now
        self._next = now + max(_SECONDS, took / _SHARE)


def encode_preview(image: Image.Image) -> bytes:
    """A picture as a small JPEG file."""
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()
