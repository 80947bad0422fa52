"""Frames of a film, and its properties."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from tfnst.checks import ArgumentError
from tfnst.limits import MAX_PIXELS, MIN_SIDE

# A longer step in the times of pictures or sound, in seconds, is an error in the file.
LONGEST_STEP = 6 * 3600
# Times of frames are stored as multiples of a fraction no finer than this.
_FINEST = 1_000_000


class DamagedFilmWarning(UserWarning):
    """Warning of a film of which a part could not be read; the rest is used."""


class DamagedFrameError(Exception):
    """Raised when a frame can't be decoded. Readers leave it out and count it."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame of a film.

    Attributes:
        number: number of the frame among those that are read, from 0.
        time: seconds from the beginning of the film to that of the frame.
        duration: seconds until the next frame that is read, or until the film ends.
        picture: uint8 sRGB [H, W, 3], upright, in square pixels.
    """

    number: int
    time: Fraction
    duration: Fraction
    picture: np.ndarray


@dataclasses.dataclass(frozen=True)
class FilmInfo:
    """Properties of a film that are known before its frames are read.

    Attributes:
        width: width of the upright frames, in square pixels.
        height: height of the upright frames, in square pixels.
        rate: frames per second, on average.
        time_base: seconds of which the times of frames are multiples.
        duration: length in seconds, or None if the file doesn't say.
        frames: number of frames, or None if the file doesn't say.
        origin: the film's beginning on the file's own clock, in seconds.
        has_sound: whether there is sound.
        title: title of the film, or None.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    duration: Fraction | None
    frames: int | None
    origin: Fraction = Fraction(0)
    has_sound: bool = False
    title: str | None = None


def fit_time_base(base: Fraction) -> Fraction:
    """Returns a unit of time that files can hold, equal to `base` where possible."""
    ticks = Fraction(1, base.denominator)
    return ticks if 1 / ticks <= _FINEST else Fraction(1, _FINEST)


def to_ticks(time: Fraction, base: Fraction) -> int:
    """Rounds a time to a multiple of a time base; times a tick apart stay apart."""
    return math.floor(time / base + Fraction(1, 2))


@dataclasses.dataclass(frozen=True)
class SourceFrame:
    """A frame of a source, whose picture can be read until the next one is asked for.

    Attributes:
        time: seconds from the beginning of the film.
        duration: length in seconds, as far as the file says.
        read: function that gives the picture, or raises DamagedFrameError.
    """

    time: Fraction
    duration: Fraction
    read: Callable[[], np.ndarray]


def check_frame_size(shown: str, width: int, height: int) -> None:
    """Checks the size of a film's frames.

    Args:
        shown: the film, as errors show it.
        width: width of the frames.
        height: height of the frames.

    Raises:
        ValueError: when they have too many pixels or are too narrow.
    """
    received = f"{shown}, whose frames are {width} wide and {height} high"
    if width * height > MAX_PIXELS:
        expected = f"a film of at most {MAX_PIXELS} pixels a frame"
        raise ArgumentError(expected, received)
    if min(width, height) < MIN_SIDE:
        expected = f"a film at least {MIN_SIDE} pixels wide and {MIN_SIDE} high"
        raise ArgumentError(expected, received)
