"""Reading films: times, ranges of frames, orientation, damage, and errors."""

import itertools
import sys
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from tests.helpers import message
from tests.video.film_frames import read
from tests.video.films import (
    RATE,
    add_track,
    blocks,
    moving,
    set_matrix,
    sine,
    write_film,
    write_sound,
)
from tfnst.limits import MAX_PIXELS
from tfnst.video.decoding import DecodedFilm
from tfnst.video.frame_range import FrameRange
from tfnst.video.frames import DamagedFilmWarning, check_frame_size
from tfnst.video.reading import open_film


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of 40 frames, a second of which is 25 frames, with three key frames."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_film(path, moving(40), keys=(0, 12, 30))
    return path


def test_info_and_frames_of_a_film(tmp_path):
    pictures = [blocks(seed) for seed in range(5)]
    path = tmp_path / "film.mp4"
    write_film(path, pictures, sound=sine(0.2))
    with open_film(path) as reader:
        info, frames = reader.info, list(reader)
        # It can be read again.
        assert [frame.time for frame in reader] == [frame.time for frame in frames]
    assert (info.width, info.height, info.rate) == (48, 32, RATE)
    assert (info.duration, info.frames, info.has_sound) == (Fraction(1, 5), 5, True)
    assert [frame.number for frame in frames] == list(range(5))
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(5)]
    assert {frame.duration for frame in frames} == {Fraction(1, 25)}
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.picture.dtype == np.uint8
        assert frame.picture.shape == (32, 48, 3)
        error = frame.picture[8::16, 8::16].astype(int) - picture[8::16, 8::16]
        assert abs(error).max() <= 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_that_vary_are_kept_to_the_tick(tmp_path, suffix):
    base = Fraction(1, 1000)
    times = [0, 33, 34, 90, 290, 291, 500, 1700]
    path = tmp_path / f"film{suffix}"
    write_film(path, moving(8), times=times, time_base=base)
    frames = read(path)
    assert [frame.time for frame in frames] == [time * base for time in times]
    durations = [frame.duration for frame in frames]
    assert durations[:-1] == [(b - a) * base for a, b in itertools.pairwise(times)]
    assert durations[-1] > 0


@pytest.fixture(scope="module", params=[".mp4", ".mkv", ".avi", ".ts"])
def film_and_frames(request, tmp_path_factory):
    """As `film`, of a kind, and all its frames."""
    path = tmp_path_factory.mktemp("film") / f"film{request.param}"
    write_film(path, moving(40), keys=(0, 12, 30))
    return path, read(path)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        *((start, None) for start in (0, 0.1, 0.48, 0.5, Fraction(31, 25), 1.55)),
        *((start, 1.2) for start in (0, 0.48, 0.5)),
        (1.2, 1.56),
    ],
)
def test_any_part_of_a_film_gives_the_same_frames(film_and_frames, start, end):
    path, frames = film_and_frames
    assert len(frames) == 40
    last = 100 if end is None else Fraction(str(end))
    first = Fraction(str(start))
    wanted = [frame for frame in frames if first <= frame.time < last]
    found = read(path, start=start, end=end)
    assert [frame.time for frame in found] == [frame.time for frame in wanted]
    assert [frame.number for frame in found] == list(range(len(wanted)))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)


def test_every_nth_frame_and_skipped_ones(film):
    frames = read(film)
    found = read(film, start=0.2, end=1.0, every=4)
    assert [frame.time * 25 for frame in found] == [5, 9, 13, 17, 21]
    assert {frame.duration * 25 for frame in found} == {4}
    assert [frame.number for frame in found] == list(range(5))
    np.testing.assert_array_equal(found[2].picture, frames[13].picture)
    rest = read(film, start=0.2, end=1.0, every=4, skip=3)
    assert [(f.number, f.time) for f in rest] == [(f.number, f.time) for f in found[3:]]
    np.testing.assert_array_equal(rest[0].picture, found[3].picture)
    # What is left after the last one belongs to it.
    found = read(film, every=30)
    assert [frame.duration * 25 for frame in found] == [30, 10]
    assert read(film, skip=40) == []


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, 3)),  # A phone held upright.
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    ],
)
def test_frames_are_upright(tmp_path, matrix, turned):
    path = tmp_path / "film.mp4"
    write_film(path, [blocks()] * 2)
    plain = read(path)[0].picture
    set_matrix(path, *matrix)
    with open_film(path) as reader:
        picture = next(iter(reader)).picture
        assert (reader.info.height, reader.info.width) == picture.shape[:2]
    np.testing.assert_array_equal(picture, turned(plain))


@pytest.mark.parametrize(
    ("ratio", "size"),
    [(Fraction(4, 3), (64, 32)), (Fraction(1, 2), (48, 64)), (Fraction(1), (48, 32))],
)
def test_pixels_become_square(tmp_path, ratio, size):
    path = tmp_path / "film.mp4"
    write_film(path, [blocks()] * 2, ratio=ratio)
    with open_film(path) as reader:
        assert (reader.info.width, reader.info.height) == size
        picture = next(iter(reader)).picture
    assert picture.shape == (size[1], size[0], 3)
    width, height = size[0] // 3, size[1] // 2
    error = picture[height // 2 :: height, width // 2 :: width].astype(int)
    assert abs(error - blocks()[8::16, 8::16]).max() <= 6


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_of_100_hours_is_searched_not_scanned(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    hour = Fraction(3600)
    write_film(path, moving(100), time_base=hour, keys=range(0, 100, 10))
    frames = read(path, start=98 * hour)
    assert [frame.time for frame in frames] == [98 * hour, 99 * hour]
    film = DecodedFilm(path)
    assert len(list(film.frames(98 * hour))) <= 12
    film.close()


def test_a_film_that_starts_late_begins_at_0(tmp_path):
    path = tmp_path / "film.ts"
    write_film(path, moving(10), times=list(range(50, 60)))
    with open_film(path) as reader:
        assert reader.info.origin >= 2
        assert [frame.time * 25 for frame in reader] == list(range(10))
        assert [f.time * 25 for f in reader.frames(FrameRange(start=0.2))] == list(
            range(5, 10)
        )


def test_a_film_cut_short_is_read_with_a_warning(tmp_path):
    path = tmp_path / "film.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (40, 16, 24, 3))
    pictures = [np.kron(each, np.ones((2, 2, 1))).astype(np.uint8) for each in noise]
    write_film(path, pictures, container_options={"movflags": "+faststart"})
    whole = read(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with open_film(path) as reader:
        frames = []
        with pytest.warns(DamagedFilmWarning) as caught:
            frames += reader
    assert 10 < len(frames) < 30
    text = str(caught[0].message)
    assert text.startswith(f"`film` is damaged: {str(path)!r}: ")
    assert "instead of 1.60" in text
    assert text.endswith(f"{len(frames)} frames could be read")
    for one, other in zip(frames[:-3], whole, strict=False):
        np.testing.assert_array_equal(one.picture, other.picture)
    # Whoever stops before the damage hears nothing of it.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(path, end=0.3)) == 8


def test_damaged_frames_are_left_out_and_counted(tmp_path):
    path = tmp_path / "film.avi"
    write_film(path, moving(10), codec="ffv1", options={"g": "1"})
    data = bytearray(path.read_bytes())
    whole = read(path)
    with av.open(str(path)) as file:
        broken = [(p.pos, p.size) for p in file.demux(video=0) if p.size][4]
    # Not the header of the next one, wherever this one's ends.
    data[broken[0] + 8 : broken[0] + broken[1]] = b"\xff" * (broken[1] - 8)
    path.write_bytes(data)
    with pytest.warns(DamagedFilmWarning, match="1 damaged frame left out; 9 frames"):
        frames = read(path)
    assert [frame.number for frame in frames] == list(range(9))
    assert [frame.time * 25 for frame in frames] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert frames[3].duration == Fraction(2, 25)
    np.testing.assert_array_equal(frames[4].picture, whole[5].picture)


def test_errors_of_files(tmp_path):
    missing = tmp_path / "missing.mp4"
    assert message(FileNotFoundError, open_film, missing) == (
        "`film` must be a film that can be read. "
        f"Received: {str(missing)!r}, which does not exist"
    )
    text = tmp_path / "text.mp4"
    text.write_text("This is no film.\n" * 100)
    said = message(ValueError, open_film, text)
    assert said.startswith("`film` must be a film that can be read. Received: ")
    assert "Invalid data" in said
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        write_sound(file, add_track(file), sine(0.2))
    said = message(ValueError, open_film, tmp_path / "sound.mp4", name="video")
    assert said.startswith("`video` must be a film with pictures. Received: ")
    assert said.endswith("which holds only audio")
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    assert message(ValueError, open_film, empty).startswith("`film` must be a film")
    for bad in (3, "", None):
        assert "`film` must be a path" in message(ValueError, open_film, bad)
    assert "`film`" in message(ValueError, open_film, "a\0b.mp4")


def test_errors_of_sizes(tmp_path):
    path = tmp_path / "tiny.avi"
    write_film(path, [np.zeros((2, 2, 3), np.uint8)] * 3, codec="ffv1")
    assert message(ValueError, open_film, path) == (
        "`film` must be a film at least 16 pixels wide and 16 high. "
        f"Received: {str(path)!r}, whose frames are 2 wide and 2 high"
    )
    wide = MAX_PIXELS // 16
    check_frame_size("'a.mp4'", wide, 16)
    assert message(ValueError, check_frame_size, "'a.mp4'", wide, 17) == (
        f"The value must be a film of at most {MAX_PIXELS} pixels a frame. "
        f"Received: 'a.mp4', whose frames are {wide} wide and 17 high"
    )


def test_frames_of_another_size_are_scaled_to_the_first(tmp_path):
    parts = []
    for number, sides in enumerate([(32, 48), (48, 64)]):
        part = tmp_path / f"{number}.h264"
        write_film(part, moving(5, *sides))
        parts.append(part.read_bytes())
    path = tmp_path / "film.h264"
    path.write_bytes(b"".join(parts))
    frames = read(path)
    assert {frame.picture.shape for frame in frames} == {(32, 48, 3)}
    assert len(frames) == 10
    wanted = Image.fromarray(moving(1, 48, 64)[0]).resize((48, 32))
    assert np.abs(frames[5].picture.astype(int) - np.asarray(wanted)).mean() < 8


def test_errors_of_ranges(film):
    for options, name in [
        ({"start": -1}, "start"),
        ({"start": "a"}, "start"),
        ({"start": 1, "end": 1}, "end"),
        ({"every": 0}, "every"),
    ]:
        said = message(ValueError, FrameRange, **options)
        assert said.startswith(f"`{name}` must be ")
    with open_film(film) as reader:
        said = message(ValueError, reader.frames, skip=-1)
        assert said.startswith("`skip` must be ")
        said = message(ValueError, list, reader.frames(FrameRange(start=5)))
        assert said == "`start` must be less than the 1.600 seconds of the film. " + (
            "Received: 5"
        )
        said = message(ValueError, list, reader.frames(FrameRange(0.01, 0.02)))
        assert said.startswith("`start` must be before a frame that is before `end`.")
    said = message(ValueError, open_film, film, rate=24)
    assert said.startswith("`rate` must be left out for a film that has its own.")


def test_without_pyav_the_extra_is_named(film, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert message(ImportError, open_film, film) == (
        f"`film` needs PyAV: pip install 'tfnst[video]'. Received: {str(film)!r}"
    )


# Folders and patterns.


def save_pictures(folder, names, sides=(20, 30)):
    folder.mkdir(exist_ok=True)
    for level, name in enumerate(names):
        array = np.full((*sides, 3), 10 * level, np.uint8)
        Image.fromarray(array).save(folder / name)


def values(frames):
    return [int(frame.picture[0, 0, 0]) // 10 for frame in frames]


def test_a_folder_of_pictures_in_natural_order(tmp_path):
    folder = tmp_path / "frames"
    save_pictures(folder, ["f1.png", "f10.png", "f2.png", "F3.PNG"])
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_text("no picture")
    with open_film(folder) as reader:
        info, frames = reader.info, list(reader)
        assert values(reader.frames(FrameRange(1 / 24, 3 / 24))) == [2, 3]
    assert (info.width, info.height, info.frames) == (30, 20, 4)
    assert (info.rate, info.duration) == (24, Fraction(4, 24))
    assert values(frames) == [0, 2, 3, 1]
    assert [frame.time for frame in frames] == [Fraction(i, 24) for i in range(4)]
    with open_film(folder, rate=29.97) as reader:
        assert reader.info.rate == Fraction(2997, 100)
    for rate in (0, -1, 2000, "fast"):
        said = message(ValueError, open_film, folder, rate=rate)
        assert said.startswith("`rate` must be frames per second above 0 and up to")


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("%d.png", [2, 0, 3, 1]),
        ("%03d.png", [0, 3, 1]),
        ("0*.png", [0]),
        ("?.png", [2]),
        ("[01]*.png", [0, 3, 1]),
    ],
)
def test_patterns(tmp_path, pattern, wanted):
    folder = tmp_path / "frames"
    save_pictures(folder, ["005.png", "1000.png", "3.png", "101.png"])
    found = values(read(folder / pattern))
    assert found == wanted


def test_errors_of_folders(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "notes.txt").write_text("no picture")
    said = message(ValueError, open_film, folder)
    assert said.startswith("`film` must be a folder with pictures (.png, ")
    assert said.endswith(f"Received: {str(folder)!r}, where there are none")
    for pattern in ("%04d.png", "*.png"):
        said = message(ValueError, open_film, folder / pattern)
        assert said.startswith("`film` must be a pattern that some ")
    save_pictures(folder, ["1.png", "2.png"])
    save_pictures(folder, ["3.png"], sides=(20, 31))
    assert message(ValueError, open_film, folder) == (
        "`film` must be pictures of one size. Received: "
        f"{str(folder / '1.png')!r} of 30 x 20 pixels and "
        f"{str(folder / '3.png')!r} of 31 x 20"
    )
    (folder / "3.png").write_bytes((folder / "2.png").read_bytes()[:60])
    with pytest.warns(DamagedFilmWarning, match="1 damaged frame left out; 2 frames"):
        assert values(read(folder)) == [0, 1]
    save_pictures(folder, ["1.png", "2.png", "3.png"], sides=(1, 1))
    said = message(ValueError, open_film, folder)
    assert said.startswith("`film` must be a film at least 16 pixels wide and 16 high.")


# Animated pictures.


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animated_pictures(tmp_path, suffix):
    pictures = [np.full((20, 30, 3), level, np.uint8) for level in (0, 120, 250)]
    images = [Image.fromarray(picture) for picture in pictures]
    path = tmp_path / f"film{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=[40, 110, 250],
        loop=0,
        **options,
    )
    with open_film(path) as reader:
        assert (reader.info.width, reader.info.height) == (30, 20)
        assert (reader.info.frames, reader.info.has_sound) == (3, False)
        assert reader.info.rate == 25
        frames = list(reader)
        part = list(reader.frames(FrameRange(0.04, 0.15)))
    assert [frame.time * 1000 for frame in frames] == [0, 40, 150]
    assert [frame.duration * 1000 for frame in frames] == [40, 110, 250]
    for frame, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.picture, picture)
    assert [frame.time * 1000 for frame in part] == [40]
    images[0].save(path)
    said = message(ValueError, open_film, path)
    assert said.startswith("`film` must be a film, an animated picture or a folder of")
    assert said.endswith("which is a single picture")


def test_gif_files_cut_short(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (6, 40, 50, 3)).astype(np.uint8)
    images = [Image.fromarray(each) for each in noise]
    path = tmp_path / "film.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=0)
    whole = read(path)
    # Browsers show such frames for a tenth of a second.
    assert {frame.duration for frame in whole} == {Fraction(1, 10)}
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.warns(DamagedFilmWarning, match="damaged"):
        frames = read(path)
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[2].picture, whole[2].picture)


def test_errors_of_animated_pictures(tmp_path):
    path = tmp_path / "film.gif"
    assert "does not exist" in message(FileNotFoundError, open_film, path)
    path.write_text("no picture")
    said = message(ValueError, open_film, path)
    assert said.endswith("which is not a film in a single file")
    Image.new("L", (16, 16)).save(path)
    data = path.read_bytes()
    # More than the limit, but less than twice as much, for which Pillow only warns.
    path.write_bytes(data[:6] + (10_000).to_bytes(2, "little") * 2 + data[10:])
    said = message(ValueError, open_film, path)
    assert said.startswith("`film` must be an image of at most 89478485 pixels.")
    save_pictures(tmp_path / "frames", ["1.png"])
    (tmp_path / "frames" / "1.png").write_bytes(path.read_bytes())
    said = message(ValueError, open_film, tmp_path / "frames")
    assert said.startswith("`film` must be a film of at most 89478485 pixels a frame.")
