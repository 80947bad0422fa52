"""Reading films frame by frame: files, animated pictures, and folders of pictures."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import TypeAlias

from tfnst.checks import (
    ArgumentError,
    argument,
    check_integer,
    check_number,
)
from tfnst.files import check_path, show_path
from tfnst.video.animations import Animation, is_animation
from tfnst.video.decoding import DecodedFilm
from tfnst.video.frame_range import FrameRange, exact_seconds
from tfnst.video.frames import (
    DamagedFilmWarning,
    DamagedFrameError,
    FilmInfo,
    Frame,
)
from tfnst.video.picture_files import PictureFiles, is_pattern

# Frames per second of a folder of pictures.
DEFAULT_RATE = 24
MAX_RATE = 1000
# Seconds that may be missing at a film's end, unless twice its longest frame is longer:
# the last frame is then shown until the end, as WebM files don't say for how long. A
# film that lacks more is damaged.
_MISSING = Fraction(1, 2)


# `damaged` counts what could not be decoded since `frames` was called.
FilmSource: TypeAlias = DecodedFilm | Animation | PictureFiles


class FilmReader:
    """A film, read one frame after another; use `open_film`.

    It can be iterated over again and again, and is a context manager that closes the
    film. Memory doesn't depend on the film's length.
    """

    def __init__(self, source: FilmSource, *, argument: str, shown: str) -> None:
        self._source, self._argument, self._shown = source, argument, shown

    @property
    def info(self) -> FilmInfo:
        """Properties of the film."""
        return self._source.info

    def __enter__(self) -> FilmReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the film."""
        self._source.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yields all frames."""
        return self.frames()

    def frames(
        self, range: FrameRange | None = None, *, skip: int = 0
    ) -> Iterator[Frame]:
        """Yields the frames in a range.

        Frames that can't be decoded are left out, and the one before is shown for
        longer. When that happened, or the film ended early, a DamagedFilmWarning at
        the end says so.

        Args:
            range: range of the frames; all by default.
            skip: number of frames of the range to leave out; the numbers of the others
                stay as they are. This is quicker than reading them. Default 0.

        Raises:
            ValueError: when an argument is out of its range, or no frame is in this
                range.
            OSError: when the file can't be read.
        """
        check_integer("skip", skip, 0)
        return self._named(self._choose(range or FrameRange(), skip))

    def _named(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yields frames; errors on the way name the film's argument."""
        with argument(self._argument):
            yield from frames

    def _choose(self, range: FrameRange, skip: int) -> Iterator[Frame]:
        """Yields the frames of a range, each once the time of the next one is known."""
        start = exact_seconds(range.start)
        end = None if range.end is None else exact_seconds(range.end)
        counted = unread = 0
        held: Frame | None = None
        finish = longest = Fraction(0)
        stopped = False
        for frame in self._source.frames(start):
            if end is not None and frame.time >= end:
                finish, stopped = frame.time, True
                break
            longest = max(longest, frame.time + frame.duration - finish)
            finish = frame.time + frame.duration
            if frame.time < start:
                continue
            counted += 1
            if (counted - 1) % range.every:
                continue
            number = (counted - 1) // range.every
            if number < skip:
                continue
            try:
                picture = frame.read()
            except DamagedFrameError:
                # It isn't counted, like those that the decoder left out.
                counted, unread = counted - 1, unread + 1
                continue
            if held is not None:
                yield dataclasses.replace(held, duration=frame.time - held.time)
            held = Frame(number, frame.time, frame.duration, picture)
        expected = self.info.duration
        missing = Fraction(0)
        if expected is not None and not stopped:
            missing = expected - finish
            if 0 < missing <= max(_MISSING, 2 * longest):
                finish, missing = expected, Fraction(0)
        if held is not None:
            if end is not None:
                finish = min(finish, end)
            yield dataclasses.replace(held, duration=finish - held.time)
        if not counted:
            self._fail_empty(start, finish, self._source.damaged + unread)
        self._warn(self._source.damaged + unread, counted, finish, missing)

    def _fail_empty(self, start: Fraction, finish: Fraction, damaged: int) -> None:
        """Raises ValueError for a range without frames."""
        if damaged:
            raise ArgumentError(
                "a film with frames that can be decoded",
                f"{self._shown}, in which {damaged} can't be",
            )
        raise ArgumentError(
            f"less than the {float(finish):.3f} seconds of the film"
            if start >= finish
            else "before a frame that is before `end`",
            f"{float(start):g}",
            argument="start",
        )

    def _warn(
        self, damaged: int, counted: int, finish: Fraction, missing: Fraction
    ) -> None:
        """Warns of a damaged film, which may lack some seconds at its end."""
        faults = []
        if damaged:
            frames = "frame" if damaged == 1 else "frames"
            faults.append(f"{damaged} damaged {frames} left out")
        if missing > 0:
            faults.append(
                f"it ends after {float(finish):.2f} seconds instead of "
                f"{float(finish + missing):.2f}"
            )
        if faults:
            warnings.warn(
                f"`{self._argument}` is damaged: {self._shown}: {'; '.join(faults)}; "
                f"{counted} frames could be read",
                DamagedFilmWarning,
                stacklevel=4,
            )


def open_film(
    path: str | os.PathLike[str],
    *,
    rate: float | Fraction | None = None,
    name: str = "film",
) -> FilmReader:
    """Opens a film to read its frames.

    Args:
        path: path of a film in one file that FFmpeg reads, such as MP4, MOV, WebM or
            AVI, for which PyAV is needed (the extra `video`); of an animated GIF, WebP
            or PNG file; of a folder of pictures, in natural order of their names; or a
            pattern for such files, `frames/*.png` or `frames/%04d.png`. Files that
            name others, such as playlists, are refused.
        rate: frames per second of a folder or pattern, above 0 and up to 1000. Other
            films have their own. Default 24.
        name: what errors call the path. Default `"film"`.

    Returns:
        A FilmReader, to be closed: it is a context manager.

    Raises:
        ImportError: when PyAV is needed and missing.
        OSError: when the file can't be read; `FileNotFoundError` and the like.
        ValueError: when it isn't a film, has no pictures, or its frames have more
            pixels or narrower sides than `tfnst.limits` allows; or for a rate that is
            out of its range, or that is given for a film with its own.
    """
    with argument(name):
        source = _open(path, rate)
    return FilmReader(source, argument=name, shown=show_path(path))


def _open(path: str | os.PathLike[str], rate: float | Fraction | None) -> FilmSource:
    check_path(path)
    shown = show_path(path)
    frequency = None
    if rate is not None:
        expected = f"frames per second above 0 and up to {MAX_RATE}"
        number = check_number("rate", rate, expected, above=0, high=MAX_RATE)
        # 29.97 and the like become fractions with small numbers.
        frequency = Fraction(rate if isinstance(rate, Fraction) else number)
        frequency = frequency.limit_denominator(1001)
    text = os.fspath(path)
    if "\0" in os.fsdecode(text):
        raise ArgumentError("the path of a film", shown)
    if os.path.isdir(text) or (not os.path.exists(text) and is_pattern(text)):
        return PictureFiles(text, rate=frequency or Fraction(DEFAULT_RATE))
    if rate is not None:
        raise ArgumentError(
            "left out for a film that has its own",
            f"{rate!r} for {shown}",
            argument="rate",
        )
    return Animation(text) if is_animation(text) else DecodedFilm(text)
