"""Animated GIF, WebP, PNG and AVIF files, which Pillow reads well."""

from __future__ import annotations

import contextlib
import functools
import os
import struct
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from PIL import Image

from tfnst.files import os_error, show_path
from tfnst.images.decoding import open_image
from tfnst.images.source import PictureSource
from tfnst.images.transparency import on_white
from tfnst.video.frames import (
    DamagedFrameError,
    FilmInfo,
    SourceFrame,
    check_frame_size,
)

_MILLISECOND = Fraction(1, 1000)
# Browsers show frames that ask for 10 ms or less for 100 ms.
_SHORTEST, _USUAL = 10, 100
# Bad bytes make Pillow's plug-ins raise almost anything.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError),
    *(AttributeError, ArithmeticError, struct.error, Image.DecompressionBombError),
)


def is_animation(path: str | os.PathLike[str]) -> bool:
    """Returns whether Pillow reads a file, by its first bytes, whatever its name."""
    if not os.path.isfile(path):  # A pipe would lose what is read.
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        start = file.read(12)
        if start[4:] == b"ftypavis":  # FFmpeg drops its transparency.
            return ".avif" in Image.registered_extensions()
        return start.startswith((b"GIF8", b"\x89PNG\r\n")) or (
            start[:4] == b"RIFF" and start[8:] == b"WEBP"
        )
    return False


class Animation:
    """An animated picture.

    Args:
        path: path of the file.

    Raises:
        OSError: when the file can't be read.
        ValueError: when it isn't animated, or its frames are too large or narrow.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.damaged = 0
        shown = show_path(path)
        self._source = PictureSource(shown)
        try:
            self._file = open(path, "rb")  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise os_error(error, "a film that can be read", shown) from error
        try:
            self._image = open_image(self._file, self._source)
            check_frame_size(shown, *self._image.size)
            self.info = self._inspect()
        except BaseException:
            self._file.close()
            raise

    def _inspect(self) -> FilmInfo:
        """Finds the film's properties."""
        try:
            frames = getattr(self._image, "n_frames", 1)
            animated = getattr(self._image, "is_animated", False)
            self._image.load()  # WebP's durations come with the frames.
        except _DAMAGE:  # The file ends early.
            frames, animated = None, True
        if not animated:
            expected = "a film, an animated picture or a folder of pictures"
            received = f"{self._source.shown}, which is a single picture"
            raise self._source.error(expected, received)
        width, height = self._image.size
        return FilmInfo(
            width=width,
            height=height,
            rate=1 / (self._duration() * _MILLISECOND),
            time_base=_MILLISECOND,
            duration=None,
            frames=frames,
        )

    def close(self) -> None:
        """Closes the file."""
        self._image.close()
        self._file.close()

    def frames(self, start: Fraction) -> Iterator[SourceFrame]:
        """Yields all frames in order, as each is drawn over the one before.

        Args:
            start: ignored.
        """
        del start
        self.damaged, time, number = 0, Fraction(0), 0
        self._file.seek(0)
        self._image = open_image(self._file, self._source)
        while self.info.frames is None or number < self.info.frames:
            try:
                self._image.seek(number)
                self._image.load()
            except _DAMAGE as error:
                # A GIF whose frames could not be counted just ends.
                if self.info.frames is not None or not isinstance(error, EOFError):
                    self.damaged += 1
                return
            duration = self._duration() * _MILLISECOND
            read = functools.partial(_flattened, self._image)
            yield SourceFrame(time, duration, read)
            time, number = time + duration, number + 1

    def _duration(self) -> Fraction:
        """Duration of the frame that is loaded, in milliseconds."""
        shown = Fraction(self._image.info.get("duration") or 0)
        return shown if shown > _SHORTEST else Fraction(_USUAL)


def _flattened(image: Image.Image) -> np.ndarray:
    """Lays the frame that is loaded over white where it is transparent."""
    try:
        return np.array(on_white(image))
    except _DAMAGE as error:
        raise DamagedFrameError from error
