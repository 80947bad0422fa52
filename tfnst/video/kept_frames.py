"""Painted frames as PNG files, with the state from which painting goes on."""

from __future__ import annotations

import contextlib
import io
import os
from fractions import Fraction

import numpy as np
from PIL import Image, PngImagePlugin

from tfnst.checks import argument
from tfnst.files import write_file
from tfnst.video.frames import Frame


class KeptFrames:
    """Pictures in a folder, by the numbers of frames. Files are written whole.

    A frame has up to three files, for its kinds of pictures: `frame` is the frame as it
    was painted last, `source` is what it is painted from, and `state` is what must be
    known to go on after it.

    Args:
        folder: path of a folder that exists.
    """

    # Patterns of the files' names.
    FILES = r"(frame|source|state)-\d{8}\.png"

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def has(self, kind: str, number: int) -> bool:
        """Returns whether a picture is there."""
        return os.path.exists(self._path(kind, number))

    def write(self, kind: str, number: int, picture: np.ndarray, **texts: str) -> None:
        """Writes a picture, uint8 [H, W, C], and texts."""
        info = PngImagePlugin.PngInfo()
        for name, text in texts.items():
            info.add_text(name, text)
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "PNG", compress_level=1, pnginfo=info)
        with argument("output"):
            write_file(self._path(kind, number), data.getbuffer())

    def picture(self, kind: str, number: int) -> np.ndarray:
        """Reads a picture."""
        with Image.open(self._path(kind, number)) as image:
            return np.asarray(image)

    def texts(self, kind: str, number: int) -> dict[str, str]:
        """Reads the texts that were written with a picture."""
        with Image.open(self._path(kind, number)) as image:
            # Not `text`, for which Pillow decodes the picture.
            return {str(name): text for name, text in image.info.items()}

    def pass_number(self, kind: str, number: int) -> int:
        """Reads the number of the pass that has written a picture."""
        return int(self.texts(kind, number)["pass_number"])

    def frame(self, number: int) -> Frame:
        """Reads a frame."""
        return Frame(number, *self.times(number), self.picture("frame", number))

    def times(self, number: int) -> tuple[Fraction, Fraction]:
        """Reads the time and the duration of a frame."""
        texts = self.texts("frame", number)
        return Fraction(texts["time"]), Fraction(texts["duration"])

    def remove(self, kind: str, number: int) -> None:
        """Removes a picture, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(kind, number))

    def _path(self, kind: str, number: int) -> str:
        return os.path.join(self._folder, f"{kind}-{number:08}.png")
