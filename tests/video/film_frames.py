"""Films that are being painted, as the tests make them."""

import dataclasses

import numpy as np

from tests.video.films import RATE, moving
from tfnst.video.coherence import Traces
from tfnst.video.encoding import FORMATS, FilmWriter
from tfnst.video.frame_folder import FrameFolder, FrameState
from tfnst.video.frame_range import FrameRange
from tfnst.video.frames import Frame
from tfnst.video.reading import open_film


def frames(count, height=32, width=48, start=0):
    """Frames of a film at the usual rate."""
    return [
        Frame(i, (start + i) / RATE, 1 / RATE, picture)
        for i, picture in enumerate(moving(count, height, width))
    ]


def open_folder(path, passes=1, resume=True, **run):
    return FrameFolder(path, run=run or {"steps": 5}, passes=passes, resume=resume)


def write(path, pictures, **options):
    """Writes a film of frames to a path, or to a pattern of picture files."""
    options = {"rate": RATE, "time_base": 1 / RATE, **options}
    FilmWriter(FORMATS[path.suffix], **options).write(path, pictures)


def output(tmp_path, kind):
    """A path for a film of a kind."""
    if kind in (".png", ".jpg"):
        (tmp_path / "out").mkdir(exist_ok=True)
        return tmp_path / "out" / f"%05d{kind}"
    return tmp_path / f"out{kind}"


def read(path, skip=0, **options):
    """The frames of a film, with options of FrameRange."""
    with open_film(path) as reader:
        return list(reader.frames(FrameRange(**options), skip=skip))


def assert_same_films(one, other):
    found, wanted = read(one), read(other)
    assert [f.time for f in found] == [f.time for f in wanted]
    for each, like in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(each.picture, like.picture)


def repainted(frame, number):
    """A frame as a pass paints it."""
    return dataclasses.replace(frame, picture=frame.picture + np.uint8(9 * number))


def append(folder, frame, source=None, scenes=()):
    """Adds a frame, whose state is its source; the frame itself by default."""
    source = frame.picture if source is None else source
    traces = Traces(source, source[..., 0])
    folder.append(frame, source, FrameState(traces, scenes))


def add(folder, wanted, count):
    """Adds so many frames over all passes; whether there are more."""
    while count:
        left = wanted[folder.frames_done :]
        if folder.pass_number:
            numbers = range(folder.frames_done, folder.frames)
            left = [folder.source(folder.number(done)) for done in numbers]
        for frame in left[:count]:
            again = repainted(frame, folder.pass_number)
            append(folder, again, frame.picture, (frame.number,))
        count -= len(left[:count])
        if len(left) <= count and not folder.end_pass():
            return False
    return True
