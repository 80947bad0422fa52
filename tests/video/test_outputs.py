"""Films in every format, with their frames' times."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.video.film_frames import frames, output, read, write
from tests.video.films import color_tags, moving
from tfnst.video.frames import Frame
from tfnst.video.outputs import check_film_output, film_suffix
from tfnst.video.reading import open_film

KINDS = (".mp4", ".webm", ".gif", ".webp", ".png", ".jpg")


# How far decoded values are from those that were written, on average.
ERRORS = {".mp4": 4, ".webm": 4, ".gif": 16, ".webp": 5, ".png": 0, ".jpg": 4}


@pytest.mark.parametrize("sides", [(32, 48), (33, 51)])
@pytest.mark.parametrize("kind", KINDS)
def test_films_of_every_kind(tmp_path, kind, sides):
    path, wanted = output(tmp_path, kind), frames(15, *sides)
    assert check_film_output(path) == kind
    write(path, wanted)
    found = read(path)
    assert len(found) == 15
    rate = 24 if kind in (".png", ".jpg") else 25
    assert [frame.time for frame in found] == [Fraction(i, rate) for i in range(15)]
    height, width = sides
    if kind == ".mp4":  # Sides are even; what is added repeats the edge.
        assert found[0].picture.shape == (height + height % 2, width + width % 2, 3)
        edge = found[0].picture[:, width - 1 :].astype(int)
        assert np.ptp(edge, axis=1).mean() < 8
    else:
        assert found[0].picture.shape == (height, width, 3)
    for number, frame in enumerate(found):
        picture = frame.picture[:height, :width].astype(int)
        errors = [abs(picture - other.picture).mean() for other in wanted]
        assert np.argmin(errors) == number
        assert errors[number] <= ERRORS[kind]


def test_mp4_files_say_what_their_colours_are(tmp_path):
    for kind in (".mp4", ".webm"):
        write(tmp_path / f"out{kind}", frames(1), metadata={"comment": "painted"})
        with av.open(str(tmp_path / f"out{kind}")) as film:
            texts = {name.lower(): text for name, text in film.metadata.items()}
        assert texts["comment"] == "painted"
        assert color_tags(tmp_path / f"out{kind}") == (1, 1, 1, 1)


@pytest.mark.parametrize("kind", [".mp4", ".webm", ".gif", ".webp"])
def test_the_same_frames_give_the_same_file(tmp_path, kind):
    paths = [tmp_path / f"{number}{kind}" for number in range(2)]
    for path in paths:
        write(path, frames(12, 96, 128))
    assert paths[0].read_bytes() == paths[1].read_bytes()


TIMES = [0, 33, 34, 90, 290, 291, 500, 1700, 1710, 1720, 1730, 1731, 3000]


@pytest.mark.parametrize("kind", [".mp4", ".webm", ".webp"])
def test_times_that_vary_are_kept(tmp_path, kind):
    base = Fraction(1, 1000)
    ends = [*TIMES[1:], 3050]
    pictures = [
        Frame(i, 7 + TIMES[i] * base, (ends[i] - TIMES[i]) * base, picture)
        for i, picture in enumerate(moving(len(TIMES)))
    ]
    write(tmp_path / f"out{kind}", pictures, time_base=base)
    found = read(tmp_path / f"out{kind}")
    if kind == ".webp":
        # Browsers don't show frames for 10 ms or less, so nor does the reader.
        with Image.open(tmp_path / "out.webp") as image:
            durations = []
            for i in range(image.n_frames):
                image.seek(i)
                image.load()
                durations.append(image.info["duration"])
        assert durations == [b - a for a, b in zip(TIMES, ends, strict=True)]
        return
    assert [frame.time * 1000 for frame in found] == TIMES
    assert found[-1].duration == Fraction(1, 20)


@pytest.mark.parametrize("kind", [".mp4", ".webm"])
def test_times_between_ticks_stay_apart(tmp_path, kind):
    base, pictures = Fraction(1, 100), []
    for i, picture in enumerate(moving(8)):
        start = (i + Fraction(1, 2)) * base if i else Fraction(0)
        length = (i + Fraction(3, 2)) * base - start
        pictures.append(Frame(i, start, length, picture))
    write(tmp_path / f"out{kind}", pictures, time_base=base)
    times = [frame.time for frame in read(tmp_path / f"out{kind}")]
    assert times == [i * base for i in (0, 2, 3, 4, 5, 6, 7, 8)]


def test_ntsc_times_are_exact_in_mp4(tmp_path):
    base = Fraction(1001, 30000)
    pictures = [Frame(i, i * base, base, each) for i, each in enumerate(moving(20))]
    write(tmp_path / "out.mp4", pictures, rate=1 / base, time_base=base)
    found = read(tmp_path / "out.mp4")
    assert [frame.time for frame in found] == [i * base for i in range(20)]
    with open_film(tmp_path / "out.mp4") as reader:
        assert reader.info.duration == 20 * base


def test_gif_times_do_not_drift(tmp_path):
    base = Fraction(1, 30)
    pictures = [Frame(i, i * base, base, each) for i, each in enumerate(moving(31))]
    write(tmp_path / "out.gif", pictures, time_base=base)
    found = read(tmp_path / "out.gif")
    assert [frame.time for frame in found] == [
        Fraction(round(100 * i / 30), 100) for i in range(31)
    ]
    assert found[-1].duration == Fraction(3, 100)


def test_what_paths_ask_for(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    for path, kind in [
        ("a.MP4", ".mp4"),
        ("a.webm", ".webm"),
        ("frames", ".png"),
        ("frames/", ".png"),
        (tmp_path / "folder.mp4", ".png"),
        ("frames/%05d.jpeg", ".jpg"),
        ("frames/%d.png", ".png"),
    ]:
        assert film_suffix(path) == kind
    for path in ("a.avi", "a.png", "a%d.mp4", "a%d.tif"):
        said = message(ValueError, film_suffix, path)
        assert said.startswith("`output` must be a path that ends in .mp4, .webm, .gif")


def test_outputs_are_checked_first(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"")
    said = message(ValueError, check_film_output, film, film=film)
    assert said.startswith("`output` must be a file other than `film`.")
    folder = tmp_path / "frames"
    folder.mkdir()
    for path in (folder, folder / "%05d.png"):
        for source in (folder, folder / "*.png"):
            said = message(ValueError, check_film_output, path, film=source)
            assert said.startswith("`output` must be a folder other than that of")
    assert check_film_output(folder, film=film) == ".png"
    said = message(
        FileNotFoundError, check_film_output, tmp_path / "a" / "b" / "%d.png"
    )
    assert said.startswith("`output` must be in a folder that can be written to.")
    if os.path.exists("/dev/null"):
        (tmp_path / "null.mp4").symlink_to("/dev/null")
        said = message(ValueError, check_film_output, tmp_path / "null.mp4")
        assert said.startswith("`output` must be a regular file.")
