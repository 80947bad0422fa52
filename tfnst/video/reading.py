"""Reading films frame by frame: files, animated pictures, and folders of pictures."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import numpy as np

from tfnst.checks import (
    ArgumentError,
    argument,
    argument_error,
    check_integer,
    check_number,
)
from tfnst.files import check_path, show_path
from tfnst.video.animations import Animation, is_animation
from tfnst.video.decoding import DecodedFilm
from tfnst.video.frames import (
    DamagedFilmWarning,
    DamagedFrameError,
    FilmInfo,
    Frame,
    Shot,
)
from tfnst.video.picture_files import PictureFiles, is_pattern

# Frames per second of a folder of pictures.
DEFAULT_RATE = 24
MAX_RATE = 1000
# A film that ends this many seconds earlier than its file says is damaged. If it is
# less, or less than twice its longest frame, the last frame is shown until then: WebM
# files don't say for how long.
_MISSING = Fraction(1, 2)


class FilmSource(Protocol):
    """What frames come from: a film, an animation, picture files.

    Attributes:
        damaged: frames, or pieces of file, that could not be decoded since `shots`
            was called.
    """

    damaged: int

    @property
    def info(self) -> FilmInfo: ...

    @property
    def expected_end(self) -> Fraction | None: ...

    def shots(self, start: Fraction) -> Iterator[Shot]: ...

    def close(self) -> None: ...


class FilmReader:
    """A film, read one frame after another; use `open_film`.

    It can be iterated over again and again, and is a context manager that closes the
    film. Memory doesn't depend on the film's length.
    """

    def __init__(self, source: FilmSource, *, argument: str, shown: str) -> None:
        self._source, self._argument, self._shown = source, argument, shown

    @property
    def info(self) -> FilmInfo:
        """What is known of the film."""
        return self._source.info

    def __enter__(self) -> FilmReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the film."""
        self._source.close()

    def __iter__(self) -> Iterator[Frame]:
        """All frames."""
        return self.frames()

    def frames(
        self,
        *,
        start: float | Fraction = 0,
        end: float | Fraction | None = None,
        every: int = 1,
        skip: int = 0,
    ) -> Iterator[Frame]:
        """Frames from one time to another.

        Frames that can't be decoded are left out, and the one before is shown for
        longer. When that happened, or the film ended early, a DamagedFilmWarning at
        the end says so.

        Args:
            start: seconds from the beginning; the first frame is at this time or the
                next one after it. Default 0.
            end: seconds; the last frame is before this time. To the end by default.
            every: takes each N-th frame, from the first. Default 1.
            skip: leaves out so many of the frames that the other arguments choose;
                the numbers of the others stay as they are. This is quicker than not
                to use them. Default 0.

        Raises:
            ValueError: when an argument is out of its range, or no frame is in this
                range of times.
            OSError: when the file can't be read.
        """
        check_number("start", start, "0 or more seconds", low=0)
        first, last = _seconds(start), None
        if end is not None:
            check_number("end", end, "seconds after `start`", above=float(first))
            last = _seconds(end)
        check_integer("every", every, 1)
        check_integer("skip", skip, 0)
        return self._named(self._choose(first, last, every, skip))

    def _named(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames; errors on the way say whose argument the film is."""
        with argument(self._argument):
            yield from frames

    def _choose(
        self, start: Fraction, end: Fraction | None, every: int, skip: int
    ) -> Iterator[Frame]:
        """The frames, each once it is known when the next one begins."""
        counted = unread = 0
        held: tuple[int, Fraction, np.ndarray] | None = None
        finish = longest = Fraction(0)
        stopped = False
        for shot in self._source.shots(start):
            if end is not None and shot.time >= end:
                finish, stopped = shot.time, True
                break
            longest = max(longest, shot.time + shot.duration - finish)
            finish = shot.time + shot.duration
            if shot.time < start:
                continue
            counted += 1
            if (counted - 1) % every:
                continue
            number = (counted - 1) // every
            if number < skip:
                continue
            try:
                picture = shot.read()
            except DamagedFrameError:
                # It isn't counted, like those that the decoder left out.
                counted, unread = counted - 1, unread + 1
                continue
            if held is not None:
                yield Frame(held[0], held[1], shot.time - held[1], held[2])
            held = number, shot.time, picture
        expected = self._source.expected_end
        missing = Fraction(0)
        if expected is not None and not stopped:
            missing = expected - finish
            if 0 < missing <= max(_MISSING, 2 * longest):
                finish, missing = expected, Fraction(0)
        if held is not None:
            if end is not None:
                finish = min(finish, end)
            yield Frame(held[0], held[1], finish - held[1], held[2])
        if not counted:
            self._fail_empty(start, finish, self._source.damaged + unread)
        self._warn(self._source.damaged + unread, counted, finish, missing)

    def _fail_empty(self, start: Fraction, finish: Fraction, damaged: int) -> None:
        if damaged:
            raise ArgumentError(
                "a film with frames that can be decoded",
                f"{self._shown}, in which {damaged} can't be",
            )
        raise argument_error(
            "start",
            f"less than the {float(finish):.3f} seconds of the film"
            if start >= finish
            else "before a frame that is before `end`",
            f"{float(start):g}",
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


def _seconds(value: float | Fraction) -> Fraction:
    """Seconds as they were meant: 0.1 is a tenth, which no float is."""
    if isinstance(value, Fraction):
        return value
    return Fraction(float(value)).limit_denominator(1_000_000)


def open_film(
    path: str | os.PathLike[str],
    *,
    rate: float | Fraction | None = None,
    name: str = "film",
) -> FilmReader:
    """Opens a film to read its frames.

    Args:
        path: of a film in one file that FFmpeg reads, such as MP4, MOV, WebM or AVI,
            for which PyAV is needed (the extra `video`); of an animated GIF, WebP or
            PNG file; of a folder of pictures, in natural order of their names; or a
            pattern for such files, `frames/*.png` or `frames/%04d.png`. Files that
            name others, such as playlists, are refused.
        rate: frames per second of a folder or pattern, above 0 and up to 1000;
            anything else knows its own. Default 24.
        name: what errors call the path. Default `"film"`.

    Returns:
        A FilmReader, to be closed: it is a context manager.

    Raises:
        ImportError: when PyAV is needed and missing.
        OSError: when the file can't be read; `FileNotFoundError` and the like.
        ValueError: when it isn't a film, has no pictures, or its frames have more
            pixels or narrower sides than `tfnst.limits` allows; or for a rate that
            isn't one, or that is given for a film with its own.
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
        raise argument_error(
            "rate", "left out for a film that has its own", f"{rate!r} for {shown}"
        )
    return Animation(text) if is_animation(text) else DecodedFilm(text)
