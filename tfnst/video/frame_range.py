"""The range of a film's frames that is painted."""

from __future__ import annotations

import math
from fractions import Fraction

from tfnst.checks import check_integer, check_number
from tfnst.video.frames import FilmInfo


class FrameRange:
    """Frames of a film from one time to another. The arguments are attributes, too.

    Args:
        start: seconds from the beginning, 0 or more; the first frame is at this time
            or the next one after it. Default 0.
        end: seconds after `start`; the last frame is before this time. To the film's
            end by default.
        every: takes each N-th frame, from the first. Default 1.

    Raises:
        ValueError: when an argument is out of its range.
    """

    def __init__(
        self, start: float = 0.0, end: float | None = None, every: int = 1
    ) -> None:
        self.start = check_number("start", start, "seconds, 0 or more", low=0)
        self.end = end
        if end is not None:
            expected = "seconds after `start`"
            self.end = check_number("end", end, expected, above=self.start)
        self.every = check_integer("every", every, 1)

    def count(self, info: FilmInfo) -> int | None:
        """Estimates the number of frames, if the film says how long it is."""
        whole = info.duration
        if whole is None and info.frames is not None:
            whole = Fraction(info.frames) / info.rate
        if whole is None and self.end is None:
            return None
        last = min(float(x) for x in (whole, self.end) if x is not None)
        frames = math.ceil(round(max(0.0, last - self.start) * float(info.rate), 3))
        return -(-frames // self.every)


def exact_seconds(value: float) -> Fraction:
    """Returns seconds as they were meant: 0.1 is a tenth, which no float is."""
    return Fraction(value).limit_denominator(1_000_000)
