"""Films that are being painted, as the tests make them."""

import dataclasses

import numpy as np

from tests.video.films import RATE, moving
from tfnst.video.frames import Frame
from tfnst.video.parts import FilmParts, FrameState
from tfnst.video.reading import open_film


def frames(count, height=32, width=48, start=0):
    """Frames of a film at the usual rate."""
    return [
        Frame(i, (start + i) / RATE, 1 / RATE, picture)
        for i, picture in enumerate(moving(count, height, width))
    ]


def parts(folder, suffix=".mp4", **options):
    options = {
        "rate": RATE,
        "time_base": 1 / RATE,
        "description": {"steps": 5},
        "chunk_frames": 6,
        **options,
    }
    return FilmParts(folder, suffix=suffix, **options)


def output(tmp_path, kind):
    """A path for a film of a kind, and the path that it is read by."""
    if kind in (".png", ".jpg"):
        (tmp_path / "out").mkdir(exist_ok=True)
        pattern = tmp_path / "out" / f"%05d{kind}"
        return pattern, pattern
    path = tmp_path / f"out{kind}"
    return path, path


def read(path):
    with open_film(path) as reader:
        return list(reader)


def repainted(frame, number):
    """A frame as a pass paints it."""
    return dataclasses.replace(frame, picture=frame.picture + np.uint8(9 * number))


def append(film, frame, source=None, scenes=()):
    """Adds a frame, whose state is its source; the frame itself by default."""
    source = frame.picture if source is None else source
    film.append(frame, source, FrameState(source, scenes))


def last_pictures(film, count):
    """The pictures of the last frames that are kept."""
    return [film.kept.picture("frame", number) for number in film.last_numbers(count)]


def add(film, wanted, count):
    """Adds so many frames over all passes; whether there are more."""
    while count:
        left = wanted[film.frames_done :]
        if film.pass_number:
            left = [
                dataclasses.replace(
                    film.kept.frame(number), picture=film.kept.picture("source", number)
                )
                for number in film.numbers_left()
            ]
        for frame in left[:count]:
            again = repainted(frame, film.pass_number)
            append(film, again, frame.picture, (frame.number,))
        count -= len(left[:count])
        if len(left) <= count and not film.end_pass():
            return False
    return True
