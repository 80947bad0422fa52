"""Films with a picture file for each frame: a folder or a pattern of names."""

from __future__ import annotations

import functools
import glob
import os
import re
import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from tfnst.checks import ArgumentError
from tfnst.files import os_error, show_path
from tfnst.images.arrays import to_integers
from tfnst.images.decoding import open_image
from tfnst.images.reading import read_flattened
from tfnst.images.source import PictureSource
from tfnst.video.frames import (
    DamagedFrameError,
    FilmInfo,
    SourceFrame,
    check_frame_size,
)

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
# A number in printf's way, as FFmpeg takes it: %d, %04d.
NUMBER = re.compile(r"%(?:0(\d+))?d")


class PictureFiles:
    """A film made of picture files, shown one after another.

    Args:
        path: a folder; or a path with `*`, `?` or `[...]`, or with a number such as
            `%04d`, in its last part.
        rate: frames per second.

    Raises:
        OSError: when the folder can't be read.
        ValueError: when there are no pictures, or of different sizes.
    """

    def __init__(self, path: str | os.PathLike[str], *, rate: Fraction) -> None:
        self.damaged = 0
        self._paths = _find_pictures(path)
        self._step = 1 / rate
        width, height = self._check_sizes()
        self.info = FilmInfo(
            width=width,
            height=height,
            rate=rate,
            time_base=self._step,
            duration=len(self._paths) * self._step,
            frames=len(self._paths),
        )

    def close(self) -> None:
        """Does nothing, as no file is open."""

    def frames(self, start: Fraction) -> Iterator[SourceFrame]:
        """Yields the pictures from a time on, in seconds."""
        self.damaged = 0
        first = min(max(0, int(start / self._step)), len(self._paths))
        for number in range(first, len(self._paths)):
            read = functools.partial(self._read, self._paths[number])
            yield SourceFrame(number * self._step, self._step, read)

    def _read(self, path: str) -> np.ndarray:
        try:
            picture = read_flattened(path)[0]
        except (ValueError, OSError) as error:
            raise DamagedFrameError from error
        if picture.shape[:2] != (self.info.height, self.info.width):
            raise DamagedFrameError
        return to_integers(picture)

    def _check_sizes(self) -> tuple[int, int]:
        """Finds the common width and height. Only the files' headers are read.

        Before the first frame is painted, not when the odd one comes hours later.
        """
        first: tuple[int, int] | None = None
        for path in self._paths:
            size = _upright_size(path)
            if size is None:
                continue
            if first is None:
                first = size
                check_frame_size(show_path(path), *size)
                shown_first = show_path(path)
            if size != first:
                raise ArgumentError(
                    "pictures of one size",
                    f"{shown_first} of {first[0]} x {first[1]} pixels and "
                    f"{show_path(path)} of {size[0]} x {size[1]}",
                )
        if first is None:
            received = f"{show_path(self._paths[0])}, which can't be read as one"
            raise ArgumentError("pictures", received)
        return first


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path that doesn't exist stands for several files."""
    text = os.fspath(path)
    name = os.path.basename(text)
    return NUMBER.search(name) is not None or glob.has_magic(text)


def _upright_size(path: str) -> tuple[int, int] | None:
    """Reads the width and height of a picture as it is shown, if it can be read."""
    # However large: what is too large gets an error of its own.
    source = PictureSource(show_path(path), max_pixels=sys.maxsize)
    try:
        with open(path, "rb") as file, open_image(file, source) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except (OSError, ValueError):
        return None
    return (height, width) if turned else (width, height)


def _find_pictures(path: str | os.PathLike[str]) -> list[str]:
    """Finds the files of a folder or a pattern, in natural order: 2 before 10.

    Raises:
        ValueError: when there are none.
        OSError: when the folder can't be read.
    """
    text, shown = os.fspath(path), show_path(path)
    suffixes = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    try:
        if os.path.isdir(text):
            expected = f"a folder with pictures ({suffixes})"
            found = [
                os.path.join(text, each)
                for each in os.listdir(text)
                if each.lower().endswith(SUFFIXES) and not each.startswith(".")
            ]
        elif NUMBER.search(os.path.basename(text)):
            expected = "a pattern that some files match"
            found = _match_numbers(text)
        else:
            expected = f"a pattern that some pictures match ({suffixes})"
            found = [
                each for each in glob.glob(text) if each.lower().endswith(SUFFIXES)
            ]
    except OSError as error:
        raise os_error(error, "a folder that can be read", shown) from error
    found = [each for each in found if os.path.isfile(each)]
    if not found:
        raise ArgumentError(expected, f"{shown}, where there are none")
    return sorted(found, key=_natural)


def _match_numbers(path: str) -> list[str]:
    """Finds files whose names have a number where the path has `%04d` or the like."""
    folder, last = os.path.split(path)
    number = NUMBER.search(last)
    assert number is not None
    least = int(number[1] or 1)
    expression = re.compile(
        re.escape(last[: number.start()])
        + rf"(\d{{{least},}})"
        + re.escape(last[number.end() :])
    )
    names = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    return [os.path.join(folder, each) for each in names if expression.fullmatch(each)]


def _natural(path: str) -> list[tuple[bool, int | str]]:
    """Returns a key that sorts numbers by value and text between them by letters."""
    parts = re.split(r"(\d+)", path)
    # Numbers and text alternate; the flag keeps them apart all the same.
    key: list[tuple[bool, int | str]] = [
        (part.isdigit(), int(part) if part.isdigit() else part.lower())
        for part in parts
    ]
    return [*key, (False, path)]
